package limits

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/bench/environment"
	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
	"isoperf/workloads/load"
)

// WeightCell is a tree of groups with weights, and the loads in its leaves. All
// stand below one group of their own, so what else runs on the machine takes
// from all of them alike.
type WeightCell struct {
	Weights string // cpu.weight: "100:200", "100:200(50:150)"
	Threads []int  // of each leaf; nil: as many as CPUs, in each
	// Free threads run where the kernel puts them; otherwise each keeps to a CPU
	// of its own. The weights are shared out on each CPU, so where the kernel does
	// not spread every group evenly, they are kept on each CPU and not in all.
	Free bool
}

// The shapes of a weight's case: they are judged differently.
const (
	shapeShared = "all want more than there is" // who gets how much?
	shapeIdle   = "a group is idle"             // is its share used by the others?
	shapeFew    = "fewer threads than CPUs"     // does each get what it wants?
)

func (c WeightCell) tree(cpus int) (*share, error) {
	root, err := parseWeights(c.Weights)
	if err != nil {
		return nil, err
	}
	leaves := root.leaves()
	if c.Threads != nil && len(c.Threads) != len(leaves) {
		return nil, fmt.Errorf("weights %q: %d groups need as many numbers of threads, not %d", c.Weights, len(leaves), len(c.Threads))
	}
	for i, l := range leaves {
		l.threads = cpus
		if c.Threads != nil {
			l.threads = c.Threads[i]
		}
		if l.threads < 0 || l.threads > load.Slots {
			return nil, fmt.Errorf("%d threads: there can be 0 to %d", l.threads, load.Slots)
		}
	}
	root.entitle(min(float64(cpus), root.wants(float64(cpus))))
	return root, nil
}

// shape is what the case asks.
func (s *share) shape(cpus int) string {
	all := 0
	for _, l := range s.leaves() {
		if l.threads == 0 {
			return shapeIdle
		}
		all += l.threads
	}
	if all <= cpus {
		return shapeFew
	}
	return shapeShared
}

func (c WeightCell) name(cpus int) string {
	name := "CpuWeight/weights=" + c.Weights
	threads := []string{strconv.Itoa(cpus)}
	if c.Threads != nil {
		threads = nil
		for _, n := range c.Threads {
			threads = append(threads, strconv.Itoa(n))
		}
		if len(slices.Compact(slices.Clone(threads))) == 1 {
			threads = threads[:1]
		}
	}
	return name + "/threads=" + strings.Join(threads, ":") + "/place=" + c.place()
}

func (c WeightCell) place() string {
	if c.Free {
		return "free"
	}
	return "pinned"
}

// load is what runs in a leaf.
func (c WeightCell) load(threads int) load.Spec {
	s := load.Spec{Kind: "hog", Threads: threads, Extra: "pin"}
	if c.Free {
		s.Extra = ""
	}
	return s
}

// CPUWeight are the cases of weights: the kernel's own test first
// (tools/testing/selftests/cgroup/test_cpu.c).
func (b *Bench) CPUWeight(e harness.Extent) []harness.Case {
	m, failed := readMachine()
	cells := []WeightCell{{Weights: "50:100:150"}, {Weights: "100:300"}, {Weights: "100:200", Threads: []int{0, m.cpus}}}
	if m.cpus > 1 {
		cells = append(cells, WeightCell{Weights: "100:300", Threads: []int{m.cpus / 2, m.cpus / 2}, Free: true})
	}
	if e.Wide {
		cells = append(cells, WeightCell{Weights: "100:100"}, WeightCell{Weights: "100:200"}, WeightCell{Weights: "1000:1000(5000:5000)"},
			WeightCell{Weights: "100:200(50:150)"}, WeightCell{Weights: "100:10000"}, WeightCell{Weights: "50:100:150", Free: true}, WeightCell{Weights: "100:300", Free: true})
	}
	var cases []harness.Case
	for _, c := range cells {
		cases = append(cases, b.weightCase(c, e, m, failed))
	}
	return cases
}

func (b *Bench) weightCase(c WeightCell, e harness.Extent, m machine, failed error) harness.Case {
	length := b.Window
	switch {
	case length > 0:
	case e.Wide:
		length = 10 * time.Second // as the kernel's test
	default:
		length = 4 * time.Second
	}
	return b.newCase(c.name(m.cpus), e, length+settle, func(name string, g *ground) (func() ([]sample.Value, error), error) {
		if failed != nil {
			return nil, failed
		}
		s, err := b.openWeight(name, c, m, g)
		if err != nil {
			return nil, err
		}
		s.length = length
		return s.sample, nil
	})
}

