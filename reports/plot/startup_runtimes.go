package plot

import (
	"fmt"
	"image/color"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/startup"
	"isoperf/reports/stats"
	"isoperf/reports/table"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// startupRuntimes sets the runtimes side by side: the whole distribution of
// each, on one log axis.
func startupRuntimes(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "startup-runtimes", Title: "How long a container takes to start", Family: "Startup"}
	c := startup.Main(f)
	if c == nil {
		return fig, false
	}
	if c.With == "command" {
		fig.Title = "How long a command takes in each runtime"
	}
	var rows []violin
	var all []float64
	var counts []int
	for _, s := range c.Starts {
		v := newViolin(s, c)
		if len(v.values) == 0 {
			continue
		}
		rows = append(rows, v)
		all, counts = append(all, v.values...), append(counts, len(v.values))
		if s.Ready.Median > 0 {
			all = append(all, s.Ready.Median)
		}
	}
	if len(rows) == 0 {
		return fig, false
	}
	for _, s := range c.Absent {
		rows = append(rows, violin{name: s.Name, why: s.Why})
	}
	x := logAxis("runtime's process begun to reaped (log scale)", all, durationTick)
	fig.sheet = sheet{
		lead:   startupLead(c),
		keys:   startupKeys(c),
		panels: []panel{violinPanel(rows, x)},
		foot: []string{
			"Shape: density of the samples over the logarithm of the time, kernel bandwidth by Scott's rule; a dot for each sample outside of it. " +
				"Dark: the middle half. White: the 95 % interval of the median. " + samplesOf(counts) + ".",
		},
	}
	fig.Alt = startupAlt(c)
	return fig, true
}

func startupLead(c *startup.Comparison) string {
	what := map[string]string{"usual": "the bundle that runc spec writes", "own": "the bundle that was given", "command": "the command that was given"}[c.With]
	if what == "" {
		what = "with=" + c.With
	}
	text := fmt.Sprintf("Each runtime starts %s and is reaped; %s.", what, pacingWords(c.Pacing))
	return text + fmt.Sprintf(" Ratio: how many times the total time of %s.", c.Base.Name)
}

func startupKeys(c *startup.Comparison) []key {
	keys := []key{{style: violinStyle(c.Base.Name, c), text: c.Base.Name}}
	others, floor := false, false
	for _, s := range c.Starts {
		floor = floor || s.Name == startup.Floor
		others = others || s.Name != c.Base.Name && s.Name != startup.Floor
	}
	if others {
		keys = append(keys, key{style: violinStyle("", c), text: "other runtimes"})
	}
	if floor && c.Base.Name != startup.Floor {
		keys = append(keys, key{style: violinStyle(startup.Floor, c), text: "the floor: no container"})
	}
	if c.Ready() {
		keys = append(keys, key{style: readyStyle(), text: "median of ready: first instruction of the payload"})
	}
	return keys
}

func startupAlt(c *startup.Comparison) string {
	var parts []string
	for _, s := range c.Starts {
		part := s.Name + " " + table.Duration(s.Total.Median)
		if s.Name != c.Base.Name {
			part += " (" + startup.Times(s.Times.Ratio) + ")"
		}
		parts = append(parts, part)
	}
	for _, s := range c.Absent {
		parts = append(parts, s.Name+" not measured")
	}
	return fmt.Sprintf("Violin plot: time from the runtime's process begun to reaped, and how many times that of %s. ", c.Base.Name) + strings.Join(parts, "; ") + "."
}

// violinStyle is the look of a runtime among the others.
func violinStyle(name string, c *startup.Comparison) style {
	switch name {
	case c.Base.Name:
		return style{vermillion, nil, draw.BoxGlyph{}}
	case startup.Floor:
		return style{grey, nil, draw.BoxGlyph{}}
	}
	return style{blue, nil, draw.BoxGlyph{}}
}

func readyStyle() style { return style{black, nil, draw.PyramidGlyph{}} }

// violin is one row: a distribution, or why there is none.
type violin struct {
	name, note, why string
	style           style
	values          []float64 // finite and above zero
	sum             stats.Summary
	ready           float64 // median; NaN when nothing stamps it
	times           string
}

