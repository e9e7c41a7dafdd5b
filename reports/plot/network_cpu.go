package plot

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/network"
	"isoperf/reports/table"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The bars of CPU time, in points.
const (
	workRow   = 24
	workBar   = 11
	softBar   = 4
	workInset = 100 // at the right, for the figures
)

// work is the CPU time of one cell for a gigabit, in nanoseconds.
type work struct {
	path    string
	parts   []float64 // by network.Parts
	whole   float64
	softirq float64 // NaN: not known
}

// workInks are the colours of network.Parts.
func workInks() []color.RGBA {
	return []color.RGBA{blue.tint(0.15), green.tint(0.15), vermillion.tint(0.15)}
}

// networkCPU shows the CPU time of a gigabit by its parts, as stacked bars.
func networkCPU(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "network-cpu", Title: "CPU time for one gigabit, by part", Family: network.Stream}
	cells := alike(network.Read(f).Of(network.Stream))
	var mtus []int
	for _, c := range cells {
		if c.MTU != 0 && !slices.Contains(mtus, c.MTU) {
			mtus = append(mtus, c.MTU)
		}
	}
	slices.Sort(mtus)
	if len(mtus) > 2 {
		mtus = []int{mtus[0], mtus[len(mtus)-1]}
	}
	var alts []string
	var counts []int
	left := 0
	for _, mtu := range mtus {
		for _, d := range directions(cells) {
			var list []work
			for _, c := range cells {
				switch {
				case c.MTU != mtu || c.Dir != d[0]:
					continue
				case c.Stalled():
					left++
					continue
				}
				if w, ok := workOf(c); ok {
					list, counts = append(list, w), append(counts, c.N())
					alts = append(alts, fmt.Sprintf("%s, MTU %d, %s: %s", c.Path, mtu, c.Dir, table.Duration(w.whole)))
				}
			}
			if len(list) > 0 {
				p := workPanel(list)
				p.heading = fmt.Sprintf("MTU %d, %s", mtu, d[1])
				fig.sheet.panels = append(fig.sheet.panels, p)
			}
		}
	}
	if len(fig.sheet.panels) == 0 {
		return fig, false
	}
	fig.sheet.panels[len(fig.sheet.panels)-1].x.label = "CPU time for one gigabit (125 MB) that arrived"
	fig.sheet.lead = streamsOf(cells[0]) + ". Each bar adds up what the sender, the receiver and the translator used. The thin bar below is the time of the whole machine in soft interrupts, which is partly in the bars above as well."
	for i, part := range network.Parts() {
		fig.sheet.keys = append(fig.sheet.keys, key{style: style{ink: [...]ink{blue, green, vermillion}[i], glyph: draw.BoxGlyph{}}, text: part.Name})
	}
	fig.sheet.keys = append(fig.sheet.keys, key{style: style{ink: faint, glyph: draw.BoxGlyph{}}, text: "soft interrupts, of the whole machine"})
	note := "Medians of each part, which need not add up to that of the whole, " + samplesOf(counts) + "."
	if left > 0 {
		note += " What stalled is left out."
	}
	fig.sheet.foot = []string{note}
	fig.Alt = "Stacked bars: the CPU time for one gigabit. " + strings.Join(alts, "; ") + "."
	return fig, true
}

// workOf is a cell's CPU time; false where the file does not have it.
func workOf(c *network.Cell) (w work, ok bool) {
	w = work{path: c.Path, whole: c.PerGigabit("cpu-ns/B"), softirq: c.PerGigabit(network.Softirq)}
	for _, part := range network.Parts() {
		v := c.PerGigabit(part.Unit)
		if math.IsNaN(v) || v < 0 {
			v = 0
		}
		w.parts = append(w.parts, v)
	}
	return w, w.whole > 0
}

// workPanel is one bar for each path, on an axis of its own: between MTUs the CPU
// time differs too much for one.
func workPanel(list []work) panel {
	var ends []float64
	for _, w := range list {
		sum := 0.0
		for _, v := range w.parts {
			sum += v
		}
		ends = append(ends, sum, w.whole, w.softirq)
	}
	x := linearAxis("", ends, durationTick)
	p := panel{rows: true, x: x, y: axis{max: 1}, right: workInset, height: vg.Length(len(list)) * workRow}
	for _, w := range list {
		p.left = max(p.left, bodyLetter().width(bodyLetter().cut(w.path, 160))+17)
	}
	p.marks = []plot.Plotter{paint(func(c draw.Canvas, g *plot.Plot) {
		at, _ := g.Transforms(&c)
		for i, w := range list {
			y := c.Max.Y - (vg.Length(i)+0.5)*workRow
			write(c, bodyLetter(), black, right, c.Min.X-11, bodyLetter().middle(y), bodyLetter().cut(w.path, 160))
			from := 0.0
			for k, v := range w.parts {
				if v > 0 {
					segment(c, workInks()[k], at(from), at(from+v), y+softBar/2+1, workBar)
				}
				from += v
			}
			if w.softirq > 0 {
				bar(c, faint.rgb(), at(0), at(w.softirq), y-workBar/2, softBar, 0.3)
			}
			write(c, smallLetter(), black, left, c.Max.X+8, smallLetter().middle(y), table.Duration(w.whole))
		}
	})}
	return p
}

// networkStarts shows the first seconds of what begins slowly, or stalls.
func networkStarts(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "network-start", Title: "Bytes per second from the start, of what begins slowly or stalls"}
	view := network.Read(f)
	var alts []string
	more := 0
	for _, family := range []string{network.Stream, network.Distance} {
		for _, c := range view.Of(family) {
			if c.N() == 0 || !c.StartsSlowly() {
				continue
			}
			if len(fig.sheet.panels) == mostPanels {
				more++
				continue
			}
			if fig.Family == "" {
				fig.Family = family
			}
			fig.sheet.panels = append(fig.sheet.panels, startPanel(c))
			alts = append(alts, fmt.Sprintf("%s: %s on the whole", c.Label(), table.Bits(c.Median(goodput))))
		}
	}
	if len(alts) == 0 {
		return fig, false
	}
	fig.sheet.panels[len(fig.sheet.panels)-1].x.label = "time since the start"
	fig.sheet.lead = "The data that arrived in each step of 50 ms, in bits per second. The dashed line is where the measurement begins. Each line is a sample, at most three."
	if more > 0 {
		fig.sheet.foot = []string{fmt.Sprintf("%d more begin slowly or stall.", more)}
	}
	fig.Alt = "Line charts of goodput over time, of what begins slowly or stalls. " + strings.Join(alts, "; ") + "."
	return fig, true
}

func startPanel(c *network.Cell) panel {
	var lines []line
	var xs, ys []float64
	for i, s := range c.Curves(network.Since) {
		if i == 3 {
			break
		}
		l := line{style: pathStyle(c.Path), bare: true, width: 1}
		for _, p := range s.Points {
			l.points = append(l.points, point{x: p[0], y: 8 * p[1], lo: math.Inf(-1), hi: math.Inf(1)})
			xs, ys = append(xs, p[0]), append(ys, 8*p[1])
		}
		lines = append(lines, l)
	}
	x := linearAxis("", append(xs, 0), durationTick)
	y := linearAxis("", append(ys, 0), bitTick)
	y.max *= 1.25 // room for the words of the rule
	p := linesPanel(lines, []rule{{network.WarmUp, "measured from here"}}, x, y, 95)
	p.heading = fmt.Sprintf("%s: %s on the whole", c.Label(), table.Bits(c.Median(goodput)))
	return p
}
