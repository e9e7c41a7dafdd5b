package plot

import (
	"image"
	"image/color"
	"math"
	"testing"

	"isoperf/bench/sample"
	"isoperf/reports/plot/specimen"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// proof is a canvas that keeps where every text stands.
type proof struct {
	width, height vg.Length
	texts         []placed
	filled        vg.Path
}

type placed struct {
	text string
	box  vg.Rectangle
}

func (p *proof) Size() (w, h vg.Length)                           { return p.width, p.height }
func (p *proof) SetLineWidth(vg.Length)                           {}
func (p *proof) SetLineDash([]vg.Length, vg.Length)               {}
func (p *proof) SetColor(color.Color)                             {}
func (p *proof) Rotate(float64)                                   { panic("no text of a sheet is turned") }
func (p *proof) Translate(vg.Point)                               { panic("the sheet draws where it says") }
func (p *proof) Scale(x, y float64)                               { panic("the sheet draws as large as it says") }
func (p *proof) Push()                                            {}
func (p *proof) Pop()                                             {}
func (p *proof) Stroke(path vg.Path)                              { p.filled = append(p.filled, path...) }
func (p *proof) Fill(path vg.Path)                                { p.filled = append(p.filled, path...) }
func (p *proof) DrawImage(rect vg.Rectangle, picture image.Image) {}

func (p *proof) FillString(f font.Face, pt vg.Point, text string) {
	size := f.Font.Size
	p.texts = append(p.texts, placed{text, vg.Rectangle{
		Min: vg.Point{X: pt.X, Y: pt.Y - 0.15*size},
		Max: vg.Point{X: pt.X + f.Width(text), Y: pt.Y + 0.72*size},
	}})
}

func (a placed) meets(b placed) bool {
	return a.box.Min.X < b.box.Max.X && b.box.Min.X < a.box.Max.X && a.box.Min.Y < b.box.Max.Y && b.box.Min.Y < a.box.Max.Y
}

// TestNothingIsClippedOrCovered draws every figure on the proof: all texts
// and marks lie on the sheet, and no text lies on another.
func TestNothingIsClippedOrCovered(t *testing.T) {
	long := specimen.File(8)
	for i, p := range long.Config {
		if p.Key == "cpu" {
			long.Config[i].Value = "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz with a name that does not end where others do"
		}
	}
	for name, f := range map[string]*sample.File{
		"plenty": specimen.File(150), "few": specimen.File(4), "long": long,
		"gap alone": specimen.Only(30, "SweepGap"), "slow": slowed(specimen.File(30)),
	} {
		for _, fig := range figuresOf(t, f) {
			width, height := fig.sheet.size()
			c := &proof{width: width, height: height}
			if err := fig.draw(c); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			c.inspect(t, name+", "+fig.Name)
		}
	}
}

// slowed multiplies all samples, so that texts and axes are other ones.
func slowed(f *sample.File) *sample.File {
	for _, c := range f.Cases {
		for _, values := range c.Values {
			for i := range values {
				values[i] *= 137
			}
		}
	}
	return f
}

func (p *proof) inspect(t *testing.T, name string) {
	t.Helper()
	if len(p.texts) < 8 {
		t.Errorf("%s: only %d texts", name, len(p.texts))
	}
	for i, a := range p.texts {
		if a.box.Min.X < 4 || a.box.Max.X > p.width-4 || a.box.Min.Y < 4 || a.box.Max.Y > p.height-4 {
			t.Errorf("%s: %q leaves the sheet: %.0f to %.0f of %.0f, %.0f to %.0f of %.0f", name, a.text,
				a.box.Min.X, a.box.Max.X, p.width, a.box.Min.Y, a.box.Max.Y, p.height)
		}
		for _, b := range p.texts[i+1:] {
			if a.meets(b) {
				t.Errorf("%s: %q and %q stand on each other", name, a.text, b.text)
			}
		}
	}
	for _, part := range p.filled {
		if x := float64(part.Pos.X); x < 0 || x > float64(p.width) || math.IsNaN(x) {
			t.Errorf("%s: a mark leaves the sheet at x %.1f", name, x)
		}
		if y := float64(part.Pos.Y); y < 0 || y > float64(p.height) || math.IsNaN(y) {
			t.Errorf("%s: a mark leaves the sheet at y %.1f", name, y)
		}
	}
}
