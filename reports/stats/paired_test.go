package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The means that are written down one by one say the same.
func TestPairedAgainstAllMeans(t *testing.T) {
	source := rand.New(rand.NewPCG(3, 4))
	for n := 1; n <= 40; n++ {
		d := make([]float64, n)
		for i := range d {
			d[i] = math.Round(20*source.NormFloat64()) / 4 // with ties
		}
		var means []float64
		for i := range d {
			for j := i; j < n; j++ {
				means = append(means, (d[i]+d[j])/2)
			}
		}
		slices.Sort(means)
		all := len(means)
		got := Paired(d, 1.96)
		if want := (means[(all-1)/2] + means[all/2]) / 2; got.Delta != want {
			t.Fatalf("%d: %v, want %v", n, got.Delta, want)
		}
		c := int(math.Floor(float64(all)/2 + 0.5 - 1.96*math.Sqrt(float64(n*(n+1)*(2*n+1))/24)))
		if c < 1 {
			if !math.IsInf(got.Lo, -1) || !math.IsInf(got.Hi, 1) {
				t.Fatalf("%d: %v .. %v, want no interval", n, got.Lo, got.Hi)
			}
		} else if got.Lo != means[c-1] || got.Hi != means[all-c] {
			t.Fatalf("%d: %v .. %v, want %v .. %v", n, got.Lo, got.Hi, means[c-1], means[all-c])
		}
	}
	if got := Paired(nil, 2); !math.IsNaN(got.Delta) || !math.IsNaN(got.Lo) {
		t.Errorf("of nothing: %+v", got)
	}
}

// What R prints for wilcox.test(x, exact=FALSE).
func TestSignedRankAsR(t *testing.T) {
	for _, c := range []struct {
		d    []float64
		want float64
	}{
		{[]float64{1.1, 2.2, -0.3, 4, 5.5, -2, 0.7, 3}, 0.08006},
		{[]float64{1, 1, -1, 2, 2, -3, 0, 4, 4, 5}, 0.09544},
		{[]float64{-0.5, -1.5, -2.5, 0.25, -3, -4, 1, -6, -7}, 0.03297},
	} {
		if got := SignedRank(c.d); math.Abs(got-c.want) > 5e-5 {
			t.Errorf("%v: %.5f, want %.5f", c.d, got, c.want)
		}
	}
	if got := SignedRank([]float64{0, 0}); !math.IsNaN(got) {
		t.Errorf("of zeros: %v", got)
	}
}
