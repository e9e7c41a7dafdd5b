package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/capability"
	"isoperf/runtime/cgroup"
	"isoperf/runtime/idmap"
	"isoperf/runtime/seccomp/profile"
)

// userNamespace decides on one, and which ids it has.
func (b *builder) userNamespace() error {
	o, ordinary := b.o, b.who.UID != 0
	mode := o.Userns
	if mode == "" {
		mode = "auto"
	}
	switch mode {
	case "none":
		if o.MapRoot || o.Namespaces != "" && b.flags&unix.CLONE_NEWUSER != 0 {
			return errors.New("--userns none: --map-root and a user namespace in --namespaces ask for one")
		}
		if ordinary && b.flags != 0 {
			return fmt.Errorf("--userns none: uid %d may not create namespaces without a user namespace: leave it out, or run as root", b.who.UID)
		}
		b.flags &^= unix.CLONE_NEWUSER
		return nil
	case "keep":
		b.flags |= unix.CLONE_NEWUSER
	case "auto":
		if o.MapRoot || ordinary && b.flags != 0 {
			b.flags |= unix.CLONE_NEWUSER
		}
	default:
		return fmt.Errorf("--userns %q: it is none of auto, keep and none", o.Userns)
	}
	if b.flags&unix.CLONE_NEWUSER == 0 {
		return nil
	}
	var m idmap.Maps
	if o.MapRoot {
		if mode == "keep" {
			return errors.New("--userns keep and --map-root contradict each other: one keeps the caller's ids, the other makes them root's")
		}
		m = idmap.Own(b.who.UID, b.who.GID)
	} else {
		var err error
		if m, err = idmap.Subordinate(b.who.Name, b.who.UID, b.who.GID); err != nil {
			return err
		}
		if mode == "keep" {
			m = idmap.Keep(m, b.who.UID, b.who.GID)
		}
	}
	b.c.Linux.UIDMappings, b.c.Linux.GIDMappings = m.UIDs, m.GIDs
	return nil
}

func (b *builder) maps() idmap.Maps {
	return idmap.Maps{UIDs: b.c.Linux.UIDMappings, GIDs: b.c.Linux.GIDMappings}
}

// mapped says whether a group exists inside.
func (b *builder) mapped(gid int) bool {
	if !b.own(unix.CLONE_NEWUSER) {
		return true
	}
	_, ok := b.maps().HostGID(gid)
	return ok
}

// lastGroup is the highest group of the stretch that begins with 0.
func (b *builder) lastGroup() uint32 {
	last := uint32(0)
	for _, m := range b.c.Linux.GIDMappings {
		if m.ContainerID <= last+1 {
			last = max(last, m.ContainerID+m.Size-1)
		}
	}
	return last
}

// identity is the user who the command runs as: by name or number, from the
// root's own /etc/passwd and /etc/group.
func (b *builder) identity() error {
	u := &b.c.Process.User
	plain := b.who.UID != 0 && !b.own(unix.CLONE_NEWUSER) // it stays who it is
	if b.o.User == "" {
		if b.o.Userns == "keep" || plain {
			u.UID, u.GID = uint32(b.who.UID), uint32(b.who.GID)
		}
		return nil
	}
	passwd, group := b.open("/etc/passwd"), b.open("/etc/group")
	defer passwd.Close()
	defer group.Close()
	found, err := user.GetExecUser(b.o.User, &user.ExecUser{Home: "/"}, passwd, group)
	if err != nil {
		return fmt.Errorf("--user %q: %w (in the container's /etc/passwd and /etc/group); numbers need no entry there", b.o.User, err)
	}
	if plain && (found.Uid != b.who.UID || found.Gid != b.who.GID) {
		return fmt.Errorf("--user %q: without a user namespace uid %d cannot become another user: add user to --namespaces, or run as root", b.o.User, b.who.UID)
	}
	u.UID, u.GID = uint32(found.Uid), uint32(found.Gid)
	for _, g := range found.Sgids {
		u.AdditionalGids = append(u.AdditionalGids, uint32(g))
	}
	if b.own(unix.CLONE_NEWUSER) {
		if _, ok := b.maps().HostUID(found.Uid); !ok {
			return b.unmapped("uid", found.Uid, b.c.Linux.UIDMappings)
		}
		if _, ok := b.maps().HostGID(found.Gid); !ok {
			return b.unmapped("gid", found.Gid, b.c.Linux.GIDMappings)
		}
	}
	return nil
}

// unmapped is the error about an id that the user namespace does not have.
func (b *builder) unmapped(kind string, id int, list []specs.LinuxIDMapping) error {
	var has []string
	for _, m := range list {
		text := fmt.Sprint(m.ContainerID)
		if m.Size > 1 {
			text += fmt.Sprintf("-%d", m.ContainerID+m.Size-1)
		}
		has = append(has, text)
	}
	advice := fmt.Sprintf("choose one of them, or give the caller more ranges of ids (/etc/sub%s)", kind)
	if b.o.MapRoot {
		advice = fmt.Sprintf("leave --map-root out, with ranges of ids for the caller (/etc/sub%s)", kind)
	}
	return fmt.Errorf("--user %q: %s %d has no mapping in the user namespace, which has %s: %s", b.o.User, kind, id, strings.Join(has, ","), advice)
}

