package limits

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// HighTable is the kernel's own table of memory.high: how long an allocation
// takes, nanoseconds, at a usage, relative, above it (mm/memcontrol.c, the comment
// above MEMCG_DELAY_PRECISION_SHIFT, since Linux 5.8; there for a limit of 100 MiB,
// in MiB and ms). It is what HighDelay computes for HZ 1000, but for the delays
// of 10 ms and less, which are never taken.
//
// What it is a table of is a charge of 64 pages (32 before Linux 6.1), 256 KiB of
// pages of 4 KiB: a whole MiB takes four of them.
func HighTable() [][2]float64 {
	var list [][2]float64
	for i, ms := range []float64{6, 25, 57, 102, 159, 230, 313, 409, 518, 639, 774, 921, 1081, 1254, 1439, 1638, 1849, 2000, 2000, 2000} {
		list = append(list, [2]float64{float64(i+1) / 100, ms * 1e6})
	}
	return list
}

// HighDelay is how long the kernel has a task sleep that has charged a batch of
// pages to a group whose usage is overage, relative, above memory.high
// (calculate_high_delay): overage² × 64 s in whole ticks of a machine of so many
// HZ; none if that is HZ/100 ticks or less, and 2 s at most.
func HighDelay(overage float64, hz int) time.Duration {
	if overage <= 0 || hz <= 0 {
		return 0
	}
	const precision, scaling = 20, 14
	whole := uint64(overage * (1 << precision))
	ticks := min(whole*whole*uint64(hz)>>precision>>scaling, uint64(2*hz))
	if ticks <= uint64(hz/100) {
		return 0
	}
	return time.Duration(ticks) * time.Second / time.Duration(hz)
}

// The bounds of memory.high: a delay may be off by a quarter or by a tick; timers
// of more than 64 ticks are up to an eighth late (kernel/time/timer.c).
const (
	mostOff     = 0.25
	leastWithin = 0.9 // of the delays
	leastSteps  = 0.9 // of the charges above the limit must have been delayed
)

// memoryHigh is the rule of memory.high.
func memoryHigh() rule {
	figure := func(unit string) func(Judgement) string {
		return func(j Judgement) string { return table.Duration(j.Figures[unit]) }
	}
	return rule{
		family: "MemoryHigh", limit: "memory.high", judge: judgeHigh, curve: judgeHighCurve,
		needs: []string{"reached-ratio", "high-count"},
		columns: []column{
			{"reached", func(j Judgement) string { return j.Got }},
			{"delays", func(j Judgement) string { return fmt.Sprintf("%.0f", j.Figures["delay-count"]) }},
			{"slept", figure("slept-ns")},
			{"kernel's sum", figure("kernel-ns")},
			{"median error", func(j Judgement) string { return signed(j, j.Error) }},
			{"within 25 %", func(j Judgement) string { return percent(j.Figures["within-ratio"]) }},
		},
	}
}

func judgeHigh(c *sample.Case, v map[string]float64, _ map[string]string, _ Options) Judgement {
	j := Judgement{Asked: strings.Replace(c.Param("high"), "MiB", " MiB", 1) + " up to " + strings.Replace(c.Param("to"), "%", " %", 1)}
	if v == nil {
		return j
	}
	j.Got, j.Budget = fmt.Sprintf("+%.1f %%", 100*v["reached-ratio"]), mostOff
	j.Verdict, j.Why = NotJudged, "the file does not have the delays"
	switch {
	case v["max-count"] > 0 || v["oom-kill-count"] > 0:
		j.Verdict, j.Why = Inaccurate, "its load came to memory.max: it was not slowed down enough"
	case v["high-count"] == 0:
		j.Verdict, j.Why = Inaccurate, "the kernel did not notice that memory.high was exceeded"
	}
	return j
}

// judgeHighCurve judges the delays, each against the kernel's formula at the usage
// that there was.
func judgeHighCurve(j Judgement, all []sample.Series, facts map[string]string) Judgement {
	hz, _ := strconv.Atoi(facts["hz"])
	page, _ := strconv.ParseFloat(facts["page"], 64)
	f, ok := fitHigh(all, hz)
	if !ok || page <= 0 || j.Verdict == Inaccurate {
		return j // without these facts there is no formula to judge by
	}
	j.Error = f.median
	j.Figures["slept-ns"], j.Figures["kernel-ns"], j.Figures["within-ratio"] = f.slept, f.kernel, f.within
	// Delays that there must be: one for each 64 pages, from the first that is taken.
	first := math.Sqrt(float64(hz/100+1) / float64(hz) / 64)
	charges := (j.Figures["reached-ratio"] - first) * j.Figures["high-B"] / (64 * page) * float64(len(all))
	// A delay that nobody looked into is one all the same.
	delayed := float64(f.n)+j.Figures["unseen-count"]*float64(len(all)) >= leastSteps*charges
	j.Verdict, j.Why = Accurate, ""
	busy := facts["emulated"] == "true" || j.Figures["unseen-count"] > 0.1*j.Figures["delay-count"]
	switch {
	case f.early > 1-leastWithin:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("%s of the delays were too short", percent(f.early))
	case !delayed:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("%d charges were delayed, of %.0f", f.n, charges)
	case f.within < leastWithin && busy:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("%s of the delays were too long, which a busy machine does too", percent(1-f.within-f.early))
	case f.within < leastWithin:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("%s of the delays were too long", percent(1-f.within-f.early))
	}
	if pages := j.Figures["batch-count"]; pages > 0 && pages < 32 {
		j.Note = fmt.Sprintf("it was delayed at every %.0f pages, not 64: others charge memory on the same CPUs, and drain what it holds", pages)
	}
	return j
}

// fit is how delays compare with the kernel's formula.
type fit struct {
	n             int // delays that the formula has
	slept, kernel float64
	median        float64 // of measured / formula - 1
	within, early float64 // shares
}

// fitHigh compares the delays of all samples; ok is false if there are none.
func fitHigh(all []sample.Series, hz int) (f fit, ok bool) {
	if hz <= 0 {
		return f, false
	}
	tick := float64(time.Second) / float64(hz)
	var ratios []float64
	for _, s := range all {
		if s.Name != "memory.high" {
			continue
		}
		for _, p := range s.Points {
			want := float64(HighDelay(p[0], hz))
			if want == 0 {
				continue // it was kept from running by something else
			}
			allowed := max(mostOff*want, tick)
			switch off := p[1] - want; {
			case off < -allowed:
				f.early++
			case off <= allowed:
				f.within++
			}
			ratios = append(ratios, p[1]/want-1)
			f.slept, f.kernel, f.n = f.slept+p[1], f.kernel+want, f.n+1
		}
	}
	if f.n == 0 {
		return f, false
	}
	slices.Sort(ratios)
	f.median = ratios[len(ratios)/2]
	f.within, f.early = f.within/float64(f.n), f.early/float64(f.n)
	return f, true
}
