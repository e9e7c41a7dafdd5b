package plot

import (
	"fmt"
	"math"
	"slices"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
	"isoperf/reports/table"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// cloneIncrement shows what each flag costs above the null case, burst
// against paced.
func cloneIncrement(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "clone-increment", Title: "What each flag adds to clone", Family: "Clone"}
	var rows []row
	var counts []int
	var null []string
	for _, pacing := range pacings(f, "Clone") {
		base := pick(f, "reap-ns", "Clone", "flag", "none", "mode", "vm", "pacing", pacing)
		if len(base) > 0 {
			null = append(null, table.Duration(stats.Summarize(base).Median)+" "+pacing)
		}
	}
	for _, flag := range distinct(f, "Clone", "flag") {
		if flag == "none" {
			continue
		}
		r := row{name: flag}
		for _, pacing := range pacings(f, "Clone") {
			base := pick(f, "reap-ns", "Clone", "flag", "none", "mode", "vm", "pacing", pacing)
			values := pick(f, "reap-ns", "Clone", "flag", flag, "mode", "vm", "pacing", pacing)
			r.marks = append(r.marks, increment(pacingStyle(pacing), base, values))
			if len(values) > 0 && len(base) > 0 {
				counts = append(counts, len(values))
			}
		}
		rows = append(rows, r)
	}
	rows = slices.DeleteFunc(rows, func(r row) bool { return !slices.ContainsFunc(r.marks, func(m mark) bool { return m.ok }) })
	if len(rows) == 0 {
		return fig, false
	}
	bySize(rows, 0)
	x := incrementAxis(extent(rows))
	fig.sheet = sheet{
		lead:   "Time from clone3 entered to child reaped, mode vm, above that of a clone without flags (" + sentence(null) + ").",
		keys:   pacingKeys(f, "Clone"),
		panels: []panel{rowsPanel(rows, x)},
		foot:   []string{"Dot: Hodges-Lehmann increment over flag none. Bar: its 95 % interval. " + samplesOf(counts) + "." + arrowNote(rows, x)},
	}
	fig.Alt = "Dot plot: what each clone flag adds over a clone without flags. " + rowsAlt(rows)
	return fig, true
}

func increment(s style, base, values []float64) mark {
	if len(base) == 0 || len(values) == 0 {
		return mark{style: s}
	}
	sh := stats.Increment(base, values)
	return mark{style: s, value: sh.Delta, lo: sh.Lo, hi: sh.Hi, text: table.Increase(sh.Delta), ok: !math.IsNaN(sh.Delta)}
}

// incrementAxis is logarithmic where the increments differ by more than a
// factor of 8. It starts at a tenth of the median one at most, so that an
// increment near nothing does not take all the room.
func incrementAxis(values []float64) axis {
	lo, hi := bounds(values, true)
	if hi < 8*lo {
		return linearAxis("increment over the null case", values, durationTick)
	}
	floor := math.Max(lo, hi/3000)
	kept := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return v < floor })
	return logAxis("increment over the null case (log scale)", kept, durationTick)
}

// arrowNote explains the arrows that stand for what a log axis cannot show.
func arrowNote(rows []row, x axis) string {
	for _, r := range rows {
		for _, m := range r.marks {
			if m.ok && x.log && (m.value < x.min || m.lo < x.min && bounded(m.lo, m.hi)) {
				return " Arrow: it goes on beyond the axis, towards zero."
			}
		}
	}
	return ""
}

func pacingKeys(f *sample.File, family string) []key {
	var keys []key
	for _, pacing := range pacings(f, family) {
		keys = append(keys, key{style: pacingStyle(pacing), text: pacingWords(pacing)})
	}
	return keys
}

// sentence joins parts with commas and a last "and".
func sentence(parts []string) string {
	switch len(parts) {
	case 0:
		return "not measured"
	case 1:
		return parts[0]
	}
	s := parts[0]
	for _, p := range parts[1 : len(parts)-1] {
		s += ", " + p
	}
	return s + " and " + parts[len(parts)-1]
}

// rowsAlt reads a chart of rows out.
func rowsAlt(rows []row) string {
	s := ""
	for i, r := range rows {
		var texts []string
		for _, m := range r.marks {
			if m.ok {
				texts = append(texts, m.text)
			}
		}
		if i > 0 {
			s += "; "
		}
		name := r.name
		if r.group != "" {
			name = r.group + " " + name
		}
		s += name + " " + sentence(texts)
	}
	return s + "."
}

