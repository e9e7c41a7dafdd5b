// Package foreground runs a container and stands for it: whoever started the
// runtime deals with it as with the command itself.
//
//	signals ─────────► forward ──────────► command
//	person's terminal ◄─► terminal.Session ◄─► the container's
//	exit status ◄──────────────────────────── its end
package foreground

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/container"
	"isoperf/runtime/program"
	"isoperf/runtime/spec"
	"isoperf/runtime/terminal"
)

// Options say how to stand for a container.
type Options struct {
	Container container.Options // Stdio and Console are set by Run
	Connect   container.Connect
	In, Out   *os.File // the person's; Err goes to the command as it is
	Err       *os.File
	// StopTimeout is how long after the first SIGINT or SIGTERM the container
	// is killed; 0: only by the second.
	StopTimeout time.Duration
	// Started is called when the child has been launched; nil: not.
	Started func(*container.Container) error
	// Idle is called while the child gets ready, when there is nothing else to
	// do; nil: not.
	Idle func(*container.Container)
	// Warn is told what the plan warns of; nil: nobody is.
	Warn func(text string)
	// Timed looks when the command's execution is over, which takes a wake-up of
	// the launcher more.
	Timed bool
	// Final says that this process ends when Run has returned without an error:
	// the signals' handlers stay then, which are many.
	Final bool
}

// Result is how it went.
type Result struct {
	Status    program.Status
	Container *container.Container // for its timeline; nil when it was not started
	Executed  int64                // when the command's execution was seen, CLOCK_MONOTONIC in nanoseconds; 0: not looked for
}

// Prepare is the plan of a container as Run would start it. It opens nothing,
// so the console has a number that stands for it.
func Prepare(c *spec.Container, o Options) (*container.Plan, error) {
	o.Container.Stdio, o.Container.Ahead = [3]int{0, 1, 2}, true
	if c.Process.Terminal && ownPts(c) {
		o.Container.Console = 3
	}
	return container.New(c, o.Container)
}

// ownPts says whether the container has a /dev/pts of its own, in which its
// terminal is made.
func ownPts(c *spec.Container) bool {
	for _, m := range c.Mounts {
		if m.Type == "devpts" && m.Destination == "/dev/pts" {
			return true
		}
	}
	return false
}

