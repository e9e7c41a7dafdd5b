package plot

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/startup"
	"isoperf/reports/stats"
	"isoperf/reports/table"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// labelHeight is the room of a label of two lines, in points.
const labelHeight = 27

// startupAtOnce shows how many starts there are in a second with more of them
// at once, and from where on they only wait for each other.
func startupAtOnce(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "startup-at-once", Title: "Containers per second, by how many start at once", Family: "StartupAtOnce"}
	crowds := slices.DeleteFunc(startup.Crowds(f), func(c startup.Crowd) bool { return len(c.Rates) < 2 })
	if len(crowds) == 0 {
		return fig, false
	}
	var lines []line
	var knees []point
	var ns []float64
	var counts []int
	for i, c := range crowds {
		lines = append(lines, crowdLine(c, serial(i, c.Runtime)))
		for _, r := range c.Rates {
			ns, counts = append(ns, r.Workers), append(counts, r.N)
		}
		if c.Known {
			knees = append(knees, point{x: c.Knee.Workers, y: c.Knee.PerSecond})
		}
		fig.Findings = append(fig.Findings, strings.TrimSuffix(c.Sentence(), "."))
	}
	lines = append(lines, linear(lead(crowds)))
	x := sweepAxis("starts at once (log scale)", ns, numberTick, float64(inner-50-labelRoom(lines)))
	var rules []rule
	if n := cpus(f); n >= x.min && n <= x.max {
		rules = append(rules, rule{n, fmt.Sprintf("%s CPUs", numberTick(n))})
	}
	p := linesPanel(lines, rules, x, headroom(logAxis("", spans(lines), numberTick)), max(240, vg.Length(len(lines))*labelHeight))
	p.heading = "starts per second, all together (log scale)"
	p.marks = append(p.marks, kneeMarks(knees))
	fig.sheet = sheet{
		lead:   "A closed loop: as soon as one start has ended, the next begins. One over the median wall time per start, with its 95 % interval. Ring: the knee, the fewest at once whose rate lies within the interval of the best.",
		panels: []panel{p},
		foot:   []string{samplesOf(counts) + " (samples at one point)."},
	}
	fig.Alt = "Line chart: starts per second over the number of starts at once. " + strings.Join(fig.Findings, "; ") + "."
	return fig, true
}

// lead is the runtime that the linear reference belongs to.
func lead(crowds []startup.Crowd) startup.Crowd {
	for _, c := range crowds {
		if c.Runtime == "isorun" {
			return c
		}
	}
	return crowds[0]
}

func crowdLine(c startup.Crowd, s style) line {
	l := line{style: s}
	for _, r := range c.Rates {
		l.points = append(l.points, point{r.Workers, r.PerSecond, r.Lo, r.Hi})
	}
	words := fmt.Sprintf("%s/s at best", startup.PerSecond(c.Best().PerSecond))
	switch {
	case c.Rising():
		words += ", still rising"
	case c.Known:
		words += fmt.Sprintf(", knee at %s", numberTick(c.Knee.Workers))
	}
	l.label = []string{bodyLetter().cut(c.Runtime, 130), words}
	return l
}

// linear is what the first rate would become if more at once cost nothing.
func linear(c startup.Crowd) line {
	first, last := c.Rates[0], c.Rates[len(c.Rates)-1]
	l := line{style: style{faint, dotted(), draw.CircleGlyph{}}, bare: true, width: 0.8, label: []string{"linear, from " + bodyLetter().cut(c.Runtime, 80)}}
	for _, n := range []float64{first.Workers, last.Workers} {
		l.points = append(l.points, point{n, first.PerSecond * n / first.Workers, math.Inf(-1), math.Inf(1)})
	}
	return l
}

func kneeMarks(knees []point) paint {
	return func(c draw.Canvas, g *plot.Plot) {
		x, y := g.Transforms(&c)
		for _, k := range knees {
			c.DrawGlyphNoClip(draw.GlyphStyle{Color: black.rgb(), Radius: 6.5, Shape: draw.RingGlyph{}}, vg.Point{X: x(k.x), Y: y(k.y)})
		}
	}
}

// serial is the look of series i; isorun has one of its own.
func serial(i int, name string) style {
	if name == "isorun" {
		return style{vermillion, nil, draw.CircleGlyph{}}
	}
	inks := []ink{blue, green, purple, orange, sky, black}
	shapes := []draw.GlyphDrawer{draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.CircleGlyph{}}
	s := style{ink: inks[i%len(inks)], glyph: shapes[i%len(shapes)]}
	if i >= len(inks) {
		s.dash = dashed()
	}
	return s
}

// mostOpen is how many runtimes have a panel of the open loop.
const mostOpen = 4

