package limits

import (
	"math"
	"slices"
	"time"
)

// bandwidth is a CPU limit and what it is held against.
type bandwidth struct {
	quota, period time.Duration // quota 0: no limit
	burst         time.Duration
	threads, cpus int // that want to run, and that they may use
	tick          time.Duration
	slice         time.Duration // of quota that a CPU takes at once
}

// minRuntime is what a CPU that goes idle keeps of its slice
// (min_cfs_rq_runtime, kernel/sched/fair.c).
const minRuntime = time.Millisecond

// width is how many CPUs the load can use at once.
func (b bandwidth) width() float64 { return float64(min(b.threads, b.cpus)) }

// entitled is the CPU time per time that the load is to get.
func (b bandwidth) entitled() float64 {
	if b.quota == 0 {
		return b.width()
	}
	return min(float64(b.quota)/float64(b.period), b.width())
}

// binds says whether the limit is what keeps the load from more.
func (b bandwidth) binds() bool { return b.quota > 0 && b.entitled() < b.width() }

// window is what a stretch of readings says. Shares are of one CPU; errors are
// relative to what was entitled.
type window struct {
	from, to   reading
	periods    int64
	wall       time.Duration
	share      float64 // CPU time per time
	failure    float64 // share / entitled - 1
	byPeriods  float64 // the same by the count of periods, without a clock; NaN: the limit does not bind
	budget     float64 // by how much failure may be off, although the kernel is right
	throttled  float64 // of the periods, those in which it was stopped
	uses       []float64
	stall      time.Duration // the mean time for which it was stopped in a throttled period
	throttling float64       // (throttled time + CPU time) / time, of one thread
}

// edge is the last reading before a period ended, and when it ended: between
// that reading and the next.
type edge struct {
	reading
	ended int64 // no later than
	doubt int64 // by how much earlier it may have ended
	still bool  // the group was stopped: its usage did not move since the reading before
}

// edges finds the ends of periods.
func edges(list []reading) []edge {
	var found []edge
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		if b.periods == a.periods {
			continue
		}
		still := i > 1 && list[i-2].periods == a.periods && list[i-2].usage == a.usage
		found = append(found, edge{a, b.at, b.at - a.at, still})
	}
	return found
}

// warmUp is how many periods pass before a window begins: the first ones give
// back what starting the load has borrowed.
const warmUp = 5

// measure judges nothing; it computes. Where the limit binds, the window goes
// from the end of one period to the end of another, each time when the group was
// stopped if there is such a moment: then what it has used is known exactly, but
// for what it overran. Otherwise it goes from the first reading to the last. ok
// is false when there are not enough readings.
func measure(list []reading, b bandwidth) (w window, ok bool) {
	if len(list) < 2 {
		return w, false
	}
	w.byPeriods = math.NaN()
	var doubt float64
	if b.binds() {
		all := edges(list)
		if still := slices.DeleteFunc(slices.Clone(all), func(e edge) bool { return !e.still }); len(still)*2 > len(all) {
			all = still
		}
		if len(all) < 2 {
			return w, false
		}
		first, last := all[0], all[len(all)-1]
		w.from, w.to = first.reading, last.reading
		w.periods = last.periods - first.periods
		w.wall = time.Duration(last.ended - first.ended)
		doubt = float64(max(first.doubt, last.doubt)) / float64(w.wall)
		used := float64(w.to.usage - w.from.usage)
		w.byPeriods = used/(float64(b.quota)*float64(w.periods)) - 1
		w.budget = doubt + edgeBudget(b, w.periods, first.still && last.still)
		w.uses = perPeriod(all, b)
	} else {
		w.from, w.to = list[0], list[len(list)-1]
		w.periods = w.to.periods - w.from.periods
		w.wall = time.Duration(w.to.at - w.from.at)
		// The use of who runs is charged at the tick.
		w.budget = 2 * b.width() * float64(b.tick) / (b.entitled() * float64(w.wall))
	}
	if w.wall <= 0 {
		return w, false
	}
	w.share = float64(w.to.usage-w.from.usage) / float64(w.wall)
	w.failure = w.share/b.entitled() - 1
	stopped := w.to.throttled - w.from.throttled
	if w.periods > 0 {
		w.throttled = float64(stopped) / float64(w.periods)
	}
	if stopped > 0 {
		w.stall = time.Duration((w.to.throttledNS - w.from.throttledNS) / stopped)
	}
	w.throttling = float64(w.to.throttledNS-w.from.throttledNS+w.to.usage-w.from.usage) / float64(w.wall)
	return w, true
}

// edgeBudget is by how much the use of n periods may be off. At an end at which
// the group was stopped, each CPU may owe up to one tick, which it overran
// because time is charged at the tick, or keep minRuntime. At any other moment it
// may also hold a slice of quota that it has not used, and what was used of this
// period and the one before is unknown.
func edgeBudget(b bandwidth, n int64, still bool) float64 {
	each := float64(b.tick + minRuntime)
	whole := float64(b.quota) * float64(n)
	if still {
		return b.width() * each / whole
	}
	return (b.width()*(float64(b.tick)+float64(min(b.slice, b.quota))) + 2*float64(b.quota)) / whole
}

// perPeriod is the use of each period, relative to the quota.
func perPeriod(all []edge, b bandwidth) []float64 {
	var uses []float64
	for i := 1; i < len(all); i++ {
		if n := all[i].periods - all[i-1].periods; n == 1 {
			uses = append(uses, float64(all[i].usage-all[i-1].usage)/float64(b.quota))
		}
	}
	return uses
}

// quantile is the q-th quantile, the nearest rank; 0 of nothing.
func quantile(list []float64, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, max(0, int(math.Ceil(q*float64(len(sorted))))-1))]
}