// settle is how long loads run before they are measured. The scheduler shares
// a group's weight among CPUs by a decaying average of what it wants there,
// whose weight falls below a thousandth within 320 ms (kernel/sched/pelt.c).
const settle = 500 * time.Millisecond

// granularity is the time within which everyone who wants to run on a CPU has
// run. In the fair scheduler before Linux 6.6 it was 6 ms, times one more than
// the logarithm of the CPUs, at most 8 of them (sysctl_sched_latency,
// get_update_sysctl_factor); since then it is a smaller slice for each.
func (m machine) granularity() time.Duration {
	return 6 * time.Millisecond * time.Duration(bits.Len(uint(min(8, m.cpus))))
}

// weightBudget is by how much a share may be off: at either end of the window
// a group may be ahead or behind on each CPU by one round, and what runs is
// charged at the tick only.
func (m machine) weightBudget(window time.Duration) float64 {
	return 2 * float64(m.granularity()+m.tick) / float64(window)
}

// weighted is a tree of groups that is measured.
type weighted struct {
	bench   *Bench
	name    string
	machine machine
	tree    *share
	length  time.Duration
	top     *meter
	nodes   []*cgroup.Group // of the tree's all
	leaves  []*leaf
}

type leaf struct {
	*share
	meter  *meter
	worker *worker // nil: it is idle
	group  *cgroup.Group
}

func (b *Bench) openWeight(name string, c WeightCell, m machine, g *ground) (*weighted, error) {
	s := &weighted{bench: b, name: name, machine: m}
	var err error
	if s.tree, err = c.tree(m.cpus); err != nil {
		return nil, err
	}
	top, err := g.group("weight", nil, "cpu", "cpuacct")
	if err != nil {
		return nil, err
	}
	if s.top, err = g.meter(top); err != nil {
		return nil, err
	}
	return s, s.grow(g, top, s.tree, c)
}

// meter opens the counters of a group until the ground is closed.
func (g *ground) meter(of *cgroup.Group) (*meter, error) {
	where := placeOf(of)
	m, err := newMeter(where.cpu, where.cpuacct, where.v2)
	if err == nil {
		g.onClose(func() error { m.close(); return nil })
	}
	return m, err
}

// grow makes the groups below one, and starts the loads of the leaves.
func (s *weighted) grow(g *ground, above *cgroup.Group, from *share, cell WeightCell) error {
	for _, c := range from.children {
		made, err := g.child(above, "w"+c.name, &specs.LinuxResources{Unified: map[string]string{"cpu.weight": strconv.FormatUint(c.weight, 10)}})
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, made)
		if len(c.children) > 0 {
			if err := s.grow(g, made, c, cell); err != nil {
				return err
			}
			continue
		}
		l := &leaf{share: c, group: made}
		if l.meter, err = g.meter(made); err != nil {
			return err
		}
		if c.threads > 0 {
			if l.worker, err = g.start(made, cell.load(c.threads)); err != nil {
				return err
			}
		}
		s.leaves = append(s.leaves, l)
	}
	return nil
}

// asked are the weights as the file of this version has them, and read what is
// there.
func (s *weighted) weights() (file, asked, read string, err error) {
	var want, got []string
	file = "cpu.weight"
	for i, c := range s.tree.all() {
		where := placeOf(s.nodes[i])
		value := c.weight
		if !where.v2 {
			file, value = "cpu.shares", c.scheduler()
		}
		now, err := readLine(where.cpu + "/" + file)
		if err != nil {
			return file, "", "", err
		}
		want, got = append(want, strconv.FormatUint(value, 10)), append(got, now)
	}
	return file, strings.Join(want, ":"), strings.Join(got, ":"), nil
}

