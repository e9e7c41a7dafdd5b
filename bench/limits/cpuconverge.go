package limits

import (
	"fmt"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
	"isoperf/runtime/program"
	"isoperf/workloads/load"
)

// CPUConverge are the cases of how soon a limit holds: for a running process that
// is moved into the group, and for a running group whose limit is changed.
//
//	five periods as it was ─► change (timed) ─► periods, until five in a row are near the quota
func (b *Bench) CPUConverge(e harness.Extent) []harness.Case {
	m, failed := readMachine()
	fifth, half := Cell{Quota: 0.2, Threads: 1}, Cell{Quota: 0.5, Threads: 1}
	var cases []harness.Case
	for _, c := range []struct {
		change   string
		from, to Cell
	}{{"moved-in", Cell{}, fifth}, {"raised", fifth, half}, {"lowered", half, fifth}} {
		name := fmt.Sprintf("CpuConverge/change=%s/quota=%v%%/period=%v", c.change, 100*c.to.Quota, c.to.period())
		cases = append(cases, b.newCase(name, e, (before+afterwards)*c.to.period(), func(name string, g *ground) (func() ([]sample.Value, error), error) {
			if failed != nil {
				return nil, failed
			}
			v, err := b.openConverge(name, c.from, c.to, m, g)
			if err != nil {
				return nil, err
			}
			return v.sample, nil
		}))
	}
	return cases
}

// How many periods are seen before a change and after it.
const (
	before     = warmUp + 1
	afterwards = 15
)

// converging is a limit that is about to change.
type converging struct {
	bench    *Bench
	ground   *ground
	from, to Cell // from nothing: the load is moved in
	cpuSample
}

func (b *Bench) openConverge(name string, from, to Cell, m machine, g *ground) (*converging, error) {
	first := from
	if from.Quota == 0 {
		first = to
	}
	s, err := newCPUSample(name, first, m, g, 0)
	if err != nil {
		return nil, err
	}
	s.asked, s.limit = to.limit(), to.bandwidth(m)
	return &converging{b, g, from, to, *s}, nil
}

// sample has a load of its own: one that was moved in does not come out again.
func (v *converging) sample() ([]sample.Value, error) {
	checked := sample.Checked{Case: v.name, Limit: "cpu.max, changed", Asked: v.asked, Doubts: v.bench.doubts(v.machine), Facts: v.facts()}
	doubt := func(format string, args ...any) {
		checked.Doubts = append(checked.Doubts, fmt.Sprintf(format, args...))
	}
	if err := v.bounded(doubt); err != nil {
		return nil, err
	}
	var in *cgroup.Group // none: moved in later
	if v.from.Quota > 0 {
		in = v.group
		if err := v.group.Update(v.from.resources()); err != nil {
			return nil, err
		}
	}
	w, err := v.ground.start(in, load.Spec{Kind: "spin", Threads: 1})
	if err != nil {
		return nil, err
	}
	defer w.close()
	v.workers = []*worker{w}
	w.board.Go()
	list, at, took, err := v.change(w)
	if err != nil {
		return nil, err
	}
	w.group = v.group
	if err := v.members(doubt, "ended"); err != nil {
		return nil, err
	}
	if checked.Read, err = v.place.cpuMax(); err != nil {
		return nil, err
	}
	v.readBack(checked.Read, doubt)
	v.bench.schedulers(v.machine, doubt)
	x, ok := convergence(list.readings, at, v.limit)
	if x.seen < inARow+1 {
		return nil, fmt.Errorf("measure %s: %d periods were seen to end after the change, too few to say anything", v.name, x.seen)
	}
	if !ok { // as long as it was watched, and not longer
		x.took, x.periods = time.Duration(list.until-at), x.seen
	}
	values := []sample.Value{
		{Unit: "write-ns", Value: float64(took)},
		{Unit: "near-ratio", Value: v.limit.nearby()},
		{Unit: "first-use-ratio", Value: x.first},
		{Unit: "steal-ratio", Value: list.x.steal},
		{Unit: "others-ratio", Value: list.x.others},
		{Unit: "accounted-ratio", Value: list.x.accounted},
		{Unit: "later-use-ratio", Value: x.later},
		{Unit: "settled-count", Value: map[bool]float64{true: 1}[ok]},
		{Unit: "converge-ns", Value: float64(x.took)},
		{Unit: "converge-period-count", Value: float64(x.periods)},
	}
	return values, v.bench.record(checked, sample.Series{Name: "use per period", Y: "ratio", Points: indexed(perPeriod(edges(list.readings, v.limit), v.limit))})
}

// around is what was read around a change.
type around struct {
	readings []reading
	until    int64
	x        comparison // after the change
}

// change has the load run for a while, changes what holds it, and watches on. It
// says when the change began, and how long the call took.
func (v *converging) change(w *worker) (s around, at, took int64, err error) {
	ctx, pace := v.bench.Context, v.pace()
	if s.readings, _, err = v.meter.watch(ctx, pace, program.Now()+int64(before*v.to.period()), nil); err != nil {
		return s, 0, 0, err
	}
	at = program.Now()
	if v.from.Quota == 0 {
		err = v.group.Attach(w.proc.Pid())
	} else {
		err = v.group.Update(v.to.resources())
	}
	took = program.Now() - at
	if err != nil {
		return s, 0, 0, err
	}
	first, err := v.outside()
	if err != nil {
		return s, 0, 0, err
	}
	s.until = at + int64(afterwards*v.to.period())
	more, _, err := v.meter.watch(ctx, pace, s.until, nil)
	if err != nil {
		return s, 0, 0, err
	}
	last, err := v.outside()
	s.readings, s.x = append(s.readings, more...), v.compare(first, last)
	return s, at, took, err
}

