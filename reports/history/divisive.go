package history

import (
	"math"
	"slices"

	distribution "github.com/aclements/go-moremath/stats"
)

// Change points are found as E-divisive finds them: D. S. Matteson and N. A. James,
// A Nonparametric Approach for Multiple Change Point Analysis of Multivariate Data,
// 2014, which MongoDB (D. Daly and others, The Use of Change Point Detection to
// Identify Software Performance Regressions in a Continuous Integration System,
// 2020) and Apache Otava, once Hunter, use for the same purpose (M. Fleming and
// others, Hunter, 2023).
//
//	logs of medians ──calm──► ──weak──► stretches split where their two sides differ
//	                                    most (energy), again and again
//	                     ──strict──► the weakest boundary is taken out, until all count
//	                     ──settle──► each is moved to its most likely place
//
// The difference of two sides is the energy statistic with exponent 1: twice the
// mean distance between values of both, less the mean distances within each.
//
// Significance is Student's t, as in Hunter, and no permutation test as in the
// paper. The answer must be the same each time, and it must be possible to say
// that a boundary is one of a thousand in a hundred series: 999 permutations know
// no p below 0.001, and a hundred times as many would take minutes. Since the place
// is chosen as the best of many, p is multiplied by the number of places (Hunter
// leaves that out); and since runs that are close in time are alike, the variance
// is multiplied by what the runs' correlation makes of it.

// Limits of levels.
const (
	// leastLevel is how many runs make a level. Two strays in a row are no level:
	// calm takes them for what they are.
	leastLevel = 3
	// leastRuns is how many a series must have before anything is said of it.
	leastRuns = 8
	// weakly is the p of a boundary that is looked at again.
	weakly = 0.01
)

// rules are what a boundary must do to count.
type rules struct {
	alpha float64 // the most p, times the number of places
	floor float64 // the least change of level, as a logarithm
	drift float64 // by how many times the variance of a mean is larger than that of independent runs
}

// track is a series as the search sees it.
type track struct {
	logs   []float64 // of the runs' medians
	calm   []float64 // the same, with strays drawn in
	starts []bool    // whether a level may begin there: at a commit's first run
	maybe  []int     // all boundaries that may be changes, in order
}

// newTrack takes logarithms of medians; starts says at which runs another commit
// begins.
func newTrack(logs []float64, starts []bool) *track {
	t := &track{logs: logs, calm: calm(logs), starts: starts}
	t.maybe = t.weak(distancesOf(t.calm), 0, len(logs))
	return t
}

// distances are sums: [i][j] is that of all distances between the first i values
// and the first j.
type distances [][]float64

func distancesOf(values []float64) distances {
	n := len(values)
	sums := make(distances, n+1)
	sums[0] = make([]float64, n+1)
	for i, v := range values {
		row, line := make([]float64, n+1), 0.0
		for j, w := range values {
			line += math.Abs(v - w)
			row[j+1] = sums[i][j+1] + line
		}
		sums[i+1] = row
	}
	return sums
}

// block is the sum of distances between values [a, b) and [c, d).
func (s distances) block(a, b, c, d int) float64 { return s[b][d] - s[a][d] - s[b][c] + s[a][c] }

// energy is how much values [from, at) and [at, to) differ.
func (s distances) energy(from, at, to int) float64 {
	n, m := float64(at-from), float64(to-at)
	within := func(a, b int, n float64) float64 {
		if n < 2 {
			return 0
		}
		return s.block(a, b, a, b) / (n * (n - 1))
	}
	return n * m / (n + m) * (2*s.block(from, at, at, to)/(n*m) - within(from, at, n) - within(at, to, m))
}

// best is where [from, to) is split best, and up to where the second side goes;
// at is 0 when nowhere.
func (t *track) best(s distances, from, to int) (at, until int) {
	most := 0.0
	for a := from + leastLevel; a <= to-leastLevel; a++ {
		if !t.starts[a] {
			continue
		}
		for u := a + leastLevel; u <= to; u++ {
			if u < to && !t.starts[u] {
				continue
			}
			if e := s.energy(from, a, u); e > most {
				at, until, most = a, u, e
			}
		}
	}
	return at, until
}

// weak is all boundaries of [from, to) that may be changes, in order.
func (t *track) weak(s distances, from, to int) []int {
	at, until := t.best(s, from, to)
	if at == 0 {
		return nil
	}
	if p := studentP(t.calm[from:at], t.calm[at:until]); !(p < weakly) {
		return nil
	}
	return append(append(t.weak(s, from, at), at), t.weak(s, at, to)...)
}

// places is how many boundaries a series could have.
func (t *track) places() (n int) {
	for i := leastLevel; i <= len(t.starts)-leastLevel; i++ {
		if t.starts[i] {
			n++
		}
	}
	return n
}

