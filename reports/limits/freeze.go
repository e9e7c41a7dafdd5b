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
		needs: []string{"freeze-ns", "moved-count"}, each: true, exact: true,
		columns: []column{
			{"frozen in", lasting("freeze-ns")},
			{"thawed in", lasting("thaw-ns")},
			{"all run after", lasting("all-run-ns")},
			{"killed in", lasting("kill-ns")},
			{"by", killedBy},
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

// killedBy is how: version 1, and kernels before 5.14, have no cgroup.kill.
func killedBy(j Judgement) string {
	switch n := j.Figures["signal-count"]; n {
	case 0:
		return "one write"
	case 1:
		return "a signal"
	default:
		return fmt.Sprintf("%.0f signals", n)
	}
}

func judgeFreeze(c *sample.Case, v map[string]float64, _ map[string]string, _ Options) Judgement {
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
	return j
}
