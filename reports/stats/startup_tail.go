package stats

import (
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Tail is a distribution of latencies as an HDR histogram keeps it: every
// value to three significant figures, however far out it lies.
type Tail struct {
	N    int // finite values, not below zero
	hist *hdrhistogram.Histogram
}

// NewTail counts latencies, in whole nanoseconds.
func NewTail(values []float64) Tail {
	const figures = 3
	kept := finite(values)
	for len(kept) > 0 && kept[0] < 0 {
		kept = kept[1:]
	}
	t := Tail{N: len(kept)}
	if t.N == 0 {
		return t
	}
	top := int64(math.Min(kept[t.N-1], math.MaxInt64/4))
	t.hist = hdrhistogram.New(1, max(2, top+1), figures)
	for _, v := range kept {
		// The one error, a value beyond the greatest, cannot be.
		_ = t.hist.RecordValue(int64(math.Min(v, float64(top))))
	}
	return t
}

// At is the latency that the given share of all (0.99) does not exceed. It is
// NaN where fewer than one sample lies beyond: ten samples have no p99.
func (t Tail) At(share float64) float64 {
	// 1e-9: 1 - 0.9 is less than a tenth in floating point.
	if t.N == 0 || float64(t.N)*(1-share) < 1-1e-9 {
		return math.NaN()
	}
	return float64(t.hist.ValueAtPercentile(100 * share))
}

// Point is one place of a percentile curve.
type Point struct {
	Share   float64 // 0.99: of all latencies, how many are at most Latency
	Latency float64 // ns
}

// Curve is the latency by percentile, from one half to the last share that
// the samples bear out, denser towards the end: the step from one place to
// the next is the same part of what is left.
func (t Tail) Curve() []Point {
	const perHalf = 6 // places for every halving of what is left
	var points []Point
	if t.N < 2 {
		return nil
	}
	for i := 0; ; i++ {
		beyond := 0.5 * math.Pow(2, -float64(i)/perHalf)
		last := beyond*float64(t.N) <= 1
		if last {
			beyond = 1 / float64(t.N)
		}
		at := t.At(1 - beyond)
		if !math.IsNaN(at) {
			points = append(points, Point{1 - beyond, at})
		}
		if last {
			return points
		}
	}
}
