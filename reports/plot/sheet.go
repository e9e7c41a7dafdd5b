package plot

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The sheet, in points. Six hundred points are 800 pixels of a page.
const (
	sheetWidth = 600
	edge       = 14 // white around everything
	titleGap   = 20 // from the title's baseline to the next
	lineGap    = 13
	keyGap     = 17
	headingGap = 16
	panelGap   = 13
	keyShaft   = 18 // length of the line that shows a style in the key
)

// sheet is one picture, top to bottom: title, lead, key, panels, foot.
type sheet struct {
	title  string
	lead   string // what is measured, in a sentence; it is wrapped
	keys   []key
	panels []panel
	foot   []string // small print; each entry is wrapped
}

// key explains one style.
type key struct {
	style style
	text  string
	line  bool // show a line, not only the mark
	plain bool // no mark on the line
}

// panel is one frame with its marks.
type panel struct {
	heading string    // the vertical axis in words, above the frame
	height  vg.Length // of the frame
	left    vg.Length // room for row labels; 0 leaves what the ticks need
	right   vg.Length // room for labels at the end of lines
	x, y    axis
	rows    bool // a chart of rows: no horizontal grid
	marks   []plot.Plotter
}

// paint is a plotter that draws itself and does not widen the axes.
type paint func(c draw.Canvas, p *plot.Plot)

// Plot draws it.
func (f paint) Plot(c draw.Canvas, p *plot.Plot) { f(c, p) }

// inner is the width between the margins.
const inner = sheetWidth - 2*edge

// size is how large the sheet must be to hold everything.
func (s *sheet) size() (width, height vg.Length) {
	h := vg.Length(2*edge) + titleGap - 2
	h += vg.Length(len(bodyLetter().wrap(s.lead, inner))) * lineGap
	h += vg.Length(len(s.keyLines())) * keyGap
	for _, p := range s.panels {
		h += panelGap + p.headingHeight() + p.height + p.axisHeight()
	}
	if n := len(s.footLines()); n > 0 {
		h += panelGap - 4 + vg.Length(n)*(lineGap-1)
	}
	return sheetWidth, h
}

func (s *sheet) footLines() []string {
	var lines []string
	for _, paragraph := range s.foot {
		lines = append(lines, smallLetter().wrap(paragraph, inner)...)
	}
	return lines
}

func (s *sheet) draw(c draw.Canvas) error {
	c.SetColor(white.rgb())
	c.Fill(c.Path())
	y := c.Max.Y - edge - titleLetter().size*0.75
	write(c, titleLetter(), black, left, edge, y, s.title)
	y -= titleGap
	for _, line := range bodyLetter().wrap(s.lead, inner) {
		write(c, bodyLetter(), grey, left, edge, y, line)
		y -= lineGap
	}
	for _, line := range s.keyLines() {
		s.drawKeys(c, line, y-6)
		y -= keyGap
	}
	y += bodyLetter().size*0.75 - 2
	leftMost := s.leftMargin()
	for i := range s.panels {
		p := &s.panels[i]
		y -= panelGap
		if p.heading != "" {
			write(c, headLetter(), black, left, edge, y-headLetter().size*0.75, p.heading)
			y -= p.headingHeight()
		}
		if err := p.draw(c, y, leftMost); err != nil {
			return fmt.Errorf("panel %d: %w", i+1, err)
		}
		y -= p.height + p.axisHeight()
	}
	y -= panelGap - 4 + smallLetter().size*0.75
	for _, line := range s.footLines() {
		write(c, smallLetter(), grey, left, edge, y, line)
		y -= lineGap - 1
	}
	return nil
}

// leftMargin is one for all panels, so that their frames line up.
func (s *sheet) leftMargin() vg.Length {
	var most vg.Length
	for _, p := range s.panels {
		room := p.left
		for _, t := range p.y.ticks {
			room = max(room, smallLetter().width(t.Label)+9)
		}
		most = max(most, room)
	}
	return most
}

func (p *panel) headingHeight() vg.Length {
	if p.heading == "" {
		return 0
	}
	return headingGap
}

func (p *panel) axisHeight() vg.Length {
	if p.x.label == "" {
		return 16
	}
	return 30
}

// frame is the area of the data, whose top is at y.
func (p *panel) frame(c draw.Canvas, top, leftMargin vg.Length) draw.Canvas {
	c.Min = vg.Point{X: edge + leftMargin, Y: top - p.height}
	c.Max = vg.Point{X: sheetWidth - edge - p.right, Y: top}
	return c
}

