package limits

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
	"isoperf/workloads/load"
)

// HighCell is a memory.high, and how far above it the load goes.
type HighCell struct {
	High int64   // bytes
	To   float64 // as a share of High: 1.14 takes the load half a minute
}

// Check says what is wrong with the cell; nil: nothing.
func (c HighCell) Check() error {
	switch {
	case c.High < 32*mib || c.High > 4096*mib || c.High%mib != 0:
		return fmt.Errorf("memory.high of %d bytes: 32 to 4096 whole MiB can be measured", c.High)
	case !(c.To > 1.02) || c.To > 1.20:
		return fmt.Errorf("up to %v of memory.high: nothing is slowed down below 1.02, and beyond 1.20 each step takes 2 s", c.To)
	}
	return nil
}

func (c HighCell) name() string {
	return fmt.Sprintf("MemoryHigh/high=%s/to=%s%%", sizeName(c.High), strconv.FormatFloat(math.Round(1e4*c.To)/100, 'f', -1, 64))
}

// The load is slowed by the kernel, 64 s times the square of how far it is above
// (see reports/limits), at each of these many pages.
const chargeBatch = 64

// leastDelay is less than any delay of the kernel's, which takes none of HZ/100
// ticks or less; what stands still for less has just not been run.
const leastDelay = 9 * time.Millisecond

// cost is about how long the load takes.
func (c HighCell) cost() time.Duration {
	step := float64(chargeBatch*os.Getpagesize()) / float64(c.High)
	total := 0.0
	for x := step; x < c.To-1; x += step {
		total += 64 * x * x
	}
	return time.Duration(total * float64(time.Second))
}

// MemoryHigh are the cells of a report. Version 1 has no equal: its soft limit
// is kept when the whole machine is short of memory, and slows nobody down.
func (b *Bench) MemoryHigh(e harness.Extent) []harness.Case {
	cells := []HighCell{{High: 100 * mib, To: 1.08}}
	if e.Wide || e.Burst > 1 {
		cells = []HighCell{{High: 100 * mib, To: 1.14}}
	}
	return b.highCases(e, cells, b.sampleHigh)
}

func (b *Bench) highCases(e harness.Extent, cells []HighCell, one func(*highSample) ([]sample.Value, error)) []harness.Case {
	var cases []harness.Case
	for _, c := range cells {
		one := b.newCase(c.name(), e, c.cost()+500*time.Millisecond, func(name string, g *ground) (func() ([]sample.Value, error), error) {
			s, err := openHigh(name, c, g)
			if err != nil {
				return nil, err
			}
			return func() ([]sample.Value, error) { return one(s) }, nil
		})
		one.Samples = min(one.Samples, 2) // of half a minute each
		cases = append(cases, one)
	}
	return cases
}

// highSample is one measurement of memory.high.
type highSample struct {
	memorySample
	cell    HighCell
	machine machine
}

func openHigh(name string, c HighCell, g *ground) (*highSample, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if g.host.Mode() != "v2" {
		return nil, harness.NotMeasured{Why: "version 1 has no memory.high (its soft limit slows nobody down); boot with control groups of version 2"}
	}
	m, err := readMachine()
	if err != nil {
		return nil, err
	}
	// Nothing may be killed; a limit of 3/2 is for a kernel that does not slow
	// the load down at all.
	most := c.High * 3 / 2
	r := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &most}, Unified: map[string]string{"memory.high": strconv.FormatInt(c.High, 10)}}
	if swap, err := swapPresent(); err == nil && swap {
		r.Memory.Swap = &most
	}
	made, err := g.group("memoryhigh", r)
	if err != nil {
		return nil, err
	}
	s := &highSample{cell: c, machine: m}
	s.name, s.ground, s.group, s.place, s.cpus = name, g, made, memoryOf(made), m.cpus
	s.homes = []memoryPlace{s.place}
	// It takes at once what the kernel charges at once. One page at a time, it is
	// slowed down for each when others charge memory on its CPU while it sleeps:
	// that drains what the CPU holds of the 64 pages.
	batch := int64(chargeBatch * os.Getpagesize())
	if s.worker, err = g.start(made, load.Spec{Kind: "anon", Extra: "batch", Step: batch, Bytes: int64(c.To*float64(c.High)) / batch * batch, Work: leastDelay}); err != nil {
		return nil, err
	}
	s.checked = sample.Checked{Case: name, Limit: "memory.high", Asked: strconv.FormatInt(c.High, 10), Facts: map[string]string{
		"hz": strconv.Itoa(m.env.HZ), "page": strconv.Itoa(os.Getpagesize()),
		// What its host takes of an emulated machine makes a delay longer, and cannot be seen.
		"emulated": strconv.FormatBool(emulated(m.env)),
	}}
	return s, nil
}

