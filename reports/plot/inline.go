package plot

import (
	"cmp"
	"fmt"
	"html"
	"image"
	"image/color"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	stdfont "golang.org/x/image/font"
)

// Inline writes the figure as SVG for a page that holds it: every colour is a
// class that the page defines, and each figure that it shows has a title
// of its own to be read under the pointer. It has no style and no script.
//
//	<svg id=… class=plot> <title> <path class="f0072b2"/> … <g class=hints> <circle class=hint><title>net, burst: …
//
// id is that of the element; no two of a page may have the same. The colours are
// returned as they stand in the classes, sorted: "0072b2" fills as class f0072b2
// and draws lines as s0072b2.
func (f *Figure) Inline(w io.Writer, id string) (inks []string, err error) {
	c := &inlineCanvas{inks: map[string]bool{}}
	c.width, c.height = f.sheet.size()
	c.keys = f.sheet.keys
	c.stack = []inlineState{{ink: color.RGBA{A: 255}, width: 1}}
	if err := f.draw(c); err != nil {
		return nil, err
	}
	c.flush()
	_, err = fmt.Fprintf(w, "<svg xmlns=\"http://www.w3.org/2000/svg\" id=\"%s\" class=\"plot\" role=\"img\" aria-label=\"%s\" viewBox=\"0 0 %s %s\">\n%s%s</svg>\n",
		html.EscapeString(id), html.EscapeString(f.Alt), place(c.width), place(c.height), c.out.String(), c.hintGroup())
	if err != nil {
		return nil, fmt.Errorf("write figure %q as SVG: %w", f.Name, err)
	}
	return slices.Sorted(maps.Keys(c.inks)), nil
}

// mostHints bounds what one picture explains; the rest is in the tables.
const mostHints = 400

// hint is a place in the picture and what is there.
type hint struct {
	x, y, width, height vg.Length // of a box around its centre; without width it is a point
	text                string
}

// explainer is a canvas whose reader can ask what a mark is.
type explainer interface {
	explain(h hint, s style)
}

// explain says what stands at x, y in style s.
func explain(c draw.Canvas, s style, x, y vg.Length, text string) {
	explainBox(c, s, hint{x: x, y: y, text: text})
}

func explainBox(c draw.Canvas, s style, h hint) {
	if e, ok := c.Canvas.(explainer); ok && h.x >= 0 && h.y >= 0 {
		e.explain(h, s)
	}
}

// inlineCanvas collects elements, and joins marks that follow each other and
// look the same.
type inlineCanvas struct {
	width, height vg.Length
	keys          []key
	inks          map[string]bool
	out           strings.Builder
	look          string // attributes of the path that is open
	path          strings.Builder
	last          string // what was drawn last, which is not drawn twice
	hints         []hint
	stack         []inlineState
}

type inlineState struct {
	ink   color.RGBA
	width vg.Length
	dash  []vg.Length
}

func (c *inlineCanvas) now() *inlineState { return &c.stack[len(c.stack)-1] }

func (c *inlineCanvas) explain(h hint, s style) {
	if len(c.hints) >= mostHints {
		return
	}
	for _, k := range c.keys {
		if k.style.ink == s.ink && k.style.glyph == s.glyph && s.glyph != nil && !strings.Contains(h.text, k.text) {
			h.text = k.text + ": " + h.text
			break
		}
	}
	c.hints = append(c.hints, h)
}

// Size is that of the sheet.
func (c *inlineCanvas) Size() (x, y vg.Length) { return c.width, c.height }

// SetLineWidth is of vg.Canvas, as are those below.
func (c *inlineCanvas) SetLineWidth(w vg.Length) { c.now().width = w }

// SetLineDash sets the pattern of lines; its offset is always 0 here.
func (c *inlineCanvas) SetLineDash(pattern []vg.Length, _ vg.Length) { c.now().dash = pattern }

// SetColor sets the colour of lines, fillings and letters.
func (c *inlineCanvas) SetColor(ink color.Color) {
	c.now().ink = color.RGBAModel.Convert(cmp.Or[color.Color](ink, color.Black)).(color.RGBA)
}

// Push keeps the state.
func (c *inlineCanvas) Push() { c.stack = append(c.stack, *c.now()) }

// Pop restores it.
func (c *inlineCanvas) Pop() { c.stack = c.stack[:len(c.stack)-1] }

// Rotate and the two after it are used by no sheet.
func (c *inlineCanvas) Rotate(float64) { panic("an inline picture cannot be rotated") }

// Translate is not used.
func (c *inlineCanvas) Translate(vg.Point) { panic("an inline picture cannot be moved") }

// Scale is not used.
func (c *inlineCanvas) Scale(_, _ float64) { panic("an inline picture cannot be scaled") }

// DrawImage is not used.
func (c *inlineCanvas) DrawImage(vg.Rectangle, image.Image) {
	panic("an inline picture holds no image")
}

// Stroke draws a line.
func (c *inlineCanvas) Stroke(p vg.Path) {
	s := c.now()
	if s.width <= 0 {
		return
	}
	look := fmt.Sprintf(` class="s%s" stroke-width="%s"`, c.class(s.ink), place(s.width))
	if len(s.dash) > 0 {
		var parts []string
		for _, d := range s.dash {
			parts = append(parts, place(d))
		}
		look += ` stroke-dasharray="` + strings.Join(parts, " ") + `"`
	}
	c.add(look, c.data(p))
}

