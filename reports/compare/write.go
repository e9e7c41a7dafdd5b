package compare

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"isoperf/reports/table"
)

// Printing says how to print for a person.
type Printing struct {
	Width   int    // columns; 0: 80
	Verbose bool   // every row, with p, noise and the number of samples
	Next    string // what to do next; empty: nothing is said
}

// Write prints a comparison.
func Write(w io.Writer, c Comparison, p Printing) error {
	out := &printer{w: w, width: p.Width}
	if out.width <= 0 {
		out.width = 80
	}
	out.line(c.Answer())
	if where := c.Where(); where != "" {
		out.line(where)
	}
	out.line(c.Trust())
	out.print("\n")
	out.table(c.Table(p.Verbose))
	for _, line := range c.reasons(p.Verbose) {
		out.line(line)
	}
	for _, note := range c.Notes {
		out.line("Note: " + note)
	}
	if p.Next != "" {
		out.line("Next: " + p.Next)
	}
	return out.err
}

// reasons are why rows have no verdict: those that differ in more than their
// figures, or, verbose, each row's.
func (c Comparison) reasons(verbose bool) []string {
	const most = 5
	var list []string
	seen := map[string]bool{}
	for _, r := range c.sorted() {
		if !r.Main || r.Why == "" || r.Verdict == Apart && c.Machine.Apart != "" {
			continue
		}
		kind := strings.Map(func(c rune) rune {
			if c >= '0' && c <= '9' || c == '.' || c == ' ' {
				return -1
			}
			return c
		}, r.Why)
		if verbose || !seen[kind] && len(seen) < most {
			list = append(list, r.Case+": "+r.Why+".")
		}
		seen[kind] = true
	}
	return list
}

// How many rows are shown that say nothing new: why rows are not comparable is the
// same for all.
const (
	mostApart   = 5
	mostUntold  = 10
	mostChanged = 100 // slower, faster, new and gone ones, each
)

// shown is how many rows of a verdict are.
func shown(v Verdict) int {
	switch v {
	case Same:
		return 0
	case Apart:
		return mostApart
	case CannotTell:
		return mostUntold
	}
	return mostChanged
}

// Table is the rows: all of them, or those that are not the same, and how many
// others there are.
func (c Comparison) Table(all bool) table.Table {
	t := table.Table{Header: []string{"case", c.Base, c.Head, "change", "95 % range", "verdict"},
		Align: []table.Align{table.Left, table.Right, table.Right, table.Right, table.Right, table.Left}, Tight: true}
	if all {
		t.Header = append(t.Header, "p", "Holm", "noise", "n")
		t.Align = append(t.Align, table.Right, table.Right, table.Right, table.Right)
	}
	seen := map[Verdict]int{}
	for _, r := range c.sorted() {
		seen[r.Verdict]++
		if all || seen[r.Verdict] <= shown(r.Verdict) {
			t.Rows = append(t.Rows, c.row(r, all))
		}
	}
	if all {
		return t
	}
	for _, v := range order() {
		if n := seen[v] - shown(v); n > 0 && v != Same {
			t.Rows = append(t.Rows, padded(len(t.Header), fmt.Sprintf("%d others", n), "", string(v)))
		}
	}
	t.Rows = append(t.Rows, c.sameRows(len(t.Header))...)
	return t
}

// sameRows stand for all rows that are the same: within the floor, and within
// their own noise.
func (c Comparison) sameRows(width int) [][]string {
	var rows [][]string
	var floor, own int
	noise := 0.0
	for _, r := range c.Rows {
		if r.Verdict == Same && r.Bound > c.Floor {
			own++
			noise = max(noise, r.Bound)
		} else if r.Verdict == Same {
			floor++
		}
	}
	if floor > 0 {
		rows = append(rows, padded(width, fmt.Sprintf("%d others", floor), "within +-"+table.Percent(c.Floor), string(Same)))
	}
	if own > 0 {
		rows = append(rows, padded(width, fmt.Sprintf("%d others", own), "within +-"+table.Percent(noise), "same, within the noise"))
	}
	return rows
}

// padded is a row of a table that stands for several.
func padded(width int, words, within, verdict string) []string {
	row := make([]string, width)
	row[0], row[4], row[5] = words, within, verdict
	return row
}

// order is that of verdicts, what matters first.
func order() []Verdict { return []Verdict{Slower, Faster, CannotTell, Gone, New, Apart, Same} }

// sorted are the rows, what matters first; of those that cannot be told, what
// moved most.
func (c Comparison) sorted() []Row {
	rows := slices.Clone(c.Rows)
	slices.SortStableFunc(rows, func(a, b Row) int {
		if a.Verdict == b.Verdict && a.Verdict != Same {
			return cmp.Compare(moved(b), moved(a))
		}
		return slices.Index(order(), a.Verdict) - slices.Index(order(), b.Verdict)
	})
	return rows
}

// moved is how far a row did, in either direction; 0 where that is not known.
func moved(r Row) float64 {
	if !(r.Ratio.Ratio > 0) {
		return 0
	}
	return math.Abs(math.Log(r.Ratio.Ratio))
}

func (c Comparison) row(r Row, all bool) []string {
	name := r.Case
	if !r.Main {
		name += " " + r.Unit
	}
	cells := []string{name, Figure(r.Old.Median, r.Unit), Figure(r.New.Median, r.Unit), change(r), interval(r), said(r, c.Floor)}
	if r.Old.N == 0 {
		cells[1] = "-"
	}
	if r.New.N == 0 {
		cells[2] = "-"
	}
	if all {
		cells = append(cells, number(r.P), number(r.Adjusted), table.Percent(r.Noise), fmt.Sprintf("%d+%d", r.Old.N, r.New.N))
	}
	return cells
}

// said is a row's verdict as it is printed.
func said(r Row, floor float64) string {
	text := string(r.Verdict)
	switch {
	case r.Verdict == CannotTell && r.Need > 0:
		text += fmt.Sprintf(": ~%s more", table.Count(r.Need))
	case r.Verdict == Same && r.Bound > floor:
		text += " within " + table.Percent(r.Bound)
	}
	if !r.Main && (r.Verdict == Slower || r.Verdict == Faster) {
		text += " (not counted)"
	}
	return text
}

// printer writes lines of words, broken at its width, and tables; the first
// error ends it.
type printer struct {
	w     io.Writer
	width int
	err   error
}

func (p *printer) print(text string) {
	if p.err == nil {
		if _, err := io.WriteString(p.w, text); err != nil {
			p.err = fmt.Errorf("print a comparison: %w", err)
		}
	}
}

func (p *printer) table(t table.Table) {
	if p.err == nil {
		p.err = table.Plain(p.w, t)
	}
}

// line prints a sentence; what continues is indented.
func (p *printer) line(sentence string) {
	p.print(table.Wrap(sentence, p.width) + "\n")
}
