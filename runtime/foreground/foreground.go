// Package foreground runs a container and stands for it: whoever started the
// runtime deals with it as with the command itself.
//
//	signals ─────────► forward ──────────► command
//	person's terminal ◄─► terminal.Session ◄─► the container's
//	exit status ◄──────────────────────────── its end
package foreground

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
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
	// Warn is told what the plan warns of; nil: nobody is.
	Warn func(text string)
}

// Result is how it went.
type Result struct {
	Status    program.Status
	Container *container.Container // for its timeline; nil when it was not started
}

// Prepare is the plan of a container as Run would start it. It opens nothing,
// so the console has a number that stands for it.
func Prepare(c *spec.Container, o Options) (*container.Plan, error) {
	o.Container.Stdio = [3]int{0, 1, 2}
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
func Run(c *spec.Container, o Options) (Result, error) {
	o.Container.Stdio = [3]int{int(o.In.Fd()), int(o.Out.Fd()), int(o.Err.Fd())}
	t, err := openTerminal(c, &o)
	if err != nil {
		return Result{}, err
	}
	defer t.close()
	plan, err := container.New(c, o.Container)
	if err != nil {
		return Result{}, err
	}
	if o.Warn != nil {
		for _, text := range plan.Warnings() {
			o.Warn(text)
		}
	}
	// From before the start, so that no signal is lost.
	signals := make(chan os.Signal, 128)
	signal.Notify(signals, program.Forwardable()...)
	defer signal.Stop(signals)
	connect := o.Connect
	ct, err := plan.Start(connect)
	if err != nil {
		return Result{}, err
	}
	stop := forward(ct, signals, o.StopTimeout, c.Process.Terminal)
	defer stop()
	session, err := t.attach(ct, o)
	if err == nil && o.Started != nil {
		err = o.Started(ct)
	}
	if err != nil {
		_ = ct.Signal(unix.SIGKILL) // it may have ended; Wait says how
	}
	status, werr := ct.Wait()
	if session != nil {
		err = errors.Join(err, session.Close())
	}
	if err = errors.Join(werr, err); err != nil {
		return Result{Status: status, Container: ct}, err
	}
	return Result{Status: status, Container: ct}, nil
}

// forward sends signals on until stop is called. The second SIGINT or SIGTERM
// kills: a command that is the first process of its pid namespace, and has no
// handler for them, does not notice them.
func forward(c *container.Container, signals chan os.Signal, timeout time.Duration, terminal bool) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		asked := 0
		var kill <-chan time.Time
		for {
			select {
			case <-over:
				return
			case <-kill:
				_ = c.Signal(unix.SIGKILL) // it may have ended
			case sig := <-signals:
				if sig == unix.SIGWINCH && terminal {
					continue // the session gives the size on, which tells the command
				}
				if sig == unix.SIGINT || sig == unix.SIGTERM {
					if asked++; asked > 1 {
						_ = c.Signal(unix.SIGKILL)
						continue
					}
					if timeout > 0 {
						kill = time.After(timeout)
					}
				}
				_ = c.Signal(sig.(syscall.Signal))
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(over)
		<-ended
	})
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
	if ownPts(c) {
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
	fd := int(t.slave.Fd())
	o.Container.Stdio = [3]int{fd, fd, fd}
	return t, nil
}

// attach connects the person to it.
func (t *tty) attach(ct *container.Container, o Options) (*terminal.Session, error) {
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
