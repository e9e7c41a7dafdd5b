package hook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// Call is a list of hooks of the runtime's, and what they need.
type Call struct {
	Kind  string // as config.json spells it: "prestart"
	Hooks []specs.Hook
	State []byte
	Dir   string // the directory that they begin in
	// Alive is a pidfd: with that process's end, the hook is ended. 0: none.
	Alive int
}

// ErrContainerEnded says that the container ended while a hook ran.
var ErrContainerEnded = errors.New("the container has ended meanwhile")

// Run runs the hooks, one after the other, and stops at the first that fails. The
// calling goroutine must be locked to its thread.
func (c *Call) Run(ctx context.Context) error {
	for i := range c.Hooks {
		if err := c.run(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// RunAll runs all hooks, whatever the others do, and tells of each that fails.
func (c *Call) RunAll(ctx context.Context, failed func(error)) {
	for i := range c.Hooks {
		if err := c.run(ctx, i); err != nil && failed != nil {
			failed(err)
		}
	}
}

// Name is what a hook is called in errors and timelines.
func Name(kind string, i int) string { return fmt.Sprintf("hooks.%s[%d]", kind, i) }

// Args are what a hook's arguments are when it says nothing.
func Args(h specs.Hook) []string {
	if len(h.Args) > 0 {
		return h.Args
	}
	return []string{h.Path}
}

// run runs one.
func (c *Call) run(ctx context.Context, i int) error {
	h, name := c.Hooks[i], Name(c.Kind, i)
	fail := func(err error) error { return fmt.Errorf("%s: run %q: %w", name, h.Path, err) }
	in, err := NewInput(1)
	if err != nil {
		return fail(err)
	}
	defer in.Close()
	if err := in.Write(c.State); err != nil {
		return fail(err)
	}
	output, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
	if err != nil {
		return fail(fmt.Errorf("make a file for its output: %w", err))
	}
	defer unix.Close(output)
	p, status, err := c.guard(h, name, in.FDs()[0], output)
	if err != nil {
		return fail(err)
	}
	proc, err := program.Start(p)
	if err != nil {
		return fail(err)
	}
	cause := c.await(ctx, proc, h.Timeout)
	ended, err := proc.Wait()
	word := waitStatus(proc.Buffer(status))
	proc.Release()
	var op *program.OpError
	switch {
	case cause != nil:
		err = cause
	case errors.As(err, &op) && op.Op.Call == unix.SYS_EXECVE:
		err = fmt.Errorf("execute it: %w; see %s.path", op.Errno, name)
	case err != nil:
	case ended.Success():
		return nil
	case word != 0:
		err = errors.New(Ending(word))
	default:
		err = fmt.Errorf("its guard was ended: %v", ended)
	}
	return fail(fmt.Errorf("%w%s", err, said(output)))
}

// guard is the program of the guard.
func (c *Call) guard(h specs.Hook, name string, in, output int) (p *program.Program, status program.Arg, err error) {
	p = program.New(program.Stub, 0)
	if err = program.HideDescriptors(p); err != nil {
		return nil, status, err
	}
	p.Stdio(in, output, output)
	p.Add(program.Setsid())
	p.Add(program.Prctl("take in orphans", unix.PR_SET_CHILD_SUBREAPER, program.Int(1)))
	if c.Dir != "" {
		p.Add(program.Chdir(c.Dir))
	}
	status = p.Aside(program.Side{Name: name, Path: h.Path, Args: Args(h), Env: h.Env, Input: program.Int(0), Guard: true})
	p.Add(program.Exit(0))
	return p, status, nil
}

// await waits for the guard's end, and ends all below it when there is a reason to.
func (c *Call) await(ctx context.Context, proc *program.Process, timeout *int) error {
	fds := []unix.PollFd{{Fd: int32(proc.Pidfd()), Events: unix.POLLIN}}
	if c.Alive > 0 {
		fds = append(fds, unix.PollFd{Fd: int32(c.Alive), Events: unix.POLLIN})
	}
	var deadline time.Time
	if timeout != nil {
		deadline = time.Now().Add(time.Duration(*timeout) * time.Second)
	}
	for {
		wait := -1
		if ctx.Done() != nil {
			wait = 100
		}
		if !deadline.IsZero() {
			if left := int(time.Until(deadline).Milliseconds()) + 1; wait < 0 || left < wait {
				wait = max(0, left)
			}
		}
		_, err := unix.Poll(fds, wait)
		var cause error
		switch {
		case err != nil && err != unix.EINTR:
			cause = fmt.Errorf("wait for it: %w", err)
		case fds[0].Revents != 0:
			return nil
		case len(fds) > 1 && fds[1].Revents != 0:
			cause = ErrContainerEnded
		case ctx.Err() != nil:
			cause = context.Cause(ctx)
		case !deadline.IsZero() && time.Now().After(deadline):
			cause = fmt.Errorf("it had not ended after %d s, its timeout, and was killed", *timeout)
		}
		if cause != nil {
			return errors.Join(cause, killBelow(proc))
		}
	}
}

// waitStatus is the status in a buffer that wait4(2) has written.
func waitStatus(buffer []byte) unix.WaitStatus {
	return unix.WaitStatus(*(*uint32)(unsafe.Pointer(unsafe.SliceData(buffer))))
}

// Ending says how a hook ended.
func Ending(s unix.WaitStatus) string {
	if s.Signaled() {
		return fmt.Sprintf("it was ended by signal %d (%v)", s.Signal(), s.Signal())
	}
	return fmt.Sprintf("exit status %d", s.ExitStatus())
}

// said is the end of what a hook printed, for an error.
func said(output int) string {
	const most = 1000
	var st unix.Stat_t
	if unix.Fstat(output, &st) != nil || st.Size == 0 {
		return ""
	}
	text := make([]byte, min(st.Size, most))
	n, err := unix.Pread(output, text, st.Size-int64(len(text)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf("; it printed %q", strings.TrimSpace(strings.ToValidUTF8(string(text[:n]), "?")))
}

// killBelow kills everything below the guard, in whatever session: orphans are the
// guard's children, which is stopped meanwhile, so that none gets away.
func killBelow(guard *program.Process) error {
	_ = guard.Signal(unix.SIGSTOP) // when it has ended, so has the hook
	defer func() { _ = guard.Signal(unix.SIGKILL) }()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		living, err := below(guard.Pid())
		if err != nil || len(living) == 0 {
			return err
		}
		for _, pid := range living {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
				return fmt.Errorf("kill process %d of it: %w", pid, err)
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("processes %v of it were killed, and have not ended", living)
		}
	}
}

// below are the processes below one that have not ended.
func below(root int) ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for its processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("look for its processes: %w", err)
	}
	parent, ended := map[int]int{}, map[int]bool{}
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		text, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := cutLast(string(text), ") ")
		var pid, above int
		var state byte
		if _, err := fmt.Sscanf(rest, "%c %d", &state, &above); err != nil {
			continue
		}
		if _, err := fmt.Sscan(name, &pid); err == nil {
			parent[pid], ended[pid] = above, state == 'Z' || state == 'X'
		}
	}
	var list []int
	for pid := range parent {
		at := pid
		for range len(parent) {
			if at = parent[at]; at == root || at == 0 {
				break
			}
		}
		if at == root && !ended[pid] {
			list = append(list, pid)
		}
	}
	return list, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
