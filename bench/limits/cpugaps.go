package limits

import (
	"fmt"
	"slices"
	"time"

	"isoperf/bench/sample"
	"isoperf/workloads/load"
)

// gap is a time for which a thread of a load stood still.
type gap struct {
	thread   int // of all loads, from 0
	from, to int64
}

// gaps are those that the loads have noted, after the first ones that are known.
func (s *cpuSample) gaps(known []int) []gap {
	var list []gap
	first := 0
	for i, w := range s.workers {
		if w.board == nil {
			continue
		}
		for _, e := range w.board.Since(known[i]) {
			if e.Kind == load.Gap {
				list = append(list, gap{first + int(e.Thread), e.From, e.To})
			}
		}
		first += max(1, w.spec.Threads)
	}
	return list
}

// gapsWithin are the gaps that lie wholly between two instants.
func gapsWithin(list []gap, from, to int64) []gap {
	var some []gap
	for _, g := range list {
		if g.from >= from && g.to <= to {
			some = append(some, g)
		}
	}
	return some
}

func lengths(list []gap) []float64 {
	all := make([]float64, len(list))
	for i, g := range list {
		all[i] = float64(g.to - g.from)
	}
	return all
}

// mostBars is how many bars a picture of throttling has.
const mostBars = 300

// throttles is the picture of the first second, or of ten periods: for each
// thread when it ran, when it was throttled, and when it waited for another
// reason. A thread that is throttled goes on when a period ends, so a gap was
// throttling if a period ended within it that counts as throttled.
func throttles(name string, list []reading, gaps []gap, b bandwidth) sample.Timeline {
	t := sample.Timeline{Case: name}
	if len(list) == 0 {
		return t
	}
	begin := list[0].at
	end := min(list[len(list)-1].at, begin+int64(max(time.Second, 10*b.period)))
	t.Total = end - begin
	ends := edges(list, b)
	sorted := slices.SortedStableFunc(slices.Values(gaps), func(x, y gap) int { return int(x.from - y.from) })
	last := map[int]int64{} // until when a thread's bars reach
	for i := range b.threads {
		last[i] = begin
	}
	bar := func(thread int, phase string, from, to int64) {
		if from, to = max(from, begin), min(to, end); from < to {
			t.Bars = append(t.Bars, sample.Bar{Lane: fmt.Sprintf("thread %d", thread+1), Phase: phase, From: from - begin, To: to - begin})
		}
	}
	for _, g := range sorted {
		if g.to <= begin || g.from >= end {
			continue
		}
		if len(t.Bars) >= mostBars {
			end = max(begin+1, g.from)
			t.Total = end - begin
			break
		}
		bar(g.thread, "running", last[g.thread], g.from)
		phase := ""
		if throttledIn(ends, g) {
			phase = "throttled"
		}
		bar(g.thread, phase, g.from, g.to)
		last[g.thread] = g.to
	}
	for i := range b.threads {
		bar(i, "running", last[i], end)
	}
	slices.SortStableFunc(t.Bars, func(x, y sample.Bar) int { return int(x.From - y.From) })
	return t
}

// throttledIn says whether a throttled period ended within a gap. The end is
// known to lie between two readings only.
func throttledIn(ends []edge, g gap) bool {
	for _, e := range ends {
		if e.after.throttled > e.throttled && e.ended >= g.from && e.ended-e.doubt <= g.to {
			return true
		}
	}
	return false
}
