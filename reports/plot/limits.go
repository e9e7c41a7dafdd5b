package plot

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/limits"
	"isoperf/reports/stats"
	"isoperf/reports/table"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
)

// verdictStyle is the look of a verdict.
func verdictStyle(v limits.Verdict) style {
	switch v {
	case limits.Accurate:
		return style{blue, nil, draw.CircleGlyph{}}
	case limits.Within:
		return style{sky, nil, draw.RingGlyph{}}
	case limits.Inaccurate:
		return style{vermillion, nil, draw.BoxGlyph{}}
	}
	return style{grey, dotted(), draw.SquareGlyph{}}
}

// limitsCPU shows the error of each CPU limit within its budget.
func limitsCPU(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "cpu-max", Title: "CPU limits: what was got against what was asked for", Family: "CpuMax"}
	var rows []row
	var seen []limits.Verdict
	for _, j := range limits.Judge(f, limits.Options{}) {
		if !strings.HasPrefix(j.Case, "CpuMax/") || j.Got == "" {
			continue
		}
		look := verdictStyle(j.Verdict)
		if !slices.Contains(seen, j.Verdict) {
			seen = append(seen, j.Verdict)
			fig.sheet.keys = append(fig.sheet.keys, key{style: look, text: string(j.Verdict)})
		}
		m := mark{style: look, value: 100 * j.Error, lo: -100 * j.Budget, hi: 100 * j.Budget, ok: true,
			text: fmt.Sprintf("%+.2f %%", 100*j.Error)}
		rows = append(rows, row{name: headless(j.Asked), marks: []mark{m}})
	}
	if len(rows) == 0 {
		return fig, false
	}
	values := append(extent(rows), -2, 2)
	x := linearAxis("error of the CPU time, in % of what was asked for", values, func(v float64) string { return numberTick(v) + " %" })
	fig.sheet.lead = "Dot: the error. Bar: the budget, by how much the kernel may be off by its own constants in the time that was measured. A dot within 2 %, and a bar too, is accurate."
	fig.sheet.panels = []panel{rowsPanel(rows, x)}
	fig.sheet.foot = []string{"The kernel's own test of cpu.max accepts -18 % to +22 %."}
	fig.Alt = "Dot plot: the error of each CPU limit within its budget. " + limits.Answer(limits.Judge(f, limits.Options{}))
	return fig, true
}

// headless is a limit in words, cut to what a row has room for.
func headless(asked string) string { return bodyLetter().cut(asked, 190) }

// mostPanels is how many curves stand below each other.
const mostPanels = 4

// limitsUse shows what was used of the quota in each period.
func limitsUse(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "cpu-max-periods", Title: "CPU limits: what each period used of its quota", Family: "CpuMax"}
	for _, s := range periodsShown(f) {
		l := line{style: style{blue, nil, draw.CircleGlyph{}}, bare: true, width: 1}
		var ys []float64
		for _, p := range s.Points {
			l.points, ys = append(l.points, point{x: p[0], y: p[1], lo: math.Inf(-1), hi: math.Inf(1)}), append(ys, p[1])
		}
		x := linearAxis("", []float64{0, s.Points[len(s.Points)-1][0]}, numberTick)
		y := linearAxis("", append(ys, 1.1), func(v float64) string { return numberTick(100*v) + " %" })
		p := linesPanel([]line{l, level(1, x)}, nil, x, y, 95)
		p.heading = limits.Asked(&sample.Case{Name: s.Case}) + fmt.Sprintf(": %s to %s of the quota", table.Percent(slices.Min(ys)), table.Percent(slices.Max(ys)))
		fig.sheet.panels = append(fig.sheet.panels, p)
	}
	if len(fig.sheet.panels) == 0 {
		return fig, false
	}
	fig.sheet.panels[len(fig.sheet.panels)-1].x.label = "period of the measurement"
	fig.sheet.lead = "The line at 100 % is the quota. Time is charged at the tick, so a period overruns by up to one, and a later one pays it back."
	fig.Alt = "Line charts of the use of each period, relative to the quota."
	return fig, true
}

