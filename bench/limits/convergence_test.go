package limits

import (
	"testing"
	"time"
)

// The periods until the use is near the quota and stays: the one with the
// change in it counts, a period that is near by chance does not end the wait.
func TestConvergence(t *testing.T) {
	at := int64(5*of20.period + of20.period/2) // in the middle of the sixth period
	for _, c := range []struct {
		name    string
		after   []time.Duration // uses of the periods, from that with the change
		ok      bool
		periods int64
	}{
		{"at once", repeat(10, 20*milli), true, 1},
		{"the change gives a period more", append(repeat(1, 40*milli), repeat(10, 20*milli)...), true, 1},
		{"and the next one too", append(repeat(2, 40*milli), repeat(10, 20*milli)...), true, 2},
		{"near by chance", append(repeat(1, 40*milli, 20*milli, 20*milli, 40*milli), repeat(10, 20*milli)...), true, 4},
		{"as near as a tick", append(repeat(1, 50*milli), repeat(10, 24*milli)...), true, 1},
		{"never", repeat(12, 40*milli), false, 0},
		{"not for long enough", append(repeat(6, 40*milli), repeat(4, 20*milli)...), false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, ok := convergence(play(of20, append(repeat(5, 50*milli), c.after...)...), at, of20)
			if ok != c.ok || s.periods != c.periods {
				t.Fatalf("%v, %d periods", ok, s.periods)
			}
			if ok {
				closeTo(t, "took", float64(s.took), float64(c.periods)*100e6-50e6, 2e6)
			}
			if c.name == "never" {
				closeTo(t, "later", s.later, 2, 0.01)
			}
			closeTo(t, "seen", float64(s.seen), float64(len(c.after)-1), 0)
		})
	}
	if _, ok := convergence(nil, 0, of20); ok {
		t.Error("nothing has converged")
	}
	closeTo(t, "a tick", of20.nearby(), 0.25, 1e-12)
	closeTo(t, "a tenth", bandwidth{quota: 200 * milli, threads: 1, cpus: 1, tick: 4 * milli}.nearby(), 0.1, 1e-12)
}

// A gap is throttling if a throttled period ended in it; lanes have no holes.
func TestThrottles(t *testing.T) {
	list := play(of20, repeat(20, 20*milli)...)
	var gaps []gap
	for k := range 20 {
		from := int64(k)*int64(of20.period) + int64(20*milli)
		gaps = append(gaps, gap{0, from, from + int64(80*milli)})
	}
	gaps = append(gaps, gap{0, int64(205 * milli), int64(207 * milli)}) // preempted
	line := throttles("x", list, gaps, of20)
	closeTo(t, "total", float64(line.Total), 1e9, 0)
	by := map[string]int64{}
	var last int64
	for _, b := range line.Bars {
		if b.From != last || b.To <= b.From || b.Lane != "thread 1" {
			t.Errorf("%+v after %d", b, last)
		}
		last = b.To
		by[b.Phase] += b.To - b.From
	}
	closeTo(t, "end", float64(last), float64(line.Total), 0)
	closeTo(t, "throttled", float64(by["throttled"]), 800e6, 2e6)
	closeTo(t, "waited", float64(by[""]), 2e6, 0)
	// However many gaps there are, the picture stays small.
	gaps = nil
	for i := range 5000 {
		gaps = append(gaps, gap{0, int64(i)*200e3 + 600e3, int64(i)*200e3 + 700e3})
	}
	line = throttles("x", list, gaps, of20)
	if n := len(line.Bars); n < 100 || n > mostBars+5 {
		t.Errorf("%d bars", n)
	}
	if got := throttles("x", nil, gaps, of20); len(got.Bars) != 0 {
		t.Errorf("%+v", got)
	}
}
