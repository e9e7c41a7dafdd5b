package limits

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"isoperf/bench/environment"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
	"isoperf/runtime/program"
	"isoperf/workloads/load"
)

// cpuSample is one measurement of loads in a group.
type cpuSample struct {
	name, asked string
	limit       bandwidth
	machine     machine
	group       *cgroup.Group
	place       place
	meter       *meter
	workers     []*worker
	children    []child // groups below, whose use adds up to the group's
	length      time.Duration
}

// child is a group below the one that is measured.
type child struct {
	meter *meter
	most  float64 // that it may use, CPU time per time: the least of its limit and those above
}

// sampleCPU measures a group for a while.
func (b *Bench) sampleCPU(s cpuSample) ([]sample.Value, error) {
	checked := sample.Checked{Case: s.name, Limit: "cpu.max", Asked: s.asked, Doubts: b.doubts(s.machine), Facts: s.facts()}
	doubt := func(format string, args ...any) {
		checked.Doubts = append(checked.Doubts, fmt.Sprintf(format, args...))
	}
	if err := s.members(doubt, "began"); err != nil {
		return nil, err
	}
	if err := s.bounded(doubt); err != nil {
		return nil, err
	}
	known := make([]int, len(s.workers))
	for i, w := range s.workers {
		if w.board != nil {
			w.board.Go()
			known[i] = int(w.board.Noted.Load())
		}
	}
	before, err := s.outside()
	if err != nil {
		return nil, err
	}
	begin := program.Now() + int64(warmUp*s.limit.period)
	list, dropped, err := s.meter.watch(b.Context, s.pace(), begin+int64(s.length), nil)
	if err != nil {
		return nil, err
	}
	after, err := s.outside()
	if err != nil {
		return nil, err
	}
	if err := s.members(doubt, "ended"); err != nil {
		return nil, err
	}
	if checked.Read, err = s.place.cpuMax(); err != nil {
		return nil, err
	}
	s.readBack(checked.Read, doubt)
	b.schedulers(s.machine, doubt)
	if n := len(list) + dropped; dropped*5 > n {
		doubt("%d of %d readings of the counters took longer than %v: this process was kept from running", dropped, n, slow)
	}
	late := list[min(len(list), indexFrom(list, begin)):]
	w, ok := measure(late, s.limit)
	if !ok { // nothing is recorded: a record belongs to figures
		doubt("fewer than two periods were seen to end within %v", s.length)
		return nil, fmt.Errorf("measure %s: %s", s.name, strings.Join(checked.Doubts, "; "))
	}
	gaps := s.gaps(known)
	x := s.compare(before, after)
	w.strays(x.strays, s.limit)
	values := s.values(w, x, gapsWithin(gaps, w.from.at, w.to.at))
	err = b.record(checked, sample.Series{Name: "use per period", Y: "ratio", Points: indexed(w.uses)})
	if b.Timeline != nil && b.taken[s.name] == 1 && len(gaps) > 0 {
		err = errors.Join(err, b.Timeline(throttles(s.name, late, gaps, s.limit)))
	}
	return values, err
}

// facts are what a judge has to know beside the figures.
func (s *cpuSample) facts() map[string]string {
	if !atLeast(s.machine.env.Kernel, "6.18") {
		return nil
	}
	return map[string]string{"throttles": "tasks"}
}

