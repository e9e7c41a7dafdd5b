package limits

import (
	"strings"
	"testing"

	"isoperf/bench/sample"
)

// fileOf is a file with one case of one sample.
func fileOf(name string, facts map[string]string, doubts []string, values map[string]float64) *sample.File {
	c := &sample.Case{Name: name, Values: map[string][]float64{}}
	for unit, v := range values {
		c.Units = append(c.Units, unit)
		c.Values[unit] = []float64{v}
	}
	return &sample.File{Cases: []*sample.Case{c}, Checked: []sample.Checked{{Case: name, Doubts: doubts, Facts: facts}}}
}

// changed is base with other values.
func changed(base map[string]float64, with map[string]float64) map[string]float64 {
	all := map[string]float64{}
	for _, m := range []map[string]float64{base, with} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

func TestJudgeWeight(t *testing.T) {
	base := map[string]float64{
		"group1-achieved-ratio": 0.51, "group2-achieved-ratio": 1.49, "cpu-count": 2, "jain-ratio": 0.999,
		"share-error-ratio": 0.005, "abs-share-error-ratio": 0.005, "relative-error-ratio": 0.02, "budget-ratio": 0.003,
	}
	shared := map[string]string{"shape": "all want more than there is"}
	idle := map[string]string{"shape": "a group is idle"}
	few := map[string]string{"shape": "fewer threads than CPUs"}
	for _, c := range []struct {
		what    string
		facts   map[string]string
		doubts  []string
		with    map[string]float64
		verdict Verdict
		why     string
		err     float64
	}{
		{"half a point off", shared, nil, nil, Accurate, "", 0.5},
		{"three points off", shared, nil, map[string]float64{"share-error-ratio": -0.03}, Inaccurate, "what its weight entitles it to", -3},
		{"measured for a short time", shared, nil, map[string]float64{"share-error-ratio": -0.03, "budget-ratio": 0.04}, Within, "", -3},
		{"beside others", shared, nil, map[string]float64{"others-ratio": 0.05}, NotJudged, "others used 5.00 %", 0.5},
		{"beside little", shared, nil, map[string]float64{"others-ratio": 0.03}, Accurate, "", 0.5},
		{"the host is busy", shared, nil, map[string]float64{"steal-ratio": 0.02}, NotJudged, "the host took", 0.5},
		{"charged too little", shared, nil, map[string]float64{"accounted-ratio": -0.05}, Inaccurate, "against what its processes used", 0.5},
		{"charged at the tick", shared, nil, map[string]float64{"accounted-ratio": -0.05, "accounted-budget-ratio": 0.1}, Accurate, "", 0.5},
		{"lost on the way up", shared, nil, map[string]float64{"parent-ratio": 0.05}, Inaccurate, "the group above", 0.5},
		{"CPUs were not used up", shared, nil, map[string]float64{"total-error-ratio": -0.2}, NotJudged, "did not use the CPUs up", 0.5},
		{"doubted", shared, []string{"a thread left"}, nil, NotJudged, "a thread left", 0.5},
		{"the rest is used", idle, nil, map[string]float64{"total-error-ratio": -0.005}, Accurate, "", -0.005},
		{"the rest is lost", idle, nil, map[string]float64{"total-error-ratio": -0.1}, Inaccurate, "is not used up", -0.1},
		{"enough for both", few, nil, map[string]float64{"relative-error-ratio": -0.04}, Accurate, "", -0.04},
		{"one is short", few, nil, map[string]float64{"relative-error-ratio": -0.2}, Inaccurate, "did not get its own", -0.2},
		{"nobody says what is asked", nil, nil, nil, NotJudged, "does not say", 0},
	} {
		f := fileOf("CpuWeight/weights=100:300/threads=2/place=pinned", c.facts, c.doubts, changed(base, c.with))
		j := Judge(f, Options{})[0]
		if j.Verdict != c.verdict || !strings.Contains(j.Why, c.why) || (c.why == "") != (j.Why == "") || j.Error != c.err {
			t.Errorf("%s: %+v", c.what, j)
		}
		if points := c.facts["shape"] == shared["shape"]; points != (j.Unit == "points") {
			t.Errorf("%s: in %q", c.what, j.Unit)
		}
	}
	f := fileOf("CpuWeight/weights=100:300/threads=2/place=pinned", shared, nil, changed(base, map[string]float64{"share-error-ratio": -0.03}))
	if j := Judge(f, Options{Tolerance: 0.05})[0]; j.Verdict != Accurate {
		t.Errorf("5 points are asked for: %+v", j)
	}
}

func TestJudgeCpuset(t *testing.T) {
	base := map[string]float64{"look-count": 100, "stray-count": 0, "achieved-ratio": 0.995, "error-ratio": -0.005, "budget-ratio": 0.004}
	for _, c := range []struct {
		what    string
		with    map[string]float64
		verdict Verdict
		why     string
	}{
		{"kept", nil, Accurate, ""},
		{"seen elsewhere once", map[string]float64{"stray-count": 1}, Inaccurate, "thread 7 ran on CPU 1"},
		{"used another CPU unseen", map[string]float64{"outside-ns": 5e6}, Inaccurate, "CPUs that it may not use"},
		{"used more than there is", map[string]float64{"error-ratio": 0.5}, Inaccurate, "more CPUs"},
		{"never seen", map[string]float64{"look-count": 0}, NotJudged, "no thread was seen"},
		{"beside others", map[string]float64{"error-ratio": -0.3, "others-ratio": 0.3}, NotJudged, "others used"},
		{"idle for no reason", map[string]float64{"error-ratio": -0.3}, Inaccurate, "stayed idle"},
	} {
		f := fileOf("Cpuset/cpus=0/threads=2", map[string]string{"stray": "thread 7 ran on CPU 1"}, nil, changed(base, c.with))
		j := Judge(f, Options{})[0]
		if j.Verdict != c.verdict || !strings.Contains(j.Why, c.why) || (c.why == "") != (j.Why == "") {
			t.Errorf("%s: %+v", c.what, j)
		}
	}
}

func TestFeels(t *testing.T) {
	values := map[string]float64{
		"p50-ns": 25e6, "p99-ns": 79e6, "max-ns": 84e6, "control-p99-ns": 152e3, "attributed-ratio": 0.97,
	}
	const spinner, nobody = "Latency/quota=20%/period=100ms/beside=spinner/work=20us/every=1ms", "Latency/quota=20%/period=100ms/beside=nobody/work=100us/every=1ms"
	for _, c := range []struct {
		name   string
		doubts []string
		with   map[string]float64
		want   string
	}{
		{spinner, nil, nil, "What a request feels at 20 %: p50 25 ms, p99 79 ms, at most 84 ms; without the limit p99 152 us. 97 % of its delay is the limit's."},
		{strings.Replace(spinner, "20us", "100us", 1), nil, nil, "What a request feels at 20 %, with 100us of work each 1ms: p50"},
		{strings.Replace(spinner, "100ms", "10ms", 1), nil, nil, "What a request feels at 20 % of 10ms: p50"},
		{nobody, nil, nil, "One that wants less than the limit, and is alone: p99 79 ms; without the limit p99 152 us."},
		{nobody, nil, map[string]float64{"throttled-ratio": 0.1}, "Still it was held back in 10.00 % of the periods."},
		{spinner, nil, map[string]float64{"others-ratio": 0.4}, "Others used 40.00 % of a CPU meanwhile."},
		{spinner, []string{"it is emulated"}, nil, "cannot be said: it is emulated."},
	} {
		said := Feels(fileOf(c.name, nil, c.doubts, changed(values, c.with)))
		if len(said) != 1 || !strings.Contains(said[0], c.want) {
			t.Errorf("%q\n does not have %q", said, c.want)
		}
	}
	f := &sample.File{NotMeasured: []sample.Note{{Case: spinner, Why: "no cpu controller"}, {Case: "CpuMax/quota=20%", Why: "x"}}}
	if said := Feels(f); len(said) != 1 || said[0] != "What a request feels at 20 % was not measured: no cpu controller." {
		t.Errorf("%q", said)
	}
	if said := Feels(&sample.File{}); said != nil {
		t.Errorf("%q of nothing", said)
	}
}

// How a group was killed is in the table, and what was not reached is no time.
func TestFreezeTable(t *testing.T) {
	f := fileOf("Freeze/tasks=10/load=spin", nil, nil, map[string]float64{"freeze-ns": 443e3, "moved-count": 0, "thaw-ns": 3e6, "all-run-ns": 15e6, "kill-ns": 5e6, "signal-count": 10})
	var b strings.Builder
	if err := Write(&b, f, Judge(f, Options{}), Printing{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"10, computing", "443 us", "10 signals", "never", "accurate"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