// draw sets the axes and the grid, and then the marks.
func (p *panel) draw(c draw.Canvas, top, leftMargin vg.Length) error {
	if p.x.max <= p.x.min || p.y.max <= p.y.min || p.x.log && p.x.min <= 0 || p.y.log && p.y.min <= 0 {
		return fmt.Errorf("set the axes: x from %g to %g, y from %g to %g", p.x.min, p.x.max, p.y.min, p.y.max)
	}
	g := plot.New()
	g.X.Min, g.X.Max, g.X.Scale, g.X.Tick.Marker = p.x.min, p.x.max, p.x.scale(), plot.ConstantTicks(p.x.ticks)
	g.Y.Min, g.Y.Max, g.Y.Scale, g.Y.Tick.Marker = p.y.min, p.y.max, p.y.scale(), plot.ConstantTicks(p.y.ticks)
	frame := p.frame(c, top, leftMargin)
	p.grid(frame, g)
	for _, m := range p.marks {
		m.Plot(frame, g)
	}
	p.axes(frame, g)
	return nil
}

func (p *panel) grid(frame draw.Canvas, g *plot.Plot) {
	thin := draw.LineStyle{Color: gridline.rgb(), Width: 0.6}
	lines := plotter.NewGrid()
	lines.Vertical, lines.Horizontal = thin, thin
	if p.rows {
		lines.Horizontal = draw.LineStyle{}
	}
	lines.Plot(frame, g)
}

// axes writes the tick labels and draws the base line.
func (p *panel) axes(frame draw.Canvas, g *plot.Plot) {
	base := draw.LineStyle{Color: faint.rgb(), Width: 0.8}
	frame.StrokeLine2(base, frame.Min.X, frame.Min.Y, frame.Max.X, frame.Min.Y)
	x, y := g.Transforms(&frame)
	for _, t := range p.x.ticks {
		at, length := x(t.Value), vg.Length(4)
		if t.Label == "" {
			length = 2
		}
		frame.StrokeLine2(base, at, frame.Min.Y, at, frame.Min.Y-length)
		write(frame, smallLetter(), grey, centre, at, frame.Min.Y-13, t.Label)
	}
	write(frame, bodyLetter(), black, centre, frame.Center().X, frame.Min.Y-27, p.x.label)
	if p.rows {
		return
	}
	frame.StrokeLine2(base, frame.Min.X, frame.Min.Y, frame.Min.X, frame.Max.Y)
	for _, t := range p.y.ticks {
		at := y(t.Value)
		length := vg.Length(4)
		if t.Label == "" {
			length = 2
		}
		frame.StrokeLine2(base, frame.Min.X-length, at, frame.Min.X, at)
		write(frame, smallLetter(), grey, right, frame.Min.X-7, smallLetter().middle(at), t.Label)
	}
}

// keyLines breaks the key into lines that fit.
func (s *sheet) keyLines() [][]key {
	var lines [][]key
	var used vg.Length
	for _, k := range s.keys {
		need := k.width()
		if len(lines) == 0 || used+need > inner {
			lines, used = append(lines, nil), 0
		}
		lines[len(lines)-1] = append(lines[len(lines)-1], k)
		used += need
	}
	return lines
}

func (k key) shaft() vg.Length {
	if k.line {
		return keyShaft
	}
	return 8
}

func (k key) width() vg.Length { return k.shaft() + 5 + bodyLetter().width(k.text) + 18 }

func (s *sheet) drawKeys(c draw.Canvas, line []key, y vg.Length) {
	x := vg.Length(edge)
	for _, k := range line {
		k.draw(c, x, y+0.35*bodyLetter().size)
		write(c, bodyLetter(), black, left, x+k.shaft()+5, y, k.text)
		x += k.width()
	}
}

// draw shows the style with its left end at x.
func (k key) draw(c draw.Canvas, x, y vg.Length) {
	if k.line {
		c.StrokeLine2(k.style.line(1.6), x, y, x+k.shaft(), y)
	}
	if !k.plain {
		dot(c, k.style, x+k.shaft()/2, y)
	}
}

// dot draws the shape of a style.
func dot(c draw.Canvas, s style, x, y vg.Length) {
	c.DrawGlyphNoClip(draw.GlyphStyle{Color: s.ink.rgb(), Radius: 3, Shape: s.glyph}, vg.Point{X: x, Y: y})
}