// CPUBurst are the cases of quota that is saved and used at once.
func (b *Bench) CPUBurst(e harness.Extent) []harness.Case {
	m, failed := readMachine()
	c := Cell{Quota: 0.2, Threads: 1, Load: "pulse"}
	saved := c.quota()
	name := fmt.Sprintf("CpuBurst/quota=20%%/period=%v/burst=%v", c.period(), saved)
	return []harness.Case{b.newCase(name, e, pulses*pulseEvery, func(name string, g *ground) (func() ([]sample.Value, error), error) {
		if failed != nil {
			return nil, failed
		}
		return b.openBurst(name, c, saved, m, g)
	})}
}

// The load rests for four periods, and then wants three quotas at once: one it
// has, one it has saved, and one is too much. It does not keep step with the
// periods.
const (
	pulseEvery = 430 * time.Millisecond
	pulseWork  = 60 * time.Millisecond
	pulses     = 12
)

func (b *Bench) openBurst(name string, c Cell, saved time.Duration, m machine, g *ground) (func() ([]sample.Value, error), error) {
	s, err := newCPUSample(name, c, m, g, pulses*pulseEvery)
	if err != nil {
		return nil, err
	}
	if _, err := s.place.burst(); err != nil {
		return nil, harness.NotMeasured{Why: "this kernel saves no quota; that came with Linux 5.14"}
	}
	micros := uint64(saved.Microseconds())
	if err := s.group.Update(&specs.LinuxResources{CPU: &specs.LinuxCPU{Burst: &micros}}); err != nil {
		return nil, err
	}
	s.limit.burst = saved
	w, err := g.start(s.group, load.Spec{Kind: c.Load, Threads: 1, Work: pulseWork, Every: pulseEvery})
	if err != nil {
		return nil, err
	}
	s.workers = []*worker{w}
	return func() ([]sample.Value, error) { return b.sampleBurst(*s) }, nil
}

// burst is the quota that a group may save, as the kernel has it.
func (p place) burst() (string, error) {
	if p.v2 {
		return readLine(p.cpu + "/cpu.max.burst")
	}
	return readLine(p.cpu + "/cpu.cfs_burst_us")
}

func (b *Bench) sampleBurst(s cpuSample) ([]sample.Value, error) {
	asked := fmt.Sprintf("%s burst %d", s.asked, s.limit.burst.Microseconds())
	checked := sample.Checked{Case: s.name, Limit: "cpu.max.burst", Asked: asked, Doubts: b.doubts(s.machine), Facts: s.facts()}
	doubt := func(format string, args ...any) {
		checked.Doubts = append(checked.Doubts, fmt.Sprintf(format, args...))
	}
	if err := s.members(doubt, "began"); err != nil {
		return nil, err
	}
	s.workers[0].board.Go()
	first, err := s.outside()
	if err != nil {
		return nil, err
	}
	list, dropped, err := s.meter.watch(b.Context, s.pace(), program.Now()+int64(s.length), nil)
	if err != nil {
		return nil, err
	}
	last, err := s.outside()
	if err != nil {
		return nil, err
	}
	if err := s.members(doubt, "ended"); err != nil {
		return nil, err
	}
	limit, err := s.place.cpuMax()
	if err != nil {
		return nil, err
	}
	saved, err := s.place.burst()
	if err != nil {
		return nil, err
	}
	if checked.Read = limit + " burst " + saved; checked.Read != asked {
		doubt("the limit that is in force is %q, not %q: something else has changed it", checked.Read, asked)
	}
	b.schedulers(s.machine, doubt)
	if n := len(list) + dropped; dropped*5 > n || len(list) < 2 {
		doubt("%d of %d readings of the counters took longer than %v: this process was kept from running", dropped, n, slow)
	}
	ends := edges(list, s.limit)
	uses, x := perPeriod(ends, s.limit), s.compare(first, last)
	most, _ := mostInPeriod(ends, s.limit)
	values := []sample.Value{
		{Unit: "entitled-ratio", Value: s.limit.entitled()},
		{Unit: "achieved-ratio", Value: float64(last.usage-first.usage) / float64(last.at-first.at)},
		{Unit: "accounted-ratio", Value: x.accounted},
		{Unit: "steal-ratio", Value: x.steal},
		{Unit: "others-ratio", Value: x.others},
		{Unit: "burst-ratio", Value: most},
		{Unit: "may-ratio", Value: float64(s.limit.quota+s.limit.burst) / float64(s.limit.quota)},
		{Unit: "slack-ratio", Value: s.limit.width() * float64(s.limit.tick+minRuntime) / float64(s.limit.quota)},
		{Unit: "use-max-ratio", Value: quantile(uses, 1)},
	}
	if n := len(list); n > 1 && list[0].bursts >= 0 {
		values = append([]sample.Value{{Unit: "burst-count", Value: float64(list[n-1].bursts - list[0].bursts)}}, values...)
	}
	return values, b.record(checked, sample.Series{Name: "use per period", Y: "ratio", Points: indexed(uses)})
}
