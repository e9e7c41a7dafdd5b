package follow

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
	"isoperf/runtime/seccomp"
)

// entered handles the stop of a call that the filter traces.
func (t *tracer) entered(th *thread) error {
	var info syscallInfo
	if err := describe(th.tid, &info); err != nil {
		return err
	}
	e, ok := t.known[seccomp.Number{Audit: info.arch, Number: info.number()}]
	if !ok {
		return nil // a filter of its own traces more, which nobody answers
	}
	args, read := info.args(), newReader(th.tid, &info)
	switch e.kind {
	case File:
		t.opening(th, e, args, read)
		return nil
	case Write:
		t.writing(th, e, args, read)
		return nil
	case Refused:
		// PTRACE_TRACEME and the like fail: there is a tracer already.
		t.note(th.process, Traced, e.name)
	case Birth:
		th.flags = t.birthFlags(th, e, args)
	case Exec:
		th.args = read.strings(args[len(e.args)-1])
		if t.record.Start == 0 {
			t.record.Start = t.now
		}
	}
	t.enter(th, e.kind, e.name, read.call(e.name, e.args, args))
	t.unreadable(th, read)
	return nil
}

func newReader(tid int, info *syscallInfo) *reader {
	const wide, x32 = 0x8000_0000, 0x4000_0000 // __AUDIT_ARCH_64BIT
	return &reader{tid: tid, narrow: info.arch&wide == 0 || info.number()&x32 != 0}
}

// unreadable notes what could not be read.
func (t *tracer) unreadable(th *thread, r *reader) {
	if r.failed {
		t.note(th.process, Unreadable, "")
	}
}

// enter begins a call, or says more about the one that has begun.
func (t *tracer) enter(th *thread, kind Kind, name, text string) {
	if th.call < 0 {
		th.call = len(t.record.Calls)
		t.record.Calls = append(t.record.Calls, Call{Process: th.process, Thread: th.tid, Seen: t.now})
	}
	c := &t.record.Calls[th.call]
	c.Name, c.Text, c.Kind = name, text, kind
	c.Entered = program.Now()
}

// birthFlags are the flags of a clone, which say whether the child is a thread.
func (t *tracer) birthFlags(th *thread, e entry, args [6]uint64) uint64 {
	flags := uint64(0)
	switch e.name {
	case "clone":
		flags = args[0]
	case "clone3":
		flags, _ = word(th.tid, args[0])
	case "vfork":
		flags = unix.CLONE_VFORK
	}
	if flags&unix.CLONE_UNTRACED != 0 {
		t.note(th.process, Unfollowed, e.name)
	}
	return flags
}

// stepped handles the exit of a call.
func (t *tracer) stepped(th *thread) error {
	var info syscallInfo
	if err := describe(th.tid, &info); err != nil {
		return err
	}
	if info.exit() && th.call >= 0 {
		t.returned(th, info.result())
	}
	return nil
}

// returned ends a call.
func (t *tracer) returned(th *thread, result int64) {
	c := &t.record.Calls[th.call]
	c.Returned, c.Result = t.now, result
	th.call = -1
	if strings.Contains(c.Text, "PR_SET_NAME") {
		t.renamed(th)
	}
	c.Left = program.Now()
}

// renamed gives a process the name that its main thread took.
func (t *tracer) renamed(th *thread) {
	p := &t.record.Processes[th.process]
	if th.tid != p.PID {
		return
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", th.tid))
	if err != nil {
		return
	}
	p.Titles = append(p.Titles, Title{At: t.now, Text: strings.TrimSuffix(string(name), "\n")})
}

// born handles a thread's new child.
func (t *tracer) born(th *thread, vfork bool) error {
	tid, err := message(th.tid)
	if err != nil {
		return err
	}
	flags := th.flags
	if th.call < 0 {
		flags = unix.CLONE_THREAD // the filter lets nothing else pass
	}
	if t.threads[tid] != nil {
		return nil // it had no time to wait for this, see orphan
	}
	child := &thread{tid: tid, process: th.process, call: -1}
	if flags&unix.CLONE_THREAD == 0 {
		parent := t.record.Processes[th.process]
		child.process = t.process(tid, th.process, Title{At: t.now, Text: parent.Name()})
	}
	t.threads[tid] = child
	if vfork && th.call >= 0 {
		t.record.Calls[th.call].Born = t.now
	}
	return t.release(child)
}

// release lets a thread go that stopped before its parent told of it.
func (t *tracer) release(child *thread) error {
	s, ok := t.early[child.tid]
	if !ok {
		return nil
	}
	delete(t.early, child.tid)
	t.record.Stops-- // it was counted
	if err := t.stop(s); err != nil && err != unix.ESRCH {
		return err
	}
	return nil
}

// orphan adopts a new thread when no other is in a clone that may tell of it:
// the filter did not see its birth, since it is one of its process's threads, or
// its parent was killed in its clone.
func (t *tracer) orphan(tid int) error {
	group := leader(tid)
	parent := 0
	for _, th := range t.threads {
		if th.call >= 0 && t.record.Calls[th.call].Kind == Birth {
			return nil // this one may
		}
		if th.tid == group {
			parent = th.process
		}
	}
	child := &thread{tid: tid, process: parent, call: -1}
	if group == tid {
		child.process = t.process(tid, parent, Title{At: t.now, Text: t.record.Processes[parent].Name()})
	}
	t.threads[tid] = child
	return t.release(child)
}

// leader is the process that a thread belongs to; 0: it is gone.
func leader(tid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return 0
	}
	group := 0
	for line := range strings.SplitSeq(string(status), "\n") {
		if n, err := fmt.Sscanf(line, "Tgid: %d", &group); n == 1 && err == nil {
			return group
		}
	}
	return 0
}

// executed handles an execve that worked. Of the process's threads only one is
// left, which has the process's number now, whatever it had before.
func (t *tracer) executed(pid int) (*thread, error) {
	old, err := message(pid)
	if err != nil {
		return nil, err
	}
	th := t.threads[old]
	if th == nil {
		th = t.threads[pid]
	}
	for tid, other := range t.threads {
		if other.process == th.process && other != th {
			t.lose(other)
			other.queue.close()
			delete(t.threads, tid)
		}
	}
	delete(t.threads, old)
	if th.tid != pid { // its number leads elsewhere now
		th.queue.close()
	}
	th.tid = pid
	t.threads[pid] = th
	p := &t.record.Processes[th.process]
	p.Titles = append(p.Titles, Title{At: t.now, Text: title(th.args), Exec: true})
	if th.call >= 0 {
		c := &t.record.Calls[th.call]
		c.Returned = t.now
		t.disarmed(th)
		c.Left = program.Now()
		th.call = -1
	}
	return th, nil
}
