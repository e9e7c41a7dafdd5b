package plot

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// line is one series over a swept parameter.
type line struct {
	style  style
	points []point
	curve  plotter.XYs // drawn instead of joining the points: a fit; nil for none
	bare   bool        // no marks on the points
	width  vg.Length   // of the line; 0 is 1.5
	label  []string    // written at the right end: the name, then what was found
}

// point is a figure with its interval; x is the swept parameter.
type point struct{ x, y, lo, hi float64 }

// rule is a vertical line with words: where another experiment stands.
type rule struct {
	at   float64
	text string
}

// labelGap is the distance from the frame to the labels of the lines.
const labelGap = 16

// linesPanel shows lines over x, with their labels at the right, and rules.
func linesPanel(lines []line, rules []rule, x, y axis, height vg.Length) panel {
	p := panel{x: x, y: y, height: height, right: labelRoom(lines)}
	for _, r := range rules {
		p.marks = append(p.marks, r.plotter(x))
	}
	for _, l := range lines {
		p.marks = append(p.marks, l.plotter(x, y))
	}
	p.marks = append(p.marks, endLabels(lines, x))
	return p
}

// labelRoom is how wide the labels at the right are.
func labelRoom(lines []line) vg.Length {
	var most vg.Length
	for _, l := range lines {
		for i, s := range l.label {
			most = max(most, l.letter(i).width(s))
		}
	}
	if most > 0 {
		most += labelGap
	}
	return most
}

// letter is that of the label's line i: the name is bold.
func (l line) letter(i int) letter {
	if i == 0 {
		return letter{size: 9.5, bold: true}
	}
	return smallLetter()
}

// trace is the path of the line: the fit if there is one, or the points.
func (l line) trace(x axis) plotter.XYs {
	if l.curve != nil {
		return l.curve
	}
	var xys plotter.XYs
	for _, pt := range l.points {
		xys = append(xys, plotter.XY{X: x.place(pt.x), Y: pt.y})
	}
	return xys
}

func (l line) plotter(x, y axis) paint {
	return func(c draw.Canvas, g *plot.Plot) {
		joined := plotter.Line{XYs: l.trace(x), LineStyle: l.style.line(cmp.Or(l.width, 1.5))}
		joined.Plot(c, g)
		l.explain(c, g, x, y)
		if l.bare {
			return
		}
		toX, toY := g.Transforms(&c)
		for _, pt := range l.points {
			at := toX(x.place(pt.x))
			if bounded(pt.lo, pt.hi) {
				bar := draw.LineStyle{Color: l.style.ink.rgb(), Width: 1}
				c.StrokeLine2(bar, at, max(toY(pt.lo), c.Min.Y), at, min(toY(pt.hi), c.Max.Y))
			}
			dot(c, l.style, at, toY(pt.y))
		}
	}
}

// explain says what the points are. Of points that are closer than a pointer
// can tell, one is explained.
func (l line) explain(c draw.Canvas, g *plot.Plot, x, y axis) {
	const closest = 6
	toX, toY := g.Transforms(&c)
	name := ""
	if len(l.label) > 0 {
		name = l.label[0] + ", "
	}
	last := vg.Length(-closest)
	for _, pt := range l.points {
		at := toX(x.place(pt.x))
		if l.bare && at-last < closest {
			continue
		}
		last = at
		explain(c, l.style, at, toY(pt.y), name+x.write(pt.x)+": "+y.write(pt.y)+y.between(pt.lo, pt.hi))
	}
}

func (r rule) plotter(x axis) paint {
	return func(c draw.Canvas, g *plot.Plot) {
		toX, _ := g.Transforms(&c)
		at := toX(x.place(r.at))
		c.StrokeLine2(draw.LineStyle{Color: grey.rgb(), Width: 0.9, Dashes: dashed()}, at, c.Min.Y, at, c.Max.Y)
		side, offset := right, vg.Length(-4)
		if at-c.Min.X < smallLetter().width(r.text)+8 {
			side, offset = left, 4
		}
		writeOver(c, smallLetter(), grey, white, side, at+offset, c.Max.Y-9, r.text)
	}
}