// periodsShown are the curves that there is room for: of each period one quota,
// that of 20 % or else the first, and then others in the order of the file.
func periodsShown(f *sample.File) []sample.Series {
	var all []sample.Series
	best := map[string]int{} // by period: which of all stands for it
	for _, s := range f.Series {
		if !strings.HasPrefix(s.Case, "CpuMax/") || s.Name != "use per period" || len(s.Points) < 2 || s.Sample > 0 {
			continue
		}
		c := sample.Case{Name: s.Case}
		i, seen := best[c.Param("period")]
		if !seen || c.Param("quota") == "20%" && (&sample.Case{Name: all[i].Case}).Param("quota") != "20%" {
			best[c.Param("period")] = len(all)
		}
		all = append(all, s)
	}
	var shown []int
	stands := func(i int) bool { return best[(&sample.Case{Name: all[i].Case}).Param("period")] == i }
	for _, first := range []bool{true, false} {
		for i := range all {
			if stands(i) == first && len(shown) < mostPanels {
				shown = append(shown, i)
			}
		}
	}
	slices.Sort(shown)
	var list []sample.Series
	for _, i := range shown {
		list = append(list, all[i])
	}
	return list
}

// level is a dotted line across, at y.
func level(y float64, x axis) line {
	return line{style: style{ink: vermillion, dash: dotted(), glyph: draw.RingGlyph{}}, bare: true, width: 1,
		curve: plotter.XYs{{X: x.min, Y: y}, {X: x.max, Y: y}}}
}

// limitsThrottle draws when the threads of a limited group ran.
func limitsThrottle(f *sample.File) (Figure, bool) {
	var t *sample.Timeline
	most := -1
	for i := range f.Timelines {
		name := f.Timelines[i].Case
		if !strings.HasPrefix(name, "CpuMax/") {
			continue
		}
		// The usual period shows most, and a part of it that is neither a hair nor all.
		shows := 0
		if strings.Contains(name, "/period=100ms/") {
			shows += 2
		}
		if strings.Contains(name, "/quota=20%/") {
			shows++
		}
		if shows > most {
			t, most = &f.Timelines[i], shows
		}
	}
	if t == nil {
		return Figure{}, false
	}
	fig := Timeline("A CPU limit at work", limits.Asked(&sample.Case{Name: t.Case})+": when each thread ran, and when it was held back.", recordedLanes(t))
	fig.Name, fig.Family = "cpu-max-timeline", "CpuMax"
	return fig, true
}

// limitsLatency shows what requests feel, with the limit and without.
func limitsLatency(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "latency", Title: "What a request feels under a CPU limit", Family: "Latency"}
	looks := []style{{vermillion, nil, draw.BoxGlyph{}}, {blue, dashed(), draw.CircleGlyph{}}}
	var xs []float64
	type found struct {
		heading string
		lines   []line
	}
	var all []found
	for _, c := range f.Family("Latency") {
		one := found{heading: limits.Asked(c)}
		for i, name := range []string{"latency", "latency, control"} {
			k := slices.IndexFunc(f.Series, func(s sample.Series) bool { return s.Case == c.Name && s.Name == name && len(s.Points) > 1 })
			if k < 0 {
				continue
			}
			l := line{style: looks[i], bare: true, label: []string{[]string{"with the limit", "without it"}[i]}}
			for _, p := range f.Series[k].Points {
				l.points, xs = append(l.points, point{x: p[0], y: p[1], lo: math.Inf(-1), hi: math.Inf(1)}), append(xs, p[0])
			}
			one.lines = append(one.lines, l)
		}
		if len(one.lines) == 2 && len(all) < mostPanels {
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		return fig, false
	}
	x := logAxis("", xs, durationTick)
	for _, one := range all {
		y := linearAxis("", []float64{0, 1}, func(v float64) string { return numberTick(100*v) + " %" })
		p := linesPanel(one.lines, nil, x, y, 150)
		p.heading = one.heading
		fig.sheet.panels = append(fig.sheet.panels, p)
	}
	fig.sheet.panels[len(fig.sheet.panels)-1].x.label = "from the intended beginning of a request to its end (log scale)"
	fig.sheet.lead = "Share of the requests that took at most this long. They begin at intended times whether the one before has ended or not, so a wait counts for all that it keeps waiting."
	fig.Alt = "Cumulative distributions of the latency of requests, with a CPU limit and without."
	return fig, true
}

