package answer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// sweeps say in words what a family sweeps, and what one more step is; a
// family without a step has no cost per step to state.
var sweeps = map[string]struct {
	title string
	step  string
	size  float64 // of the step, in the unit of the swept value
}{
	"SweepCreators": {"Creators at the same time", "creator", 1},
	"SweepMounts":   {"Mounts that the creator sees", "mount", 1},
	"SweepNetns":    {"Network namespaces already alive", "namespace", 1},
	"SweepMemory":   {"Memory of the creator", "MiB", 1 << 20},
	"SweepGap":      {"Gap between two calls", "", 0},

	"SweepMountTable": {"Mounts in the namespace", "mount", 1},
	"SweepMountns":    {"Mount namespaces already alive", "namespace", 1},
	"SweepPeers":      {"Namespaces that a bind propagates to", "peer", 1},
	"SweepMounters":   {"Threads that mount at the same time", "thread", 1},
}

// mostColumns is how many columns of several units share one table.
const mostColumns = 4

// sweep shows medians with the swept value as rows; the columns are what else
// differs between the cases. A few columns of several units share one table.
func sweep(family string, cases []*sample.Case, width int) []table.Table {
	key := sweptKey(cases)
	if key == "" {
		return []table.Table{detail(family, cases, width)}
	}
	cases = slices.Clone(cases)
	slices.SortStableFunc(cases, func(a, b *sample.Case) int {
		x, _ := quantity(a.Param(key))
		y, _ := quantity(b.Param(key))
		return cmp.Compare(x, y)
	})
	title := sweeps[family].title
	if title == "" {
		title = family
	}
	units, other := unitsOf(cases), varying(cases, key)
	shared := pivot{title: title + ", medians", row: key}
	var single []pivot
	for _, unit := range units {
		one := pivot{title: title + ", median " + unit, row: key, unit: unit}
		for _, c := range cases {
			name, value := column(c, other), median(c, unit)
			shared.add(c.Param(key), strings.TrimSpace(name+" "+unit), value)
			one.add(c.Param(key), cmp.Or(name, unit), value)
		}
		single = append(single, one)
	}
	allTimes := !slices.ContainsFunc(units, func(u string) bool { return !strings.HasSuffix(u, "-ns") })
	if len(units) > 1 && len(shared.cols) <= mostColumns && allTimes {
		single = []pivot{shared}
	}
	var out []table.Table
	for _, p := range single {
		if len(p.rows) > 0 {
			t := p.table()
			t.Notes = growth(family, &p)
			out = append(out, t)
		}
	}
	return out
}

// unitsOf are the units of cases in order of appearance.
func unitsOf(cases []*sample.Case) []string {
	var units []string
	for _, c := range cases {
		for _, u := range c.Units {
			if !slices.Contains(units, u) {
				units = append(units, u)
			}
		}
	}
	return units
}

// sweptKey is the parameter with the most different values, all of them
// quantities; "" when there is none.
func sweptKey(cases []*sample.Case) string {
	keys, _ := params(cases[0])
	best, most := "", 0
	for _, key := range keys {
		seen := map[string]bool{}
		numbers := true
		for _, c := range cases {
			_, ok := quantity(c.Param(key))
			numbers = numbers && ok
			seen[c.Param(key)] = true
		}
		if numbers && len(seen) > most {
			best, most = key, len(seen)
		}
	}
	return best
}

// varying are the parameters other than key that differ between the cases, also
// those that only some of them have.
func varying(cases []*sample.Case, key string) []string {
	var out []string
	for _, c := range cases {
		keys, _ := params(c)
		for _, k := range keys {
			differs := slices.ContainsFunc(cases, func(other *sample.Case) bool { return other.Param(k) != c.Param(k) })
			if k != key && differs && !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out
}

// column names a case by its varying parameters.
func column(c *sample.Case, keys []string) string {
	var parts []string
	for _, k := range keys {
		if v := c.Param(k); v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, " ")
}

// suffixes of swept values, as factors to bytes, nanoseconds or a count.
var suffixes = []struct {
	name string
	size float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"B", 1},
	{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"", 1},
}

// quantity reads "16", "64MiB", "50ms"; it has to be finite.
func quantity(text string) (float64, bool) {
	for _, s := range suffixes {
		digits, ok := strings.CutSuffix(text, s.name)
		if !ok {
			continue
		}
		if v, err := strconv.ParseFloat(digits, 64); err == nil && v-v == 0 {
			return v * s.size, true
		}
	}
	return 0, false
}

// growth states the cost of one more step for the columns that grow: at least
// four points, nine tenths of the variation explained by a line, and a rise of
// a fifth or more over the whole sweep.
func growth(family string, p *pivot) []string {
	s := sweeps[family]
	if s.step == "" {
		return nil
	}
	var notes []string
	for _, col := range p.cols {
		var x, y []float64
		for _, row := range p.rows {
			v, _ := quantity(row)
			x, y = append(x, v/s.size), append(y, p.at(row, col))
		}
		fit := stats.Growth(x, y)
		rise := fit.Coeff * (x[len(x)-1] - x[0])
		if fit.N < 4 || !(fit.R2 >= 0.9) || rise < y[0]/5 {
			continue
		}
		per, many := fit.Coeff, "each further "+s.step
		if per < 1 {
			per, many = per*1000, "each further 1,000 "+s.step+"s"
		}
		note := fmt.Sprintf("%s: %s costs %s more", col, many, table.Duration(per))
		if fit.Exponent > 1.3 {
			note += fmt.Sprintf(", and ever more (order %.1f)", fit.Exponent)
		}
		notes = append(notes, note+".")
	}
	return notes
}
