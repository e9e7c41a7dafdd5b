package limits

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/bench/harness"
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
	mostCPUs   = 8192 // CONFIG_NR_CPUS is no more; the kernel itself takes quotas of more (max_bw_runtime_us)
)

// Check says what is wrong with the cell, and names the nearest limit that the
// kernel takes; nil: nothing.
func (c Cell) Check() error {
	switch {
	case !(c.Quota > 0) || math.IsInf(c.Quota, 0):
		return fmt.Errorf("quota %v %%: it must be more than 0 %% of a CPU", 100*c.Quota)
	case c.Quota > mostCPUs:
		return fmt.Errorf("quota %.4g %%: no machine has so many CPUs; the nearest is %d %%", 100*c.Quota, 100*mostCPUs)
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

// shaped is the name of a case that has a shape of its own.
func (c Cell) shaped(shape string, cpus int) string {
	return "CpuMax/shape=" + shape + strings.TrimPrefix(c.name(cpus), "CpuMax")
}

// mostLength is how long a cell is measured at most: with the periods that warm it
// up, 20 % of 100 ms is told within 10 s, and to a third of a per cent.
const mostLength = 9 * time.Second

// length is how long the cell is measured, once it is warm: until what is unknown
// at both ends is below a quarter of a per cent, but 30 periods and 2 s at least,
// and mostLength at most.
func (c Cell) length(m machine) time.Duration {
	b := c.bandwidth(m)
	n := b.width() * float64(b.tick+minRuntime) / (0.0025 * float64(b.quota))
	wanted := time.Duration(max(30, n)+2) * b.period // both ends are within a period
	return min(mostLength, max(2*time.Second, wanted))
}

func (c Cell) bandwidth(m machine) bandwidth {
	return bandwidth{quota: c.quota(), period: c.period(), threads: c.threads(m.cpus), cpus: m.cpus, tick: m.tick, slice: m.slice()}
}

// The quotas and periods of a report: 1 to 400 % of a CPU, 1 ms to 1 s.
func all() (quotas []float64, periods []time.Duration) {
	const ms = time.Millisecond
	return []float64{0.01, 0.05, 0.1, 0.2, 0.5, 1, 1.5, 2, 4}, []time.Duration{10 * ms, 100 * ms, ms, 5 * ms, 20 * ms, 1000 * ms}
}

// grid is quotas by periods; a look has the usual ones. The load has the threads
// that each takes.
func grid(e harness.Extent, cpus int) []Cell {
	quotas, periods := all()
	if !e.Wide {
		quotas, periods = []float64{0.05, 0.2, 0.5, 1, 1.5}, periods[:2]
	}
	cells := crossed(quotas, periods, []int{0})
	return slices.DeleteFunc(cells, func(c Cell) bool { return c.Quota > float64(2*cpus) })
}

// wideGrid is all quotas by all periods by the threads of the load. A limit that
// no load can reach on this machine is among them: it is told as not judged.
func wideGrid(cpus int) []Cell {
	quotas, periods := all()
	return crossed(quotas, periods, slices.Compact([]int{1, cpus, 2 * cpus}))
}

// crossed are the cells that the kernel takes.
func crossed(quotas []float64, periods []time.Duration, threads []int) []Cell {
	var cells []Cell
	for _, p := range periods {
		for _, q := range quotas {
			for _, n := range threads {
				if c := (Cell{Quota: q, Period: p, Threads: n}); c.Check() == nil {
					cells = append(cells, c)
				}
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
