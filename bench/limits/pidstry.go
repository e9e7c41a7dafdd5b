package limits

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// samplePids measures a limit of tasks once. When it is over, all that was forked
// must be gone.
func (b *Bench) samplePids(s *pidsSample) ([]sample.Value, error) {
	outside, err := s.outside()
	if err != nil {
		return nil, err
	}
	for _, pid := range outside {
		s.doubt("process %d of the load is not in the group", pid)
	}
	// Version 1's limit, and a nested one, are read before anything forks.
	limit, err := s.owner.number("pids.max")
	if err != nil {
		return nil, err
	}
	s.worker.board.Go()
	t, err := s.try(b.Context, limit)
	if err != nil {
		return nil, err
	}
	return s.end(t)
}

// trial is what was tried, and seen.
type trial struct {
	seen     storm
	limit    int64 // that was in force
	allowed  int64 // how many tasks there may be: the limit, or what there was when it was lowered
	peak     int64 // -1: the kernel does not say (before 6.1)
	full     int64 // pids.current when the load could not fork, the least of some looks
	listed   int   // tasks on the group's list then
	threads  int   // of the load's own process
	attached int64 // by how many tasks the count grew when a process was moved in, less those that it has
}

// try does what the cell's kind says.
func (s *pidsSample) try(ctx context.Context, limit int64) (t trial, err error) {
	t.limit, t.allowed = limit, limit
	refused := func() bool {
		tried, worked, _ := s.tally()
		return tried > worked+1 || worked >= s.worker.board.Slots[0].At.Load() // nothing limits it
	}
	never := func() bool { return false }
	switch s.cell.Kind {
	case "storm":
		t.seen, err = s.watch(ctx, limit, never, stormFor)
		if err != nil {
			return t, err
		}
		t.threads, err = threadsOf(s.worker.proc.Pid())
		return t, errors.Join(err, s.look(&t))
	case "lowered":
		if t.limit, t.allowed, err = s.lower(ctx, limit); err != nil {
			return t, err
		}
	}
	if t.seen, err = s.watch(ctx, t.limit, refused, patience); err != nil {
		return t, err
	}
	more, err := s.watch(ctx, t.limit, never, fillFor)
	if err != nil {
		return t, err
	}
	t.seen.add(more)
	if err := s.look(&t); err != nil {
		return t, err
	}
	if t.threads, err = threadsOf(s.worker.proc.Pid()); err != nil {
		return t, err
	}
	if s.cell.Kind == "attach" {
		t.attached, err = s.attach(ctx, t)
	}
	return t, err
}

// look counts what is in the group.
func (s *pidsSample) look(t *trial) (err error) {
	if t.full, err = s.settled(); err != nil {
		return err
	}
	if t.peak, err = s.owner.peak(); err != nil {
		return err
	}
	var strange []int
	if t.listed, strange, err = s.tasks(); err != nil {
		return err
	}
	for _, tid := range strange {
		s.doubt("task %d is in the group too, and none of the load's", tid)
	}
	return nil
}

// How often settled looks, and how long it waits between: together longer than a
// scheduler keeps a CPU, of a virtual machine also, from a fork in course.
const (
	settledLooks = 10
	settledEvery = time.Millisecond
)

// settled is pids.current without a fork that is about to be refused (see end):
// the least of some looks, for none of those that are let through ends meanwhile.
func (s *pidsSample) settled() (int64, error) {
	least := int64(math.MaxInt64)
	for range settledLooks {
		n, err := s.owner.number("pids.current")
		if err != nil {
			return 0, err
		}
		least = min(least, n)
		doze(int64(settledEvery))
	}
	return least, nil
}

// lower sets the limit below what runs already; nothing of that may end. Then the
// load is told to fork once more.
func (s *pidsSample) lower(ctx context.Context, limit int64) (low, now int64, err error) {
	full := func() bool { return s.worker.board.Phase.Load() == s.worker.spec.Count }
	if _, err := s.watch(ctx, limit, full, patience); err != nil {
		return 0, 0, err
	}
	if now, err = s.owner.number("pids.current"); err != nil {
		return 0, 0, err
	}
	low = now - 4
	s.checked.Asked = strconv.FormatInt(low, 10)
	if err := os.WriteFile(s.owner.dir+"/pids.max", []byte(s.checked.Asked), 0); err != nil {
		return 0, 0, fmt.Errorf("lower a limit: %w", err)
	}
	s.worker.board.Slots[0].At.Store(s.worker.spec.Count + 1)
	return low, now, nil
}

