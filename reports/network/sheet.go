package network

import (
	"fmt"
	"slices"

	"isoperf/reports/table"
)

// sheet is a table in the making. Its first column holds the words of a row, and
// the reasons why a row has no figures stand below it, with numbers.
type sheet struct {
	table.Table
	reasons []string
	words   int // how many columns, from the left, hold words
}

// newSheet has so many columns of words, and then figures.
func newSheet(title string, words int, header ...string) *sheet {
	s := &sheet{Table: table.Table{Title: title, Header: header, Tight: true}, words: words}
	for i := range header {
		align := table.Right
		if i < words {
			align = table.Left
		}
		s.Align = append(s.Align, align)
	}
	return s
}

// row adds a row.
func (s *sheet) row(cells ...string) { s.Rows = append(s.Rows, cells) }

// empty adds a row of a cell without a figure: the word says why in short, in the
// first column of figures.
func (s *sheet) empty(c *Cell, words ...string) {
	row := append(slices.Clone(words), s.short(c))
	for len(row) < len(s.Header) {
		row = append(row, "-")
	}
	s.row(row...)
}

// short is why a cell has no figure, with the number of the reason below.
func (s *sheet) short(c *Cell) string {
	word, reason := c.why()
	if reason == "" {
		return word
	}
	i := slices.Index(s.reasons, reason)
	if i < 0 {
		i, s.reasons = len(s.reasons), append(s.reasons, reason)
	}
	return fmt.Sprintf("%s (%d)", word, i+1)
}

// note adds a sentence below; an empty one is none.
func (s *sheet) note(sentence string) {
	if sentence != "" {
		s.Notes = append(s.Notes, sentence)
	}
}

// drop takes a column away that says nothing.
func (s *sheet) drop(column string) {
	i := slices.Index(s.Header, column)
	if i < 0 {
		return
	}
	s.Header, s.Align = slices.Delete(s.Header, i, i+1), slices.Delete(s.Align, i, i+1)
	for n, row := range s.Rows {
		s.Rows[n] = slices.Delete(row, i, i+1)
	}
}

// dropEmpty takes the columns of figures away that nothing stands in.
func (s *sheet) dropEmpty() {
	for _, name := range slices.Clone(s.Header[s.words:]) {
		i := slices.Index(s.Header, name)
		if !slices.ContainsFunc(s.Rows, func(row []string) bool { return row[i] != "-" && row[i] != "" }) {
			s.drop(name)
		}
	}
}

// done is the table, with the reasons first among its notes.
func (s *sheet) done() table.Table {
	var notes []string
	for i, reason := range s.reasons {
		notes = append(notes, fmt.Sprintf("(%d) %s", i+1, reason))
	}
	s.Notes = append(notes, s.Notes...)
	return s.Table
}