func newViolin(s startup.Start, c *startup.Comparison) violin {
	v := violin{
		name: s.Name, note: noteBeside(s), style: violinStyle(s.Name, c),
		sum: s.Total, ready: s.Ready.Median, times: startup.Times(s.Times.Ratio),
	}
	if s.Name == c.Base.Name {
		v.times = "1x"
	}
	for _, x := range finite(s.Case.Values["total-ns"]) {
		if x > 0 {
			v.values = append(v.values, x)
		}
	}
	return v
}

// noteBeside is what the container lacks, as far as there is room for it.
func noteBeside(s startup.Start) string {
	if s.Name == startup.Floor {
		return "no container"
	}
	note := ""
	for i, l := range startup.Without(s.Seen.Lacks) {
		longer := strings.TrimPrefix(note+", "+l, ", ")
		if i > 0 && tinyLetter().width(longer) > mostNote-20 {
			return fmt.Sprintf("%s, +%d", tinyLetter().cut(note, mostNote-20), len(s.Seen.Lacks)-i)
		}
		note = longer
	}
	return tinyLetter().cut(note, mostNote)
}

// The chart of violins, in points.
const (
	violinHeight = 28
	violinHalf   = 9   // from the middle of a shape to its thickest place
	mostNote     = 150 // width of the note below a name
	timesRoom    = 92  // for the two columns at the right
)

func tinyLetter() letter { return letter{size: 8} }

// cut shortens s to the width, with dots at its end.
func (l letter) cut(s string, most vg.Length) string {
	if l.width(s) <= most {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && l.width(string(runes)+"...") > most {
		runes = runes[:len(runes)-1]
	}
	return strings.TrimRight(string(runes), " ,;") + "..."
}

func violinPanel(rows []violin, x axis) panel {
	p := panel{heading: "total time", rows: true, x: x, y: axis{max: 1}, right: timesRoom, height: vg.Length(len(rows)) * violinHeight}
	for _, r := range rows {
		p.left = max(p.left, bodyLetter().width(r.title())+17, tinyLetter().width(r.note)+17)
	}
	p.marks = []plot.Plotter{paint(func(c draw.Canvas, g *plot.Plot) {
		end := vg.Length(sheetWidth - edge)
		write(c, smallLetter(), grey, right, c.Max.X+45, c.Max.Y+5, "median")
		write(c, smallLetter(), grey, right, end-4, c.Max.Y+5, "ratio")
		top := c.Max.Y
		for i, r := range rows {
			ground := white
			if i%2 == 0 {
				ground = band
				shade(c, g, top, violinHeight, x)
			}
			r.draw(c, g, top-violinHeight/2, ground)
			top -= violinHeight
		}
	})}
	return p
}

// title is the name, cut where a user's own one is long.
func (v violin) title() string { return bodyLetter().cut(v.name, 170) }

func (v violin) draw(c draw.Canvas, g *plot.Plot, y vg.Length, ground ink) {
	at := c.Min.X - 11
	name := y
	if v.note != "" {
		name = y + 5.5
		write(c, tinyLetter(), grey, right, at, tinyLetter().middle(y-6.5), v.note)
	}
	write(c, bodyLetter(), black, right, at, bodyLetter().middle(name), v.title())
	if v.why != "" {
		v.absent(c, y, ground)
		return
	}
	x, _ := g.Transforms(&c)
	v.shape(c, x, y+2)
	text := fmt.Sprintf("%s: median %s, p95 %s, %s samples", v.name, table.Duration(v.sum.Median), table.Duration(v.sum.P95), table.Count(v.sum.N))
	explainBox(c, style{}, hint{x: c.Center().X, y: y, width: c.Max.X - c.Min.X, height: violinHeight - 2, text: text})
	if v.ready >= g.X.Min && v.ready <= g.X.Max {
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: readyStyle().ink.rgb(), Radius: 2.4, Shape: readyStyle().glyph}, vg.Point{X: x(v.ready), Y: y - violinHeight/2 + 3.5})
	}
	write(c, smallLetter(), v.style.ink, right, c.Max.X+45, smallLetter().middle(y), table.Duration(v.sum.Median))
	write(c, smallLetter(), v.style.ink, right, sheetWidth-edge-4, smallLetter().middle(y), v.times)
}

