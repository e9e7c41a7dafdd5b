package lifecycle

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/rootfs"
	"isoperf/runtime/spec"
	"isoperf/runtime/state"
)

// ErrNotRunning says that there is nobody to send a signal to.
var ErrNotRunning = errors.New("container not running")

// Kill sends a signal to the container's first process, or to all of its
// processes. SIGKILL also reaches those of a container that shares its pid
// namespace, which do not end with the first one.
func (r *Runtime) Kill(id string, sig syscall.Signal, all bool) (err error) {
	c, err := r.Open(id)
	if err != nil {
		return err
	}
	defer c.Close()
	switch s := c.Status(); {
	case s == Creating:
		return fmt.Errorf("kill container %q: it is being created", id)
	case s == Stopped && !all:
		return fmt.Errorf("kill container %q: %w", id, ErrNotRunning)
	}
	if all {
		return c.signalAll(sig)
	}
	if sig == unix.SIGKILL && c.Group.Frozen() {
		// What version 1 has frozen does not die; version 2's does.
		defer func() { err = errors.Join(err, c.thaw()) }()
	}
	// Also when the group is killed: the first process may have left it.
	if err := c.signalFirst(sig); err != nil {
		return err
	}
	if sig == unix.SIGKILL && c.SharesPids {
		return c.killGroup()
	}
	return nil
}

// signalFirst sends a signal to the first process.
func (c *Container) signalFirst(sig syscall.Signal) error {
	pidfd, err := c.openProcess()
	if err == nil {
		err = unix.PidfdSendSignal(pidfd, sig, nil, 0)
		unix.Close(pidfd)
	}
	switch {
	case err == unix.ESRCH:
		return fmt.Errorf("kill container %q: %w", c.ID, ErrNotRunning)
	case err != nil:
		return fmt.Errorf("kill container %q: send signal %d to process %d: %w", c.ID, sig, c.Pid, err)
	}
	return nil
}

// killGroup kills what is in the container's group, if it has one.
func (c *Container) killGroup() error {
	g, err := c.group()
	if err != nil || g == nil {
		return err
	}
	defer g.Close()
	return g.Kill()
}

// thaw lets a paused container go on, which was killed.
func (c *Container) thaw() error {
	g, err := c.group()
	if g == nil || err != nil {
		return err
	}
	defer g.Close()
	return g.Thaw()
}

// sharesPids says whether a container has no pid namespace of its own.
func sharesPids(sc *spec.Container) bool {
	n, ok := sc.Namespace("pid")
	return !ok || n.Path != ""
}

// signalAll sends a signal to every process of the group. Without a first process
// nobody knows whether the group is the container's: its making was cut short.
func (c *Container) signalAll(sig syscall.Signal) error {
	if c.Pid == 0 {
		return fmt.Errorf("kill container %q: %w: it was not made completely: delete it", c.ID, ErrNotRunning)
	}
	g, err := c.group()
	if err != nil {
		return err
	}
	if g == nil {
		return fmt.Errorf("kill container %q: it has no control group, so only its first process is known: leave --all out", c.ID)
	}
	defer g.Close()
	if sig != unix.SIGKILL {
		return g.Signal(sig)
	}
	if err := c.signalFirst(sig); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	return g.Kill()
}

// group is the container's control group; nil: it has none, or none any more.
func (c *Container) group() (*cgroup.Group, error) {
	if len(c.Group.Dirs) == 0 && c.Group.Unit == "" {
		return nil, nil
	}
	host, err := cgroup.Detect()
	if err != nil {
		return nil, err
	}
	return cgroup.Find(host, c.Group)
}

// patience is how long Delete waits for a process that it has killed.
const patience = 10 * time.Second

