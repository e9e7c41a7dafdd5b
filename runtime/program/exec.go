package program

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program/inherit"
)

// Last adds an op that runs just before the command is executed, behind all
// that Exec adds: a seccomp filter, which may forbid everything but execve. From
// it on no op takes the time: the filter may forbid that. It must come before
// Exec.
func (p *Program) Last(op Op) { p.LastOps(func(p *Program) { p.Add(op) }) }

// LastOps is Last of several, which add adds when it is their turn.
func (p *Program) LastOps(add func(p *Program)) { p.last = append(p.last, add) }

// ReportExec has the child write to a descriptor why the command cannot be
// executed, for others than the launcher: 8 bytes, the negative errno. Nothing is
// written where a filter forbids that. It must come before Exec.
func (p *Program) ReportExec(fd Arg) { p.report, p.reported = fd, true }

// Exec ends the program with the command at path. Before it, the child gets
// what os/exec would give it: the original RLIMIT_NOFILE, which Go raises,
// and the signal mask of the launching thread.
func (p *Program) Exec(path string, argv, env []string) { p.ExecFirst([]string{path}, argv, env) }

// ExecFirst is Exec of the first of several paths at which there is a file
// that can be executed, as a shell goes through PATH. What the program fails
// with is what happened at the last of them.
func (p *Program) ExecFirst(paths []string, argv, env []string) {
	p.ready()
	args, vars := Strings(argv), Strings(env) // once for all
	before := len(p.ops)
	for i, path := range paths {
		op := execve(String(path), args, vars)
		op.Onward = p.reported
		if i < len(paths)-1 {
			op.Accept = []syscall.Errno{unix.ENOENT, unix.ENOTDIR, unix.EACCES}
			if p.reported {
				op.Skip = 2 // the report
			}
		}
		p.Add(op)
		if p.reported {
			p.Add(Op{
				Name: "report", Call: unix.SYS_WRITE, Args: [6]Arg{p.report, ResultAt(Ref(len(p.ops) - 1)), Int(8)},
				Text: fmt.Sprintf("write(%v, the result of that execve, 8)", p.report),
			})
			p.Add(Exit(127))
		}
	}
	p.execs = len(p.ops) - before
}

// ExecAt is Exec of the file behind a descriptor.
func (p *Program) ExecAt(fd Arg, argv, env []string) {
	p.ready()
	p.Add(Op{
		Name: "execve", Call: sysExecveat,
		Args: [6]Arg{fd, String(""), Strings(argv), Strings(env), Int(unix.AT_EMPTY_PATH)},
	})
	p.execs = 1
}

// RestoreLimits gives the child the original RLIMIT_NOFILE here, rather than
// just before the command is executed: limits that are set after it stay.
func (p *Program) RestoreLimits() {
	if p.restored {
		return
	}
	p.restored = true
	if op, raised := restoreLimits(); raised {
		p.Add(op)
	}
}

// restoreLimits is the op, where Go has raised a limit.
func restoreLimits() (op Op, raised bool) {
	soft, hard, raised := inherit.Nofile()
	return Op{
		Name: "restore nofile", Call: unix.SYS_PRLIMIT64, Args: [6]Arg{{}, Int(unix.RLIMIT_NOFILE), Words(Int(soft), Int(hard))},
		Show: func() string { return fmt.Sprintf("prlimit64(0, RLIMIT_NOFILE, {%d, %d}, NULL)", soft, hard) },
	}, raised
}

// unblock gives the launcher's signal mask back.
func unblock() Op {
	return Op{
		Name: "unblock signals", Call: unix.SYS_RT_SIGPROCMASK,
		Args: [6]Arg{Int(sigSetMask), inHeader(offsetOldMask), {}, Int(8)},
		Text: "rt_sigprocmask(SIG_SETMASK, the launcher's mask, NULL, 8)",
	}
}

func (p *Program) ready() {
	p.watched = true
	p.RestoreLimits()
	p.Confirm()
	p.Add(unblock())
	for _, add := range p.last {
		add(p)
	}
}