// strict takes out the weakest boundary until each of those left counts, and
// settles those.
func (t *track) strict(r rules) []int {
	at := slices.Clone(t.maybe)
	for len(at) > 0 {
		at = t.settle(at)
		worst, weakest := -1, 0.0
		for i := range at {
			p, change := t.step(at, i, r)
			if p < r.alpha && math.Abs(change) >= r.floor {
				continue
			}
			// The least certain first; of those that are certain, the smallest.
			if w := max(p, r.alpha*r.floor/(r.floor+math.Abs(change))); worst < 0 || w > weakest {
				worst, weakest = i, w
			}
		}
		if worst < 0 {
			return at
		}
		at = slices.Delete(at, worst, worst+1)
	}
	return nil
}

// ends are where the levels on both sides of a boundary begin and end.
func (t *track) ends(at []int, i int) (from, to int) {
	to = len(t.calm)
	if i > 0 {
		from = at[i-1]
	}
	if i+1 < len(at) {
		to = at[i+1]
	}
	return from, to
}

// step is the p of a boundary among all places, and by how much the level changes
// there, as a logarithm.
func (t *track) step(at []int, i int, r rules) (p, change float64) {
	from, to := t.ends(at, i)
	left, right := t.calm[from:at[i]], t.calm[at[i]:to]
	change = mean(right) - mean(left)
	sign := math.Copysign(1, change)
	left, right = without(left, -sign), without(right, sign)
	n, m := float64(len(left)), float64(len(right))
	sigma, free := t.sigma(at)
	if free < 1 {
		return 1, change
	}
	if sigma == 0 {
		if change == 0 {
			return 1, 0
		}
		return 0, change
	}
	z := max(0, sign*(mean(right)-mean(left))) / (sigma * math.Sqrt(r.drift*(1/n+1/m)))
	p = 2 * distribution.TDist{V: free / r.drift}.CDF(-z)
	return min(1, p*float64(t.places())), change
}

// sigma is the scatter of runs about their levels, and its degrees of freedom.
func (t *track) sigma(at []int) (sigma, free float64) {
	rest := t.rest(at)
	for _, v := range rest {
		sigma += v * v
	}
	free = float64(len(rest) - len(at) - 1)
	if free < 1 {
		return 0, 0
	}
	return math.Sqrt(sigma / free), free
}

// rest is what the levels leave of the runs.
func (t *track) rest(at []int) []float64 {
	var rest []float64
	from := 0
	for _, to := range append(slices.Clone(at), len(t.calm)) {
		level := mean(t.calm[from:to])
		for _, v := range t.calm[from:to] {
			rest = append(rest, v-level)
		}
		from = to
	}
	return rest
}

// lag is the correlation of a run with the next one on the same level, with what
// the mean of few runs hides put right (M. G. Kendall, Note on bias in the
// estimation of autocorrelation, 1954); false: there are too few to know.
func (t *track) lag(at []int) (float64, bool) {
	rest := t.rest(at)
	n := float64(len(rest))
	if len(rest) < 2*leastRuns {
		return 0, false
	}
	sum, with := 0.0, 0.0
	for i, v := range rest {
		sum += v * v
		if i > 0 {
			with += v * rest[i-1]
		}
	}
	if !(sum > 0) {
		return 0, false
	}
	levels := float64(len(at) + 1)
	return (with/sum + levels/n) / (1 - min(0.5, 4*levels/n)), true
}

// driftOf is by how many times correlated runs make the variance of a mean larger.
func driftOf(lag float64) float64 {
	lag = min(0.8, max(0, lag))
	return (1 + lag) / (1 - lag)
}

func mean(values []float64) (m float64) {
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}

// studentP is the p of Student's t for two sides of the same scatter.
func studentP(a, b []float64) float64 {
	n, m := float64(len(a)), float64(len(b))
	free := n + m - 2
	if free < 1 {
		return 1
	}
	ma, mb, sum := mean(a), mean(b), 0.0
	for _, v := range a {
		sum += (v - ma) * (v - ma)
	}
	for _, v := range b {
		sum += (v - mb) * (v - mb)
	}
	if ma == mb {
		return 1
	}
	if sum == 0 {
		return 0
	}
	z := math.Abs(ma-mb) / math.Sqrt(sum/free*(1/n+1/m))
	return 2 * distribution.TDist{V: free}.CDF(-z)
}

// without is a level without its highest value, or its lowest (sign -1): that
// which makes most of a change.
func without(level []float64, sign float64) []float64 {
	at := 0
	for i, v := range level {
		if sign*v > sign*level[at] {
			at = i
		}
	}
	return slices.Delete(slices.Clone(level), at, at+1)
}
