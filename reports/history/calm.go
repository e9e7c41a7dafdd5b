package history

import (
	"math"
	"slices"
)

// Strays.
const (
	calmReach = 2   // neighbours on either side, so that a level of three is none
	calmMost  = 2.5 // scatters from their median
)

// calm draws runs in that are farther than three scatters from the median of their
// neighbours, to that distance (F. R. Hampel, The Influence Curve and Its Role in
// Robust Estimation, 1974): one run beside a busy neighbour must not hide a step.
// A step stays where it is. How large a change is, is taken from all runs as they
// were.
func calm(logs []float64) []float64 {
	n := len(logs)
	middle, away := make([]float64, n), make([]float64, n)
	for i := range n {
		middle[i] = medianOf(logs[max(0, i-calmReach):min(n, i+calmReach+1)])
		away[i] = math.Abs(logs[i] - middle[i])
	}
	// A value is often its own median, so the distance from it is less than that from
	// a level; what is left of three scatters is enough for all but strays.
	scatter := scatterOf(logs)
	out := make([]float64, n)
	for i, v := range logs {
		out[i] = v
		if most := calmMost * scatter; scatter > 0 && away[i] > most {
			out[i] = middle[i] + math.Copysign(most, v-middle[i])
		}
	}
	return out
}

// scatterOf is the scatter of runs about their level, from the differences of
// neighbours, in which a step is but one of many: their median, as the standard
// deviation of a normal distribution.
func scatterOf(logs []float64) float64 {
	var steps []float64
	for i := 1; i < len(logs); i++ {
		steps = append(steps, math.Abs(logs[i]-logs[i-1]))
	}
	if len(steps) == 0 {
		return 0
	}
	return medianOf(steps) / 0.6745 / math.Sqrt2
}

func medianOf(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}
