package plot

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// pick returns the finite values of unit in the first case of the family that
// has all the parameters (key, value, key, value, …), or nil.
func pick(f *sample.File, unit, family string, params ...string) []float64 {
	for _, c := range f.Family(family) {
		if values := finite(c.Values[unit]); matches(c, params) && len(values) > 0 {
			return values
		}
	}
	return nil
}

func finite(values []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

func matches(c *sample.Case, params []string) bool {
	for i := 0; i+1 < len(params); i += 2 {
		if c.Param(params[i]) != params[i+1] {
			return false
		}
	}
	return true
}

// distinct is every value of a parameter in the family, in order of first
// appearance.
func distinct(f *sample.File, family, key string) []string {
	var values []string
	for _, c := range f.Family(family) {
		if v := c.Param(key); v != "" && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

// pacings is what there is of burst and paced, in this order, then any other.
func pacings(f *sample.File, family string) []string {
	there := distinct(f, family, "pacing")
	slices.SortStableFunc(there, func(a, b string) int { return cmp.Compare(pacingRank(a), pacingRank(b)) })
	return there
}

func pacingRank(pacing string) int {
	switch pacing {
	case "burst":
		return 0
	case "paced":
		return 1
	}
	return 2
}

// pacingWords says what a pacing is.
func pacingWords(pacing string) string {
	switch pacing {
	case "burst":
		return "burst: back to back"
	case "paced":
		return "paced: 50 ms between any two operations"
	}
	return pacing
}

// median is the mark of a case: its median with the 95 % interval.
func median(s style, values []float64) mark {
	if len(values) == 0 {
		return mark{style: s}
	}
	sum := stats.Summarize(values)
	return mark{style: s, value: sum.Median, lo: sum.Lo, hi: sum.Hi, text: table.Duration(sum.Median), ok: !math.IsNaN(sum.Median)}
}

// bySize sorts rows by mark i, or by the greatest other one where that is not
// there; greatest first.
func bySize(rows []row, i int) {
	size := func(r row) float64 {
		if i < len(r.marks) && r.marks[i].ok {
			return r.marks[i].value
		}
		most := math.Inf(-1)
		for _, m := range r.marks {
			if m.ok {
				most = math.Max(most, m.value)
			}
		}
		return most
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(size(b), size(a)) })
}

// samplesOf says how many samples stand behind each figure of a chart.
func samplesOf(counts []int) string {
	lo, hi := slices.Min(counts), slices.Max(counts)
	if lo == hi {
		return fmt.Sprintf("n = %s each", table.Count(lo))
	}
	return fmt.Sprintf("n = %s to %s", table.Count(lo), table.Count(hi))
}

// machine says in one line where the samples come from.
func machine(f *sample.File) string {
	var parts []string
	for _, key := range []string{"cpu", "kernel", "virt", "privilege"} {
		v := f.Key(key)
		switch {
		case v == "":
		case key == "cpu":
			parts = append(parts, v)
		default:
			parts = append(parts, key+" "+v)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Measured on " + strings.Join(parts, ", ") + "."
}

// cpus is the number of processors that the fingerprint states; 0 when it
// does not.
func cpus(f *sample.File) float64 {
	var doc any
	if json.Unmarshal(f.Fingerprint, &doc) != nil {
		return 0
	}
	return number(doc, "cpus")
}

// number finds the first number under the key, at any depth.
func number(doc any, key string) float64 {
	object, ok := doc.(map[string]any)
	if !ok {
		return 0
	}
	if n, ok := object[key].(float64); ok {
		return n
	}
	keys := make([]string, 0, len(object))
	for k := range object {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if n := number(object[k], key); n > 0 {
			return n
		}
	}
	return 0
}

// parseCount reads "64".
func parseCount(s string) (float64, bool) {
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

// ParseSize reads "64MiB" or "1GiB" and answers in MiB.
func ParseSize(s string) (float64, bool) {
	for _, u := range []struct {
		suffix string
		mib    float64
	}{{"KiB", 1.0 / 1024}, {"MiB", 1}, {"GiB", 1024}, {"TiB", 1 << 20}, {"B", 1.0 / (1 << 20)}} {
		if digits, ok := strings.CutSuffix(s, u.suffix); ok {
			v, err := strconv.ParseFloat(digits, 64)
			return v * u.mib, err == nil
		}
	}
	return 0, false
}

// parseGap reads "50ms" or "0" and answers in nanoseconds.
func parseGap(s string) (float64, bool) {
	d, err := time.ParseDuration(s)
	return float64(d), err == nil
}
