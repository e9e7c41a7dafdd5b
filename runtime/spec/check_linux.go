package spec

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func (c *Container) checkNamespaces() error {
	l := c.Linux
	for i, n := range l.Namespaces {
		field := fmt.Sprintf("linux.namespaces[%d]", i)
		if _, ok := Flag(n.Type); !ok {
			return fmt.Errorf("%s.type: %q is not a namespace of Linux", field, n.Type)
		}
		if slices.ContainsFunc(l.Namespaces[:i], func(e specs.LinuxNamespace) bool { return e.Type == n.Type }) {
			return fmt.Errorf("%s.type: %q is there twice", field, n.Type)
		}
		if n.Path != "" && !filepath.IsAbs(n.Path) {
			return fmt.Errorf("%s.path: %q is not absolute", field, n.Path)
		}
	}
	user := c.own(specs.UserNamespace)
	return first([]refusal{
		{!c.has(specs.MountNamespace) && c.HostRoot && c.mounts(), "linux.namespaces: without a mount namespace the container's mounts would be the host's"},
		{!c.has(specs.MountNamespace) && !c.HostRoot && (c.isUser() || c.Overlay), "linux.namespaces: without a mount namespace there can be no user namespace, and no overlay: the mounts are made on the host"},
		{len(l.UIDMappings) > 0 && !user, "linux.uidMappings: they need a user namespace of the container's own"},
		{len(l.GIDMappings) > 0 && !user, "linux.gidMappings: they need a user namespace of the container's own"},
		{len(l.UIDMappings) == 0 && user, "linux.uidMappings: a user namespace needs them"},
		{len(l.GIDMappings) == 0 && user, "linux.gidMappings: a user namespace needs them"},
	})
}

// checkNames checks what a uts namespace has; see sethostname(2).
func (c *Container) checkNames() error {
	for _, f := range []struct{ field, name string }{{"hostname", c.Hostname}, {"domainname", c.Domainname}} {
		const most = 64 // __NEW_UTS_LEN
		other, twice := c.Linux.Sysctl["kernel."+f.field]
		if !twice {
			other, twice = c.Linux.Sysctl["kernel/"+f.field]
		}
		switch {
		case f.name == "":
		case !c.has(specs.UTSNamespace):
			return fmt.Errorf("%s: it needs a uts namespace, or it would be the host's", f.field)
		case len(f.name) > most:
			return fmt.Errorf("%s: it has %d bytes, the most is %d", f.field, len(f.name), most)
		case strings.IndexByte(f.name, 0) >= 0:
			return fmt.Errorf("%s: it contains a NUL", f.field)
		case twice:
			return fmt.Errorf("%s: linux.sysctl sets it too, to %q; remove one of them", f.field, other)
		case c.renamesOwn(f.field, f.name):
			return fmt.Errorf("%s: the uts namespace in linux.namespaces is the runtime's own, so %q would become the host's: remove it, or the namespace's path", f.field, f.name)
		}
	}
	return nil
}

// renamesOwn says whether a name of the container would be a new one of this
// process's own uts namespace, which the container joins by its path. One that is
// the same changes nothing. A path that cannot be looked at is the join's matter.
func (c *Container) renamesOwn(field, name string) bool {
	n, ok := c.Namespace(specs.UTSNamespace)
	if !ok || n.Path == "" {
		return false
	}
	var joined, own unix.Stat_t
	if unix.Stat(n.Path, &joined) != nil || unix.Stat("/proc/self/ns/uts", &own) != nil || joined.Dev != own.Dev || joined.Ino != own.Ino {
		return false
	}
	var now unix.Utsname
	if unix.Uname(&now) != nil {
		return true
	}
	if field == "hostname" {
		return name != unix.ByteSliceToString(now.Nodename[:])
	}
	return name != unix.ByteSliceToString(now.Domainname[:])
}

