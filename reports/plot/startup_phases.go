package plot

import (
	"fmt"
	"image/color"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/startup"
	"isoperf/reports/table"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The chart of phases, in points.
const (
	stackHeight  = 30 // of a whole start
	phaseHeight  = 15 // of one phase
	readyRoom    = 14 // above the phases, for the words of the rule
	mostUnrolled = 2  // starts whose phases have a panel of their own
)

// startupPhases shows where a start spends its time: each start as one bar of
// its phases, and then phase by phase.
func startupPhases(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "startup-phases", Title: "Where a start spends its time", Family: "StartupSpans"}
	all := startup.Breakdowns(f)
	if len(all) == 0 {
		return fig, false
	}
	inks := phaseInks(all)
	var ends []float64
	var counts []int
	var alts []string
	for _, b := range all {
		ends, counts = append(ends, b.Whole), append(counts, b.Total.N)
		alts = append(alts, phasesAlt(b))
		fig.Findings = append(fig.Findings, strings.TrimSuffix(b.Sentence(), "."))
	}
	x := linearAxis("", ends, durationTick)
	fig.sheet.lead = "The phases of a start from clone3 entered to reaped, in order of time, end to end. The residual is what no phase names."
	fig.sheet.panels = []panel{stackPanel(all, inks, x)}
	for _, b := range all[:min(mostUnrolled, len(all))] {
		fig.sheet.panels = append(fig.sheet.panels, unrolled(b, inks, x))
	}
	fig.sheet.panels[len(fig.sheet.panels)-1].x.label = "time since clone3 entered"
	note := "Means over the middle half of the starts by total time: unlike medians they add up. "
	if slices.ContainsFunc(all, func(b startup.Breakdown) bool { return !b.Exact }) {
		note = "Some samples lack a phase: medians of the phases, which need not add up. "
	}
	fig.sheet.foot = []string{note + samplesOf(counts) + "."}
	fig.Alt = "Stacked bars: the phases of a start. " + strings.Join(alts, " ")
	return fig, true
}

// phaseInks gives every phase its colour, the same one in each start. Phases
// next to each other differ.
func phaseInks(all []startup.Breakdown) map[string]color.RGBA {
	inks := []ink{blue, orange, green, purple, sky, vermillion}
	chosen := map[string]color.RGBA{}
	for _, b := range all {
		for _, p := range b.Phases {
			if _, ok := chosen[p.Name]; !ok {
				chosen[p.Name] = inks[len(chosen)%len(inks)].tint(0.15)
			}
			if p.Residual {
				chosen[p.Name] = black.rgb()
			}
		}
	}
	return chosen
}

func phasesAlt(b startup.Breakdown) string {
	var parts []string
	for _, p := range b.Phases {
		parts = append(parts, p.Name+" "+table.Duration(p.Mean))
	}
	return startup.Label(b.Case) + ": " + strings.Join(parts, ", ") + "."
}

// stackPanel is one bar for each start.
func stackPanel(all []startup.Breakdown, inks map[string]color.RGBA, x axis) panel {
	p := panel{rows: true, x: x, y: axis{max: 1}, right: 100, height: vg.Length(len(all)) * stackHeight}
	for _, b := range all {
		p.left = max(p.left, bodyLetter().width(startLabel(b))+17)
	}
	p.marks = []plot.Plotter{paint(func(c draw.Canvas, g *plot.Plot) {
		at, _ := g.Transforms(&c)
		for i, b := range all {
			y := c.Max.Y - (vg.Length(i)+0.5)*stackHeight
			write(c, bodyLetter(), black, right, c.Min.X-11, bodyLetter().middle(y), startLabel(b))
			from := 0.0
			for _, ph := range b.Phases {
				segment(c, inks[ph.Name], at(from), at(from+ph.Mean), y, stackHeight-10)
				explainBox(c, style{}, phaseHint(ph, at(from), at(from+ph.Mean), y, stackHeight-10))
				from += ph.Mean
			}
			write(c, smallLetter(), black, left, c.Max.X+8, smallLetter().middle(y), table.Duration(b.Whole))
		}
	})}
	return p
}

// startLabel cuts a long name, but not what was started.
func startLabel(b startup.Breakdown) string {
	name := b.Case.Param("runtime")
	rest := strings.TrimPrefix(startup.Label(b.Case), name)
	return bodyLetter().cut(bodyLetter().cut(name, 90)+rest, 190)
}

// phaseHint says which phase stands between two places.
func phaseHint(p startup.Phase, from, to, y, height vg.Length) hint {
	text := fmt.Sprintf("%s: %s, %s of the whole", p.Name, table.Duration(p.Mean), table.Percent(p.Share))
	return hint{x: (from + to) / 2, y: y, width: max(to-from, 1), height: height, text: text}
}

// segment is a part of a bar, with a hair of white behind it.
func segment(c draw.Canvas, ink color.RGBA, from, to, y, height vg.Length) {
	if to-from > 2 {
		to -= 0.6
	}
	bar(c, ink, from, to, y, height, 0.3)
}

// unrolled is one start phase by phase: each bar begins where the one before
// ends.
func unrolled(b startup.Breakdown, inks map[string]color.RGBA, x axis) panel {
	p := panel{
		heading: fmt.Sprintf("%s, phase by phase", startup.Label(b.Case)), rows: true, x: x, y: axis{max: 1},
		right: 100, height: vg.Length(len(b.Phases))*phaseHeight + readyRoom,
	}
	for _, ph := range b.Phases {
		p.left = max(p.left, bodyLetter().width(bodyLetter().cut(ph.Name, 180))+17)
	}
	p.marks = []plot.Plotter{paint(func(c draw.Canvas, g *plot.Plot) {
		at, _ := g.Transforms(&c)
		hair := draw.LineStyle{Color: faint.rgb(), Width: 0.6}
		y, from := c.Max.Y-readyRoom-phaseHeight/2, 0.0
		for i, ph := range b.Phases {
			if i%2 == 0 {
				shade(c, g, y+phaseHeight/2, phaseHeight, x)
			}
			if i > 0 {
				c.StrokeLine2(hair, at(from), y+phaseHeight/2+4, at(from), y-4)
			}
			write(c, bodyLetter(), black, right, c.Min.X-11, bodyLetter().middle(y), bodyLetter().cut(ph.Name, 180))
			bar(c, inks[ph.Name], at(from), at(from+ph.Mean), y, phaseHeight-5, 0.8)
			explainBox(c, style{}, phaseHint(ph, c.Min.X, c.Max.X, y, phaseHeight))
			write(c, smallLetter(), black, right, c.Max.X+52, smallLetter().middle(y), table.Duration(ph.Mean))
			write(c, smallLetter(), grey, right, sheetWidth-edge-4, smallLetter().middle(y), table.Percent(ph.Share))
			from += ph.Mean
			y -= phaseHeight
		}
	})}
	if b.Ready > 0 && b.Ready < x.max {
		p.marks = append(p.marks, rule{b.Ready, "ready: first instruction of the payload"}.plotter(x))
	}
	return p
}
