package plot

import (
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// row is one line of a chart of rows: a name, and under it one mark for each
// series, each on a height of its own so that no label meets another.
type row struct {
	group string // written once, in front of its first row; empty for none
	name  string
	marks []mark
}

// mark is a figure with its interval, in the unit of the axis.
type mark struct {
	style         style
	value, lo, hi float64 // lo and hi are infinite where there are too few samples
	text          string  // the figure in words, written at its right
	ok            bool    // false leaves the place empty
}

// The chart of rows, in points.
const (
	markHeight = 13
	rowGap     = 7
	textGap    = 7 // between an interval and its text
)

// rowsPanel is a panel of rows, the first on top.
func rowsPanel(rows []row, x axis) panel {
	p := panel{rows: true, x: x, y: axis{max: 1}, right: 4}
	groups, names := vg.Length(0), vg.Length(0)
	for _, r := range rows {
		groups = max(groups, headLetter().width(r.group))
		names = max(names, bodyLetter().width(r.name))
		p.height += r.height()
		for _, m := range r.marks {
			p.right = max(p.right, smallLetter().width(m.text)+textGap+2)
		}
	}
	if groups > 0 {
		groups += 12
	}
	p.left = groups + names + 17
	p.marks = []plot.Plotter{paint(func(c draw.Canvas, g *plot.Plot) {
		top := c.Max.Y
		for i, r := range rows {
			ground := white
			if i%2 == 0 {
				ground = band
				r.band(c, g, top, x)
			}
			if r.group != "" && (i == 0 || rows[i-1].group != r.group) {
				write(c, headLetter(), black, left, edge+6, headLetter().middle(top-r.height()/2), r.group)
			}
			r.draw(c, g, top, ground, x)
			top -= r.height()
		}
	})}
	return p
}

func (r row) height() vg.Length { return vg.Length(len(r.marks))*markHeight + rowGap }

// band shades the row.
func (r row) band(c draw.Canvas, g *plot.Plot, top vg.Length, x axis) {
	shade(c, g, top, r.height(), x)
}

// shade is the band of a row of any height.
func shade(c draw.Canvas, g *plot.Plot, top, height vg.Length, x axis) {
	low := top - height
	c.SetColor(band.rgb())
	c.Fill(vg.Rectangle{Min: vg.Point{X: edge, Y: low}, Max: vg.Point{X: sheetWidth - edge, Y: top}}.Path())
	at, _ := g.Transforms(&c)
	for _, t := range x.ticks {
		if t.Label != "" {
			c.StrokeLine2(draw.LineStyle{Color: gridline.rgb(), Width: 0.6}, at(t.Value), low, at(t.Value), top)
		}
	}
}

func (r row) draw(c draw.Canvas, g *plot.Plot, top vg.Length, ground ink, x axis) {
	write(c, bodyLetter(), black, right, c.Min.X-11, bodyLetter().middle(top-r.height()/2), r.name)
	for i, m := range r.marks {
		if m.ok {
			y := top - rowGap/2 - (vg.Length(i)+0.5)*markHeight
			m.draw(c, g, y, ground)
			at, _ := g.Transforms(&c)
			name := strings.TrimSpace(r.group + " " + r.name)
			explain(c, m.style, min(max(at(m.value), c.Min.X), c.Max.X), y, name+": "+m.text+x.between(m.lo, m.hi))
		}
	}
}

// draw shows the interval as a bar and the figure as a dot. What lies below
// the frame stands on its left edge, with an arrow.
func (m mark) draw(c draw.Canvas, g *plot.Plot, y vg.Length, ground ink) {
	x, _ := g.Transforms(&c)
	end := x(m.value)
	if bounded(m.lo, m.hi) {
		from, to := max(x(m.lo), c.Min.X), min(x(m.hi), c.Max.X)
		c.StrokeLine2(draw.LineStyle{Color: m.style.ink.rgb(), Width: 2}, from, y, to, y)
		end = max(end, to)
		if m.lo < g.X.Min {
			arrow(c, m.style.ink, c.Min.X, y)
		}
	}
	at := min(max(x(m.value), c.Min.X), c.Max.X)
	if m.value >= g.X.Min {
		dot(c, m.style, at, y)
	} else {
		arrow(c, m.style.ink, c.Min.X, y)
	}
	writeOver(c, smallLetter(), m.style.ink, ground, left, max(end, at+1)+textGap, smallLetter().middle(y), m.text)
}

// arrow points left: the interval goes on beyond the frame.
func arrow(c draw.Canvas, i ink, x, y vg.Length) {
	c.FillPolygon(i.rgb(), []vg.Point{{X: x - 5, Y: y}, {X: x + 1, Y: y + 3.5}, {X: x + 1, Y: y - 3.5}})
}

func bounded(lo, hi float64) bool {
	return !math.IsInf(lo, 0) && !math.IsInf(hi, 0) && !math.IsNaN(lo) && !math.IsNaN(hi)
}

// extent is every value that the rows show, for their axis.
func extent(rows []row) []float64 {
	var values []float64
	for _, r := range rows {
		for _, m := range r.marks {
			if !m.ok {
				continue
			}
			values = append(values, m.value)
			if bounded(m.lo, m.hi) {
				values = append(values, m.lo, m.hi)
			}
		}
	}
	return values
}