// attach moves a process into the full group, which is allowed, and says by how
// many tasks the count is off then. The load still cannot fork. The process has
// one thread and makes none, for it could not.
func (s *pidsSample) attach(ctx context.Context, t trial) (off int64, err error) {
	p := program.New(program.Stub, 0)
	p.DieWithParent()
	p.Confirm()
	p.Add(program.Pause())
	idle, err := s.ground.launcher.Start(p)
	if err != nil {
		return 0, fmt.Errorf("start a process to move: %w", err)
	}
	defer func() { err = errors.Join(err, harness.End(idle)) }()
	if err := os.WriteFile(s.place.dir+"/cgroup.procs", fmt.Appendln(nil, idle.Pid()), 0); err != nil {
		return 0, fmt.Errorf("move process %d into the full group: %w", idle.Pid(), err)
	}
	if _, err := s.watch(ctx, t.limit, func() bool { return false }, fillFor); err != nil {
		return 0, err
	}
	now, err := s.settled()
	return now - t.full - 1, err
}

func threadsOf(pid int) (int, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0, fmt.Errorf("list the threads of load %d: %w", pid, err)
	}
	return len(list), nil
}

// end stops the load, and holds its own counts against the group's.
//
// What pids.current says for a moment is not taken for an overshoot: a fork is
// added to it before it is refused, and then taken off again (pids_try_charge,
// kernel/cgroup/pids.c), so among many that race it can be seen above the limit
// although no task was made. pids.peak has those only that were let through, and
// the load's own counts those that ran.
func (s *pidsSample) end(t trial) ([]sample.Value, error) {
	alive := s.worker.board.Phase.Load()
	if _, err := s.worker.stop(); err != nil {
		return nil, err
	}
	tried, worked, errno := s.tally()
	if errno != 0 {
		s.doubt("a fork failed for another reason than the limit: %v", errno)
	}
	if t.seen.moved != 0 {
		s.doubt("for a while, the limit was %d: something else has changed it", t.seen.moved)
	}
	read, err := s.owner.number("pids.max")
	if err != nil {
		return nil, err
	}
	if s.checked.Read = strconv.FormatInt(read, 10); s.checked.Read != s.checked.Asked {
		s.doubt("the limit that is in force is %s, not %s: something else has changed it", s.checked.Read, s.checked.Asked)
	}
	own, err := s.place.refused()
	if err != nil {
		return nil, err
	}
	owners, err := s.owner.refused()
	if err != nil {
		return nil, err
	}
	left, err := s.owner.number("pids.current")
	if err != nil {
		return nil, err
	}
	s.checked.Facts["events"] = s.counts()
	// Its own threads and forkers are there all the time.
	inside := s.worker.spec.Threads + t.threads
	count := func(unit string, n int64) sample.Value { return sample.Value{Unit: unit, Value: float64(n)} }
	return []sample.Value{
		count("limit-count", t.limit),
		count("peak-count", t.peak),
		count("most-count", t.seen.most),
		count("together-count", t.seen.alive+int64(inside)),
		count("full-count", t.full),
		count("listed-count", int64(t.listed)),
		count("inside-count", int64(inside)),
		count("alive-count", alive),
		count("accepted-count", worked),
		count("refused-count", tried-worked),
		count("owner-events-count", owners),
		count("events-count", own),
		count("attached-count", t.attached),
		count("left-count", left),
		count("look-count", int64(t.seen.looks)),
		count("transient-count", max(0, t.seen.most-t.allowed)),
		count("overshoot-count", max(0, max(t.peak, t.seen.alive+int64(inside), int64(t.listed))-t.allowed)),
	}, nil
}

