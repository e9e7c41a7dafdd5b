// Package plot draws the figures of a report: one for every question that the
// samples at hand can answer, none for data that is not there.
//
//	result files ──Pool──► one File per machine ──Figures──► sheet ──► SVG, PNG
//	                                              what to     where it
//	                                              show        stands
//
// A builder (clone.go, enter.go, sweep.go, …) picks cases, summarises them and
// fills a sheet: a title, a sentence, a key and panels of marks. The sheet
// knows nothing of clones; it lays the panels out and draws the same thing on
// any canvas. Every line and colour has a second sign (a dash, a shape or a
// label beside it), and text never stands on data.
//
// Drawing is deterministic: the same files give the same bytes.
package plot

import (
	"bytes"
	"fmt"
	"html"
	"io"

	"isoperf/bench/sample"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// pngDPI makes a picture of 1200 pixels from a sheet of 600 points, which
// stays sharp where it is shown 800 pixels wide.
const pngDPI = 144

// Figure is one picture.
type Figure struct {
	Name   string // the file name without its extension: "clone-increment"
	Title  string // what is shown, as it stands above the picture
	Alt    string // what a reader sees who cannot see the picture
	Family string // the family of cases it shows: "Clone"
	Group  int    // which of the files that Pool returns it shows, from 0

	// Findings are what is written on a sweep's lines, one for each line:
	// "fork, user: + 25 us per MiB, R2 0.99". nil for other figures.
	Findings []string

	sheet sheet
}

// builder is one kind of figure: it returns false where the file does not
// hold what the figure shows.
type builder func(f *sample.File) (Figure, bool)

// Figures returns every figure that the files have the samples for, in the
// order in which a reader wants them. Files of one configuration are pooled;
// the figures of a second configuration have names that end in -2.
func Figures(files []*sample.File) ([]Figure, error) {
	var figures []Figure
	for i, f := range Pool(files) {
		for _, build := range []builder{
			cloneIncrement, cloneECDF, cloneModes,
			unshareMedians, setnsMedians, teardown,
			sweepMounts, sweepNetns, sweepMemory, sweepGap, sweepCreators,
			startupRuntimes, startupVariants, startupPhases, startupTimeline, startupAtOnce, startupOpen,
			mountOps, mountOverlay, pivotMethods, sweepMountTable, sweepMountns, sweepPeers, sweepMounters, attachGap, groupOps, sweepSiblings, sweepDepth,
			limitsCPU, limitsUse, limitsThrottle, limitsLatency, limitsHigh, limitsOOM, limitsIO,
			networkThroughput, networkCPU, networkStarts, networkDistance, networkLatency, networkSetup,
			engineParts, controls,
		} {
			fig, ok, err := tryBuild(build, f)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			fig.Group = i
			if i > 0 {
				fig.Name = fmt.Sprintf("%s-%d", fig.Name, i+1)
			}
			figures = append(figures, fig)
		}
	}
	return figures, nil
}

// tryBuild turns a panic over unforeseen data into an error.
func tryBuild(build builder, f *sample.File) (fig Figure, ok bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("prepare the figures of %s: %v", f.Path, r)
		}
	}()
	fig, ok = build(f)
	fig.sheet.title = fig.Title
	fig.sheet.foot = append(fig.sheet.foot, machine(f))
	return fig, ok, nil
}

// SVG writes the figure as a vector picture. Its text is set in Liberation
// Sans, or in the sans-serif face of the same widths that the reader has.
func (f *Figure) SVG(w io.Writer) error {
	c := vgsvg.New(f.sheet.size())
	if err := f.draw(c); err != nil {
		return err
	}
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return fmt.Errorf("write figure %q as SVG: %w", f.Name, err)
	}
	if _, err := w.Write(accessible(b.Bytes(), f.Title)); err != nil {
		return fmt.Errorf("write figure %q as SVG: %w", f.Name, err)
	}
	return nil
}

// PNG writes the figure as pixels, 144 to the inch.
func (f *Figure) PNG(w io.Writer) error {
	width, height := f.sheet.size()
	c := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(pngDPI))
	if err := f.draw(c); err != nil {
		return err
	}
	if _, err := (vgimg.PngCanvas{Canvas: c}).WriteTo(w); err != nil {
		return fmt.Errorf("write figure %q as PNG: %w", f.Name, err)
	}
	return nil
}

func (f *Figure) draw(c vg.CanvasSizer) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("draw figure %q: %v", f.Name, r)
		}
	}()
	return f.sheet.draw(draw.New(c))
}

// accessible gives the SVG a title for screen readers and fonts to fall back
// on where Liberation Sans is not installed.
func accessible(svg []byte, title string) []byte {
	const family = "font-family:Liberation Sans"
	svg = bytes.ReplaceAll(svg, []byte(family), []byte(family+",Arial,Helvetica,sans-serif"))
	open := []byte(`xmlns:xlink="http://www.w3.org/1999/xlink">`)
	named := []byte(`xmlns:xlink="http://www.w3.org/1999/xlink" role="img">` + "\n<title>" + html.EscapeString(title) + "</title>")
	return bytes.Replace(svg, open, named, 1)
}
