package limits

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isoperf/bench/sample"
)

const (
	case20  = "CpuMax/quota=20%/period=100ms/threads=1/load=spin"
	case200 = "CpuMax/quota=200%/period=100ms/threads=2/load=spin"
	turns   = "CpuMax/quota=10%/period=100ms/threads=4/load=turns"
	nested  = "CpuMax/shape=two-children/quota=20%/period=100ms/threads=2/load=spin"
)

// goodCPU are the figures of a limit of 20 % that is kept.
func goodCPU() map[string]float64 {
	return map[string]float64{
		"entitled-ratio": 0.2, "error-ratio": 0.001, "abs-error-ratio": 0.001, "budget-ratio": 0.003, "over-budget-ratio": 0.003, "accounted-ratio": 0.0001,
		"throttled-ratio": 1, "period-count": 99, "mean-stall-ns": 80e6, "stall-ns": 82e6, "steal-ratio": 0, "others-ratio": 0.01,
		"periods-error-ratio": 0.001, "late-period-count": 0, "use-max-ratio": 1.05, "burst-ratio": 0.84, "part-error-ratio": 0.002,
		"part-budget-ratio": 0.01, "throttle-sum-ratio": 1, "slots-ratio": -0.01, "fairness-ratio": 1, "achieved-ratio": 0.2002,
	}
}

// withCPU are good figures but for some; NaN is not needed: "-unit" leaves one out.
func withCPU(changes map[string]float64) map[string]float64 {
	v := goodCPU()
	for unit, value := range changes {
		if name, out := strings.CutPrefix(unit, "-"); out {
			delete(v, name)
		} else {
			v[unit] = value
		}
	}
	return v
}

// cpuFile has a case with a sample for each set of figures.
func cpuFile(name string, facts map[string]string, figures ...map[string]float64) *sample.File {
	c := &sample.Case{Name: name, Values: map[string][]float64{}}
	f := &sample.File{Cases: []*sample.Case{c}}
	for i, v := range figures {
		for _, unit := range slices.Sorted(maps.Keys(v)) {
			if _, seen := c.Values[unit]; !seen {
				c.Units = append(c.Units, unit)
			}
			c.Values[unit] = append(c.Values[unit], v[unit])
		}
		f.Checked = append(f.Checked, sample.Checked{Case: name, Sample: i, Limit: "cpu.max", Facts: facts})
	}
	return f
}

