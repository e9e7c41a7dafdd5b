package limits

import (
	"testing"

	"isoperf/workloads/load"
)

// A board that is full says nothing of the longest stall.
func TestNoted(t *testing.T) {
	full := &load.Board{}
	full.Noted.Store(load.Events + 1)
	of := func(kind string, b *load.Board) *worker { return &worker{spec: load.Spec{Kind: kind}, board: b} }
	for _, c := range []struct {
		what    string
		workers []*worker
		want    bool
	}{
		{"none", nil, false},
		{"a board with room", []*worker{of("spin", &load.Board{})}, true},
		{"a load that is not ours", []*worker{of("stress", nil)}, false},
		{"one that notes nothing", []*worker{of("turns", &load.Board{})}, false},
		{"one of two is full", []*worker{of("spin", &load.Board{}), of("spin", full)}, false},
	} {
		if got := (&cpuSample{workers: c.workers}).noted(); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}
