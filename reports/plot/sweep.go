package plot

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
	"isoperf/reports/table"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
)

// step is one point of a sweep.
type step struct {
	x   float64
	sum stats.Summary
}

// steps of one series, by x. parse reads the swept parameter key.
func sweepSteps(f *sample.File, unit, family, key string, parse func(string) (float64, bool), params ...string) []step {
	var all []step
	for _, c := range f.Family(family) {
		x, ok := parse(c.Param(key))
		if !ok || !matches(c, params) || len(c.Values[unit]) == 0 {
			continue
		}
		if sum := stats.Summarize(c.Values[unit]); sum.Median > 0 {
			all = append(all, step{x, sum})
		}
	}
	slices.SortStableFunc(all, func(a, b step) int { return cmp.Compare(a.x, b.x) })
	return all
}

// medians are the points of a line.
func medians(steps []step) []point {
	var points []point
	for _, s := range steps {
		points = append(points, point{s.x, s.sum.Median, s.sum.Lo, s.sum.Hi})
	}
	return points
}

// growth is what was found about a line: in words, and drawn if a straight
// line describes every point.
type growth struct {
	words []string
	curve plotter.XYs
}

// Limits of what is said about a line.
const (
	flatShare  = 0.05 // greatest rise that is called flat, as a part of the lowest point
	dullShare  = 0.15 // the same where no line explains it
	leastR2    = 0.9  // least R2 of a fit that is stated
	worstMiss  = 0.25 // farthest that a point may lie from a fit that is stated
	leastSteps = 4    // fewest points behind a law
)

// grow describes how the points rise, per unit of x ("mount").
func grow(points []point, x axis, per string) growth {
	if len(points) < 2 {
		return growth{}
	}
	var xs, ys []float64
	for _, p := range points {
		xs, ys = append(xs, p.x), append(ys, p.y)
	}
	first, last := points[0], points[len(points)-1]
	rise := slices.Max(ys)/slices.Min(ys) - 1
	fit := stats.Growth(xs, ys)
	switch {
	case rise <= flatShare || rise <= dullShare && !(fit.R2 >= leastR2):
		return growth{words: []string{fmt.Sprintf("flat: within %s", table.Percent(rise))}}
	case len(points) >= leastSteps && fit.Coeff > 0 && fit.R2 >= leastR2 && describes(fit, points):
		return growth{
			words: []string{fmt.Sprintf("%s per %s, R2 %s", table.Increase(fit.Coeff), per, share(fit.R2))},
			curve: sampled(fit, first.x, last.x, x),
		}
	}
	return growth{words: []string{fmt.Sprintf("%s to %s (%s)", table.Duration(first.y), table.Duration(last.y), times(last.y/first.y))}}
}

// share writes R2; what is short of 1 is not rounded up to it.
func share(r2 float64) string {
	if r2 > 0.99 {
		return "> 0.99"
	}
	return fmt.Sprintf("%.2f", r2)
}

// describes says whether every point lies near the fit.
func describes(fit stats.Fit, points []point) bool {
	for _, p := range points {
		if math.Abs(fit.Constant+fit.Coeff*p.x-p.y) > worstMiss*p.y {
			return false
		}
	}
	return true
}

// sampled is the fit as a curve: a straight line bends on log axes.
func sampled(fit stats.Fit, from, to float64, x axis) plotter.XYs {
	const parts = 80
	lo := math.Log(x.place(from))
	hi := math.Log(to)
	var xys plotter.XYs
	for i := range parts + 1 {
		at := math.Exp(lo + (hi-lo)*float64(i)/parts)
		if i == parts {
			at = to
		}
		value := at
		if i == 0 {
			value = from
		}
		if y := fit.Constant + fit.Coeff*value; y > 0 {
			xys = append(xys, plotter.XY{X: at, Y: y})
		}
	}
	return xys
}

