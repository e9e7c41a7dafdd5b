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
	late       int64   // of the periods, those that were counted and not filled, see lost
	unused     float64 // quota of the periods in which it was not throttled and used less, of all; see unused
	wall       time.Duration
	share      float64 // CPU time per time
	failure    float64 // share / entitled - 1
	byPeriods  float64 // the same by the count of periods, without a clock; NaN: the limit does not bind
	budget     float64 // by how much failure may be off, although the kernel is right
	over       float64 // the same for more than was entitled: lost quota explains only less
	throttled  float64 // of the periods, those in which it was stopped
	uses       []float64
	burst      float64       // the most that a period used, of what one may use; see mostInPeriod
	kept       float64       // the same, without what the periods after it gave back
	part       part          // the worst of the window's quarters
	stall      time.Duration // the mean time for which it was stopped in a throttled period
	throttling float64       // (throttled time + CPU time) / time: 1 of one thread
	edges      []edge        // of all its periods
}

// edge is the last reading before a period ended, and when it ended: between
// that reading and the next.
type edge struct {
	reading
	ended int64 // no later than
	doubt int64 // by how much earlier it may have ended
	after reading
	still bool  // the group was stopped when it ended: on every CPU
	lost  int64 // periods that ended with this one and whose quota was lost
}

// edges finds the ends of periods. A CPU's use is charged at its tick, so a
// group has stopped on all of them if its counter stood for a tick, and if the
// kernel says that it was throttled when the period ended.
func edges(list []reading, b bandwidth) []edge {
	var found []edge
	moved := 0 // the first reading that has the usage of list[i-1]
	for i := 1; i < len(list); i++ {
		if i > 1 && list[i-1].usage != list[i-2].usage {
			moved = i - 1
		}
		a, next := list[i-1], list[i]
		if next.periods == a.periods {
			continue
		}
		still := a.at-list[moved].at >= int64(b.tick) && next.throttled > a.throttled
		found = append(found, edge{a, next.at, next.at - a.at, next, still, lost(a, next, b.period)})
	}
	return found
}

