package limits

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"isoperf/bench/environment"
)

// played are the readings of a group, every millisecond, whose periods want so
// much CPU time each; it runs from the beginning of a period, on one CPU. Leak is
// what it gets beyond its quota.
func played(l Level, wants []time.Duration, leak time.Duration) []reading {
	var list []reading
	var r reading
	for k, want := range wants {
		gets := min(want, l.Quota+leak)
		stopped := want > l.Quota
		for t := time.Duration(0); t < l.Period; t += time.Millisecond {
			now := r
			now.at = int64(time.Duration(k)*l.Period + t)
			now.usage = r.usage + int64(min(t, gets))
			now.took = 1
			list = append(list, now)
		}
		r.usage += int64(gets)
		r.periods++
		if stopped {
			r.throttled++
			r.throttledNS += int64(l.Period - gets)
		}
	}
	r.at = int64(time.Duration(len(wants)) * l.Period)
	return append(list, r)
}

func repeated(n int, wants ...time.Duration) []time.Duration {
	var list []time.Duration
	for range n {
		list = append(list, wants...)
	}
	return list
}

func TestWatchedOf(t *testing.T) {
	const ms = time.Millisecond
	l := Level{Quota: 20 * ms, Period: 100 * ms}
	m := machine{cpus: 1, tick: 4 * ms, env: environment.Environment{BandwidthSliceUS: 5000}}
	for _, c := range []struct {
		name              string
		wants             []time.Duration
		leak              time.Duration
		throttled, held   int64
		failure           float64
		stall             time.Duration
		budgetMost, least float64
	}{
		{"always", repeated(50, 100*ms), 0, 50, 48, 0, 80 * ms, 0.01, 0},
		{"bursts", repeated(10, 5*ms, 5*ms, 90*ms, 90*ms, 5*ms), 0, 20, 20, 0, 80 * ms, 0.5, 0.1},
		{"idle", repeated(50, 10*ms), 0, 0, 0, 0, 0, 0, 0},
		{"leak", repeated(50, 100*ms), 6 * ms, 50, 48, 0.3, 74 * ms, 0.01, 0},
		{"nothing", nil, 0, 0, 0, 0, 0, 0, 0},
	} {
		w := watchedOf(played(l, c.wants, c.leak), l, m)
		if w.throttled != c.throttled || w.held < c.held || w.held > c.throttled {
			t.Errorf("%s: %d throttled, %d held", c.name, w.throttled, w.held)
		}
		if math.Abs(w.failure-c.failure) > 0.01 {
			t.Errorf("%s: failure %v, want %v", c.name, w.failure, c.failure)
		}
		if w.budget > c.budgetMost || w.budget < c.least {
			t.Errorf("%s: budget %v", c.name, w.budget)
		}
		if d := time.Duration(w.stall) - c.stall; d < -2*ms || d > 2*ms {
			t.Errorf("%s: stall %v, want %v", c.name, time.Duration(w.stall), c.stall)
		}
		if w.throttled > 0 && (time.Duration(w.spent) < 18*ms+c.leak || time.Duration(w.spent) > 22*ms+c.leak) {
			t.Errorf("%s: its quota was spent within %v", c.name, time.Duration(w.spent))
		}
	}
}

// A timer that ran late counts two periods and gives the quota of one; that is no
// error of the limit.
func TestWatchedLate(t *testing.T) {
	const ms = time.Millisecond
	l := Level{Quota: 20 * ms, Period: 100 * ms}
	m := machine{cpus: 1, tick: 4 * ms, env: environment.Environment{BandwidthSliceUS: 5000}}
	list := played(l, repeated(20, 100*ms), 0)
	for i := range list {
		if list[i].periods >= 10 {
			list[i].periods++
			list[i].throttled++
		}
	}
	w := watchedOf(list, l, m)
	if math.Abs(w.failure) > 0.01 || w.held < 15 || w.held > 18 || w.periods != 21 {
		t.Errorf("%+v", w)
	}
	// Without the readings in which the last period ends, its use is not known.
	dense := w
	var sparse []reading
	for _, r := range list {
		if in := time.Duration(r.at) % l.Period; in < 10*ms || in > 98*ms {
			sparse = append(sparse, r)
		}
	}
	if w := watchedOf(sparse, l, m); math.Abs(w.failure) > w.budget+0.01 || w.budget <= dense.budget {
		t.Errorf("sparse: %+v, dense: %+v", w, dense)
	}
}

func TestTightest(t *testing.T) {
	got := tightest([]Level{{Group: "a", Quota: 2, Period: 1}, {Group: "b", Quota: 1, Period: 2}, {Group: "c", Quota: 1, Period: 2}})
	if got[0].Group != "b" || got[1].Group != "c" || got[2].Group != "a" {
		t.Errorf("%+v", got)
	}
}

// A limit is read from the files of either version; a level without one has none.
func TestLevel(t *testing.T) {
	for _, c := range []struct {
		files         map[string]string
		v2            bool
		quota, period time.Duration
		burst         time.Duration
		broken        bool
	}{
		{map[string]string{"cpu.max": "50000 100000\n", "cpu.max.burst": "1000\n"}, true, 50 * time.Millisecond, 100 * time.Millisecond, time.Millisecond, false},
		{map[string]string{"cpu.max": "max 100000\n"}, true, 0, 100 * time.Millisecond, 0, false},
		{map[string]string{}, true, 0, 0, 0, false},
		{map[string]string{"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, false, 0, 100 * time.Millisecond, 0, false},
		{map[string]string{"cpu.cfs_quota_us": "2000\n", "cpu.cfs_period_us": "10000\n"}, false, 2 * time.Millisecond, 10 * time.Millisecond, 0, false},
		{map[string]string{"cpu.max": "nonsense\n"}, true, 0, 0, 0, true},
		{map[string]string{"cpu.max": "x 100000\n"}, true, 0, 0, 0, true},
	} {
		dir := t.TempDir()
		for name, text := range c.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		l := Level{place: place{dir, dir, c.v2}}
		err := l.read()
		if (err != nil) != c.broken {
			t.Errorf("%v: %v", c.files, err)
		}
		if !c.broken && (l.Quota != c.quota || l.Period != c.period || l.Burst != c.burst) {
			t.Errorf("%v: %+v", c.files, l)
		}
	}
	if err := (&Level{place: place{"/nowhere", "/nowhere", true}}).read(); err == nil {
		t.Error("a group that is not there has a limit")
	}
}

func TestFigure(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]float64{"7\n": 7, "max\n": -1, "low 0\nhigh 3\nmax 5\noom 1\n": 5, "max 9\n": 9, "": -1} {
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := figure(dir, "f"); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	if figure(dir, "none") != -1 {
		t.Error("a file that is not there has a figure")
	}
}
