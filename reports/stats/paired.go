package stats

import (
	"math"
	"slices"
)

// Paired is where differences lie that were taken in pairs: the Hodges–Lehmann
// estimate, which is the median of the n*(n+1)/2 means of any two of them, and the
// interval that Wilcoxon's signed-rank test gives at z standard errors (E. L.
// Lehmann, Nonparametrics, 1975, section 4.3; the normal approximation). The
// differences must be symmetric about the middle, as they are when a coin decided
// which side of a pair was which. Lo and Hi are infinite when there are too few
// differences for z, and all is NaN when there are none.
//
// As with Increment, the means are never written down.
func Paired(differences []float64, z float64) Shift {
	w := walsh(finite(differences))
	n := len(w)
	s := Shift{N: n, BaseN: n}
	if n == 0 {
		s.Delta, s.Lo, s.Hi = math.NaN(), math.NaN(), math.NaN()
		return s
	}
	all := n * (n + 1) / 2
	s.Delta = w.rank((all + 1) / 2)
	if all%2 == 0 {
		s.Delta += (w.rank(all/2+1) - s.Delta) / 2
	}
	c := int(math.Floor(float64(all)/2 + 0.5 - z*signedRankError(n)))
	s.Lo, s.Hi, s.Confidence = math.Inf(-1), math.Inf(1), 1
	if c > 0 {
		s.Lo, s.Hi, s.Confidence = w.rank(c), w.rank(all+1-c), math.Erf(z/math.Sqrt2)
	}
	return s
}

// signedRankError is the standard deviation of the signed-rank sum of n
// differences, when nothing differs.
func signedRankError(n int) float64 {
	f := float64(n)
	return math.Sqrt(f * (f + 1) * (2*f + 1) / 24)
}

// walsh stands for the means of any two of sorted values, of which there is one
// at least, and of each with itself.
type walsh []float64

// rank is the k-th smallest mean, 1 <= k <= n*(n+1)/2.
func (w walsh) rank(k int) float64 {
	lo, hi := ordinal(w[0]), ordinal(w[len(w)-1])
	for lo < hi {
		mid := lo + (hi-lo)/2
		if w.atMost(number(mid)) >= k {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return number(lo)
}

// atMost counts the means that are not greater than t.
func (w walsh) atMost(t float64) int {
	count := 0
	j := len(w) - 1 // w[j] is the last one whose mean with w[i] is not greater; it moves down with i
	for i := range w {
		for j >= i && w[i]+(w[j]-w[i])/2 > t {
			j--
		}
		if j < i {
			break
		}
		count += j - i + 1
	}
	return count
}

// SignedRank is the p of Wilcoxon's signed-rank test that differences lie about
// 0, two-sided, by the normal approximation with the correction for ties and
// continuity, as R's wilcox.test(exact=FALSE). Zeros are left out. NaN: there is
// no difference but zeros.
func SignedRank(differences []float64) float64 {
	d := slices.DeleteFunc(finite(differences), func(v float64) bool { return v == 0 })
	n := len(d)
	if n == 0 {
		return math.NaN()
	}
	slices.SortFunc(d, func(a, b float64) int {
		if math.Abs(a) < math.Abs(b) {
			return -1
		} else if math.Abs(a) > math.Abs(b) {
			return 1
		}
		return 0
	})
	sum, ties := 0.0, 0.0
	for i := 0; i < n; {
		j := i
		for j < n && math.Abs(d[j]) == math.Abs(d[i]) {
			j++
		}
		rank := float64(i+j+1) / 2
		for ; i < j; i++ {
			if d[i] > 0 {
				sum += rank
			}
		}
		t := float64(j) - rank*2 + float64(j) + 1 // how many were equal
		ties += t * (t - 1) * (t + 1)
	}
	f := float64(n)
	away := sum - f*(f+1)/4
	sigma := math.Sqrt(f*(f+1)*(2*f+1)/24 - ties/48)
	away = math.Copysign(max(0, math.Abs(away)-0.5), away)
	return math.Erfc(math.Abs(away) / sigma / math.Sqrt2)
}
