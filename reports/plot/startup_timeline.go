package plot

import (
	"fmt"

	"isoperf/bench/sample"
	"isoperf/reports/startup"
	"isoperf/reports/table"
)

// startupTimeline draws a typical start of our own: what its processes do, side
// by side.
func startupTimeline(f *sample.File) (Figure, bool) {
	if len(f.Timelines) == 0 {
		return Figure{}, false
	}
	t := f.Timelines[len(f.Timelines)-1]
	var lanes []Lane
	at := map[string]int{}
	for _, b := range t.Bars {
		from, to := float64(b.From), float64(b.To)
		i, ok := at[b.Lane]
		if !ok {
			i = len(lanes)
			at[b.Lane] = i
			lanes = append(lanes, Lane{Name: b.Lane, From: from})
		}
		level := Full
		if b.Phase == "" {
			level = Idle
		}
		lanes[i].To = max(lanes[i].To, to)
		lanes[i].Bars = append(lanes[i].Bars, Bar{From: from, To: to, Kind: b.Phase, Level: level})
	}
	what := startup.Label(&sample.Case{Name: t.Case})
	fig := Timeline("A typical start, side by side", fmt.Sprintf("%s: a start of %s, the median of those at the end of the run. What waits has a thin line.", what, table.Duration(float64(t.Total))), lanes)
	fig.Name, fig.Family = "startup-timeline", "StartupSpans"
	return fig, true
}
