package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/hook"
	"isoperf/runtime/program"
)

// hooks are the plan's part of them; see package hook. A container without any of
// the kinds that run before its command has none, and no gate for them.
type hooks struct {
	list     specs.Hooks
	creating *hook.Input // for createContainer
	created  *hook.Input // for startContainer
	made     program.Tell
	passed   program.Gate // once the runtime's hooks have run, and the states are written
	done     program.Tell // the container's have, too
	sides    []side
	reached  bool // some may have run
}

// side is a hook that the container's own process executes.
type side struct {
	name   string
	hook   specs.Hook
	status program.Arg
}

// HooksPassed is what is written to Hold.Failure, 8 bytes, when all startContainer
// hooks have succeeded: then the command is executed, or why not follows.
const HooksPassed = 0

// StartMark is the Mark of a startContainer hook in what is written to
// Hold.Failure: so much more than its number.
const StartMark = 1

// beginHooks opens what the child is to have from its birth on.
func (pl *Plan) beginHooks() (err error) {
	h := pl.spec.Hooks
	if h == nil || len(h.Prestart)+len(h.CreateRuntime)+len(h.CreateContainer)+len(h.StartContainer) == 0 { //nolint:staticcheck // prestart is deprecated, and still to be run
		return nil
	}
	pl.hooks = &hooks{list: *h}
	if pl.hooks.creating, err = hook.NewInput(len(h.CreateContainer)); err != nil {
		return err
	}
	if pl.hooks.created, err = hook.NewInput(len(h.StartContainer)); err != nil {
		return err
	}
	for _, in := range []*hook.Input{pl.hooks.creating, pl.hooks.created} {
		for _, fd := range in.FDs() {
			pl.program.Keep(fd)
		}
	}
	return nil
}

// closeHooks closes it, once the child is there.
func (pl *Plan) closeHooks() {
	if pl.hooks != nil {
		pl.hooks.creating.Close()
		pl.hooks.created.Close()
	}
}

// createHooks adds the waiting for the runtime's hooks, and the container's own,
// before the root is pivoted.
func (pl *Plan) createHooks() {
	h, p := pl.hooks, pl.program
	if h == nil {
		return
	}
	h.made = p.Tell("environment made")
	h.passed = p.Wait("hooks of the runtime")
	for i, fd := range h.creating.FDs() {
		s := pl.side("createContainer", i, h.list.CreateContainer[i], fd)
		s.Before = []program.Op{program.Umask(0o022)}
		pl.aside(p, s, h.list.CreateContainer[i])
	}
	h.done = p.Tell("hooks of the container")
}

// startHooks adds those that run just before the command.
func (pl *Plan) startHooks() {
	if !pl.hasStartHooks() {
		return
	}
	pl.program.LastOps(func(p *program.Program) {
		for i, fd := range pl.hooks.created.FDs() {
			h := pl.hooks.list.StartContainer[i]
			s := pl.side("startContainer", i, h, fd)
			if hold := pl.options.Hold; hold.waits() {
				s.Report, s.Reported, s.Mark = program.Int(hold.Failure), true, int64(i+StartMark)
			}
			pl.aside(p, s, h)
		}
		hold := pl.options.Hold
		if !hold.waits() {
			// Which only says that it got there.
			p.Add(program.Op{Name: "hooks passed", Call: unix.SYS_FUTEX, Args: [6]program.Arg{program.Buffer(8), program.Int(1)}, Text: "futex(word, FUTEX_WAKE, 0)"})
		} else {
			p.Add(program.Op{
				Name: "hooks passed", Call: unix.SYS_WRITE, Args: [6]program.Arg{program.Int(hold.Failure), program.Words(program.Int(HooksPassed)), program.Int(8)},
				Text: fmt.Sprintf("write(%d, %d, 8)", hold.Failure, HooksPassed),
			})
		}
	})
}

func (pl *Plan) hasStartHooks() bool { return pl.hooks != nil && len(pl.hooks.list.StartContainer) > 0 }

// hookCalls are the system calls that startContainer hooks take, behind a filter.
func (pl *Plan) hookCalls() []uint32 {
	if !pl.hasStartHooks() {
		return nil
	}
	calls := []uint32{unix.SYS_WAIT4, unix.SYS_FUTEX, unix.SYS_PRCTL, unix.SYS_DUP3, unix.SYS_RT_SIGPROCMASK, unix.SYS_EXIT_GROUP}
	if pl.options.Hold.waits() {
		calls = append(calls, unix.SYS_WRITE)
	}
	for _, h := range pl.hooks.list.StartContainer {
		if h.Timeout != nil {
			return append(calls, unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_PIDFD_OPEN, unix.SYS_KILL)
		}
	}
	return calls
}

