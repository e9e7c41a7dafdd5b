package html

import (
	"fmt"
	"html/template"
	"io"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/answer"
	"isoperf/reports/page"
)

// Report writes the report of result files; title is its first heading, "" is
// "isoperf results".
func Report(w io.Writer, title string, files []*sample.File) error {
	if len(files) == 0 {
		return fmt.Errorf("write the page: there is no result file")
	}
	d, err := page.NewDocument(title, files)
	if err != nil {
		return err
	}
	b := builder{ids: names{}, inks: map[string]bool{}}
	v := view{Title: d.Title}
	for _, s := range d.Beside {
		made, err := b.section("", s)
		if err != nil {
			return err
		}
		v.Parts = append(v.Parts, part{Sections: []section{made}})
	}
	for i, m := range d.Machines {
		brief := answer.InBrief(m.File)
		p := part{Heading: m.Heading, About: m.About, Lead: lead{Headline: brief.Headline, Trust: brief.Trust, Warnings: brief.Warnings}}
		prefix := ""
		if m.Heading != "" {
			prefix = fmt.Sprintf("machine-%d ", i+1)
			p.ID = b.ids.name(prefix)
		}
		for _, s := range m.Sections {
			made, err := b.section(prefix, s)
			if err != nil {
				return err
			}
			p.Sections = append(p.Sections, made)
		}
		v.Parts = append(v.Parts, p)
	}
	last, err := b.section("", d.Reproduce)
	if err != nil {
		return err
	}
	v.Parts = append(v.Parts, part{Sections: []section{last}})
	return v.write(w, b.inks)
}

// builder makes the parts of a page.
type builder struct {
	ids  names
	inks map[string]bool
}

func (b builder) section(prefix string, s page.Section) (section, error) {
	made := section{ID: b.ids.name(prefix + s.Name), Heading: s.Heading}
	if s.Name == "machine" {
		made.Fold = "Show the configuration and the fingerprint"
	}
	tables := 0
	for _, from := range s.Blocks {
		to := block{Text: from.Text, List: from.List, Code: from.Code}
		if from.Table != nil {
			tables++
			to.Table = newGrid(b.ids, made.ID, s.Heading, tables, *from.Table)
		}
		if from.Figure != nil {
			var svg strings.Builder
			id := b.ids.name("picture " + from.Figure.Name)
			inks, err := from.Figure.Inline(&svg, id+"-svg")
			if err != nil {
				return section{}, err
			}
			for _, ink := range inks {
				b.inks[ink] = true
			}
			to.Figure = &picture{ID: id, Title: from.Figure.Title, SVG: template.HTML(svg.String())}
		}
		made.Blocks = append(made.Blocks, to)
	}
	return made, nil
}
