package follow

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
	"isoperf/runtime/seccomp"
)

// tracer follows one tree. All of it but ending belongs to its thread.
type tracer struct {
	options Options
	known   map[seccomp.Number]entry // the calls that stop
	record  *Record
	command *program.Process
	threads map[int]*thread
	early   map[int]stopped // new threads that stopped before their parent told of them
	now     int64           // when the current stop was told
	last    int64           // when the last thread was let go
	tid     int             // the tracer's own thread
	queue   queue           // where its time in the queue is read
	late    int64           // what was read there last

	ending ending
}

// thread is one thread of the tree.
type thread struct {
	tid     int
	process int      // its place in record.Processes
	call    int      // the call that it is in, its place in record.Calls; -1: none
	flags   uint64   // of the clone that it is in
	args    []string // of the execve that it is in
	queue   queue    // where its time in the queue is read
	waited  int64    // what was read there last
	asked   int64    // when
}

func newTracer(o Options) (*tracer, error) {
	if o.Grace < 0 || o.Limit < 0 {
		return nil, fmt.Errorf("follow the command: a time of %v or %v is negative", o.Limit, o.Grace)
	}
	entries := table(o.Files)
	if o.calibrates {
		entries = append(entries, entry{nullCall, "", Isolation, nil})
	}
	return &tracer{
		options: o, known: byNumber(entries), record: &Record{},
		threads: map[int]*thread{}, early: map[int]stopped{}, ending: ending{alive: map[int]bool{}},
	}, nil
}

// root is the process that will execute the command.
func (t *tracer) root(pid int) {
	t.tid = unix.Gettid()
	t.late, _ = t.queue.read(t.tid) // where it cannot be read, told says so by itself
	t.now = program.Now()
	t.last = t.now
	t.process(pid, -1, Title{At: t.now, Text: title(t.options.Args)})
	t.threads[pid] = &thread{tid: pid, call: -1}
}

// process adds one, and returns its place.
func (t *tracer) process(pid, parent int, name Title) int {
	t.record.Processes = append(t.record.Processes, Process{PID: pid, Parent: parent, Born: t.now, Titles: []Title{name}})
	t.ending.add(pid)
	t.mark(len(t.record.Processes)-1, nil)
	return len(t.record.Processes) - 1
}

// loop handles stops until the tree has ended.
func (t *tracer) loop() error {
	for {
		s, err := next()
		t.now = t.told()
		if err == unix.ECHILD {
			return nil
		}
		if err != nil {
			return fmt.Errorf("wait for the tree: %w", err)
		}
		switch s.code {
		case codeExited, codeKilled, codeDumped:
			err = t.gone(s.tid)
		case codeTrapped, codeStopped:
			if err = take(s.tid); err == nil {
				err = t.stop(s)
			}
		default:
			err = take(s.tid)
		}
		// A thread that was killed meanwhile has no more to say; its end comes.
		if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ECHILD) {
			return fmt.Errorf("follow thread %d: %w", s.tid, err)
		}
	}
}

// told is when the tracer was woken: now, less what it waited for a CPU since,
// but not before it let the last thread go.
func (t *tracer) told() int64 {
	now := program.Now()
	total, ok := t.queue.read(t.tid)
	late := total - t.late
	t.late = total
	if !ok {
		return now
	}
	return max(now-late, t.last)
}

// gone collects a thread that has ended.
func (t *tracer) gone(tid int) error {
	t.ending.remove(tid) // first: its number may be another's once it is collected
	if tid == t.command.Pid() {
		// The error is an op that failed, which the record shows by itself.
		status, err := t.command.Wait()
		if op := (*program.OpError)(nil); err != nil && !errors.As(err, &op) {
			return err
		}
		if t.record.Start == 0 {
			t.record.exec = err
		}
		t.record.Status, t.record.Led = status, t.now
	} else if err := take(tid); err != nil {
		return err
	}
	th := t.threads[tid]
	if th == nil {
		return nil // another's execve has ended it
	}
	t.lose(th)
	th.queue.close()
	delete(t.threads, tid)
	if p := &t.record.Processes[th.process]; p.PID == tid {
		p.Died = t.now
		t.record.End = t.now
	}
	return nil
}

// lose ends a call that has not returned.
func (t *tracer) lose(th *thread) {
	if th.call >= 0 {
		c := &t.record.Calls[th.call]
		c.Returned, c.Left, c.Lost = t.now, t.now, true
		th.call = -1
	}
}

