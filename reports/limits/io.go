package limits

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// toleranceIO is the error of a disk's limit that is accurate, when nothing else
// is asked for: the kernel hands out a tenth of a second's worth at once.
const toleranceIO = 0.03

// slicesPerSecond is how often the kernel hands out (HZ/10 ticks a slice,
// block/blk-throttle.h).
const slicesPerSecond = 10

// ioMax is the rule of limits on block devices.
func ioMax() rule {
	return rule{
		family: "IoMax", limit: "io.max", judge: judgeIOMax,
		needs: []string{"achieved-ratio", "error-ratio", "budget-ratio"},
		columns: []column{
			{"got", func(j Judgement) string { return j.Got }},
			{"error", func(j Judgement) string { return signed(j, j.Error) }},
			{"could be off by", func(j Judgement) string { return share(j, j.Budget) }},
			{"first second", func(j Judgement) string { return signed(j, j.Figures["burst-ratio"]) }},
			{"longest wait", func(j Judgement) string { return j.Worst }},
		},
	}
}

// toleranceIO is the default's when none was asked for.
func (o Options) toleranceIO() float64 {
	if o.Tolerance > 0 && o.Tolerance != Tolerance {
		return o.Tolerance
	}
	return toleranceIO
}

func judgeIOMax(c *sample.Case, v map[string]float64, _ map[string]string, o Options) Judgement {
	j := Judgement{Asked: askedIO(c)}
	if v == nil {
		return j
	}
	limit, requests := ioLimit(c)
	j.Got, j.Error, j.Budget = ioRate(limit*v["achieved-ratio"], limit, requests), v["error-ratio"], v["budget-ratio"]
	j.Worst = table.Duration(v["stall-ns"])
	lost := 0.0
	if requests {
		lost = rounding(limit)
	}
	if -lost <= o.toleranceIO() {
		j.Budget -= lost // what is more is no matter of a budget
	}
	j.Verdict = tell(j.Error, j.Budget, o.toleranceIO())
	switch {
	case v["steal-ratio"] > mostSteal:
		j.Verdict, j.Why = NotJudged, fmt.Sprintf("the host took %s of the CPU time", percent(v["steal-ratio"]))
	case math.Abs(v["accounted-ratio"]) > mostUnbooked:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("the group was charged %+.1f %% against what the load counted", 100*v["accounted-ratio"])
	case v["burst-ratio"] > v["burst-budget-ratio"]:
		j.Verdict, j.Why = Inaccurate, fmt.Sprintf("the first second got %+.1f %%, and a slice more would be %+.1f %%", 100*v["burst-ratio"], 100*v["burst-budget-ratio"])
	case j.Verdict == Inaccurate && j.Error > 0:
		j.Why = "it got too much: the limit leaks"
	case j.Verdict == Inaccurate && lost < 0 && j.Error-lost > -max(j.Budget, o.toleranceIO()):
		j.Why = fmt.Sprintf("it got too little: the kernel allows whole requests a slice, %.0f of %.1f", math.Floor(limit/slicesPerSecond), limit/slicesPerSecond)
	case j.Verdict == Inaccurate:
		j.Why = "it got too little"
	}
	if limit <= 64<<10 && !requests {
		j.Note = "so low a limit is little more than one request a slice; kernels with slices of a fiftieth of a second (solid-state disks, while there was io.low) gave less"
	}
	return j
}

// rounding is the relative error of a limit on requests that is handed out in
// whole ones.
func rounding(limit float64) float64 {
	return math.Floor(limit/slicesPerSecond)*slicesPerSecond/limit - 1
}

// ioLimit is the limit of a case, in bytes or in requests per second.
func ioLimit(c *sample.Case) (limit float64, requests bool) {
	text := c.Param("limit")
	for _, unit := range []struct {
		name string
		size float64
	}{{"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}} {
		if number, ok := strings.CutSuffix(text, unit.name); ok {
			limit, _ = strconv.ParseFloat(number, 64) // 0 in a name that isoperf did not write
			return limit * unit.size, unit.name == ""
		}
	}
	return 0, false
}

// ioRate is a rate in words, in the unit of its limit.
func ioRate(v, limit float64, requests bool) string {
	switch {
	case requests:
		return strconv.FormatFloat(v, 'f', 1, 64) + "/s"
	case limit >= 1<<20:
		return strconv.FormatFloat(v/(1<<20), 'f', 3, 64) + " MiB/s"
	}
	return strconv.FormatFloat(v/(1<<10), 'f', 2, 64) + " KiB/s"
}

// askedIO is the limit as the case's name has it.
func askedIO(c *sample.Case) string {
	what := map[string]string{"rbps": "read", "riops": "read", "wbps": "write", "wiops": "write"}[c.Param("way")]
	limit := c.Param("limit") + "/s"
	if _, requests := ioLimit(c); requests {
		limit = c.Param("limit") + " requests/s"
	}
	words := fmt.Sprintf("%s %s, %s each", what, spaced(limit), spaced(c.Param("block")))
	if c.Param("device") == "null" {
		words += ", null_blk"
	}
	return words
}

// spaced puts a space between a number and its unit: "64 KiB/s".
func spaced(text string) string {
	for _, unit := range []string{"KiB", "MiB"} {
		text = strings.Replace(text, unit, " "+unit, 1)
	}
	return text
}
