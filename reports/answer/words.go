package answer

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"isoperf/reports/table"
)

// headline says which flag costs most, by how much, and what all cost.
func (v *cloneView) headline() string {
	var single []cloneRow
	for _, r := range v.rows {
		if !r.set() && r.extra.N > 0 {
			single = append(single, r)
		}
	}
	plain := brief(v.base.Median)
	if len(single) == 0 {
		return fmt.Sprintf("A process without any new namespace costs %s here; no flag was measured.", plain)
	}
	top := single[len(single)-1]
	if top.extra.Delta <= 0 || top.extra.Lo <= 0 && !math.IsInf(top.extra.Lo, -1) {
		return fmt.Sprintf("No namespace costs measurably more here than a process without one (%s).", plain)
	}
	text := fmt.Sprintf("%s costs %s here", namespaces[top.flag], brief(top.extra.Delta))
	if len(single) > 1 {
		text += second(top, single[len(single)-2], len(single) == len(namespaces))
	}
	for _, r := range v.rows {
		if r.flag == "all" && r.extra.N > 0 {
			text += fmt.Sprintf("; all %s %s", number(len(single)), brief(r.extra.Delta))
		}
	}
	return text + "."
}

// second sets the dearest flag against the next one; complete says that every
// flag was measured.
func second(top, next cloneRow, complete bool) string {
	other := "other flag"
	if !complete {
		other = "other flag measured"
	}
	if next.extra.Delta <= 0 {
		return fmt.Sprintf(", no %s costs more than none", other)
	}
	if ratio := times(top.extra.Delta, next.extra.Delta); ratio >= 2 {
		return fmt.Sprintf(", %dx any %s", ratio, other)
	}
	return fmt.Sprintf(", the next is %s with %s", next.flag, brief(next.extra.Delta))
}

// number is "eight" only when all eight were measured one by one: on an older
// kernel "all" is fewer.
func number(measured int) string {
	if measured == len(namespaces) {
		return "eight"
	}
	return "of them"
}

// brief is a duration as a sentence states it: "1.1 ms" for "1.10 ms".
func brief(ns float64) string {
	figure, unit, _ := strings.Cut(table.Duration(ns), " ")
	if i := strings.Index(figure, "."); i >= 0 && len(figure)-i > 2 {
		if v, err := strconv.ParseFloat(figure, 64); err == nil {
			figure = strconv.FormatFloat(v, 'f', 1, 64)
		}
	}
	return figure + " " + unit
}

// times is how many whole times a is b; both are positive.
func times(a, b float64) int { return int(min(a/b, 1e6)) }

// footnotes explain the marks of the table.
func (v *cloneView) footnotes() []string {
	var notes []string
	var waiting []cloneRow
	timed := false
	for _, r := range v.rows {
		if r.waits() {
			waiting = append(waiting, r)
		}
		timed = timed || r.flag == "time"
	}
	if len(waiting) > 0 {
		notes = append(notes, waitNote(waiting))
	}
	if timed && v.mode == "vm" {
		note := "(1) with shared memory the child creates but does not enter it; see `isoperf help clone`."
		if v.timeEntered {
			note = "(1) this kernel lets a child that shares memory enter it at once; newer ones do not; see `isoperf help clone`."
		}
		notes = append(notes, note)
	}
	if v.mode != "vm" {
		notes = append(notes, "Measured with mode="+v.mode+": there is no null case of mode=vm in this file.")
	}
	if v.pacing != "burst" {
		notes = append(notes, "All calls are 50 ms apart; burst was not measured.")
	}
	return notes
}

// waitNote explains "!". That the wait is one for RCU is known of mount
// namespaces only.
func waitNote(rows []cloneRow) string {
	var names []string
	least, most := math.MaxInt, 0
	mount := false
	for _, r := range rows {
		names = append(names, r.flag)
		mount = mount || r.flag == "mnt"
		if r.extra.Delta > 0 {
			x := times(r.paced.Delta, r.extra.Delta)
			least, most = min(least, x), max(most, x)
		}
	}
	costs, wait := "costs", "a wait"
	if len(rows) > 1 {
		costs = "cost"
	}
	if mount && len(rows) == 1 {
		wait = "an RCU wait"
	}
	factor := fmt.Sprintf("%dx", least)
	switch {
	case most == 0:
		factor = "much"
	case most > least:
		factor = fmt.Sprintf("%dx .. %dx", least, most)
	}
	return fmt.Sprintf("! %s %s %s more when calls are 50 ms apart: %s shows that a tight loop hides.",
		strings.Join(names, ", "), costs, factor, wait)
}
