package limits

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/reports/limits"
	"isoperf/runtime/cgroup"
)

// judged measures a case, and gives what is said of it; why it could not be
// measured, else.
func judged(t *testing.T, cases func(*Bench) []harness.Case, part string) (j limits.Judgement, notMeasured string) {
	t.Helper()
	if h, err := cgroup.Detect(); err != nil || h == nil {
		skip(t, "there are no control groups here")
	}
	f := &sample.File{}
	b := New(Config{Context: t.Context(), Trusted: true, Window: 1500 * time.Millisecond,
		Checked: func(k sample.Checked) error { f.Checked = append(f.Checked, k); return nil }})
	all := cases(b)
	i := slices.IndexFunc(all, func(c harness.Case) bool { return strings.Contains(c.Name, part) })
	if i < 0 {
		t.Fatalf("no case has %q in its name", part)
	}
	s, err := all[i].Open()
	var not harness.NotMeasured
	if errors.As(err, &not) {
		return j, not.Why
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := &sample.Case{Name: all[i].Name, Values: map[string][]float64{}}
	s.Sample(1, func(values []sample.Value, err error) {
		if err != nil {
			t.Error(err)
		}
		for _, v := range values {
			c.Units, c.Values[v.Unit] = append(c.Units, v.Unit), append(c.Values[v.Unit], v.Value)
		}
	})
	f.Cases = []*sample.Case{c}
	list := limits.Judge(f, limits.Options{})
	if len(list) != 1 || c.N() != 1 {
		t.Fatalf("%d judgements of %d samples", len(list), c.N())
	}
	t.Logf("%s: %s %s %v", c.Name, list[0].Verdict, list[0].Why, list[0].Figures)
	return list[0], ""
}

// Every shape is measured for real, and none is found inaccurate; a busy machine
// may keep it from being judged.
func TestShapes(t *testing.T) {
	shapes := func(b *Bench) []harness.Case { return b.CPUShapes(harness.Extent{Burst: 1}) }
	for part, units := range map[string][]string{
		"period=10ms/threads=":   {"achieved-ratio", "unused-ratio"},
		"load=syscall":           {"achieved-ratio", "stall-ns"},
		"shape=two-children":     {"children-ratio", "child-most-ratio", "fairness-ratio"},
		"shape=larger-child":     {"children-ratio"},
		"shape=stress-two/quota": {"fairness-ratio", "accounted-ratio"},
		"shape=stress-ng/quota":  {"accounted-ratio"},
		"shape=beside/quota":     {"accounted-ratio", "others-ratio"},
	} {
		t.Run(part, func(t *testing.T) {
			j, not := judged(t, shapes, part)
			if not != "" {
				_, missing := exec.LookPath("stress")
				_, ng := exec.LookPath("stress-ng")
				switch {
				case ng != nil && strings.Contains(not, "no program stress-ng"):
					return
				case strings.Contains(part, "larger-child") && strings.Contains(not, "version 1 refuses"):
					return
				case strings.Contains(part, "stress") && missing != nil && strings.Contains(not, "no program stress"):
					return
				}
				skip(t, not)
			}
			if j.Verdict == limits.Inaccurate {
				t.Errorf("%s: %v", j.Why, j.Figures)
			}
			for _, unit := range units {
				if _, ok := j.Figures[unit]; !ok {
					t.Errorf("there is no %s in %v", unit, j.Figures)
				}
			}
		})
	}
}

func TestConverge(t *testing.T) {
	cases := func(b *Bench) []harness.Case { return b.CPUConverge(harness.Extent{Burst: 1}) }
	for _, part := range []string{"moved-in", "lowered"} {
		t.Run(part, func(t *testing.T) {
			j, not := judged(t, cases, part)
			if not != "" {
				skip(t, not)
			}
			if v := j.Figures; j.Verdict == limits.Inaccurate || v["converge-period-count"] < 1 || v["write-ns"] <= 0 {
				t.Errorf("%s: %v", j.Why, v)
			}
		})
	}
}

func TestBurst(t *testing.T) {
	j, not := judged(t, func(b *Bench) []harness.Case { return b.CPUBurst(harness.Extent{Burst: 1}) }, "CpuBurst")
	if not != "" {
		skip(t, not)
	}
	if v := j.Figures; j.Verdict == limits.Inaccurate || v["use-max-ratio"] <= 0 {
		t.Errorf("%s: %v", j.Why, v)
	}
}