// stop handles one stop and lets the thread go on.
func (t *tracer) stop(s stopped) error {
	t.record.Stops++
	th := t.threads[s.tid]
	if th == nil {
		// A new thread whose parent has not told of it: it waits.
		t.early[s.tid] = s
		return t.orphan(s.tid)
	}
	signal, event := unix.Signal(s.status&0x7f), int(s.status>>8)
	t.mark(th.process, th)
	switch {
	case event == unix.PTRACE_EVENT_SECCOMP:
		if err := t.entered(th); err != nil {
			return err
		}
	case signal == unix.SIGTRAP && s.status&0x80 != 0:
		if err := t.stepped(th); err != nil {
			return err
		}
	case event == unix.PTRACE_EVENT_FORK, event == unix.PTRACE_EVENT_VFORK, event == unix.PTRACE_EVENT_CLONE:
		if err := t.born(th, event == unix.PTRACE_EVENT_VFORK); err != nil {
			return err
		}
	case event == unix.PTRACE_EVENT_EXEC:
		var err error
		if th, err = t.executed(s.tid); err != nil {
			return err
		}
	case event == unix.PTRACE_EVENT_EXIT:
		t.lose(th)
		t.record.Processes[th.process].Exit = t.now
	case event == unix.PTRACE_EVENT_STOP && (signal == unix.SIGSTOP || signal == unix.SIGTSTP || signal == unix.SIGTTIN || signal == unix.SIGTTOU):
		return ptrace(unix.PTRACE_LISTEN, th.tid, 0, 0) // it stays stopped until SIGCONT
	case event == 0 && s.code == codeTrapped:
		return t.resume(th, signal) // a signal, which it gets
	}
	return t.resume(th, 0)
}

// resume lets a thread go on: to the exit of its call, or to the next stop.
func (t *tracer) resume(th *thread, signal unix.Signal) error {
	if p := &t.record.Processes[th.process]; len(p.Marks) > 0 {
		last := p.Marks[len(p.Marks)-1]
		p.Marks = append(p.Marks, Mark{program.Now(), last.CPU, last.Queue})
		t.last = p.Marks[len(p.Marks)-1].At
	}
	request := unix.PTRACE_CONT
	if th.call >= 0 {
		request = unix.PTRACE_SYSCALL
	}
	return ptrace(request, th.tid, 0, uintptr(signal))
}

// mark reads a process's CPU clock, and adds to the time that its threads were
// ready and had no CPU: the one that stopped, and the others when the process
// was idle for long, since reading costs time, too.
func (t *tracer) mark(process int, th *thread) {
	p := &t.record.Processes[process]
	cpu, ok := cpuTime(p.PID)
	if !ok {
		return
	}
	m := Mark{t.now, cpu, 0}
	if n := len(p.Marks); n > 0 {
		last := p.Marks[n-1]
		queue := t.queued(th, last.At)
		const long = 50_000 // nanoseconds
		if idle := t.now - last.At - (cpu - last.CPU) - queue; idle > long {
			for _, other := range t.threads {
				if other.process == process && other != th {
					queue += t.queued(other, last.At)
				}
			}
		}
		m.Queue = last.Queue + queue
	}
	p.Marks = append(p.Marks, m)
}

// queued is how long a thread was ready and had no CPU since an instant. What
// it was since it was last asked is spread evenly over that time.
func (t *tracer) queued(th *thread, from int64) int64 {
	if th == nil {
		return 0
	}
	total, ok := th.queue.read(th.tid)
	// An execve of another thread leaves its number to one that has waited less.
	since, asked := max(total-th.waited, 0), th.asked
	th.waited, th.asked = total, t.now
	if !ok {
		return 0
	}
	whole, part := t.now-asked, t.now-from
	if asked == 0 || part >= whole {
		return since
	}
	return int64(float64(since) * float64(part) / float64(whole))
}

// note keeps what a reader has to know, once a process and kind.
func (t *tracer) note(process int, kind NoteKind, text string) {
	for _, n := range t.record.Notes {
		if n.Process == process && n.Kind == kind && n.Text == text {
			return
		}
	}
	t.record.Notes = append(t.record.Notes, Note{process, kind, text})
}

// finish completes the record.
func (t *tracer) finish() (*Record, error) {
	r := t.record
	r.Ended = t.ending.reason()
	if r.Start == 0 && !t.options.calibrates {
		return nil, unprepared(r.exec, t.options.Path)
	}
	if t.options.calibrates {
		return r, nil
	}
	return r, r.failure(t.options.Path)
}

// unprepared is the error of a program that did not get to its execve.
func unprepared(err error, path string) error {
	if err == nil {
		return fmt.Errorf("execute %q: the process ended before it", path)
	}
	return fmt.Errorf("prepare to execute %q: %w", path, err)
}

// failure is that of the command's first execve, nil when it worked.
func (r *Record) failure(path string) error {
	var errno error
	for _, c := range r.Calls {
		if c.Process != 0 || c.Kind != Exec {
			continue
		}
		if c.Result == 0 {
			return nil
		}
		errno = unix.Errno(-c.Result)
	}
	if errno == nil {
		return nil
	}
	return &ExecError{path, errno}
}
