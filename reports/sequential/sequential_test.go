package sequential

import (
	"math"
	"strings"
	"testing"
)

// fed is a judge that was told figures of one case: head by base of the A/A, the
// A/B and the fresh rounds.
func fed(floor float64, same, ab, fresh []float64, higher bool) (*Judge, Finding) {
	j := New(floor, func(string) bool { return higher })
	tell := func(f func(string, []float64, []float64), ratios []float64) {
		for _, r := range ratios {
			f("x y-ns", []float64{100, 100}, []float64{100 * r, 100 * r})
		}
	}
	tell(j.Same, same)
	j.Plan(len(ab))
	tell(j.Pair, ab)
	j.Look(len(ab), true)
	j.Confirm(len(fresh))
	tell(j.Fresh, fresh)
	if len(fresh) > 0 {
		j.Again(len(fresh), true)
	}
	return j, j.Findings()[0]
}

// about is n ratios that lie about one.
func about(ratio float64, n int) []float64 {
	list := make([]float64, n)
	for i := range list {
		list[i] = ratio * (1 + 0.004*math.Sin(float64(7*i)))
	}
	return list
}

func TestVerdicts(t *testing.T) {
	quiet := about(1, 30)
	for name, c := range map[string]struct {
		same, ab, fresh []float64
		higher          bool
		want            Verdict
		why             string
	}{
		"same":               {quiet, about(1.001, 60), nil, false, Same, ""},
		"slower":             {quiet, about(1.1, 60), about(1.1, 60), false, Slower, ""},
		"faster":             {quiet, about(0.9, 60), about(0.9, 60), false, Faster, ""},
		"higher is better":   {quiet, about(0.9, 60), about(0.9, 60), true, Slower, ""},
		"not again":          {quiet, about(1.1, 60), about(1, 60), false, Same, ""},
		"the other way":      {quiet, about(1.1, 60), about(0.9, 60), false, CannotTell, "not confirmed"},
		"no time to confirm": {quiet, about(1.1, 60), about(1.1, 5), false, CannotTell, "no time to confirm"},
		"within the noise":   {about(1.2, 30), about(1.1, 60), nil, false, CannotTell, "wider"},
		"few of base":        {about(1, 3), about(1.1, 60), nil, false, CannotTell, "3 rounds of base against itself"},
		"few of both":        {quiet, about(1.1, 2), nil, false, CannotTell, "2 rounds are too few"},
		"no figures":         {quiet, []float64{0, math.NaN()}, nil, false, CannotTell, "0 rounds are too few"},
	} {
		_, f := fed(0.02, c.same, c.ab, c.fresh, c.higher)
		if f.Verdict != c.want || !strings.Contains(f.Why, c.why) {
			t.Errorf("%s: %q, %q; want %q, %q", name, f.Verdict, f.Why, c.want, c.why)
		}
	}
}

// What is plain is decided before all rounds are there.
func TestStopsEarly(t *testing.T) {
	j := New(0.02, nil)
	for range 30 {
		j.Same("x", []float64{100}, []float64{100.1})
	}
	j.Plan(3200)
	n := 0
	for open := []string{"x"}; len(open) > 0 && n < 3200; n++ {
		j.Pair("x", []float64{100}, []float64{120 + float64(n%7)})
		open = j.Look(n+1, false)
	}
	if n != 100 { // the first look
		t.Errorf("decided after %d rounds, want 100", n)
	}
}

// The A/A is enough when its interval is within half of the floor, and not before.
func TestKnown(t *testing.T) {
	for name, c := range map[string]struct {
		ratio, spread, floor float64
		want                 int // rounds; 0: never
	}{
		"quiet":         {1, 0.004, 0.02, 32},
		"noisy":         {1, 0.1, 0.02, 512}, // ± 1.96 × 0.1 / √512 is 0.9 %
		"differs":       {1.015, 0.004, 0.02, 0},
		"wild":          {1, 1, 0.02, 0},
		"without floor": {1, 0.004, 0, 0},
	} {
		j := New(c.floor, nil)
		got := 0
		for i, r := range spread(c.ratio, c.spread, 3000, 11) {
			j.Same("x", []float64{100}, []float64{100 * r})
			if j.Known(i + 1) {
				got = i + 1
				break
			}
		}
		if got != c.want {
			t.Errorf("%s: after %d rounds, want %d", name, got, c.want)
		}
	}
	j := New(0.02, nil)
	if j.Known(64) {
		t.Error("nothing is known of no case")
	}
	for i, r := range spread(1, 0.004, 64, 12) {
		j.Same("quiet", []float64{100}, []float64{100 * r})
		j.Same("noisy", []float64{100}, []float64{100 * (1 + 30*(r-1))})
		if j.Known(i + 1) {
			t.Errorf("after %d rounds one of the cases is as noisy as before", i+1)
		}
	}
}
