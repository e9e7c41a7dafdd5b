package sequential

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The bounds that the R package ldbounds prints for five looks at 5 %, with the
// spending of Lan and DeMets that is like O'Brien and Fleming's, 2.5 % on either
// side.
func TestBoundsAsPublished(t *testing.T) {
	spend := func(t, alpha float64) float64 { return 4 * tail(quantile(alpha/4)/math.Sqrt(t)) }
	want := []float64{4.8769, 3.3569, 2.6803, 2.2898, 2.0310}
	for i, got := range bounds([]float64{0.2, 0.4, 0.6, 0.8, 1}, 0.05, spend) {
		if math.Abs(got-want[i]) > 0.001 {
			t.Errorf("look %d: %.4f, want %.4f", i+1, got, want[i])
		}
	}
	if got := bounds([]float64{1}, 0.05, linear)[0]; math.Abs(got-1.95996) > 1e-4 {
		t.Errorf("one look: %v, want 1.96", got)
	}
}

// A Brownian motion passes the bounds of the looks that are used, once in twenty.
func TestBoundsAreKept(t *testing.T) {
	const runs = 100_000
	times := shares
	limits := bounds(times, 0.05, linear)
	source := rand.New(rand.NewPCG(1, 2))
	passed := 0
	for range runs {
		sum, last := 0.0, 0.0
		for i, at := range times {
			sum += source.NormFloat64() * math.Sqrt(at-last)
			last = at
			if math.Abs(sum)/math.Sqrt(at) > limits[i] {
				passed++
				break
			}
		}
	}
	if got := float64(passed) / runs; math.Abs(got-0.05) > 0.003 { // four standard errors
		t.Errorf("passed in %.4f of the runs, want 0.05; bounds %.3f", got, limits)
	}
}
