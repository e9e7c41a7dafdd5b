package container

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/namespace"
	"isoperf/runtime/program"
	"isoperf/runtime/seccomp"
	"isoperf/runtime/spec"
)

// Entered is a container that there is, and that one more process enters:
//
//	launcher  ─► clone, in the container's control groups
//	child     ─► untraceable ─► setns of all that differs ─► terminal ─► limits, ids, capabilities ─► only what the command gets is open
//	             └► clone again: inside the pid namespace ─► filter ─► execve
//
// # What the container sees of it
//
// The first child is in no pid namespace of the container's, so nobody inside
// can name it. The second can be named; by then it has no privilege that the
// command will not have, none of the launcher's files, and no descriptor by which
// the launcher could be reached. It is not dumpable, so that tracing it, and its
// /proc/PID/fd, exe, root and mem, take CAP_SYS_PTRACE over the launcher's user
// namespace, which a container has when it was given that capability and has no
// user namespace: there only all of the former holds. What is executed until then
// is the sealed stub; see package program.
//
// A filter that is loaded early, while there are capabilities, has to let the
// second clone pass. Where it does not, that clone comes first, and a container
// with CAP_SYS_PTRACE and without a user namespace can take the privileges of the
// launcher; with no_new_privs, or another filter, it cannot.
type Entered struct {
	// Pid is the container's first process, and Pidfd a descriptor of it.
	Pid, Pidfd int
	// Flags are CLONE_NEW* of its namespaces that are not the launcher's.
	Flags uint64
	// Group is its control group, which stays the caller's; nil: none.
	Group *cgroup.Group

	alive [2]int // a pipe whose other end the launcher has
}