// open opens a file of the container's root, following no link out of it. What
// is not there is empty: then only numbers are known.
func (b *builder) open(name string) io.ReadCloser {
	root := b.o.Rootfs
	if root == "" {
		root = "/"
	}
	handle, err := pathrs.OpenInRoot(root, name)
	if err != nil {
		return io.NopCloser(strings.NewReader(""))
	}
	defer handle.Close()
	file, err := pathrs.Reopen(handle, os.O_RDONLY)
	if err != nil {
		return io.NopCloser(strings.NewReader(""))
	}
	return file
}

// home is the user's home directory inside.
func (b *builder) home() string {
	passwd := b.open("/etc/passwd")
	defer passwd.Close()
	uid := strconv.Itoa(int(b.c.Process.User.UID))
	users, err := user.ParsePasswdFilter(passwd, func(u user.User) bool { return strconv.Itoa(u.Uid) == uid })
	if err == nil && len(users) > 0 && users[0].Home != "" {
		return users[0].Home
	}
	if uid == "0" {
		return "/root"
	}
	return "/"
}

// capabilities are the usual fourteen, more and less what was asked for.
func (b *builder) capabilities() error {
	set, err := capability.Adjust(capability.Default(), b.o.CapAdd, b.o.CapDrop)
	if err != nil {
		return err
	}
	last, err := capability.Last()
	if err != nil {
		return err
	}
	set &= capability.UpTo(last)
	if !b.own(unix.CLONE_NEWUSER) {
		have, err := capability.Permitted()
		if err != nil {
			return err
		}
		// What the runtime itself does not have, it cannot give.
		all := slices.ContainsFunc(b.o.CapAdd, func(name string) bool { return strings.TrimPrefix(strings.ToUpper(name), "CAP_") == "ALL" })
		if lacks := set &^ have &^ capability.Default(); lacks != 0 && !all {
			return fmt.Errorf("--cap-add: isoperf does not have %v itself, so it cannot give it: leave it out, or use a user namespace (--map-root)", lacks)
		}
		set &= have
	}
	sets := capability.Same(set)
	if b.c.Process.User.UID != 0 {
		// An ordinary user has none of them in force; the bounding set stays.
		sets.Effective, sets.Permitted = 0, 0
	}
	b.c.Process.Capabilities = sets.OCI()
	return nil
}

// limits are those of the control groups.
func (b *builder) limits() error {
	r := &specs.LinuxResources{}
	o := b.o
	if o.CPU != "" {
		quota, period, err := cgroup.ParseCPU(o.CPU)
		if err != nil {
			return fmt.Errorf("--cpu: %w", err)
		}
		r.CPU = &specs.LinuxCPU{Quota: &quota, Period: &period}
	}
	if o.CPUs != "" {
		cpus, err := cgroup.ParseCPUs(o.CPUs)
		if err != nil {
			return fmt.Errorf("--cpuset: %w", err)
		}
		if r.CPU == nil {
			r.CPU = &specs.LinuxCPU{}
		}
		r.CPU.Cpus = cpus
	}
	if o.Memory != "" {
		size, err := cgroup.ParseSize(o.Memory)
		if err != nil {
			return fmt.Errorf("--memory: %w", err)
		}
		r.Memory = &specs.LinuxMemory{Limit: &size}
	}
	if o.Pids != "" {
		n, err := cgroup.ParsePids(o.Pids)
		if err != nil {
			return fmt.Errorf("--pids: %w", err)
		}
		r.Pids = &specs.LinuxPids{Limit: &n}
	}
	if o.CPUWeight != "" {
		weight, err := cgroup.ParseWeight(o.CPUWeight)
		if err != nil {
			return fmt.Errorf("--cpu-weight: %w", err)
		}
		r.Unified = map[string]string{"cpu.weight": strconv.FormatUint(weight, 10)}
	}
	var lines []string
	for _, text := range o.IOMax {
		limit, err := cgroup.ParseIOMax(text)
		if err != nil {
			return fmt.Errorf("--io-max: %w", err)
		}
		lines = append(lines, limit.String())
	}
	if len(lines) > 0 {
		if r.Unified == nil {
			r.Unified = map[string]string{}
		}
		r.Unified["io.max"] = strings.Join(lines, "\n")
	}
	if r.CPU != nil || r.Memory != nil || r.Pids != nil || r.Unified != nil {
		b.c.Linux.Resources = r
	}
	return nil
}

// seccomp is the filter.
func (b *builder) seccomp() error {
	var err error
	switch b.o.Seccomp {
	case "", "default":
		b.c.Linux.Seccomp, err = profile.Default(b.c.Spec)
	case "unconfined":
	case "strict":
		b.c.Strict = true
	default:
		b.c.Linux.Seccomp, err = profile.Load(b.o.Seccomp, b.c.Spec)
	}
	if err != nil {
		return fmt.Errorf("--seccomp: %w", err)
	}
	return nil
}

// Limited says whether the options ask for a control group.
func (o Options) Limited() bool {
	return o.CPU != "" || o.CPUs != "" || o.CPUWeight != "" || o.Memory != "" || o.Pids != "" || len(o.IOMax) > 0
}
