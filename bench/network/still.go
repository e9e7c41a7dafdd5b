package network

import (
	"fmt"
	"time"

	"isoperf/bench/sample"
)

// quiet is how long nothing may arrive before streams count as standing still.
const quiet = 200 * time.Millisecond

// during reads the counters at the beginning and the end of a window. Where
// nothing arrives from one to the other, as when streams have just stopped, it
// takes a second one.
func (w *world) during(m meter, c Cell, curve *sample.Series) (begin, end reading, err error) {
	for range 2 {
		if err := w.settle(m, c, curve); err != nil {
			return begin, end, err
		}
		if begin, err = m.read(); err != nil {
			return begin, end, err
		}
		if err := w.follow(m, c.Window, curve); err != nil {
			return begin, end, err
		}
		if end, err = m.read(); err != nil || end.bytes > begin.bytes {
			return begin, end, err
		}
	}
	return begin, end, nil
}

// settle lets streams run until they flow. Some stand still for seconds after
// they have begun: into a container behind slirp4netns with the largest MTU, the
// first window is smaller than a segment, and the sender waits until its persist
// timer ends (RFC 9293, 3.8.6.1). A window within that time would measure
// nothing; the time is in the curve, and in still-ns.
func (w *world) settle(m meter, c Cell, curve *sample.Series) error {
	if err := w.follow(m, c.warmUp(), curve); err != nil {
		return err
	}
	for begin := time.Now(); still(curve.Points) >= quiet; {
		if time.Since(begin) > patience {
			return fmt.Errorf("not proven: nothing arrives, %v after the streams have begun", (c.warmUp() + patience).Round(time.Second/10))
		}
		if err := w.follow(m, tick, curve); err != nil {
			return err
		}
	}
	return nil
}

// still is for how long nothing has arrived, at the end of a curve.
func still(points [][2]float64) time.Duration {
	n := len(points)
	for n > 0 && points[n-1][1] == 0 {
		n--
	}
	return span(points, n, len(points))
}

// longestStill is the longest time of a curve in which nothing arrived, to a
// tick.
func longestStill(points [][2]float64) (longest time.Duration) {
	for i := 1; i <= len(points); i++ {
		longest = max(longest, still(points[:i]))
	}
	return longest
}

// span is how long the points from i to before j took; a point is at its end.
func span(points [][2]float64, i, j int) time.Duration {
	if i >= j {
		return 0
	}
	begin := 0.0
	if i > 0 {
		begin = points[i-1][0]
	}
	return time.Duration(points[j-1][0] - begin)
}