func (pl *Plan) side(kind string, i int, h specs.Hook, input int) program.Side {
	s := program.Side{Name: hook.Name(kind, i), Path: h.Path, Args: hook.Args(h), Env: h.Env, Input: program.Int(input)}
	if h.Timeout != nil {
		s.Timeout = min(*h.Timeout, 1<<31/1000) * 1000
	}
	return s
}

func (pl *Plan) aside(p *program.Program, s program.Side, h specs.Hook) {
	pl.hooks.sides = append(pl.hooks.sides, side{name: s.Name, hook: h, status: p.Aside(s)})
}

// runHooks runs those that come before pivot_root.
func (c *Container) runHooks(ctx context.Context) error {
	h, sc := c.plan.hooks, c.plan.spec
	if err := c.process.Await(h.made); err != nil {
		return err
	}
	pid := c.process.Pid()
	if c.plan.options.Hooking != nil {
		if err := c.plan.options.Hooking(pid); err != nil {
			return err
		}
	}
	h.reached = true
	for _, kind := range []hook.Call{{Kind: "prestart", Hooks: h.list.Prestart}, {Kind: "createRuntime", Hooks: h.list.CreateRuntime}} { //nolint:staticcheck // as above
		if len(kind.Hooks) == 0 {
			continue
		}
		start := program.Now()
		kind.State, kind.Dir, kind.Alive = hook.State(sc, hook.Creating, pid), sc.Bundle, c.process.Pidfd()
		if err := kind.Run(ctx); err != nil {
			return err
		}
		c.event("hooks."+kind.Kind, start)
	}
	inside, err := insidePid(pid)
	if err != nil {
		return err
	}
	if err := h.creating.Write(hook.State(sc, hook.Creating, inside)); err != nil {
		return err
	}
	if err := h.created.Write(hook.State(sc, hook.Created, inside)); err != nil {
		return err
	}
	c.process.Open(h.passed)
	return c.process.AwaitUnless(h.done, func() bool { return ctx.Err() != nil })
}

// insidePid is a process's number in its own pid namespace; Linux 4.1.
func insidePid(pid int) (int, error) {
	name := "/proc/" + strconv.Itoa(pid) + "/status"
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("find the container's own number of process %d: %w", pid, err)
	}
	_, after, _ := strings.Cut(string(text), "\nNSpid:")
	line, _, _ := strings.Cut(after, "\n")
	words := strings.Fields(line)
	if len(words) == 0 {
		return 0, fmt.Errorf("find the container's own number of process %d: %q has no NSpid", pid, name)
	}
	return strconv.Atoi(words[len(words)-1])
}

// hookError says which of the container's hooks ended it, instead of what its
// process says; otherwise it is err.
func (c *Container) hookError(status program.Status, err error) error {
	if c.plan.hooks == nil {
		return err
	}
	var op *program.OpError
	failed := errors.As(err, &op)
	for _, s := range c.plan.hooks.sides {
		word := unix.WaitStatus(*(*uint32)(unsafe.Pointer(unsafe.SliceData(c.process.Buffer(s.status)))))
		switch {
		case failed && op.Op.Name == "execute "+s.name:
			return fmt.Errorf("%s: execute %q: %w; see %s.path", s.name, s.hook.Path, op.Errno, s.name)
		case word == 0:
		case status.Code == program.SideLate && s.hook.Timeout != nil:
			return fmt.Errorf("%s: run %q: it had not ended after %d s, its timeout, and was killed", s.name, s.hook.Path, *s.hook.Timeout)
		default:
			return fmt.Errorf("%s: run %q: %s", s.name, s.hook.Path, hook.Ending(word))
		}
	}
	return err
}

// Poststart runs the hooks that come when the command runs. After an error the
// container is to be ended.
func (c *Container) Poststart(ctx context.Context) error {
	sc := c.plan.spec
	if sc.Hooks == nil || len(sc.Hooks.Poststart) == 0 || c.plan.options.Entered != nil {
		return nil
	}
	if err := c.WaitExec(); err != nil {
		return nil // Wait says what there is to say
	}
	pid := c.Pid()
	if c.commandPid != 0 {
		pid = c.commandPid
	}
	call := hook.Call{Kind: "poststart", Hooks: sc.Hooks.Poststart, State: hook.State(sc, hook.Running, pid), Dir: sc.Bundle}
	return call.Run(ctx)
}

// Poststop runs the hooks that come when nothing is left of the container, if it
// got so far that it had hooks at all. It tells of those that fail.
func (pl *Plan) Poststop(warn func(error)) {
	h := pl.spec.Hooks
	if h == nil || len(h.Poststop) == 0 || pl.options.Entered != nil || !pl.reached && (pl.hooks == nil || !pl.hooks.reached) {
		return
	}
	call := hook.Call{Kind: "poststop", Hooks: h.Poststop, State: hook.State(pl.spec, hook.Stopped, 0), Dir: pl.spec.Bundle}
	call.RunAll(context.Background(), warn)
}
