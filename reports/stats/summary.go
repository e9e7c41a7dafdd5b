// Package stats turns samples into the few numbers that a report states, and
// makes no assumption about the shape of a distribution: latencies have long
// tails, two humps and steps.
//
//	values of one case ───────► Summarize ──► median, its interval, percentiles
//	null case, another case ──► Increment ──► what the other costs more, its interval
//	sweep points, medians ────► Growth ─────► fixed cost, cost per step, order
//	two runtimes ─────────────► Ratio ──────► how many times one takes the other, its interval
//	values of one case ───────► Density ────► the shape of a violin
//	wall times ───────────────► Rate, Knee ─► things per second, and from where on more workers only wait
//	latencies ────────────────► Tail ───────► percentiles far out
//
// Every function is pure, leaves its input as it is, and works in the unit of
// its input. A value that is not a finite number is left out and not counted.
// What cannot be known is NaN, an interval that cannot be known is infinite;
// neither is ever 0.
package stats

import (
	"fmt"
	"math"
	"slices"

	descriptive "github.com/montanaflynn/stats"
	"golang.org/x/perf/benchmath"
)

// level is the confidence that every interval reaches at least, if there are
// enough samples.
const level = 0.95

// Summary describes the values of one case, in the unit of the values. All
// figures are NaN when N is 0.
type Summary struct {
	N int // finite values

	// Median, and the interval between two order statistics that holds the
	// true median with probability Confidence. With fewer than 6 values no
	// such interval exists at 95 %: Lo and Hi are then -Inf and +Inf.
	Median, Lo, Hi float64

	// P95 and P99 are percentiles (Hyndman and Fan's type 7, as in NumPy).
	// With fewer than 20 or 100 values they are little more than Max.
	P95, P99 float64

	// Min, Max and IQR, the distance between the 25th and 75th percentile.
	Min, Max, IQR float64

	// Confidence is the level that Lo and Hi really reach (0.97 for 6
	// values), 1 when they are infinite, 0 when N is 0.
	Confidence float64

	// Warnings say in words what limits the figures above.
	Warnings []string
}

// Summarize describes values.
func Summarize(values []float64) Summary {
	sorted := finite(values)
	s := Summary{N: len(sorted)}
	if dropped := len(values) - len(sorted); dropped > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%d of %d values are not finite numbers and were left out", dropped, len(values)))
	}
	if s.N == 0 {
		nan := math.NaN()
		s.Median, s.Lo, s.Hi = nan, nan, nan
		s.P95, s.P99, s.Min, s.Max, s.IQR = nan, nan, nan, nan, nan
		s.Warnings = append(s.Warnings, "there is no value to summarize")
		return s
	}
	s.median(sorted)
	s.Min, s.Max = sorted[0], sorted[s.N-1]
	s.P95, s.P99 = percentile(sorted, 95), percentile(sorted, 99)
	s.IQR = percentile(sorted, 75) - percentile(sorted, 25)
	return s
}

func (s *Summary) median(sorted []float64) {
	thresholds := benchmath.DefaultThresholds
	sum := benchmath.AssumeNothing.Summary(benchmath.NewSample(sorted, &thresholds), level)
	s.Median, s.Lo, s.Hi, s.Confidence = sum.Center, sum.Lo, sum.Hi, sum.Confidence
	for _, w := range sum.Warnings {
		s.Warnings = append(s.Warnings, w.Error())
	}
	// One infinite end makes the other one a promise that few values cannot
	// keep on its own.
	if math.IsInf(s.Lo, 0) || math.IsInf(s.Hi, 0) {
		s.Lo, s.Hi, s.Confidence = math.Inf(-1), math.Inf(1), 1
	}
}

// percentile of sorted values, of which there is at least one; 0 < p <= 100.
func percentile(sorted []float64, p float64) float64 {
	v, err := descriptive.Percentile(sorted, p)
	if err != nil {
		return math.NaN()
	}
	return v
}

// finite returns a sorted copy of values without NaN and infinities.
func finite(values []float64) []float64 {
	sorted := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			sorted = append(sorted, v)
		}
	}
	slices.Sort(sorted)
	return sorted
}
