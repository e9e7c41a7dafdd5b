package limits

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
)

// mostFew is by how much groups may differ that have a CPU for each of their
// threads: a third of what the kernel's own test accepts.
const mostFew = 0.05

// cpuWeight is the rule of CPU weights. Where all want more than there is, the
// error is in percentage points of all that was used; where a group is idle, it is
// what is left unused, and where there are CPUs enough, how much less than its
// CPUs a group got: both relative.
func cpuWeight() rule {
	return rule{
		family: "CpuWeight", limit: "cpu.weight", judge: judgeCPUWeight,
		needs: []string{"budget-ratio", "cpu-count"},
		columns: []column{
			{"got", func(j Judgement) string { return j.Got }},
			{"error", func(j Judgement) string { return inUnit(j.Error, j.Unit, "%+.2f") }},
			{"could be off by", func(j Judgement) string { return inUnit(j.Budget, j.Unit, "%.2f") }},
			{"fairness", func(j Judgement) string { return fmt.Sprintf("%.4f", j.Figures["jain-ratio"]) }},
		},
	}
}

// inUnit writes an error or a budget in points, or in per cent.
func inUnit(v float64, unit, format string) string {
	if unit == "points" {
		return fmt.Sprintf(format+" points", v)
	}
	return fmt.Sprintf(format+" %%", 100*v)
}

func judgeCPUWeight(c *sample.Case, v map[string]float64, facts map[string]string, o Options) Judgement {
	j := Judgement{Asked: askedWeight(c)}
	if v == nil {
		return j
	}
	j.Got = strings.Join(gotShares(c, v), ":") + " %"
	tolerance := o.tolerance()
	switch facts["shape"] {
	case "a group is idle":
		j.Error, j.Budget = v["total-error-ratio"], v["budget-ratio"]
		j.Verdict = tell(j.Error, j.Budget, tolerance)
	case "fewer threads than CPUs":
		tolerance = max(tolerance, mostFew)
		j.Error, j.Budget = v["relative-error-ratio"], v["budget-ratio"]
		j.Verdict = tell(j.Error, j.Budget, tolerance)
	case "all want more than there is":
		j.Unit = "points"
		j.Error, j.Budget = 100*v["share-error-ratio"], 100*v["budget-ratio"]
		j.Verdict = tell(j.Error, j.Budget, 100*tolerance)
	default:
		j.Verdict, j.Why = NotJudged, "the file does not say what the case asks"
		return j
	}
	others := v["others-ratio"]
	switch {
	case v["steal-ratio"] > mostSteal:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("the host took %s of the CPU time", percent(v["steal-ratio"]))
	case others > tolerance*v["cpu-count"]:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("others used %s of a CPU: that alone may shift a share by more than what is accurate", percent(others))
	case math.Abs(v["accounted-ratio"]) > max(mostUnbooked, v["accounted-budget-ratio"]):
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("a group was charged %+.1f %% against what its processes used", 100*v["accounted-ratio"])
	case math.Abs(v["parent-ratio"]) > max(mostUnbooked, v["budget-ratio"]):
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("the groups were charged %+.1f %% against the group above them", 100*v["parent-ratio"])
	case facts["shape"] == "all want more than there is" && v["total-error-ratio"] < -max(tolerance, v["budget-ratio"]):
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("the loads did not use the CPUs up: %+.1f %%", 100*v["total-error-ratio"])
	case j.Verdict == Inaccurate && facts["shape"] == "a group is idle":
		j.Why = "what an idle group leaves is not used up"
	case j.Verdict == Inaccurate && j.Unit == "points" && c.Param("place") == "free":
		j.Why = fmt.Sprintf("a group is %.1f %% off what its weight entitles it to: weights hold on each CPU, and the kernel did not spread the threads evenly if the pinned case is accurate", 100*v["relative-error-ratio"])
	case j.Verdict == Inaccurate && j.Unit == "points":
		j.Why = fmt.Sprintf("a group is %.1f %% off what its weight entitles it to", 100*v["relative-error-ratio"])
	case j.Verdict == Inaccurate:
		j.Why = "there are CPUs enough, and a group did not get its own"
	}
	return j
}

// askedWeight are the weights, and the threads where they say something.
func askedWeight(c *sample.Case) string {
	words := c.Param("weights")
	if n := c.Param("threads"); n != "" {
		words += ", " + n + " threads"
	}
	if c.Param("place") == "free" {
		words += ", unpinned"
	}
	return words
}

// gotShares is the share of each group in all that was got, per cent.
func gotShares(c *sample.Case, v map[string]float64) []string {
	var units []string
	total := 0.0
	for _, unit := range c.Units {
		if strings.HasPrefix(unit, "group") && strings.HasSuffix(unit, "-achieved-ratio") && !slices.Contains(units, unit) {
			units, total = append(units, unit), total+v[unit]
		}
	}
	var list []string
	for _, unit := range units {
		list = append(list, fmt.Sprintf("%.1f", 100*v[unit]/max(total, 1e-12)))
	}
	return list
}
