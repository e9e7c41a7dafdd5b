package network

import (
	"fmt"
	"time"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// Since is the name of the curve of bytes per second.
const Since = "bytes per second since the start"

// WarmUp is how long streams run before they are measured, nanoseconds.
const WarmUp = 300e6

// still is how long nothing may arrive before that is a stall, beyond four round
// trips: longer than TCP's first retransmission (200 ms) with a step of the curve.
const still = 300 * time.Millisecond

// quiet is the longest stretch of a curve without a byte, and the share of its
// steps that had none.
func quiet(s sample.Series) (longest time.Duration, share float64) {
	last, now, none := 0.0, 0.0, 0
	for _, p := range s.Points {
		if p[1] > 0 {
			now = 0
		} else {
			now += p[0] - last
			none++
		}
		longest = max(longest, time.Duration(now))
		last = p[0]
	}
	return longest, float64(none) / float64(max(1, len(s.Points)))
}

// worst is the curve with the longest stretch without a byte.
func worst(c *Cell) (longest time.Duration, share float64) {
	for _, s := range c.Curves(Since) {
		if d, part := quiet(s); d > longest {
			longest, share = d, part
		}
	}
	return longest, share
}

// Stalled says whether a cell's data stood still for so long that its mean tells
// little.
func (c *Cell) Stalled() bool {
	longest, _ := worst(c)
	return longest >= still+4*c.RTT
}

// stalling answers what stalls, and for how long.
func (v *View) stalling() string {
	var some []string
	for _, family := range []string{Stream, Distance} {
		for _, c := range v.Of(family) {
			if c.Stalled() {
				longest, share := worst(c)
				some = append(some, fmt.Sprintf("%s (%s at a stretch, %s of the time)", c.Label(), table.Duration(float64(longest)), table.Percent(share)))
			}
		}
	}
	if len(some) == 0 {
		return ""
	}
	return "Nothing arrived for a while, so that the mean says little: " + joined(some, 6) + "."
}

// StartsSlowly says whether a curve's first 300 ms bring less than half of what
// the rest does, or it stalls.
func (c *Cell) StartsSlowly() bool {
	for _, s := range c.Curves(Since) {
		var early, late []float64
		for _, p := range s.Points {
			if p[0] <= WarmUp {
				early = append(early, p[1])
			} else {
				late = append(late, p[1])
			}
		}
		if len(early) > 0 && len(late) > 0 && mean(early) < mean(late)/2 {
			return true
		}
	}
	return c.Stalled()
}

func mean(list []float64) (sum float64) {
	for _, v := range list {
		sum += v / float64(len(list))
	}
	return sum
}