func TestJudgeCPUMax(t *testing.T) {
	tasks := map[string]string{"throttles": "tasks"}
	free := map[string]float64{"-periods-error-ratio": 0, "-burst-ratio": 0, "-part-error-ratio": 0, "throttled-ratio": 0, "entitled-ratio": 2}
	freeBut := func(unit string, v float64, more ...float64) map[string]float64 {
		m := maps.Clone(free)
		m[unit] = v
		if len(more) > 0 {
			m["others-ratio"] = more[0]
		}
		return withCPU(m)
	}
	for _, c := range []struct {
		title, name string
		facts       map[string]string
		v           map[string]float64
		verdict     Verdict
		why, note   string
	}{
		{"kept", case20, nil, goodCPU(), Accurate, "", ""},
		{"kept, short", case20, nil, withCPU(map[string]float64{"budget-ratio": 0.05, "over-budget-ratio": 0.05, "error-ratio": 0.04, "periods-error-ratio": 0.04}), Within, "", ""},
		{"could be off by too much", case20, nil, withCPU(map[string]float64{"budget-ratio": 0.77, "over-budget-ratio": 0.05, "error-ratio": 0.04, "periods-error-ratio": 0.04}), NotJudged, "could be off by 77.00 %", ""},
		{"less, as lost quota explains", case20, nil, withCPU(map[string]float64{"budget-ratio": 0.05, "error-ratio": -0.04, "periods-error-ratio": -0.04}), Within, "", ""},
		{"more, which lost quota does not", case20, nil, withCPU(map[string]float64{"budget-ratio": 0.05, "error-ratio": 0.04, "periods-error-ratio": 0.04}), Inaccurate, "it got too much", ""},
		{"too much", case20, nil, withCPU(map[string]float64{"error-ratio": 0.03, "periods-error-ratio": 0.03}), Inaccurate, "it got too much", ""},
		{"too little", case20, nil, withCPU(map[string]float64{"error-ratio": -0.03, "periods-error-ratio": -0.03}), Inaccurate, "quota was lost", ""},
		{"too much, not even throttled", case20, nil, withCPU(map[string]float64{"error-ratio": 1, "periods-error-ratio": 1, "throttled-ratio": 0.5}), Inaccurate, "it got too much", ""},
		{"steal", case20, nil, withCPU(map[string]float64{"steal-ratio": 0.02}), NotJudged, "the host took 2.00 %", ""},
		{"late timer", case20, nil, withCPU(map[string]float64{"late-period-count": 2}), NotJudged, "quota of 2 of 99 periods", ""},
		{"one late timer", case20, nil, withCPU(map[string]float64{"late-period-count": 0.9}), Accurate, "", ""},
		{"a thread escaped", case20, nil, withCPU(map[string]float64{"accounted-ratio": -0.5}), Inaccurate, "charged -50.0 %", ""},
		{"charged for others", case20, nil, withCPU(map[string]float64{"accounted-ratio": 0.02}), Inaccurate, "charged +2.0 %", ""},
		{"children do not add up", nested, nil, withCPU(map[string]float64{"children-ratio": -0.02}), Inaccurate, "groups below were charged -2.0 %", ""},
		{"children add up", nested, nil, withCPU(map[string]float64{"children-ratio": 0.001, "child-most-ratio": 0.5}), Accurate, "", ""},
		{"a child has too much", nested, nil, withCPU(map[string]float64{"children-ratio": 0.001, "child-most-ratio": 1.5}), Inaccurate, "got 150.00 % of its limit", ""},
		{"one period too much", case20, nil, withCPU(map[string]float64{"burst-ratio": 1.2, "burst-kept-ratio": 1.2, "use-max-ratio": 1.5}), Inaccurate, "in one period it used 150.00 %", "a period used"},
		{"one period too much, and given back", case20, nil, withCPU(map[string]float64{"burst-ratio": 1.2, "burst-kept-ratio": 0.8, "use-max-ratio": 1.5}), Accurate, "", "the next ones gave it back"},
		{"does not saturate", case20, nil, withCPU(map[string]float64{"throttled-ratio": 0.9}), NotJudged, "did not reach the limit: it was held back in 90.00 % of the periods", ""},
		{"starved", case20, nil, withCPU(map[string]float64{"throttled-ratio": 0.1, "error-ratio": -0.3, "others-ratio": 1.5}), NotJudged, "others used 150.00 % of a CPU", ""},
		{"periods are longer than they say", case20, nil, withCPU(map[string]float64{"error-ratio": -0.03, "periods-error-ratio": 0}), NotJudged, "periods are not as long as they say", ""},
		{"in debt when it began", case20, nil, withCPU(map[string]float64{"error-ratio": -0.5, "periods-error-ratio": -0.5, "burst-ratio": 2.5, "use-max-ratio": 3.78}), NotJudged, "ticks come late: in one period it used 378.00 % of the quota", "ticks come late here"},
		{"in debt when it ended", case20, nil, withCPU(map[string]float64{"error-ratio": 0.12, "periods-error-ratio": 0.12, "burst-ratio": 4.5, "burst-kept-ratio": 0.8, "use-max-ratio": 6.7}), NotJudged, "ticks come late", "ticks come late here"},
		{"too much throughout", case20, nil, withCPU(map[string]float64{"error-ratio": 0.5, "periods-error-ratio": 0.5, "burst-ratio": 1.2, "burst-kept-ratio": 1.2, "use-max-ratio": 1.5}), Inaccurate, "the next ones did not give it back", "ticks come late here"},
		{"high, then low", case20, nil, withCPU(map[string]float64{"part-error-ratio": 0.25}), NotJudged, "+25.0 % in a quarter", ""},
		{"a quarter within its budget", case20, nil, withCPU(map[string]float64{"part-error-ratio": 0.03, "part-budget-ratio": 0.05}), Accurate, "", ""},
		{"free", case200, nil, withCPU(free), NotJudged, "the limit was not reached", ""},
		{"free, others beside it", case200, nil, freeBut("error-ratio", -0.3, 0.6), NotJudged, "did not get the CPUs", ""},
		{"free, and held back", case200, nil, freeBut("error-ratio", -0.3), Inaccurate, "quota was lost", ""},
		{"turns", turns, nil, withCPU(map[string]float64{"error-ratio": -0.04, "periods-error-ratio": -0.04}), Accurate, "", ""},
		{"turns, some lost", turns, nil, withCPU(map[string]float64{"error-ratio": -0.1, "periods-error-ratio": -0.1}), Within, "", ""},
		{"turns, half lost", turns, nil, withCPU(map[string]float64{"error-ratio": -0.5, "periods-error-ratio": -0.5}), Inaccurate, "stranded", ""},
		{"turns, too much", turns, nil, withCPU(map[string]float64{"error-ratio": 0.1, "periods-error-ratio": 0.1}), Inaccurate, "it got too much", ""},
		{"throttled for too short a time", case20, tasks, withCPU(map[string]float64{"throttle-sum-ratio": 0.9}), Accurate, "", "add up to 90.00 %"},
		{"throttled for too long a time", case20, nil, withCPU(map[string]float64{"throttle-sum-ratio": 1.1}), Accurate, "", "add up to 110.00 %"},
		{"the same, by task", case20, tasks, withCPU(map[string]float64{"throttle-sum-ratio": 1.1}), Accurate, "", ""},
		{"unfair", case20, nil, withCPU(map[string]float64{"fairness-ratio": 0.6}), Accurate, "", "Jain's index 0.60"},
	} {
		t.Run(c.title, func(t *testing.T) {
			list := Judge(cpuFile(c.name, c.facts, c.v), Options{})
			if len(list) != 1 {
				t.Fatalf("%d judgements", len(list))
			}
			j := list[0]
			if j.Verdict != c.verdict || !strings.Contains(j.Why, c.why) || (c.why == "") != (j.Why == "") {
				t.Errorf("%s: %s", j.Verdict, j.Why)
			}
			if !strings.Contains(j.Note, c.note) || (c.note == "") != (j.Note == "") {
				t.Errorf("note %q", j.Note)
			}
		})
	}
}

