package limits

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/reports/limits"
)

func freezeCase(t *testing.T, s *shown, name string) harness.Case {
	t.Helper()
	return caseNamed(t, s.bench(Config{}).Freezing(harness.Extent{Burst: 1, Wide: true}), name)
}

// A frozen group stands still, goes on when it is thawed, and is empty after a
// kill.
func TestFreeze(t *testing.T) {
	for _, name := range []string{"Freeze/tasks=1/load=spin", "Freeze/tasks=10/load=sleep", "Freeze/tasks=10/load=spin"} {
		t.Run(name, func(t *testing.T) {
			var s shown
			v := s.sampleOf(t, freezeCase(t, &s, name), nil)
			for _, err := range s.failed {
				t.Fatal(err)
			}
			for _, unit := range []string{"freeze-ns", "freeze-write-ns", "thaw-ns", "first-run-ns", "all-run-ns", "kill-ns", "empty-ns", "thread-count"} {
				if v[unit] <= 0 {
					t.Errorf("%s is %v", unit, v[unit])
				}
			}
			if v["first-run-ns"] > v["all-run-ns"] || v["freeze-write-ns"] > v["freeze-ns"] {
				t.Errorf("out of order: %v", v)
			}
			j := s.judged(t)
			if j.Verdict != limits.Accurate || s.file.Checked[0].Asked != s.file.Checked[0].Read {
				t.Errorf("%+v, checked %+v", j, s.file.Checked)
			}
			t.Logf("freeze %v thaw %v first %v all %v kill %v empty %v, %v threads", time.Duration(v["freeze-ns"]), time.Duration(v["thaw-ns"]), time.Duration(v["first-run-ns"]), time.Duration(v["all-run-ns"]), time.Duration(v["kill-ns"]), time.Duration(v["empty-ns"]), v["thread-count"])
		})
	}
}

// A task that is in another group goes on while the group is frozen: it is seen
// to move, and nothing is said of the kernel.
func TestFreezeLeft(t *testing.T) {
	var s shown
	v := s.sampleOf(t, freezeCase(t, &s, "Freeze/tasks=10/load=sleep"), func(g *ground) {
		other, err := g.group("elsewhere", nil, "cpu", "freezer")
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Attach(g.workers[3].proc.Pid()); err != nil {
			t.Fatal(err)
		}
	})
	if v["moved-count"] < 1 && len(s.failed) == 0 {
		t.Errorf("nothing is seen to move: %v", v)
	}
	if j := s.judged(t); j.Verdict != limits.NotJudged || !strings.Contains(j.Why, "not in the group") && len(s.failed) == 0 {
		t.Errorf("%+v", j)
	}
}

// A measurement that is interrupted while the group is frozen leaves nothing.
func TestFreezeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var s shown
	c := caseNamed(t, s.bench(Config{Context: ctx}).Freezing(harness.Extent{Burst: 1}), "Freeze/tasks=1/load=spin")
	var dir string
	frozen := make(chan bool, 1)
	s.sampleOf(t, c, func(g *ground) {
		home := homeOf(g.groups[0], "freezer")
		dir = home.cpu
		file, word := dir+"/freezer.state", "FROZEN"
		if home.v2 {
			file, word = dir+"/cgroup.freeze", "1"
		}
		go func() {
			for range 5000 {
				if text, _ := os.ReadFile(file); strings.TrimSpace(string(text)) == word {
					frozen <- true
					cancel()
					return
				}
				time.Sleep(time.Millisecond)
			}
			frozen <- false
			cancel()
		}()
	})
	if !<-frozen {
		t.Error("it was never frozen")
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("group %q is left: %v", dir, err)
	}
	if len(s.file.Checked) > 0 {
		t.Errorf("it counts: %+v", s.file.Checked)
	}
}

// What is seen to move is not frozen, and who is left is not killed.
func TestJudgeFreeze(t *testing.T) {
	for _, c := range []struct {
		moved, left float64
		want        limits.Verdict
	}{{0, 0, limits.Accurate}, {1, 0, limits.Inaccurate}, {0, 2, limits.Inaccurate}} {
		name := "Freeze/tasks=10/load=spin"
		f := &sample.File{
			Cases: []*sample.Case{{Name: name, Units: []string{"moved-count", "left-count", "freeze-ns"}, Values: map[string][]float64{
				"moved-count": {c.moved}, "left-count": {c.left}, "freeze-ns": {1e6}}}},
			Checked: []sample.Checked{{Case: name, Limit: "cgroup.freeze"}},
		}
		if j := limits.Judge(f, limits.Options{})[0]; j.Verdict != c.want || j.Error != c.moved+c.left || (j.Why == "") != (c.want == limits.Accurate) {
			t.Errorf("%+v: %+v", c, j)
		}
	}
}