// atLeast says whether a kernel's release is a version or a later one.
func atLeast(release, wanted string) bool {
	var major, minor, a, b int
	if _, err := fmt.Sscanf(wanted+" "+release, "%d.%d %d.%d", &major, &minor, &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}

// readBack doubts the measurement when the limit is not, or no longer, the one
// that was asked for.
func (s *cpuSample) readBack(got string, doubt func(string, ...any)) {
	if got == s.asked {
		return
	}
	var q1, p1, q2, p2 float64
	n, _ := fmt.Sscanf(s.asked+" "+got, "%g %g %g %g", &q1, &p1, &q2, &p2)
	if n == 4 && q2 > q1 && math.Abs(q2/q1-p2/p1) < 0.001 {
		doubt("the kernel has scaled the limit, from %q to %q: periods are too short for this machine, ask for longer ones", s.asked, got)
		return
	}
	doubt("the limit that is in force is %q, not %q: something else has changed it", got, s.asked)
}

// bounded doubts the measurement when a group above has less.
func (s *cpuSample) bounded(doubt func(string, ...any)) error {
	share, dir, err := s.place.above()
	if err != nil {
		return err
	}
	if share > 0 && share < s.limit.entitled() {
		doubt("the limit is not the one that holds: group %q above it has %.4g %% of a CPU", dir, 100*share)
	}
	return nil
}

// schedulers doubts the measurement when a BPF scheduler has come since it was
// planned.
func (b *Bench) schedulers(m machine, doubt func(string, ...any)) {
	now, err := readMachine()
	if err != nil {
		doubt("%v", err)
		return
	}
	known := b.doubts(m)
	for _, d := range b.doubts(now) {
		if !slices.Contains(known, d) {
			doubt("%s", d)
		}
	}
}

// pace is the time between two readings: many in a period, but not so many that
// reading would be a load of its own. On an emulated machine a reading takes a
// hundred times longer.
func (s *cpuSample) pace() time.Duration {
	usual := max(200*time.Microsecond, min(2*time.Millisecond, s.limit.period/20))
	return max(usual, min(s.limit.period/4, 20*s.meter.cost()))
}

func indexFrom(list []reading, at int64) int {
	for i, r := range list {
		if r.at >= at {
			return i
		}
	}
	return len(list)
}

func indexed(list []float64) [][2]float64 {
	points := make([][2]float64, len(list))
	for i, v := range list {
		points[i] = [2]float64{float64(i), v}
	}
	return points
}

// members doubts the measurement when a thread is not where it should be.
func (s *cpuSample) members(doubt func(string, ...any), when string) error {
	for _, w := range s.workers {
		if w.gone() {
			return fmt.Errorf("measure %s: its load has ended by itself", s.name)
		}
		dir := s.place.cpu
		if w.group != nil {
			dir = placeOf(w.group).cpu
		}
		strays, err := w.strays(dir, s.place.v2)
		if err != nil {
			return err
		}
		if len(strays) > 0 {
			doubt("when it %s, thread %d of the load was not in the group", when, strays[0])
		}
	}
	return nil
}

// outside is what was seen without the group's counters.
type outside struct {
	at    int64
	loads time.Duration        // CPU time of the loads' processes
	slots []int64              // of their threads, by the clocks that those wrote down
	below []int64              // usage of the groups below
	all   environment.CPUTimes // of the machine
	usage int64                // of the group, at the same moment
}

func (s *cpuSample) outside() (o outside, err error) {
	for _, w := range s.workers {
		t, err := w.cpuTime()
		if err != nil {
			return o, err
		}
		o.loads += t
		if w.board != nil {
			for i := range max(1, w.spec.Threads) {
				o.slots = append(o.slots, w.board.Slots[i].CPU.Load())
			}
		} else {
			o.slots = append(o.slots, int64(t))
		}
	}
	for _, c := range s.children {
		r, err := c.meter.read()
		if err != nil {
			return o, err
		}
		o.below = append(o.below, r.usage)
	}
	r, err := s.meter.read()
	if err != nil {
		return o, err
	}
	o.at, o.usage = program.Now(), r.usage
	o.all, err = environment.ReadCPUTimes("/")
	return o, err
}

// comparison is the group's counters against others.
type comparison struct {
	accounted float64 // CPU time by the counter / by the processes' clocks - 1
	steal     float64 // the share of all CPU time that the host took
	others    float64 // CPUs that others were using
	slots     float64 // CPU time of the threads' clocks / by the counter - 1; NaN: none was written down
	strays    float64 // share of the CPU time that threads had which are not the load's work
	fairness  float64 // between threads: Jain's index, 1 if all had the same
	below     float64 // CPU time of the groups below / of the group - 1; NaN: there are none
	most      float64 // what one of them used, of what it may; NaN: there are none
}

func (s *cpuSample) compare(a, b outside) comparison {
	x := comparison{steal: environment.Steal(a.all, b.all), slots: math.NaN(), below: math.NaN(), most: math.NaN()}
	used := float64(b.usage - a.usage)
	if loads := float64(b.loads - a.loads); loads > 0 {
		x.accounted = used/loads - 1
	}
	x.others = max(0, environment.Busy(a.all, b.all)*float64(s.machine.env.CPUs)-used/float64(b.at-a.at))
	if had := differences(a.slots, b.slots); len(had) > 0 && used > 0 {
		x.slots, x.fairness = total(had)/used-1, jain(had)
		x.strays = max(0, 1-total(had)/float64(b.loads-a.loads))
	}
	if had := differences(a.below, b.below); len(had) > 0 && used > 0 {
		x.below, x.most = total(had)/used-1, 0
		for i, c := range s.children {
			x.most = max(x.most, had[i]/float64(b.at-a.at)/c.most)
		}
	}
	return x
}

func differences(a, b []int64) []float64 {
	list := make([]float64, len(a))
	for i := range a {
		list[i] = float64(b[i] - a[i])
	}
	return list
}

func total(list []float64) (sum float64) {
	for _, v := range list {
		sum += v
	}
	return sum
}

// jain is Jain's index of fairness: 1 if all have the same, 1/n if one has all.
func jain(list []float64) float64 {
	var squares float64
	for _, v := range list {
		squares += v * v
	}
	if squares == 0 {
		return 1
	}
	sum := total(list)
	return sum * sum / (float64(len(list)) * squares)
}

// noted says whether a load notes when its threads stood still, and all of it:
// a board that is full takes no more, and the longest may be missing.
func (s *cpuSample) noted() bool {
	some := false
	for _, w := range s.workers {
		if w.board == nil || w.spec.Kind == "turns" {
			continue
		}
		if some = true; w.board.Noted.Load() > load.Events {
			return false
		}
	}
	return some
}

// values are the figures of a sample.
func (s *cpuSample) values(w window, x comparison, gaps []gap) []sample.Value {
	list := []sample.Value{
		{Unit: "entitled-ratio", Value: s.limit.entitled()},
		{Unit: "error-ratio", Value: w.failure},
		{Unit: "abs-error-ratio", Value: math.Abs(w.failure)},
		{Unit: "budget-ratio", Value: w.budget},
		{Unit: "over-budget-ratio", Value: w.over},
		{Unit: "accounted-ratio", Value: x.accounted},
		{Unit: "throttled-ratio", Value: w.throttled},
		{Unit: "period-count", Value: float64(w.periods)},
		{Unit: "mean-stall-ns", Value: float64(w.stall)},
		{Unit: "steal-ratio", Value: x.steal},
		{Unit: "others-ratio", Value: x.others},
	}
	if s.limit.binds() {
		list = append(list,
			sample.Value{Unit: "periods-error-ratio", Value: w.byPeriods},
			sample.Value{Unit: "late-period-count", Value: float64(w.late)},
			sample.Value{Unit: "unused-ratio", Value: w.unused},
			sample.Value{Unit: "use-p50-ratio", Value: quantile(w.uses, 0.5)},
			sample.Value{Unit: "use-p99-ratio", Value: quantile(w.uses, 0.99)},
			sample.Value{Unit: "use-max-ratio", Value: quantile(w.uses, 1)},
			sample.Value{Unit: "burst-ratio", Value: w.burst},
			sample.Value{Unit: "burst-kept-ratio", Value: w.kept},
			sample.Value{Unit: "part-error-ratio", Value: w.part.failure},
			sample.Value{Unit: "part-budget-ratio", Value: w.part.budget})
	}
	if s.limit.binds() && s.limit.threads == 1 {
		list = append(list, sample.Value{Unit: "throttle-sum-ratio", Value: w.throttling})
	}
	if s.noted() {
		list = append(list,
			sample.Value{Unit: "stall-ns", Value: quantile(lengths(gaps), 1)},
			sample.Value{Unit: "gap-p50-ns", Value: quantile(lengths(gaps), 0.5)},
			sample.Value{Unit: "gap-p99-ns", Value: quantile(lengths(gaps), 0.99)})
	}
	if !math.IsNaN(x.slots) {
		list = append(list, sample.Value{Unit: "slots-ratio", Value: x.slots}, sample.Value{Unit: "fairness-ratio", Value: x.fairness})
	}
	if !math.IsNaN(x.below) {
		list = append(list, sample.Value{Unit: "children-ratio", Value: x.below}, sample.Value{Unit: "child-most-ratio", Value: x.most})
	}
	return append(list, sample.Value{Unit: "achieved-ratio", Value: w.share})
}