// absent says in the frame why there is no distribution.
func (v violin) absent(c draw.Canvas, y vg.Length, ground ink) {
	most := sheetWidth - edge - 4 - c.Min.X - 8
	lines := smallLetter().wrap("not measured: "+v.why, most)
	if len(lines) > 2 {
		lines = []string{lines[0], smallLetter().cut(lines[1]+" "+lines[2], most)}
	}
	y += vg.Length(len(lines)-1) * 5.5
	for _, line := range lines {
		writeOver(c, smallLetter(), grey, ground, left, c.Min.X+8, smallLetter().middle(y), smallLetter().cut(line, most))
		y -= 11
	}
}

// shape is the density on both sides of y, the middle half of the samples and
// the interval of the median.
func (v violin) shape(c draw.Canvas, x func(float64) vg.Length, y vg.Length) {
	d := stats.Density(v.values, 160)
	if len(d.At) == 0 {
		for _, s := range v.values {
			c.DrawGlyphNoClip(draw.GlyphStyle{Color: v.style.ink.rgb(), Radius: 1.8, Shape: draw.CircleGlyph{}}, vg.Point{X: x(s), Y: y})
		}
		return
	}
	solid := v.outlines(c, x, y, d)
	drawn := map[int]bool{} // dots a quarter of a point apart are one
	for _, s := range v.values {
		at := int(4 * x(s))
		if drawn[at] {
			continue
		}
		drawn[at] = true
		if !slices.ContainsFunc(solid, func(part [2]float64) bool { return s >= part[0] && s <= part[1] }) {
			c.DrawGlyphNoClip(draw.GlyphStyle{Color: v.style.ink.rgb(), Radius: 1.1, Shape: draw.CircleGlyph{}}, vg.Point{X: x(s), Y: y})
		}
	}
	q := stats.Quantiles(v.values, 0.25, 0.75)
	bar(c, v.style.ink.rgb(), x(q[0]), x(q[1]), y, 5, 2.4)
	lo, hi := v.sum.Median, v.sum.Median
	if bounded(v.sum.Lo, v.sum.Hi) && v.sum.Lo > 0 {
		lo, hi = v.sum.Lo, v.sum.Hi
	}
	bar(c, white.rgb(), x(lo), x(hi), y, 2.4, 1.2)
}

// outlines draws the density where it can be seen, hump by hump, and returns
// these parts. A hump below a tenth of the highest is left to the dots.
func (v violin) outlines(c draw.Canvas, x func(float64) vg.Length, y vg.Length, d stats.Violin) (parts [][2]float64) {
	least := 0.02 * slices.Max(d.Density)
	for from := 0; from < len(d.At); {
		to := from
		for to < len(d.At) && d.Density[to] >= least {
			to++
		}
		if to-from < 2 || slices.Max(d.Density[from:to]) < 5*least {
			from = max(to, from+1)
			continue
		}
		var upper, lower []vg.Point
		for i := from; i < to; i++ {
			half := vg.Length(d.Density[i]*0.02/least) * violinHalf
			upper = append(upper, vg.Point{X: x(d.At[i]), Y: y + half})
			lower = append(lower, vg.Point{X: x(d.At[i]), Y: y - half})
		}
		slices.Reverse(lower)
		outline := append(upper, lower...)
		c.FillPolygon(v.style.ink.tint(0.6), outline)
		c.StrokeLines(draw.LineStyle{Color: v.style.ink.rgb(), Width: 0.7}, append(outline, outline[0]))
		parts = append(parts, [2]float64{d.At[from], d.At[to-1]})
		from = to
	}
	return parts
}

// bar fills from one x to the other, at least so wide.
func bar(c draw.Canvas, ink color.Color, from, to, y, height, least vg.Length) {
	if to-from < least {
		middle := (from + to) / 2
		from, to = middle-least/2, middle+least/2
	}
	c.SetColor(ink)
	c.Fill(vg.Rectangle{Min: vg.Point{X: from, Y: y - height/2}, Max: vg.Point{X: to, Y: y + height/2}}.Path())
}

// tint is the ink mixed with so much white, 0 to 1.
func (i ink) tint(whiter float64) color.RGBA {
	c := i.rgb()
	mix := func(v uint8) uint8 { return uint8(float64(v) + (255-float64(v))*whiter) }
	return color.RGBA{R: mix(c.R), G: mix(c.G), B: mix(c.B), A: 255}
}
