package limits

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"isoperf/bench/harness"
	"isoperf/reports/limits"
	"isoperf/workloads/load"
)

func request(due, done int64) load.Event {
	return load.Event{Kind: load.Request, Value: due, From: due, To: done}
}

// A request counts by when it was due, and is late from then.
func TestLatencies(t *testing.T) {
	events := []load.Event{request(5, 6), request(10, 30), request(19, 500), request(20, 21), {Kind: load.Gap, Value: 12, From: 12, To: 900}, request(45, 47)}
	got := latencies(events, []span{{10, 20}, {40, 50}})
	if len(got) != 3 || got[0] != 2 || got[1] != 20 || got[2] != 481 {
		t.Errorf("%v", got)
	}
	if got := (span{0, 1000}).without(100); got != (span{100, 900}) {
		t.Errorf("%v", got)
	}
}

// Of the time for which requests were late, what falls into stops is the
// limit's.
func TestAttributed(t *testing.T) {
	events := []load.Event{
		{Kind: load.Gap, From: 200, To: 300}, {Kind: load.Gap, From: 50, To: 60}, {Kind: load.Gap, From: 100, To: 180},
	}
	still := stops(events, 50)
	if len(still) != 2 || still[0] != (span{100, 180}) {
		t.Fatalf("%v", still)
	}
	in := []span{{0, 1000}}
	for _, c := range []struct {
		due, done int64
		want      float64
	}{
		{110, 190, 1},          // 80 until it is done, 10 of them its work, and 70 stopped
		{0, 50, 0},             // late, and nobody stood still
		{150, 310, 130. / 150}, // through the end of one and all of the other, with 10 of work
		{400, 409, 0},          // not late
		{2000, 3000, 0},        // not in the stretch
	} {
		work := time.Duration(10)
		got := attributed([]load.Event{request(c.due, c.done)}, in, still, work)
		if math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestCurve(t *testing.T) {
	var sorted []float64
	for i := range 10000 {
		sorted = append(sorted, float64(i))
	}
	s := curve("latency", sorted)
	if len(s.Points) != 200 || s.Points[199] != [2]float64{9999, 1} || s.Points[99] != [2]float64{4999, 0.5} || s.X != "ns" {
		t.Errorf("%d points, %v", len(s.Points), s.Points)
	}
	if s := curve("latency", nil); len(s.Points) != 0 {
		t.Errorf("%v of nothing", s.Points)
	}
}

func latencyCase(t *testing.T, s *shown, beside string) harness.Case {
	t.Helper()
	for _, c := range s.bench(Config{Window: 2 * time.Second}).Latency(harness.Extent{Burst: 1}) {
		if strings.Contains(c.Name, "beside="+beside) {
			return c
		}
	}
	t.Fatal("no such case")
	return harness.Case{}
}

// Beside who uses the limit up, requests wait for the next period; most of it is
// the limit's, and there is none without it. Each request that was due is there.
func TestLatency(t *testing.T) {
	var s shown
	v := s.sampleOf(t, latencyCase(t, &s, "spinner"), nil)
	for _, err := range s.failed {
		t.Fatal(err)
	}
	// A period is 100 ms, in which it works for 20 ms: the median is far from 0,
	// whatever else the machine does.
	if v["p50-ns"] < 2e6 || v["max-ns"] < 40e6 || v["p50-ns"] > v["p99-ns"] || v["p99-ns"] > v["max-ns"] || v["throttled-ratio"] < 0.2 || v["stop-count"] < 4 {
		t.Errorf("%v", v)
	}
	if v["attributed-ratio"] < 0.3 || v["attributed-ratio"] > 1 {
		t.Errorf("%v of the delay is the limit's", v["attributed-ratio"])
	}
	if k := s.file.Checked; len(k) != 1 || len(k[0].Doubts) > 0 || k[0].Asked != k[0].Read {
		t.Errorf("%+v", k)
	}
	if len(s.file.Series) != 2 || len(s.file.Series[0].Points) == 0 || s.file.Series[1].Name != "latency, control" {
		t.Errorf("%+v", s.file.Series)
	}
	said := limits.Feels(&s.file)
	if len(said) != 1 || !strings.HasPrefix(said[0], "What a request feels at 20 %: p50 ") {
		t.Errorf("%q", said)
	}
	t.Log(said)
}

// Without a limit that is in force, nothing is said of it.
func TestLatencyUnlimited(t *testing.T) {
	var s shown
	s.sampleOf(t, latencyCase(t, &s, "nobody"), func(g *ground) {
		where := placeOf(g.groups[0])
		file, text := where.cpu+"/cpu.cfs_quota_us", "-1"
		if where.v2 {
			file, text = where.cpu+"/cpu.max", "max"
		}
		if err := os.WriteFile(file, []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	})
	if said := limits.Feels(&s.file); len(said) != 1 || !strings.Contains(said[0], "cannot be said") || !strings.Contains(said[0], "something else has changed") {
		t.Errorf("%q, %v", said, s.failed)
	}
}
