package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A distribution draws one value; together they are what latencies look like.
type distribution func(*rand.Rand) float64

func lognormal(r *rand.Rand) float64 { return math.Exp(r.NormFloat64()) }

// bimodal has its median between two humps of unequal width.
func bimodal(r *rand.Rand) float64 {
	if r.Float64() < 0.6 {
		return 10 + r.NormFloat64()
	}
	return 20 + 4*r.NormFloat64()
}

// pareto with the index 1.1 has no variance and next to no mean.
func pareto(r *rand.Rand) float64 { return math.Pow(1-r.Float64(), -1/1.1) }

// wild is small integers, their negatives, and now and then something huge.
func wild(r *rand.Rand) float64 {
	if r.IntN(5) == 0 {
		return r.NormFloat64() * 1e12
	}
	return float64(r.IntN(9) - 4)
}

func draw(r *rand.Rand, n int, d distribution) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = d(r)
	}
	return v
}

// The 95 % intervals hold the truth in 95 % of the cases, whatever the shape.
func TestCoverage(t *testing.T) {
	const runs, shift = 2000, 3.5
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name string
		d    distribution
	}{{"log-normal", lognormal}, {"bimodal", bimodal}, {"heavy-tailed", pareto}} {
		truth := Summarize(draw(rng, 400_001, c.d)).Median
		for _, n := range []int{20, 61, 180} {
			var median, increment int
			for range runs {
				base, values := draw(rng, n, c.d), draw(rng, n/2+5, c.d)
				if s := Summarize(base); s.Lo <= truth && truth <= s.Hi {
					median++
				}
				for i := range values {
					values[i] += shift
				}
				if s := Increment(base, values); s.Lo <= shift && shift <= s.Hi {
					increment++
				}
			}
			for what, hits := range map[string]int{"median": median, "increment": increment} {
				if share := float64(hits) / runs; share < 0.93 || share > 0.97 {
					t.Errorf("%s, n=%d: the interval of the %s holds it in %.1f %% of the runs", c.name, n, what, 100*share)
				} else {
					t.Logf("%s, n=%d, %s: %.1f %%", c.name, n, what, 100*share)
				}
			}
		}
	}
}
