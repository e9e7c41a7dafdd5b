package limits

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/bench/environment"
	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
	"isoperf/runtime/program"
	"isoperf/workloads/load"
)

// Cell is a CPU limit, and the load that is held to it.
type Cell struct {
	Quota   float64       // of one CPU: 0.2 is 20 %
	Period  time.Duration // 0: 100 ms, the kernel's default
	Threads int           // 0: as many as it takes to be held back, but no more than CPUs
	Load    string        // a kind of package load; empty: spin
}

// Bounds of the kernel's (kernel/sched/core.c, tg_set_cfs_bandwidth).
const (
	leastQuota = time.Millisecond
	leastPer   = time.Millisecond
	mostPer    = time.Second
)

// Check says what is wrong with the cell, and names the nearest limit that the
// kernel takes; nil: nothing.
func (c Cell) Check() error {
	switch {
	case !(c.Quota > 0) || math.IsInf(c.Quota, 0):
		return fmt.Errorf("quota %v %%: it must be more than 0 %% of a CPU", 100*c.Quota)
	case c.Period != 0 && c.Period < leastPer:
		return fmt.Errorf("period %v: the kernel takes 1 ms to 1 s; the nearest is %v", c.Period, leastPer)
	case c.Period > mostPer:
		return fmt.Errorf("period %v: the kernel takes 1 ms to 1 s; the nearest is %v", c.Period, mostPer)
	case c.quota() < leastQuota:
		return fmt.Errorf("%v %% of a period of %v is a quota of %v: the kernel takes at least 1 ms; the nearest are %.4g %% of %v, or %v %% of %v",
			100*c.Quota, c.period(), c.quota(), 100*float64(leastQuota)/float64(c.period()), c.period(), 100*c.Quota, min(mostPer, time.Duration(math.Ceil(1/c.Quota))*time.Millisecond))
	case c.Threads < 0 || c.Threads > load.Slots:
		return fmt.Errorf("%d threads: there can be 1 to %d", c.Threads, load.Slots)
	}
	return nil
}

func (c Cell) period() time.Duration {
	if c.Period == 0 {
		return 100 * time.Millisecond
	}
	return c.Period
}

func (c Cell) quota() time.Duration {
	return time.Duration(c.Quota * float64(c.period())).Round(time.Microsecond)
}

// threads is how many the load has: one more than the whole CPUs of the quota.
func (c Cell) threads(cpus int) int {
	if c.Threads > 0 {
		return c.Threads
	}
	return min(cpus, int(c.Quota)+1)
}

func (c Cell) load() string {
	if c.Load == "" {
		return "spin"
	}
	return c.Load
}

// limit is the quota and the period as cpu.max has them, microseconds.
func (c Cell) limit() string {
	return fmt.Sprintf("%d %d", c.quota().Microseconds(), c.period().Microseconds())
}

// Name is the case's.
func (c Cell) name(cpus int) string {
	return fmt.Sprintf("CpuMax/quota=%s%%/period=%v/threads=%d/load=%s",
		strconv.FormatFloat(math.Round(1e4*c.Quota)/100, 'f', -1, 64), c.period(), c.threads(cpus), c.load())
}

// length is how long the cell is measured: until what is unknown at both ends is
// below a quarter of a per cent, but 30 periods and 2 s at least and 10 s at most.
func (c Cell) length(m machine) time.Duration {
	b := c.bandwidth(m)
	n := b.width() * float64(b.tick+minRuntime) / (0.0025 * float64(b.quota))
	wanted := time.Duration(max(30, n)+warmUp+1) * b.period
	return min(10*time.Second, max(2*time.Second, wanted))
}

func (c Cell) bandwidth(m machine) bandwidth {
	return bandwidth{quota: c.quota(), period: c.period(), threads: c.threads(m.cpus), cpus: m.cpus, tick: m.tick, slice: m.slice()}
}

