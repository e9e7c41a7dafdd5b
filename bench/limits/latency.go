package limits

import (
	"cmp"
	"slices"
	"time"

	"isoperf/bench/sample"
	"isoperf/workloads/load"
)

// span is a time in which a probe worked.
type span struct{ from, to int64 }

// without is the span but for its ends.
func (s span) without(ends time.Duration) span {
	return span{s.from + int64(ends), s.to - int64(ends)}
}

// latencies are those of the requests that were due in spans, from the
// moment at which they were due; sorted. A request that was served later than its
// span counts: it was due in it.
func latencies(events []load.Event, in []span) []float64 {
	var list []float64
	for _, e := range events {
		if e.Kind == load.Request && slices.ContainsFunc(in, func(s span) bool { return e.Value >= s.from && e.Value < s.to }) {
			list = append(list, float64(e.To-e.Value))
		}
	}
	slices.Sort(list)
	return list
}

// stops are the times in which a group stood still, by who used up what it got:
// gaps that are as long as a stop may be.
func stops(events []load.Event, least time.Duration) []span {
	var list []span
	for _, e := range events {
		if e.Kind == load.Gap && e.To-e.From >= int64(least) {
			list = append(list, span{e.From, e.To})
		}
	}
	slices.SortFunc(list, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	return list
}

// attributed is the share of the time for which requests were late that falls into
// stops; 0 when none was late. A request is late beyond its work.
func attributed(events []load.Event, in, still []span, work time.Duration) float64 {
	var late, stopped float64
	for _, e := range events {
		if e.Kind != load.Request || !slices.ContainsFunc(in, func(s span) bool { return e.Value >= s.from && e.Value < s.to }) {
			continue
		}
		excess := e.To - e.Value - int64(work)
		if excess <= 0 {
			continue
		}
		late += float64(excess)
		overlap := int64(0)
		i, _ := slices.BinarySearchFunc(still, e.Value, func(s span, at int64) int { return cmp.Compare(s.to, at) })
		for ; i < len(still) && still[i].from < e.To; i++ {
			overlap += max(0, min(e.To, still[i].to)-max(e.Value, still[i].from))
		}
		stopped += float64(min(excess, overlap))
	}
	if late == 0 {
		return 0
	}
	return stopped / late
}

// curve is how many requests were at most so late: 200 points at most, all the
// same distance apart but for the last, which are a thousandth and the worst.
func curve(name string, sorted []float64) sample.Series {
	s := sample.Series{Name: name, X: "ns", Y: "ratio"}
	if len(sorted) == 0 {
		return s
	}
	add := func(q float64) { s.Points = append(s.Points, [2]float64{quantile(sorted, q), q}) }
	for i := range 198 {
		add(float64(i+1) / 200)
	}
	add(0.999)
	add(1)
	return s
}