// cloneECDF shows the whole distribution of each flag, one panel for each
// pacing, on one axis.
func cloneECDF(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "clone-ecdf", Title: "How long a clone takes: every sample of each flag", Family: "Clone"}
	var sets []distribution
	for _, pacing := range pacings(f, "Clone") {
		for _, flag := range distinct(f, "Clone", "flag") {
			values := pick(f, "reap-ns", "Clone", "flag", flag, "mode", "vm", "pacing", pacing)
			if len(values) > 1 {
				sets = append(sets, newDistribution(flag, pacing, values))
			}
		}
	}
	if len(sets) < 2 {
		return fig, false
	}
	x, beyond := ecdfAxis(sets)
	for _, pacing := range pacings(f, "Clone") {
		if p, ok := ecdfPanel(sets, pacing, x); ok {
			fig.sheet.panels = append(fig.sheet.panels, p)
		}
	}
	fig.sheet.panels[len(fig.sheet.panels)-1].x.label = "clone3 entered to child reaped (log scale)"
	fig.sheet.lead = "Share of the samples that took at most this long, mode vm. At the right: the flags with their medians, in the order of the curves from left to right at one half."
	var counts []int
	for _, d := range sets {
		counts = append(counts, len(d.sorted))
	}
	fig.sheet.foot = []string{beyond + " " + samplesOf(counts) + "."}
	fig.Alt = "Cumulative distributions of the time from clone3 to reaped, one curve for each flag. Medians: " + ecdfAlt(sets)
	return fig, true
}

// distribution is the samples of one curve, sorted.
type distribution struct {
	flag, pacing string
	sorted       []float64
	sum          stats.Summary
}

func newDistribution(flag, pacing string, values []float64) distribution {
	return distribution{flag, pacing, slices.Sorted(slices.Values(values)), stats.Summarize(values)}
}

func ecdfAlt(sets []distribution) string {
	var parts []string
	for _, d := range sets {
		parts = append(parts, fmt.Sprintf("%s %s %s", d.flag, d.pacing, table.Duration(d.sum.Median)))
	}
	return sentence(parts) + "."
}

// ecdfAxis ends half beyond the slowest 99th percentile: a single stray
// sample does not press all curves to the left. It says what it leaves out.
func ecdfAxis(sets []distribution) (x axis, beyond string) {
	var ends []float64
	slowest, most := 0.0, 0.0
	for _, d := range sets {
		ends = append(ends, d.sorted[0])
		slowest = math.Max(slowest, d.sum.P99)
		most = math.Max(most, d.sum.Max)
	}
	x = logAxis("", append(ends, math.Min(most, 1.5*slowest)), durationTick)
	out := 0
	for _, d := range sets {
		for _, v := range d.sorted {
			if v > x.max {
				out++
			}
		}
	}
	switch out {
	case 0:
		return x, "Every sample is in the frame."
	case 1:
		return x, "One sample lies right of the frame, at " + table.Duration(most) + "."
	}
	return x, fmt.Sprintf("%s samples lie right of the frame, the slowest at %s.", table.Count(out), table.Duration(most))
}

// ecdfPanel is the curves of one pacing, with their key at the right.
func ecdfPanel(sets []distribution, pacing string, x axis) (panel, bool) {
	var shown []distribution
	for _, d := range sets {
		if d.pacing == pacing {
			shown = append(shown, d)
		}
	}
	if len(shown) == 0 {
		return panel{}, false
	}
	slices.SortStableFunc(shown, func(a, b distribution) int {
		if a.sum.Median < b.sum.Median {
			return -1
		}
		return 1
	})
	y := axis{min: 0, max: 1.02}
	for _, share := range []int{0, 25, 50, 75, 100} {
		y.ticks = append(y.ticks, plot.Tick{Value: float64(share) / 100, Label: fmt.Sprintf("%d %%", share)})
	}
	p := panel{heading: pacingWords(pacing), height: max(170, vg.Length(len(shown))*14+8), right: 150, x: x, y: y}
	for _, d := range shown {
		p.marks = append(p.marks, d.curve(x, len(shown)), d.explained())
	}
	p.marks = append(p.marks, paint(func(c draw.Canvas, _ *plot.Plot) { sideKey(c, shown) }))
	return p, true
}

