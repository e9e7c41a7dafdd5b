package limits

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// What the threads of a watched group feel: how long each ran, and for how long it
// wanted to and had to wait, whatever kept it: its group's limit, a limit above, or
// who else was on its CPU.
//
//	group, and all below ─► tasks ─► /proc/TID/task/TID/schedstat, again and again ─► sums
//
// The kernel counts the wait of a thread that is ready (run_delay,
// kernel/sched/stats.h), also while its group is throttled: of one spinner in 20 %
// it was 80 %, on Linux 6.1 and on 6.18. What is more than the group's throttled
// time, of a single thread, is somebody else's doing.

// schedstat is what a thread has had since it began, ns; see
// Documentation/scheduler/sched-stats.rst.
type schedstat struct {
	ran, waited int64
}

func parseSchedstat(text string) (s schedstat, ok bool) {
	n, err := fmt.Sscan(text, &s.ran, &s.waited)
	return s, n == 2 && err == nil
}

// threadSeen is a thread between the first look at it and the last.
type threadSeen struct {
	schedstat // while it was looked at
	last      schedstat
	at, seen  int64 // when it was seen last, and for how long in all
}

// threadWatch follows the threads of a group and of all below it.
type threadWatch struct {
	dir     string
	v2      bool
	threads map[int]*threadSeen
	hidden  int // threads whose counters could not be read, at the last look
	looks   int
}

// Looks at the threads: often enough for those that live short, and so seldom
// that looking is a fiftieth of a CPU at most.
const (
	threadPace = 250 * time.Millisecond
	threadCost = 50
)

// follow looks until it is told to stop, and once more then.
func (w *threadWatch) follow(stop <-chan struct{}) error {
	for {
		begin := program.Now()
		if err := w.look(begin); err != nil {
			return err
		}
		took := time.Duration(program.Now() - begin)
		select {
		case <-stop:
			return w.look(program.Now())
		case <-time.After(max(threadPace, threadCost*took)):
		}
	}
}

// look reads the counters of all threads that are there now. A group that goes
// meanwhile has none.
func (w *threadWatch) look(now int64) error {
	w.hidden = 0
	w.looks++
	return filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.IsDir() {
			return err
		}
		file := path + "/tasks"
		if w.v2 {
			file = path + "/cgroup.threads"
		}
		list, err := numbers(file)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EOPNOTSUPP):
			return nil
		case err != nil:
			return err
		}
		for _, tid := range list {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/schedstat", tid, tid))
			if s, ok := parseSchedstat(string(text)); err == nil && ok {
				w.note(tid, s, now)
			} else if _, gone := os.Stat("/proc/" + strconv.Itoa(tid)); gone == nil {
				w.hidden++
			}
		}
		return nil
	})
}

// note adds what a thread has had since the look before. A number that is given
// to another thread begins anew.
func (w *threadWatch) note(tid int, s schedstat, now int64) {
	t := w.threads[tid]
	if t == nil || s.ran < t.last.ran || s.waited < t.last.waited {
		if t == nil {
			t = &threadSeen{}
			w.threads[tid] = t
		}
		t.last, t.at = s, now
		return
	}
	t.ran += s.ran - t.last.ran
	t.waited += s.waited - t.last.waited
	t.seen += now - t.at
	t.last, t.at = s, now
}

// values are the figures; none when no thread was seen to want to run. Wait is the
// share of the time that threads wanted to run in which they had to wait; worst,
// the share of all time for which the one waited that waited most.
func (w *threadWatch) values(length int64) []sample.Value {
	var ran, waited int64
	worst, seen := 0.0, 0
	for _, t := range w.threads {
		if t.seen == 0 {
			continue
		}
		seen++
		ran, waited = ran+t.ran, waited+t.waited
		if t.seen*2 >= length { // of a short life, a share says little
			worst = max(worst, float64(t.waited)/float64(t.seen))
		}
	}
	if ran+waited == 0 {
		return nil
	}
	return []sample.Value{
		{Unit: "thread-count", Value: float64(seen)},
		{Unit: "thread-run-ns", Value: float64(ran)},
		{Unit: "thread-wait-ns", Value: float64(waited)},
		{Unit: "wait-ratio", Value: float64(waited) / float64(ran+waited)},
		{Unit: "worst-wait-ratio", Value: worst},
	}
}

// why says why there are no figures; empty: no thread wanted to run.
func (w *threadWatch) why() string {
	for _, t := range w.threads {
		if t.seen > 0 {
			return ""
		}
	}
	if w.hidden > 0 {
		return "the threads' counters cannot be read (/proc/PID/task/TID/schedstat): the processes of others are hidden, or the kernel has no CONFIG_SCHED_INFO"
	}
	return ""
}

// watchThreads begins to follow the threads of each level; end stops, and waits
// until all have.
func watchThreads(watches []*levelWatch) (end func() error) {
	stop, errs := make(chan struct{}), make(chan error, len(watches))
	for _, w := range watches {
		w.threads = &threadWatch{dir: w.place.cpu, v2: w.place.v2, threads: map[int]*threadSeen{}}
		go func() { errs <- w.threads.follow(stop) }()
	}
	return func() (all error) {
		close(stop)
		for range watches {
			all = errors.Join(all, <-errs)
		}
		return all
	}
}