// Fill fills an area. A full circle is a dot: a line of no length with a round
// end, which is a tenth of the letters.
func (c *inlineCanvas) Fill(p vg.Path) {
	ink := c.class(c.now().ink)
	if at, radius, ok := circle(p); ok {
		c.add(fmt.Sprintf(` class="s%s" stroke-width="%s" stroke-linecap="round"`, ink, place(2*radius)), c.point("M", at)+"h0")
		return
	}
	c.flush() // areas that meet are not joined: one could be a hole in the other
	c.add(fmt.Sprintf(` class="f%s"`, ink), c.data(p))
}

// FillString sets a line of text, which takes the room that the sheet has for it
// in whatever face the reader has.
func (c *inlineCanvas) FillString(f font.Face, at vg.Point, text string) {
	c.flush()
	weight := ""
	if f.Font.Weight >= stdfont.WeightBold {
		weight = ` font-weight="bold"`
	}
	fmt.Fprintf(&c.out, "<text x=\"%s\" y=\"%s\" font-size=\"%s\"%s textLength=\"%s\" lengthAdjust=\"spacingAndGlyphs\" class=\"f%s\">%s</text>\n",
		place(at.X), place(c.height-at.Y), place(f.Font.Size), weight, place(f.Width(text)), c.class(c.now().ink), html.EscapeString(text))
}

// circle says whether the path is a whole circle.
func circle(p vg.Path) (at vg.Point, radius vg.Length, ok bool) {
	for _, comp := range p {
		switch {
		case comp.Type == vg.ArcComp && math.Abs(comp.Angle) >= 2*math.Pi && !ok:
			at, radius, ok = comp.Pos, comp.Radius, true
		case comp.Type == vg.LineComp, comp.Type == vg.ArcComp, comp.Type == vg.CurveComp:
			return at, radius, false
		}
	}
	return at, radius, ok
}

func (c *inlineCanvas) add(look, data string) {
	if look != c.look {
		c.flush()
		c.look = look
	}
	if data != c.last {
		c.path.WriteString(data)
		c.last = data
	}
}

// flush ends the path that is open.
func (c *inlineCanvas) flush() {
	if c.path.Len() > 0 {
		fmt.Fprintf(&c.out, "<path%s d=\"%s\"/>\n", c.look, c.path.String())
	}
	c.path.Reset()
	c.look, c.last = "", ""
}

// data is a path; a circle within it is two halves.
func (c *inlineCanvas) data(p vg.Path) string {
	var b strings.Builder
	last := ""
	to := func(command string, at ...vg.Point) {
		text := command
		for i, pt := range at {
			if i > 0 {
				text += " "
			}
			text += c.point("", pt)
		}
		if command != "L" || text != last {
			b.WriteString(text)
		}
		last = strings.Replace(text, "M", "L", 1)
	}
	for _, comp := range p {
		switch comp.Type {
		case vg.MoveComp:
			to("M", comp.Pos)
		case vg.LineComp:
			to("L", comp.Pos)
		case vg.CurveComp:
			if len(comp.Control) == 1 {
				to("Q", comp.Control[0], comp.Pos)
			} else {
				to("C", comp.Control[0], comp.Control[1], comp.Pos)
			}
		case vg.ArcComp:
			c.arc(&b, comp)
			last = ""
		case vg.CloseComp:
			b.WriteString("Z")
			last = ""
		}
	}
	return b.String()
}

// arc goes to its start and then along it, in parts of less than half a circle.
func (c *inlineCanvas) arc(b *strings.Builder, a vg.PathComp) {
	at := func(angle float64) vg.Point {
		sin, cos := math.Sincos(angle)
		return vg.Point{X: a.Pos.X + a.Radius*vg.Length(cos), Y: a.Pos.Y + a.Radius*vg.Length(sin)}
	}
	open := "L"
	if b.Len() == 0 {
		open = "M"
	}
	b.WriteString(c.point(open, at(a.Start)))
	sweep := "0"
	if a.Angle < 0 {
		sweep = "1"
	}
	const parts = 3
	for i := 1; i <= parts; i++ {
		r := place(a.Radius)
		b.WriteString("A" + r + " " + r + " 0 0 " + sweep + c.point(" ", at(a.Start+a.Angle*float64(i)/parts)))
	}
}

func (c *inlineCanvas) point(command string, p vg.Point) string {
	return command + place(p.X) + " " + place(c.height-p.Y)
}

// place is a length in points, to a tenth; none is finer on a screen.
func place(l vg.Length) string {
	return strconv.FormatFloat(math.Round(l.Points()*10)/10, 'f', -1, 64)
}

// class is the name of a colour, which is noted.
func (c *inlineCanvas) class(ink color.RGBA) string {
	name := fmt.Sprintf("%02x%02x%02x", ink.R, ink.G, ink.B)
	c.inks[name] = true
	return name
}

// hintGroup is what the reader can ask, from left to right.
func (c *inlineCanvas) hintGroup() string {
	if len(c.hints) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("<g class=\"hints\">\n")
	for _, h := range c.hints {
		shape := fmt.Sprintf(`circle cx="%s" cy="%s" r="7"`, place(h.x), place(c.height-h.y))
		name := "circle"
		if h.width > 0 {
			name = "rect"
			shape = fmt.Sprintf(`rect x="%s" y="%s" width="%s" height="%s"`, place(h.x-h.width/2), place(c.height-h.y-h.height/2), place(max(h.width, 2)), place(h.height))
		}
		fmt.Fprintf(&b, "<%s class=\"hint\"><title>%s</title></%s>\n", shape, html.EscapeString(h.text), name)
	}
	b.WriteString("</g>\n")
	return b.String()
}