// usage is how much a group had, at a moment.
type usage struct{ at, bytes int64 }

// climb lets the load go as far as it is to, and writes down its group's usage
// meanwhile. The load stands still while it is slowed down, so that one reading
// within is enough.
func (s *highSample) climb(ctx context.Context) ([]usage, error) {
	var list []usage
	var text [32]byte
	atMost := 2*s.cell.cost() + 5*time.Second
	// The file stays open: opening one charges memory to this process's group,
	// and so drains what a CPU holds of the load's.
	current, err := os.Open(s.place.dir + "/memory.current")
	if err != nil {
		return nil, fmt.Errorf("open a group's usage: %w", err)
	}
	defer current.Close()
	s.worker.board.Go()
	for begin := program.Now(); program.Now()-begin < int64(atMost); {
		before := program.Now()
		k, err := unix.Pread(int(current.Fd()), text[:], 0)
		if err != nil {
			return nil, fmt.Errorf("read a group's usage: %w", err)
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text[:k])), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read a group's usage: %w", err)
		}
		list = append(list, usage{before + (program.Now()-before)/2, n})
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case s.worker.gone():
			return nil, fmt.Errorf("measure %s: its load has ended by itself", s.name)
		case s.worker.board.Phase.Load() > 0 || float64(n) >= s.cell.To*float64(s.cell.High):
			s.worker.board.Stop()
			return list, nil
		}
		doze(int64(time.Millisecond))
	}
	s.worker.board.Stop() // what there is counts
	return list, nil
}

// delay is one time that the load was slowed down.
type delay struct {
	overage float64 // usage / memory.high - 1
	took    time.Duration
	page    int64 // of the load, whose touch it was
}

// delays joins what the load noted with the usage that was seen meanwhile. The
// load stands still, so it is the highest that was: what a CPU holds of it may be
// given back before it goes on.
func delays(gaps []load.Event, list []usage, high int64) (found []delay, unseen int) {
	i := 0
	for _, gap := range gaps {
		if gap.Kind != load.Gap {
			continue
		}
		seen := int64(-1)
		for ; i < len(list) && list[i].at < gap.To; i++ {
			if list[i].at > gap.From {
				seen = max(seen, list[i].bytes)
			}
		}
		switch {
		case seen < 0:
			unseen++
		case seen > high:
			found = append(found, delay{float64(seen)/float64(high) - 1, time.Duration(gap.To - gap.From), gap.Value})
		}
	}
	return found, unseen
}

// sampleHigh measures the delays once.
func (b *Bench) sampleHigh(s *highSample) ([]sample.Value, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	list, err := s.climb(b.Context)
	if err != nil {
		return nil, err
	}
	// It ends when its last delay does.
	if _, err := s.worker.stop(); err != nil {
		return nil, err
	}
	if s.checked.Read, err = readLine(s.place.dir + "/memory.high"); err != nil {
		return nil, err
	}
	if s.checked.Read != s.checked.Asked {
		s.doubt("the limit that is in force is %s bytes, not %s: something else has changed it", s.checked.Read, s.checked.Asked)
	}
	events, err := s.place.events()
	if err != nil {
		return nil, err
	}
	found, unseen := delays(s.worker.board.Since(0), list, s.cell.High)
	curve := sample.Series{Name: "memory.high", X: "ratio", Y: "ns"}
	var total time.Duration
	var pages []float64
	for i, d := range found {
		curve.Points = append(curve.Points, [2]float64{d.overage, float64(d.took)})
		total += d.took
		if i > 0 {
			pages = append(pages, float64(d.page-found[i-1].page))
		}
	}
	if s.machine.env.HZ == 0 {
		s.doubt("the kernel does not say how long its tick is (CONFIG_HZ), and it sleeps by ticks")
	}
	last := list[len(list)-1].bytes
	return []sample.Value{
		{Unit: "high-B", Value: float64(s.cell.High)},
		{Unit: "reached-ratio", Value: float64(last)/float64(s.cell.High) - 1},
		{Unit: "delay-count", Value: float64(len(found))},
		{Unit: "unseen-count", Value: float64(unseen)},
		{Unit: "batch-count", Value: quantile(pages, 0.5)},
		{Unit: "high-count", Value: float64(events.high)},
		{Unit: "max-count", Value: float64(events.max)},
		{Unit: "oom-kill-count", Value: float64(events.kill)},
		{Unit: "delayed-ns", Value: float64(total)},
	}, b.record(s.checked, curve)
}
