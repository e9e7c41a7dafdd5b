package answer

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// page collects the text; the first error is kept and ends it.
type page struct {
	text  strings.Builder
	width int
	err   error
}

func newPage(width int) *page {
	if width <= 0 {
		width = 80
	}
	return &page{width: width}
}

// gap leaves one blank line, unless there is one already.
func (p *page) gap() {
	if text := p.text.String(); text != "" && !strings.HasSuffix(text, "\n\n") {
		p.text.WriteString("\n")
	}
}

// line prints a sentence, broken between words; what continues is indented. A
// longer word, such as a path, is not broken.
func (p *page) line(sentence string) { p.hanging("", sentence) }

// hanging is line after a label; what continues stands below the sentence,
// or indented where there is no label.
func (p *page) hanging(label, sentence string) {
	label = table.ASCII(label)
	indent := strings.Repeat(" ", max(2, len(label)))
	p.text.WriteString(label)
	column := len(label)
	for i, word := range strings.Fields(table.ASCII(sentence)) {
		switch {
		case i == 0:
		case column+1+len(word) > p.width && column > len(indent):
			p.text.WriteString("\n" + indent)
			column = len(indent)
		default:
			p.text.WriteString(" ")
			column++
		}
		p.text.WriteString(word)
		column += len(word)
	}
	p.text.WriteString("\n")
}

func (p *page) lines(sentences []string) {
	for _, s := range sentences {
		p.line(s)
	}
}

// verbatim prints a line with its spaces as they are.
func (p *page) verbatim(line string) { p.text.WriteString(table.ASCII(line) + "\n") }

// table prints t with a blank line above, its notes as sentences.
func (p *page) table(t table.Table) {
	if p.err != nil {
		return
	}
	p.gap()
	notes := t.Notes
	t.Notes = nil
	p.err = table.Plain(&p.text, t)
	p.lines(notes)
}

// tables prints each of ts, in pieces where one is wider than the page.
func (p *page) tables(ts []table.Table) {
	for _, t := range ts {
		for _, piece := range split(t, p.width) {
			p.table(piece)
		}
	}
}

// samples says where the figures come from.
func (p *page) samples(f *sample.File) {
	n := 0
	for _, c := range f.Cases {
		n += c.N()
	}
	line := table.Plural(n, "sample", "samples")
	if f.Path != "" {
		line += " -> " + f.Path
		if hint := "    (benchstat reads it)"; len(line)+len(hint) <= p.width {
			line += hint
		}
	}
	p.verbatim(line)
}

func (p *page) writeTo(w io.Writer) error {
	if p.err != nil {
		return p.err
	}
	if _, err := io.WriteString(w, p.text.String()); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

// columnGap is what table.Plain leaves between two columns, unless it is tight.
const columnGap = 3

// columnWidths are the widths that t's columns have when printed.
func columnWidths(t table.Table) []int {
	widths := make([]int, len(t.Header))
	for i, name := range t.Header {
		widths[i] = len(name)
		for _, row := range t.Rows {
			widths[i] = max(widths[i], len(row[i]))
		}
	}
	return widths
}

// between is what table.Plain leaves between two columns of t.
func between(t table.Table) int {
	if t.Tight {
		return columnGap - 1
	}
	return columnGap
}

func tableWidth(t table.Table) int {
	between := between(t)
	total := -between
	for _, w := range columnWidths(t) {
		total += w + between
	}
	return total
}

// split cuts t into tables that fit width, each with the first column; the
// notes stay with the last.
func split(t table.Table, width int) []table.Table {
	if len(t.Rows) == 0 || tableWidth(t) <= width {
		return []table.Table{t}
	}
	widths, between := columnWidths(t), between(t)
	var pieces []table.Table
	for from := 1; from < len(widths); {
		used, to := widths[0], from
		for to < len(widths) && (to == from || used+between+widths[to] <= width) {
			used += between + widths[to]
			to++
		}
		pieces = append(pieces, columns(t, from, to))
		from = to
	}
	pieces[len(pieces)-1].Notes = t.Notes
	return pieces
}

// columns is t with the first column and those from .. to-1.
func columns(t table.Table, from, to int) table.Table {
	pick := func(row []string) []string { return append([]string{row[0]}, row[from:to]...) }
	piece := table.Table{Title: t.Title, Header: pick(t.Header), Tight: t.Tight}
	align := slices.Grow(slices.Clone(t.Align), len(t.Header))[:len(t.Header)]
	piece.Align = append([]table.Align{align[0]}, align[from:to]...)
	for _, row := range t.Rows {
		piece.Rows = append(piece.Rows, pick(row))
	}
	return piece
}
