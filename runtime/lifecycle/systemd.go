package lifecycle

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Unit is where systemd is to put a container: linux.cgroupsPath in systemd's
// form, slice:prefix:name.
type Unit struct{ Slice, Prefix, Name string }

// String is the unit's name: PREFIX-NAME.scope, or NAME when that is a slice.
func (u Unit) String() string {
	switch {
	case strings.HasSuffix(u.Name, ".slice"):
		return u.Name
	case u.Prefix == "":
		return u.Name + ".scope"
	}
	return u.Prefix + "-" + u.Name + ".scope"
}

// ParseUnit reads a linux.cgroupsPath in systemd's form. An empty slice is
// system.slice for root.
func ParseUnit(path string) (Unit, error) {
	parts := strings.Split(path, ":")
	if len(parts) != 3 || parts[2] == "" {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got %q instead", path)
	}
	u := Unit{parts[0], parts[1], parts[2]}
	if u.Slice == "" {
		u.Slice = "system.slice"
	}
	bad := func(s string) bool { return strings.ContainsAny(s, "/\x00 \n") }
	if name, ok := strings.CutSuffix(u.Slice, ".slice"); !ok || bad(u.Slice) || strings.HasPrefix(name, "-") && name != "-" || strings.HasSuffix(name, "-") && name != "-" || strings.Contains(name, "--") {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: %q is no slice, such as machine.slice", u.Slice)
	}
	if bad(u.Prefix) || bad(u.Name) {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: %q is no name of a unit", u.String())
	}
	return u, nil
}

// checkSystemd says why systemd cannot make the group.
func checkSystemd(path string) error {
	u, err := ParseUnit(path)
	if err != nil {
		return err
	}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return fmt.Errorf("--systemd-cgroup: systemd does not manage this machine, so it cannot make %s in %s: leave the flag out, and give linux.cgroupsPath as a path", u, u.Slice)
	}
	return errors.New("--systemd-cgroup: not supported: leave the flag out, and give linux.cgroupsPath as a path (podman: --cgroup-manager cgroupfs; containerd: SystemdCgroup = false)")
}