// curve is the steps of the empirical distribution, which is one of so many. Steps
// closer than a tenth of a point are drawn as one, and farther ones in a thicket of
// curves, of which a picture of some MB would show no more.
func (d distribution) curve(x axis, of int) plot.Plotter {
	closest := 0.1 / 400 * max(1, float64(of)/20)
	xys := plotter.XYs{{X: d.sorted[0], Y: 0}}
	at := math.Inf(-1)
	for i, v := range d.sorted {
		place := x.scale().Normalize(x.min, x.max, v)
		y := float64(i+1) / float64(len(d.sorted))
		if place-at < closest {
			xys[len(xys)-1].Y = y
			continue
		}
		at = place
		xys = append(xys, plotter.XY{X: v, Y: y})
	}
	if xys[len(xys)-1].X < x.max {
		xys = append(xys, plotter.XY{X: x.max, Y: 1})
	}
	return &plotter.Line{XYs: xys, StepStyle: plotter.PostStep, LineStyle: flagStyle(d.flag).line(1.5)}
}

// explained says at some shares what the curve is.
func (d distribution) explained() paint {
	return func(c draw.Canvas, g *plot.Plot) {
		toX, toY := g.Transforms(&c)
		for _, share := range []float64{0.05, 0.25, 0.5, 0.75, 0.95, 0.99} {
			if v := stats.Quantiles(d.sorted, share)[0]; v <= g.X.Max {
				explain(c, flagStyle(d.flag), toX(v), toY(share), fmt.Sprintf("%s: %g %% within %s", d.flag, 100*share, table.Duration(v)))
			}
		}
	}
}

// sideKey lists the curves beside the frame: style, flag, median.
func sideKey(c draw.Canvas, shown []distribution) {
	y := c.Center().Y + vg.Length(len(shown)-1)*14/2
	for _, d := range shown {
		k := key{style: flagStyle(d.flag), line: true, plain: true}
		k.draw(c, c.Max.X+14, y)
		write(c, smallLetter(), black, left, c.Max.X+14+keyShaft+6, smallLetter().middle(y), d.flag)
		write(c, smallLetter(), grey, right, sheetWidth-edge, smallLetter().middle(y), table.Duration(d.sum.Median))
		y -= 14
	}
}

// cloneModes compares the three ways to start a child.
func cloneModes(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "clone-modes", Title: "Three ways to start a child", Family: "Clone"}
	var rows []row
	var counts []int
	modes := map[string]bool{}
	for _, group := range []struct{ flag, name string }{{"none", "no flag"}, {"all", "all flags"}} {
		for _, mode := range distinct(f, "Clone", "mode") {
			r := row{group: group.name, name: mode}
			for _, pacing := range pacings(f, "Clone") {
				values := pick(f, "reap-ns", "Clone", "flag", group.flag, "mode", mode, "pacing", pacing)
				r.marks = append(r.marks, median(pacingStyle(pacing), values))
				if len(values) > 0 {
					counts = append(counts, len(values))
					modes[mode] = true
				}
			}
			if slices.ContainsFunc(r.marks, func(m mark) bool { return m.ok }) {
				rows = append(rows, r)
			}
		}
	}
	if len(modes) < 2 {
		return fig, false
	}
	fig.sheet = sheet{
		lead:   "Time from clone3 entered to child reaped. vm: the child shares the launcher's memory. fork: it gets a copy. stub: it first executes a static program of a few hundred bytes, as containers do.",
		keys:   pacingKeys(f, "Clone"),
		panels: []panel{rowsPanel(rows, durations(rows))},
		foot:   []string{mediansNote(counts)},
	}
	fig.Alt = "Dot plot: time from clone3 to reaped for each way to start a child. " + rowsAlt(rows)
	return fig, true
}

func mediansNote(counts []int) string {
	return "Dot: median. Bar: its 95 % interval (none below 6 samples). " + samplesOf(counts) + "."
}

// durations is the axis of rows of medians: logarithmic where they differ by
// more than a factor of 8, from zero otherwise.
func durations(rows []row) axis {
	values := extent(rows)
	if lo, hi := bounds(values, true); hi > 8*lo {
		return logAxis("time (log scale)", values, durationTick)
	}
	return linearAxis("time", values, durationTick)
}
