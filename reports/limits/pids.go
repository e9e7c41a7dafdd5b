package limits

import (
	"fmt"

	"isoperf/bench/sample"
)

// pidsMax is the rule of pids.max. It is exact: no tolerance.
func pidsMax() rule {
	return rule{
		family: "PidsMax", limit: "pids.max", judge: judgePids,
		needs: []string{"peak-count", "overshoot-count", "limit-count"}, each: true, exact: true,
		columns: []column{
			{"most", func(j Judgement) string { return j.Got }},
			{"overshoot", func(j Judgement) string { return fmt.Sprintf("%.0f", j.Error) }},
			{"forks", forks},
			{"refused", func(j Judgement) string { return fmt.Sprintf("%.0f", j.Figures["refused-count"]) }},
		},
	}
}

// forks is how many were let through, by the load's own count.
func forks(j Judgement) string {
	n, ok := j.Figures["accepted-count"]
	if !ok {
		return "-" // it is not ours, and does not say
	}
	return fmt.Sprintf("%.0f", n)
}

// ways are what is tried against the limit, in words.
func ways() map[string]string {
	return map[string]string{
		"fill": "one process forks", "storm": "64 processes fork", "nested": "limit above the group",
		outside: "stress-ng forks", "lowered": "lowered below what runs", "attach": "one is moved in",
	}
}

func judgePids(c *sample.Case, v map[string]float64, facts map[string]string, _ Options) Judgement {
	kind := c.Param("kind")
	j := Judgement{Asked: c.Param("max") + ", " + ways()[kind], Unit: "count"}
	if v == nil {
		return j
	}
	most := max(v["peak-count"], v["full-count"])
	switch kind {
	case outside:
		most = max(v["peak-count"], v["listed-count"])
	case "storm":
		most = max(v["peak-count"], v["together-count"])
	}
	j.Got, j.Error, j.Verdict = fmt.Sprintf("%.0f", most), v["overshoot-count"], Accurate
	if n := v["transient-count"]; n > 0 {
		j.Note = fmt.Sprintf("pids.current was seen %.0f above the limit for a moment: a fork is added before it is refused; no task was made", n)
	}
	switch {
	case v["peak-count"] >= 0:
	case kind == outside:
		j.Note = "the kernel does not say how many there were at most (pids.peak); the group's list was looked at again and again"
	default:
		j.Note = "the kernel does not say how many there were at most (pids.peak); the load's own count does"
	}
	if why := pidsWrong(kind, v, facts); why != "" {
		j.Verdict, j.Why = Inaccurate, why
	} else if v["refused-count"] < 1 {
		j.Verdict, j.Why = NotJudged, "no fork was refused: the load did not reach the limit"
	}
	return j
}

// pidsWrong says which of the figures that must be exact is not; empty: none.
func pidsWrong(kind string, v map[string]float64, facts map[string]string) string {
	refusals, elsewhere := v["events-count"], v["owner-events-count"]
	// A load that was slow has fewer tasks than it may have, which is not the limit's fault.
	short := v["refused-count"]+refusals+elsewhere == 0
	if facts["events"] == "owner" {
		refusals, elsewhere = elsewhere, refusals
	}
	if kind != "nested" {
		elsewhere = 0 // it is the same group
	}
	switch {
	case v["overshoot-count"] > 0:
		return fmt.Sprintf("there were %.0f tasks too many", v["overshoot-count"])
	case kind == outside: // it has no counts of its own, and its orphans are tasks until init has reaped them
	case kind == "lowered" && v["full-count"] != v["limit-count"]+4:
		return "a task ended when the limit was lowered"
	case kind == "lowered" && v["accepted-count"] != v["alive-count"]:
		return "a fork was let through, although the limit was exceeded already"
	case kind != "storm" && kind != "lowered" && !short && v["inside-count"]+v["accepted-count"] != v["limit-count"]:
		return fmt.Sprintf("%.0f forks were let through, not %.0f", v["accepted-count"], v["limit-count"]-v["inside-count"])
	case kind != "storm" && kind != "lowered" && v["full-count"] != v["listed-count"]:
		return fmt.Sprintf("%.0f tasks are counted, %.0f are listed", v["full-count"], v["listed-count"])
	case v["attached-count"] != 0:
		return fmt.Sprintf("when a process was moved in, the count was off by %.0f", v["attached-count"])
	case v["left-count"] != 0:
		return fmt.Sprintf("%.0f tasks are counted when all have ended", v["left-count"])
	case refusals != v["refused-count"]:
		return fmt.Sprintf("pids.events counts %.0f refusals of %.0f", refusals, v["refused-count"])
	case elsewhere != 0:
		return fmt.Sprintf("%.0f refusals are counted in the other group", elsewhere)
	}
	return ""
}
