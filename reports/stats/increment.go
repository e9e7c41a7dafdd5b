package stats

import "math"

// Shift is by how much values lie above base, in the unit of both.
type Shift struct {
	// Delta is the Hodges–Lehmann estimate: the median of all N*BaseN
	// differences value - base. It is the shift of the whole distribution,
	// steadier than the difference of two medians. NaN when a side is empty.
	Delta float64

	// Lo and Hi hold the true shift with probability Confidence, whatever
	// the distribution, as long as one is the other moved. They are -Inf and
	// +Inf when there are too few values for 95 % (3 against 3), NaN when a
	// side is empty.
	Lo, Hi, Confidence float64

	N, BaseN int // finite values on either side
}

// Increment is the shift of values over base, with the distribution-free
// interval of Moses: two order statistics of the differences, chosen by the
// null distribution of the Mann–Whitney U (E. L. Lehmann, Nonparametrics,
// 1975, section 2.5; M. Hollander and D. A. Wolfe, Nonparametric Statistical
// Methods, 1999, section 4.3). Ties make the interval wider than it need be,
// never narrower, because its ends belong to it.
//
// The differences are never written down: the one of rank k is found by
// bisecting on its value and counting the smaller ones with two pointers, so
// 100,000 values on each side take a fraction of a second and no memory
// beyond two sorted copies.
func Increment(base, values []float64) Shift {
	d := differences{finite(base), finite(values)}
	s := Shift{N: len(d.values), BaseN: len(d.base)}
	if s.N == 0 || s.BaseN == 0 {
		s.Delta, s.Lo, s.Hi = math.NaN(), math.NaN(), math.NaN()
		return s
	}
	pairs := s.N * s.BaseN
	s.Delta = d.rank((pairs + 1) / 2)
	if pairs%2 == 0 {
		s.Delta += (d.rank(pairs/2+1) - s.Delta) / 2
	}
	c, confidence := endRank(s.N, s.BaseN)
	s.Lo, s.Hi, s.Confidence = math.Inf(-1), math.Inf(1), confidence
	if c > 0 {
		s.Lo, s.Hi = d.rank(c), d.rank(pairs+1-c)
	}
	return s
}

// differences stands for all values[i] - base[j]; both are sorted and not
// empty. Rounding keeps the order of the differences, so what holds for exact
// numbers holds for the computed ones.
type differences struct{ base, values []float64 }

// rank is the k-th smallest difference, 1 <= k <= len(base)*len(values).
func (d differences) rank(k int) float64 {
	lo := ordinal(d.values[0] - d.base[len(d.base)-1])
	hi := ordinal(d.values[len(d.values)-1] - d.base[0])
	for lo < hi {
		mid := lo + (hi-lo)/2
		if d.atMost(number(mid)) >= k {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return number(lo)
}

// atMost counts the differences that are not greater than t.
func (d differences) atMost(t float64) int {
	count := 0
	j := 0 // base[j] is the first with v - base[j] <= t; it moves up with v
	for _, v := range d.values {
		for j < len(d.base) && v-d.base[j] > t {
			j++
		}
		count += len(d.base) - j
	}
	return count
}

// ordinal numbers all floats in their order, so that a bisection ends after
// at most 64 steps at the exact value; number is its inverse. -0 counts as 0.
func ordinal(f float64) uint64 {
	bits := math.Float64bits(f + 0)
	if bits>>63 == 1 {
		return ^bits
	}
	return bits | 1<<63
}

func number(o uint64) float64 {
	if o>>63 == 1 {
		return math.Float64frombits(o &^ (1 << 63))
	}
	return math.Float64frombits(^o)
}

// endRank is the rank c for which the c-th smallest and the c-th greatest
// of the n*m differences are the ends of a 95 % interval, and the confidence
// that these reach. c is 0 when no difference lies far enough out.
func endRank(n, m int) (c int, confidence float64) {
	const tail = (1 - level) / 2
	if counts := exactU(min(n, m), max(n, m)); counts != nil {
		all := choose(n+m, min(n, m))
		below := 0.0
		for c < len(counts) && below+counts[c] <= tail*all {
			below += counts[c]
			c++
		}
		return c, 1 - 2*below/all
	}
	mean := float64(n) * float64(m) / 2
	sigma := math.Sqrt(float64(n) * float64(m) * float64(n+m+1) / 12)
	z := -math.Sqrt2 * math.Erfinv(2*tail-1)
	c = max(0, int(math.Floor(mean+0.5-z*sigma)))
	if c == 0 {
		return 0, 1
	}
	return c, math.Erf((mean + 0.5 - float64(c)) / sigma / math.Sqrt2)
}

// exactU counts, for every u up to the middle, the arrangements of n values
// among m others with Mann–Whitney U = u; n <= m. It is nil when the counts
// no longer fit a float64 exactly: the normal approximation is then good, or
// for one or two values on a side on the safe side.
func exactU(n, m int) []float64 {
	const exact = 1 << 53
	if choose(n+m, n) > exact/2 {
		return nil
	}
	// The generating function is the product over i of
	// (1 - q^(m+i)) / (1 - q^i), cut after the middle.
	counts := make([]float64, n*m/2+1)
	counts[0] = 1
	for i := 1; i <= n; i++ {
		for u := len(counts) - 1; u >= m+i; u-- {
			counts[u] -= counts[u-m-i]
		}
		for u := i; u < len(counts); u++ {
			counts[u] += counts[u-i]
		}
	}
	return counts
}

// choose is the number of ways to pick k of n, +Inf when that is huge.
func choose(n, k int) float64 {
	ways := 1.0
	for i := 1; i <= k && !math.IsInf(ways, 1); i++ {
		ways *= float64(n-k+i) / float64(i)
	}
	return math.Round(ways)
}
