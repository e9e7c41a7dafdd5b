package main

import "testing"

func TestQuantile(t *testing.T) {
	values := []float64{50, 10, 40, 20, 30}
	for _, test := range []struct{ q, want float64 }{{0, 10}, {0.1, 14}, {0.5, 30}, {0.9, 46}, {1, 50}} {
		if got := quantile(values, test.q); got != test.want {
			t.Errorf("the %v-quantile of %v is %v, not %v", test.q, values, got, test.want)
		}
	}
}

// The ranks are those of published tables of the sign test (one-sided 2.5 %).
func TestBinomialRank(t *testing.T) {
	for _, test := range []struct{ n, want int }{{1, 0}, {5, 0}, {6, 0}, {8, 0}, {9, 1}, {12, 2}, {20, 5}, {25, 7}, {50, 17}, {100, 39}} {
		if got := binomialRank(test.n); got != test.want {
			t.Errorf("rank %d for %d values, not %d", got, test.n, test.want)
		}
	}
}

func TestEstimate(t *testing.T) {
	values := make([]float64, 20)
	for i := range values {
		values[i] = float64((7 * i) % 20)
	}
	if got, want := newEstimate(values), (estimate{9.5, 5, 14}); got != want {
		t.Errorf("%v, not %v", got, want)
	}
}

func TestVerdict(t *testing.T) {
	nan := 0.0
	nan /= nan
	for _, test := range []struct {
		ratio, bar float64
		text       string
		missed     int
	}{{1, 1.1, "met", 0}, {1.1, 1.1, "met", 0}, {1.11, 1.1, "MISSED", 1}, {nan, 1.1, "MISSED", 1}, {9, 0, "", 0}} {
		missed := 0
		if text := verdict(test.ratio, test.bar, &missed); text != test.text || missed != test.missed {
			t.Errorf("%v against at most %v: %q, %d missed", test.ratio, test.bar, text, missed)
		}
	}
}
