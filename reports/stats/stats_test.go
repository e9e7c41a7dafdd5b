package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	same := got == want || math.IsNaN(got) && math.IsNaN(want)
	if !same && !(math.Abs(got-want) <= 1e-9*max(1, math.Abs(want))) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestSummarizeByHand(t *testing.T) {
	in := []float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}
	before := slices.Clone(in)
	s := Summarize(in)
	if !slices.Equal(in, before) {
		t.Fatalf("the input was changed: %v", in)
	}
	// The 95 % interval of 10 values lies between the 2nd and the 9th:
	// 1 - 2*(1+10)/1024.
	near(t, "Median", s.Median, 5.5)
	near(t, "Lo", s.Lo, 2)
	near(t, "Hi", s.Hi, 9)
	near(t, "Confidence", s.Confidence, 1-22.0/1024)
	near(t, "P95", s.P95, 9.55)
	near(t, "P99", s.P99, 9.91)
	near(t, "Min", s.Min, 1)
	near(t, "Max", s.Max, 10)
	near(t, "IQR", s.IQR, 4.5)
	if s.N != 10 || len(s.Warnings) != 0 {
		t.Errorf("N = %d, warnings %q", s.N, s.Warnings)
	}
}

func TestSummarizeFewValues(t *testing.T) {
	for n := 1; n <= 6; n++ {
		s := Summarize(make([]float64, n))
		if enough := n >= 6; enough == math.IsInf(s.Hi, 1) || enough == math.IsInf(s.Lo, -1) || enough != (len(s.Warnings) == 0) {
			t.Errorf("%d values: %+v", n, s)
		}
	}
	for _, in := range [][]float64{nil, {math.NaN(), math.Inf(1)}} {
		s := Summarize(in)
		for _, v := range []float64{s.Median, s.Lo, s.Hi, s.P95, s.P99, s.Min, s.Max, s.IQR} {
			if !math.IsNaN(v) {
				t.Errorf("Summarize(%v) = %+v, want NaN", in, s)
			}
		}
		if s.N != 0 || len(s.Warnings) == 0 {
			t.Errorf("Summarize(%v): N = %d, warnings %q", in, s.N, s.Warnings)
		}
	}
	if s := Summarize([]float64{1, math.NaN(), 3}); s.N != 2 || s.Median != 2 || len(s.Warnings) != 2 {
		t.Errorf("with a NaN: %+v", s)
	}
}

func TestIncrementByHand(t *testing.T) {
	// 4 against 4: P(U=0) = 1/70, P(U<=1) = 2/70 > 2.5 %,
	// so the interval is from the smallest to the greatest difference.
	s := Increment([]float64{1, 2, 4, 7}, []float64{10, 13, 11, 20})
	// sorted: 3 4 6 6 7 8 9 9 9 10 11 12 13 16 18 19
	near(t, "Delta", s.Delta, 9)
	near(t, "Lo", s.Lo, 3)
	near(t, "Hi", s.Hi, 19)
	near(t, "Confidence", s.Confidence, 1-2.0/70)

	// 5 against 5: P(U<=2) = (1+1+2)/252 <= 2.5 %, P(U<=3) = 7/252 > 2.5 %:
	// the third from each end.
	s = Increment([]float64{0, 0, 0, 0, 0}, []float64{1, 2, 3, 4, 5})
	near(t, "Delta", s.Delta, 3)
	near(t, "Lo", s.Lo, 1)
	near(t, "Hi", s.Hi, 5)
	near(t, "Confidence", s.Confidence, 1-8.0/252)

	s = Increment([]float64{1, 2, 3}, []float64{4, 5, 6})
	near(t, "Delta of 3 against 3", s.Delta, 3)
	near(t, "Lo of 3 against 3", s.Lo, math.Inf(-1))
	near(t, "Confidence of 3 against 3", s.Confidence, 1)

	s = Increment(nil, []float64{1})
	near(t, "Delta without a base", s.Delta, math.NaN())
	near(t, "Lo without a base", s.Lo, math.NaN())
	if s.N != 1 || s.BaseN != 0 {
		t.Errorf("without a base: %+v", s)
	}
}

