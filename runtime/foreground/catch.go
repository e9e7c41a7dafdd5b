package foreground

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// catcher turns signals into bytes of a pipe, from which they are read when
// their turn comes. It replaces os/signal because that takes a round through
// another thread for each signal that is asked for: one millisecond for all
// that can be forwarded, as long as a container takes to start.
type catcher struct {
	r       int
	kept    []kept
	ignored uint64           // bit n-1: signal n was ignored before
	got     []syscall.Signal // read from the pipe, and not taken yet
}

type kept struct {
	sig    int
	action action
}

// action is the kernel's struct sigaction.
type action struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// catchFd is the pipe's other end; the handler reads it. There is one catcher
// in a process at a time, as there is one set of signal handlers.
var catchFd int32 = -1

// handlerEntry is the address of the handler, in assembly: it writes the signal
// as one byte.
func handlerEntry() uintptr

// restorerEntry is the address of what returns from the handler.
func restorerEntry() uintptr

// catch begins to catch signals, except those that are ignored: whoever ignored
// SIGHUP meant the command too (nohup).
func catch(except ...syscall.Signal) (*catcher, error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make a pipe for signals: %w", err)
	}
	c := &catcher{r: pipe[0], kept: make([]kept, 0, 64)}
	catchFd = int32(pipe[1])
	const onStack, restart, restorer = 0x0800_0000, 0x1000_0000, 0x0400_0000
	ours := action{handler: handlerEntry(), flags: onStack | restart | restorer, restorer: restorerEntry(), mask: ^uint64(0)}
next:
	for _, s := range program.Forwardable() {
		sig := s.(syscall.Signal)
		for _, e := range except {
			if sig == e {
				continue next
			}
		}
		old := kept{sig: int(sig)}
		err := sigaction(int(sig), &ours, &old.action)
		if err == nil && old.action.handler == ignored {
			// It may have come in between; take leaves it out.
			if err = sigaction(int(sig), &old.action, nil); err == nil {
				c.ignored |= 1 << (sig - 1)
				continue
			}
		}
		if err != nil {
			c.stop()
			return nil, err
		}
		c.kept = append(c.kept, old)
	}
	return c, nil
}

const ignored = 1 // SIG_IGN

func sigaction(sig int, set, old *action) error {
	_, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("rt_sigaction of "+syscall.Signal(sig).String(), errno)
	}
	return nil
}

// read reads the signals that were caught from the pipe.
func (c *catcher) read() {
	var buf [64]byte
	n, err := unix.Read(c.r, buf[:])
	if err != nil {
		return // there are none
	}
	for _, b := range buf[:n] {
		if c.ignored&(1<<(b-1)) != 0 {
			continue
		}
		c.got = append(c.got, syscall.Signal(b))
	}
}

// take gives the signals that were caught, in order.
func (c *catcher) take() []syscall.Signal {
	c.read()
	list := c.got
	c.got = nil
	return list
}

// pending says whether there are signals to take.
func (c *catcher) pending() bool {
	c.read()
	return len(c.got) > 0
}

// interrupted says whether one of them means that the start should end.
func (c *catcher) interrupted() bool {
	c.read()
	for _, sig := range c.got {
		switch sig {
		case unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT:
			return true
		}
	}
	return false
}

// until calls f with a context that a signal ends, when it is to be watched for;
// meanwhile the signals are not the caller's.
func (c *catcher) until(watched bool, f func(context.Context) error) error {
	if !watched {
		return f(context.Background())
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		c.cancel(ctx, cancel)
	}()
	err := f(ctx)
	cancel(nil)
	<-watching
	return err
}

// cancel ends a context when a signal comes, until the context ends otherwise.
func (c *catcher) cancel(ctx context.Context, cancel context.CancelCauseFunc) {
	for ctx.Err() == nil {
		if c.interrupted() {
			cancel(errors.New("interrupted by a signal"))
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stop puts the handlers back that were there.
func (c *catcher) stop() {
	for _, k := range c.kept {
		// It was taken from the kernel, which takes it back.
		_ = sigaction(k.sig, &k.action, nil)
	}
	w := catchFd
	catchFd = -1
	unix.Close(int(w))
	unix.Close(c.r)
}
