package limits

import (
	"fmt"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// cpuset is the rule of CPU sets. It is exact: a thread on a CPU that the group
// may not use is an error, however short. That the CPUs of the set are used in
// full is told beside it, and judged only where nobody else wanted them.
func cpuset() rule {
	return rule{
		family: "Cpuset", limit: "cpuset.cpus", judge: judgeCpuset,
		needs: []string{"achieved-ratio", "stray-count", "look-count"}, each: true,
		columns: []column{
			{"got", func(j Judgement) string { return j.Got }},
			{"looks", func(j Judgement) string { return table.Count(int(j.Figures["look-count"])) }},
			{"elsewhere", func(j Judgement) string { return fmt.Sprintf("%.0f", j.Figures["stray-count"]) }},
			{"moved in", func(j Judgement) string {
				if v, ok := j.Figures["migrate-ns"]; ok {
					return table.Duration(v)
				}
				return "-"
			}},
		},
	}
}

func judgeCpuset(c *sample.Case, v map[string]float64, facts map[string]string, o Options) Judgement {
	j := Judgement{Asked: "CPU " + c.Param("cpus"), Unit: "count"}
	if to := c.Param("to"); to != "" {
		j.Asked += ", then " + to
	}
	j.Asked += ", " + c.Param("threads") + " threads"
	if v == nil {
		return j
	}
	j.Got = fmt.Sprintf("%.2f CPUs", v["achieved-ratio"])
	j.Error = v["stray-count"]
	tolerance := max(o.tolerance(), v["budget-ratio"])
	short := v["error-ratio"] < -tolerance
	switch {
	case j.Error > 0:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("in %.0f of %.0f looks a thread was elsewhere: %s", j.Error, v["look-count"], facts["stray"])
	case v["outside-ns"] > 0:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("the group used %s on CPUs that it may not use", table.Duration(v["outside-ns"]))
	case v["error-ratio"] > tolerance:
		j.Verdict, j.Why = Inaccurate, "it used more CPUs than it may"
	case v["look-count"] == 0:
		j.Verdict, j.Why = NotJudged, "no thread was seen to run"
	case short && v["steal-ratio"] > mostSteal:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("the host took %s of the CPU time", percent(v["steal-ratio"]))
	case short && v["others-ratio"] > 0.02:
		j.Verdict, j.Why = NotJudged, "no thread was elsewhere, but the load did not get its CPUs"+beside(v["others-ratio"])
	case short:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("CPUs of the set stayed idle: it got %+.1f %%", 100*v["error-ratio"])
	default:
		j.Verdict = Accurate
	}
	return j
}