// CPUMax are the cells of a report: quotas and periods, wherever the quota is at
// least the kernel's.
func (b *Bench) CPUMax(e harness.Extent) []harness.Case {
	cells := b.Cells
	m, err := readMachine()
	if len(cells) == 0 {
		cells = grid(e, m.cpus)
	}
	var cases []harness.Case
	for _, c := range cells {
		length := b.Window
		if length == 0 {
			length = c.length(m)
		}
		cases = append(cases, b.newCase(c.name(m.cpus), e, length+100*time.Millisecond, func(name string, g *ground) (func() ([]sample.Value, error), error) {
			if err != nil {
				return nil, err
			}
			return b.openCPUMax(name, c, m, g, length)
		}))
	}
	return cases
}

// grid is quotas by periods; a look has the usual ones.
func grid(e harness.Extent, cpus int) []Cell {
	quotas := []float64{0.05, 0.2, 0.5, 1, 1.5}
	periods := []time.Duration{10 * time.Millisecond, 100 * time.Millisecond}
	if e.Wide {
		quotas = []float64{0.01, 0.05, 0.1, 0.2, 0.5, 1, 1.5, 2, 4}
		periods = append(periods, time.Millisecond, 5*time.Millisecond, 20*time.Millisecond, time.Second)
	}
	var cells []Cell
	for _, p := range periods {
		for _, q := range quotas {
			if c := (Cell{Quota: q, Period: p}); c.Check() == nil && q <= float64(2*cpus) {
				cells = append(cells, c)
			}
		}
	}
	return cells
}

// resources are the limits that hold a group to the cell.
func (c Cell) resources() *specs.LinuxResources {
	quota, period := c.quota().Microseconds(), uint64(c.period().Microseconds())
	return &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: &period}}
}

// openCPUMax makes a group with the cell's limit and a load in it.
func (b *Bench) openCPUMax(name string, c Cell, m machine, g *ground, length time.Duration) (func() ([]sample.Value, error), error) {
	made, err := g.group("cpumax", c.resources(), "cpu", "cpuacct")
	if err != nil {
		return nil, err
	}
	w, err := g.start(made, load.Spec{Kind: c.load(), Threads: c.threads(m.cpus)})
	if err != nil {
		return nil, err
	}
	where := placeOf(made)
	counters, err := newMeter(where.cpu, where.cpuacct, where.v2)
	if err != nil {
		return nil, err
	}
	g.onClose(func() error { counters.close(); return nil })
	return func() ([]sample.Value, error) {
		return b.sampleCPU(cpuSample{name: name, asked: c.limit(), limit: c.bandwidth(m), machine: m, place: where, meter: counters, workers: []*worker{w}, length: length})
	}, nil
}

// place is where a group is, for the CPU controllers.
type place struct {
	cpu, cpuacct string
	v2           bool
}

func placeOf(g *cgroup.Group) place {
	cpu, v2 := g.Dir("cpu"), g.Dir("v2")
	if cpu == "" || cpu == v2 {
		return place{v2, v2, true}
	}
	return place{cpu, g.Dir("cpuacct"), false}
}

// cpuMax is the limit that is in force in a group, as cpu.max has it.
func (p place) cpuMax() (string, error) {
	if p.v2 {
		return readLine(p.cpu + "/cpu.max")
	}
	quota, err := readLine(p.cpu + "/cpu.cfs_quota_us")
	if err != nil {
		return "", err
	}
	period, err := readLine(p.cpu + "/cpu.cfs_period_us")
	if quota == "-1" {
		quota = "max"
	}
	return quota + " " + period, err
}

// cpuSample is one measurement of loads in a group.
type cpuSample struct {
	name, asked string
	limit       bandwidth
	machine     machine
	place       place
	meter       *meter
	workers     []*worker
	length      time.Duration
}

