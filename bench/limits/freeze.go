package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
	"isoperf/runtime/program"
	"isoperf/workloads/load"
)

// FreezeCell is a group of processes that is frozen, thawed and killed.
type FreezeCell struct {
	Tasks int           // processes; each has a thread that counts, and those of its runtime
	Nap   time.Duration // between two turns; 0: it never sleeps
}

func (c FreezeCell) name() string {
	kind := "spin"
	if c.Nap > 0 {
		kind = "sleep"
	}
	return fmt.Sprintf("Freeze/tasks=%d/load=%s", c.Tasks, kind)
}

// nap is how long a sleeping task sleeps: so short that one which still moves is
// seen while the group is held, so long that a hundred are no load.
const nap = 20 * time.Millisecond

// held is how long a frozen group is watched: it would move many times in it.
const held = 5 * nap

// Freezing are the cases of freezing and killing.
func (b *Bench) Freezing(e harness.Extent) []harness.Case {
	m, failed := readMachine()
	tasks := []int{1, 10}
	if e.Wide {
		tasks = append(tasks, 100)
	}
	var cases []harness.Case
	for _, n := range tasks {
		for _, c := range []FreezeCell{{Tasks: n}, {Tasks: n, Nap: nap}} {
			cost := time.Duration(n)*20*time.Millisecond + 500*time.Millisecond
			cases = append(cases, b.newCase(c.name(), e, cost, func(name string, g *ground) (func() ([]sample.Value, error), error) {
				if failed != nil {
					return nil, failed
				}
				f, err := b.openFreeze(name, c, m, g)
				if err != nil {
					return nil, err
				}
				return f.sample, nil
			}))
		}
	}
	return cases
}

// icebox is a group that is to be frozen.
type icebox struct {
	bench   *Bench
	name    string
	machine machine
	ctx     context.Context
	group   *cgroup.Group
	dir     string // of the hierarchy that freezes
	v2      bool
	workers []*worker
}

// openFreeze starts the tasks. The group has CPU time of its own, so that who
// measures gets his turn.
func (b *Bench) openFreeze(name string, c FreezeCell, m machine, g *ground) (*icebox, error) {
	f := &icebox{bench: b, name: name, machine: m, ctx: b.Context}
	var err error
	if f.group, err = g.group("freeze", nil, "cpu", "freezer"); err != nil {
		return nil, err
	}
	home := homeOf(f.group, "freezer")
	f.dir, f.v2 = home.cpu, home.v2
	for range c.Tasks {
		if b.Context.Err() != nil {
			return nil, b.Context.Err()
		}
		w, err := g.start(f.group, load.Spec{Kind: "task", Every: c.Nap})
		if err != nil {
			return nil, err
		}
		f.workers = append(f.workers, w)
	}
	return f, nil
}

// sample freezes, thaws and kills. Each step is seen twice: by what the kernel
// says of the group, and by what its tasks do.
func (f *icebox) sample() ([]sample.Value, error) {
	checked := sample.Checked{Case: f.name, Limit: "cgroup.freeze", Asked: "frozen, thawed, empty", Doubts: f.bench.doubts(f.machine), Facts: map[string]string{}}
	doubt := func(format string, args ...any) {
		checked.Doubts = append(checked.Doubts, fmt.Sprintf(format, args...))
	}
	for _, w := range f.workers {
		if err := w.within(place{cpu: f.dir, v2: f.v2}, f.name, "began", doubt); err != nil {
			return nil, err
		}
		w.board.Go()
	}
	if _, _, err := f.moves(f.turns()); err != nil {
		return nil, fmt.Errorf("wait for the tasks to begin: %w", err)
	}
	values := []sample.Value{{Unit: "thread-count", Value: float64(f.threads())}}
	frozen, err := f.freeze()
	if err != nil { // a frozen process of version 1 cannot be killed
		return nil, errors.Join(err, f.release())
	}
	values = append(values, frozen...)
	thawed, err := f.thaw()
	if err != nil {
		return nil, errors.Join(err, f.release())
	}
	values = append(values, thawed...)
	killed, empty, err := f.kill()
	if err != nil {
		return nil, err
	}
	checked.Read = "frozen, thawed, " + empty
	// The main figure stands last.
	values = append(values, killed...)
	i := slices.IndexFunc(values, func(v sample.Value) bool { return v.Unit == "freeze-ns" })
	values = append(slices.Delete(slices.Clone(values), i, i+1), values[i])
	return values, f.bench.record(checked)
}

// turns is what each task has counted.
func (f *icebox) turns() []uint64 {
	list := make([]uint64, len(f.workers))
	for i, w := range f.workers {
		list[i] = w.board.Slots[0].Loops.Load()
	}
	return list
}

// moved is how many tasks have counted on.
func (f *icebox) moved(since []uint64) int {
	n := 0
	for i, now := range f.turns() {
		if now != since[i] {
			n++
		}
	}
	return n
}