// sample measures who gets how much. The counters are read at both ends only:
// all CPUs are busy, and who measures must not be.
func (s *weighted) sample() ([]sample.Value, error) {
	checked := sample.Checked{Case: s.name, Limit: "cpu.weight", Doubts: s.bench.doubts(s.machine),
		Facts: map[string]string{"shape": s.tree.shape(s.machine.cpus)}}
	doubt := func(format string, args ...any) {
		checked.Doubts = append(checked.Doubts, fmt.Sprintf(format, args...))
	}
	if err := s.present(doubt, "began"); err != nil {
		return nil, err
	}
	for _, l := range s.leaves {
		if l.worker != nil {
			l.worker.board.Go()
		}
	}
	if err := pause(s.bench.Context, settle); err != nil {
		return nil, err
	}
	before, err := s.look()
	if err == nil {
		err = pause(s.bench.Context, s.length)
	}
	if err != nil {
		return nil, err
	}
	after, err := s.look()
	if err != nil {
		return nil, err
	}
	if err := s.present(doubt, "ended"); err != nil {
		return nil, err
	}
	var file string
	if file, checked.Asked, checked.Read, err = s.weights(); err != nil {
		return nil, err
	}
	checked.Facts["file"] = file
	if checked.Asked != checked.Read {
		doubt("the weights in force are %s %s, not %s: something else has changed them", file, checked.Read, checked.Asked)
	}
	if length := after.at - before.at; length <= 0 {
		return nil, fmt.Errorf("measure %s: no time has passed", s.name)
	}
	return s.values(before, after), s.bench.record(checked)
}

// pause sleeps, unless the measurement is ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// present doubts the measurement when a thread is not where it should be.
func (s *weighted) present(doubt func(string, ...any), when string) error {
	for _, l := range s.leaves {
		if l.worker == nil {
			continue
		}
		if err := l.worker.within(placeOf(l.group), s.name, when, doubt); err != nil {
			return err
		}
	}
	return nil
}

// within doubts the measurement when a thread of the load is not in its group.
func (w *worker) within(p place, name, when string, doubt func(string, ...any)) error {
	if w.gone() {
		return fmt.Errorf("measure %s: its load has ended by itself", name)
	}
	strays, err := w.strays(p.cpu, p.v2)
	if err != nil {
		return err
	}
	if len(strays) > 0 {
		doubt("when it %s, thread %d of the load was not in the group", when, strays[0])
	}
	return nil
}

// values are the figures of a sample.
func (s *weighted) values(a, b snapshot) []sample.Value {
	var d division
	booked, unbooked, used := 0.0, 0.0, 0.0
	var list []sample.Value
	for i, l := range s.leaves {
		delta := float64(b.leaf[i].usage - a.leaf[i].usage)
		got := delta / float64(b.leaf[i].at-a.leaf[i].at)
		d.got, d.entitled = append(d.got, got), append(d.entitled, l.entitled)
		if clocks := float64(b.loads[i] - a.loads[i]); l.worker != nil && clocks > 0 {
			// The counter of who runs moves at the tick, the clock at once.
			if off := delta/clocks - 1; math.Abs(off) > math.Abs(booked) {
				booked, unbooked = off, 2*float64(l.threads)*float64(s.machine.tick)/clocks
			}
		}
		used += delta
		list = append(list, sample.Value{Unit: "group" + l.name + "-entitled-ratio", Value: l.entitled}, sample.Value{Unit: "group" + l.name + "-achieved-ratio", Value: got})
	}
	top := float64(b.top.usage - a.top.usage)
	wall := float64(b.top.at - a.top.at)
	cpus := float64(s.machine.env.CPUs)
	points := worst(d.points())
	return append(list,
		sample.Value{Unit: "cpu-count", Value: float64(s.machine.cpus)},
		sample.Value{Unit: "total-error-ratio", Value: sum(d.got)/sum(d.entitled) - 1},
		sample.Value{Unit: "relative-error-ratio", Value: worst(d.relative())},
		sample.Value{Unit: "jain-ratio", Value: d.fairness()},
		sample.Value{Unit: "budget-ratio", Value: s.machine.weightBudget(time.Duration(wall))},
		sample.Value{Unit: "accounted-ratio", Value: booked},
		sample.Value{Unit: "accounted-budget-ratio", Value: unbooked},
		sample.Value{Unit: "parent-ratio", Value: used/top - 1},
		sample.Value{Unit: "steal-ratio", Value: environment.Steal(a.all, b.all)},
		sample.Value{Unit: "others-ratio", Value: max(0, environment.Busy(a.all, b.all)*cpus-top/wall)},
		sample.Value{Unit: "share-error-ratio", Value: points},
		sample.Value{Unit: "abs-share-error-ratio", Value: math.Abs(points)})
}