// A median hides a window that is not as the others; the verdict does not.
func TestJudgeEachWindow(t *testing.T) {
	bad := withCPU(map[string]float64{"error-ratio": 0.5, "periods-error-ratio": 0.5})
	f := cpuFile(case20, nil, goodCPU(), goodCPU(), bad)
	j := Judge(f, Options{})[0]
	if j.Verdict != NotJudged || !strings.Contains(j.Why, "window 3 of 3 was inaccurate, others were not: it got too much") {
		t.Errorf("%s: %s", j.Verdict, j.Why)
	}
	f.Checked[2].Doubts = []string{"it was seen elsewhere"}
	j = Judge(f, Options{})[0]
	if j.Verdict != Accurate || j.Counted != 2 || !strings.Contains(j.Note, "1 of 3 windows do not count: it was seen elsewhere") {
		t.Errorf("%s, %d counted: %s", j.Verdict, j.Counted, j.Note)
	}
}

// What nobody checked, or what somebody doubts, is not judged, however good its
// figures are.
func TestJudgeDoubts(t *testing.T) {
	f := cpuFile(case20, nil, goodCPU())
	f.Checked[0].Doubts = []string{"a", "b"}
	unchecked := cpuFile(case20, nil, goodCPU())
	unchecked.Checked = nil
	failed := &sample.File{Cases: []*sample.Case{{Name: case20, Failures: []string{"the group has vanished"}}}}
	missing := &sample.File{NotMeasured: []sample.Note{{Case: case20, Why: "no permission"}}}
	for why, f := range map[string]*sample.File{"a; b": f, "the file does not say what was checked": unchecked, "the group has vanished": failed, "no permission": missing} {
		j := Judge(f, Options{})[0]
		if j.Verdict != NotJudged || j.Why != why || j.Asked != "20 % / 100 ms" || (j.Got == "") != (why == "the group has vanished" || why == "no permission") || (j.Kernel == "") != (j.Got == "") {
			t.Errorf("%+v", j)
		}
	}
	f = cpuFile(case20, nil, goodCPU())
	f.Cases[0].Failures = []string{"it vanished"}
	if j := Judge(f, Options{})[0]; j.Verdict != Accurate || !strings.Contains(j.Note, "1 measurements failed: it vanished") {
		t.Errorf("%+v", j)
	}
}

func TestTolerance(t *testing.T) {
	v := withCPU(map[string]float64{"error-ratio": 0.01, "periods-error-ratio": 0.01})
	if j := Judge(cpuFile(case20, nil, v), Options{Tolerance: 0.005})[0]; j.Verdict != Inaccurate {
		t.Errorf("%+v", j)
	}
}

// What a person sees.
func TestWriteCPUMax(t *testing.T) {
	f := cpuFile(case20, nil, goodCPU())
	bad := cpuFile(nested, nil, withCPU(map[string]float64{"error-ratio": 0.5, "periods-error-ratio": 0.5, "achieved-ratio": 0.3, "stall-ns": 70e6, "children-ratio": 0}))
	outside := cpuFile("CpuMax/shape=stress/quota=20%/period=100ms/threads=1/load=stress", nil, withCPU(map[string]float64{"-stall-ns": 0, "budget-ratio": 0.1}))
	for _, other := range []*sample.File{bad, outside} {
		f.Cases, f.Checked = append(f.Cases, other.Cases...), append(f.Checked, other.Checked...)
	}
	f.NotMeasured = []sample.Note{{Case: turns, Why: "it needs root"}}
	steal := 0.0
	f.End.Steal = &steal
	var b strings.Builder
	if err := Write(&b, f, Judge(f, Options{}), Printing{}); err != nil {
		t.Fatal(err)
	}
	goldenCPU(t, "cpumax.txt", b.String())
}

// goldenCPU compares with a file of testdata; UPDATE=1 writes it.
func goldenCPU(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
