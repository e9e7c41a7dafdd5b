package main

import (
	"math"
	"slices"
)

// quantile is the q-quantile of values, between two of them where needed.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// estimate is a median and an interval in which the true one lies with a
// confidence of at least 95 %. It supposes nothing of the distribution: the
// ends are values of the sample, chosen by the binomial distribution. With
// fewer than 6 values there is no such interval, and it is all of them.
type estimate struct{ median, low, high float64 }

func newEstimate(values []float64) estimate {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	below := binomialRank(n)
	return estimate{quantile(sorted, 0.5), sorted[below], sorted[n-1-below]}
}

// binomialRank is the largest k so that at most k of n fair coins show heads
// with a probability of at most 2.5 %; 0 when there is none.
func binomialRank(n int) int {
	sum, rank := 0.0, 0
	for k := range n / 2 {
		choose, _ := math.Lgamma(float64(n + 1))
		a, _ := math.Lgamma(float64(k + 1))
		b, _ := math.Lgamma(float64(n - k + 1))
		sum += math.Exp(choose - a - b - float64(n)*math.Ln2)
		if sum > 0.025 {
			break
		}
		rank = k
	}
	return rank
}

// ratios divides pair by pair.
func ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}