// startupOpen shows what a start takes from when it was due, by percentile.
func startupOpen(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "startup-open", Title: "Starts at their own times: latency by percentile", Family: "StartupOpen"}
	byRuntime := map[string][]startup.Load{}
	var names []string
	for _, l := range startup.Loads(f) {
		if len(tailCurve(l.Response)) < 2 {
			continue
		}
		if !slices.Contains(names, l.Runtime) {
			names = append(names, l.Runtime)
		}
		byRuntime[l.Runtime] = append(byRuntime[l.Runtime], l)
	}
	if len(names) == 0 {
		return fig, false
	}
	var counts []int
	var right vg.Length
	for _, name := range names[:min(mostOpen, len(names))] {
		loads := byRuntime[name]
		p := openPanel(loads, name)
		right = max(right, p.right)
		fig.sheet.panels = append(fig.sheet.panels, p)
	}
	for _, name := range names {
		loads := byRuntime[name]
		for _, l := range loads {
			counts = append(counts, l.Response.N)
		}
		if text := loads[len(loads)-1].Sentence(); text != "" {
			fig.Findings = append(fig.Findings, strings.TrimSuffix(text, "."))
		}
	}
	for i := range fig.sheet.panels {
		fig.sheet.panels[i].right = right
	}
	fig.sheet.panels[len(fig.sheet.panels)-1].x.label = "share of the starts that end within this time (scale of what is left)"
	fig.sheet.lead = "An open loop: starts are due at their own times, whether or not the earlier ones have ended. Time from due to reaped, at a load in percent of the best rate of the closed loop. Dotted: the same starts from when they began, which is all that a closed loop shows."
	fig.sheet.foot = []string{"Percentiles of an HDR histogram with three significant figures, as far as a sample lies beyond. " + samplesOf(counts) + "."}
	if len(names) > mostOpen {
		fig.sheet.foot[0] += fmt.Sprintf(" Not shown: %s.", sentence(names[mostOpen:]))
	}
	fig.Alt = "Line charts: time from due to reaped over percentile, a line for each load. " + strings.Join(fig.Findings, "; ") + "."
	return fig, true
}

func openPanel(loads []startup.Load, name string) panel {
	inks := []ink{green, blue, purple, orange, vermillion}
	var lines []line
	most := 0
	for i, l := range loads {
		ink := inks[len(inks)-1-(len(loads)-1-i)%len(inks)]
		lines = append(lines, tailLine(l.Response, style{ink: ink}, fmt.Sprintf("%g %% load", l.Percent)))
		most = max(most, l.Response.N)
	}
	last := loads[len(loads)-1]
	if len(tailCurve(last.Service)) > 1 {
		s := style{ink: grey, dash: dotted()}
		lines = append(lines, tailLine(last.Service, s, fmt.Sprintf("from begun, at %g %%", last.Percent)))
	}
	var ys []float64
	for _, l := range lines {
		for _, xy := range l.curve {
			ys = append(ys, xy.Y)
		}
	}
	p := linesPanel(lines, nil, shareAxis(most), logAxis("", ys, durationTick), max(150, vg.Length(len(lines))*labelHeight+20))
	p.heading = headLetter().cut(name, 300) + ": due to reaped (log scale)"
	return p
}

// tailCurve is a percentile curve; it stands over the reciprocal of what is
// left beyond each share, so that every further nine takes the same room.
func tailCurve(t stats.Tail) plotter.XYs {
	var xys plotter.XYs
	for _, pt := range t.Curve() {
		if pt.Latency > 0 {
			xys = append(xys, plotter.XY{X: 1 / (1 - pt.Share), Y: pt.Latency})
		}
	}
	return xys
}

func tailLine(t stats.Tail, s style, name string) line {
	l := line{style: s, bare: true, curve: tailCurve(t)}
	for _, at := range l.curve {
		l.points = append(l.points, point{at.X, at.Y, math.Inf(-1), math.Inf(1)})
	}
	l.label = []string{name}
	for _, share := range []float64{0.999, 0.99, 0.9, 0.5} {
		if v := t.At(share); !math.IsNaN(v) {
			l.label = append(l.label, fmt.Sprintf("p%g %s", 100*share, table.Duration(v)))
			break
		}
	}
	return l
}

// shareAxis goes from one half to the last share that n samples bear out.
func shareAxis(n int) axis {
	a := axis{min: 2, max: math.Max(float64(n), 4), log: true}
	a.words = func(left float64) string { return fmt.Sprintf("%.6g %%", 100*(1-1/left)) }
	a.ticks = []plot.Tick{{Value: 2, Label: "50 %"}}
	nines := 90.0
	for left := 10.0; left <= a.max; left *= 10 {
		a.ticks = append(a.ticks, plot.Tick{Value: left, Label: fmt.Sprintf("%.10g %%", nines)})
		nines = 100 - 100/(left*10)
	}
	return a
}
