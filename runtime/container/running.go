package container

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/program"
	"isoperf/runtime/rootfs"
)

// Pid is the container's first process, on the host.
func (c *Container) Pid() int { return c.process.Pid() }

// Plan is what it was started with.
func (c *Container) Plan() *Plan { return c.plan }

// Process is the container's first process.
func (c *Container) Process() *program.Process { return c.process }

// Group is the container's control group, or nil.
func (c *Container) Group() *cgroup.Group { return c.group }

// Confirm lets the child go on to its command; see program.Process.Confirm. One
// that has a terminal waits for it, so that its size can be set before.
func (c *Container) Confirm(interrupted func() bool) error {
	if err := c.attached(); err != nil {
		return err
	}
	return c.process.Confirm(interrupted)
}

// WaitExec returns when the command runs.
func (c *Container) WaitExec() error {
	if err := c.attached(); err != nil {
		return err
	}
	return c.process.WaitExec()
}

// attached lets the child pass what it waits for just before its command.
func (c *Container) attached() error {
	if c.plan.attached != 0 {
		c.process.Open(c.plan.attached)
	}
	if c.plan.notified != 0 && !c.listened {
		if c.deaf = c.hear(); c.deaf != nil {
			_ = c.process.Signal(unix.SIGKILL) // it would wait for ever; it may have ended
		}
	}
	return c.deaf
}

// Catches says whether the command has a handler for a signal, as far as /proc
// tells.
func (c *Container) Catches(sig syscall.Signal) bool {
	pid := c.commandPid
	if pid == 0 {
		pid = c.process.Pid()
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false // it has ended, or nobody can tell
	}
	_, after, _ := strings.Cut(string(text), "SigCgt:")
	line, _, _ := strings.Cut(after, "\n")
	caught, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	return err == nil && caught&(1<<(sig-1)) != 0
}

// Signal sends a signal to the command.
func (c *Container) Signal(sig syscall.Signal) error {
	if c.command == 0 || sig == unix.SIGKILL {
		return c.process.Signal(sig)
	}
	if err := unix.PidfdSendSignal(c.command, sig, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("send signal %v to the command: %w", sig, err)
	}
	return nil
}

// Wait waits for the end of the container, and removes its control group. The
// status is the command's. An op that failed is a *program.OpError.
func (c *Container) Wait() (program.Status, error) {
	deaf := c.attached()
	status, err := c.process.Wait()
	err = c.hookError(status, err)
	if err == nil {
		err = deaf
	}
	if err == nil && c.plan.forked != 0 && status.Success() {
		status = c.commandStatus(status)
	}
	if c.command != 0 {
		unix.Close(c.command)
		c.command = 0
	}
	start := program.Now()
	err = errors.Join(err, c.unmount(), c.removeGroup())
	if c.plan.group != nil && !c.plan.group.Empty() {
		c.event("remove control group", start)
	}
	return status, err
}

// commandStatus is how the command ended, as its init saw it.
func (c *Container) commandStatus(s program.Status) program.Status {
	info := (*struct {
		signo, errno, code, _ int32
		pid                   int32
		uid                   uint32
		status                int32
	})(unsafe.Pointer(unsafe.SliceData(c.process.Buffer(c.plan.info))))
	if info.code == 1 { // CLD_EXITED
		s.Code = int(info.status)
	} else {
		s.Code, s.Signal, s.Core = -1, syscall.Signal(info.status), info.code == 3
	}
	return s
}

func (c *Container) removeGroup() error {
	if c.plan.options.Entered != nil { // the group is the container's
		c.group = nil
	}
	if c.group == nil {
		return nil
	}
	err := c.group.Remove()
	c.group = nil
	return err
}

// unmount removes the mounts that were made on the host.
func (c *Container) unmount() error {
	if c.plan.before == 0 {
		return nil
	}
	err := rootfs.Unmount(c.plan.spec.RootPath(), c.plan.before)
	err = errors.Join(err, c.record.Close(err == nil))
	c.record = nil
	return err
}

// Events are the launcher's steps, complete after Wait.
func (c *Container) Events() []Event { return c.events }

// Timeline is that of the child.
func (c *Container) Timeline() program.Timeline { return c.plan.unshift(c.process.Timeline()) }

// Line is that of the child, with nothing but instants, in the memory of ends; see
// program.Process.Line.
func (c *Container) Line(ends []int64) program.Line {
	line := c.process.Line(ends)
	if !c.plan.shifts() {
		return line
	}
	for i, spans := 0, c.Timeline().Spans; i < len(line.Ends) && len(spans) > 0; i++ {
		if line.Ends[i] != 0 {
			line.Ends[i], spans = spans[0].End, spans[1:]
		}
	}
	return line
}

// Release gives back what the timeline is read from.
func (c *Container) Release() { c.process.Release() }
