package limits

import (
	"strings"
	"testing"

	"isoperf/bench/sample"
)

// judged is the judgement of one sample of a case.
func judged(t *testing.T, name string, v map[string]float64, facts map[string]string, series ...sample.Series) Judgement {
	t.Helper()
	c := &sample.Case{Name: name, Values: map[string][]float64{}}
	for unit, n := range v {
		c.Units, c.Values[unit] = append(c.Units, unit), []float64{n}
	}
	f := &sample.File{Cases: []*sample.Case{c}, Checked: []sample.Checked{{Case: name, Facts: facts}}}
	for _, s := range series {
		s.Case = name
		f.Series = append(f.Series, s)
	}
	list := Judge(f, Options{})
	if len(list) != 1 {
		t.Fatalf("%d judgements of %s", len(list), name)
	}
	return list[0]
}

// with is v, with some figures changed.
func with(v map[string]float64, change map[string]float64) map[string]float64 {
	all := map[string]float64{}
	for k, n := range v {
		all[k] = n
	}
	for k, n := range change {
		all[k] = n
	}
	return all
}

// verdict is what a change of the figures must come to.
type verdict struct {
	name   string
	change map[string]float64
	want   Verdict
	why    string
}

func check(t *testing.T, list []verdict, judge func(change map[string]float64) Judgement) {
	t.Helper()
	for _, x := range list {
		if j := judge(x.change); j.Verdict != x.want || !strings.Contains(j.Why, x.why) {
			t.Errorf("%s: %s: %q", x.name, j.Verdict, j.Why)
		}
	}
}

type change = map[string]float64

func TestMemoryMax(t *testing.T) {
	const limit = 64 << 20
	died := change{
		"limit-B": limit, "peak-B": limit, "rest-B": 1 << 20, "touched-B": limit - 2<<20, "budget-ratio": 0.0078, "max-count": 20,
		"oom-count": 1, "oom-kill-count": 1, "killed-count": 1, "overshoot-ratio": 0, "peak-ratio": 1,
	}
	check(t, []verdict{
		{"kept", nil, Accurate, ""},
		{"version 1 counts no OOM", change{"oom-count": -1}, Accurate, ""},
		{"a batch over", change{"overshoot-ratio": 0.004}, Within, ""},
		{"too much", change{"overshoot-ratio": 0.01, "peak-B": 1.01 * limit}, Inaccurate, "more than the limit"},
		{"left at rest", change{"rest-B": limit + 4096}, Inaccurate, "at rest"},
		{"touched more", change{"touched-B": 1.1 * limit}, Inaccurate, "touched"},
		{"not killed", change{"oom-count": 0, "oom-kill-count": 0, "killed-count": 0}, Inaccurate, "not killed"},
		{"killed twice", change{"oom-kill-count": 2}, Inaccurate, "2 kills"},
		{"two OOMs", change{"oom-count": 2}, Inaccurate, "2 times"},
		{"killed early", change{"peak-ratio": 0.6}, Inaccurate, "killed at 60"},
	}, func(c change) Judgement {
		return judged(t, "MemoryMax/limit=64MiB/kind=anon/want=150%", with(died, c), nil)
	})
	lives := with(died, change{"oom-count": 0, "oom-kill-count": 0, "killed-count": 0, "touched-B": limit / 2, "rest-B": limit / 2, "peak-ratio": 0.53})
	check(t, []verdict{
		{"lives", nil, Accurate, ""},
		{"killed below the limit", change{"oom-count": 1, "oom-kill-count": 1, "killed-count": 1}, Inaccurate, "below the limit"},
	}, func(c change) Judgement {
		return judged(t, "MemoryMax/limit=64MiB/kind=anon/want=50%", with(lives, c), nil)
	})
	for name, want := range map[string]Verdict{
		"limit=64MiB/child=128MiB/sibling=40%/kind=anon/want=75%": Inaccurate, "limit=64MiB/child=128MiB/sibling=40%/kind=anon/want=40%": Accurate,
		"limit=64MiB/child=128MiB/kind=anon/want=150%": Inaccurate,
	} {
		if j := judged(t, "MemoryMax/"+name, lives, nil); j.Verdict != want {
			t.Errorf("%s lives: %+v", name, j)
		}
	}
	if j := judged(t, "MemoryMax/limit=64MiB/child=128MiB/sibling=40%/kind=anon/want=75%", died, nil); j.Verdict != Accurate || j.Asked != "64 MiB above 128 MiB, anon 75 % beside 40 %" {
		t.Errorf("%+v", j)
	}
	file := with(lives, change{"peak-ratio": 0.995, "touched-B": 3 * limit})
	check(t, []verdict{
		{"reclaimed", nil, Accurate, ""},
		{"killed", change{"oom-kill-count": 1, "killed-count": 1}, Inaccurate, "page cache can be reclaimed"},
		{"never full", change{"peak-ratio": 0.5}, NotJudged, "50.00 % of the limit only"},
	}, func(c change) Judgement {
		return judged(t, "MemoryMax/limit=64MiB/kind=file/want=300%", with(file, c), nil)
	})
}