// slot is the place of one label: where its line ends, and where it stands.
type slot struct {
	line      line
	from      vg.Point
	height, y vg.Length // y is the centre
}

// endLabels writes what each line is where it ends; labels that would meet
// are moved apart and joined to their line by a hair.
func endLabels(lines []line, x axis) paint {
	return func(c draw.Canvas, g *plot.Plot) {
		toX, toY := g.Transforms(&c)
		var slots []slot
		for _, l := range lines {
			if len(l.label) == 0 {
				continue
			}
			path := l.trace(x)
			last := path[len(path)-1]
			from := vg.Point{X: toX(last.X), Y: min(max(toY(last.Y), c.Min.Y), c.Max.Y)}
			slots = append(slots, slot{line: l, from: from, y: from.Y, height: vg.Length(len(l.label))*11.5 + 3})
		}
		spread(slots, c.Min.Y, c.Max.Y)
		for _, s := range slots {
			s.draw(c)
		}
	}
}

func (s slot) draw(c draw.Canvas) {
	hair := draw.LineStyle{Color: s.line.style.ink.rgb(), Width: 0.6}
	c.StrokeLines(hair, []vg.Point{{X: s.from.X + 4, Y: s.from.Y}, {X: c.Max.X + 4, Y: s.from.Y}, {X: c.Max.X + labelGap - 3, Y: s.y}})
	y := s.y + s.height/2 - 1.5
	for i, text := range s.line.label {
		y -= 11.5
		write(c, s.line.letter(i), s.line.style.ink, left, c.Max.X+labelGap, y+3, text)
	}
}

// spread moves the slots apart, as little as it takes, between low and high:
// neighbours that meet become one block around the middle of what they want.
func spread(slots []slot, low, high vg.Length) {
	slices.SortStableFunc(slots, func(a, b slot) int { return cmp.Compare(a.from.Y, b.from.Y) })
	type block struct {
		first, n     int
		height, want vg.Length // want is the sum of the lower ends asked for
	}
	place := func(b block) vg.Length {
		return max(low-4, min(b.want/vg.Length(b.n), high+8-b.height))
	}
	var blocks []block
	for i, s := range slots {
		b := block{i, 1, s.height, s.from.Y - s.height/2}
		for len(blocks) > 0 {
			under := blocks[len(blocks)-1]
			if place(under)+under.height <= place(b) {
				break
			}
			b = block{under.first, under.n + b.n, under.height + b.height, under.want + b.want - vg.Length(b.n)*under.height}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	for _, b := range blocks {
		y := place(b)
		for i := b.first; i < b.first+b.n; i++ {
			slots[i].y = y + slots[i].height/2
			y += slots[i].height
		}
	}
}

// spans is every value of the lines, for an axis.
func spans(lines []line) []float64 {
	var values []float64
	for _, l := range lines {
		for _, pt := range l.points {
			values = append(values, pt.y)
			if bounded(pt.lo, pt.hi) {
				values = append(values, pt.lo, pt.hi)
			}
		}
	}
	return values
}

// sweepAxis is a log axis of a swept parameter, labelled at its steps. Zero
// stands one step left of the smallest other value.
func sweepAxis(label string, values []float64, write labeller, width float64) axis {
	values = slices.Compact(slices.Sorted(slices.Values(values)))
	lo, hi := bounds(values, true)
	a := axis{label: label, log: true}
	low := lo
	if len(values) > 0 && values[0] <= 0 {
		low = lo / math.Max(2, math.Pow(hi/lo, 0.15))
		a.zero = low
	}
	room := math.Max(math.Pow(hi/low, 0.03), 1.05)
	a.min, a.max = low/room, hi*room
	return a.at(values, write, width)
}
