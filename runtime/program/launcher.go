package program

import (
	"errors"
	"runtime"
	"sync"
)

// Launcher is a thread to start children from. PR_SET_PDEATHSIG fires when the
// thread that cloned a child ends, and Go ends threads as it sees fit; a
// launcher's thread stays until Close. It is also the place for what belongs
// to one thread: a namespace, a v1 cgroup's tasks file, an affinity mask.
type Launcher struct {
	mu     sync.RWMutex // held for reading by Do; Close waits for those
	closed bool
	work   chan func()
	ended  chan struct{}
}

// NewLauncher starts a thread.
func NewLauncher() *Launcher {
	l := &Launcher{work: make(chan func()), ended: make(chan struct{})}
	go l.run()
	return l
}

func (l *Launcher) run() {
	// Never unlocked: the runtime ends the thread with its goroutine, rather
	// than let others run on a thread that may be in another namespace.
	runtime.LockOSThread()
	defer close(l.ended)
	for f := range l.work {
		f()
	}
}

// Do runs f on the launcher's thread and waits until it has returned. Calls
// from several goroutines are run one after the other. f must not call Do nor
// Close of its launcher, and not runtime.Goexit. After Close, Do panics.
func (l *Launcher) Do(f func()) {
	if !l.do(f) {
		panic("program: Do on a closed Launcher")
	}
}

func (l *Launcher) do(f func()) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return false
	}
	done := make(chan struct{})
	l.work <- func() {
		defer close(done)
		f()
	}
	<-done
	return true
}

// Start starts a program on the launcher's thread.
func (l *Launcher) Start(p *Program) (*Process, error) {
	var proc *Process
	err := errors.New("start program: its launcher is closed")
	l.do(func() { proc, err = Start(p) })
	return proc, err
}

// Close ends the thread, and with it every child that dies with its parent and
// still runs. Closing again does nothing.
func (l *Launcher) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.work)
	}
	l.mu.Unlock()
	<-l.ended
}
