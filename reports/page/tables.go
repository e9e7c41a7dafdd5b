package page

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// set is the cases that differ only in the parameter that makes the rows.
type set struct {
	pattern string // the name with "…" for that parameter
	short   string // the values of the other parameters: "vm burst"
	cases   []*sample.Case
}

// tables are all those of a chapter: for each unit a full table per set, or
// one compact table over all sets.
func (c chapter) tables(cases []*sample.Case) []table.Table {
	sets := c.sets(cases)
	var all []table.Table
	for _, unit := range c.fullUnits(cases) {
		for _, s := range sets {
			if t, ok := c.fullTable(s, unit); ok {
				all = append(all, t)
			}
		}
	}
	for _, unit := range c.compact {
		if t, ok := c.medians(sets, unit); ok {
			all = append(all, t)
		}
	}
	return all
}

// fullUnits are the units with full tables that the cases have.
func (c chapter) fullUnits(cases []*sample.Case) []string {
	var units []string
	for _, k := range cases {
		for _, unit := range k.Units {
			if slices.Contains(units, unit) || slices.Contains(c.compact, unit) || c.full != nil && !slices.Contains(c.full, unit) {
				continue
			}
			units = append(units, unit)
		}
	}
	return units
}

// sets groups the cases, in order of first appearance. A family that is not
// described is one set, with whole names as rows.
func (c chapter) sets(cases []*sample.Case) []*set {
	var sets []*set
	for _, k := range cases {
		pattern, short := c.pattern(k.Name)
		i := slices.IndexFunc(sets, func(s *set) bool { return s.pattern == pattern })
		if i < 0 {
			i = len(sets)
			sets = append(sets, &set{pattern: pattern, short: short})
		}
		sets[i].cases = append(sets[i].cases, k)
	}
	return sets
}

// pattern is the name with the row's parameter blotted out.
func (c chapter) pattern(name string) (pattern, short string) {
	if c.row == "" {
		return c.family, c.family
	}
	var parts, others []string
	for part := range strings.SplitSeq(name, "/") {
		key, value, ok := strings.Cut(part, "=")
		switch {
		case !ok:
		case slices.Contains(c.more, key):
			continue
		case key == c.row:
			part = key + "=…"
		default:
			others = append(others, value)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "/"), strings.Join(others, " ")
}

// label is the first cell of a case's row.
func (c chapter) label(k *sample.Case) string {
	if c.row == "" {
		return strings.TrimPrefix(k.Name, c.family+"/")
	}
	label := k.Param(c.row)
	for _, key := range c.more {
		if v := k.Param(key); v != "" {
			label += ", " + key + " " + v
		}
	}
	return label
}

// fullTable is the table of one set and unit: every figure of every case. The
// increment has a column where the set has a null case.
func (c chapter) fullTable(s *set, unit string) (table.Table, bool) {
	null := nullCase(s, unit)
	t := table.Table{
		Title:  unit + " of " + s.pattern,
		Header: []string{c.head(), "n", "median", "95 % interval", "p95", "p99"},
		Align:  []table.Align{table.Left, table.Right, table.Right, table.Right, table.Right, table.Right},
	}
	if null != nil {
		t.Header = append(t.Header, "over none", "its interval")
		t.Align = append(t.Align, table.Right, table.Right)
	}
	t.Header, t.Align = append(t.Header, "failures"), append(t.Align, table.Right)
	for _, k := range s.cases {
		if len(k.Values[unit]) == 0 && len(k.Failures) == 0 {
			continue
		}
		t.Rows = append(t.Rows, c.fullRow(k, unit, null))
	}
	return t, len(t.Rows) > 0
}

// head is the heading of the rows.
func (c chapter) head() string { return cmp.Or(c.rowName, c.row, "case") }

// nullCase is the case with flag none, where others are to be set against it.
func nullCase(s *set, unit string) *sample.Case {
	if !strings.HasSuffix(unit, "-ns") || len(s.cases) < 2 {
		return nil
	}
	for _, k := range s.cases {
		if k.Param("flag") == "none" && len(k.Values[unit]) > 0 {
			for _, other := range s.cases {
				if other.Param("flag") != "none" {
					return k
				}
			}
		}
	}
	return nil
}

func (c chapter) fullRow(k *sample.Case, unit string, null *sample.Case) []string {
	sum := stats.Summarize(k.Values[unit])
	row := []string{
		c.label(k), table.Count(sum.N),
		amount(unit, sum.Median), interval(unit, sum.Lo, sum.Hi), amount(unit, sum.P95), amount(unit, sum.P99),
	}
	if null != nil {
		over, between := "-", "-"
		if k != null && sum.N > 0 {
			shift := stats.Increment(null.Values[unit], k.Values[unit])
			over, between = table.Increase(shift.Delta), table.Range(shift.Lo, shift.Hi)
		}
		row = append(row, over, between)
	}
	return append(row, table.Count(len(k.Failures)))
}

// medians is the compact table of a unit: a row for each case, a column for
// each set.
func (c chapter) medians(sets []*set, unit string) (table.Table, bool) {
	t := table.Table{Title: unit + ", medians", Header: []string{c.head()}, Align: []table.Align{table.Left}}
	var labels []string
	var columns []*set
	for _, s := range sets {
		if !slices.ContainsFunc(s.cases, func(k *sample.Case) bool { return len(k.Values[unit]) > 0 }) {
			continue
		}
		columns = append(columns, s)
		t.Header, t.Align = append(t.Header, s.short), append(t.Align, table.Right)
		for _, k := range s.cases {
			if !slices.Contains(labels, c.label(k)) {
				labels = append(labels, c.label(k))
			}
		}
	}
	for _, label := range labels {
		row := []string{label}
		for _, s := range columns {
			cell := "-"
			for _, k := range s.cases {
				if c.label(k) == label && len(k.Values[unit]) > 0 {
					cell = amount(unit, stats.Summarize(k.Values[unit]).Median)
				}
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t, len(columns) > 0
}

// amount writes a figure in the words of its unit.
func amount(unit string, v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case strings.HasSuffix(unit, "-ns/B"):
		return figures(v) + " ns/B"
	case strings.HasSuffix(unit, "-ns"):
		return table.Duration(v)
	case strings.HasSuffix(unit, "-B/s"):
		return table.Bytes(v) + "/s"
	case strings.HasSuffix(unit, "-B"):
		return table.Bytes(v)
	case strings.HasSuffix(unit, "-ratio"):
		return table.Percent(v)
	case strings.HasSuffix(unit, "-count") && v == math.Trunc(v) && math.Abs(v) < 1e15:
		return table.Count(int(v))
	}
	return figures(v)
}

// interval writes what lies between two figures.
func interval(unit string, lo, hi float64) string {
	if math.IsInf(lo, 0) || math.IsInf(hi, 0) || math.IsNaN(lo) || math.IsNaN(hi) {
		return "-"
	}
	if strings.HasSuffix(unit, "-ns") {
		return table.Range(lo, hi)
	}
	return amount(unit, lo) + " .. " + amount(unit, hi)
}

func figures(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
