package plot

import (
	"fmt"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/startup"
	"isoperf/reports/table"
)

// startupTimeline draws a typical start of our own: what its processes do, side
// by side.
func startupTimeline(f *sample.File) (Figure, bool) {
	var t *sample.Timeline
	for i := range f.Timelines {
		if strings.HasPrefix(f.Timelines[i].Case, "StartupSpans/") {
			t = &f.Timelines[i]
		}
	}
	if t == nil {
		return Figure{}, false
	}
	what := startup.Label(&sample.Case{Name: t.Case})
	fig := Timeline("A typical start, side by side", fmt.Sprintf("%s: a start of %s, the median of those at the end of the run. What waits has a thin line.", what, table.Duration(float64(t.Total))), recordedLanes(t))
	fig.Name, fig.Family = "startup-timeline", "StartupSpans"
	return fig, true
}