// Of a load that is not ours only the group's counters tell.
func TestOutside(t *testing.T) {
	const limit = 64 << 20
	v := change{"limit-B": limit, "peak-B": limit, "rest-B": 1 << 20, "budget-ratio": 0.0078, "oom-kill-count": 1, "overshoot-ratio": 0, "peak-ratio": 1}
	check(t, []verdict{
		{"kept", nil, Accurate, ""},
		{"killed and started again", change{"oom-kill-count": 7}, Accurate, ""},
		{"a batch over", change{"overshoot-ratio": 0.004}, Within, ""},
		{"too much", change{"overshoot-ratio": 0.01, "peak-B": 1.01 * limit}, Inaccurate, "more than the limit"},
		{"gave up", change{"oom-kill-count": 0}, NotJudged, "gave up"},
		{"wanted little", change{"oom-kill-count": 0, "peak-ratio": 0.4}, NotJudged, "40.00 % of the limit only"},
		{"killed early", change{"peak-ratio": 0.4}, Inaccurate, "killed at 40"},
	}, func(c change) Judgement {
		return judged(t, "MemoryMax/limit=64MiB/kind=stress-ng/want=150%", with(v, c), nil)
	})
	p := change{"limit-count": 32, "peak-count": 32, "most-count": 33, "listed-count": 30, "refused-count": 99, "events-count": 99, "left-count": 4, "transient-count": 1, "overshoot-count": 0}
	check(t, []verdict{
		{"kept", nil, Accurate, ""},
		{"no peak", change{"peak-count": -1}, Accurate, ""},
		{"too many", change{"overshoot-count": 1}, Inaccurate, "1 tasks too many"},
		{"wanted little", change{"refused-count": 0}, NotJudged, "did not reach"},
	}, func(c change) Judgement {
		return judged(t, "PidsMax/max=32/kind=stress-ng", with(p, c), nil)
	})
}

func TestOOM(t *testing.T) {
	v := change{"oom-count": 1, "oom-kill-count": 3, "killed-count": 3, "event-ns": 1e6, "kill-ns": 1e6, "exit-ns": 5e6, "empty-ns": 0, "total-ns": 7e6, "watch-ns": 1e5}
	check(t, []verdict{
		{"all at once", nil, Accurate, ""},
		{"the chosen one is counted again", change{"oom-kill-count": 4}, Accurate, ""},
		{"one lives", change{"oom-kill-count": 2, "killed-count": 2}, Inaccurate, "2 kills"},
		{"one lives, the kernel says", change{"killed-count": 2}, Inaccurate, "2 processes"},
		{"slow", change{"total-ns": 2e9}, NotJudged, "longer than the second"},
	}, func(c change) Judgement {
		return judged(t, "Oom/limit=64MiB/kind=anon/want=150%/tasks=3/oomgroup=1", with(v, c), nil)
	})
	check(t, []verdict{
		{"one of three", change{"oom-kill-count": 1, "killed-count": 1}, Accurate, ""},
		{"two of three", change{"oom-kill-count": 2, "killed-count": 2}, Inaccurate, "2 kills"},
	}, func(c change) Judgement {
		return judged(t, "Oom/limit=64MiB/kind=anon/want=150%/tasks=3", with(v, c), nil)
	})
}

func TestPids(t *testing.T) {
	v := change{
		"limit-count": 32, "peak-count": 32, "most-count": 32, "together-count": 32, "full-count": 32, "listed-count": 32, "inside-count": 13,
		"alive-count": 19, "accepted-count": 19, "refused-count": 20, "owner-events-count": 20, "events-count": 20, "attached-count": 0,
		"left-count": 0, "look-count": 100, "transient-count": 0, "overshoot-count": 0,
	}
	forker := map[string]string{"events": "forker"}
	check(t, []verdict{
		{"exact", nil, Accurate, ""},
		{"seen above for a moment", change{"transient-count": 1}, Accurate, ""},
		{"no peak", change{"peak-count": -1}, Accurate, ""},
		{"one too many", change{"overshoot-count": 1}, Inaccurate, "1 tasks too many"},
		{"one too few", change{"accepted-count": 18}, Inaccurate, "18 forks were let through, not 19"},
		{"not listed", change{"listed-count": 31}, Inaccurate, "31 are listed"},
		{"a refusal is not counted", change{"events-count": 19}, Inaccurate, "counts 19 refusals of 20"},
		{"one is left", change{"left-count": 1}, Inaccurate, "when all have ended"},
		{"nothing was refused", change{"refused-count": 0, "events-count": 0}, NotJudged, "did not reach"},
		{"the load was slow", change{"accepted-count": 9, "refused-count": 0, "events-count": 0, "owner-events-count": 0}, NotJudged, "did not reach"},
	}, func(c change) Judgement {
		return judged(t, "PidsMax/max=32/kind=fill", with(v, c), forker)
	})
	nested := with(v, change{"owner-events-count": 0})
	if j := judged(t, "PidsMax/max=32/kind=nested", nested, forker); j.Verdict != Accurate {
		t.Errorf("nested: %+v", j)
	}
	if j := judged(t, "PidsMax/max=32/kind=nested", nested, map[string]string{"events": "owner"}); j.Verdict != Inaccurate {
		t.Errorf("nested, counted in the wrong group: %+v", j)
	}
	low := with(v, change{"limit-count": 17, "full-count": 21, "listed-count": 21, "accepted-count": 8, "alive-count": 8})
	check(t, []verdict{
		{"lowered", nil, Accurate, ""},
		{"one was killed", change{"full-count": 20}, Inaccurate, "ended"},
		{"one was let through", change{"accepted-count": 9}, Inaccurate, "let through"},
	}, func(c change) Judgement {
		return judged(t, "PidsMax/max=48/kind=lowered", with(low, c), forker)
	})
	if j := judged(t, "PidsMax/max=32/kind=attach", with(v, change{"attached-count": 1}), forker); j.Verdict != Inaccurate {
		t.Errorf("attach: %+v", j)
	}
	if j := judged(t, "PidsMax/max=100/kind=storm", with(v, change{"full-count": 28, "accepted-count": 500}), forker); j.Verdict != Accurate {
		t.Errorf("storm: %+v", j)
	}
}
