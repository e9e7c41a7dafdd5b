package startup

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/container"
	"isoperf/runtime/program"
	"isoperf/runtime/spec"
	"isoperf/workloads/payload"
)

// library starts containers from this very process, as a program would that has
// the runtime as a library: everything from reading the bundle on is counted.
// The starts are made by one thread, with which the containers would die.
type library struct {
	w      *world
	setup  setup
	bundle string
	out    pipe
	work   chan func()
	done   chan struct{}
}

func newLibrary(w *world, f *found) (harness.Sampler, error) {
	l := &library{w: w, setup: f.setup, work: make(chan func()), done: make(chan struct{})}
	// "RUNTIME run -b BUNDLE ID": the same bundle.
	l.bundle = f.start.argv[len(f.start.argv)-2]
	if !filepath.IsAbs(l.bundle) {
		return nil, fmt.Errorf("find the bundle of the library in %q", f.start.argv)
	}
	var err error
	if l.out, err = newPipe(); err != nil {
		return nil, err
	}
	go func() {
		defer close(l.done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for f := range l.work {
			f()
		}
	}()
	return l, nil
}

// Sample starts n times.
func (l *library) Sample(n int, emit func([]sample.Value, error)) {
	finished := make(chan struct{})
	l.work <- func() {
		defer close(finished)
		for range n {
			o, err := l.one()
			if err != nil {
				emit(nil, fmt.Errorf("start by the library: %w", err))
				continue
			}
			emit(o.values(0), nil)
		}
	}
	<-finished
}

func (l *library) one() (o one, err error) {
	user, system, err := cpuTime()
	if err != nil {
		return o, err
	}
	o.entered = program.Now()
	c, err := spec.Load(l.bundle)
	if err != nil {
		return o, err
	}
	c.ID, c.LoopbackUp = l.setup.id, true
	if err := c.Check(); err != nil {
		return o, err
	}
	null := int(l.w.null.Fd())
	ct, err := container.Start(context.Background(), c, container.Options{Stdio: [3]int{null, int(l.out.w.Fd()), null}}, nil)
	if err != nil {
		return o, err
	}
	defer ct.Release()
	timer := time.AfterFunc(l.setup.peer.bound(), func() { _ = ct.Signal(unix.SIGKILL) }) // it may have ended
	defer timer.Stop()
	_ = ct.Confirm(nil) // Wait says better what went wrong
	status, err := ct.Wait()
	o.total = program.Now() - o.entered
	if err == nil && !status.Success() {
		err = fmt.Errorf("the payload ended with %v", status)
	}
	if err != nil {
		return o, err
	}
	text, err := l.out.read()
	if err != nil {
		return o, err
	}
	if len(l.w.config.Exec) == 0 {
		at, err := payload.ParseStamp(text)
		if err != nil {
			return o, err
		}
		o.ready = at - o.entered
	}
	if o.user, o.system, err = cpuTime(); err != nil {
		return o, err
	}
	o.user, o.system = o.user-user, o.system-system
	return o, nil
}

// cpuTime is that of this thread, and of the children that were waited for.
func cpuTime() (user, system time.Duration, err error) {
	for _, who := range []int{unix.RUSAGE_CHILDREN, unix.RUSAGE_THREAD} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err != nil {
			return 0, 0, fmt.Errorf("read the CPU time: %w", err)
		}
		user += time.Duration(u.Utime.Nano())
		system += time.Duration(u.Stime.Nano())
	}
	return user, system, nil
}

// Close ends the thread.
func (l *library) Close() error {
	close(l.work)
	<-l.done
	l.out.close()
	return nil
}
