package container

import (
	"errors"
	"fmt"
	"path"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
	"isoperf/runtime/seccomp"
	"isoperf/runtime/spec"
)

// attributes sets what a process has beside files and credentials.
func (pl *Plan) attributes() error {
	p, process := pl.program, pl.spec.Process
	p.RestoreLimits()
	for _, l := range process.Rlimits {
		p.Add(program.Prlimit(l.Type, spec.Resource(l.Type), l.Soft, l.Hard))
	}
	if s := process.Scheduler; s != nil {
		op, err := scheduler(s)
		if err != nil {
			return err
		}
		p.Add(op)
	}
	if io := process.IOPriority; io != nil {
		class, ok := map[specs.IOPriorityClass]int{specs.IOPRIO_CLASS_RT: 1, specs.IOPRIO_CLASS_BE: 2, specs.IOPRIO_CLASS_IDLE: 3}[io.Class]
		if !ok || io.Priority < 0 || io.Priority > 7 {
			return fmt.Errorf("process.ioPriority: %q with priority %d is not one of the classes RT, BE, IDLE with 0 to 7", io.Class, io.Priority)
		}
		p.Add(program.Op{
			Name: "io priority", Call: unix.SYS_IOPRIO_SET, Args: [6]program.Arg{program.Int(1), program.Int(0), program.Int(class<<13 | io.Priority)},
			Text: fmt.Sprintf("ioprio_set(IOPRIO_WHO_PROCESS, 0, %s|%d)", io.Class, io.Priority),
		})
	}
	if pers := pl.spec.Linux.Personality; pers != nil {
		domain, ok := map[specs.LinuxPersonalityDomain]int{specs.PerLinux: 0, specs.PerLinux32: 8}[pers.Domain]
		if !ok || len(pers.Flags) > 0 {
			return fmt.Errorf("linux.personality: %q with flags %v is not one of LINUX and LINUX32", pers.Domain, pers.Flags)
		}
		p.Add(program.Op{Name: "personality", Call: unix.SYS_PERSONALITY, Args: [6]program.Arg{program.Int(domain)}, Text: fmt.Sprintf("personality(%s)", pers.Domain)})
	}
	if m := pl.spec.Linux.MemoryPolicy; m != nil {
		op, err := memoryPolicy(m)
		if err != nil {
			return err
		}
		p.Add(op)
	}
	if pl.options.KeepKeyring {
		return nil
	}
	p.Add(program.Op{
		Name: "keyring", Call: unix.SYS_KEYCTL, Args: [6]program.Arg{program.Int(unix.KEYCTL_JOIN_SESSION_KEYRING), program.String("_ses." + pl.spec.ID)},
		Show:   func() string { return fmt.Sprintf("keyctl(KEYCTL_JOIN_SESSION_KEYRING, %q)", "_ses."+pl.spec.ID) },
		Accept: []syscall.Errno{unix.ENOSYS}, // a kernel without keyrings has none to share
	})
	return nil
}

// scheduler is sched_setattr(2).
func scheduler(s *specs.Scheduler) (program.Op, error) {
	policy, ok := map[specs.LinuxSchedulerPolicy]uint32{
		specs.SchedOther: 0, specs.SchedFIFO: 1, specs.SchedRR: 2, specs.SchedBatch: 3, specs.SchedIdle: 5, specs.SchedDeadline: 6,
	}[s.Policy]
	if !ok {
		return program.Op{}, fmt.Errorf("process.scheduler.policy: %q is not supported", s.Policy)
	}
	var flags uint64
	for _, f := range s.Flags {
		bit, ok := map[specs.LinuxSchedulerFlag]uint64{
			specs.SchedFlagResetOnFork: 1, specs.SchedFlagReclaim: 2, specs.SchedFlagDLOverrun: 4, specs.SchedFlagKeepPolicy: 8, specs.SchedFlagKeepParams: 0x10,
			specs.SchedFlagUtilClampMin: 0x20, specs.SchedFlagUtilClampMax: 0x40,
		}[f]
		if !ok {
			return program.Op{}, fmt.Errorf("process.scheduler.flags: %q is not supported", f)
		}
		flags |= bit
	}
	// struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period.
	attr := program.Words(program.Int(48|uint64(policy)<<32), program.Int(flags), program.Int(uint64(uint32(s.Nice))|uint64(uint32(s.Priority))<<32),
		program.Int(s.Runtime), program.Int(s.Deadline), program.Int(s.Period))
	return program.Op{
		Name: "scheduler", Call: unix.SYS_SCHED_SETATTR, Args: [6]program.Arg{program.Int(0), attr, program.Int(0)},
		Text: fmt.Sprintf("sched_setattr(0, {%s, nice %d, priority %d}, 0)", s.Policy, s.Nice, s.Priority),
	}, nil
}

