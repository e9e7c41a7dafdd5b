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
	mostUnbooked = 0.01 // between the counter and the processes' own clocks, and between a group and those below
	mostLate     = 0.01 // of the periods: the quota of so many was lost
	mostOthers   = 0.02 // of a CPU: less than that is this program and the kernel
	leastFair    = 0.95 // Jain's index of the threads' CPU time
	mostBudget   = 0.25 // of the limit: what could be off by more says nothing, and the kernel's own test accepts less
	mostApart    = 0.03 // of the time, between it and what the group ran and was throttled
)

// cpuMax is the rule of CPU bandwidth.
func cpuMax() rule {
	return rule{
		family: "CpuMax", limit: "cpu.max", judge: judgeCPUMax, each: true,
		needs: []string{"entitled-ratio", "achieved-ratio", "error-ratio", "budget-ratio"},
		columns: []column{
			{"got", func(j Judgement) string { return j.Got }},
			{"error", func(j Judgement) string { return signed(j, j.Error) }},
			{"could be off by", func(j Judgement) string { return share(j, j.Budget) }},
			{"worst stall", func(j Judgement) string { return j.Worst }},
		},
	}
}

func judgeCPUMax(c *sample.Case, v map[string]float64, facts map[string]string, o Options) Judgement {
	j := Judgement{Asked: askedCPU(c)}
	if v == nil {
		return j
	}
	j.Got, j.Error, j.Budget = percent(v["achieved-ratio"]), v["error-ratio"], v["budget-ratio"]
	if stall, ok := v["stall-ns"]; ok {
		j.Worst = table.Duration(stall)
	}
	low, high := Selftest(v["entitled-ratio"])
	j.Kernel = fmt.Sprintf("%.1f .. %.1f %%", 100*low, 100*high)
	j.Verdict, j.Note = tell(j.Error, j.Budget, o.tolerance()), cpuNote(c, v, facts)
	if j.Error > max(o.tolerance(), v["over-budget-ratio"]) { // what explains too little does not explain too much
		j.Verdict = Inaccurate
	}
	if c.Param("load") == "turns" {
		j.Verdict = stranded(j.Error, j.Budget)
	}
	for _, r := range cpuReasons() {
		if why := r.why(v, max(o.tolerance(), j.Budget)); why != "" {
			j.Verdict, j.Why = r.verdict, why
			return j
		}
	}
	switch {
	case j.Verdict != Inaccurate:
	case c.Param("load") == "turns" && j.Error < 0:
		j.Why = "quota is stranded on CPUs that went idle, as before Linux 5.4"
	case j.Error > 0:
		j.Why = "it got too much: the limit leaks"
	default:
		j.Why = "it got too little: quota was lost"
	}
	return j
}

// stranded is the verdict of a load whose threads work in turns: its CPUs go
// idle with a slice of quota, and before Linux 5.4 (commit de53fd7aedb1) such
// slices expired, so that a half of the quota was lost.
func stranded(failure, budget float64) Verdict {
	switch {
	case failure > max(Tolerance, budget) || failure < -0.20:
		return Inaccurate
	case failure < -0.05:
		return Within
	}
	return Accurate
}

// cpuReason is why a figure is not what it seems.
type cpuReason struct {
	verdict Verdict
	why     func(v map[string]float64, most float64) string // empty: it does not apply; most: the error that is allowed
}

