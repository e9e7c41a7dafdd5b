package answer

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// namespaces are the flags of clone(2) that create one namespace each, and
// how a sentence names them.
var namespaces = map[string]string{
	"user":   "A user namespace",
	"pid":    "A PID namespace",
	"net":    "A network namespace",
	"mnt":    "A mount namespace",
	"uts":    "A UTS namespace",
	"ipc":    "An IPC namespace",
	"cgroup": "A cgroup namespace",
	"time":   "A time namespace",
}

// hiddenWait is how many times dearer than its burst figure a paced one must
// be for the table to mark it: the gap holds a wait that a tight loop hides.
const hiddenWait = 5

// cloneView is the clone family as one table: what each flag costs over the
// null case of the same launch mode and pacing.
type cloneView struct {
	mode   string // vm, or the first other mode that has a null case
	pacing string // of the column "extra over none": burst, or paced when only that was measured
	base   stats.Summary
	paced  stats.Summary // null case of the paced column; N is 0 when there is none
	rows   []cloneRow
	// A child that shares memory enters its new time namespace at once, as on
	// Linux 6.1; newer kernels only create it then.
	timeEntered bool
}

type cloneRow struct {
	flag  string
	extra stats.Shift // ns over the null case
	paced stats.Shift // the same at 50 ms between two calls; N is 0 when not measured
	gone  float64     // ns from closing the last reference to gone; NaN when not measured
}

// newCloneView is nil when the file has no null case of clone.
func newCloneView(f *sample.File) *cloneView {
	v := &cloneView{timeEntered: f.Recorded("time_namespace_vm") == "entered"}
	for _, pacing := range []string{"burst", "paced"} {
		for _, mode := range []string{"vm", "stub", "fork"} {
			if v.mode == "" && len(reaped(f, "none", mode, pacing)) > 0 {
				v.mode, v.pacing = mode, pacing
			}
		}
	}
	if v.mode == "" {
		return nil
	}
	base := reaped(f, "none", v.mode, v.pacing)
	v.base = stats.Summarize(base)
	var pacedBase []float64
	if v.pacing == "burst" {
		pacedBase = reaped(f, "none", v.mode, "paced")
	}
	v.paced = stats.Summarize(pacedBase)
	var seen []string
	for _, c := range f.Family("Clone") {
		flag := c.Param("flag")
		if flag == "" || flag == "none" || c.Param("mode") != v.mode || slices.Contains(seen, flag) {
			continue
		}
		seen = append(seen, flag)
		row := cloneRow{flag: flag, gone: math.NaN()}
		row.extra = stats.Increment(base, reaped(f, flag, v.mode, v.pacing))
		if v.pacing == "burst" {
			row.paced = stats.Increment(pacedBase, reaped(f, flag, v.mode, "paced"))
		} else {
			row.paced = stats.Increment(nil, nil)
		}
		if t := f.Case("Teardown/flag=" + flag); t != nil {
			row.gone = median(t, "gone-ns")
		}
		v.rows = append(v.rows, row)
	}
	slices.SortStableFunc(v.rows, compareRows)
	return v
}

// reaped are the times from clone3 to the child reaped, ns.
func reaped(f *sample.File, flag, mode, pacing string) []float64 {
	c := f.Case("Clone/flag=" + flag + "/mode=" + mode + "/pacing=" + pacing)
	if c == nil {
		return nil
	}
	return c.Values["reap-ns"]
}

// compareRows puts single flags first, the cheap ones above, then the sets.
func compareRows(a, b cloneRow) int {
	if x, y := a.set(), b.set(); x != y {
		if y {
			return -1
		}
		return 1
	}
	x, y := a.extra.Delta, b.extra.Delta
	switch {
	case math.IsNaN(x) && math.IsNaN(y), x == y:
		return 0
	case math.IsNaN(y), x < y:
		return -1
	}
	return 1
}

// set reports whether the row is more than one namespace.
func (r cloneRow) set() bool { return namespaces[r.flag] == "" }

// waits reports whether pacing shows a wait that the burst figure hides: the
// paced increment is at least hiddenWait times the burst one, and by more
// than the uncertainty of both.
func (r cloneRow) waits() bool {
	return r.paced.N > 0 && r.extra.N > 0 && r.paced.Delta > 0 &&
		r.paced.Delta >= hiddenWait*r.extra.Delta && r.paced.Lo > r.extra.Hi
}

func (v *cloneView) table() table.Table {
	extra := []string{table.Duration(v.base.Median)}
	spread := []string{table.Range(v.base.Lo, v.base.Hi)}
	paced := []string{table.Duration(v.paced.Median)}
	gone := []string{"-"}
	names, marks := []string{"none (base)"}, []string{""}
	for _, r := range v.rows {
		name, mark := r.flag, ""
		if r.flag == "time" && v.mode == "vm" {
			name += " (1)"
		}
		if r.waits() {
			mark = "!"
		}
		names, marks = append(names, name), append(marks, mark)
		extra = append(extra, table.Increase(r.extra.Delta))
		spread = append(spread, table.Range(r.extra.Lo, r.extra.Hi))
		paced = append(paced, table.Increase(r.paced.Delta))
		gone = append(gone, table.Duration(r.gone))
	}
	return assemble(names, []cells{
		{"extra over none", signed(extra)},
		{"95 % range", spread},
		{"paced 50 ms", marked(signed(paced), marks)},
		{"gone after", gone},
	})
}

// cells is one column of figures.
type cells struct {
	header string
	rows   []string
}

// assemble makes the table of the columns that hold any figure.
func assemble(names []string, cols []cells) table.Table {
	t := table.Table{Header: []string{"clone(2) flag"}, Align: []table.Align{table.Left}}
	for _, name := range names {
		t.Rows = append(t.Rows, []string{name})
	}
	for _, col := range cols {
		if !slices.ContainsFunc(col.rows, func(c string) bool { return strings.TrimSpace(c) != "-" }) {
			continue
		}
		t.Header = append(t.Header, col.header)
		t.Align = append(t.Align, table.Right)
		for i := range t.Rows {
			t.Rows[i] = append(t.Rows[i], col.rows[i])
		}
	}
	return t
}

// signed lines the signs of a column up, apart from the figures.
func signed(rows []string) []string {
	digits := 0
	for _, c := range rows {
		digits = max(digits, len(strings.TrimLeft(c, "+- ")))
	}
	out := make([]string, len(rows))
	for i, c := range rows {
		out[i] = c
		if sign, figure, ok := strings.Cut(c, " "); ok && (sign == "+" || sign == "-") {
			out[i] = fmt.Sprintf("%s %*s", sign, digits, figure)
		}
	}
	return out
}

// marked puts the marks behind a column; without any it stays as it is.
func marked(rows, marks []string) []string {
	if !slices.Contains(marks, "!") {
		return rows
	}
	out := make([]string, len(rows))
	for i, c := range rows {
		out[i] = fmt.Sprintf("%s  %-1s", c, marks[i])
	}
	return out
}

// modes compares the launch modes, when there is more than one.
func modes(f *sample.File, pacing string) []table.Table {
	p := pivot{title: "By launch mode, " + pacing + ", median reap-ns", row: "flag"}
	for _, c := range f.Family("Clone") {
		if c.Param("pacing") == pacing {
			p.add(c.Param("flag"), c.Param("mode"), median(c, "reap-ns"))
		}
	}
	if len(p.cols) < 2 {
		return nil
	}
	return []table.Table{p.table()}
}
