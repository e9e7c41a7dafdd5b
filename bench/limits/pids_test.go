package limits

import (
	"fmt"
	"testing"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

// A limit of tasks is exact: one by one, when 64 processes race for it, in a
// group above, when it is lowered, and when a process is moved in. The figures
// that say so agree with each other, and nothing is left behind.
func TestPidsMax(t *testing.T) {
	for _, c := range []PidsCell{{32, "fill"}, {100, "storm"}, {32, "nested"}, {48, "lowered"}, {32, "attach"}, {500, "fill"}} {
		t.Run(fmt.Sprint(c.Kind, c.Max), func(t *testing.T) {
			var got taken
			b := collect(&got)
			got.take(t, b.pidsCases(harness.Extent{}, []PidsCell{c}, b.samplePids)[0])
			t.Logf("%v %v", got.values, got.checked)
			v := got.values
			got.kept(t)
			if v["refused-count"] < 2 {
				t.Errorf("%v forks were refused: the limit was not tried", v["refused-count"])
			}
			if v["left-count"] != 0 {
				t.Errorf("%v tasks are left", v["left-count"])
			}
			if v["events-count"]+v["owner-events-count"] < v["refused-count"] {
				t.Errorf("%v and %v refusals are counted of %v", v["events-count"], v["owner-events-count"], v["refused-count"])
			}
			switch c.Kind {
			case "lowered":
				if v["alive-count"] != 8 || v["accepted-count"] != 8 || v["full-count"] != v["limit-count"]+4 {
					t.Errorf("of 8 children %v live; %v tasks", v["alive-count"], v["full-count"])
				}
				return
			case "attach":
				if v["attached-count"] != 0 {
					t.Errorf("after a process was moved in, the count is off by %v", v["attached-count"])
				}
			case "storm":
				if v["accepted-count"] <= v["limit-count"]-v["inside-count"] || v["refused-count"] < stormWidth {
					t.Errorf("no storm: %v", v)
				}
			}
			if v["overshoot-count"] != 0 || v["together-count"] > v["limit-count"] || v["peak-count"] > v["limit-count"] {
				t.Errorf("overshoot: %v", v)
			}
			if c.Kind != "storm" && (v["full-count"] != v["limit-count"] || v["inside-count"]+v["accepted-count"] != v["limit-count"] || v["listed-count"] != v["limit-count"]) {
				t.Errorf("the limit is not reached exactly: %v", v)
			}
		})
	}
}

// What lies about a limit of tasks is doubted.
func TestPidsLies(t *testing.T) {
	for _, lie := range []struct {
		name, doubt string
		tell        func(t *testing.T, s *pidsSample)
	}{
		{"load outside", "is not in the group", func(t *testing.T, s *pidsSample) {
			write(t, pidsOf(elsewhere(t, s.ground)).dir+"/cgroup.procs", int(s.worker.board.Slots[1].Tid.Load()))
		}},
		{"raised", "is in force", func(t *testing.T, s *pidsSample) {
			write(t, s.place.dir+"/pids.max", 40)
		}},
		{"raised and restored", "for a while", func(t *testing.T, s *pidsSample) {
			looks := 0
			s.halfway = func() error {
				switch looks++; looks {
				case 1:
					write(t, s.place.dir+"/pids.max", 40)
				case 3:
					write(t, s.place.dir+"/pids.max", 32)
				}
				return nil
			}
		}},
		{"another process", "none of the load's", func(t *testing.T, s *pidsSample) {
			w, err := s.ground.start(s.group, s.worker.spec)
			if err != nil {
				t.Fatal(err)
			}
			s.ground.onClose(w.close)
		}},
	} {
		t.Run(lie.name, func(t *testing.T) {
			var got taken
			b := collect(&got)
			got.take(t, b.pidsCases(harness.Extent{}, []PidsCell{{32, "fill"}}, func(s *pidsSample) ([]sample.Value, error) {
				lie.tell(t, s)
				return b.samplePids(s)
			})[0])
			got.caught(t, lie.doubt)
		})
	}
}

func TestPidsCellCheck(t *testing.T) {
	for _, c := range []PidsCell{{32, "storm"}, {3, "fill"}, {1 << 20, "fill"}, {32, "bomb"}} {
		if err := c.Check(); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