// cpuReasons are all, the first that applies counts.
func cpuReasons() []cpuReason {
	return []cpuReason{
		{NotJudged, func(v map[string]float64, _ float64) string {
			return said(v["steal-ratio"] > mostSteal, "the host took %s of the CPU time", percent(v["steal-ratio"]))
		}},
		{NotJudged, func(v map[string]float64, _ float64) string {
			late, all := v["late-period-count"], v["period-count"]
			return said(late > mostLate*all, "the kernel's timer came late: the quota of %.0f of %.0f periods was lost, since nothing ran on its CPU", late, all)
		}},
		{Inaccurate, func(v map[string]float64, _ float64) string {
			booked := v["accounted-ratio"]
			return said(math.Abs(booked) > max(mostUnbooked, v["budget-ratio"]), "the group was charged %+.1f %% against what its processes used", 100*booked)
		}},
		{Inaccurate, func(v map[string]float64, _ float64) string {
			apart := v["children-ratio"]
			return said(math.Abs(apart) > max(mostUnbooked, v["budget-ratio"]), "the groups below were charged %+.1f %% against the group", 100*apart)
		}},
		{Inaccurate, func(v map[string]float64, most float64) string {
			child, ok := v["child-most-ratio"]
			return said(ok && child > 1+most, "a group below got %s of its limit", percent(child))
		}},
		{NotJudged, func(v map[string]float64, most float64) string {
			stopped, binds := v["throttled-ratio"], binding(v)
			return said(binds && stopped < leastStopped && v["error-ratio"] <= most, "the load did not reach the limit: it was held back in %s of the periods%s", percent(stopped), beside(v["others-ratio"]))
		}},
		{NotJudged, func(v map[string]float64, most float64) string {
			short, free := v["error-ratio"] < -most, 1-v["throttled-ratio"]
			return said(binding(v) && short && v["error-ratio"]+free >= -most, "in %s of the periods the load was not held back: it did not get all that the limit leaves it%s", percent(free), beside(v["others-ratio"]))
		}},
		{Inaccurate, func(v map[string]float64, _ float64) string {
			return said(v["burst-kept-ratio"] > 1, "in one period it used %s of the quota, and the next ones did not give it back", percent(v["use-max-ratio"]))
		}},
		{NotJudged, func(v map[string]float64, most float64) string {
			late := v["burst-ratio"] > 1 && math.Abs(v["error-ratio"]) > most
			return said(late, "ticks come late: in one period it used %s of the quota before it was stopped; what it owed when this began, and when it ended, is not known", percent(v["use-max-ratio"]))
		}},
		{NotJudged, func(v map[string]float64, most float64) string {
			short := v["error-ratio"] < -most && v["others-ratio"] > mostOthers
			return said(!binding(v) && short, "the load did not get the CPUs that the limit leaves it%s", beside(v["others-ratio"]))
		}},
		{NotJudged, func(v map[string]float64, most float64) string {
			// One that is held back nevertheless is: quota was lost.
			return said(!binding(v) && v["error-ratio"] >= -most, "the limit was not reached: the load can use %s of a CPU at most; give it more threads, or a smaller quota", percent(v["entitled-ratio"]))
		}},
		{NotJudged, func(v map[string]float64, _ float64) string {
			byPeriods := v["periods-error-ratio"]
			return said(binding(v) && math.Abs(byPeriods-v["error-ratio"]) > mostDrift, "by the count of periods the error is %+.1f %%: the periods are not as long as they say", 100*byPeriods)
		}},
		{NotJudged, func(v map[string]float64, most float64) string {
			part := v["part-error-ratio"]
			uneven := math.Abs(v["error-ratio"]) <= most && math.Abs(part) > max(most, v["part-budget-ratio"])
			return said(uneven, "it was not even: %+.1f %% in a quarter of the time, as if the limit had not been the same throughout%s", 100*part, beside(v["others-ratio"]))
		}},
		{NotJudged, func(v map[string]float64, most float64) string {
			wide := v["budget-ratio"] > mostBudget && math.Abs(v["error-ratio"]) <= most
			return said(wide, "what was measured could be off by %s: measure for longer, or when less else runs%s", percent(v["budget-ratio"]), beside(v["others-ratio"]))
		}},
	}
}

// binding says whether the limit is what kept the load from more.
func binding(v map[string]float64) bool {
	_, ok := v["periods-error-ratio"]
	return ok
}

func said(applies bool, format string, args ...any) string {
	if !applies {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// cpuNote is what a reader must know beside the verdict. What a group used and
// for how long it was throttled add up to the time, for one thread. It may be
// more: a thread of the load's runtime is stopped on another CPU. Since Linux
// 6.18 tasks are throttled, not queues, and the sum is a rule no longer.
func cpuNote(c *sample.Case, v map[string]float64, facts map[string]string) string {
	var notes []string
	if sum, ok := v["throttle-sum-ratio"]; ok && (sum < 1-mostApart || sum > 1+mostApart && facts["throttles"] != "tasks") {
		notes = append(notes, fmt.Sprintf("what it used and for how long it was throttled add up to %s of the time", percent(sum)))
	}
	if v["burst-ratio"] > 1 {
		notes = append(notes, fmt.Sprintf("a period used %s of the quota, more than that, a tick and 1 ms on each CPU; the next ones gave it back: ticks come late here", percent(v["use-max-ratio"])))
	}
	if fair, ok := v["fairness-ratio"]; ok && fair < leastFair && c.Param("load") != "turns" {
		notes = append(notes, fmt.Sprintf("its threads had unequal shares (Jain's index %.2f)", fair))
	}
	return strings.Join(notes, "; ")
}

// beside says what else ran.
func beside(others float64) string {
	if others < mostOthers {
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
	if shape := c.Param("shape"); shape != "" {
		words += ", " + strings.ReplaceAll(shape, "-", " ")
	}
	if n := c.Param("threads"); n != "" && n != "1" {
		words += ", " + n + " threads"
	}
	// A shape can be named after its load: "stress-one".
	if load := c.Param("load"); load != "" && load != "spin" && !strings.HasPrefix(c.Param("shape"), load) {
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
