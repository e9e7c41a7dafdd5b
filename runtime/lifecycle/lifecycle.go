package lifecycle

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/container"
	"isoperf/runtime/state"
)

// Runtime is a runtime with its containers.
type Runtime struct {
	Root state.Root
	// Systemd says that systemd is to make the control groups of what is created.
	Systemd bool
	// Warn is told what goes on without what was asked for; nil: nobody is.
	Warn func(text string)
	// Notify is the socket of a service manager, to be told by Start when the
	// container is ready; empty: there is none. See package notify.
	Notify string
	// Step is told the name of each step of a command when it ends, and Ready of
	// a container that waits for its start; nil: nobody is.
	Step  func(name string)
	Ready func(*container.Container)
}

// step ends a step.
func (r *Runtime) step(name string) {
	if r.Step != nil {
		r.Step(name)
	}
}

// Status is where a container is in its life, in OCI's words.
type Status string

// The statuses.
const (
	Creating Status = "creating"
	Created  Status = "created"
	Running  Status = "running"
	Paused   Status = "paused"
	Stopped  Status = "stopped"
)

// Container is a container that there is.
type Container struct {
	*state.State
	entry *state.Entry
}

// Open finds a container. Close gives it back.
func (r *Runtime) Open(id string) (*Container, error) {
	e, err := r.Root.Open(id)
	if err != nil {
		return nil, err
	}
	s, err := e.Load()
	if errors.Is(err, os.ErrNotExist) {
		again, gone := r.Root.Open(id)
		if errors.Is(gone, state.ErrNotExist) {
			err = gone
		} else if gone == nil {
			again.Close()
		}
	}
	if err != nil {
		e.Close()
		return nil, err
	}
	return &Container{State: s, entry: e}, nil
}

// open is Open with the lock held.
func (r *Runtime) open(id string) (*Container, error) {
	c, err := r.Open(id)
	if err != nil {
		return nil, err
	}
	if err = c.entry.Lock(); err == nil {
		c.State, err = c.entry.Load() // it may have changed meanwhile
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	r.step("lock")
	return c, nil
}

// Close gives its descriptors back, and the lock.
func (c *Container) Close() { c.entry.Close() }

// Status looks where it is in its life.
func (c *Container) Status() Status {
	switch {
	case (c.Pid == 0 || c.Creating) && c.entry.Busy():
		return Creating
	case c.Pid == 0 || c.Creating || !alive(c.Pid, c.Start):
		return Stopped
	case c.waits():
		return Created
	case c.Group.Frozen():
		return Paused
	}
	return Running
}

// waits says whether it waits for its start: it has the name from before its
// command, and the fifo. Neither is enough: a command can take any name, and
// whoever can open the fifo could hold it. An error that does not say that nobody
// has the fifo is none for it to run.
func (c *Container) waits() bool {
	if !c.waiting() {
		return false
	}
	fd, err := c.entry.Starter()
	if err == nil {
		unix.Close(fd)
	}
	return err != unix.ENXIO && err != unix.ENOENT
}

// born is when a process was, in clock ticks after the machine (field 22 of
// proc_pid_stat(5)). Zombie says that it has ended, and nobody has collected it.
func born(pid int) (start uint64, zombie bool, name string, err error) {
	s, err := readStat(pid)
	if err != nil {
		return 0, false, "", err
	}
	open, end := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')') // a name may contain anything
	if open < 0 || end < open {
		return 0, false, "", fmt.Errorf("read /proc/%d/stat: it is cut: %q", pid, s)
	}
	word := strings.Fields(s[end+1:])
	if len(word) < 20 {
		return 0, false, "", fmt.Errorf("read /proc/%d/stat: it is cut: %q", pid, s)
	}
	start, err = strconv.ParseUint(word[19], 10, 64)
	return start, word[0] == "Z" || word[0] == "X", s[open+1 : end], err
}

// readStat reads /proc/PID/stat at once; an os.File would set the poller up for it.
func readStat(pid int) (string, error) {
	name := "/proc/" + strconv.Itoa(pid) + "/stat"
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	text := make([]byte, 1024) // it has 52 numbers, and a name of 15 characters
	n, err := unix.Read(fd, text)
	if err != nil {
		return "", &os.PathError{Op: "read", Path: name, Err: err}
	}
	return string(text[:n]), nil
}

// alive says whether a process runs, and is the one that it was. One whose first
// thread has ended is a zombie in /proc, while the others run: its descriptor is
// readable when all have ended.
func alive(pid int, start uint64) bool {
	now, zombie, _, err := born(pid)
	if err != nil || now != start || !zombie {
		return err == nil && now == start
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(pidfd)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0)
	return n == 0 && err == nil
}

// openProcess is a descriptor of the container's first process; unix.ESRCH: it
// has ended.
func (c *Container) openProcess() (pidfd int, err error) {
	if c.Pid == 0 || !alive(c.Pid, c.Start) {
		return -1, unix.ESRCH
	}
	switch pidfd, err = unix.PidfdOpen(c.Pid, 0); err {
	case nil:
	case unix.EINVAL, unix.ENOENT: // the number is a thread's now, which is no process
		return -1, unix.ESRCH
	default:
		return -1, err
	}
	if !alive(c.Pid, c.Start) { // asked after the descriptor is fixed to one process
		unix.Close(pidfd)
		return -1, unix.ESRCH
	}
	return pidfd, nil
}
