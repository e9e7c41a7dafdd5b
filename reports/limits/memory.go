package limits

import (
	"fmt"
	"strconv"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// leastFull is the share of memory.max that a load which wants more must have had:
// the kernel's own test takes 29 of 30 MiB (test_memcontrol.c).
const leastFull = 0.97

// slowestKill is how long a kill for memory may take: the kernel's own test waits
// for 10 times 100 ms.
const slowestKill = 1e9 // ns

// memoryMax is the rule of memory.max.
func memoryMax() rule {
	return rule{
		family: "MemoryMax", limit: "memory.max", judge: judgeMemoryMax,
		needs: []string{"peak-B", "limit-B", "overshoot-ratio", "budget-ratio"}, each: true, exact: true,
		columns: []column{
			{"peak", func(j Judgement) string { return j.Got }},
			{"overshoot", func(j Judgement) string { return share(j, j.Error) }},
			{"could be off by", func(j Judgement) string { return share(j, j.Budget) }},
			{"outcome", func(j Judgement) string { return j.Worst }},
		},
	}
}

func judgeMemoryMax(c *sample.Case, v map[string]float64, _ map[string]string, _ Options) Judgement {
	j := Judgement{Asked: askedMemory(c)}
	if v == nil {
		return j
	}
	j.Got, j.Error, j.Budget = table.Bytes(v["peak-B"]), v["overshoot-ratio"], v["budget-ratio"]
	j.Verdict = Accurate
	wrong := func(format string, args ...any) {
		if j.Verdict != Inaccurate {
			j.Verdict, j.Why = Inaccurate, fmt.Sprintf(format, args...)
		}
	}
	if c.Param("kind") == outside {
		return judgePressed(j, v)
	}
	kills, must := v["oom-kill-count"], mustDie(c)
	j.Worst = "lives"
	if v["killed-count"] > 0 {
		j.Worst = "killed"
	} else if reclaimed(c) {
		j.Worst = "reclaimed"
	}
	switch {
	case j.Error > j.Budget:
		wrong("it had %s more than the limit", table.Bytes(v["peak-B"]-v["limit-B"]))
	case v["rest-B"] > v["limit-B"]:
		wrong("at rest it has %s", table.Bytes(v["rest-B"]))
	case !reclaimed(c) && v["touched-B"] > v["limit-B"]*(1+j.Budget):
		wrong("its load touched %s", table.Bytes(v["touched-B"]))
	case must && kills == 0:
		wrong("its load wants more than the limit, and was not killed")
	case !must && kills > 0:
		wrong("it was killed, although %s", map[bool]string{true: "page cache can be reclaimed", false: "it stayed below the limit"}[reclaimed(c)])
	case must:
		if why := countedOnce(v, 1, false); why != "" {
			wrong("%s", why)
		}
	}
	full := v["peak-ratio"] >= leastFull
	switch {
	case j.Verdict == Inaccurate:
	case must && !full:
		wrong("it was killed at %s of the limit", percent(v["peak-ratio"]))
	case reclaimed(c) && !full:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("the page cache came to %s of the limit only", percent(v["peak-ratio"]))
	case j.Error > 0:
		j.Verdict = Within
	}
	return j
}

// outside is the load that is not ours: stress-ng. Only the group's own counters
// tell what it did.
const outside = "stress-ng"

// judgePressed judges what such a load was kept to. It says neither how much it
// touched nor how many of its processes were killed.
func judgePressed(j Judgement, v map[string]float64) Judgement {
	j.Worst = fmt.Sprintf("%.0f killed", v["oom-kill-count"])
	switch {
	case j.Error > j.Budget:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("it had %s more than the limit", table.Bytes(v["peak-B"]-v["limit-B"]))
	case v["peak-ratio"] < leastFull && v["oom-kill-count"] > 0:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("it was killed at %s of the limit", percent(v["peak-ratio"]))
	case v["peak-ratio"] < leastFull:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("the load came to %s of the limit only", percent(v["peak-ratio"]))
	case v["oom-kill-count"] == 0:
		j.Verdict, j.Why = NotJudged, "nothing was killed: the load gave up by itself"
	case j.Error > 0:
		j.Verdict = Within
	}
	return j
}

// countedOnce says what is wrong with the counts of a kill, where tasks had to
// die; empty: nothing. Version 1 has no count of OOMs. Of a group that dies as a
// whole a task may be counted again while it is dying (mm/oom_kill.c kills the
// chosen one, and then every member that is still there): four to seven kills of
// three tasks were seen.
func countedOnce(v map[string]float64, tasks float64, group bool) string {
	most := tasks
	if group {
		most *= 3
	}
	switch {
	case v["oom-count"] >= 0 && v["oom-count"] != 1:
		return fmt.Sprintf("%v times out of memory are counted, not 1", v["oom-count"])
	case v["oom-kill-count"] < tasks || v["oom-kill-count"] > most:
		return fmt.Sprintf("%v kills are counted, not %v", v["oom-kill-count"], tasks)
	case v["killed-count"] != tasks:
		return fmt.Sprintf("%v processes were killed, not %v", v["killed-count"], tasks)
	}
	return ""
}

func reclaimed(c *sample.Case) bool { return c.Param("kind") == "file" || c.Param("kind") == "dirty" }

// mustDie says whether the load cannot be kept alive within the limit.
func mustDie(c *sample.Case) bool {
	want, err := strconv.ParseFloat(strings.TrimSuffix(c.Param("want"), "%"), 64)
	if beside := c.Param("sibling"); beside != "" && err == nil {
		var held float64
		held, err = strconv.ParseFloat(strings.TrimSuffix(beside, "%"), 64)
		want += held
	}
	return err == nil && want > 100 && !reclaimed(c)
}

// askedMemory is the limit and the load as the case's name has them.
func askedMemory(c *sample.Case) string {
	size := func(param string) string { return strings.Replace(c.Param(param), "MiB", " MiB", 1) }
	words := size("limit")
	if c.Param("child") != "" {
		words += " above " + size("child")
	}
	if c.Param("parent") != "" {
		words += " below " + size("parent")
	}
	words += ", " + c.Param("kind") + " " + strings.TrimSuffix(c.Param("want"), "%") + " %"
	if beside := c.Param("sibling"); beside != "" {
		words += " beside " + strings.TrimSuffix(beside, "%") + " %"
	}
	if n := c.Param("tasks"); n != "" {
		words += ", " + n + " tasks"
	}
	if c.Param("oomgroup") != "" {
		words += " killed together"
	}
	return words
}

// oomKill is the rule of a kill for memory: what must be counted, and how the time
// splits. The kernel promises no time; the longest that its own test waits is
// the bound.
func oomKill() rule {
	part := func(unit string) func(Judgement) string {
		return func(j Judgement) string { return table.Duration(j.Figures[unit]) }
	}
	return rule{
		family: "Oom", limit: "oom kill", judge: judgeOOM,
		needs: []string{"total-ns", "oom-kill-count", "killed-count"}, each: true, exact: true,
		columns: []column{
			{"noticed", part("event-ns")},
			{"chosen", part("kill-ns")},
			{"exits", part("exit-ns")},
			{"empty", part("empty-ns")},
			{"in all", part("total-ns")},
			{"seen to", part("watch-ns")},
		},
	}
}

func judgeOOM(c *sample.Case, v map[string]float64, _ map[string]string, _ Options) Judgement {
	j := Judgement{Asked: askedMemory(c), Unit: "ns"}
	if v == nil {
		return j
	}
	j.Got, j.Worst = table.Duration(v["total-ns"]), table.Duration(v["total-ns"])
	j.Error, j.Budget = v["total-ns"], slowestKill
	tasks, group := 1.0, c.Param("oomgroup") != ""
	if n, err := strconv.Atoi(c.Param("tasks")); err == nil && group {
		tasks = float64(n)
	}
	j.Verdict = Accurate
	if why := countedOnce(v, tasks, group); why != "" {
		j.Verdict, j.Why = Inaccurate, why
	} else if v["total-ns"] > slowestKill {
		j.Verdict, j.Why = NotJudged, "it took longer than the second for which the kernel's own test waits; a busy machine does that too"
	}
	return j
}