func (c *Container) checkMounts() error {
	for i := range c.Mounts {
		m := &c.Mounts[i]
		bind, mapped, copied := m.Type == "bind", len(m.UIDMappings)+len(m.GIDMappings) > 0, false
		again := false
		for _, o := range m.Options {
			switch o {
			case "bind", "rbind":
				bind = true
			case "idmap", "ridmap":
				mapped = true
			case "tmpcopyup":
				copied = true
			case "remount":
				again = true
			}
		}
		if err := first([]refusal{
			{m.Destination == "", ".destination: it is empty"},
			{path.Clean("/"+m.Destination) == "/", ".destination: nothing can be mounted over the root"},
			{len(m.UIDMappings) > 0 && len(m.GIDMappings) == 0, ".gidMappings: they are needed, since there are uidMappings"},
			{len(m.GIDMappings) > 0 && len(m.UIDMappings) == 0, ".uidMappings: they are needed, since there are gidMappings"},
			{mapped && !bind, ".options: only of a bind the ids can be mapped"},
			{mapped && len(m.UIDMappings) == 0 && !c.own(specs.UserNamespace), ".uidMappings: without a user namespace of the container's own they say how ids are mapped: add them, or remove idmap"},
			{copied && (bind || m.Type != "tmpfs"), ".options: tmpcopyup is for a tmpfs"},
			{copied && (c.HostRoot || c.Overlay), ".options: tmpcopyup is about a root of the container's own, as it is on disk"},
			{bind && !again && m.Source == "", ".source: a bind needs one"},
			{again && (mapped || copied), ".options: what is mounted already gets neither idmap nor tmpcopyup"},
			{!bind && !again && m.Type == "", ".type: there is none, and the mount is no bind"},
		}); err != nil {
			return fmt.Errorf("mounts[%d]%w", i, err)
		}
		if bind && m.Source != "" {
			m.Source = c.path(m.Source)
		}
	}
	return nil
}

// checkPaths checks what is masked and what is made read-only.
func (c *Container) checkPaths() error {
	for _, l := range []struct {
		field string
		paths []string
	}{{"maskedPaths", c.Linux.MaskedPaths}, {"readonlyPaths", c.Linux.ReadonlyPaths}} {
		for i, p := range l.paths {
			switch {
			case !path.IsAbs(p):
				return fmt.Errorf("linux.%s[%d]: %q is not absolute", l.field, i, p)
			case path.Clean(p) == "/":
				return fmt.Errorf("linux.%s[%d]: it is the root; root.readonly makes that read-only", l.field, i)
			}
		}
	}
	return nil
}

