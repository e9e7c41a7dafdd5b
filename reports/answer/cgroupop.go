package answer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// groupOperation names a case of the family CgroupOp: "create, pids", "migrate,
// 100 threads, v2".
func groupOperation(c *sample.Case) string {
	name := c.Param("op")
	if n := c.Param("threads"); n == "1" {
		name += ", 1 thread"
	} else if n != "" {
		name += ", " + n + " threads"
	}
	return name + ", " + c.Param("hierarchy")
}

// groupTable is a row for each operation in each hierarchy.
func groupTable(f *sample.File) []table.Table {
	o := newOperations(f, "CgroupOp", groupOperation)
	t := table.Table{
		Title: "Operations on a control group", Header: []string{"operation", "median", "95 % range", "paced 50 ms"},
		Align: []table.Align{table.Left, table.Right, table.Right, table.Right},
		Notes: []string{"create: mkdir. remove: rmdir. configure, read: open, write or read, close. migrate: the id of a process with so many threads to cgroup.procs. " +
			"cpu, memory, pids: one hierarchy of version 1, and a container pays in each; v2: all controllers that version 2 has here."},
	}
	for _, name := range o.names {
		burst, paced := o.of(name, "burst"), o.of(name, "paced")
		t.Rows = append(t.Rows, []string{name, figure(burst.Median, ""), spread(burst.Lo, burst.Hi, "-ns"), figure(paced.Median, "")})
	}
	if len(t.Rows) == 0 {
		return nil
	}
	if slices.ContainsFunc(o.names, func(name string) bool { return strings.HasPrefix(name, "attach-") }) {
		t.Notes = append(t.Notes, "attach-favordynmods, attach-nofavordynmods: migrate, alone, with that option of the cgroup2 hierarchy and without.")
	}
	return []table.Table{t}
}

// groupHeadline says what the dearest and the cheapest operation cost, and what
// a pause before it does to a migration; "" when none was measured.
func groupHeadline(f *sample.File) string {
	o := newOperations(f, "CgroupOp", groupOperation)
	type price struct {
		name string
		ns   float64
	}
	var prices []price
	var worst price
	var base float64
	for _, name := range o.names {
		burst, paced := o.of(name, "burst"), o.of(name, "paced")
		if burst.N > 0 {
			prices = append(prices, price{name, burst.Median})
		}
		if strings.HasPrefix(name, "migrate") && burst.N > 0 && paced.N > 0 && paced.Median > worst.ns {
			worst, base = price{name, paced.Median}, burst.Median
		}
	}
	slices.SortStableFunc(prices, func(a, b price) int { return cmp.Compare(a.ns, b.ns) })
	if len(prices) < 2 {
		return ""
	}
	low, high := prices[0], prices[len(prices)-1]
	text := fmt.Sprintf("Of %d operations on control groups the dearest, back to back, is %s with %s, the cheapest %s with %s", len(prices), high.name, brief(high.ns), low.name, brief(low.ns))
	if worst.ns > 2*base {
		text += fmt.Sprintf("; %s costs %s when it comes 50 ms after the last one, and %s back to back", worst.name, brief(worst.ns), brief(base))
	}
	return text + "."
}
