// Package page makes the report that a person opens, from result files alone:
// a Document, and one Markdown page with its pictures. Other kinds of page
// (reports/html) render the same Document.
//
//	result files ──Pool──► one file per machine ─┬─► findings, in words
//	                                             ├─► machine: configuration, fingerprint
//	                                             ├─► chapters: what is measured, figures, tables
//	                                             └─► what is missing, how to do it again
//	                                                    = Document ──► Markdown
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
	m := markdown{link: (&url.URL{Path: filepath.ToSlash(link)}).EscapedPath()}
	text, err := m.document(newDocument(o.Title, files, figures))
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