// Run starts the container, stands for it, and returns when it has ended. The
// calling goroutine must be locked to a thread; see container.Plan.Start.
func Run(c *spec.Container, o Options) (_ Result, err error) {
	o.Container.Stdio = [3]int{int(o.In.Fd()), int(o.Out.Fd()), int(o.Err.Fd())}
	t, err := openTerminal(c, &o)
	if err != nil {
		return Result{}, err
	}
	defer t.close()
	// From before the start, so that no signal is lost. The terminal's size is
	// the session's business, which also has to know when it is continued.
	var except []syscall.Signal
	if t.wanted {
		except = []syscall.Signal{unix.SIGWINCH, unix.SIGCONT}
	}
	signals, err := catch(except...)
	if err != nil {
		return Result{}, err
	}
	defer func() {
		if err != nil || !o.Final {
			signals.stop()
		}
	}()
	pl, err := container.Begin(c, o.Container)
	if err != nil {
		return Result{}, err
	}
	defer pl.Poststop(o.warn)
	var ct *container.Container
	err = signals.until(o.Connect != nil || c.Hooks != nil, func(ctx context.Context) error {
		ct, err = pl.Start(ctx, o.Connect)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	for _, text := range ct.Plan().Warnings() {
		o.warn(errors.New(text))
	}
	session, err := t.attach(o)
	executed := int64(0)
	if err == nil {
		executed, err = o.accompany(ct, signals, c.Hooks != nil)
	}
	if err != nil {
		_ = ct.Signal(unix.SIGKILL) // it may have ended; Wait says how
	}
	stand(ct, signals, o.StopTimeout)
	status, werr := ct.Wait()
	if session != nil {
		err = errors.Join(err, session.Close())
	}
	return Result{Status: status, Container: ct, Executed: executed}, errors.Join(werr, err)
}

// accompany does what there is to do from the launch to the command's execution,
// which is returned; see Result.
func (o *Options) accompany(ct *container.Container, signals *catcher, hooks bool) (executed int64, err error) {
	if o.Started != nil {
		if err := o.Started(ct); err != nil {
			return 0, err
		}
	}
	// Whatever else it says, Wait says it better.
	if ct.Confirm(signals.interrupted) == program.ErrInterrupted {
		return 0, errors.New("interrupted while the container was starting")
	}
	// While the container starts, what others left is removed.
	if _, err := ct.Plan().Sweep(); err != nil {
		o.warn(err)
	}
	if o.Idle != nil {
		o.Idle(ct)
	}
	if hooks {
		if err := signals.until(true, ct.Poststart); err != nil {
			return 0, err
		}
	}
	if o.Timed && ct.WaitExec() == nil {
		executed = program.Now()
	}
	return executed, nil
}

func (o *Options) warn(err error) {
	if o.Warn != nil {
		o.Warn(err.Error())
	}
}

// stand sends signals on until the container has ended. A command that is the
// first process of its pid namespace, and has no handler for SIGINT or SIGTERM,
// does not notice them: then the second one kills.
func stand(c *container.Container, signals *catcher, timeout time.Duration) {
	asked := 0
	var deadline time.Time // of the kill; zero: none
	fds := []unix.PollFd{{Fd: int32(c.Process().Pidfd()), Events: unix.POLLIN}, {Fd: int32(signals.r), Events: unix.POLLIN}}
	for {
		wait := -1
		if signals.pending() {
			wait = 0
		}
		if !deadline.IsZero() {
			wait = max(0, int(time.Until(deadline).Milliseconds()))
		}
		n, err := unix.Poll(fds, wait)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || fds[0].Revents != 0:
			return
		case n == 0 && !signals.pending():
			_ = c.Signal(unix.SIGKILL) // it may have ended; the next poll says so
			deadline = time.Time{}
			continue
		}
		for _, sig := range signals.take() {
			if sig == unix.SIGINT || sig == unix.SIGTERM {
				if asked++; asked > 1 && !c.Catches(sig) {
					sig = unix.SIGKILL
				} else if timeout > 0 {
					deadline = time.Now().Add(timeout)
				}
			}
			_ = c.Signal(sig) // as above
		}
	}
}

// tty is the launcher's end of the container's terminal.
type tty struct {
	wanted        bool
	master, slave *os.File // one of the host
	ours, theirs  int      // or a pair of sockets, for one of the container's
}

// openTerminal prepares a terminal, when the container is to have one.
func openTerminal(c *spec.Container, o *Options) (*tty, error) {
	t := &tty{wanted: c.Process.Terminal, ours: -1, theirs: -1}
	if !t.wanted {
		return t, nil
	}
	if ownPts(c) || o.Container.Entered != nil {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("make a pair of sockets for the terminal: %w", err)
		}
		t.ours, t.theirs = pair[0], pair[1]
		o.Container.Console = t.theirs
		// The terminal takes their place, before the command runs.
		return t, nil
	}
	var err error
	if t.master, t.slave, err = terminal.Pair(); err != nil {
		return nil, err
	}
	if b := c.Process.ConsoleSize; b != nil {
		size := &unix.Winsize{Row: uint16(b.Height), Col: uint16(b.Width)}
		if err := unix.IoctlSetWinsize(int(t.slave.Fd()), unix.TIOCSWINSZ, size); err != nil {
			t.close()
			return nil, fmt.Errorf("process.consoleSize: set the size of the terminal: %w", err)
		}
	}
	fd := int(t.slave.Fd())
	o.Container.Stdio = [3]int{fd, fd, fd}
	return t, nil
}

// attach connects the person to it.
func (t *tty) attach(o Options) (*terminal.Session, error) {
	if !t.wanted {
		return nil, nil
	}
	master := t.master
	if t.ours >= 0 {
		// With our copy of the child's end closed, a child that ends before it
		// has sent anything is the end of the stream.
		unix.Close(t.theirs)
		t.theirs = -1
		var err error
		if master, err = terminal.Receive(t.ours); err != nil {
			return nil, err
		}
	} else {
		t.slave.Close()
		t.slave = nil
	}
	t.master = nil
	return terminal.Attach(master, o.In, o.Out)
}

func (t *tty) close() {
	for _, f := range []*os.File{t.master, t.slave} {
		if f != nil {
			f.Close()
		}
	}
	for _, fd := range []int{t.ours, t.theirs} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
