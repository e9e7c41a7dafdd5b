package container

import (
	"errors"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// Hold has the container wait, complete but for the execution of its command, for
// somebody who comes after this process has ended:
//
//	launcher   …─► SetUp ─► (writes down that there is a container) ─► Leave, and may end
//	child      …─► looks whether there is a command ─► tells ─► waits ─► outlives its parent ─► tells ─► read(start) ─► execve
//
// The descriptors are closed by that execve, so whoever has the fifo's other end
// sees it. Nothing is opened inside the container for it.
type Hold struct {
	// Start is a fifo, open to read and to write: the command is executed when
	// there is a byte. -1: as soon as the launcher lets the container go.
	Start int
	// Failure is a file: why the command could not be executed is written there;
	// see program.Program.ReportExec.
	Failure int
}

// waits says whether the command waits for somebody else.
func (h *Hold) waits() bool { return h != nil && h.Start >= 0 }

// checkHold says what cannot wait.
func (pl *Plan) checkHold() error {
	if pl.options.Hold != nil && (pl.spec.Init || pl.spec.Strict) {
		return errors.New("hold container: one with an init, or in strict mode, cannot wait for its start")
	}
	return nil
}

// lookUp has the child fail where there is no command that it may execute. What
// a filter that is loaded early lets through is its own business, so then it is
// looked for before, with the credentials that there are then.
func (pl *Plan) lookUp(paths []string) {
	p := pl.program
	for i, name := range paths {
		op := program.Executable(name)
		if rest := len(paths) - 1 - i; rest > 0 {
			op.Zero = rest
			op.Accept = []syscall.Errno{unix.ENOENT, unix.ENOTDIR, unix.EACCES}
		}
		p.Add(op)
	}
}

// holdBack adds the waiting, as the last but the filter and execve.
func (pl *Plan) holdBack(early bool) {
	h, p := pl.options.Hold, pl.program
	if h == nil {
		return
	}
	pl.setUp = p.Tell("set up")
	pl.recorded = p.Wait("recorded")
	p.Add(program.DieAlone())
	if !h.waits() {
		return
	}
	if !early {
		// Directories of the host, mounts, the launcher: for weeks nobody needs
		// them. An early filter may not know the call.
		next := 3 + pl.options.Preserve
		kept := []int{h.Start, h.Failure}
		if pl.hasStartHooks() {
			kept = append(kept, pl.hooks.created.FDs()...)
		}
		slices.Sort(kept)
		for _, fd := range kept {
			if fd > next {
				p.Add(program.CloseRange(uint32(next), uint32(fd-1)))
			}
			next = fd + 1
		}
		p.Add(program.CloseRange(uint32(next), ^uint32(0)))
	}
	pl.waiting = p.Tell("waits for its start")
	p.Last(named("wait for start", program.Read(program.Int(h.Start), 1)))
	p.ReportExec(program.Int(h.Failure))
}

// SetUp waits until the child has done everything but execute its command.
func (c *Container) SetUp() error {
	if err := c.attached(); err != nil {
		return err
	}
	return c.process.Await(c.plan.setUp)
}

// Leave lets a container that is set up go: it does not die with this process any
// more, which does not wait for it. The control group stays, too.
func (c *Container) Leave() error {
	c.process.Open(c.plan.recorded)
	if err := c.process.Await(c.plan.waiting); err != nil {
		return err
	}
	c.process.Abandon()
	if c.group != nil {
		c.group.Close()
		c.group = nil
	}
	return nil
}

// LeaveRunning is Leave of a container whose command does not wait: it returns
// when that is executed.
func (c *Container) LeaveRunning() error {
	c.process.Open(c.plan.recorded)
	if err := c.process.WaitExec(); err != nil {
		return err
	}
	c.process.Abandon()
	return c.removeGroup()
}

// Abort ends a container that is not to be, and removes its control group. What
// the child says is the cause, when it says anything.
func (c *Container) Abort(err error) error {
	// Nothing but its end is of interest now.
	_ = c.process.Signal(unix.SIGKILL)
	status, cause := c.process.Wait()
	cause = c.hookError(status, cause)
	c.process.Release()
	if cause != nil { // the child says best what went wrong
		err = cause
	}
	if c.group != nil && c.plan.hooks != nil {
		// What a hook has started in there, when no pid namespace ends it.
		err = errors.Join(err, c.group.Kill())
	}
	return errors.Join(err, c.unmount(), c.removeGroup())
}