// counts says in whose pids.events a refused fork is counted: since Linux 6.11,
// version 2 counts it in the group whose limit it is ("owner"); before, and in
// version 1, in the forking process's ("forker").
func (s *pidsSample) counts() string {
	var u unix.Utsname
	if !s.owner.v2 || unix.Uname(&u) != nil {
		return "forker"
	}
	var major, minor int // 0 when they cannot be read: the kernel before that
	_, _ = fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	if major > 6 || major == 6 && minor >= 11 {
		return "owner"
	}
	return "forker"
}

func (w *storm) add(o storm) {
	w.most, w.alive, w.looks = max(w.most, o.most), max(w.alive, o.alive), w.looks+o.looks
	if o.moved != 0 {
		w.moved = o.moved
	}
}

// storm is what was seen while the load forked.
type storm struct {
	most  int64 // the highest pids.current
	alive int64 // the most children that ran at once, by their own count
	looks int
	moved int64 // a limit that was seen and is not the one in force; 0: none
}

// watch looks at the group until a moment, as fast as it can, but for a pause
// that leaves the load a CPU.
func (s *pidsSample) watch(ctx context.Context, limit int64, done func() bool, atMost time.Duration) (w storm, err error) {
	for until := program.Now() + int64(atMost); program.Now() < until && !done(); w.looks++ {
		n, err := s.owner.number("pids.current")
		if err != nil {
			return w, err
		}
		w.most = max(w.most, n)
		now, err := s.owner.number("pids.max")
		if err != nil {
			return w, err
		}
		if now != limit {
			w.moved = now
		}
		if s.halfway != nil {
			if err := s.halfway(); err != nil {
				return w, err
			}
		}
		if s.worker.gone() {
			return w, fmt.Errorf("measure %s: its load has ended by itself", s.name)
		}
		if ctx.Err() != nil {
			return w, ctx.Err()
		}
		doze(20_000)
	}
	w.alive = s.worker.board.Slots[0].Count.Load()
	return w, nil
}

// tally is what the forkers did, by their own count.
func (s *pidsSample) tally() (tried, worked int64, errno unix.Errno) {
	for i := range s.worker.spec.Threads {
		slot := &s.worker.board.Slots[i+1]
		tried += int64(slot.Loops.Load())
		worked += slot.Count.Load()
		if e := slot.Errno.Load(); e != 0 {
			errno = unix.Errno(e)
		}
	}
	return tried, worked, errno
}

// tasks are the tasks of the group by its own list; and of them, those that are
// not of the load: neither its process, nor a forker, nor a child of one.
func (s *pidsSample) tasks() (n int, strange []int, err error) {
	file := "/tasks"
	if s.place.v2 {
		file = "/cgroup.threads"
	}
	list, err := numbers(s.place.dir + file)
	if err != nil {
		return 0, nil, err
	}
	mine := map[int]bool{s.worker.proc.Pid(): true}
	for i := range s.worker.spec.Threads {
		mine[int(s.worker.board.Slots[i+1].Tid.Load())] = true
	}
	for _, tid := range list {
		leader, parent, err := family(tid)
		switch {
		case errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH): // it has ended
		case err != nil:
			return 0, nil, err
		case !mine[leader] && !mine[parent]:
			strange = append(strange, tid)
		}
	}
	return len(list), strange, nil
}

// family is the process that a task is a thread of, and the parent of that.
func family(tid int) (leader, parent int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); key {
		case "Tgid":
			leader, err = strconv.Atoi(value)
		case "PPid":
			parent, err = strconv.Atoi(value)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("read /proc/%d/status: %s: %w", tid, key, err)
		}
	}
	return leader, parent, nil
}

// outside are the load's own processes that are not in the group.
func (s *pidsSample) outside() ([]int, error) {
	members, err := numbers(s.place.dir + "/cgroup.procs")
	if err != nil {
		return nil, err
	}
	in := map[int]bool{}
	for _, pid := range members {
		in[pid] = true
	}
	missing := map[int]bool{}
	if !in[s.worker.proc.Pid()] {
		missing[s.worker.proc.Pid()] = true
	}
	for i := range s.worker.spec.Threads {
		if pid := int(s.worker.board.Slots[i+1].Tid.Load()); !in[pid] {
			missing[pid] = true
		}
	}
	return slices.Sorted(maps.Keys(missing)), nil
}