// limitsHigh shows the delay of memory.high beside the kernel's own table.
func limitsHigh(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "memory-high", Title: "memory.high: how long allocating takes beyond it", Family: "MemoryHigh"}
	measured := line{style: style{blue, nil, draw.CircleGlyph{}}, label: []string{"measured"}}
	table := line{style: style{vermillion, dashed(), draw.SquareGlyph{}}, label: []string{"the kernel's", "own table"}}
	for _, s := range f.Series {
		if s.Name == "memory.high" && len(measured.points) == 0 {
			for _, p := range s.Points {
				measured.points = append(measured.points, point{x: 100 * p[0], y: p[1], lo: math.Inf(-1), hi: math.Inf(1)})
			}
		}
	}
	if len(measured.points) < 2 {
		return fig, false
	}
	for _, p := range limits.HighTable() {
		table.points = append(table.points, point{x: 100 * p[0], y: p[1], lo: math.Inf(-1), hi: math.Inf(1)})
	}
	most := measured.points[len(measured.points)-1].x
	table.points = slices.DeleteFunc(table.points, func(p point) bool { return p.x > most+0.5 })
	lines := []line{measured, table}
	x := linearAxis("memory in use beyond memory.high, in % of it", []float64{0, most}, func(v float64) string { return numberTick(v) + " %" })
	y := logAxis("", spans(lines), durationTick)
	p := linesPanel(lines, nil, x, y, 230)
	p.heading = "delay (log scale)"
	fig.sheet.lead = "The kernel puts who allocates beyond memory.high to sleep, for longer the further it is beyond: its source has a table (mm/memcontrol.c, calculate_high_delay)."
	fig.sheet.panels = []panel{p}
	fig.Alt = "Line chart: the measured delay of allocations beyond memory.high, and the kernel's own table."
	return fig, true
}

// limitsOOM shows the parts of a kill for memory.
func limitsOOM(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "oom", Title: "Out of memory: where the time goes", Family: "Oom"}
	var rows []row
	parts := []struct{ unit, name string }{
		{"event-ns", "touch to out of memory noticed"}, {"kill-ns", "to the kill counted"},
		{"exit-ns", "to the victim gone"}, {"empty-ns", "to the group empty"}, {"total-ns", "in all"},
	}
	var counts []int
	for _, c := range f.Family("Oom") {
		for i, part := range parts {
			values := finite(c.Values[part.unit])
			if len(values) == 0 {
				continue
			}
			look := style{blue, nil, draw.CircleGlyph{}}
			if i == len(parts)-1 {
				look = style{black, nil, draw.BoxGlyph{}}
			}
			s := stats.Summarize(values)
			rows = append(rows, row{group: headLetter().cut(limits.Asked(c), 230), name: part.name,
				marks: []mark{{style: look, value: s.Median, lo: s.Lo, hi: s.Hi, text: table.Duration(s.Median), ok: true}}})
			counts = append(counts, len(values))
		}
	}
	if len(rows) == 0 {
		return fig, false
	}
	fig.Alt = "Dot plot: the parts of a kill for memory. " + rowsAlt(rows)
	x := logAxis("time (log scale)", extent(rows), durationTick).fromZero(rows)
	fig.sheet.lead = "A process that touches more memory than its group may have is killed. Medians with their 95 % intervals (none below 6 samples). 0: it was so already when the one before was seen."
	fig.sheet.panels = []panel{rowsPanel(rows, x)}
	fig.sheet.foot = []string{samplesOf(counts) + "."}
	return fig, true
}

// recordedLanes are the lanes of a recorded timeline, in order of first appearance.
func recordedLanes(t *sample.Timeline) []Lane {
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
	return lanes
}
