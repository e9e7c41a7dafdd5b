package limits

import (
	"math"
	"testing"
	"time"
)

const milli = time.Millisecond

// of20 is 20 % of 100 milli, on a machine of two CPUs and 250 Hz.
var of20 = bandwidth{quota: 20 * milli, period: 100 * milli, threads: 1, cpus: 2, tick: 4 * milli, slice: 5 * milli}

// play has a group use up what use says of each period, from its beginning on,
// and reads its counters every millisecond. It is throttled when it has used less than
// it could, and so if use gives the whole period it is not.
func play(b bandwidth, use ...time.Duration) []reading {
	const pace = time.Millisecond
	var list []reading
	var done, throttled, stood int64
	for at := pace / 2; at < time.Duration(len(use))*b.period; at += pace {
		k := int(at / b.period)
		if k > 0 && int((at-pace)/b.period) < k {
			full := time.Duration(b.width() * float64(b.period))
			if use[k-1] < full {
				throttled++
				stood += int64(b.period) - int64(float64(use[k-1])/b.width())
			}
			done += int64(use[k-1])
		}
		in := min(time.Duration(b.width()*float64(at%b.period)), use[k])
		list = append(list, reading{at: int64(at), usage: done + int64(in), periods: int64(k), throttled: throttled, throttledNS: stood, bursts: -1})
	}
	return list
}

func repeat(n int, uses ...time.Duration) []time.Duration {
	var list []time.Duration
	for range n {
		list = append(list, uses...)
	}
	return list
}

func closeTo(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s: %v, not %v ± %v", what, got, want, within)
	}
}

// A limit that is kept is found to be kept, by both estimators, whether the
// group has stopped when periods end or not, and whether it binds or not.
func TestMeasure(t *testing.T) {
	for _, c := range []struct {
		name           string
		b              bandwidth
		uses           []time.Duration
		share, failure float64
		throttled      float64
		still          bool
	}{
		{"kept", of20, repeat(50, 20*milli), 0.2, 0, 1, true},
		{"each overruns by a tick what the next lacks", of20, repeat(25, 24*milli, 16*milli), 0.2, 0, 1, true},
		{"doubled", of20, repeat(50, 40*milli), 0.4, 1, 1, true},
		{"halved", of20, repeat(50, 10*milli), 0.1, -0.5, 1, true},
		{"never stopped", of20, repeat(50, 100*milli), 1, 4, 0, false},
		{"two threads, whole CPUs", bandwidth{quota: 100 * milli, period: 100 * milli, threads: 2, cpus: 2, tick: 4 * milli, slice: 5 * milli}, repeat(50, 100*milli), 1, 0, 1, true},
		{"stopped for less than a tick", bandwidth{quota: 98 * milli, period: 100 * milli, threads: 1, cpus: 2, tick: 4 * milli, slice: 5 * milli}, repeat(50, 98*milli), 0.98, 0, 1, false},
		{"does not bind", bandwidth{quota: 100 * milli, period: 100 * milli, threads: 1, cpus: 2, tick: 4 * milli}, repeat(50, 100*milli), 1, 0, 0, false},
		{"no limit", bandwidth{period: 100 * milli, threads: 2, cpus: 2, tick: 4 * milli}, repeat(50, 200*milli), 2, 0, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, ok := measure(play(c.b, c.uses...), c.b)
			if !ok {
				t.Fatal("nothing was measured")
			}
			within := w.budget
			closeTo(t, "share", w.share, c.share, within*c.share)
			closeTo(t, "failure", w.failure, c.failure, within*(1+c.failure))
			closeTo(t, "throttled", w.throttled, c.throttled, 0.001)
			if c.b.binds() {
				closeTo(t, "by periods", w.byPeriods, c.failure, within*(1+c.failure))
				n := len(w.edges)
				if got := w.edges[0].still && w.edges[n-1].still; got != c.still {
					t.Errorf("still is %v", got)
				}
				closeTo(t, "periods", float64(w.periods), 48, 1)
				closeTo(t, "uses", float64(len(w.uses)), float64(w.periods), 0)
			} else if !math.IsNaN(w.byPeriods) {
				t.Errorf("by periods: %v", w.byPeriods)
			}
		})
	}
}

// Where there are too few readings, nothing is said.
func TestMeasureTooLittle(t *testing.T) {
	for _, list := range [][]reading{nil, {{at: 1}}, play(of20, 20*milli), play(of20, 20*milli, 20*milli)} {
		if _, ok := measure(list, of20); ok {
			t.Errorf("%d readings were enough", len(list))
		}
	}
	free := bandwidth{threads: 1, cpus: 1}
	if _, ok := measure([]reading{{at: 5}, {at: 5}}, free); ok {
		t.Error("no time was enough")
	}
}

