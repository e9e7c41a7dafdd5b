package network

import (
	"fmt"
	"math"
	"strconv"

	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// quotient is how many times the unit of under is that of over, within the runs
// that have both. The samples of several runs are aligned first, by the anchor's
// median in each: what differs from run to run is then left out, and what is left
// is compared as in one run (the aligned ranks of J. L. Hodges and E. L. Lehmann,
// Annals of Mathematical Statistics 33, 1962).
func quotient(over, under *Cell, unit string, anchor *Cell) stats.Factor {
	var tops, bottoms []float64
	if over != nil && under != nil {
		for i := range over.runs {
			top, bottom := over.runs[i][unit], under.runs[i][unit]
			at := stats.Summarize(anchor.runs[i][unit]).Median
			if len(top) == 0 || len(bottom) == 0 || !(at > 0) {
				continue
			}
			tops, bottoms = append(tops, scaled(top, at)...), append(bottoms, scaled(bottom, at)...)
		}
	}
	return stats.Ratio(bottoms, tops)
}

func scaled(values []float64, by float64) (all []float64) {
	for _, v := range values {
		all = append(all, v/by)
	}
	return all
}

// slower is how many times slower a cell is than the base: of goodput, base over
// cell; of a time, cell over base.
func slower(c, base *Cell, unit string) stats.Factor {
	if unit == goodput {
		return quotient(base, c, unit, base)
	}
	return quotient(c, base, unit, base)
}

// bounded says whether there were samples enough for an interval: four on each
// side, or six against two.
func bounded(f stats.Factor) bool {
	return f.N > 0 && f.BaseN > 0 && f.Lo > 0 && !math.IsInf(f.Hi, 0) && !math.IsNaN(f.Hi)
}

// times writes a ratio and its interval: "27x 25..29"; "-" where there is
// none.
func times(f stats.Factor) string {
	if math.IsNaN(f.Ratio) {
		return "-"
	}
	text := multiple(f.Ratio) + "x"
	if bounded(f) {
		text += fmt.Sprintf(" %s..%s", multiple(f.Lo), multiple(f.Hi))
	}
	return text
}

// onlyTimes is times without the interval.
func onlyTimes(f stats.Factor) string {
	if math.IsNaN(f.Ratio) {
		return "-"
	}
	return multiple(f.Ratio) + "x"
}

// gbits writes bytes per second in Gbit/s, without the unit: "17.5", "0.617".
func gbits(rate float64) string { return significant(8*rate/1e9, 4) }

func gbitsRange(lo, hi float64) string {
	if !isFinite(lo) || !isFinite(hi) {
		return "-"
	}
	return gbits(lo) + ".." + gbits(hi)
}

// significant writes three significant digits, and no more than so many decimals.
func significant(v float64, most int) string {
	if !isFinite(v) {
		return "-"
	}
	places := 0
	for size := 100.0; math.Abs(v) < size && places < most; size /= 10 {
		places++
	}
	return strconv.FormatFloat(v, 'f', places, 64)
}

// multiple writes how many times: "0.85", "7.2", "1,200".
func multiple(x float64) string {
	switch {
	case !isFinite(x):
		return "-"
	case x >= 9.95:
		return table.Count(int(math.Round(min(x, 1e15))))
	case x < 0.95:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.1f", x)
}

// near is how far a ratio may be from 1 to be called the same, where there are
// too few samples for an interval.
const near = 0.10

// inWords says how much slower: "27x slower", "1.2x faster", "about as fast". With
// too few samples for an interval a small difference is "perhaps".
func inWords(f stats.Factor) string {
	perhaps := ""
	if !bounded(f) && max(f.Ratio, 1/f.Ratio) < plain {
		perhaps = "perhaps "
	}
	switch {
	case bounded(f) && !f.Sure(), math.Abs(f.Ratio-1) < 0.05, !bounded(f) && math.Abs(f.Ratio-1) < near:
		return perhaps + "about as fast"
	case f.Ratio < 1:
		return perhaps + multiple(1/f.Ratio) + "x faster"
	}
	return perhaps + multiple(f.Ratio) + "x slower"
}

// certainty of who is faster.
type certainty int

const (
	unknown certainty = iota // a side is missing
	equal                    // no difference that the samples bear out
	likely                   // much, by too few samples for an interval
	sure                     // beyond chance
)

// plain is from which ratio on a difference is called one although there are too
// few samples for an interval.
const plain = 1.5

// lead says how surely one cell carries more than the other, and which.
func lead(a, b *Cell) (first *Cell, f stats.Factor, c certainty) {
	f = quotient(a, b, goodput, b)
	first = a
	if f.Ratio < 1 {
		first, f = b, quotient(b, a, goodput, b)
	}
	switch {
	case math.IsNaN(f.Ratio):
		return nil, f, unknown
	case bounded(f) && f.Sure() && f.Ratio >= 1.05:
		return first, f, sure
	case !bounded(f) && f.Ratio >= plain:
		return first, f, likely
	}
	return first, f, equal
}
