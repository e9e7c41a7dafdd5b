// Package table prints tables and figures for people.
//
//	base units ──► Duration, Range, Increase, Bytes, Percent, Count ──► cells
//	Table{Title, Header, Rows, Notes} ──► Plain (terminal) or Markdown
//
// Whatever a cell holds, the table stays a table: control characters never
// reach a terminal, and neither "|" nor a newline ends a cell early.
package table

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Align is the side that a column keeps to.
type Align int

const (
	Left  Align = iota // words
	Right              // figures
)

// Table is a table before it is rendered. Every row has as many cells as
// Header; a table without rows prints its header.
type Table struct {
	Title  string   // a line above; "" for none
	Header []string // one name per column
	Align  []Align  // by column; columns beyond its end keep Left
	Rows   [][]string
	Notes  []string // lines below
	Tight  bool     // a plain table leaves two spaces between columns, not three
}

// gap is the space between two columns of a plain table.
const gap = "   "

// Plain writes t in ASCII without any lines, columns aligned.
func Plain(w io.Writer, t Table) error {
	var text bytes.Buffer
	borderless := renderer.NewBlueprint(tw.Rendition{
		Borders:  tw.BorderNone,
		Symbols:  tw.NewSymbols(tw.StyleNone),
		Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
	})
	padding := tw.Padding{Right: gap, Overwrite: true}
	if t.Tight {
		padding.Right = gap[1:]
	}
	if err := render(&text, t, ASCII, borderless, tablewriter.WithPadding(padding)); err != nil {
		return err
	}
	var out strings.Builder
	if t.Title != "" {
		out.WriteString(ASCII(t.Title) + "\n")
	}
	for line := range strings.Lines(text.String()) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	for _, note := range t.Notes {
		out.WriteString(ASCII(note) + "\n")
	}
	return write(w, out.String())
}

// Markdown writes t as a Markdown table: the title in bold, the notes as a
// list, a blank line between the parts.
func Markdown(w io.Writer, t Table) error {
	var out bytes.Buffer
	if t.Title != "" {
		fmt.Fprintf(&out, "**%s**\n\n", markdownCell(t.Title))
	}
	if err := render(&out, t, markdownCell, renderer.NewMarkdown()); err != nil {
		return err
	}
	for i, note := range t.Notes {
		if i == 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "- %s\n", markdownCell(note))
	}
	return write(w, out.String())
}

// render lays t out. tablewriter would rewrite header names, wrap long cells
// and accept ragged rows; none of that happens here.
func render(w io.Writer, t Table, cell func(string) string, r tw.Renderer, more ...tablewriter.Option) error {
	if len(t.Header) == 0 {
		return fmt.Errorf("render table %q: it has no columns", t.Title)
	}
	aligns := make([]tw.Align, len(t.Header))
	for i := range aligns {
		aligns[i] = tw.AlignLeft
		if i < len(t.Align) && t.Align[i] == Right {
			aligns[i] = tw.AlignRight
		}
	}
	out := tablewriter.NewTable(w, append([]tablewriter.Option{
		tablewriter.WithRenderer(r),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithTrimSpace(tw.Off),
		tablewriter.WithEastAsian(tw.Off),
		tablewriter.WithHeaderAlignmentConfig(tw.CellAlignment{PerColumn: aligns}),
		tablewriter.WithRowAlignmentConfig(tw.CellAlignment{PerColumn: aligns}),
	}, more...)...)
	out.Header(cells(t.Header, cell))
	for i, row := range t.Rows {
		if len(row) != len(t.Header) {
			return fmt.Errorf("render table %q: row %d has %d cells, the header has %d", t.Title, i+1, len(row), len(t.Header))
		}
		if err := out.Append(cells(row, cell)); err != nil {
			return fmt.Errorf("render table %q: %w", t.Title, err)
		}
	}
	if err := out.Render(); err != nil {
		return fmt.Errorf("render table %q: %w", t.Title, err)
	}
	return nil
}

func cells(row []string, cell func(string) string) []string {
	safe := make([]string, len(row))
	for i, text := range row {
		safe[i] = cell(text)
	}
	return safe
}

// ASCII is s for a plain terminal, on one line: newlines and tabs become
// spaces, common symbols their ASCII spelling, anything else beyond printable
// ASCII a question mark. It keeps what a result file says from steering the
// terminal that shows it.
func ASCII(s string) string {
	s = strings.NewReplacer("\r\n", " ", "…", "...", "µ", "u", "μ", "u", "–", "-", "—", "-", "±", "+-", "×", "x", "≥", ">=", "≤", "<=").Replace(s)
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\r', r == '\t', r == '\u00a0':
			return ' '
		case r < ' ', r > '~':
			return '?'
		}
		return r
	}, s)
}

// markdownCell is s as text within a cell: "|" does not end it, a newline is
// a break, and "<" opens no tag.
func markdownCell(s string) string {
	s = strings.NewReplacer(`\`, `\\`, "|", `\|`, "\r\n", "<br>", "\n", "<br>", "\r", "", "<", "&lt;").Replace(s)
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func write(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}
