package page

import (
	"isoperf/bench/sample"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// roots sets pivot_root against the other ways to change the root, back to back.
func roots(f *sample.File) Text {
	whole := func(method string) (stats.Summary, *sample.Case) {
		for _, c := range f.Family("Pivot") {
			if c.Param("method") == method && c.Param("pacing") == "burst" && len(c.Values["op-ns"]) > 0 {
				return stats.Summarize(c.Values["op-ns"]), c
			}
		}
		return stats.Summary{}, nil
	}
	pivot, c := whole("pivot_root")
	move, _ := whole("move")
	if pivot.N == 0 || move.N == 0 {
		return nil
	}
	s := textf("**Another root**, back to back: pivot_root with the old root dropped takes %s, %s MS_MOVE and chroot (%s), which leave it mounted",
		table.Duration(pivot.Median), multiple(pivot.Median/move.Median), table.Duration(move.Median))
	if detach := c.Values["detach-ns"]; len(detach) > 0 {
		s.add("; %s of it are the umount2 of the old root", table.Duration(stats.Summarize(detach).Median))
	}
	return append(s, words(".")...)
}
