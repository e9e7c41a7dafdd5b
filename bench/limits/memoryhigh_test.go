package limits

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/reports/limits"
	"isoperf/workloads/load"
)

// A delay goes with the usage that was seen within it.
func TestDelays(t *testing.T) {
	gaps := []load.Event{
		{Kind: load.Gap, From: 100, To: 200, Value: 1}, // below the limit: the load was just not run
		{Kind: load.Step, From: 0, To: 1000},
		{Kind: load.Gap, From: 300, To: 400, Value: 64},
		{Kind: load.Gap, From: 500, To: 510, Value: 128}, // nobody looked
		{Kind: load.Gap, From: 600, To: 700, Value: 192},
	}
	list := []usage{{50, 10}, {150, 50}, {250, 60}, {310, 101}, {390, 102}, {450, 103}, {550, 104}, {650, 110}, {750, 200}}
	found, unseen := delays(gaps, list, 100)
	over := func(bytes float64) float64 { return bytes/100 - 1 }
	want := []delay{{over(102), 100, 64}, {over(110), 100, 192}}
	if !reflect.DeepEqual(found, want) || unseen != 1 {
		t.Errorf("%+v, %d unseen", found, unseen)
	}
}

func TestHighCellCheck(t *testing.T) {
	for _, c := range []HighCell{{1, 1.1}, {100 * mib, 1}, {100 * mib, 2}} {
		if err := c.Check(); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	if c := (HighCell{100 * mib, 1.14}); c.Check() != nil || c.cost() < 20*time.Second || c.cost() > 30*time.Second {
		t.Errorf("%v, %v", c.Check(), c.cost())
	}
}

// The load is slowed down above memory.high, more and more, and is not killed.
func TestMemoryHigh(t *testing.T) {
	var got taken
	b := collect(&got)
	got.take(t, b.highCases(harness.Extent{}, []HighCell{{100 * mib, 1.05}}, b.sampleHigh)[0])
	v := got.values
	t.Logf("%v %+v", v, got.checked)
	if len(got.checked.Doubts) > 0 {
		t.Errorf("doubts: %q", got.checked.Doubts)
	}
	if v["max-count"] != 0 || v["oom-kill-count"] != 0 || v["high-count"] == 0 {
		t.Errorf("events: %v", v)
	}
	if len(got.series) != 1 || len(got.series[0].Points) < 8 || v["reached-ratio"] < 0.045 {
		t.Fatalf("%v, %v", got.series, v)
	}
	points := got.series[0].Points
	first, last := points[0], points[len(points)-1]
	if last[0] <= first[0] || last[1] <= first[1] {
		t.Errorf("from %v to %v: it is not slower the further it is above", first, last)
	}
	// On an emulated machine nothing is said when delays are too long.
	j := got.verdict()
	t.Logf("%s %s; %v", j.Verdict, j.Why, j.Figures)
	if j.Verdict == limits.Inaccurate || j.Verdict == limits.NotJudged && !strings.Contains(j.Why, "busy") {
		t.Errorf("%s: %s", j.Verdict, j.Why)
	}
}

// What lies about memory.high is doubted.
func TestHighLies(t *testing.T) {
	for _, lie := range []struct {
		name, doubt string
		tell        func(s *highSample)
	}{
		{"raised", "is in force", func(s *highSample) { write(t, s.place.dir+"/memory.high", 101*mib) }},
		{"load outside", "is not in the group", func(s *highSample) {
			write(t, memoryOf(elsewhere(t, s.ground)).dir+"/cgroup.procs", s.worker.proc.Pid())
		}},
	} {
		t.Run(lie.name, func(t *testing.T) {
			var got taken
			b := collect(&got)
			got.take(t, b.highCases(harness.Extent{}, []HighCell{{100 * mib, 1.03}}, func(s *highSample) ([]sample.Value, error) {
				lie.tell(s)
				return b.sampleHigh(s)
			})[0])
			if !got.doubted(lie.doubt) || got.verdict().Verdict != limits.NotJudged && got.verdict().Verdict != limits.Inaccurate {
				t.Errorf("doubts %q, %+v", got.checked.Doubts, got.verdict())
			}
		})
	}
}
