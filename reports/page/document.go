package page

import (
	"cmp"
	"fmt"
	"slices"

	"isoperf/bench/sample"
	"isoperf/reports/plot"
	"isoperf/reports/table"
)

// Document is all that a page says, before it has a form.
type Document struct {
	Title     string
	Beside    []Section // machines that were measured alike, side by side; at most one
	Machines  []Machine // one for each configuration
	Reproduce Section   // how to make the samples and the page again
}

// Machine is the report of one machine: the files that can be compared.
type Machine struct {
	Heading  string // in what it differs from the others; "" where it is the only one
	About    Text
	File     *sample.File // the pooled samples
	Sections []Section
}

// Section is a heading and what stands below it.
type Section struct {
	Name    string // an identifier: that of the family, or a word in small letters
	Heading string
	Blocks  []Block
}

// Block is one of its fields; the others are empty.
type Block struct {
	Text   Text
	List   []Text
	Table  *table.Table
	Figure *plot.Figure
	Code   string // lines for a shell
}

func (s *Section) text(t Text) { s.Blocks = append(s.Blocks, Block{Text: t}) }

// list adds a list, unless it is empty.
func (s *Section) list(items []Text) {
	if len(items) > 0 {
		s.Blocks = append(s.Blocks, Block{List: items})
	}
}

func (s *Section) table(t table.Table) { s.Blocks = append(s.Blocks, Block{Table: &t}) }

// NewDocument is the report of the files; title is its first heading, "" is
// "isoperf results".
func NewDocument(title string, files []*sample.File) (Document, error) {
	figures, err := plot.Figures(files)
	if err != nil {
		return Document{}, err
	}
	return newDocument(title, files, figures), nil
}

func newDocument(title string, files []*sample.File, figures []plot.Figure) Document {
	d := Document{Title: cmp.Or(title, "isoperf results"), Reproduce: reproduce(files)}
	groups := plot.Pool(files)
	if s, ok := beside(groups); ok {
		d.Beside = []Section{s}
	}
	for i, f := range groups {
		m := Machine{File: f}
		if len(groups) > 1 {
			m.Heading = fmt.Sprintf("Machine %d of %d: %s", i+1, len(groups), difference(groups, i))
			m.About = words("Results of different machines are not compared with each other.")
			if len(d.Beside) > 0 {
				m.About = words("Each machine is reported by itself; those that were measured alike stand side by side above.")
			}
		}
		of := slices.DeleteFunc(slices.Clone(figures), func(fig plot.Figure) bool { return fig.Group != i })
		m.Sections = sections(f, files, of)
		d.Machines = append(d.Machines, m)
	}
	return d
}

// sections is the report of one machine, f; files are all that there are.
func sections(f *sample.File, files []*sample.File, figures []plot.Figure) []Section {
	all := []Section{
		{Name: "findings", Heading: "Findings", Blocks: []Block{{List: append(findings(f, figures), trust(f))}}},
		machine(f, files),
	}
	for _, family := range families(f) {
		all = append(all, chapterOf(family).section(f, figures))
	}
	if s, ok := missing(f); ok {
		all = append(all, s)
	}
	return all
}

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
