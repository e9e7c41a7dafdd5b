package plot

import (
	"image/color"
	"strings"

	stdfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ink is a colour as 0xRRGGBB. The saturated ones are the palette of Okabe
// and Ito, which stays distinct for colour-blind readers, made darker where
// text is set in it: 4.5 to 1 on the band of a row, too.
type ink uint32

const (
	black      ink = 0x1A1A1A
	grey       ink = 0x5F5F5F
	faint      ink = 0x9A9A9A
	white      ink = 0xFFFFFF
	gridline   ink = 0xE0E0E0
	band       ink = 0xF6F6F6
	blue       ink = 0x0072B2
	vermillion ink = 0xBD4A00
	green      ink = 0x00805E
	purple     ink = 0xAD5187
	orange     ink = 0x946200
	sky        ink = 0x3B95C9
)

func (i ink) rgb() color.RGBA {
	return color.RGBA{R: uint8(i >> 16), G: uint8(i >> 8), B: uint8(i), A: 255}
}

// style is how one series looks: its colour, and the dash and shape that tell
// it from the others without colour.
type style struct {
	ink   ink
	dash  []vg.Length // nil is a solid line
	glyph draw.GlyphDrawer
}

func (s style) line(width vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: s.ink.rgb(), Width: width, Dashes: s.dash}
}

func dashed() []vg.Length { return []vg.Length{5, 2.5} }
func dotted() []vg.Length { return []vg.Length{1.5, 2} }

// flagStyle gives a flag the same look in every figure.
func flagStyle(flag string) style {
	switch flag {
	case "none":
		return style{black, nil, draw.CircleGlyph{}}
	case "user":
		return style{blue, nil, draw.BoxGlyph{}}
	case "pid":
		return style{orange, nil, draw.PyramidGlyph{}}
	case "net":
		return style{vermillion, nil, draw.CircleGlyph{}}
	case "mnt":
		return style{green, nil, draw.BoxGlyph{}}
	case "uts":
		return style{sky, dashed(), draw.CircleGlyph{}}
	case "ipc":
		return style{purple, nil, draw.PyramidGlyph{}}
	case "cgroup":
		return style{blue, dotted(), draw.RingGlyph{}}
	case "time":
		return style{orange, dashed(), draw.SquareGlyph{}}
	case "all-but-user":
		return style{faint, dashed(), draw.TriangleGlyph{}}
	case "all":
		return style{grey, nil, draw.PyramidGlyph{}}
	}
	return style{purple, dotted(), draw.RingGlyph{}}
}

// pacingStyle is the look of burst against paced.
func pacingStyle(pacing string) style {
	if pacing == "paced" {
		return style{vermillion, nil, draw.BoxGlyph{}}
	}
	return style{blue, nil, draw.CircleGlyph{}}
}

// letter is a size and weight of the one typeface.
type letter struct {
	size vg.Length
	bold bool
}

func titleLetter() letter { return letter{size: 14, bold: true} }
func headLetter() letter  { return letter{size: 10, bold: true} }
func bodyLetter() letter  { return letter{size: 10} }
func smallLetter() letter { return letter{size: 9} }

func (l letter) font() font.Font {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: l.size}
	if l.bold {
		f.Weight = stdfont.WeightBold
	}
	return f
}

func (l letter) style(i ink) text.Style {
	return text.Style{Color: i.rgb(), Font: l.font(), Handler: plot.DefaultTextHandler}
}

// width is how much room the text takes.
func (l letter) width(s string) vg.Length { return l.style(black).Width(s) }

// wrap breaks a paragraph at spaces into as few lines as it takes, none wider
// than most, and does not leave a word or two alone on the last.
func (l letter) wrap(paragraph string, most vg.Length) []string {
	lines := l.fill(paragraph, most)
	for narrower := most; len(lines) > 1 && l.width(lines[len(lines)-1]) < most/3; narrower -= 4 {
		even := l.fill(paragraph, narrower)
		if len(even) > len(lines) {
			break
		}
		lines = even
	}
	return lines
}

// fill breaks a paragraph into lines that are as full as they can be.
func (l letter) fill(paragraph string, most vg.Length) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(paragraph) {
		longer := strings.TrimSpace(line + " " + word)
		if line != "" && l.width(longer) > most {
			lines = append(lines, line)
			longer = word
		}
		line = longer
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// align says which end of a text stands at its point.
type align float64

const (
	left   align = 0
	centre align = 0.5
	right  align = 1
)

// write sets one line of text with its baseline at y.
func write(c draw.Canvas, l letter, i ink, a align, x, y vg.Length, s string) {
	if s == "" {
		return
	}
	face := plot.DefaultTextHandler.Cache().Lookup(l.font(), l.size)
	c.SetColor(i.rgb())
	c.FillString(face, vg.Point{X: x - vg.Length(a)*l.width(s), Y: y}, s)
}

// writeOver is write on a ground of its own, which hides the grid behind the
// text.
func writeOver(c draw.Canvas, l letter, i, ground ink, a align, x, y vg.Length, s string) {
	from := x - vg.Length(a)*l.width(s)
	c.SetColor(ground.rgb())
	c.Fill(vg.Rectangle{
		Min: vg.Point{X: from - 1.5, Y: y - 0.22*l.size},
		Max: vg.Point{X: from + l.width(s) + 1.5, Y: y + 0.8*l.size},
	}.Path())
	write(c, l, i, a, x, y, s)
}

// middle is the baseline that centres capitals and figures on y.
func (l letter) middle(y vg.Length) vg.Length { return y - 0.35*l.size }
