package sequential

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// spread is n ratios that lie about one, as far as neighbours let them.
func spread(ratio, sigma float64, n int, seed uint64) []float64 {
	coin := rand.New(rand.NewPCG(seed, 1))
	list := make([]float64, n)
	for i := range list {
		list[i] = ratio * math.Exp(sigma*coin.NormFloat64())
	}
	return list
}

// A change is taken out before it is asked for false alarms, whatever was found.
func TestAlarms(t *testing.T) {
	const draws = 300
	for name, c := range map[string]struct{ same, ab, fresh []float64 }{
		"same":   {spread(1, 0.02, 60, 1), spread(1, 0.02, 200, 2), nil},
		"slower": {spread(1, 0.05, 60, 3), spread(1.1, 0.05, 200, 4), spread(1.1, 0.05, 600, 5)},
		"wild":   {spread(1, 0.5, 60, 6), spread(1, 0.5, 2000, 7), nil},
	} {
		j, f := fed(0.02, c.same, c.ab, c.fresh, false)
		start := time.Now()
		if alarms, made := j.Alarms(draws); alarms != 0 || made != draws {
			t.Errorf("%s: %d of %d", name, alarms, made)
		}
		t.Log(name, f.Verdict, time.Since(start).Round(time.Millisecond))
	}
	if j, _ := fed(0.02, about(1, 3), about(1, 60), nil, false); true {
		if _, made := j.Alarms(draws); made != 0 {
			t.Errorf("of three rounds of A/A %d draws were made", made)
		}
	}
}

// The draws bark: with a first bound that is next to nothing, only the fresh rounds
// stand against a false alarm, and one of a hundred passes them.
func TestAlarmsBark(t *testing.T) {
	const draws = 1000
	j, _ := fed(1e-6, about(1, 60), spread(1, 0.05, 40, 8), spread(1, 0.05, 40, 9), false)
	decks := []deck{{"x", centred(spread(1, 1e-9, 8, 10)), centred(append(j.cases[0].ab, j.cases[0].anew...))}}
	known := map[int]float64{40: 0.1} // standard errors
	alarms := 0
	coin := rand.New(rand.NewPCG(1, 2))
	for range draws {
		if j.draw(decks, known, coin) {
			alarms++
		}
	}
	if alarms == 0 || alarms > draws/20 {
		t.Errorf("%d of %d false alarms, want about 5", alarms, draws)
	}
}
