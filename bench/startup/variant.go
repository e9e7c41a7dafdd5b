package startup

import (
	"fmt"
	"os"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/capability"
	"isoperf/runtime/seccomp/profile"
)

// usual is the name of the variant that all others differ from.
const usual = "usual"

// variant is a container to be started.
type variant struct {
	name string
	base string // a bundle of the user's; empty: none
	edit func(*specs.Spec) error
	// wants is what the container is to have, as the payload sees it.
	wants    []string
	cold     bool // caches are dropped before each start
	rootless bool // as an ordinary user, although we are root
	hostNet  bool
	bare     bool
}

// What the payload sees of the usual container.
var usualWants = []string{"pid namespace", "mnt namespace", "net namespace", "uts namespace", "ipc namespace", "root of its own", "cgroup", "ban on new privileges", "drop of capabilities"}

// variants are the containers that are compared. Each differs from the usual
// one in one thing.
func variants() []variant {
	return []variant{
		{name: usual, wants: usualWants},
		{name: "seccomp", edit: withSeccomp, wants: append([]string{"seccomp filter"}, usualWants...)},
		{name: "limits", edit: withLimits, wants: usualWants},
		{name: "host-net", hostNet: true, edit: withHostNet, wants: without(usualWants, "net namespace")},
		{name: "bare", bare: true, edit: bare, wants: append(without(usualWants, "cgroup", "drop of capabilities"), "cgroup namespace")},
		{name: "rootless", rootless: true, wants: append([]string{"user namespace"}, without(usualWants, "cgroup")...)},
		{name: "cold", cold: true, wants: usualWants},
	}
}

// ordinaryVariants are those of an ordinary user, who has no control groups: the
// usual container is the rootless one.
func ordinaryVariants() []variant {
	var list []variant
	for _, v := range variants() {
		if v.name == "limits" || v.rootless || v.cold {
			continue
		}
		v.wants = append([]string{"user namespace"}, without(v.wants, "cgroup")...)
		list = append(list, v)
	}
	return list
}

// without is a list without some words.
func without(list []string, words ...string) []string {
	var out []string
next:
	for _, s := range list {
		for _, w := range words {
			if s == w {
				continue next
			}
		}
		out = append(out, s)
	}
	return out
}

// withSeccomp adds Docker's filter.
func withSeccomp(s *specs.Spec) (err error) {
	s.Linux.Seccomp, err = profile.Default(s)
	return err
}

// withLimits limits CPU, memory and processes, far above what the payload needs.
func withLimits(s *specs.Spec) error {
	quota, period, memory, pids := int64(100_000), uint64(100_000), int64(256<<20), int64(100)
	s.Linux.Resources.CPU = &specs.LinuxCPU{Quota: &quota, Period: &period}
	s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &memory}
	s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
	return nil
}

// withHostNet leaves the network namespace out.
func withHostNet(s *specs.Spec) error {
	s.Linux.Namespaces = namespaces(specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.MountNamespace)
	return nil
}

// bare is a container without limits: /proc and a /dev in memory, all
// capabilities, as bubblewrap leaves them to root.
func bare(s *specs.Spec) error {
	last, err := capability.Last()
	if err != nil {
		return err
	}
	have, err := capability.Permitted()
	if err != nil {
		return err
	}
	all := (capability.UpTo(last) & have).Names()
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
	s.Process.Rlimits = nil
	s.Mounts = []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "nodev", "noexec"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755"}},
	}
	s.Linux = &specs.Linux{Namespaces: namespaces(specs.PIDNamespace, specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.MountNamespace, specs.CgroupNamespace)}
	return nil
}

func namespaces(kinds ...specs.LinuxNamespaceType) (list []specs.LinuxNamespace) {
	for _, k := range kinds {
		list = append(list, specs.LinuxNamespace{Type: k})
	}
	return list
}

// asUser makes a bundle one that an ordinary user can start: a user namespace
// with this one id, no control groups, nothing that needs a second id.
func asUser(s *specs.Spec, uid, gid int) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(uid), Size: 1}}
	s.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(gid), Size: 1}}
	s.Linux.Resources = nil
	ownNet := slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.NetworkNamespace })
	var mounts []specs.Mount
	for _, m := range s.Mounts {
		switch m.Type {
		case "cgroup":
			continue
		case "sysfs":
			if !ownNet { // it shows the network namespace, which is the host's
				m = specs.Mount{Destination: "/sys", Type: "none", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "ro"}}
			}
		case "devpts":
			m.Options = without(m.Options, "gid=5")
		}
		mounts = append(mounts, m)
	}
	s.Mounts = mounts
}

// dropCaches empties the page cache and those of names, which takes root. See
// proc(5), drop_caches.
func dropCaches() error {
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		return fmt.Errorf("drop the caches: %w; it takes root, outside of a container", err)
	}
	return nil
}
