package stats

import "math"

// Rate is how many things were done in a second with so many workers.
type Rate struct {
	Workers   float64
	PerSecond float64

	// Lo and Hi hold the true rate with 95 % confidence; -Inf and +Inf when
	// there are too few samples.
	Lo, Hi float64

	N int // samples
}

// NewRate is the rate that wall times stand for: walls are nanoseconds of the
// whole run for each thing done in it. Its figures are NaN without any.
func NewRate(workers float64, walls []float64) Rate {
	s := Summarize(walls)
	r := Rate{Workers: workers, PerSecond: 1e9 / s.Median, Lo: 1e9 / s.Hi, Hi: 1e9 / s.Lo, N: s.N}
	if math.IsInf(s.Hi, 1) || s.Lo <= 0 {
		r.Lo, r.Hi = math.Inf(-1), math.Inf(1)
	}
	return r
}

// Knee is the fewest workers that reach the best rate: the first whose rate
// is not below the interval of the best one. Beyond it more workers only wait
// for each other. rates are in order of Workers. ok is false with fewer than
// two rates, or when the best one has no interval.
//
// The rule has no model in it. A fit of N. J. Gunther's universal scalability
// law would need five or more points to tell its two coefficients apart, and
// a run has as many as twice the CPUs.
func Knee(rates []Rate) (knee Rate, ok bool) {
	var best Rate
	measured := 0
	for _, r := range rates {
		if !(r.PerSecond > 0) || math.IsInf(r.PerSecond, 1) {
			continue
		}
		measured++
		if r.PerSecond > best.PerSecond {
			best = r
		}
	}
	if measured < 2 || math.IsInf(best.Lo, 0) || math.IsNaN(best.Lo) {
		return Rate{}, false
	}
	for _, r := range rates {
		if r.PerSecond >= best.Lo {
			return r, true
		}
	}
	return best, true
}
