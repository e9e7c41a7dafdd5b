package lifecycle

import (
	"fmt"
	"strings"

	"isoperf/runtime/cgroup/systemd"
)

// Unit is where systemd is to put a container: linux.cgroupsPath in systemd's
// form, slice:prefix:name.
type Unit struct{ Slice, Prefix, Name string }

// String is the unit's name: PREFIX-NAME.scope.
func (u Unit) String() string {
	if u.Prefix == "" {
		return u.Name + ".scope"
	}
	return u.Prefix + "-" + u.Name + ".scope"
}

// ParseUnit reads a linux.cgroupsPath in systemd's form. An empty slice is
// system.slice for root, and user.slice of a user's own systemd.
func ParseUnit(path string, user bool) (Unit, error) {
	parts := strings.Split(path, ":")
	if len(parts) != 3 || parts[2] == "" {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got %q instead", path)
	}
	u := Unit{parts[0], parts[1], parts[2]}
	if u.Slice == "" {
		u.Slice = "system.slice"
		if user {
			u.Slice = "user.slice"
		}
	}
	bad := func(s string) bool { return strings.ContainsAny(s, "/\x00 \n") }
	if name, ok := strings.CutSuffix(u.Slice, ".slice"); !ok || bad(u.Slice) || strings.HasPrefix(name, "-") && name != "-" || strings.HasSuffix(name, "-") && name != "-" || strings.Contains(name, "--") {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: %q is no slice, such as machine.slice", u.Slice)
	}
	if bad(u.Prefix) || bad(u.Name) {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: %q is no name of a unit", u.String())
	}
	if strings.HasSuffix(u.Name, ".slice") {
		return Unit{}, fmt.Errorf("linux.cgroupsPath: %q is a slice, which has scopes in it and no processes: give the scope another name", u.Name)
	}
	return u, nil
}

// Scope is the scope that systemd is to make for a container; nil: it is not asked.
// Where linux.cgroupsPath is empty, the container's ID names it, as with runc.
func (r *Runtime) Scope(path, id string) (*systemd.Scope, error) {
	if !r.Systemd {
		return nil, nil
	}
	user := systemd.Own()
	if path == "" {
		path = ":isorun:" + id
	}
	u, err := ParseUnit(path, user)
	if err != nil {
		return nil, err
	}
	if err := systemd.Ready(user); err != nil {
		return nil, fmt.Errorf("--systemd-cgroup: %w, so nobody can make %s in %s: leave the flag out, and give linux.cgroupsPath as a path (podman: --cgroup-manager cgroupfs; containerd: SystemdCgroup = false)", err, u, u.Slice)
	}
	return &systemd.Scope{Name: u.String(), Slice: u.Slice, User: user}, nil
}
