package plot

import (
	"fmt"
	"iter"
	"math"
	"slices"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
	"isoperf/reports/table"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// controls shows whether the machine stayed the same during the run.
func controls(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "control", Title: "Did the machine stay the same during the run?", Family: "Control"}
	values := pick(f, "compute-ns", "Control", "what", "compute")
	if len(values) < 10 {
		return fig, false
	}
	sum := stats.Summarize(values)
	y := nearAxis(math.Min(sum.Min, 0.95*sum.Median), math.Max(sum.P95, 1.05*sum.Median), durationTick)
	x := linearAxis("samples of the control, in the order of the run", []float64{float64(len(values))}, numberTick)
	p := panel{heading: "time of a fixed computation", height: 200, right: 86, x: x, y: y}
	p.marks = []plot.Plotter{
		paint(func(c draw.Canvas, g *plot.Plot) {
			_, toY := g.Transforms(&c)
			at := toY(sum.Median)
			c.StrokeLine2(draw.LineStyle{Color: grey.rgb(), Width: 0.9, Dashes: dashed()}, c.Min.X, at, c.Max.X+4, at)
			write(c, smallLetter(), black, left, c.Max.X+8, smallLetter().middle(at), "median "+table.Duration(sum.Median))
		}),
		inOrder(values),
	}
	fig.sheet = sheet{
		lead:   "The same arithmetic, timed again and again between the other samples. A step or a slope means that the processor changed its speed: then compare ratios, not times.",
		panels: []panel{p},
		foot:   []string{thinnedNote(values) + aboveNote(values, y.max, sum.Max)},
	}
	fig.Alt = fmt.Sprintf("Dots: %s timings of a fixed computation in the order of the run, median %s, from %s to %s.",
		table.Count(sum.N), table.Duration(sum.Median), table.Duration(sum.Min), table.Duration(sum.Max))
	return fig, true
}

// mostDots is how many dots a picture of samples in their order may have.
const mostDots = 3000

// inOrder is a dot for each value; what lies above the frame is a triangle at
// its upper edge. Of too many values, each stretch shows its least, its median
// and its largest.
func inOrder(values []float64) paint {
	return func(c draw.Canvas, g *plot.Plot) {
		toX, toY := g.Transforms(&c)
		for i, v := range thinned(values) {
			shape := draw.GlyphStyle{Color: blue.rgb(), Radius: 1.6, Shape: draw.CircleGlyph{}}
			y := toY(v)
			if v > g.Y.Max {
				y = c.Max.Y - 5
				shape = draw.GlyphStyle{Color: vermillion.rgb(), Radius: 3, Shape: draw.PyramidGlyph{}}
			}
			c.DrawGlyphNoClip(shape, vg.Point{X: toX(float64(i + 1)), Y: y})
		}
	}
}

// thinned is all of the values by their index, or three of each stretch.
func thinned(values []float64) iter.Seq2[int, float64] {
	if len(values) <= mostDots {
		return slices.All(values)
	}
	return func(yield func(int, float64) bool) {
		stretch := (len(values) + mostDots/3 - 1) / (mostDots / 3)
		for from := 0; from < len(values); from += stretch {
			sorted := slices.Sorted(slices.Values(values[from:min(from+stretch, len(values))]))
			for _, v := range []float64{sorted[0], sorted[len(sorted)/2], sorted[len(sorted)-1]} {
				if !yield(from, v) {
					return
				}
			}
		}
	}
}

// thinnedNote says so.
func thinnedNote(values []float64) string {
	if len(values) <= mostDots {
		return ""
	}
	return fmt.Sprintf("There are %s samples: of each stretch of them, its least, its median and its largest are shown. ", table.Count(len(values)))
}

// aboveNote counts what lies above the frame.
func aboveNote(values []float64, top, most float64) string {
	above := 0
	for _, v := range values {
		if v > top {
			above++
		}
	}
	if above == 0 {
		return ""
	}
	return fmt.Sprintf("Triangles: %s of %s samples lie above the frame, the slowest at %s.",
		table.Count(above), table.Count(len(values)), table.Duration(most))
}

// nearAxis shows lo to hi without zero, for what varies little.
func nearAxis(lo, hi float64, write labeller) axis {
	room := (hi - lo) * 0.06
	a := axis{min: lo - room, max: hi + room}
	for _, v := range between(a.min, a.max) {
		a.ticks = append(a.ticks, plot.Tick{Value: v, Label: write(v)})
	}
	return a
}