// The window begins and ends when the group had stopped, if that leaves most of
// it.
func TestOutermost(t *testing.T) {
	uses := append(repeat(3, 100*milli), repeat(40, 20*milli)...)
	w, _ := measure(play(of20, uses...), of20)
	closeTo(t, "failure", w.failure, 0, w.budget)
	if !w.edges[0].still {
		t.Error("it begins while the group ran")
	}
	// Most of it without a stop: then the budget is the wide one.
	uses = append(repeat(20, 100*milli), repeat(20, 20*milli)...)
	w, _ = measure(play(of20, uses...), of20)
	closeTo(t, "periods", float64(w.periods), 38, 0)
	if got := edgeBudget(of20, w.periods, false); w.budget < got {
		t.Errorf("budget %v, less than %v", w.budget, got)
	}
}

// A counter that stands between two ticks has not stopped.
func TestEdgesBetweenTicks(t *testing.T) {
	list := play(of20, repeat(10, 100*milli)...)
	for i := range list { // charged at each fourth reading, and throttled on the other CPU
		list[i].usage = list[i-i%4].usage
		list[i].throttled = list[i].periods
	}
	for _, e := range edges(list, of20) {
		if e.still {
			t.Errorf("at %v it had stopped", time.Duration(e.ended))
		}
	}
	// Nor has one that stood and was not throttled: it had nothing to do.
	list = play(of20, repeat(10, 20*milli)...)
	for i := range list {
		list[i].throttled = 0
	}
	for _, e := range edges(list, of20) {
		if e.still {
			t.Errorf("at %v it was idle", time.Duration(e.ended))
		}
	}
}

// Periods whose end nobody read say nothing; two that the kernel counted at
// once have lost a quota, and the budget has room for it.
func TestLostPeriods(t *testing.T) {
	whole := play(of20, repeat(40, 20*milli)...)
	var some []reading
	for _, r := range whole { // not read for two periods and a half
		if r.at < int64(1950*milli) || r.at > int64(2200*milli) {
			some = append(some, r)
		}
	}
	w, _ := measure(some, of20)
	closeTo(t, "failure", w.failure, 0, w.budget)
	closeTo(t, "late", float64(w.late), 0, 0)
	closeTo(t, "uses", float64(len(w.uses)), float64(w.periods-3), 0)

	// The timer of the 20th period comes with that of the 21st.
	late := play(of20, append(append(repeat(20, 20*milli), 0), repeat(19, 20*milli)...)...)
	for i, r := range late {
		if r.periods == 20 {
			late[i].periods, late[i].throttled = 19, late[i].throttled-1
		}
	}
	w, _ = measure(late, of20)
	closeTo(t, "late", float64(w.late), 1, 0)
	closeTo(t, "failure", w.failure, -1.0/float64(w.periods), 0.005)
	if math.Abs(w.failure) > w.budget {
		t.Errorf("failure %v is beyond the budget %v", w.failure, w.budget)
	}
	closeTo(t, "throttled", w.throttled, 1, 0)
}

// What the load left of periods in which nothing held it back is not the
// limit's failure.
func TestUnused(t *testing.T) {
	list := play(of20, append(append(repeat(20, 20*milli), 5*milli), repeat(19, 20*milli)...)...)
	for i, r := range list {
		if r.periods > 20 {
			list[i].throttled--
		}
	}
	w, _ := measure(list, of20)
	closeTo(t, "unused", w.unused*float64(w.periods), 0.75, 1e-9)
	closeTo(t, "failure", w.failure, -0.75/float64(w.periods), 0.005)
	if math.Abs(w.failure) > w.budget {
		t.Errorf("failure %v is beyond the budget %v", w.failure, w.budget)
	}
	closeTo(t, "of one that is kept", unused(edges(play(of20, repeat(20, 5*milli)...), of20), of20), 0, 0)
}

// A limit that changes behind the meter's back shows in a quarter, or in a
// period, where it does not on the whole.
func TestUneven(t *testing.T) {
	kept, _ := measure(play(of20, repeat(100, 20*milli)...), of20)
	halves, _ := measure(play(of20, append(repeat(50, 30*milli), repeat(50, 10*milli)...)...), of20)
	once, _ := measure(play(of20, append(append(repeat(50, 20*milli), 40*milli), repeat(49, 20*milli)...)...), of20)
	ticks, _ := measure(play(of20, repeat(50, 25*milli, 15*milli)...), of20)
	closeTo(t, "halves on the whole", halves.failure, 0, 0.03)
	closeTo(t, "a quarter of the halves", math.Abs(halves.part.failure), 0.5, 0.03)
	for name, w := range map[string]window{"kept": kept, "once": once, "ticks": ticks} {
		if math.Abs(w.part.failure) > w.part.budget+0.05 {
			t.Errorf("%s: a quarter is off by %v", name, w.part.failure)
		}
	}
	closeTo(t, "kept", kept.burst, 20.0/25, 0.001)
	closeTo(t, "ticks", ticks.burst, 1, 0.001)
	closeTo(t, "once", once.burst, 40.0/25, 0.001)
	closeTo(t, "once, kept", once.kept, 40.0/25, 0.001)
	closeTo(t, "halves", halves.burst, 30.0/25, 0.001)
}

