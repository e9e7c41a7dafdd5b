package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestRatioByHand(t *testing.T) {
	// Quotients of 4 against 4, sorted: the median lies between the 8th and
	// the 9th, on logarithms.
	f := Ratio([]float64{1, 2, 4, 8}, []float64{10, 20, 40, 80})
	near(t, "Ratio", f.Ratio, 10)
	near(t, "Lo", f.Lo, 10.0/8)
	near(t, "Hi", f.Hi, 80)
	if !f.Sure() {
		t.Error("1.25 .. 80 leaves out 1")
	}
	back := Ratio([]float64{10, 20, 40, 80}, []float64{1, 2, 4, 8})
	near(t, "the other way round", back.Ratio*f.Ratio, 1)
	near(t, "its interval", back.Lo*f.Hi, 1)

	few := Ratio([]float64{1, 2}, []float64{3})
	near(t, "Lo of too few", few.Lo, 0)
	near(t, "Hi of too few", few.Hi, math.Inf(1))
	if few.Sure() {
		t.Error("0 .. Inf says nothing")
	}
	odd := Ratio([]float64{0, -1, math.NaN(), math.Inf(1)}, []float64{3})
	near(t, "Ratio over nothing", odd.Ratio, math.NaN())
	if odd.BaseN != 0 || odd.N != 1 {
		t.Errorf("counted %d and %d", odd.BaseN, odd.N)
	}
}

// The interval of a ratio holds a stretch in 95 % of the cases, whatever the shape.
func TestRatioCoverage(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	const runs, stretch = 2000, 1.7
	for name, d := range map[string]distribution{"log-normal": lognormal, "bimodal": bimodal, "heavy-tailed": pareto} {
		hits := 0
		for range runs {
			base, values := draw(rng, 30, d), draw(rng, 40, d)
			for i := range values {
				values[i] *= stretch
			}
			if f := Ratio(base, values); f.Lo <= stretch && stretch <= f.Hi {
				hits++
			}
		}
		if share := float64(hits) / runs; share < 0.93 || share > 0.97 {
			t.Errorf("%s: the interval holds the stretch in %.1f %% of the runs", name, 100*share)
		} else {
			t.Logf("%s: %.1f %%", name, 100*share)
		}
	}
}

func TestQuantilesByHand(t *testing.T) {
	in := []float64{4, 1, 3, 2}
	got := Quantiles(in, 0, 0.25, 0.5, 1)
	if want := []float64{1, 1.75, 2.5, 4}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if in[0] != 4 {
		t.Error("the input was sorted")
	}
	near(t, "of nothing", Quantiles(nil, 0.5)[0], math.NaN())
	if got := MiddleHalf([]float64{9, 1, 2, 3, math.NaN()}); !slices.Equal(got, []bool{false, false, true, true, false}) {
		t.Errorf("middle half %v", got)
	}
}

// A density is nearly 1 in all (what the kernel puts beyond the samples is not
// drawn), has a hump where the samples have one, and knows
// when it cannot be known.
func TestDensity(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	two := func(r *rand.Rand) float64 {
		middle := 2e6
		if r.IntN(2) == 0 {
			middle = 8e6
		}
		return middle * math.Exp(0.05*r.NormFloat64())
	}
	v := Density(draw(rng, 2000, lognormal), 400)
	area := 0.0
	for i := 1; i < len(v.At); i++ {
		area += (v.Density[i] + v.Density[i-1]) / 2 * math.Log(v.At[i]/v.At[i-1])
	}
	if math.Abs(area-1) > 0.01 {
		t.Errorf("area %v", area)
	}
	v = Density(draw(rng, 2000, two), 400)
	height := func(x float64) float64 {
		i, _ := slices.BinarySearch(v.At, x)
		return v.Density[min(i, len(v.At)-1)]
	}
	if height(4e6) > height(2e6)/4 || height(4e6) > height(8e6)/4 {
		t.Errorf("no valley between the humps: %v %v %v", height(2e6), height(4e6), height(8e6))
	}
	for name, values := range map[string][]float64{
		"none": nil, "few": {1, 2, 3}, "constant": {5, 5, 5, 5, 5, 5, 5, 5, 5}, "below zero": {-1, -2, -3, -4, -5, -6, -7, -8},
		"half alike": {5, 5, 5, 5, 5, 5, 5, 5, 9},
	} {
		if v := Density(values, 50); len(v.At) != 0 || v.Bandwidth != 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestKnee(t *testing.T) {
	rate := func(n, per, width float64) Rate {
		return Rate{Workers: n, PerSecond: per, Lo: per - width, Hi: per + width, N: 30}
	}
	for _, c := range []struct {
		name  string
		rates []Rate
		want  float64 // 0: none
	}{
		{"a plateau after two", []Rate{rate(1, 500, 5), rate(2, 960, 10), rate(3, 965, 10), rate(4, 955, 10)}, 2},
		{"it rises to the end", []Rate{rate(1, 500, 5), rate(2, 900, 10), rate(4, 1500, 10)}, 4},
		{"more does harm", []Rate{rate(1, 500, 5), rate(2, 300, 10), rate(4, 200, 10)}, 1},
		{"one point", []Rate{rate(1, 500, 5)}, 0},
		{"no interval", []Rate{rate(1, 500, 5), rate(2, 900, math.Inf(1))}, 0},
		{"nothing", nil, 0},
	} {
		knee, ok := Knee(c.rates)
		if ok != (c.want > 0) || ok && knee.Workers != c.want {
			t.Errorf("%s: knee %v %v, want %v", c.name, knee.Workers, ok, c.want)
		}
	}
	r := NewRate(2, []float64{1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 2e6})
	near(t, "PerSecond", r.PerSecond, 1000)
	if r = NewRate(2, []float64{1e6, 2e6}); !math.IsInf(r.Lo, -1) || !math.IsInf(r.Hi, 1) {
		t.Errorf("two samples have the interval %v .. %v", r.Lo, r.Hi)
	}
}

// The histogram says what sorting says, to three figures, and does not speak
// of percentiles that no sample bears out.
func TestTail(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	values := draw(rng, 5000, func(r *rand.Rand) float64 { return 1e6 * lognormal(r) })
	tail := NewTail(values)
	sorted := slices.Sorted(slices.Values(values))
	for _, share := range []float64{0.5, 0.9, 0.99, 0.999} {
		want := sorted[int(share*5000)-1]
		if got := tail.At(share); math.Abs(got/want-1) > 0.002 {
			t.Errorf("p%v = %v, sorted %v", 100*share, got, want)
		}
	}
	near(t, "p99.99 of 5,000", tail.At(0.9999), math.NaN())
	near(t, "p90 of ten", NewTail([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}).At(0.9), 9)
	near(t, "of nothing", NewTail([]float64{-1, math.NaN()}).At(0.5), math.NaN())
	curve := tail.Curve()
	if curve[0].Share != 0.5 || math.Abs(curve[len(curve)-1].Share-(1-1.0/5000)) > 1e-12 {
		t.Errorf("the curve goes from %v to %v", curve[0].Share, curve[len(curve)-1].Share)
	}
	for i := 1; i < len(curve); i++ {
		if curve[i].Share <= curve[i-1].Share || curve[i].Latency < curve[i-1].Latency {
			t.Fatalf("the curve falls at %v", curve[i].Share)
		}
	}
	if got := NewTail([]float64{5}).Curve(); got != nil {
		t.Errorf("one sample has the curve %v", got)
	}
	if got := NewTail([]float64{0, 1e18, 5}).At(0.5); got != 5 {
		t.Errorf("p50 beside a huge value is %v", got)
	}
}
