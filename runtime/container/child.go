package container

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/capability"
	"isoperf/runtime/namespace"
	"isoperf/runtime/network/loopback"
	"isoperf/runtime/program"
	"isoperf/runtime/rootfs"
	"isoperf/runtime/seccomp"
	"isoperf/runtime/spec"
)

// lateFlags are namespaces that are not made by the first clone: cgroup, so
// that its root is the group the child was born in; time, so that offsets can be
// set.
const lateFlags = unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME

// birth writes the child's first ops.
func (pl *Plan) birth() error {
	c := pl.spec
	flags := pl.created &^ lateFlags
	_, join := c.Flags()
	second := joins(join, specs.UserNamespace) || joins(join, specs.PIDNamespace)
	p := program.New(program.Stub, flags)
	if second {
		p.Flags = 0
	}
	p.Grow(400) // a container with the usual mounts has 350
	pl.program = p
	if pl.options.Spare && !second && flags&unix.CLONE_NEWUSER == 0 {
		want := flags
		if !c.LoopbackUp { // it is up there
			want &^= unix.CLONE_NEWNET
		}
		pl.spare = program.TakeSpare(want)
		p.Join(pl.spare)
		p.Flags = flags &^ pl.spare.Flags()
	}
	if err := program.HideDescriptors(p); err != nil {
		return err
	}
	p.Stdio(pl.options.Stdio[0], pl.options.Stdio[1], pl.options.Stdio[2])
	for fd := range pl.options.Preserve {
		p.Inherit(3 + fd)
	}
	if e := pl.options.Entered; e != nil {
		p.Keep(e.Pidfd)
		p.Keep(e.alive[0])
	}
	if pl.options.Console != 0 {
		p.Keep(pl.options.Console)
	}
	if pl.options.Entered == nil {
		if err := errors.Join(pl.reserve(), pl.beginHooks()); err != nil {
			return err
		}
	}
	if h := pl.options.Hold; h.waits() {
		p.Keep(h.Start)
		p.Keep(h.Failure)
	}
	if flags&unix.CLONE_NEWUSER != 0 && !second {
		last, err := capability.Last()
		if err != nil {
			return err
		}
		capability.RaiseAmbient(p, capability.UpTo(last), true)
	}
	p.DieWithParent()
	if pl.options.Ahead || pl.placed() {
		pl.ahead = p.Wait("rest of the program")
	}
	return nil
}

// further lets a child that runs go on with what is planned so far, up to one
// more gate.
func (pl *Plan) further() error {
	reached := pl.ahead
	pl.ahead = pl.program.Wait("rest of the program")
	if pl.proceed == nil {
		return nil
	}
	return pl.proceed(reached)
}

// stepwise says whether the child may go on before the program is complete: gates open
// in their order, and others are opened when it is.
func (pl *Plan) stepwise() bool { return pl.ahead != 0 && pl.mapped == 0 && pl.moved == 0 }

// build writes what the child does then.
func (pl *Plan) build() error {
	if pl.options.Entered != nil {
		return pl.enter()
	}
	c, p := pl.spec, pl.program
	late := pl.created & lateFlags
	_, join := c.Flags()
	pl.join(join, pl.created&^late, joins(join, specs.UserNamespace) || joins(join, specs.PIDNamespace))
	pl.mapIDs()
	pl.unshareLate(late)
	pl.score()
	pl.labels()
	if c.LoopbackUp && pl.created&unix.CLONE_NEWNET != 0 && !pl.spare.LoopbackUp() {
		loopback.Up(p)
	}
	if len(c.Linux.NetDevices) > 0 {
		pl.entered = p.Tell("namespaces entered")
		pl.moved = p.Wait("network devices moved")
	}
	tty, err := pl.fileSystem()
	if err != nil {
		return err
	}
	if pl.goes && pl.group != nil && !pl.group.Empty() && pl.hooks == nil && pl.stepwise() { // it has waited for its group
		if err := pl.further(); err != nil {
			return err
		}
	}
	pl.names()
	if pl.group != nil && !pl.group.Empty() && !pl.goes {
		if pl.group.Late() {
			pl.mounted = p.Tell("mounts made")
		}
		pl.limited = p.Wait("limits complete")
	}
	if c.Connected {
		pl.connected = p.Wait("network connected")
	}
	if l := c.Linux; l.Seccomp != nil {
		if pl.filter, err = seccomp.Assemble(l.Seccomp); err != nil {
			return err
		}
	}
	if err := pl.attributes(); err != nil {
		return err
	}
	if c.Strict {
		return pl.strict()
	}
	return pl.finish(tty)
}

// hasMountAPI says whether the kernel has the mount calls that work on
// descriptors, the last of which came with Linux 5.12, and no filter forbids
// them. It asks with arguments that no kernel accepts.
func hasMountAPI() bool {
	_, _, errno := syscall.RawSyscall6(unix.SYS_MOUNT_SETATTR, ^uintptr(0), 0, 0, 0, 0, 0)
	return errno != unix.ENOSYS && errno != unix.EPERM
}

// named is an op under another name.
func named(name string, op program.Op) program.Op {
	op.Name = name
	return op
}

func joins(list []specs.LinuxNamespace, kind specs.LinuxNamespaceType) bool {
	for _, n := range list {
		if n.Type == kind {
			return true
		}
	}
	return false
}

