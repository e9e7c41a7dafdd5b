package limits

import (
	"math"
	"testing"
	"time"

	"isoperf/bench/sample"
)

// The formula gives the kernel's own table, but for what is too short to be taken.
func TestHighDelayIsTheKernelsTable(t *testing.T) {
	for _, row := range HighTable() {
		ms := HighDelay(row[0], 1000).Milliseconds()
		if want := row[1] / 1e6; want <= 10 && ms != 0 || want > 10 && math.Abs(float64(ms)-want) > 1 {
			t.Errorf("at %v it is %d ms, the kernel's table has %v", row[0], ms, want)
		}
	}
	for _, x := range []struct {
		overage float64
		hz      int
		want    time.Duration
	}{
		{-0.1, 250, 0}, {0.1, 0, 0},
		{0.0110, 250, 0},                      // 1.9 ticks: none of HZ/100
		{0.0150, 250, 12 * time.Millisecond},  // 3.6 ticks
		{0.0500, 250, 156 * time.Millisecond}, // 39.99 ticks
		{0.5, 100, 2 * time.Second},
	} {
		if got := HighDelay(x.overage, x.hz); got != x.want {
			t.Errorf("%v at HZ %d: %v, want %v", x.overage, x.hz, got, x.want)
		}
	}
}

func TestMemoryHigh(t *testing.T) {
	const high, step = 100 << 20, 0.0025
	curve := func(off func(x, want float64) float64) sample.Series {
		s := sample.Series{Name: "memory.high", X: "ratio", Y: "ns"}
		for x := step; x < 0.10; x += step {
			if want := float64(HighDelay(x, 250)); want > 0 {
				if y := off(x, want); y > 0 {
					s.Points = append(s.Points, [2]float64{x, y})
				}
			}
		}
		return s
	}
	times := func(k float64) func(x, want float64) float64 {
		return func(_, want float64) float64 { return k * want }
	}
	v := change{
		"high-B": high, "reached-ratio": 0.1, "delay-count": 35, "unseen-count": 0, "batch-count": 64, "high-count": 600, "max-count": 0,
		"oom-kill-count": 0, "delayed-ns": 9e9,
	}
	facts := map[string]string{"hz": "250", "page": "4096", "emulated": "false"}
	for _, x := range []struct {
		name     string
		change   change
		emulated string
		off      func(x, want float64) float64
		want     Verdict
		why      string
	}{
		{"exact", nil, "false", times(1), Accurate, ""},
		{"a timer's eighth late", nil, "false", times(1.12), Accurate, ""},
		{"half", nil, "false", times(0.5), Inaccurate, "too short"},
		{"double", nil, "false", times(2), Inaccurate, "too long"},
		{"double, emulated", nil, "true", times(2), NotJudged, "busy"},
		{"half, emulated", nil, "true", times(0.5), Inaccurate, "too short"},
		{"half of the charges are not delayed", nil, "false", func(x, want float64) float64 {
			if math.Mod(x, 2*step) < step/2 {
				return 0
			}
			return want
		}, Inaccurate, "charges were delayed"},
		{"max", change{"max-count": 1}, "false", times(1), Inaccurate, "memory.max"},
		{"nothing noticed", change{"high-count": 0}, "false", times(1), Inaccurate, "notice"},
		{"no curve", nil, "false", times(0), NotJudged, "does not have"},
	} {
		facts["emulated"] = x.emulated
		check(t, []verdict{{x.name, x.change, x.want, x.why}}, func(c change) Judgement {
			return judged(t, "MemoryHigh/high=100MiB/to=110%", with(v, c), facts, curve(x.off))
		})
	}
	if j := judged(t, "MemoryHigh/high=100MiB/to=110%", with(v, change{"batch-count": 1}), facts, curve(times(1))); j.Note == "" {
		t.Error("it is not said that every page was delayed")
	}
}
