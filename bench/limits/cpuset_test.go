package limits

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"isoperf/bench/harness"
	"isoperf/reports/limits"
)

func TestCPUList(t *testing.T) {
	for want, list := range map[string][]int{"": nil, "0": {0}, "0-1": {0, 1}, "0-3,6": {0, 1, 2, 3, 6}, "1,3,5-6": {1, 3, 5, 6}} {
		if got := cpuList(list); got != want {
			t.Errorf("%v: %q", list, got)
		}
	}
}

func TestParseStat(t *testing.T) {
	fields := make([]string, 37)
	for i := range fields {
		fields[i] = strconv.Itoa(i + 100)
	}
	fields[0], fields[36] = "R", "5"
	if cpu, running, err := parseStat("12 (a) b) " + strings.Join(fields, " ")); cpu != 5 || !running || err != nil {
		t.Errorf("%d %v %v", cpu, running, err)
	}
	fields[0] = "S"
	if _, running, err := parseStat("12 (x) " + strings.Join(fields, " ")); running || err != nil {
		t.Errorf("it sleeps: %v %v", running, err)
	}
	fields[36] = "x"
	for _, bad := range []string{"", "12 (x) R 1 2", "12 (x) " + strings.Join(fields, " ")} {
		if _, _, err := parseStat(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// cpusetCases needs two CPUs.
func cpusetCase(t *testing.T, s *shown, moving bool) harness.Case {
	t.Helper()
	for _, c := range s.bench(Config{Window: 400 * time.Millisecond}).Cpuset(harness.Extent{Burst: 1}) {
		if strings.Contains(c.Name, "/to=") == moving {
			return c
		}
	}
	t.Fatal("no such case")
	return harness.Case{}
}

// Threads are seen on the CPUs of their group alone, and soon on others when it
// is given others.
func TestCpuset(t *testing.T) {
	for name, moving := range map[string]bool{"stays": false, "moves": true} {
		t.Run(name, func(t *testing.T) {
			var s shown
			v := s.sampleOf(t, cpusetCase(t, &s, moving), nil)
			for _, err := range s.failed {
				t.Fatal(err)
			}
			if v["look-count"] < 2 || v["stray-count"] > 0 || v["outside-ns"] > 0 || v["achieved-ratio"] > 1.1 {
				t.Errorf("%v", v)
			}
			if moving != (v["migrate-ns"] > 0) {
				t.Errorf("it took %v to move", v["migrate-ns"])
			}
			j := s.judged(t)
			if j.Verdict == limits.Inaccurate || j.Counted != 1 {
				t.Errorf("%+v", j)
			}
			t.Logf("%s: %s, %v looks, moved in %v (%v for the write), others %v", j.Verdict, j.Got, v["look-count"], time.Duration(v["migrate-ns"]), time.Duration(v["change-write-ns"]), v["others-ratio"])
		})
	}
}

// Where the group may use another CPU behind the bench's back, its threads are
// seen elsewhere, and the limit is seen to be another.
func TestCpusetChanged(t *testing.T) {
	var s shown
	v := s.sampleOf(t, cpusetCase(t, &s, false), func(g *ground) {
		cpus, err := allowed()
		if err != nil {
			t.Fatal(err)
		}
		dir := g.groups[0].Dir("cpuset")
		if dir == "" {
			dir = g.groups[0].Dir("v2")
		}
		if err := os.WriteFile(dir+"/cpuset.cpus", []byte(strconv.Itoa(cpus[len(cpus)-1])), 0); err != nil {
			t.Fatal(err)
		}
	})
	if j := s.judged(t); v["stray-count"] == 0 || j.Verdict != limits.NotJudged || !strings.Contains(j.Why, "something else has changed") {
		t.Errorf("%v, %+v", v, j)
	}
}
