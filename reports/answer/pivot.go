package answer

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// pivot is a table of medians, rows by one parameter, columns by another, in
// order of appearance.
type pivot struct {
	title  string
	row    string // name of the first column
	rows   []string
	cols   []string
	figure map[[2]string]float64 // by row and column, ns unless unit says otherwise
	unit   string                // "" is ns
}

func (p *pivot) add(row, col string, value float64) {
	if math.IsNaN(value) {
		return
	}
	if p.figure == nil {
		p.figure = map[[2]string]float64{}
	}
	if !slices.Contains(p.rows, row) {
		p.rows = append(p.rows, row)
	}
	if !slices.Contains(p.cols, col) {
		p.cols = append(p.cols, col)
	}
	p.figure[[2]string{row, col}] = value
}

func (p *pivot) at(row, col string) float64 {
	if v, ok := p.figure[[2]string{row, col}]; ok {
		return v
	}
	return math.NaN()
}

func (p *pivot) table() table.Table {
	t := table.Table{Title: p.title, Header: append([]string{p.row}, p.cols...), Align: []table.Align{table.Left}}
	for range p.cols {
		t.Align = append(t.Align, table.Right)
	}
	for _, row := range p.rows {
		line := []string{row}
		for _, col := range p.cols {
			line = append(line, figure(p.at(row, col), p.unit))
		}
		t.Rows = append(t.Rows, line)
	}
	return t
}

// joining shows unshare(2) and setns(2) side by side, by flag.
func joining(f *sample.File) []table.Table {
	p := pivot{title: "Creating in place and joining, medians", row: "flag"}
	for _, call := range []struct{ family, unit, name string }{
		{"Unshare", "unshare-ns", "unshare(2)"},
		{"Setns", "setns-ns", "setns(2)"},
	} {
		for _, pacing := range []string{"burst", "paced"} {
			for _, c := range f.Family(call.family) {
				if c.Param("pacing") == pacing {
					p.add(c.Param("flag"), call.name+" "+pacing, median(c, call.unit))
				}
			}
		}
	}
	if len(p.rows) == 0 {
		return nil
	}
	return []table.Table{p.table()}
}

// teardown shows what the end of a namespace costs, by flag.
func teardown(f *sample.File) []table.Table {
	p := pivot{title: "Teardown, medians", row: "flag"}
	for _, unit := range []string{"exit-ns", "close-ns", "gone-ns"} {
		for _, c := range f.Family("Teardown") {
			p.add(c.Param("flag"), strings.TrimSuffix(unit, "-ns"), median(c, unit))
		}
	}
	if len(p.rows) == 0 {
		return nil
	}
	t := p.table()
	t.Notes = []string{"exit: the child's last instruction to reaped, a descriptor still holding the namespace. " +
		"close: that descriptor closed. gone: from close to destruction complete."}
	return []table.Table{t}
}

// detail is the full table of a family: a line for every case and unit.
func detail(family string, cases []*sample.Case, width int) table.Table {
	name, label := labels(cases)
	t := table.Table{
		Title:  family,
		Header: []string{name, "unit", "median", "95 % range", "p95", "n", "failed"},
		Align:  []table.Align{table.Left, table.Left, table.Right, table.Right, table.Right, table.Right, table.Right},
	}
	failed := 0
	for _, c := range cases {
		failed += len(c.Failures)
		first, n := label(c), strconv.Itoa(len(c.Failures))
		if len(c.Units) == 0 {
			t.Rows = append(t.Rows, []string{first, "-", "-", "-", "-", "0", n})
		}
		for _, unit := range c.Units {
			s := stats.Summarize(c.Values[unit])
			t.Rows = append(t.Rows, []string{first, unit, figure(s.Median, unit), spread(s.Lo, s.Hi, unit), figure(s.P95, unit), table.Count(s.N), n})
			first, n = "", ""
		}
	}
	if failed == 0 {
		t = without(t, "failed")
	}
	if only, ok := onlyValue(t, "unit"); ok {
		t = without(t, "unit")
		t.Title += ", " + only
	}
	for _, spare := range []string{"p95", "n"} {
		if tableWidth(t) > width {
			t = without(t, spare)
		}
	}
	return t
}

// labels shorten case names to the values of their parameters, when all have
// the same parameters; name is what the first column is called.
func labels(cases []*sample.Case) (name string, label func(*sample.Case) string) {
	keys := func(c *sample.Case) string { k, _ := params(c); return strings.Join(k, "/") }
	name = keys(cases[0])
	for _, c := range cases {
		if keys(c) != name {
			return "case", func(c *sample.Case) string {
				_, rest, _ := strings.Cut(c.Name, "/")
				return rest
			}
		}
	}
	if name == "" {
		return "case", func(c *sample.Case) string { return c.Name }
	}
	return name, func(c *sample.Case) string { _, v := params(c); return strings.Join(v, "/") }
}

// params are the keys and values of c's name, in order.
func params(c *sample.Case) (keys, values []string) {
	for part := range strings.SplitSeq(c.Name, "/") {
		if k, v, ok := strings.Cut(part, "="); ok {
			keys, values = append(keys, k), append(values, v)
		}
	}
	return keys, values
}

// onlyValue is the one value that a column has in all rows.
func onlyValue(t table.Table, header string) (string, bool) {
	i := slices.Index(t.Header, header)
	for _, row := range t.Rows {
		if row[i] != t.Rows[0][i] {
			return "", false
		}
	}
	if len(t.Rows) == 0 {
		return "", false
	}
	return t.Rows[0][i], true
}

// without is t without the column called header.
func without(t table.Table, header string) table.Table {
	i := slices.Index(t.Header, header)
	out := table.Table{Title: t.Title, Notes: t.Notes, Tight: t.Tight}
	out.Header = slices.Delete(slices.Clone(t.Header), i, i+1)
	out.Align = slices.Delete(slices.Clone(t.Align), i, i+1)
	for _, row := range t.Rows {
		out.Rows = append(out.Rows, slices.Delete(slices.Clone(row), i, i+1))
	}
	return out
}

// median of a unit's values, in that unit; NaN when there is none.
func median(c *sample.Case, unit string) float64 {
	return stats.Summarize(c.Values[unit]).Median
}

// figure writes a value of a unit of the result file for people.
func figure(v float64, unit string) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case unit == "" || strings.HasSuffix(unit, "-ns"):
		return table.Duration(v)
	case strings.HasSuffix(unit, "-B"):
		return table.Bytes(v)
	case strings.HasSuffix(unit, "-B/s"):
		return table.Bytes(v) + "/s"
	case strings.HasSuffix(unit, "-ratio"):
		return table.Percent(v)
	case strings.HasSuffix(unit, "-ns/B"):
		return strconv.FormatFloat(v, 'g', 3, 64) + " ns/B"
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return table.Count(int(v))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// spread writes an interval of a unit.
func spread(lo, hi float64, unit string) string {
	if strings.HasSuffix(unit, "-ns") {
		return table.Range(lo, hi)
	}
	if math.IsNaN(lo) || math.IsInf(lo, 0) || math.IsNaN(hi) || math.IsInf(hi, 0) {
		return "-"
	}
	return figure(lo, unit) + " .. " + figure(hi, unit)
}
