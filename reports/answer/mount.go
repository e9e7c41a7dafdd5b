package answer

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// none is the null case of the family Mount.
const none = "none"

// operation names a case of the family Mount: "bind, shared", "overlay, 4 lower".
func operation(c *sample.Case) string {
	name := c.Param("op")
	if p := c.Param("propagation"); p != "" {
		name += ", " + p
	}
	if n := c.Param("lower"); n != "" {
		name += ", " + n + " lower"
	}
	return name
}

// operations are the rows of a family, burst and paced, in order of appearance.
type operations struct {
	names []string
	cases map[[2]string]*sample.Case // by name and pacing
}

func newOperations(f *sample.File, family string, name func(*sample.Case) string) operations {
	o := operations{cases: map[[2]string]*sample.Case{}}
	for _, c := range f.Family(family) {
		if c.N() == 0 {
			continue
		}
		n := name(c)
		if !slices.Contains(o.names, n) {
			o.names = append(o.names, n)
		}
		o.cases[[2]string{n, c.Param("pacing")}] = c
	}
	return o
}

// of is the summary of op-ns; its median is NaN where there is none.
func (o operations) of(name, pacing string) stats.Summary {
	if c := o.cases[[2]string{name, pacing}]; c != nil {
		return stats.Summarize(c.Values["op-ns"])
	}
	return stats.Summarize(nil)
}

// mountTable is a row for each call.
func mountTable(f *sample.File) []table.Table {
	o := newOperations(f, "Mount", operation)
	t := table.Table{
		Title: "Mount: each call alone", Header: []string{"operation", "median", "95 % range", "paced 50 ms"},
		Align: []table.Align{table.Left, table.Right, table.Right, table.Right},
	}
	for _, name := range o.names {
		burst, paced := o.of(name, "burst"), o.of(name, "paced")
		if name == none {
			t.Notes = []string{"none: the cheapest system call (getppid), measured in the same way."}
		}
		t.Rows = append(t.Rows, []string{name, figure(burst.Median, ""), spread(burst.Lo, burst.Hi, "-ns"), figure(paced.Median, "")})
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []table.Table{t}
}

// pivotTable sets the ways to change the root against the cheapest, and shows
// their parts.
func pivotTable(f *sample.File) []table.Table {
	o := newOperations(f, "Pivot", func(c *sample.Case) string { return c.Param("method") })
	if len(o.names) == 0 {
		return nil
	}
	least := math.Inf(1)
	for _, name := range o.names {
		if m := o.of(name, "burst").Median; m < least {
			least = m
		}
	}
	t := table.Table{
		Title: "Pivot: another root", Header: []string{"method", "median", "95 % range", "ratio", "paced 50 ms"},
		Align: []table.Align{table.Left, table.Right, table.Right, table.Right, table.Right},
	}
	for _, name := range o.names {
		burst, paced := o.of(name, "burst"), o.of(name, "paced")
		ratio := "-"
		if burst.N > 0 && least > 0 {
			ratio = fmt.Sprintf("%.1fx", burst.Median/least)
		}
		t.Rows = append(t.Rows, []string{name, figure(burst.Median, ""), spread(burst.Lo, burst.Hi, "-ns"), ratio, figure(paced.Median, "")})
		if note := o.parts(name); note != "" {
			t.Notes = append(t.Notes, note)
		}
	}
	return []table.Table{t}
}

// parts says what a method's calls take, back to back.
func (o operations) parts(name string) string {
	c := o.cases[[2]string{name, "burst"}]
	if c == nil {
		return ""
	}
	calls := map[string]string{
		"pivot-ns": `pivot_root(".", ".")`, "detach-ns": "umount2(MNT_DETACH) of the old root",
		"move-ns": "mount(MS_MOVE)", "chroot-ns": "chroot",
	}
	var words []string
	for _, unit := range c.Units {
		if call := calls[unit]; call != "" {
			words = append(words, call+" "+figure(median(c, unit), unit))
		}
	}
	return name + ": " + strings.Join(words, ", ") + "."
}

// attachTables show medians by pause for the hierarchies that were swept, and
// the others back to back and alone.
func attachTables(f *sample.File) []table.Table {
	swept := pivot{title: "Attach: by the pause before it, medians", row: "pause"}
	others := pivot{title: "Attach: other controllers, medians", row: "hierarchy"}
	pauses := map[string]map[string]bool{}
	cases := slices.Clone(f.Family("Attach"))
	slices.SortStableFunc(cases, func(a, b *sample.Case) int {
		x, _ := quantity(a.Param("gap"))
		y, _ := quantity(b.Param("gap"))
		return cmp.Compare(x, y)
	})
	for _, c := range cases {
		h := c.Param("hierarchy")
		if pauses[h] == nil {
			pauses[h] = map[string]bool{}
		}
		pauses[h][c.Param("gap")] = true
	}
	for _, c := range cases {
		h, op, gap := c.Param("hierarchy"), c.Param("op"), c.Param("gap")
		if len(pauses[h]) > 2 {
			swept.add(gap, strings.TrimSuffix(op+" "+h, " none"), median(c, "op-ns"))
		} else {
			others.add(h, op+" "+gap, median(c, "op-ns"))
		}
	}
	if len(swept.rows) == 0 {
		others.title = "Attach: by the pause before it, medians"
	}
	var all []table.Table
	for _, p := range []*pivot{&swept, &others} {
		if len(p.rows) > 0 {
			all = append(all, p.table())
		}
	}
	if len(all) > 0 {
		all[0].Notes = []string{"write: the process's id to cgroup.procs. write-tasks: to tasks. write-self: the writer itself. " +
			"born: cloned into the group (version 1: enter, clone, leave). clone: the same without a group."}
	}
	return all
}

// mountHeadline says what the dearest and the cheapest call of a container's
// start cost, and what the way to change the root does; "" when none was
// measured.
func mountHeadline(f *sample.File) string {
	var parts []string
	o := newOperations(f, "Mount", operation)
	type price struct {
		name string
		ns   float64
	}
	var prices []price
	for _, name := range o.names {
		if s := o.of(name, "burst"); s.N > 0 && name != none {
			prices = append(prices, price{name, s.Median})
		}
	}
	slices.SortStableFunc(prices, func(a, b price) int { return cmp.Compare(a.ns, b.ns) })
	if n := len(prices); n > 1 {
		low, high := prices[0], prices[n-1]
		parts = append(parts, fmt.Sprintf("Of %d mount operations the dearest is %s with %s, the cheapest %s with %s", n, high.name, brief(high.ns), low.name, brief(low.ns)))
	}
	p := newOperations(f, "Pivot", func(c *sample.Case) string { return c.Param("method") })
	if root, move := p.of("pivot_root", "burst"), p.of("move", "burst"); root.N > 0 && move.N > 0 {
		parts = append(parts, fmt.Sprintf("pivot_root costs %s, %.1fx MS_MOVE and chroot (%s), which leave the old root mounted", brief(root.Median), root.Median/move.Median, brief(move.Median)))
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, "; ") + "."
}
