package limits

import (
	"fmt"
	"math"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// Within how many periods a limit is to hold. The kernel's own rewrite gives
// whoever was throttled one more period's quota.
const (
	soon   = 2
	latest = 5
)

// cpuConverge is the rule of limits that change, or that a process is moved into.
func cpuConverge() rule {
	return rule{
		family: "CpuConverge", limit: "cpu.max, changed", judge: judgeConverge, each: true,
		needs: []string{"converge-period-count", "settled-count"},
		columns: []column{
			{"holds within", func(j Judgement) string { return j.Got }},
			{"that is", lasting("converge-ns")},
			{"the change took", lasting("write-ns")},
		},
	}
}

func judgeConverge(c *sample.Case, v map[string]float64, _ map[string]string, _ Options) Judgement {
	words := map[string]string{"moved-in": "moved into", "raised": "raised to", "lowered": "lowered to"}[c.Param("change")]
	j := Judgement{Asked: words + " " + askedCPU(c), Unit: "count", Budget: soon}
	if v == nil {
		return j
	}
	n := v["converge-period-count"]
	j.Error, j.Got, j.Worst = n, periods(n), table.Duration(v["converge-ns"])
	booked := v["accounted-ratio"]
	switch {
	case v["steal-ratio"] > mostSteal:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("the host took %s of the CPU time", percent(v["steal-ratio"]))
	case math.Abs(booked) > max(mostUnbooked, v["near-ratio"]/10):
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("the group was charged %+.1f %% against what its processes used", 100*booked)
	case n <= soon:
		j.Verdict = Accurate
	case v["others-ratio"] > mostBeside:
		j.Verdict, j.Why = NotJudged, "the use did not come near the limit for "+periods(n)+beside(v["others-ratio"])
	case n <= latest:
		j.Verdict = Within
	case v["settled-count"] == 0 && math.Abs(v["later-use-ratio"]-1) <= v["near-ratio"]:
		j.Verdict, j.Why = NotJudged, "the use was near the limit on the whole, and too uneven from period to period: the kernel's ticks come late here"
	case v["settled-count"] == 0:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("the use did not stay within %s of the limit as long as it was watched", percent(v["near-ratio"]))
	default:
		j.Verdict, j.Why = Inaccurate, "it took longer than "+periods(latest)
	}
	return j
}

// mostBeside is how many CPUs others may have used before they explain what a
// load did not use.
const mostBeside = 0.25

func periods(n float64) string {
	if n == 1 {
		return "1 period"
	}
	return fmt.Sprintf("%.0f periods", n)
}

// rested is the most of its limit that a load may use on the whole if it is to
// have saved a burst before each.
const rested = 0.85

// cpuBurst is the rule of saved quota.
func cpuBurst() rule {
	return rule{
		family: "CpuBurst", limit: "cpu.max.burst", judge: judgeBurst, each: true,
		needs: []string{"use-max-ratio", "may-ratio", "slack-ratio"},
		columns: []column{
			{"most in a period", func(j Judgement) string { return j.Got }},
			{"may be", func(j Judgement) string { return percent(j.Figures["may-ratio"]) }},
			{"on the whole", func(j Judgement) string { return percent(j.Figures["achieved-ratio"]) }},
		},
	}
}

// judgeBurst: a period may use the quota and what was saved, and must be able
// to; on the whole the group has no more than its limit.
func judgeBurst(c *sample.Case, v map[string]float64, _ map[string]string, o Options) Judgement {
	j := Judgement{Asked: askedCPU(c) + ", burst " + c.Param("burst")}
	if v == nil {
		return j
	}
	most, may, slack := v["use-max-ratio"], v["may-ratio"], v["slack-ratio"]
	j.Got, j.Error, j.Budget = percent(most), most/may-1, slack/may
	booked := v["accounted-ratio"]
	switch {
	case v["steal-ratio"] > mostSteal:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("the host took %s of the CPU time", percent(v["steal-ratio"]))
	case math.Abs(booked) > mostUnbooked:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("the group was charged %+.1f %% against what its processes used", 100*booked)
	case v["burst-ratio"] > 1:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("a period used %s of its quota: more than what was saved, a tick and 1 ms on each CPU", percent(most))
	case v["achieved-ratio"] > v["entitled-ratio"]*(1+o.tolerance()):
		j.Verdict, j.Why = Inaccurate, "on the whole it got "+percent(v["achieved-ratio"])
	case most < may-slack && v["others-ratio"] > mostBeside:
		j.Verdict, j.Why = NotJudged, "it did not use what it had saved"+beside(v["others-ratio"])
	case most < may-slack && v["achieved-ratio"] > rested*v["entitled-ratio"]:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("it used %s on the whole, and so had little to save", percent(v["achieved-ratio"]))
	case most < may-slack:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("it could use only %s of its quota in a period: what it saved was lost", percent(most))
	default:
		j.Verdict = Within // a period is too short to tell a tick from more
		if j.Budget <= o.tolerance() {
			j.Verdict = Accurate
		}
	}
	return j
}
