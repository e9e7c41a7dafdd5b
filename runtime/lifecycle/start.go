package lifecycle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/container"
	"isoperf/runtime/hook"
	"isoperf/runtime/program"
	"isoperf/runtime/spec"
	"isoperf/runtime/state"
)

// Start has a container that was created execute its command, and says whether
// that went well.
func (r *Runtime) Start(id string) error {
	c, err := r.open(id)
	if err != nil {
		return err
	}
	defer c.Close()
	s := c.Status()
	r.step("look at its status")
	switch s {
	case Created:
	case Stopped:
		return fmt.Errorf("start container %q: cannot start a container that has stopped; delete it, and create it again", id)
	default:
		return fmt.Errorf("start container %q: cannot start an already running container: it is %s", id, s)
	}
	fifo, err := c.entry.Starter()
	if err == unix.ENXIO {
		return c.ended()
	}
	if err != nil {
		return fmt.Errorf("start container %q: open %q: %w", id, c.entry.Path(state.StartFile), err)
	}
	defer unix.Close(fifo)
	tell, err := c.manager(r.Notify)
	if err != nil {
		return err
	}
	defer tell.close()
	// With no reader left the kernel would send SIGPIPE, which Go takes.
	if _, err := unix.Write(fifo, []byte{0}); err != nil {
		return c.ended()
	}
	if err := c.awaitExec(fifo); err != nil {
		return r.undo(c, err)
	}
	r.step("wait for its command")
	if c.Hooks {
		if err := r.started(c); err != nil {
			return err
		}
	}
	return tell.relay()
}

// started runs the hooks that come when the command runs, if it does.
func (r *Runtime) started(c *Container) error {
	sc, err := c.Spec()
	if err != nil {
		return err
	}
	if sc.Hooks != nil && len(sc.Hooks.StartContainer) > 0 && !c.passed() {
		return c.ended()
	}
	return r.undo(c, c.poststart(sc))
}

// passed says whether its startContainer hooks have succeeded.
func (c *Container) passed() bool {
	text, err := c.entry.Read(state.FailureFile)
	return err == nil && len(text) >= 8 && binary.NativeEndian.Uint64([]byte(text)) == container.HooksPassed
}

// awaitExec waits until the child has closed the fifo: by execve, or by its end.
// That alone would be in the hands of whoever else had it open, so the child is
// looked at, too.
func (c *Container) awaitExec(fifo int) error {
	for fds := []unix.PollFd{{Fd: int32(fifo)}}; ; { // POLLERR: nobody reads
		n, err := unix.Poll(fds, 50)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("start container %q: wait for its command: %w", c.ID, err)
		}
		if n > 0 || !c.waiting() {
			break
		}
	}
	if err := c.failure(); err != nil {
		return err
	}
	// One that ended before its execve has not read its byte, or still has the name
	// from before, as long as nobody has collected it.
	start, zombie, name, err := born(c.Pid)
	if gone := err != nil || start != c.Start; gone && c.unread() || !gone && zombie && name == waitingName {
		return c.ended()
	}
	return nil
}

// waiting says whether its first process is there, and has not executed its
// command.
func (c *Container) waiting() bool {
	_, _, name, err := born(c.Pid)
	return err == nil && name == waitingName && alive(c.Pid, c.Start)
}

// unread says whether the byte that starts the command is still in the fifo, which
// somebody holds open.
func (c *Container) unread() bool {
	fd, err := c.entry.Waiter()
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, make([]byte, 1))
	return err == nil && n == 1
}

// waitingName is what the kernel calls a child until it executes its command.
const waitingName = "isoperf/init"

// failure is why the command could not be executed, as the child wrote it down.
func (c *Container) failure() error {
	text, err := c.entry.Read(state.FailureFile)
	if err != nil || len(text) < 8 {
		return nil // it was executed
	}
	sc, err := c.Spec()
	if err != nil {
		return err
	}
	value := int64(binary.NativeEndian.Uint64([]byte(text)))
	if value == container.HooksPassed {
		if text = text[8:]; len(text) < 8 {
			return nil
		}
		value = int64(binary.NativeEndian.Uint64([]byte(text)))
	}
	if value > 0 {
		return c.hookFailure(sc, int(value)-container.StartMark, text[8:])
	}
	errno, command := syscall.Errno(-value), sc.Process.Args[0]
	return fmt.Errorf("start container %q: exec: %q: %w", c.ID, command, notExecutable(command, errno))
}

// hookFailure is why a startContainer hook failed.
func (c *Container) hookFailure(sc *spec.Container, i int, text string) error {
	if sc.Hooks == nil || i >= len(sc.Hooks.StartContainer) || len(text) < 8 {
		return fmt.Errorf("start container %q: %q cannot be understood", c.ID, c.entry.Path(state.FailureFile))
	}
	value, h, name := int64(binary.NativeEndian.Uint64([]byte(text))), sc.Hooks.StartContainer[i], hook.Name("startContainer", i)
	var err error
	switch {
	case value < 0:
		err = fmt.Errorf("%s: execute %q: %w; it is looked for inside the container", name, h.Path, syscall.Errno(-value))
	case value == program.SideTimeout && h.Timeout != nil:
		err = fmt.Errorf("%s: run %q: it had not ended after %d s, its timeout, and was killed", name, h.Path, *h.Timeout)
	default:
		err = fmt.Errorf("%s: run %q: %s", name, h.Path, hook.Ending(unix.WaitStatus(value)))
	}
	return &hookError{fmt.Errorf("start container %q: %w", c.ID, err)}
}

// ended is the error of a container that ended before its command was executed.
func (c *Container) ended() error {
	if err := c.failure(); err != nil {
		return err
	}
	return fmt.Errorf("start container %q: its process %d ended before the command was executed: it was killed, or ran out of memory", c.ID, c.Pid)
}

// notExecutable is an error of execve, in the words that engines look for.
func notExecutable(command string, errno syscall.Errno) error {
	if errno == unix.ENOENT && !strings.Contains(command, "/") {
		return fmt.Errorf("executable file not found in $PATH: %w", errno)
	}
	return errno
}

// Spec is the container's configuration, as it was when it was created; its
// limits are those of the last update.
func (c *Container) Spec() (*spec.Container, error) {
	sc, err := spec.Load(c.entry.Dir())
	if err != nil {
		return nil, fmt.Errorf("read the configuration of container %q: %w", c.ID, err)
	}
	sc.ID, sc.Bundle = c.ID, c.Bundle
	limits, err := c.resources()
	if err != nil {
		return nil, fmt.Errorf("read the limits of container %q: %w", c.ID, err)
	}
	if limits != nil && sc.Linux != nil {
		sc.Linux.Resources = limits
	}
	return sc, nil
}

// awaitEnd waits for the end of a process, bounded.
func awaitEnd(pidfd int, patience time.Duration) error {
	end := time.Now().Add(patience)
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		left := time.Until(end)
		n, err := unix.Poll(fds, int(max(0, left.Milliseconds())))
		switch {
		case err != nil && err != unix.EINTR:
			return err
		case n > 0:
			return nil
		case left <= 0:
			return errors.New("it has not ended")
		}
	}
}