// sampleCPU measures a group for a while.
func (b *Bench) sampleCPU(s cpuSample) ([]sample.Value, error) {
	checked := sample.Checked{Case: s.name, Limit: "cpu.max", Asked: s.asked, Doubts: b.doubts(s.machine)}
	doubt := func(format string, args ...any) {
		checked.Doubts = append(checked.Doubts, fmt.Sprintf(format, args...))
	}
	if err := s.members(doubt, "began"); err != nil {
		return nil, err
	}
	known := make([]int, len(s.workers))
	for i, w := range s.workers {
		w.board.Go()
		known[i] = int(w.board.Noted.Load())
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
	if checked.Read != s.asked {
		doubt("the limit that is in force is %q, not %q: something else has changed it", checked.Read, s.asked)
	}
	if n := len(list) + dropped; dropped*5 > n {
		doubt("%d of %d readings of the counters took longer than %v: this process was kept from running", dropped, n, slow)
	}
	late := list[min(len(list), indexFrom(list, begin)):]
	w, ok := measure(late, s.limit)
	if !ok {
		doubt("fewer than two periods were seen to end within %v", s.length)
		return nil, errors.Join(b.record(checked), fmt.Errorf("measure %s: %s", s.name, strings.Join(checked.Doubts, "; ")))
	}
	x := s.compare(before, after)
	values := s.values(w, x, known)
	return values, b.record(checked, sample.Series{Name: "use per period", Y: "ratio", Points: indexed(w.uses)})
}

// pace is the time between two readings: many in a period, but not so many that
// reading would be a load of its own.
func (s *cpuSample) pace() time.Duration {
	return max(200*time.Microsecond, min(2*time.Millisecond, s.limit.period/20))
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
}

func (s *cpuSample) compare(a, b outside) comparison {
	x := comparison{steal: environment.Steal(a.all, b.all)}
	used := float64(b.usage - a.usage)
	if loads := float64(b.loads - a.loads); loads > 0 {
		x.accounted = used/loads - 1
	}
	x.others = max(0, environment.Busy(a.all, b.all)*float64(s.machine.env.CPUs)-used/float64(b.at-a.at))
	return x
}

// values are the figures of a sample.
func (s *cpuSample) values(w window, x comparison, known []int) []sample.Value {
	list := []sample.Value{
		{Unit: "entitled-ratio", Value: s.limit.entitled()},
		{Unit: "error-ratio", Value: w.failure},
		{Unit: "abs-error-ratio", Value: math.Abs(w.failure)},
		{Unit: "budget-ratio", Value: w.budget},
		{Unit: "accounted-ratio", Value: x.accounted},
		{Unit: "throttled-ratio", Value: w.throttled},
		{Unit: "period-count", Value: float64(w.periods)},
		{Unit: "mean-stall-ns", Value: float64(w.stall)},
		{Unit: "stall-ns", Value: s.longest(w, known)},
		{Unit: "steal-ratio", Value: x.steal},
		{Unit: "others-ratio", Value: x.others},
	}
	if s.limit.binds() {
		list = append(list,
			sample.Value{Unit: "periods-error-ratio", Value: w.byPeriods},
			sample.Value{Unit: "use-p50-ratio", Value: quantile(w.uses, 0.5)},
			sample.Value{Unit: "use-p99-ratio", Value: quantile(w.uses, 0.99)},
			sample.Value{Unit: "use-max-ratio", Value: quantile(w.uses, 1)})
	}
	return append(list, sample.Value{Unit: "achieved-ratio", Value: w.share})
}

// longest is the longest time for which a thread of the loads stood still within
// the window.
func (s *cpuSample) longest(w window, known []int) float64 {
	var most int64
	for i, worker := range s.workers {
		for _, e := range worker.board.Since(known[i]) {
			if e.Kind == load.Gap && e.From >= w.from.at && e.To <= w.to.at {
				most = max(most, e.To-e.From)
			}
		}
	}
	return float64(most)
}