// checkDevices checks what is to be made in /dev. The kernel has 12 bits for a
// major number and 20 for a minor one.
func (c *Container) checkDevices() error {
	for i, d := range c.Linux.Devices {
		field := fmt.Sprintf("linux.devices[%d]", i)
		number := func(name string, n int64, bits int) refusal {
			most := int64(1)<<bits - 1
			return refusal{n < 0 || n > most, fmt.Sprintf("%s.%s: %d is outside of 0 to %d", field, name, n, most)}
		}
		mode := uint32(0)
		if d.FileMode != nil {
			mode = uint32(*d.FileMode)
		}
		list := []refusal{
			{!path.IsAbs(d.Path), fmt.Sprintf("%s.path: %q is not absolute", field, d.Path)},
			{!slices.Contains([]string{"c", "u", "b", "p"}, d.Type), fmt.Sprintf("%s.type: %q is none of c, u, b and p", field, d.Type)},
			{mode&^(unix.S_IFMT|0o777) != 0, fmt.Sprintf("%s.fileMode: %d is 0%o, and more than permissions", field, mode, mode)},
			{d.UID != nil && *d.UID == noID, fmt.Sprintf("%s.uid: %d is no id", field, noID)},
			{d.GID != nil && *d.GID == noID, fmt.Sprintf("%s.gid: %d is no id", field, noID)},
		}
		if d.Type != "p" {
			list = append(list, number("major", d.Major, 12), number("minor", d.Minor, 20))
		}
		if err := first(list); err != nil {
			return err
		}
		if c.isUser() {
			if err := checkHostDevice(field, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkHostDevice checks a device of a container in a user namespace, where
// none can be made: it has to be what the host has in the same place.
func checkHostDevice(field string, d specs.LinuxDevice) error {
	var st unix.Stat_t
	if err := unix.Stat(d.Path, &st); err != nil {
		return fmt.Errorf("%s.path: in a user namespace it is the host's %q: %w", field, d.Path, err)
	}
	kind := map[uint32]string{unix.S_IFCHR: "c", unix.S_IFBLK: "b", unix.S_IFIFO: "p"}[st.Mode&unix.S_IFMT]
	wanted := d.Type
	if wanted == "u" {
		wanted = "c"
	}
	major, minor := int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	theirs := func(name, is string) string {
		return fmt.Sprintf("%s.%s: in a user namespace it is the host's %q, where it is %s", field, name, d.Path, is)
	}
	return first([]refusal{
		{kind == "", fmt.Sprintf("%s.path: in a user namespace it is the host's %q, which is no device", field, d.Path)},
		{kind != wanted, theirs("type", kind)},
		{kind != "p" && d.Major != major, theirs("major", fmt.Sprint(major))},
		{kind != "p" && d.Minor != minor, theirs("minor", fmt.Sprint(minor))},
		{d.FileMode != nil && uint32(*d.FileMode)&0o777 != st.Mode&0o777, theirs("fileMode", fmt.Sprint(st.Mode&0o777))},
		{d.UID != nil, fmt.Sprintf("%s.uid: in a user namespace a device keeps its owner; remove it", field)},
		{d.GID != nil, fmt.Sprintf("%s.gid: in a user namespace a device keeps its group; remove it", field)},
	})
}

// checkSysctl refuses parameters that are the host's: only those of a
// namespace of the container's own may be set.
func (c *Container) checkSysctl() error {
	for _, key := range slices.Sorted(maps.Keys(c.Linux.Sysctl)) {
		dotted := strings.ReplaceAll(key, "/", ".")
		if dotted != key && strings.Contains(key, ".") {
			return fmt.Errorf("linux.sysctl[%q]: it has dots and slashes; use one of them between all parts", key)
		}
		if slices.Contains(strings.Split(dotted, "."), "") {
			return fmt.Errorf("linux.sysctl[%q]: not a parameter's name", key)
		}
		var kind specs.LinuxNamespaceType
		switch {
		case strings.HasPrefix(dotted, "net."):
			kind = specs.NetworkNamespace
		case strings.HasPrefix(dotted, "fs.mqueue."), dotted == "kernel.sem", strings.HasPrefix(dotted, "kernel.shm"), strings.HasPrefix(dotted, "kernel.msg"):
			kind = specs.IPCNamespace
		case dotted == "kernel.domainname", dotted == "kernel.hostname":
			kind = specs.UTSNamespace
		default:
			return fmt.Errorf("linux.sysctl[%q]: it belongs to the host, not to a namespace", key)
		}
		if !c.own(kind) {
			return fmt.Errorf("linux.sysctl[%q]: it needs a namespace of the container's own of type %s", key, kind)
		}
	}
	return nil
}

// checkTime checks the offsets of a time namespace's clocks; see
// time_namespaces(7).
func (c *Container) checkTime() error {
	offsets := c.Linux.TimeOffsets
	if len(offsets) > 0 && !c.own(specs.TimeNamespace) {
		return fmt.Errorf("linux.timeOffsets: they need a time namespace of the container's own")
	}
	for _, clock := range slices.Sorted(maps.Keys(offsets)) {
		if clock != "monotonic" && clock != "boottime" {
			return fmt.Errorf("linux.timeOffsets[%q]: there is no clock of that name; monotonic and boottime have offsets", clock)
		}
		if n := offsets[clock].Nanosecs; n > 999999999 {
			return fmt.Errorf("linux.timeOffsets[%q].nanosecs: %d is a second or more", clock, n)
		}
	}
	return nil
}

// mounts says whether the container changes what is mounted, for which it needs
// a mount namespace where the root is the host's, too.
func (c *Container) mounts() bool {
	l := c.Linux
	return len(c.Mounts)+len(l.MaskedPaths)+len(l.ReadonlyPaths)+len(l.Sysctl)+len(l.Devices) > 0
}