// moves waits until every task has counted on: when the first one was seen to,
// and when the last.
func (f *icebox) moves(since []uint64) (first, all int64, err error) {
	n := 0
	err = f.until("every task moves", patience, func() (bool, error) {
		if n = f.moved(since); n > 0 && first == 0 {
			first = program.Now()
		}
		return n == len(f.workers), nil
	})
	return first, program.Now(), err
}

// mourning is how long killed processes may take to be gone; the kernel's own
// tests give them a second.
const mourning = 5 * time.Second

// glance is the time between two looks at the group. All figures are exact to
// it, and to how long this process waits for a CPU.
const glance = 50 * time.Microsecond

// errLasts says that something did not come to be.
var errLasts = errors.New("it is not so after")

// until looks again and again, until something is so.
func (f *icebox) until(what string, bound time.Duration, done func() (bool, error)) error {
	for begin := time.Now(); ; {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if time.Since(begin) > bound {
			return fmt.Errorf("wait until %s: %w %v", what, errLasts, bound)
		}
		if err := f.ctx.Err(); err != nil {
			return err
		}
		doze(int64(glance))
	}
}

// turn freezes or thaws, and returns when the kernel had been told, and when it
// said that it is done.
func (f *icebox) turn(on bool) (begin, told, done int64, err error) {
	file, word := f.dir+"/freezer.state", "THAWED"
	switch {
	case f.v2 && on:
		file, word = f.dir+"/cgroup.freeze", "1"
	case f.v2:
		file, word = f.dir+"/cgroup.freeze", "0"
	case on:
		word = "FROZEN"
	}
	begin = program.Now()
	if err := os.WriteFile(file, []byte(word), 0); err != nil {
		return 0, 0, 0, fmt.Errorf("write %q to %s: %w; the group may have been removed by others", word, file, err)
	}
	told = program.Now()
	err = f.until("the kernel says "+word, patience, func() (bool, error) {
		if f.v2 {
			n, err := f.event("frozen")
			return n == word, err
		}
		state, err := readLine(file)
		return state == word, err
	})
	return begin, told, program.Now(), err
}

// release thaws the group, whatever became of the measurement. It is done here
// and not by the group, whose own way of freezing is version 2's where both are.
func (f *icebox) release() error {
	file, word := f.dir+"/freezer.state", "THAWED"
	if f.v2 {
		file, word = f.dir+"/cgroup.freeze", "0"
	}
	if err := os.WriteFile(file, []byte(word), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("thaw what was frozen for a measurement: %w; write %s to %s", err, word, file)
	}
	return nil
}

// event is a value of version 2's cgroup.events.
func (f *icebox) event(key string) (string, error) {
	text, err := os.ReadFile(f.dir + "/cgroup.events")
	if err != nil {
		return "", fmt.Errorf("read a group's events: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if k, v, _ := strings.Cut(strings.TrimSpace(line), " "); k == key {
			return v, nil
		}
	}
	return "", fmt.Errorf("read a group's events: there is no %q; it takes Linux 5.2", key)
}

// freeze freezes the group and holds it: no task may count on, and no process
// may use CPU time, by its own clock.
func (f *icebox) freeze() ([]sample.Value, error) {
	begin, told, done, err := f.turn(true)
	if err != nil {
		return nil, err
	}
	turns := f.turns()
	clocks, err := f.clocks()
	if err == nil {
		err = pause(f.ctx, held)
	}
	if err != nil {
		return nil, err
	}
	after, err := f.clocks()
	if err != nil {
		return nil, err
	}
	n := 0
	for i, now := range f.turns() {
		if now != turns[i] || after[i] != clocks[i] {
			n++
		}
	}
	return []sample.Value{
		{Unit: "freeze-write-ns", Value: float64(told - begin)},
		{Unit: "freeze-ns", Value: float64(done - begin)},
		{Unit: "moved-count", Value: float64(n)},
	}, nil
}

func (f *icebox) clocks() ([]time.Duration, error) {
	list := make([]time.Duration, len(f.workers))
	for i, w := range f.workers {
		var err error
		if list[i], err = w.cpuTime(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// thaw lets the group go on, and waits for the tasks to do so. When the last one
// does is a matter of how many want the CPUs.
func (f *icebox) thaw() ([]sample.Value, error) {
	turns := f.turns()
	begin, _, done, err := f.turn(false)
	if err != nil {
		return nil, err
	}
	first, all, err := f.moves(turns)
	if err != nil {
		return nil, err
	}
	return []sample.Value{
		{Unit: "thaw-ns", Value: float64(done - begin)},
		{Unit: "first-run-ns", Value: float64(first - begin)},
		{Unit: "all-run-ns", Value: float64(all - begin)},
	}, nil
}

// threads is how many the processes have in all.
func (f *icebox) threads() int {
	n := 0
	for _, w := range f.workers {
		if list, err := os.ReadDir("/proc/" + strconv.Itoa(w.proc.Pid()) + "/task"); err == nil {
			n += len(list)
		}
	}
	return n
}
