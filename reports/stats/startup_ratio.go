package stats

import "math"

// Factor is how many times base the values are.
type Factor struct {
	// Ratio is the Hodges–Lehmann estimate on logarithms: the median of all
	// N*BaseN quotients value / base. It is NaN when a side is empty.
	Ratio float64

	// Lo and Hi hold the true quotient with probability Confidence, as long
	// as one distribution is the other one stretched. They are 0 and +Inf
	// when there are too few values for 95 %, NaN when a side is empty.
	Lo, Hi, Confidence float64

	N, BaseN int // finite values above zero on either side
}

// Ratio is the quotient of values over base, with its distribution-free
// interval: Increment of the logarithms, which makes a stretch a shift. A
// value that is not above zero has no logarithm and is left out.
func Ratio(base, values []float64) Factor {
	s := Increment(logs(base), logs(values))
	return Factor{
		Ratio: math.Exp(s.Delta), Lo: math.Exp(s.Lo), Hi: math.Exp(s.Hi),
		Confidence: s.Confidence, N: s.N, BaseN: s.BaseN,
	}
}

// Sure says whether the interval leaves out 1: one side is faster.
func (f Factor) Sure() bool { return f.Lo > 1 || f.Hi < 1 }

// logs of the values above zero; the rest is left out.
func logs(values []float64) []float64 {
	out := make([]float64, 0, len(values))
	for _, v := range values {
		if v > 0 && !math.IsInf(v, 1) {
			out = append(out, math.Log(v))
		}
	}
	return out
}

// Quantiles are those of values at each share of 0 to 1 (Hyndman and Fan's
// type 7, as in NumPy); all NaN when there is no value.
func Quantiles(values []float64, shares ...float64) []float64 {
	sorted := finite(values)
	out := make([]float64, len(shares))
	for i, share := range shares {
		if len(sorted) == 0 {
			out[i] = math.NaN()
			continue
		}
		at := share * float64(len(sorted)-1)
		low := int(math.Floor(at))
		high := min(low+1, len(sorted)-1)
		out[i] = sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
	}
	return out
}

// MiddleHalf says which values lie between the quartiles, both included: the
// samples whose parts may be averaged, because the strays are not among them
// and a mean, unlike a median, keeps a sum a sum.
func MiddleHalf(values []float64) []bool {
	q := Quantiles(values, 0.25, 0.75)
	in := make([]bool, len(values))
	for i, v := range values {
		in[i] = v >= q[0] && v <= q[1]
	}
	return in
}