// What was saved may be used, and what could be brought along from a period at
// whose end the group ran.
func TestMostInPeriod(t *testing.T) {
	b := of20
	b.burst = 20 * milli
	w, _ := measure(play(b, repeat(20, 40*milli, 5*milli)...), b)
	closeTo(t, "burst", w.burst, 40.0/45, 0.001)
	e := func(periods int64, usage time.Duration, still bool) edge {
		return edge{reading: reading{periods: periods, usage: int64(usage)}, still: still, doubt: int64(milli)}
	}
	for _, c := range []struct {
		name       string
		edges      []edge
		most, kept float64
	}{
		{"from still", []edge{e(1, 0, true), e(2, 25*milli, true)}, 1, 0},
		{"from running", []edge{e(1, 0, false), e(2, 35*milli, true)}, 1, 0},
		{"two periods", []edge{e(1, 0, true), e(3, 99*milli, true)}, 0, 0},
		{"a debt", []edge{e(1, 0, true), e(2, 50*milli, true), e(3, 52*milli, true), e(4, 60*milli, true), e(5, 80*milli, true)}, 2, 20.0 / 25},
		{"no debt", []edge{e(1, 0, true), e(2, 50*milli, true), e(3, 70*milli, true), e(4, 90*milli, true), e(5, 110*milli, true)}, 2, 2},
		{"not yet", []edge{e(1, 0, true), e(2, 75*milli, true), e(3, 75*milli, true)}, 3, 0},
		{"a large debt", []edge{e(1, 0, true), e(2, 125*milli, true), e(3, 125*milli, true), e(4, 125*milli, true), e(5, 125*milli, true), e(6, 125*milli, true), e(7, 125*milli, true), e(8, 145*milli, true)}, 5, 1},
	} {
		most, kept := mostInPeriod(c.edges, of20)
		closeTo(t, c.name, most, c.most, 1e-9)
		closeTo(t, c.name+", kept", kept, c.kept, 1e-9)
	}
}

func TestEdgeBudget(t *testing.T) {
	two := bandwidth{quota: 100 * milli, period: 100 * milli, threads: 4, cpus: 2, tick: 4 * milli, slice: 5 * milli}
	small := bandwidth{quota: 2 * milli, period: 10 * milli, threads: 1, cpus: 2, tick: 4 * milli, slice: 5 * milli}
	closeTo(t, "still", edgeBudget(of20, 100, true), 5.0/2000, 1e-12)
	closeTo(t, "running", edgeBudget(of20, 100, false), (4+5+40)/2000.0, 1e-12)
	closeTo(t, "two CPUs", edgeBudget(two, 100, true), 10.0/10000, 1e-12)
	closeTo(t, "a quota below a slice", edgeBudget(small, 100, false), (4+2+4)/200.0, 1e-12)
}

// What stray threads may cost: of a small quota all but 1 ms at a time, of a
// large one the last slice of a period.
func TestStranded(t *testing.T) {
	small := bandwidth{quota: 5 * milli, period: 10 * milli, threads: 1, cpus: 2, tick: 4 * milli, slice: 5 * milli}
	closeTo(t, "small", small.stranded(0.01), 0.04, 1e-12)
	closeTo(t, "large", of20.stranded(0.01), 0.01*4*0.05, 1e-12)
	closeTo(t, "1 ms", bandwidth{quota: milli, period: milli, slice: 5 * milli}.stranded(0.5), 0, 0)
	closeTo(t, "none", small.stranded(-0.01), 0, 0)
	w := window{budget: 0.01, part: part{periods: 10, budget: 0.02}}
	w.strays(0.01, small)
	closeTo(t, "window", w.budget, 0.05, 1e-12)
	closeTo(t, "part", w.part.budget, 0.02+0.04+8.0/50, 1e-12)
}

func TestQuantile(t *testing.T) {
	list := []float64{3, 1, 2, 4}
	for q, want := range map[float64]float64{0: 1, 0.25: 1, 0.5: 2, 0.51: 3, 0.99: 4, 1: 4} {
		closeTo(t, "quantile", quantile(list, q), want, 0)
	}
	closeTo(t, "of nothing", quantile(nil, 0.5), 0, 0)
}

// Jain's index.
func TestJain(t *testing.T) {
	closeTo(t, "same", jain([]float64{2, 2, 2}), 1, 1e-12)
	closeTo(t, "one has all", jain([]float64{0, 5, 0, 0}), 0.25, 1e-12)
	closeTo(t, "nobody has any", jain([]float64{0, 0}), 1, 0)
}