// times writes a ratio: "0.13x", "5.3x", "1,200x".
func times(ratio float64) string {
	switch {
	case ratio >= 9.95:
		return table.Count(int(math.Round(ratio))) + "x"
	case ratio < 0.95:
		return fmt.Sprintf("%.2fx", ratio)
	}
	return fmt.Sprintf("%.1fx", ratio)
}

// sweepMounts shows how the mounts of the host make a mount namespace dearer.
func sweepMounts(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "sweep-mounts", Title: "A new mount namespace, by the mounts it copies", Family: "SweepMounts"}
	return countSweep(f, fig, "mounts", "mount", "mounts in the caller's namespace (log scale)")
}

// sweepNetns shows how live network namespaces make the next one dearer.
func sweepNetns(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "sweep-netns", Title: "A new network namespace, by those that live already", Family: "SweepNetns"}
	return countSweep(f, fig, "live", "live namespace", "network namespaces alive when clone is called (log scale)")
}

// countSweep is a sweep over a number of things, with clone-ns and reap-ns.
func countSweep(f *sample.File, fig Figure, key, per, label string) (Figure, bool) {
	units := []struct {
		unit, words string
		style       style
	}{
		{"reap-ns", "clone3 to reaped", style{vermillion, nil, draw.CircleGlyph{}}},
		{"clone-ns", "clone3 to returned", style{blue, nil, draw.BoxGlyph{}}},
	}
	flags := distinct(f, fig.Family, "flag")
	var lines []line
	var counts []int
	for _, flag := range flags {
		for _, holds := range append([]string{""}, distinct(f, fig.Family, "holds")...) {
			for _, u := range units {
				steps := sweepSteps(f, u.unit, fig.Family, key, parseCount, "flag", flag, "holds", holds)
				if len(steps) < 2 {
					continue
				}
				l := line{style: u.style, points: medians(steps), label: []string{u.words}}
				if len(flags) > 1 {
					l.style.ink, l.label[0] = flagStyle(flag).ink, flag+", "+u.words
				}
				if holds != "" {
					l.style.dash, l.label[0] = dashed(), l.label[0]+", each with a "+holds
				}
				lines = append(lines, l)
				counts = append(counts, stepCounts(steps)...)
			}
		}
	}
	if len(lines) == 0 {
		return fig, false
	}
	fig.sheet = sheet{
		lead:   "Medians with their 95 % intervals. Curve: the straight line that fits them best, bent by the log scale, where one does.",
		panels: []panel{grownPanel(lines, label, per, numberTick)},
		foot:   []string{samplesOf(counts) + " (samples at one point)."},
	}
	fig.Findings = findings(lines)
	fig.Alt = "Line chart over " + label + ". " + strings.Join(fig.Findings, "; ") + "."
	return fig, true
}

func stepCounts(steps []step) []int {
	var counts []int
	for _, s := range steps {
		counts = append(counts, s.sum.N)
	}
	return counts
}

// grownPanel puts the growth of each line into its label and its curve. The
// lines are changed.
func grownPanel(lines []line, label, per string, ticks labeller) panel {
	var xs []float64
	for _, l := range lines {
		for _, p := range l.points {
			xs = append(xs, p.x)
		}
	}
	x := sweepAxis(label, xs, ticks, 300)
	for i := range lines {
		g := grow(lines[i].points, x, per)
		lines[i].curve = g.curve
		lines[i].label = append(lines[i].label, g.words...)
	}
	x = sweepAxis(label, xs, ticks, float64(inner-50-labelRoom(lines)))
	p := linesPanel(lines, nil, x, logAxis("", spans(lines), durationTick), 250)
	p.heading = "time (log scale)"
	return p
}

// findings are the labels of the lines that say something about them.
func findings(lines []line) []string {
	var all []string
	for _, l := range lines {
		if len(l.label) > 1 {
			all = append(all, strings.Join(l.label, ": "))
		}
	}
	return all
}
