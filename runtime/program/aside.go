package program

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Side is a command that a program executes beside itself; see Aside.
type Side struct {
	Name      string // what its ops are called after
	Path      string
	Args, Env []string
	Input     Arg // a descriptor that becomes its standard input; 0: that stays
	// Before are ops of the copy alone, before everything else.
	Before []Op
	// Timeout is in milliseconds; 0: it may take as long as it likes.
	Timeout int
	// Guard has the program look after the launcher, too: when that ends first,
	// it kills its own process group, and so itself. It must be in mode stub, and
	// have made a session of its own.
	Guard bool
	// Report is a descriptor for others than the launcher, to which what went
	// wrong is written: Mark, and the errno of execve, negative, or the status as
	// wait4(2) has it, or SideTimeout; 8 bytes each. Without Reported: none.
	Report   Arg
	Reported bool
	Mark     int64
}

const (
	// SideTimeout stands for a status in a report, when the time was up.
	SideTimeout = 1 << 32
	// SideLate is the exit status of a program that ends because the time of its
	// side command was up, SideFailed of one whose command failed.
	SideLate   = 124
	SideFailed = 123
)

// Aside has the child execute a command in a copy of itself, wait for it, and go
// on when it ends with status 0:
//
//	child  clone ─► (epoll: time is up) ─► wait4 ─► 0? ───────────────► next op
//	         │                               └► report, exit 123, or 124
//	copy     └► standard input, limit, signals ─► execve ─► …
//
// The result is a buffer with the status as wait4(2) has it; it is 0 until then.
// The copy dies with the child, but what it has started need not. All of it is
// ops, so it works with nobody there to watch.
func (p *Program) Aside(s Side) (status Arg) {
	p.watched = true
	status = Buffer(8)
	copied := s.copyOps(p.restored)
	failed, late := s.failOps(status), s.lateOps(status)
	watch := 0
	if s.epolls() {
		watch = 3 // epoll_create1, pidfd_open, epoll_ctl
		if s.Guard {
			watch++
		}
		watch++ // epoll_pwait
	}
	const wait = 2 // wait4, compare
	p.Add(Op{
		Name: s.Name, Call: unix.SYS_CLONE, Text: "clone(CLONE_PARENT_SETTID): the copy goes on behind the original's ops",
		Zero: watch + wait + len(failed) + len(late), Args: [6]Arg{Int(ForkFlags), {}, inHeader(offsetForked)},
	})
	if s.epolls() {
		p.epoll(s, wait+len(failed))
	}
	p.Add(s.collect(status, len(failed)+1))
	p.Add(Op{
		Name: s.Name + " succeeded", Call: unix.SYS_FUTEX, Args: [6]Arg{status, Int(futexCompare), {}, {}, Buffer(8), {}},
		Text: "futex(its status, FUTEX_CMP_REQUEUE_PRIVATE, 0, 0, word, 0): is it 0?", Accept: []syscall.Errno{unix.EAGAIN},
		Zero: len(failed) + len(late) + len(copied),
	})
	for _, ops := range [][]Op{failed, late} {
		for _, op := range ops {
			p.Add(op)
		}
	}
	p.addCopy(s, copied)
	return status
}

// futexCompare is FUTEX_CMP_REQUEUE for one process: without anybody to wake or
// to move, it is a comparison, 0 or EAGAIN.
const futexCompare = 4 | 128

func (s *Side) epolls() bool { return s.Timeout > 0 || s.Guard }

