package network

import (
	"testing"
	"time"
)

// TestStill: how long nothing has arrived, at the end and at most.
func TestStill(t *testing.T) {
	curve := func(rates ...float64) (points [][2]float64) {
		for i, r := range rates {
			points = append(points, [2]float64{float64(i+1) * 50e6, r})
		}
		return points
	}
	const tick = 50 * time.Millisecond
	for _, c := range []struct {
		points       [][2]float64
		end, longest time.Duration
	}{
		{nil, 0, 0},
		{curve(1, 2, 3), 0, 0},
		{curve(0, 0), 2 * tick, 2 * tick},
		{curve(1, 0, 0, 0, 2), 0, 3 * tick},
		{curve(0, 0, 1, 0), tick, 2 * tick},
		{curve(5, 0, 1, 0, 0), 2 * tick, 2 * tick},
	} {
		if end, longest := still(c.points), longestStill(c.points); end != c.end || longest != c.longest {
			t.Errorf("%v: %v at the end, %v at most; not %v, %v", c.points, end, longest, c.end, c.longest)
		}
	}
}
