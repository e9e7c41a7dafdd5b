package follow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ending ends a tree from another goroutine than the tracer's.
type ending struct {
	mu    sync.Mutex
	alive map[int]bool // processes that have not been collected
	why   string
}

func (e *ending) add(pid int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.alive[pid] = true
}

func (e *ending) remove(pid int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.alive, pid)
}

func (e *ending) reason() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.why
}

// kill sends a signal to one process that is alive, or to all: pid 0. It says
// whether there was one.
func (e *ending) kill(pid int, signal unix.Signal) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	sent := false
	for p := range e.alive {
		if pid == 0 || p == pid {
			// One that has ended meanwhile is a zombie until it is collected.
			sent = unix.Kill(p, signal) == nil || sent
		}
	}
	return sent
}

// watch ends the tree when the context is done or the time is up: SIGTERM to
// the command, and SIGKILL to all that is left when it has ended or its grace
// is over. What it returns must be called when the tree has ended.
func (t *tracer) watch(ctx context.Context) (ended func()) {
	var cancel context.CancelFunc = func() {}
	if t.options.Limit > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, t.options.Limit, fmt.Errorf("the time of %v was up", t.options.Limit))
	}
	over, done := make(chan struct{}), make(chan struct{})
	command := t.command.Pid()
	go func() {
		defer close(done)
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
		e := &t.ending
		e.mu.Lock()
		e.why = reasonOf(ctx)
		e.mu.Unlock()
		deadline := time.Now().Add(t.options.Grace)
		e.kill(command, unix.SIGTERM)
		e.kill(command, unix.SIGCONT) // a stopped process does not end
		const pause = 10 * time.Millisecond
		for time.Now().Before(deadline) && e.kill(command, 0) {
			if !wait(over, pause) {
				return
			}
		}
		for { // children that are born meanwhile, too
			e.kill(0, unix.SIGKILL)
			if !wait(over, pause) {
				return
			}
		}
	}()
	return func() {
		close(over)
		<-done
		cancel()
	}
}

// reasonOf is why a context was done.
func reasonOf(ctx context.Context) string {
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err.Error()
	}
	return "it was interrupted"
}

// wait pauses; false: the tree has ended.
func wait(over <-chan struct{}, pause time.Duration) bool {
	select {
	case <-over:
		return false
	case <-time.After(pause):
		return true
	}
}
