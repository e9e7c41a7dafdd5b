package html

import (
	"strconv"
	"strings"

	"isoperf/reports/table"
)

// grid is a table of the page.
type grid struct {
	ID      string
	Caption string
	Columns []column
	Rows    []row
	Notes   []string
	Chips   []chip // rows can be chosen by these; nil: they cannot
}

type column struct {
	Name  string
	Right bool
}

type row struct {
	ID      string
	Verdict string // of a comparison: a word that is also a chip's
	Cells   []cell
}

type cell struct {
	Text  string
	Value string // what it is sorted by; "" is its text
	Right bool
	Long  bool   // it needs room to be read
	Mark  string // a verdict that colours it
	Bar   *bar
}

// Class is how the page sets it.
func (c cell) Class() string {
	var parts []string
	if c.Right && !c.Long {
		parts = append(parts, "r")
	}
	if c.Long {
		parts = append(parts, "long")
	}
	if c.Mark != "" {
		parts = append(parts, "v-"+c.Mark)
	}
	return strings.Join(parts, " ")
}

// Name says whether the cell is that of a case, which is long.
func (c cell) Name() bool { return len(c.Text) > 24 && strings.Contains(c.Text, "/") }

// Pieces are the text, cut where a line may end within a name.
func (c cell) Pieces() []string { return strings.SplitAfter(c.Text, "/") }

// chip is a verdict and how many rows have it.
type chip struct {
	Name string // the class
	Text string
	N    int
}

// longCell is from how many bytes on the words of a cell need room.
const longCell = 48

// newGrid is t under the heading of its section, in which it is the n-th
// table, from 1.
func newGrid(ids names, section, heading string, n int, t table.Table) *grid {
	g := &grid{Caption: t.Title, Notes: t.Notes}
	if g.Caption == "" {
		g.Caption = heading
		if n > 1 {
			g.Caption += ", table " + strconv.Itoa(n)
		}
	}
	g.ID = ids.name(section + " " + g.Caption)
	for i, name := range t.Header {
		g.Columns = append(g.Columns, column{name, i < len(t.Align) && t.Align[i] == table.Right})
	}
	for _, cells := range t.Rows {
		r := row{}
		if len(cells) > 0 {
			r.ID = ids.name(g.ID + " " + cells[0])
		}
		for i, text := range cells {
			r.Cells = append(r.Cells, cell{Text: text, Value: sortValue(text), Right: i < len(g.Columns) && g.Columns[i].Right, Long: len(text) > longCell})
		}
		g.Rows = append(g.Rows, r)
	}
	return g
}

// sortValue is the figure of a cell where its text alone does not tell it.
func sortValue(text string) string {
	v, ok := table.Value(text)
	if !ok {
		return ""
	}
	return number(v)
}

// number is a value as the script reads it.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
