package limits

import (
	"fmt"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// freeze is the rule of freezing and killing. How long it takes is told; what is
// judged is exact: no task moves in a frozen group, and none is left of a
// killed one.
func freeze() rule {
	return rule{
		family: "Freeze", limit: "cgroup.freeze", judge: judgeFreeze,
		columns: []column{
			{"frozen in", lasting("freeze-ns")},
			{"thawed in", lasting("thaw-ns")},
			{"all run after", lasting("all-run-ns")},
			{"killed in", lasting("kill-ns")},
			{"empty in", lasting("empty-ns")},
		},
	}
}

// lasting is a cell with a time, or none where it was not reached.
func lasting(unit string) func(Judgement) string {
	return func(j Judgement) string {
		if v, ok := j.Figures[unit]; ok {
			return table.Duration(v)
		}
		return "never"
	}
}

func judgeFreeze(c *sample.Case, v map[string]float64, facts map[string]string, _ Options) Judgement {
	verb := map[string]string{"spin": "computing", "sleep": "sleeping"}[c.Param("load")]
	j := Judgement{Asked: fmt.Sprintf("%s, %s", c.Param("tasks"), verb), Unit: "count"}
	if v == nil {
		return j
	}
	j.Got = "frozen in " + table.Duration(v["freeze-ns"])
	j.Error = v["moved-count"] + v["left-count"]
	switch {
	case v["moved-count"] > 0:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("%.0f processes moved while the group was frozen", v["moved-count"])
	case v["left-count"] > 0:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("%.0f processes outlived the kill", v["left-count"])
	default:
		j.Verdict = Accurate
	}
	if by := facts["kill"]; by == "signals" {
		j.Note = "killed by signals, one after another: version 1 and kernels before 5.14 have no cgroup.kill"
	}
	return j
}