// Enter looks at a process's namespaces. The descriptor stays the caller's, who
// has to see that it is of the same process, after this.
func Enter(pid, pidfd int) (*Entered, error) {
	e := &Entered{Pid: pid, Pidfd: pidfd, alive: [2]int{-1, -1}}
	for _, n := range namespace.All() {
		var own, other unix.Stat_t
		if err := unix.Stat("/proc/self/ns/"+n.Name, &own); err != nil {
			continue // a kernel without them
		}
		if err := unix.Stat(n.Path(pid), &other); err != nil {
			return nil, fmt.Errorf("look at the %s namespace of process %d: %w; to enter a container takes who made it, or root", n.Name, pid, err)
		}
		if own.Ino != other.Ino || own.Dev != other.Dev {
			e.Flags |= n.Flag
		}
	}
	if err := unix.Pipe2(e.alive[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	return e, nil
}

// Close closes what Enter opened.
func (e *Entered) Close() {
	for i, fd := range e.alive {
		if fd >= 0 {
			unix.Close(fd)
			e.alive[i] = -1
		}
	}
}

// enter writes what the child does on its way into a container.
func (pl *Plan) enter() (err error) {
	c, p, e := pl.spec, pl.program, pl.options.Entered
	if e.Flags&unix.CLONE_NEWNS == 0 {
		// Its root is that of a chroot, which setns does not lead to.
		return errors.New("exec: the container is in this process's own mount namespace, and only its processes have its root: give it a mount namespace to enter it")
	}
	// By the host's /proc, which the container cannot have put up.
	pl.score()
	pl.labels()
	p.Add(program.Undumpable())
	if a := c.Process.ExecCPUAffinity; a != nil && a.Final != "" {
		cpus, err := spec.CPUs(a.Final)
		if err != nil {
			return err
		}
		p.Add(program.Setaffinity(cpus, a.Final))
	}
	if e.Flags != 0 {
		p.Add(named("join", program.Setns(program.Int(e.Pidfd), e.Flags)))
	}
	if e.Flags&unix.CLONE_NEWUSER != 0 {
		pl.becomeRoot()
	}
	if c.Process.Terminal {
		pl.openTerminal()
	}
	if l := c.Linux; l.Seccomp != nil {
		if pl.filter, err = seccomp.Assemble(l.Seccomp); err != nil {
			return err
		}
	}
	if err := pl.attributes(); err != nil {
		return err
	}
	return pl.finish(program.Arg{})
}

// initialAffinity moves the launching thread, and so the child that it makes, to
// the processors on which a process is to enter the container's control groups;
// back undoes that for the thread.
func (pl *Plan) initialAffinity() (back func(), err error) {
	a := pl.spec.Process.ExecCPUAffinity
	if pl.options.Entered == nil || a == nil || a.Initial == "" {
		return func() {}, nil
	}
	cpus, err := spec.CPUs(a.Initial)
	if err != nil {
		return nil, err
	}
	var before unix.CPUSet
	if err = unix.SchedGetaffinity(0, &before); err == nil {
		err = unix.SchedSetaffinity(0, cpus)
	}
	if err != nil {
		return nil, fmt.Errorf("process.execCPUAffinity.initial: %q: %w", a.Initial, err)
	}
	return func() { _ = unix.SchedSetaffinity(0, &before) }, nil // it was allowed before
}

// openTerminal makes a terminal in the container's /dev/pts, as standard input,
// output and error, and sends the other end to the launcher. What the container
// has put in its place is either a terminal's, or an ioctl fails.
func (pl *Plan) openTerminal() {
	p, u := pl.program, pl.spec.Process.User
	how := program.How(unix.O_RDWR|unix.O_NOCTTY, 0, unix.RESOLVE_NO_SYMLINKS)
	master := program.Result(p.Add(named("open /dev/pts/ptmx", program.Openat2(program.Place{Dir: program.Cwd(), Path: "/dev/pts/ptmx"}, how))))
	p.Add(program.Ioctl(master, "TIOCSPTLCK", unix.TIOCSPTLCK, program.Words(program.Int(0))))
	peer := program.Ioctl(master, "TIOCGPTPEER", unix.TIOCGPTPEER, program.Int(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC))
	tty := program.Result(p.Add(named("open terminal", peer)))
	if b := pl.spec.Process.ConsoleSize; b != nil {
		p.Add(program.Winsize(tty, b.Height, b.Width))
	}
	if u.UID != 0 {
		p.Add(named("own terminal", program.Fchown(tty, int(u.UID))))
	}
	// The descriptor of the container's process has done its duty.
	p.Add(named("place terminal", program.Dup3(master, pl.options.Entered.Pidfd, unix.O_CLOEXEC)))
	p.Add(program.Close(master))
	p.Add(named("send terminal", program.SendDescriptor(program.Int(pl.options.Console), pl.options.Entered.Pidfd)))
	for fd := range 3 {
		p.Add(named("stdio", program.Dup3(tty, fd, 0)))
	}
}

// appear makes the process that the container can see; filtered: a filter is
// loaded already.
func (pl *Plan) appear(filtered bool) {
	p, e := pl.program, pl.options.Entered
	p.Add(program.WatchPipe(e.alive[0]))
	for _, op := range program.CloseRest(3 + pl.options.Preserve) {
		p.Add(op)
	}
	switch {
	case e.Flags&unix.CLONE_NEWPID == 0:
	case filtered:
		p.AgainFiltered()
	default:
		p.Again(0)
	}
}

// appearsFirst says that a filter is loaded early, and does not let the second
// clone pass.
func (pl *Plan) appearsFirst() bool {
	calls := []seccomp.Call{{Number: unix.SYS_CLONE, Args: []uint64{program.AgainFlags}}}
	for _, n := range []uint32{unix.SYS_EXIT_GROUP, unix.SYS_CLOSE_RANGE, unix.SYS_DUP3, unix.SYS_SET_ROBUST_LIST, unix.SYS_GETTID} {
		calls = append(calls, seccomp.Call{Number: n})
	}
	return pl.filter.Allows(calls...) != nil
}

// score sets how soon the kernel kills the child when memory runs out.
func (pl *Plan) score() {
	p := pl.program
	if adj := pl.spec.Process.OOMScoreAdj; adj != nil {
		fd := program.Result(p.Add(program.Open("/proc/self/oom_score_adj", unix.O_WRONLY)))
		p.Add(named("oom_score_adj", program.Write(fd, fmt.Sprint(*adj))))
		p.Add(program.Close(fd))
	}
}

// labels says under which profile of AppArmor and label of SELinux the command
// is executed; the copies that the child makes of itself keep that.
func (pl *Plan) labels() {
	p, process := pl.program, pl.spec.Process
	write := func(name, file, text string) {
		fd := program.Result(p.Add(program.Open(file, unix.O_WRONLY)))
		p.Add(named(name, program.Write(fd, text)))
		p.Add(program.Close(fd))
	}
	if process.ApparmorProfile != "" {
		file := "/proc/self/attr/apparmor/exec" // Linux 5.1, for kernels with several modules
		if unix.Access(file, unix.F_OK) != nil {
			file = "/proc/self/attr/exec"
		}
		write("process.apparmorProfile", file, "exec "+process.ApparmorProfile)
	}
	if process.SelinuxLabel != "" {
		write("process.selinuxLabel", "/proc/self/attr/exec", process.SelinuxLabel)
		write("SELinux label of keys", "/proc/self/attr/keycreate", process.SelinuxLabel)
	}
}

// ownPipes gives the pipes among standard input, output and error to the user
// whom the command runs as: opened by their names in /dev, they are asked who may.
// Files and terminals of the host keep their owners.
func (pl *Plan) ownPipes() {
	c := pl.spec
	if c.Process.User.UID == 0 && !c.Rootless() && !joinsUser(c) {
		return
	}
	for fd, from := range pl.options.Stdio {
		var st unix.Stat_t
		if unix.Fstat(from, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
			continue
		}
		op := program.Fchown(program.Int(fd), int(c.Process.User.UID))
		// Who may not, is an ordinary user, or the pipe's owner has no id inside.
		op.Accept = []syscall.Errno{unix.EPERM, unix.EINVAL, unix.EROFS}
		pl.program.Add(op)
	}
}
