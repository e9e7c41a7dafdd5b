package limits

import (
	"cmp"
	"slices"
	"time"
)

// watched is what the readings of a group say, whose load is not ours: it may
// want less than its limit most of the time. The limit shows only in periods at
// whose end the group was stopped, so these alone are held against the quota.
type watched struct {
	first, last reading
	periods     int64   // that passed while it had work
	throttled   int64   // those in which it was stopped
	held        int64   // throttled periods that were seen whole
	failure     float64 // use of the held periods / their quota - 1
	budget      float64
	stall       int64 // the longest time for which the whole group stood still and then was let on
	spent       int64 // the median time from the beginning of a throttled period to the stop
	uses        [][2]float64
}

// stretch is a run of throttled periods.
type stretch struct {
	from  reading // the last before the run began
	still bool    // the group was stopped then, so the run owes nothing to the period before
	doubt int64   // how long after that reading it may have begun
	after float64 // by how much its use may be off at its end
}

// watchedOf reads the readings in order. Cpus are how many can run at once.
func watchedOf(list []reading, l Level, m machine) (w watched) {
	if len(list) < 2 {
		return w
	}
	w.first, w.last = list[0], list[len(list)-1]
	w.periods, w.throttled = w.last.periods-w.first.periods, w.last.throttled-w.first.throttled
	var run *stretch   // the throttled periods up to now, or
	var begin *stretch // where the present period began
	moved, edge := list[0].at, int64(0)
	var used, off float64
	var spent []float64
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		if d := b.periods - a.periods; d > 0 {
			still := moved < a.at
			if begin != nil {
				w.uses = append(w.uses, [2]float64{float64(b.at - w.first.at), float64(a.usage-begin.from.usage) / float64(l.Quota*time.Duration(d))})
			}
			// Several periods at once: the kernel's timer ran late, and gave the quota of
			// one (do_sched_cfs_period_timer).
			if b.throttled-a.throttled == 1 && d == 1 && begin != nil {
				if run == nil {
					run = begin
					off += l.slack(m, run)
				}
				off -= run.after
				if run.after = 0; !still { // it may have run after the last reading
					run.after = float64(m.cpus) * float64(b.at-a.at)
				}
				off += run.after
				used += float64(a.usage - begin.from.usage)
				w.held += d
				if still && edge > 0 {
					spent = append(spent, float64(max(0, moved-edge)))
				}
			} else {
				run = nil
			}
			begin, edge = &stretch{from: a, still: still, doubt: b.at - a.at}, a.at+(b.at-a.at)/2
		}
		if b.throttledNS > a.throttledNS && b.throttled >= a.throttled && moved < a.at {
			w.stall = max(w.stall, min(b.at-moved, b.throttledNS-a.throttledNS))
		}
		if b.usage != a.usage {
			moved = b.at
		}
	}
	if whole := float64(l.Quota) * float64(w.held); whole > 0 {
		w.failure, w.budget = used/whole-1, off/whole
	}
	w.spent = int64(quantile(spent, 0.5))
	return w
}

// slack is by how much the use of a run of throttled periods may be off: at each
// of its ends a CPU may have overrun by a tick, or keep minRuntime; at the first,
// unless the group was stopped then, it may hold a slice of what the period before
// had left, and run between the last reading and the edge.
func (l Level) slack(m machine, s *stretch) float64 {
	cpus := float64(m.cpus)
	each := cpus * float64(m.tick+minRuntime)
	if s.still {
		return each + float64(l.Burst)
	}
	return each + cpus*float64(min(m.slice(), l.Quota)) + cpus*float64(s.doubt) + float64(l.Burst)
}

// tightest sorts levels by their share of a CPU.
func tightest(levels []Level) []Level {
	sorted := slices.Clone(levels)
	slices.SortStableFunc(sorted, func(a, b Level) int {
		return cmp.Compare(a.share(), b.share())
	})
	return sorted
}

// share is the limit in CPUs.
func (l Level) share() float64 { return float64(l.Quota) / float64(l.Period) }