// epoll waits for the end of the copy, or its time's, or the launcher's.
func (p *Program) epoll(s Side, toLate int) {
	set := Result(p.Add(Op{Name: "epoll", Call: unix.SYS_EPOLL_CREATE1, Args: [6]Arg{Int(unix.EPOLL_CLOEXEC)}, Text: "epoll_create1(EPOLL_CLOEXEC)"}))
	add := func(fd Arg, what string) {
		event := Bytes([]byte{unix.EPOLLIN, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		p.Add(Op{Name: "watch " + what, Call: unix.SYS_EPOLL_CTL, Args: [6]Arg{set, Int(unix.EPOLL_CTL_ADD), fd, event}, Text: fmt.Sprintf("epoll_ctl(%v, EPOLL_CTL_ADD, %s, EPOLLIN)", set, what)})
	}
	pidfd := Result(p.Add(Op{Name: "open " + s.Name, Call: unix.SYS_PIDFD_OPEN, Args: [6]Arg{Copy(), {}}, Text: "pidfd_open(the copy, 0)"}))
	add(pidfd, "the copy")
	if s.Guard {
		add(Arg{data: &tags[2], word: offsetParent}, "the launcher") // its first half is the descriptor
	}
	timeout := -1
	if s.Timeout > 0 {
		timeout = s.Timeout
	}
	p.Add(Op{
		Name: "await " + s.Name, Call: unix.SYS_EPOLL_PWAIT, Args: [6]Arg{set, Buffer(16), Int(1), Int(timeout)},
		Text: fmt.Sprintf("epoll_pwait(%v, event, 1, %d ms)", set, timeout), Accept: []syscall.Errno{unix.EINTR}, Skip: -1, Zero: toLate,
	})
}

// collect is the wait for the copy; a guard that finds it alive has been woken by
// the launcher's end.
func (s *Side) collect(status Arg, toLate int) Op {
	op := Op{
		Name: "wait for " + s.Name, Call: unix.SYS_WAIT4, Args: [6]Arg{Copy(), status, Int(unix.WALL)},
		Text: "wait4(the copy, status, __WALL)", Accept: []syscall.Errno{unix.EINTR}, Skip: -1,
	}
	if s.Guard {
		op.Args[2], op.Text = Int(unix.WALL|unix.WNOHANG), "wait4(the copy, status, __WALL|WNOHANG)"
		op.Zero = toLate
	}
	return op
}

// failOps are what follows when the command has failed.
func (s *Side) failOps(status Arg) []Op {
	return append(s.reportOps(status, "status"), Exit(SideFailed))
}

// lateOps are what follows when its time is up, or the launcher gone.
func (s *Side) lateOps(status Arg) []Op {
	if s.Guard {
		return []Op{{Name: "kill group", Call: unix.SYS_KILL, Args: [6]Arg{{}, Int(unix.SIGKILL)}, Text: "kill(0, SIGKILL)"}}
	}
	ops := []Op{
		{Name: "kill " + s.Name, Call: unix.SYS_KILL, Args: [6]Arg{Copy(), Int(unix.SIGKILL)}, Text: "kill(the copy, SIGKILL)"},
		{
			Name: "wait for " + s.Name, Call: unix.SYS_WAIT4, Args: [6]Arg{Copy(), status, Int(unix.WALL)},
			Text: "wait4(the copy, status, __WALL)", Accept: []syscall.Errno{unix.EINTR}, Skip: -1,
		},
	}
	ops = append(ops, s.reportOps(Words(Int(SideTimeout)), "time is up")...)
	return append(ops, Exit(SideLate))
}

// reportOps write the mark and one value.
func (s *Side) reportOps(value Arg, what string) []Op {
	if !s.Reported {
		return nil
	}
	return []Op{
		named("report "+s.Name, Op{Call: unix.SYS_WRITE, Args: [6]Arg{s.Report, Words(Int(s.Mark)), Int(8)}, Text: fmt.Sprintf("write(%v, %d, 8)", s.Report, s.Mark)}),
		named("report "+what, Op{Call: unix.SYS_WRITE, Args: [6]Arg{s.Report, value, Int(8)}, Text: fmt.Sprintf("write(%v, %s, 8)", s.Report, what)}),
	}
}

func named(name string, op Op) Op {
	op.Name = name
	return op
}

// copyOps are those of the copy, up to the last, its execve. The results of others
// cannot be among their arguments but for Input's.
func (s *Side) copyOps(restored bool) []Op {
	ops := append([]Op{}, s.Before...)
	ops = append(ops,
		Op{Name: "die with parent", Call: unix.SYS_PRCTL, Args: [6]Arg{Int(unix.PR_SET_PDEATHSIG), Int(unix.SIGKILL)}, Text: "prctl(PR_SET_PDEATHSIG, SIGKILL)"},
	)
	if s.Input != Int(0) {
		ops = append(ops, named("input", Dup3(s.Input, 0, 0)))
	}
	if op, ok := restoreLimits(); ok && !restored {
		ops = append(ops, op)
	}
	ops = append(ops, unblock(), named("execute "+s.Name, execve(String(s.Path), Strings(s.Args), Strings(s.Env))))
	if s.Reported {
		ops[len(ops)-1].Accept = []syscall.Errno{unix.ENOENT, unix.ENOTDIR, unix.EACCES, unix.ENOEXEC}
		ops = append(ops, s.reportOps(Arg{}, "errno")...)
		ops = append(ops, Exit(127))
	}
	return ops
}

// addCopy adds the copy's ops; one of them reports the result of another.
func (p *Program) addCopy(s Side, ops []Op) {
	var executed Ref
	for i, op := range ops {
		if s.Reported && i == len(ops)-2 {
			op.Args[1] = ResultAt(executed)
		}
		ref := p.Add(op)
		if op.Call == unix.SYS_EXECVE {
			executed = ref
		}
	}
}
