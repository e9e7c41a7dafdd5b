package clone

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/namespace"
	"isoperf/runtime/program"
)

// hold makes a namespace and returns a descriptor that keeps it.
func hold(n namespace.Namespace) (*os.File, error) {
	p := program.New(program.Stub, n.Flag)
	if n.Flag == unix.CLONE_NEWTIME {
		// Only a child that does not share memory enters a time namespace.
		p.Flags = 0
		p.Add(program.Unshare(n.Flag))
	}
	p.DieWithParent()
	ready := p.Tell("held")
	p.Add(program.Pause())
	proc, err := program.Start(p)
	if err != nil {
		return nil, harness.NotMeasured{Why: err.Error()}
	}
	defer harness.End(proc)
	if err := proc.Await(ready); err != nil {
		return nil, fmt.Errorf("make a %s namespace to join: %w", n.Name, err)
	}
	path := n.Path(proc.Pid())
	if n.Flag == unix.CLONE_NEWTIME {
		path += "_for_children"
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("hold the %s namespace: %w", n.Name, err)
	}
	return f, nil
}

// pollPeriod is how often the poller looks whether the namespace is gone; it
// bounds the resolution of gone-ns. With the timer's own delay a look takes
// place every 15 to 60 microseconds.
const pollPeriod = 5 * time.Microsecond

// patience is how long a namespace may take to be gone before it is an error.
const patience = 10 * time.Second

// teardown measures the end of one namespace at a time, in a user namespace
// in which only one may exist.
type teardown struct {
	kind   namespace.Namespace
	quota  *harness.Quota
	victim *program.Image
	alive  program.Tell
	leave  program.Gate
	last   program.Ref // the victim's last op before exit
	poller *program.Image
	polls  program.Tell
	tick   program.Ref
}

func teardownCase(n namespace.Namespace, samples int) harness.Case {
	return harness.Case{
		Name:    "Teardown/flag=" + n.Name,
		Samples: samples,
		Run:     5,
		Cost:    40 * time.Millisecond,
		Drops:   n.Flag == unix.CLONE_NEWNET,
		Open:    func() (harness.Sampler, error) { return openTeardown(n) },
	}
}

func openTeardown(n namespace.Namespace) (harness.Sampler, error) {
	q, err := harness.NewQuota(n)
	if err != nil {
		return nil, harness.NotMeasured{Why: err.Error()}
	}
	t := &teardown{kind: n, quota: q}
	v := program.New(program.Stub, 0)
	v.DieWithParent()
	q.Enter(v)
	// The namespace that the poller made last may not be gone yet.
	pause := v.Add(program.Sleep(int64(pollPeriod)))
	ref := v.Again(n.Flag)
	again := &v.Ops()[ref]
	again.Accept, again.Skip = []unix.Errno{unix.ENOSPC}, int(pause-ref)-1
	t.alive = v.Tell("in the namespace")
	t.leave = v.Wait("held by a descriptor")
	t.last = v.Add(program.Null())
	v.Add(program.Exit(0))
	if t.victim, err = program.Load(v); err == nil {
		w := program.New(program.Stub, 0)
		w.DieWithParent()
		q.Enter(w)
		w.Add(program.Prctl("exact timers", unix.PR_SET_TIMERSLACK, program.Int(1)))
		t.polls = w.Tell("polling")
		t.tick = q.Poll(w, pollPeriod)
		w.Add(program.Exit(0))
		t.poller, err = program.Load(w)
	}
	if err == nil {
		_, err = t.one()
	}
	if err != nil {
		t.close()
		return nil, harness.NotMeasured{Why: err.Error()}
	}
	return harness.Each(t.one, t.close), nil
}

func (t *teardown) close() error {
	if t.victim != nil {
		t.victim.Close()
	}
	if t.poller != nil {
		t.poller.Close()
	}
	return t.quota.Close()
}

// one is a sample. One in which the poller was kept from running between its
// last look and the try that succeeded says nothing of when the namespace went:
// the look may lie before the close. It is taken again, a few times.
func (t *teardown) one() ([]sample.Value, error) {
	for range 10 {
		values, err := t.attempt()
		if err != nil || values[2].Value > 0 {
			return values, err
		}
	}
	return nil, errors.New("the poller is kept from running: other work is on its CPU")
}

// attempt is a try at a sample: the victim exits while a descriptor holds its namespace;
// then the descriptor is closed, and the poller sees when the kernel counts it
// no more. For mnt that is before the close has returned, which takes the
// mounts down.
func (t *teardown) attempt() ([]sample.Value, error) {
	held, exited, err := t.endVictim()
	if err != nil {
		return nil, err
	}
	proc, err := t.poller.Start()
	if err != nil {
		held.Close()
		return nil, err
	}
	timer := time.AfterFunc(patience, func() { proc.Signal(unix.SIGKILL) })
	defer timer.Stop()
	err = proc.Await(t.polls)
	from := program.Now()
	cerr := held.Close()
	returned := program.Now()
	status, werr := proc.Wait()
	switch {
	case err != nil:
		return nil, err
	case cerr != nil:
		return nil, cerr
	case werr != nil:
		return nil, werr
	case !status.Success():
		return nil, fmt.Errorf("the %s namespace was not gone after %v (%v)", t.kind.Name, patience, status)
	}
	return []sample.Value{
		{Unit: "exit-ns", Value: float64(exited)},
		{Unit: "close-ns", Value: float64(returned - from)},
		{Unit: "gone-ns", Value: float64(t.poller.Ended(t.tick) - from)},
	}, nil
}

// endVictim makes a namespace with one process, holds it by a descriptor, and
// lets the process exit. It returns the time from its last instruction to its
// reaping in nanoseconds.
func (t *teardown) endVictim() (held *os.File, exited int64, err error) {
	proc, err := t.victim.Start()
	if err != nil {
		return nil, 0, err
	}
	timer := time.AfterFunc(patience, func() { proc.Signal(unix.SIGKILL) })
	err = proc.Adopt()
	timer.Stop()
	if err == nil {
		if err = proc.Await(t.alive); err == nil {
			held, err = os.Open(t.kind.Path(proc.Pid()))
		}
		proc.Open(t.leave)
	}
	if _, werr := proc.Wait(); err == nil {
		err = werr
	}
	if err != nil {
		if held != nil {
			held.Close()
		}
		return nil, 0, err
	}
	return held, t.victim.Timeline().Reaped - t.victim.Ended(t.last), nil
}

// TimeNamespace says what a child in mode vm does with a new time namespace:
// "entered" (as on Linux 6.1), "created" (it enters at execve, as on 6.18), or
// "unknown: why".
func TimeNamespace() string {
	p := program.New(program.VM, unix.CLONE_NEWTIME)
	ready := p.Tell("cloned")
	gate := p.Wait("looked at")
	p.Add(program.Exit(0))
	proc, err := program.Start(p)
	if err != nil {
		return "unknown: " + err.Error()
	}
	defer proc.Release()
	err = proc.Await(ready)
	inside, ierr := os.Readlink(fmt.Sprintf("/proc/%d/ns/time", proc.Pid()))
	outside, oerr := os.Readlink("/proc/self/ns/time")
	proc.Open(gate)
	if _, werr := proc.Wait(); err == nil {
		err = werr
	}
	for _, e := range []error{err, ierr, oerr} {
		if e != nil {
			return "unknown: " + e.Error()
		}
	}
	if inside == outside {
		return "created"
	}
	return "entered"
}
