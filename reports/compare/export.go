package compare

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"

	"isoperf/reports/export"
)

// Exports hand the newest medians to programs that keep histories of their own:
// one figure per case, of the column that is compared with the base.

// Bencher writes the Bencher Metric Format: a benchmark by name, in it a measure by
// unit, with the median and its interval.
func Bencher(w io.Writer, list []Comparison) error {
	type measure struct {
		Value float64  `json:"value"`
		Lower *float64 `json:"lower_value,omitempty"`
		Upper *float64 `json:"upper_value,omitempty"`
	}
	all := map[string]map[string]measure{}
	for _, c := range list {
		for _, r := range c.exported(list) {
			if all[r.name] == nil {
				all[r.name] = map[string]measure{}
			}
			all[r.name][r.Unit] = measure{r.New.Median, export.Known(r.New.Lo), export.Known(r.New.Hi)}
		}
	}
	return export.JSON(w, all, "a comparison in Bencher's format")
}

// Figures of github-action-benchmark: it takes one figure per name, and believes of
// a whole file that smaller, or that bigger, is better.
type githubFigure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
	Range string  `json:"range,omitempty"`
	Extra string  `json:"extra,omitempty"`
}

// GitHubBenchmark writes the medians for github-action-benchmark: those of which
// smaller is better (customSmallerIsBetter), or bigger (customBiggerIsBetter).
// A unit of which neither is, is in neither.
func GitHubBenchmark(w io.Writer, list []Comparison, bigger bool) error {
	want := "lower"
	if bigger {
		want = "higher"
	}
	all := []githubFigure{}
	for _, c := range list {
		for _, r := range c.exported(list) {
			if r.Better != want {
				continue
			}
			f := githubFigure{Name: r.name, Unit: r.Unit, Value: r.New.Median, Extra: fmt.Sprintf("n=%d", r.New.N)}
			if !math.IsInf(r.New.Hi, 0) {
				f.Range = "± " + strconv.FormatFloat((r.New.Hi-r.New.Lo)/2, 'g', 4, 64)
			}
			all = append(all, f)
		}
	}
	return export.JSON(w, all, "a comparison in github-action-benchmark's format")
}

// HasBigger says whether there is any figure of which bigger is better.
func HasBigger(list []Comparison) bool {
	for _, c := range list {
		for _, r := range c.Rows {
			if r.Main && r.New.N > 0 && r.Better == "higher" {
				return true
			}
		}
	}
	return false
}

// exported is a row under the name that it has outside.
type exportedRow struct {
	Row
	name string
}

// exported are the rows that count and that the newer column has samples of; with
// several comparisons, each name says which column it is of.
func (c Comparison) exported(list []Comparison) []exportedRow {
	var rows []exportedRow
	for _, r := range c.Rows {
		if !r.Main || r.New.N == 0 {
			continue
		}
		name := r.Case
		if len(list) > 1 {
			name += " (" + c.Head + ")"
		}
		rows = append(rows, exportedRow{r, name})
	}
	return rows
}

// Metrics writes the comparisons in the text format of OpenMetrics 1.0, for the
// textfile directory of a node exporter.
func Metrics(w io.Writer, list []Comparison) error {
	var b bytes.Buffer
	family := func(name, unit, help string, of func(Row) float64) {
		fmt.Fprintf(&b, "# TYPE %s gauge\n", name)
		if unit != "" {
			fmt.Fprintf(&b, "# UNIT %s %s\n", name, unit)
		}
		fmt.Fprintf(&b, "# HELP %s %s\n", name, help)
		for _, c := range list {
			for _, r := range c.Rows {
				if v := of(r); r.Main && r.Compared() && !math.IsNaN(v) && !math.IsInf(v, 0) {
					fmt.Fprintf(&b, "%s{%s} %s\n", name, export.Labels("base", c.Base, "head", c.Head, "case", r.Case, "unit", r.Unit), strconv.FormatFloat(v, 'g', -1, 64))
				}
			}
		}
	}
	family("isoperf_compare_change_ratio", "ratio", "New by old: 1 is no change.", func(r Row) float64 { return r.Ratio.Ratio })
	family("isoperf_compare_bound_ratio", "ratio", "Beyond which a change counts: 0.02 is 2 %.", func(r Row) float64 { return r.Bound })
	const count = "isoperf_compare_rows"
	fmt.Fprintf(&b, "# TYPE %s gauge\n# HELP %s Rows that count, by verdict.\n", count, count)
	for _, c := range list {
		for _, v := range order() {
			fmt.Fprintf(&b, "%s{%s} %d\n", count, export.Labels("base", c.Base, "head", c.Head, "verdict", string(v)), c.Count(v))
		}
	}
	for _, g := range []struct {
		name, help string
		of         func(Check) int
	}{
		{"isoperf_compare_false_alarms", "Draws of these files' own samples, with the change taken out, that were false alarms.", func(k Check) int { return k.Alarms }},
		{"isoperf_compare_draws", "All such draws; 0: there were too few samples.", func(k Check) int { return k.Draws }},
	} {
		fmt.Fprintf(&b, "# TYPE %s gauge\n# HELP %s %s\n", g.name, g.name, g.help)
		for _, c := range list {
			fmt.Fprintf(&b, "%s{%s} %d\n", g.name, export.Labels("base", c.Base, "head", c.Head), g.of(c.Check))
		}
	}
	const state = "isoperf_compare_verdict"
	fmt.Fprintf(&b, "# TYPE %s stateset\n# HELP %s What is said of all rows.\n", state, state)
	for _, c := range list {
		for _, v := range []Verdict{Slower, Apart, CannotTell, Faster, Same} {
			is := 0
			if c.Verdict == v {
				is = 1
			}
			fmt.Fprintf(&b, "%s{%s} %d\n", state, export.Labels("base", c.Base, "head", c.Head, state, string(v)), is)
		}
	}
	b.WriteString("# EOF\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write a comparison as metrics: %w", err)
	}
	return nil
}
