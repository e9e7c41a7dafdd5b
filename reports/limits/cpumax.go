package limits

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// The bounds of what is not an error of the limit, but a reason to doubt.
const (
	mostSteal    = 0.01 // of all CPU time
	leastStopped = 0.95 // of the periods: the load wanted more in each
	mostDrift    = 0.02 // between the two ways to compute the error
	mostUnbooked = 0.01 // between the counter and the processes' own clocks
)

// cpuMax is the rule of CPU bandwidth.
func cpuMax() rule {
	return rule{
		family: "CpuMax", limit: "cpu.max", judge: judgeCPUMax,
		columns: []column{
			{"got", func(j Judgement) string { return j.Got }},
			{"error", func(j Judgement) string { return signed(j, j.Error) }},
			{"could be off by", func(j Judgement) string { return share(j, j.Budget) }},
			{"worst stall", func(j Judgement) string { return j.Worst }},
		},
	}
}

func judgeCPUMax(c *sample.Case, v map[string]float64, _ map[string]string, o Options) Judgement {
	j := Judgement{Asked: askedCPU(c)}
	if v == nil {
		return j
	}
	j.Got, j.Error, j.Budget = percent(v["achieved-ratio"]), v["error-ratio"], v["budget-ratio"]
	j.Worst = table.Duration(v["stall-ns"])
	low, high := Selftest(v["entitled-ratio"])
	j.Kernel = fmt.Sprintf("%.1f .. %.1f %%", 100*low, 100*high)
	j.Verdict = tell(j.Error, j.Budget, o.tolerance())
	byPeriods, binds := v["periods-error-ratio"]
	booked := v["accounted-ratio"]
	short := j.Error < -max(o.tolerance(), j.Budget)
	switch {
	case v["steal-ratio"] > mostSteal:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("the host took %s of the CPU time", percent(v["steal-ratio"]))
	case math.Abs(booked) > max(mostUnbooked, j.Budget):
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("the group was charged %+.1f %% against what its processes used", 100*booked)
	case binds && v["throttled-ratio"] < leastStopped && j.Error <= max(o.tolerance(), j.Budget):
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("the load did not reach the limit: it was held back in %s of the periods%s", percent(v["throttled-ratio"]), beside(v["others-ratio"]))
	case !binds && short && v["others-ratio"] > 0.02:
		j.Verdict, j.Why = NotJudged, "the load did not get the CPUs that the limit leaves it"+beside(v["others-ratio"])
	case binds && math.Abs(byPeriods-j.Error) > mostDrift:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("by the count of periods the error is %+.1f %%: the periods are not as long as they say", 100*byPeriods)
	case j.Verdict == Inaccurate && j.Error > 0:
		j.Why = "it got too much: the limit leaks"
	case j.Verdict == Inaccurate:
		j.Why = "it got too little: quota was lost"
	}
	return j
}

// beside says what else ran.
func beside(others float64) string {
	if others < 0.02 {
		return ""
	}
	return fmt.Sprintf("; others used %s of a CPU", percent(others))
}

// askedCPU is the limit as the case's name has it.
func askedCPU(c *sample.Case) string {
	period, err := time.ParseDuration(c.Param("period"))
	words := strings.TrimSuffix(c.Param("quota"), "%") + " %"
	if err == nil {
		words += " / " + table.Duration(float64(period))
	}
	if n := c.Param("threads"); n != "" && n != "1" {
		words += ", " + n + " threads"
	}
	if load := c.Param("load"); load != "" && load != "spin" {
		words += ", " + load
	}
	return words
}

// Selftest is what the kernel's own test of cpu.max would accept of a limit:
// values_close with 10 % of the sum (tools/testing/selftests/cgroup/test_cpu.c).
func Selftest(entitled float64) (low, high float64) {
	const most = 0.10
	return entitled * (1 - most) / (1 + most), entitled * (1 + most) / (1 - most)
}

// percent is a share with four significant digits.
func percent(v float64) string {
	text := strconv.FormatFloat(100*v, 'f', 2, 64)
	if v >= 9.995 {
		text = strconv.FormatFloat(100*v, 'f', 0, 64)
	}
	return text + " %"
}

func signed(j Judgement, v float64) string {
	if j.Got == "" {
		return "-"
	}
	return fmt.Sprintf("%+.2f %%", 100*v)
}

func share(j Judgement, v float64) string {
	if j.Got == "" {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", 100*v)
}
