// Package lives says where the commands of an OCI runtime spend their time, from
// the timelines that they left on a host in real use:
//
//	isorun --timeline DIR create, start, delete … ──► files ──read by the caller──► []Command ──Write──► a table for each command
//
// A step may lie within another, and then stands behind it, indented: the steps
// do not add up to the whole.
package lives

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// Command is one command that was run: what its timeline says.
type Command struct {
	Name  string // "create"
	Steps []Step // in the order in which they began
}

// Step is one step, in nanoseconds of any clock that all steps share.
type Step struct {
	Name       string
	Start, End int64
}

// phase is a step, over all runs of a command.
type phase struct {
	name  string
	deep  int       // how many steps it lies within
	after float64   // when it began, summed over the runs
	took  []float64 // nanoseconds
}

// Write prints the answer in words, and a table for each command.
func Write(w io.Writer, all []Command) error {
	byName := map[string][]Command{}
	for _, c := range all {
		if len(c.Steps) > 0 {
			byName[c.Name] = append(byName[c.Name], c)
		}
	}
	var names []string
	for name := range byName {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a, b)) })
	if err := lead(w, names, byName); err != nil {
		return err
	}
	for _, name := range names {
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		if err := table.Plain(w, profile(name, byName[name])); err != nil {
			return err
		}
	}
	return nil
}

// order is that of a container's life.
func order(name string) int {
	if i := slices.Index([]string{"run", "create", "start", "exec", "kill", "delete"}, name); i >= 0 {
		return i
	}
	return 100
}

// lead is the answer.
func lead(w io.Writer, names []string, byName map[string][]Command) error {
	if len(names) == 0 {
		_, err := fmt.Fprintln(w, "There are no timelines: run isorun with --timeline DIR, or with ISORUN_TIMELINE=DIR.")
		return err
	}
	var parts []string
	n := 0
	for _, name := range names {
		n += len(byName[name])
		parts = append(parts, fmt.Sprintf("%s takes %s", name, table.Duration(stats.Quantiles(wholes(byName[name]), 0.5)[0])))
	}
	_, err := fmt.Fprintf(w, "In the median, %s (%s).\n", strings.Join(parts, ", "), table.Plural(n, "timeline", "timelines"))
	return err
}

// wholes are how long each run took, from its first step to the end of its last.
func wholes(runs []Command) []float64 {
	var list []float64
	for _, c := range runs {
		begin, end := c.Steps[0].Start, c.Steps[0].End
		for _, s := range c.Steps {
			begin, end = min(begin, s.Start), max(end, s.End)
		}
		list = append(list, float64(end-begin))
	}
	return list
}

// profile is a command's table.
func profile(name string, runs []Command) table.Table {
	all := wholes(runs)
	t := table.Table{
		Title:  fmt.Sprintf("%s, %s", name, table.Plural(len(runs), "run", "runs")),
		Header: []string{"step", "median", "p95", "most", "of the whole", "runs"},
		Align:  []table.Align{table.Left, table.Right, table.Right, table.Right, table.Right, table.Right},
	}
	whole := stats.Quantiles(all, 0.5)[0]
	row := func(name string, took []float64) {
		q := stats.Quantiles(took, 0.5, 0.95, 1)
		t.Rows = append(t.Rows, []string{name, table.Duration(q[0]), table.Duration(q[1]), table.Duration(q[2]), table.Percent(q[0] / whole), table.Count(len(took))})
	}
	for _, p := range phases(runs) {
		row(strings.Repeat("  ", p.deep)+p.name, p.took)
	}
	row("whole", all)
	return t
}

// phases are the steps by their names, in the order in which they begin in the
// mean.
func phases(runs []Command) []*phase {
	found := map[string]*phase{}
	var list []*phase
	for _, c := range runs {
		begin := c.Steps[0].Start
		for i, s := range c.Steps {
			p := found[s.Name]
			if p == nil {
				p = &phase{name: s.Name}
				found[s.Name], list = p, append(list, p)
			}
			p.took = append(p.took, float64(s.End-s.Start))
			p.after += float64(s.Start - begin)
			deep := 0
			for j, other := range c.Steps {
				if j != i && other.Start <= s.Start && s.End <= other.End && other.End-other.Start > s.End-s.Start {
					deep++
				}
			}
			p.deep = max(p.deep, deep)
		}
	}
	slices.SortStableFunc(list, func(a, b *phase) int {
		return cmp.Or(cmp.Compare(a.after/float64(len(a.took)), b.after/float64(len(b.took))), cmp.Compare(a.deep, b.deep))
	})
	return list
}
