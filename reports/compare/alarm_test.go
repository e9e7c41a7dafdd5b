package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// Of 306 comparisons of recorded runs between which nothing changed but the load of
// the machine, none is an alarm.
func TestNoFalseAlarmOfRecordedRuns(t *testing.T) {
	runs := recorded(t, "runs.txt.gz")
	counts := map[Verdict]int{}
	moved := 0 // rows that the tests alone would call changed
	for i := range runs {
		for j := range runs {
			if i == j {
				continue
			}
			c := Compare(runs[i], runs[j], Options{})
			counts[c.Verdict]++
			if c.Verdict == Slower {
				t.Errorf("%s against %s: %s", c.Base, c.Head, c.Answer())
			}
			for _, r := range c.Rows {
				if r.Main && r.Adjusted < Alpha && r.Ratio.Sure() {
					moved++
					break
				}
			}
		}
	}
	if n := len(runs) * (len(runs) - 1); n < 300 || moved < n/2 {
		t.Errorf("%d comparisons, in %d of which a row moved: too easy to say anything", n, moved)
	}
	t.Logf("%v; with the tests alone %d would have been alarms or gains", counts, moved)
}

// Nor is one when either run had another load beside it: seven runs alone, and seven
// beside one each of stress-ng's cpu (with 1, 2 and 4), vm, fork, switch and mmap.
func TestNoFalseAlarmBesideLoads(t *testing.T) {
	runs := recorded(t, "loaded.txt.gz")
	counts := map[Verdict]int{}
	for _, alone := range runs[:7] {
		for _, beside := range runs[7:] {
			for _, pair := range [][2]Column{{alone, beside}, {beside, alone}} {
				c := Compare(pair[0], pair[1], Options{})
				counts[c.Verdict]++
				if c.Verdict == Slower || c.Verdict == Faster {
					t.Errorf("%s against %s: %s", c.Base, c.Head, c.Answer())
				}
			}
		}
	}
	if counts[Apart] == 0 {
		t.Errorf("%v: no load was noticed", counts)
	}
	t.Log(counts)
}

// Nor is one of made-up runs, whatever their shape, and whatever their drift.
func TestNoFalseAlarmOfMadeRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, m := range []run{
		{name: "log-normal", shape: lognormal(0.05)},
		{name: "wide", shape: lognormal(0.3)},
		{name: "two humps", shape: bimodal},
		{name: "heavy tail", shape: heavy},
		{name: "drift", shape: lognormal(0.05), drift: 0.03},
		{name: "strong drift", shape: heavy, drift: 0.1},
	} {
		alarms := 0
		for range 50 {
			if compared(t, rng, m, m, Options{}).Verdict == Slower {
				alarms++
			}
		}
		if alarms > 0 {
			t.Errorf("%s: %d of 50 are false alarms", m.name, alarms)
		}
	}
}

// A step on a quiet series is found, and nothing else is.
func TestPower(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct {
		name   string
		factor float64
		shape  shape
		n      int
		least  int // of 20
	}{
		{"5 %, quiet", 1.05, lognormal(0.01), 60, 20},
		{"5 %, longer", 1.05, lognormal(0.03), 200, 20},
		{"10 %, quiet", 1.10, lognormal(0.02), 60, 20},
		{"10 %, heavy tail", 1.10, heavy, 120, 20},
	} {
		found := 0
		for range 20 {
			old, next := run{shape: c.shape, n: c.n}, run{shape: c.shape, n: c.n, medians: cases(map[string]float64{"Startup/runtime=r3": c.factor})}
			r := compared(t, rng, old, next, Options{})
			if r.Verdict == Slower && r.Count(Slower) == 1 && r.worst().Case == "Startup/runtime=r3" {
				found++
			}
			if back := compared(t, rng, next, old, Options{}); back.Verdict == Slower {
				t.Errorf("%s: what got faster is called slower: %s", c.name, back.Answer())
			}
		}
		if found < c.least {
			t.Errorf("%s: found in %d of 20", c.name, found)
		}
	}
}

// The check counts alarms: rows whose noise is told to be nothing raise them, and
// then no change is believed.
func TestCheckBarks(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	m := run{shape: lognormal(0.02), drift: 0.05}
	noise := map[string]float64{}
	for name := range cases(nil) {
		noise[name+" ready-ns"] = 0.0001
	}
	next := run{shape: m.shape, drift: m.drift, medians: cases(map[string]float64{"Startup/runtime=r3": 2})}
	c := compared(t, rng, m, next, Options{Noise: noise, Interleaved: true})
	if c.Check.Draws != Draws || c.Check.Alarms < Draws/10 || c.Check.AtMost() < float64(c.Check.Alarms)/Draws {
		t.Errorf("the check found %+v, at most %.3f", c.Check, c.Check.AtMost())
	}
	if c.Count(Slower)+c.Count(Faster) != 0 {
		t.Errorf("changes are believed: %s", c.Answer())
	}
	if at := (Check{0, 300}).AtMost(); at < 0.0099 || at > 0.01 {
		t.Errorf("0 of 300 is at most %.4f", at)
	}
}

// What sides that took turns have in common, a machine that is now fast and now
// slow, is no doubt about their difference; without one there is no alarm.
func TestCheckOfTurns(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	name := "Startup/runtime=x"
	turns := func(factor float64) Comparison {
		texts := [2]string{}
		for range 40 {
			level := math.Exp(0.3 * rng.NormFloat64())
			for range 10 {
				for side, f := range []float64{1, factor} {
					texts[side] += fmt.Sprintf("Benchmark%s 1 %g ready-ns\n", name, 1e6*level*f*math.Exp(0.02*rng.NormFloat64()))
				}
			}
		}
		o := Options{Interleaved: true, Noise: map[string]float64{name + " ready-ns": 0.01}}
		return Compare(column(t, "base.txt", "goos: linux\n"+texts[0]), column(t, "head.txt", "goos: linux\n"+texts[1]), o)
	}
	for range 5 {
		if c := turns(1.3); c.Verdict != Slower || c.Check.Alarms != 0 {
			t.Errorf("30 %% is called %q, with %d alarms of %d", c.Verdict, c.Check.Alarms, c.Check.Draws)
		}
		if c := turns(1); c.Verdict == Slower || c.Verdict == Faster {
			t.Errorf("no change is called %q: %s", c.Verdict, c.Answer())
		}
	}
}