// join enters existing namespaces, the user namespace first: the others take
// privilege in it.
func (pl *Plan) join(list []specs.LinuxNamespace, flags uint64, second bool) {
	p := pl.program
	fds := make([]program.Arg, len(list))
	for i, n := range list {
		fds[i] = program.Result(p.Add(program.Open(n.Path, unix.O_RDONLY)))
	}
	for _, user := range []bool{true, false} {
		for i, n := range list {
			if (n.Type == specs.UserNamespace) == user {
				flag, _ := spec.Flag(n.Type)
				p.Add(named("join "+string(n.Type), program.Setns(fds[i], flag)))
				if user {
					pl.becomeRoot()
				}
			}
		}
	}
	for _, fd := range fds {
		p.Add(program.Close(fd))
	}
	if second {
		p.Again(flags)
	}
}

// becomeRoot takes the ids of root in a user namespace that was joined, where it
// has a root: without, files could not be made in there by who has no name.
func (pl *Plan) becomeRoot() {
	group, user := named("root's group", program.Setresgid(0)), named("root inside", program.Setresuid(0))
	group.Accept, user.Accept = []syscall.Errno{unix.EINVAL}, []syscall.Errno{unix.EINVAL}
	pl.program.Add(group)
	pl.program.Add(user)
	pl.program.Rearm()
}

// mapIDs waits for the id maps of a new user namespace, and becomes its root.
func (pl *Plan) mapIDs() {
	if !pl.spec.Rootless() {
		return
	}
	p := pl.program
	pl.mapped = p.Wait("ids mapped")
	_, user := pl.maps.HostUID(0)
	_, group := pl.maps.HostGID(0)
	if group {
		p.Add(named("root's group", program.Setresgid(0)))
	}
	if user {
		p.Add(named("root inside", program.Setresuid(0)))
	}
	p.Rearm()
}

// unshareLate makes the namespaces that must not be made by the clone.
func (pl *Plan) unshareLate(late uint64) {
	p := pl.program
	if late&unix.CLONE_NEWCGROUP != 0 {
		p.Add(named("cgroup namespace", program.Unshare(unix.CLONE_NEWCGROUP)))
	}
	if late&unix.CLONE_NEWTIME == 0 {
		return
	}
	p.Add(named("time namespace", program.Unshare(unix.CLONE_NEWTIME)))
	for _, clock := range []string{"monotonic", "boottime"} {
		if o, ok := pl.spec.Linux.TimeOffsets[clock]; ok {
			fd := program.Result(p.Add(program.Open("/proc/self/timens_offsets", unix.O_WRONLY)))
			p.Add(named("offset of "+clock, program.Write(fd, fmt.Sprintf("%s %d %d", clock, o.Secs, o.Nanosecs))))
			p.Add(program.Close(fd))
		}
	}
	if pl.options.OldTime || !execEntersTime() {
		pl.enterTime()
	}
}

// fileSystem adds what the container sees.
func (pl *Plan) fileSystem() (tty program.Arg, err error) {
	c, l := pl.spec, pl.spec.Linux
	if c.HostRoot && pl.created&unix.CLONE_NEWNS == 0 {
		return tty, nil // the host's mounts, which are not to be touched
	}
	o := rootfs.Options{
		Root: c.RootPath(), ReadOnly: c.Root != nil && c.Root.Readonly, Overlay: c.Overlay,
		Mounts: c.Mounts, Prepared: pl.prepared.fds(), Devices: l.Devices, MaskedPaths: l.MaskedPaths, ReadOnlyPaths: l.ReadonlyPaths,
		Sysctl: l.Sysctl, Texts: pl.options.Texts, Dir: c.Process.Cwd, User: c.Rootless() || joinsUser(c) || namespace.InUser(),
		Host:            pl.before != 0,
		CgroupNamespace: pl.created&unix.CLONE_NEWCGROUP != 0,
		Console:         pl.options.Console, Owner: int(c.Process.User.UID), Size: c.Process.ConsoleSize,
		Groups: pl.groups, Old: pl.options.OldMounts || !hasMountAPI(), Look: pl.options.Look,
	}
	if pl.stepwise() {
		o.Further = pl.further
	}
	if pl.goes {
		o.Enter = pl.enterGroup
	}
	if pl.hooks != nil {
		o.Made = pl.createHooks
	}
	if l.RootfsPropagation != "" {
		bits, ok := rootfs.Propagation(l.RootfsPropagation)
		if !ok {
			return tty, fmt.Errorf("linux.rootfsPropagation: %q is none of shared, slave, private, unbindable, and these with an r before", l.RootfsPropagation)
		}
		o.Propagation = bits
	}
	return rootfs.Build(pl.program, o)
}

func joinsUser(c *spec.Container) bool {
	_, join := c.Flags()
	return joins(join, specs.UserNamespace)
}

// names sets the names that a uts namespace has.
func (pl *Plan) names() {
	if pl.spec.Hostname != "" {
		pl.program.Add(program.Sethostname(pl.spec.Hostname))
	}
	if pl.spec.Domainname != "" {
		pl.program.Add(program.Setdomainname(pl.spec.Domainname))
	}
}

// paths are where the command may be: as it is given, or along PATH.
func paths(command string, env []string) []string {
	if strings.Contains(command, "/") {
		return []string{command}
	}
	search := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, "PATH="); ok {
			search = value
		}
	}
	var list []string
	for dir := range strings.SplitSeq(search, ":") {
		if path.IsAbs(dir) {
			list = append(list, path.Join(dir, command))
		}
	}
	if len(list) == 0 { // the kernel says that there is none
		list = []string{path.Join("/", command)}
	}
	return list
}

// environment is the launcher's, for a container that has none of its own.
func environment(c *spec.Container) []string {
	if c.Process.Env == nil && c.HostRoot {
		return os.Environ()
	}
	return c.Process.Env
}