// Delete removes a container that has stopped, or was never started; with force,
// any, also what a crash left of one. With force, one that is not there is fine.
// The processes that are left in its control group are killed.
func (r *Runtime) Delete(id string, force bool) error {
	e, err := r.Root.Open(id)
	if err != nil {
		if force && errors.Is(err, state.ErrNotExist) {
			return nil
		}
		return err
	}
	c := &Container{entry: e}
	defer c.Close()
	if force {
		// Without the lock: who holds it may be waiting for the container.
		if c.State, err = e.Load(); err == nil {
			c.kill()
		}
		err = e.LockAnyway()
	} else {
		err = e.Lock()
	}
	if err != nil {
		if force && errors.Is(err, state.ErrNotExist) {
			return nil
		}
		return err
	}
	c.State, err = e.Load()
	switch {
	case err == nil:
	case force && errors.Is(err, os.ErrNotExist):
		return e.Remove() // there is nothing of it elsewhere
	default:
		return err
	}
	r.step("lock, look at its status")
	defer r.step("remove it")
	if s := c.Status(); !force && s != Stopped && s != Created {
		return fmt.Errorf("delete container %q: cannot delete container %s that is not stopped: %s", id, id, s)
	}
	if c.Pid == 0 {
		return c.removeHalf(force)
	}
	return r.remove(c, force)
}

// kill kills the first process, if there is one.
func (c *Container) kill() {
	if pidfd, err := c.openProcess(); err == nil {
		_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) // what is left, remove deals with
		unix.Close(pidfd)
	}
}

// removeHalf removes what a create that was cut short has left. It wrote down its
// control groups before it made them or found that they are another's: nothing is
// killed, and what is not empty stays, which without force is an error.
func (c *Container) removeHalf(force bool) error {
	g, err := c.group()
	if err != nil {
		return err
	}
	if g != nil {
		defer g.Close()
		if err := g.RemoveEmpty(); err != nil && !(force && errors.Is(err, unix.EBUSY)) {
			return fmt.Errorf("delete container %q: %w; with --force it stays", c.ID, err)
		}
	}
	return c.entry.Remove()
}

// remove ends what is left of the container, and removes it.
func (c *Container) remove(force bool) error {
	pidfd, err := c.openProcess()
	switch {
	case err == nil:
		defer unix.Close(pidfd)
		if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
			return fmt.Errorf("delete container %q: kill process %d: %w", c.ID, c.Pid, err)
		}
	case err != unix.ESRCH:
		return fmt.Errorf("delete container %q: open process %d: %w", c.ID, c.Pid, err)
	case c.Group.Remove(): // nobody was left in it
		if err := c.unmount(); err != nil {
			return err
		}
		return c.entry.Remove()
	}
	g, gerr := c.group()
	if gerr != nil {
		return gerr
	}
	if g != nil {
		defer g.Close()
	}
	// With a pid namespace of its own all its processes have ended with the first
	// one: what is left in the group would be somebody else's.
	if g != nil && (err == nil || c.SharesPids || c.Pid == 0 || force) {
		if err := g.Kill(); err != nil {
			return err
		}
		if c.Group.Frozen() {
			// What is frozen does not die.
			if err := g.Thaw(); err != nil {
				return err
			}
		}
	}
	if err == nil {
		if err := awaitEnd(pidfd, patience); err != nil {
			return fmt.Errorf("delete container %q: process %d was killed %v ago: %w; it may be in an uninterruptible sleep", c.ID, c.Pid, patience, err)
		}
	}
	if g != nil {
		if err := g.Remove(); err != nil {
			return err
		}
	}
	if err := c.unmount(); err != nil {
		return err
	}
	return c.entry.Remove()
}

// unmount removes the mounts of a container that has made them on the host.
func (c *Container) unmount() error {
	text, err := c.entry.Read(state.MountFile)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("delete container %q: %w", c.ID, err)
	}
	before, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("delete container %q: read %q: %w; unmount %q, and remove the file", c.ID, c.entry.Path(state.MountFile), err, c.Rootfs)
	}
	if err := rootfs.Unmount(c.Rootfs, before); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("delete container %q: %w", c.ID, err)
	}
	return nil
}
