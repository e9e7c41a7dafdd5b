package history

import (
	"math"
	"slices"
)

// settle moves each boundary to its most likely place between its neighbours: E-
// divisive weighs places in the middle more, which is right for finding that there
// is a change, and not for naming the first run of it.
func (t *track) settle(at []int) []int {
	at = slices.Clone(at)
	for range 5 {
		moved := false
		for i := range at {
			likely, lo := t.likely(at, i)
			best := at[i]
			for k, p := range likely {
				if p > likely[best-lo] {
					best = lo + k
				}
			}
			moved = moved || best != at[i]
			at[i] = best
		}
		if !moved {
			break
		}
	}
	return at
}

// heavy is the degrees of freedom of the Student's t that runs scatter by, when a
// place is looked for: a stray then says little about where it belongs.
const heavy = 4

// likely is the probability of each place of a boundary, between its neighbours,
// when the levels on both sides are what they seem to be. The first is of place lo.
func (t *track) likely(at []int, i int) (list []float64, lo int) {
	from, to := t.ends(at, i)
	sigma, _ := t.sigma(at)
	lo = from + leastLevel
	left, right := mean(t.calm[from:at[i]]), mean(t.calm[at[i]:to])
	odds := make([]float64, to-from+1) // of all runs before a place being on the left level, and not on the right one
	for k, v := range t.logs[from:to] {
		odds[k+1] = odds[k] + t.density(v-left, sigma) - t.density(v-right, sigma)
	}
	most := math.Inf(-1)
	for k := lo; k <= to-leastLevel; k++ {
		v := math.Inf(-1)
		if t.starts[k] {
			v = odds[k-from]
		}
		list = append(list, v)
		most = max(most, v)
	}
	total := 0.0
	for k, v := range list {
		list[k] = math.Exp(v - most)
		total += list[k]
	}
	for k := range list {
		list[k] /= total
	}
	return list, lo
}

// density is the logarithm of that of a run so far from its level, but for what all
// have in common.
func (t *track) density(away, sigma float64) float64 {
	// Where nothing scatters at all, any distance is far.
	z := away / max(sigma, 1e-9)
	return -(heavy + 1) / 2 * math.Log1p(z*z/heavy)
}