// finish adds who the command is, what it may do, and the command.
func (pl *Plan) finish(tty program.Arg) error {
	p, process := pl.program, pl.spec.Process
	var filter program.Op
	if pl.filter != nil {
		filter = pl.filter.Op()
		if err := pl.checkFilter(); err != nil {
			return err
		}
	}
	env := environment(pl.spec)
	commands := paths(process.Args[0], env)
	early := pl.filter != nil && !process.NoNewPrivileges
	enters := pl.options.Entered != nil
	if !enters {
		p.Add(program.Undumpable())
	}
	if enters && early && pl.appearsFirst() {
		pl.appear(false)
		enters = false
	}
	if early {
		if pl.options.Hold.waits() && path.IsAbs(commands[0]) {
			pl.lookUp(commands)
		}
		if !pl.entersLate() {
			pl.enterCwd()
		}
		pl.load(filter)
	}
	if err := pl.credentials(); err != nil {
		return err
	}
	if pl.entersLate() {
		pl.enterCwd()
	}
	if process.NoNewPrivileges {
		p.Add(program.Op{Name: "no new privileges", Call: unix.SYS_PRCTL, Args: [6]program.Arg{program.Int(unix.PR_SET_NO_NEW_PRIVS), program.Int(1)}, Text: "prctl(PR_SET_NO_NEW_PRIVS, 1)"})
	}
	if enters {
		pl.appear(early)
	}
	if pl.spec.Init {
		pl.initProcess(process.NoNewPrivileges)
	}
	pl.session(tty)
	if pl.options.Hold.waits() && !early {
		pl.lookUp(commands)
	}
	if late := pl.filter != nil && !early; late && pl.filter.Listener {
		pl.load(filter)
		early = true
	} else if late {
		p.Last(filter)
	}
	pl.holdBack(early)
	pl.startHooks()
	p.ExecFirst(commands, process.Args, env)
	return nil
}

// enterCwd enters the working directory, which must not be a way out, as a
// symbolic link into /proc can be.
func (pl *Plan) enterCwd() {
	p, cwd := pl.program, pl.spec.Process.Cwd
	fd := p.Add(named("open "+cwd, program.Openat2(program.Place{Dir: program.Cwd(), Path: cwd}, program.How(unix.O_PATH|unix.O_DIRECTORY, 0, unix.RESOLVE_NO_MAGICLINKS))))
	p.Add(named("enter "+cwd, program.Fchdir(program.Result(fd))))
}

// entersLate says whether the working directory is entered as the command's user.
// Where the filter comes before the credentials, and has not heard of openat2, as
// many a profile, it is entered before the filter, with more rights.
func (pl *Plan) entersLate() bool {
	return pl.filter == nil || pl.spec.Process.NoNewPrivileges ||
		pl.filter.Allows(seccomp.Call{Number: unix.SYS_OPENAT2}, seccomp.Call{Number: unix.SYS_FCHDIR}) == nil
}

// session gives the command a session of its own, with its terminal, and the mask
// of the files that it makes.
func (pl *Plan) session(tty program.Arg) {
	p, process := pl.program, pl.spec.Process
	if process.Terminal {
		pl.attached = p.Wait("terminal attached")
	}
	p.Add(program.Setsid())
	if process.Terminal {
		if pl.options.Console != 0 && pl.options.Entered == nil {
			for fd := range 3 {
				p.Add(named("stdio", program.Dup3(tty, fd, 0)))
			}
		}
		p.Add(named("controlling terminal", program.Ioctl(program.Int(0), "TIOCSCTTY", unix.TIOCSCTTY, program.Int(0))))
	}
	mask := uint32(0o022)
	if process.User.Umask != nil {
		mask = *process.User.Umask
	}
	p.Add(program.Umask(mask))
}

