package main

import (
	"io"
	"testing"
)

func TestQuantile(t *testing.T) {
	values := []float64{50, 10, 40, 20, 30}
	for _, test := range []struct{ q, want float64 }{{0, 10}, {0.1, 14}, {0.5, 30}, {0.9, 46}, {1, 50}} {
		if got := quantile(values, test.q); got != test.want {
			t.Errorf("the %v-quantile of %v is %v, not %v", test.q, values, got, test.want)
		}
	}
}

func TestBar(t *testing.T) {
	nan := 0.0
	nan /= nan
	for _, test := range []struct {
		got    float64
		missed int
	}{{1.0, 0}, {1.1, 0}, {1.101, 1}, {nan, 1}} {
		if missed := bar(io.Discard, "x", "%.3f", test.got, 1.1); missed != test.missed {
			t.Errorf("%v against at most 1.1: %d missed, not %d", test.got, missed, test.missed)
		}
	}
}

// Each variant stands at each place, and right behind each other one, equally
// often; otherwise one of them pays for another more than its share.
func TestTurns(t *testing.T) {
	const n = 4
	places, behind := map[[2]int]int{}, map[[2]int]int{}
	for round := range 2 * n {
		row := turns(n, round)
		for i, v := range row {
			places[[2]int{v, i}]++
			if i > 0 {
				behind[[2]int{v, row[i-1]}]++
			}
		}
	}
	for what, counts := range map[string]map[[2]int]int{"stands at": places, "follows": behind} {
		if want := map[string]int{"stands at": n * n, "follows": n * (n - 1)}[what]; len(counts) != want {
			t.Errorf("%d pairs of variant %s, not %d", len(counts), what, want)
		}
		for pair, count := range counts {
			if count != 2 {
				t.Errorf("variant %d %s %d %d times, not 2", pair[0], what, pair[1], count)
			}
		}
	}
}
