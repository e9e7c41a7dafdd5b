package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// made is a made-up series of 40 to 60 commits, each measured so many times, of
// which one made it slower.
type made struct {
	logs   []float64
	starts []bool
	at     int // the first run of that commit
	again  func(run int) float64
}

// strays is the share of runs that a neighbour made slower, by 5 to 30 %.
const strays = 0.04

func makeSeries(rng *rand.Rand, cv, step, strays float64, runs int) made {
	n := 40 + rng.IntN(21)
	at := 8 + rng.IntN(n-5-8+1)
	if step == 0 {
		at = n
	}
	m := made{at: at * runs}
	m.again = func(run int) float64 {
		v := cv * rng.NormFloat64()
		if rng.Float64() < strays {
			v += math.Log1p(0.05 + 0.25*rng.Float64())
		}
		if run >= m.at {
			v += math.Log1p(step)
		}
		return v
	}
	for i := range n * runs {
		m.logs, m.starts = append(m.logs, m.again(i)), append(m.starts, i%runs == 0)
	}
	return m
}

func (m made) changes() (t *track, at []int) {
	t = newTrack(m.logs, m.starts)
	return t, t.strict(t.weak(0, len(m.logs)), rules{alpha: 0.05, floor: math.Log(1.02), drift: 1})
}

func TestExplore(t *testing.T) {
	for _, runs := range []int{1, 2, 3} {
		for _, cv := range []float64{0.01, 0.0125, 0.015, 0.0175, 0.02} {
			for _, strays := range []float64{0, strays} {
				rng := rand.New(rand.NewPCG(1, 2))
				exact, found, alarms, oracle, in, one := 0, 0, 0, 0, 0, 0
				const N = 1000
				for range N {
					s := makeSeries(rng, cv, 0.05, strays, runs)
					tr, at := s.changes()
					if len(at) == 1 {
						one++
					}
					if len(at) > 0 {
						found++
					}
					for i, k := range at {
						if k == s.at {
							exact++
						}
						l, lo := tr.likely(at, i)
						if s.at >= lo && s.at-lo < len(l) && l[s.at-lo] > 0.02 {
							in++
						}
					}
					best, bv := 0, math.Inf(1)
					for k := 3 * runs; k <= len(s.logs)-3*runs; k += runs {
						v := 0.0
						for i, x := range s.logs {
							m := 0.0
							if i >= k {
								m = math.Log1p(0.05)
							}
							v += 2.5 * math.Log1p((x-m)*(x-m)/4/cv/cv)
						}
						if v < bv {
							bv, best = v, k
						}
					}
					if best == s.at {
						oracle++
					}
					if _, at := makeSeries(rng, cv, 0, strays, runs).changes(); len(at) > 0 {
						alarms++
					}
				}
				fmt.Printf("runs %d cv %.4f strays %.2f: found %d one %d exact %d oracle %d likely %d alarms %d of %d\n", runs, cv, strays, found, one, exact, oracle, in, alarms, N)
			}
		}
	}
}