// The mirrored question has the mirrored answer, and neither changes its input.
func TestIncrementIsAntisymmetric(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, size := range [][2]int{{1, 50}, {7, 9}, {30, 31}, {200, 300}} {
		a, b := draw(rng, size[0], lognormal), draw(rng, size[1], lognormal)
		before := slices.Clone(a)
		ab, ba := Increment(a, b), Increment(b, a)
		near(t, "Delta", ab.Delta, -ba.Delta)
		near(t, "Lo", ab.Lo, -ba.Hi)
		near(t, "Hi", ab.Hi, -ba.Lo)
		if !slices.Equal(a, before) {
			t.Error("the input was changed")
		}
	}
}

// Bisection and two pointers find what sorting all differences finds, with
// ties and with negative, tiny and huge values.
func TestRankAgainstSorting(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		base, values := draw(rng, 1+rng.IntN(20), wild), draw(rng, 1+rng.IntN(20), wild)
		d := differences{finite(base), finite(values)}
		var all []float64
		for _, v := range values {
			for _, b := range base {
				all = append(all, v-b)
			}
		}
		slices.Sort(all)
		for k := 1; k <= len(all); k++ {
			if got := d.rank(k); got != all[k-1] {
				t.Fatalf("rank %d of %v = %v, want %v", k, d, got, all[k-1])
			}
		}
	}
}

func TestExactUMeetsTheApproximation(t *testing.T) {
	// From published tables of the Mann–Whitney U, two-sided 5 %: the
	// critical value is c-1.
	for _, c := range []struct{ n, m, critical int }{{5, 5, 2}, {8, 8, 13}, {10, 10, 23}, {20, 20, 127}, {3, 10, 3}, {6, 15, 19}} {
		got, _ := endRank(c.n, c.m)
		if got-1 != c.critical {
			t.Errorf("n=%d m=%d: critical value %d, want %d", c.n, c.m, got-1, c.critical)
		}
	}
	if exactU(27, 27) == nil || exactU(30, 30) != nil {
		t.Error("the border between exact and approximate has moved")
	}
	exact, _ := endRank(27, 27)
	approx := 27*27/2.0 + 0.5 - 1.959964*math.Sqrt(27*27*55/12.0)
	if math.Abs(float64(exact)-approx) > 1.5 {
		t.Errorf("exact rank %d, approximation %.1f", exact, approx)
	}
}

func TestIncrementOfManyValues(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	const n = 100_000
	base, values := draw(rng, n, lognormal), draw(rng, n, lognormal)
	for i := range values {
		base[i] = math.Round(base[i] * 1000) // ties, as nanoseconds have
		values[i] = math.Round(values[i]*1000) + 500
	}
	start := time.Now()
	s := Increment(base, values)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("100,000 against 100,000 values took %v", took)
	}
	if s.Lo > 500 || s.Hi < 500 || s.Hi-s.Lo > 50 {
		t.Errorf("%+v does not hold 500 closely", s)
	}
}

func TestGrowth(t *testing.T) {
	x := []float64{8, 1, 2, 4}
	f := Growth(x, []float64{13 + 8*3, 13 + 3, 13 + 2*3, 13 + 4*3})
	near(t, "Coeff", f.Coeff, 3)
	near(t, "Constant", f.Constant, 13)
	near(t, "R2", f.R2, 1)
	near(t, "Exponent", f.Exponent, 1)

	f = Growth([]float64{0, 1, 10, 100}, []float64{5, 6, 105, 10005})
	near(t, "Exponent of a square", f.Exponent, 2)

	f = Growth([]float64{1, 2, 3}, []float64{7, 7, 7})
	near(t, "Coeff of a constant", f.Coeff, 0)
	near(t, "R2 of a constant", f.R2, math.NaN())
	near(t, "Exponent of a constant", f.Exponent, math.NaN())

	f = Growth([]float64{2, 2, math.NaN()}, []float64{1, 5, 6})
	near(t, "Coeff of one x", f.Coeff, math.NaN())
	if f.N != 2 {
		t.Errorf("N = %d, want 2", f.N)
	}
}
