// Package follow profiles a command that it knows nothing about: it follows
// the command and everything that comes of it, and keeps when each process
// made which isolation call.
//
//	command ─► stub: seccomp filter (RET_TRACE), execve
//	                   │ inherited by the whole tree
//	                   ▼
//	             only isolation calls stop ─► tracer: entry, exit ─► Record
//	             and births, execve, exits                             │ pure
//	                                                  Divide ──────────┼─► who owned each stretch of the wall time
//	                                                  Events ──────────┴─► a trace for a viewer
//
// # What is followed
//
// A filter in front of the command lets every other system call run at full
// speed; the calls of table.go stop twice, on entry and on exit. Where a call
// needs a look at its arguments that a filter cannot take, its entry stops for
// it, and its exit only when it matters: files that are opened for writing, and
// short writes, of which those to control groups and id maps are kept.
//
// Between the calls a process runs code of its own, or waits. Which of them is
// known to the nanosecond, since its CPU clock is read at every stop. What is
// neither a call, nor code that ran, nor a wait for a child, is blocked in a
// call that is not followed.
//
// # What following changes
//
// A stop costs two switches of context; Calibrate measures it. A filter needs
// CAP_SYS_ADMIN or no_new_privs, so for an ordinary user set-user-ID programs
// (newuidmap, sudo) run without their privilege, and a tracer takes it from
// them, too. The tree cannot be traced a second time. A process with a filter
// of its own that answers a call with an error, or asks a supervisor, makes it
// unseen here: the strictest answer counts, and ours is nearly the mildest.
//
// The tracer is one thread that does not end: ptrace(2) belongs to a thread.
// When it dies the kernel kills the tree (PTRACE_O_EXITKILL).
//
// Linux 5.3 or newer (PTRACE_GET_SYSCALL_INFO); amd64 and arm64, and the
// 32-bit programs that they run.
package follow

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/capability"
	"isoperf/runtime/program"
)

// Options is what to follow.
type Options struct {
	// Path is the file to execute, Args its arguments, the name first.
	Path string
	Args []string
	Env  []string
	// Stdio are the descriptors that become the command's 0, 1 and 2.
	Stdio [3]int
	// Files follows every file that is opened, not only those of control
	// groups and id maps.
	Files bool
	// Limit ends the tree after so long; 0: never.
	Limit time.Duration
	// Grace is how long the command has after SIGTERM, when the tree is to be
	// ended, before all of it is killed.
	Grace time.Duration

	calibrates bool // the program makes null calls, and executes nothing
	cpu        int  // then: the one on which the tracer runs
}

// Follow runs the command and returns when the last process of its tree has
// ended. A context that is done ends the tree; what was seen until then is the
// record. A command that could not be executed is an *ExecError, beside the
// record.
func Follow(ctx context.Context, o Options) (*Record, error) {
	p, err := o.program()
	if err != nil {
		return nil, err
	}
	return o.follow(ctx, p)
}

// ExecError is a command that could not be executed.
type ExecError struct {
	Path  string
	Errno error
}

// Error names the file.
func (e *ExecError) Error() string { return fmt.Sprintf("execute %q: %v", e.Path, e.Errno) }

// Unwrap gives the errno.
func (e *ExecError) Unwrap() error { return e.Errno }

// gated is a program that waits at a gate until it is traced.
type gated struct {
	*program.Program
	gate program.Gate
}

// begin is a program up to the gate, with what a filter needs behind it.
func begin(stdio [3]int) (gated, error) {
	p := program.New(program.Stub, 0)
	p.Stdio(stdio[0], stdio[1], stdio[2])
	g := gated{p, p.Wait("for the tracer")}
	free, err := privileged()
	if err != nil {
		return g, err
	}
	if !free {
		p.Add(program.Prctl("PR_SET_NO_NEW_PRIVS", unix.PR_SET_NO_NEW_PRIVS, program.Int(1)))
	}
	return g, nil
}

// privileged says whether a filter can be loaded without no_new_privs.
func privileged() (bool, error) {
	set, err := capability.Effective()
	return set.Has(unix.CAP_SYS_ADMIN), err
}

// program is what executes the command, with the filter as its last op.
func (o Options) program() (gated, error) {
	filter, err := assemble(o.Files)
	if err != nil {
		return gated{}, err
	}
	g, err := begin(o.Stdio)
	if err != nil {
		return gated{}, err
	}
	g.Last(filter.Op())
	g.Exec(o.Path, o.Args, o.Env)
	return g, nil
}

// follow runs a program on the tracer's thread.
func (o Options) follow(ctx context.Context, p gated) (r *Record, err error) {
	t, err := newTracer(o)
	if err != nil {
		return nil, err
	}
	l := program.NewLauncher()
	defer l.Close()
	l.Do(func() { r, err = t.run(ctx, p) })
	return r, err
}

// run starts the program, seizes it, and follows it to the end of its tree.
func (t *tracer) run(ctx context.Context, p gated) (*Record, error) {
	if t.options.calibrates {
		var set unix.CPUSet
		set.Set(t.options.cpu)
		if err := unix.SchedSetaffinity(0, &set); err != nil { // of this thread, which ends
			return nil, fmt.Errorf("move the tracer to CPU %d: %w", t.options.cpu, err)
		}
	}
	proc, err := program.Start(p.Program)
	if err != nil {
		return nil, err
	}
	t.command = proc
	if err := seize(proc.Pid()); err != nil {
		err = fmt.Errorf("trace process %d: %w; %s", proc.Pid(), err, seizeHint(err))
		kill := proc.Signal(unix.SIGKILL)
		_, _ = proc.Wait() // it was killed, that is known
		proc.Release()
		return nil, errors.Join(err, kill)
	}
	t.root(proc.Pid())
	ended := t.watch(ctx)
	proc.Open(p.gate)
	err = t.loop()
	ended()
	t.queue.close()
	t.record.Spans = proc.Timeline().Spans
	proc.Release()
	if err != nil {
		return nil, err
	}
	return t.finish()
}

// seizeHint is what to do about a refusal.
func seizeHint(err error) string {
	if errors.Is(err, unix.EPERM) {
		return "the kernel forbids ptrace here (kernel.yama.ptrace_scope of 2 or 3, or a seccomp filter around this program): run it as root, or outside the container"
	}
	return "ptrace(2) says why; this takes Linux 5.3 or newer on " + runtime.GOARCH
}
