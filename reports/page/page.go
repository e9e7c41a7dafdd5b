// Package page writes the report that a person opens: one Markdown page and
// its pictures, from result files alone.
//
//	result files ──Pool──► one file per machine ─┬─► findings, in words
//	                                             ├─► machine: configuration, fingerprint
//	                                             ├─► chapters: what is measured, figures, tables
//	                                             └─► what is missing, how to do it again
//
// The page is a pure function of the files: no date, no path, no network. A
// chapter (chapter.go) says what a family measures and between which two
// events; a family that nobody described still gets its tables.
package page

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"isoperf/bench/sample"
	"isoperf/reports/plot"
)

// Options say where the page and its pictures go. The zero value writes
// RESULTS.md and the folder plots beside it.
type Options struct {
	Page  string // file name of the page; "" is RESULTS.md
	Plots string // folder of the pictures; "" is plots
	Title string // first heading; "" is "isoperf results"
}

// Write writes DIR/RESULTS.md and DIR/plots/NAME.svg and NAME.png.
func Write(dir string, files []*sample.File) error {
	return Options{}.Write(dir, files)
}

// Write writes the page and its pictures; relative names are below dir, which
// is made if it is not there. The links are relative to the page, so that
// both can move together.
func (o Options) Write(dir string, files []*sample.File) error {
	if len(files) == 0 {
		return errors.New("write the report: there is no result file")
	}
	page := below(dir, cmp.Or(o.Page, "RESULTS.md"))
	plots := below(dir, cmp.Or(o.Plots, "plots"))
	link, err := filepath.Rel(filepath.Dir(page), plots)
	if err != nil {
		return fmt.Errorf("link %q from %q: %w", plots, page, err)
	}
	figures, err := plot.Figures(files)
	if err != nil {
		return err
	}
	if err := pictures(plots, figures); err != nil {
		return err
	}
	r := report{
		title:   cmp.Or(o.Title, "isoperf results"),
		link:    (&url.URL{Path: filepath.ToSlash(link)}).EscapedPath(),
		files:   files,
		groups:  plot.Pool(files),
		figures: figures,
	}
	text, err := r.markdown()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
		return fmt.Errorf("make the folder of the report: %w", err)
	}
	if err := os.WriteFile(page, text, 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func below(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// pictures writes every figure twice.
func pictures(dir string, figures []plot.Figure) error {
	if len(figures) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of the pictures: %w", err)
	}
	for _, f := range figures {
		var svg, png bytes.Buffer
		if err := errors.Join(f.SVG(&svg), f.PNG(&png)); err != nil {
			return err
		}
		base := filepath.Join(dir, f.Name)
		if err := os.WriteFile(base+".svg", svg.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write figure %q: %w", f.Name, err)
		}
		if err := os.WriteFile(base+".png", png.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write figure %q: %w", f.Name, err)
		}
	}
	return nil
}

// report is everything that the page says.
type report struct {
	title, link string
	files       []*sample.File // as given
	groups      []*sample.File // pooled, one per configuration
	figures     []plot.Figure
	out         bytes.Buffer
	depth       string // the heading of a section: "##", or "###" below a machine
}

func (r *report) markdown() ([]byte, error) {
	r.depth = "##"
	r.printf("# %s\n", escape(r.title))
	for i, f := range r.groups {
		if len(r.groups) > 1 {
			r.depth = "###"
			r.printf("\n## Machine %d of %d: %s\n", i+1, len(r.groups), escape(r.difference(i)))
			r.printf("\nResults of different machines are not compared with each other.\n")
		}
		if err := r.group(i, f); err != nil {
			return nil, err
		}
	}
	r.depth = "##"
	r.reproduce()
	return r.out.Bytes(), nil
}

// group is the report of one machine.
func (r *report) group(i int, f *sample.File) error {
	figures := slices.DeleteFunc(slices.Clone(r.figures), func(fig plot.Figure) bool { return fig.Group != i })
	r.section("Findings")
	for _, line := range findings(f, figures) {
		r.printf("- %s\n", line)
	}
	r.trust(f)
	r.section("The machine")
	if err := r.machine(f); err != nil {
		return err
	}
	for _, family := range families(f) {
		c := chapterOf(family)
		r.section(c.heading)
		if err := r.chapter(c, f, figures); err != nil {
			return err
		}
	}
	r.missing(f)
	return nil
}

func (r *report) printf(format string, args ...any) { fmt.Fprintf(&r.out, format, args...) }

func (r *report) section(heading string) { r.printf("\n%s %s\n\n", r.depth, heading) }

// families are those of the file in the order of the chapters, unknown ones
// before the instrument's own.
func families(f *sample.File) []string {
	var there []string
	for _, c := range f.Cases {
		if !slices.Contains(there, c.Family()) {
			there = append(there, c.Family())
		}
	}
	slices.SortStableFunc(there, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return there
}

// figure embeds one picture.
func (r *report) figure(f plot.Figure) {
	path := r.link + "/" + f.Name
	r.printf("![%s](%s.png)\n\n[%s, as SVG](%s.svg)\n\n", escape(f.Alt), path, escape(f.Title), path)
}