// checkFilter sees that the filter lets through what comes behind it.
func (pl *Plan) checkFilter() error {
	late := pl.spec.Process.NoNewPrivileges // the filter is the last op
	numbers := []uint32{unix.SYS_EXECVE}
	if pl.filter.Listener {
		if pl.spec.Init {
			return errors.New("linux.seccomp.listenerPath: the init would need a listener of its own: leave out the init, or the listener")
		}
		numbers = append(numbers, unix.SYS_FUTEX, unix.SYS_PRCTL, unix.SYS_READ, unix.SYS_RT_SIGPROCMASK)
	}
	if pl.spec.Init {
		numbers = append(numbers, unix.SYS_FUTEX, unix.SYS_WAITID, unix.SYS_KILL, unix.SYS_EXIT_GROUP)
	}
	if !late {
		numbers = append(numbers, unix.SYS_PRCTL, unix.SYS_SETGROUPS, unix.SYS_SETRESGID, unix.SYS_SETRESUID, unix.SYS_CAPSET, unix.SYS_FUTEX,
			unix.SYS_SETSID, unix.SYS_UMASK, unix.SYS_PRLIMIT64, unix.SYS_RT_SIGPROCMASK, program.PollCall)
		if pl.options.Hold.waits() {
			numbers = append(numbers, unix.SYS_READ)
		}
		if pl.spec.Process.Terminal {
			numbers = append(numbers, unix.SYS_DUP3, unix.SYS_IOCTL)
		}
		if pl.spec.Init {
			numbers = append(numbers, unix.SYS_CLOSE_RANGE, unix.SYS_SET_ROBUST_LIST, unix.SYS_GETTID)
		}
	}
	numbers = append(numbers, pl.hookCalls()...)
	calls := make([]seccomp.Call, 0, len(numbers)+1)
	for _, n := range numbers {
		calls = append(calls, seccomp.Call{Number: n})
	}
	if pl.spec.Init && !late || pl.hasStartHooks() {
		calls = append(calls, seccomp.Call{Number: unix.SYS_CLONE, Args: []uint64{program.ForkFlags}})
	}
	err := pl.filter.Allows(calls...)
	if err == nil {
		return nil
	}
	advice := ""
	if !late {
		advice += ", or set process.noNewPrivileges, with which the filter is loaded last"
	}
	if pl.hasStartHooks() {
		advice += ", or remove hooks.startContainer, which are run behind it"
	}
	if pl.spec.Init {
		advice += ", or leave out the init, if it is the init that needs it"
	}
	return fmt.Errorf("linux.seccomp: %w%s", err, advice)
}

// initProcess leaves a process behind as the first of the pid namespace: it
// reaps what is orphaned, until it has reaped the command. It may not be traced
// by the command, which would escape its filter that way; nor may it have none
// itself. So the command waits until the launcher has seen that both is done.
func (pl *Plan) initProcess(filterLast bool) {
	p := pl.program
	pl.info = program.Buffer(128)
	waiting := []program.Op{
		program.Undumpable(),
		named("close descriptors", program.CloseRange(3, ^uint32(0))),
	}
	if pl.filter != nil && filterLast {
		waiting = append(waiting, pl.filter.Op())
	}
	p.Fork(len(waiting) + 4)
	for _, op := range waiting {
		p.Add(op)
	}
	pl.confined = p.Tell("init confined")
	p.Add(program.Op{
		Name: "reap", Call: unix.SYS_WAITID, Args: [6]program.Arg{program.Int(unix.P_ALL), program.Int(0), pl.info, program.Int(unix.WEXITED | unix.WALL)},
		Text: "waitid(P_ALL, 0, info, WEXITED|__WALL)", Accept: []syscall.Errno{unix.EINTR}, Skip: -1,
	})
	p.Add(program.Op{
		Name: "command there", Call: unix.SYS_KILL, Args: [6]program.Arg{program.Copy(), program.Int(0)},
		Text: "kill(the command, 0)", Accept: []syscall.Errno{unix.ESRCH}, Zero: -2,
	})
	p.Add(program.Exit(0))
	p.Rewatch()
	pl.released = p.Wait("init confined")
	pl.forked = p.Tell("command's process")
}

// strict ends the program with the built-in payload: it copies standard input
// to standard output with nothing but read, write and exit.
func (pl *Plan) strict() error {
	if len(pl.spec.Process.Args) > 0 {
		return errors.New("seccomp strict: it forbids execve, so no command can run: leave the command away for the built-in one, which copies its input to its output")
	}
	p := pl.program
	if err := pl.credentials(); err != nil {
		return err
	}
	p.Add(program.Setsid())
	p.Confirm()
	buffer := program.Buffer(4096)
	p.Add(program.Op{Name: "seccomp strict", Call: unix.SYS_SECCOMP, Args: [6]program.Arg{program.Int(unix.SECCOMP_SET_MODE_STRICT)}, Text: "seccomp(SECCOMP_SET_MODE_STRICT)"})
	n := p.Add(program.Op{Name: "read", Call: unix.SYS_READ, Args: [6]program.Arg{program.Int(0), buffer, program.Int(4096)}, Text: "read(0, buffer, 4096)", Zero: 2})
	p.Add(program.Op{Name: "write", Call: unix.SYS_WRITE, Args: [6]program.Arg{program.Int(1), buffer, program.Result(n)}, Text: "write(1, buffer, what was read)"})
	p.Add(program.Op{Name: "once more", Call: unix.SYS_READ, Args: [6]program.Arg{program.Int(-1)}, Text: "read(-1)", Accept: []syscall.Errno{unix.EBADF}, Skip: -3})
	p.Add(program.Op{Name: "exit", Call: unix.SYS_EXIT, Args: [6]program.Arg{program.Int(0)}, Text: "exit(0)"})
	return nil
}