// lost is how many periods ended between two readings at once. The timer that
// ends them was late then, because nothing ran on its CPU: the kernel counts
// each period that has passed, and fills the quota up once
// (sched_cfs_period_timer: nr_periods += overrun; runtime is at most quota +
// burst). As many periods as the time between the readings has room for may
// have ended in order.
func lost(a, b reading, period time.Duration) int64 {
	return max(0, b.periods-a.periods-1-(b.at-a.at)/int64(period))
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
	if b.binds() {
		w.edges = edges(list, b)
		if len(w.edges) < 2 {
			return w, false
		}
		w.between(b)
	} else {
		w.from, w.to = list[0], list[len(list)-1]
		w.periods = w.to.periods - w.from.periods
		w.wall = time.Duration(w.to.at - w.from.at)
		// The use of who runs is charged at the tick.
		w.budget = 2 * b.width() * float64(b.tick) / (b.entitled() * float64(w.wall))
		w.over = w.budget
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

// between measures from one end of a period to another.
func (w *window) between(b bandwidth) {
	w.edges = outermost(w.edges)
	first, last := w.edges[0], w.edges[len(w.edges)-1]
	w.from, w.to = first.reading, last.reading
	w.periods = last.periods - first.periods
	w.wall = time.Duration(last.ended - first.ended)
	w.late = lateIn(w.edges)
	w.byPeriods = byCount(first, last, b)
	doubt := float64(max(first.doubt, last.doubt)) / float64(w.wall)
	w.unused = unused(w.edges, b) / float64(w.periods)
	w.over = doubt + edgeBudget(b, w.periods, first.still && last.still)
	w.budget = w.over + w.unused + float64(w.late)/float64(w.periods)
	w.uses = perPeriod(w.edges, b)
	w.burst, w.kept = mostInPeriod(w.edges, b)
	w.part = worstPart(w.edges, b)
}

// outermost leaves out what is before the first end of a period at which the
// group was stopped, and after the last; unless that is a fifth of all, or more.
func outermost(all []edge) []edge {
	still := func(e edge) bool { return e.still }
	first := slices.IndexFunc(all, still)
	last := len(all) - 1
	for last > first && !all[last].still {
		last--
	}
	if first < 0 || (last-first)*5 < (len(all)-1)*4 || last == first {
		return all
	}
	return all[first : last+1]
}

// byCount is the error of what was used from one end of a period to another, by
// the count of periods.
func byCount(first, last edge, b bandwidth) float64 {
	return float64(last.usage-first.usage)/(float64(b.quota)*float64(last.periods-first.periods)) - 1
}

// lateIn is how many periods were lost after the first end of one.
func lateIn(all []edge) (n int64) {
	// Periods that were counted with the last end come after the reading before it.
	for _, e := range all[:len(all)-1] {
		n += e.lost
	}
	return n
}

// unused is the quota that was not used in periods that ended without the group
// being throttled, in quotas. Something else kept the load from it, others on its
// CPUs, say; what a period leaves in the pool is gone when the next one fills it.
func unused(all []edge, b bandwidth) (sum float64) {
	for i := 1; i < len(all); i++ {
		a, e := all[i-1], all[i]
		if n := e.periods - a.periods; n == 1 && e.after.throttled == e.throttled {
			sum += max(0, 1-float64(e.usage-a.usage)/float64(b.quota))
		}
	}
	return sum
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

// stranded is by how much the use may be less because threads of the load that
// are not its work, those of a language's runtime, wake for microseconds on other
// CPUs; strays is their share of the CPU time. Each time such a CPU has used up
// its minRuntime it takes a slice, or all that is left of the quota. When it
// goes idle it gives back all but minRuntime, and less than a slice is handed to
// nobody who is throttled already (return_cfs_rq_runtime starts the slack timer
// only for more); when the next period fills the pool, it is gone. A quota of no
// more than a slice can be taken at any time; of a larger one, only the last slice
// of a period matters.
func (b bandwidth) stranded(strays float64) float64 {
	chance := 1.0
	if b.quota > b.slice {
		chance = min(1, float64(b.slice)/float64(b.period))
	}
	return max(0, strays) * chance * float64(b.strand()) / float64(minRuntime)
}

// strand is how much of a quota may be lost at once so.
func (b bandwidth) strand() time.Duration { return max(0, min(b.slice, b.quota)-minRuntime) }

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

// mostInPeriod is the most that a period used, relative to what one may use: the
// quota, what was saved, and on each CPU a tick and minRuntime. Where the group
// was not stopped when the period began, each CPU may have brought along a slice,
// and use that was not yet charged. What it used between the last reading and
// the end is not known either. 1 is the most that the kernel's rules allow, if
// its ticks come in time.
//
// A tick that comes late, since the host or an interrupt held the CPU, lets a
// period use more; that is a debt, and the next periods have less for it. So
// kept is the most that a period used and the next few did not give back: with
// ticks in time or not, more than 1 is more than the limit allows.
func mostInPeriod(all []edge, b bandwidth) (most, kept float64) {
	for i := 1; i < len(all); i++ {
		before, e := all[i-1], all[i]
		if e.periods-before.periods != 1 {
			continue
		}
		may := float64(b.quota+b.burst) + b.width()*float64(b.tick+minRuntime)
		if !before.still {
			may += b.width() * (float64(b.tick) + float64(min(b.slice, b.quota)) + float64(before.doubt))
		}
		most = max(most, float64(e.usage-before.usage)/may)
		least := float64(e.usage - before.usage)
		debt := int(math.Ceil(least/float64(b.quota))) - 1 // periods without any use that it takes to give it back
		for _, later := range all[i+1 : min(len(all), i+1+max(repaid, debt))] {
			had := float64(later.usage - before.usage)
			least = min(least, had-float64(later.periods-e.periods)*float64(b.quota))
		}
		// Of the last ones it is not known what they give back.
		if left := all[len(all)-1].periods - e.periods; left > 0 && left >= int64(debt) {
			kept = max(kept, least/may)
		}
	}
	return most, kept
}

// repaid is within how many periods a debt is given back, if they are enough.
const repaid = 4

// part is a stretch of a window.
type part struct {
	periods int64
	failure float64 // by the count of periods
	budget  float64
}

// strays widens the budgets by what threads that are not the load's work may
// cost. In a short stretch that may happen twice more often than on the whole.
func (w *window) strays(share float64, b bandwidth) {
	w.budget += b.stranded(share)
	if w.part.periods > 0 {
		w.part.budget += b.stranded(share) + 2*float64(b.strand())/(float64(b.quota)*float64(w.part.periods))
	}
}

// parts is into how many a window is cut.
const parts = 4

// worstPart cuts the window into quarters, and gives the one that is the
// farthest beyond its budget: a limit that was too high for a while and too low
// for another is right on the whole.
func worstPart(all []edge, b bandwidth) (worst part) {
	excess := math.Inf(-1)
	for i := range parts {
		some := all[i*(len(all)-1)/parts : (i+1)*(len(all)-1)/parts+1]
		first, last := some[0], some[len(some)-1]
		n := last.periods - first.periods
		if n < 1 {
			continue
		}
		p := part{n, byCount(first, last, b), edgeBudget(b, n, first.still && last.still) + (unused(some, b)+float64(lateIn(some)))/float64(n)}
		if e := math.Abs(p.failure) - p.budget; e > excess {
			worst, excess = p, e
		}
	}
	return worst
}

// quantile is the q-th quantile, the nearest rank; 0 of nothing.
func quantile(list []float64, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, max(0, int(math.Ceil(q*float64(len(sorted))))-1))]
}
