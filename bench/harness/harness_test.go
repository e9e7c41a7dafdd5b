package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"isoperf/bench/sample"
)

// log is a Recorder, a clock and samplers that write down what happened.
type log struct {
	lines  []string
	now    time.Time
	broken error // of Sample
}

func (l *log) add(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *log) Sample(name string, v []sample.Value) error {
	l.add("sample %s %v", name, v[0].Value)
	return l.broken
}
func (l *log) Failed(name, why string) error { l.add("failed %s: %s", name, why); return nil }
func (l *log) NotMeasured(name, why string) error {
	l.add("not measured %s: %s", name, why)
	return nil
}

func (l *log) harness() *Harness {
	return &Harness{Out: l, Clock: Clock{
		Now: func() time.Time { return l.now },
		Sleep: func(d time.Duration) {
			if d != Settle && d != Between { // which have nothing to do with the order of things
				l.now = l.now.Add(d)
				l.add("sleep %v", d)
			}
		},
	}}
}

// script is a sampler that gives 1, 2, 3, …, each taking a millisecond, and
// fails where it is told to.
type script struct {
	l      *log
	name   string
	count  int
	failAt int // 0: never; -1: always
	value  func(int) float64
}

func (s *script) Sample(n int, emit func([]sample.Value, error)) {
	s.l.add("%s x%d", s.name, n)
	for range n {
		s.count++
		s.l.now = s.l.now.Add(time.Millisecond)
		if s.failAt == -1 || s.count == s.failAt {
			emit(nil, errors.New("EPERM"))
			continue
		}
		v := float64(s.count)
		if s.value != nil {
			v = s.value(s.count)
		}
		emit([]sample.Value{{Unit: "a-ns", Value: v}}, nil)
	}
}

func (s *script) Close() error { s.l.add("close %s", s.name); return nil }

func (l *log) scripted(name string, samples int) Case {
	return Case{Name: name, Samples: samples, Run: 2, Open: func() (Sampler, error) { return &script{l: l, name: name}, nil }}
}

// visits are the log's lines that are not samples.
func (l *log) visits() string {
	var v []string
	for _, line := range l.lines {
		if !strings.HasPrefix(line, "sample ") {
			v = append(v, line)
		}
	}
	return strings.Join(v, ", ")
}

func (l *log) samples(name string) int {
	n := 0
	for _, line := range l.lines {
		if strings.HasPrefix(line, "sample "+name+" ") {
			n++
		}
	}
	return n
}

// Rounds go forwards and backwards; a burst run begins with
// operations that are not recorded.
func TestInterleaving(t *testing.T) {
	l := &log{}
	tally, err := l.harness().Run(t.Context(), []Case{l.scripted("A", 4), l.scripted("B", 4), l.scripted("C", 2)}, Options{})
	if err != nil || tally != (Tally{Samples: 10, Why: "done"}) {
		t.Fatalf("%+v, %v", tally, err)
	}
	want := "A x2, A x2, B x2, B x2, C x2, C x2, B x2, B x2, A x2, A x2, close A, close B, close C"
	if got := l.visits(); got != want {
		t.Errorf("visits:\n got %s\nwant %s", got, want)
	}
	if !slices.Contains(l.lines, "sample A 3") || slices.Contains(l.lines, "sample A 2") {
		t.Errorf("the first operations of a run count: %v", l.lines)
	}
}

// Between two paced operations, whatever their case, lies the whole gap.
func TestPacing(t *testing.T) {
	l := &log{}
	a, b := l.scripted("A", 2), l.scripted("B", 2)
	a.Paced, a.Run, b.Paced, b.Run = true, 0, true, 0
	if _, err := l.harness().Run(t.Context(), []Case{a, b}, Options{}); err != nil {
		t.Fatal(err)
	}
	var operations int
	for i, line := range l.lines {
		if strings.HasSuffix(line, " x1") {
			operations++
			if operations > 1 && l.lines[i-1] != "sleep 50ms" {
				t.Errorf("before operation %d: %q", operations, l.lines[i-1])
			}
		}
	}
	if operations != 6 || l.samples("A") != 2 || l.samples("B") != 2 {
		t.Errorf("%d operations, %v", operations, l.lines)
	}
}

// After a run that drops network namespaces, the next one waits for them.
func TestDrained(t *testing.T) {
	l := &log{}
	h := l.harness()
	h.Drain = func() error { l.add("drain"); return nil }
	a, b := l.scripted("A", 2), l.scripted("B", 2)
	a.Drops = true
	if _, err := h.Run(t.Context(), []Case{a, b, l.scripted("C", 2)}, Options{}); err != nil {
		t.Fatal(err)
	}
	if got, want := l.visits(), "A x2, A x2, drain, B x2, B x2, C x2, C x2, close A, close B, close C"; got != want {
		t.Errorf("visits:\n got %s\nwant %s", got, want)
	}
}

// A case with ballast is open only while it is visited.
func TestBallast(t *testing.T) {
	l := &log{}
	a := l.scripted("A", 4)
	a.Ballast = true
	if _, err := l.harness().Run(t.Context(), []Case{a, l.scripted("B", 2)}, Options{}); err != nil {
		t.Fatal(err)
	}
	if got, want := l.visits(), "A x2, A x2, close A, B x2, B x2, A x2, A x2, close A, close B"; got != want {
		t.Errorf("visits:\n got %s\nwant %s", got, want)
	}
}

// Failures are recorded without a time and counted apart; a case that only
// fails is given up.
func TestFailures(t *testing.T) {
	l := &log{}
	a, b := l.scripted("A", 4), l.scripted("B", 1000)
	a.Open = func() (Sampler, error) { return &script{l: l, name: "A", failAt: 7}, nil }
	b.Open = func() (Sampler, error) { return &script{l: l, name: "B", failAt: -1}, nil }
	c := l.scripted("C", 4)
	c.Open = func() (Sampler, error) { return nil, NotMeasured{"no such kernel"} }
	d := l.scripted("D", 4)
	d.Ballast = true
	d.Open = func() (Sampler, error) { return nil, errors.New("no memory") }
	tally, err := l.harness().Run(t.Context(), []Case{a, b, c, d}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if tally.Samples != 3 || tally.NotMeasured != 2 || tally.Failures < mostFailures || tally.Failures > mostFailures+4 {
		t.Errorf("%+v", tally)
	}
	for _, want := range []string{"failed A: EPERM", "failed B: EPERM", "not measured C: no such kernel", "not measured D: no memory"} {
		if !slices.Contains(l.lines, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// With a precision, a tight case stops at its samples and a wide one goes on.
func TestPrecision(t *testing.T) {
	l := &log{}
	tight, wide := l.scripted("tight", 10), l.scripted("wide", 10)
	tight.Open = func() (Sampler, error) {
		return &script{l: l, name: "tight", value: func(int) float64 { return 100 }}, nil
	}
	wide.Open = func() (Sampler, error) {
		return &script{l: l, name: "wide", value: func(i int) float64 { return float64(100 * (i%7 + 1)) }}, nil
	}
	if _, err := l.harness().Run(t.Context(), []Case{tight, wide}, Options{Precision: 0.05, Most: 3}); err != nil {
		t.Fatal(err)
	}
	if l.samples("tight") != 10 || l.samples("wide") != 30 {
		t.Errorf("tight %d, wide %d samples, want 10 and 30", l.samples("tight"), l.samples("wide"))
	}
}

// A run ends between two visits, closes everything, and says why.
func TestEnds(t *testing.T) {
	t.Run("time", func(t *testing.T) {
		l := &log{}
		tally, err := l.harness().Run(t.Context(), []Case{l.scripted("A", 100)}, Options{Time: 11 * time.Millisecond})
		if err != nil || tally.Why != "the time was up" || tally.Samples != 6 || l.lines[len(l.lines)-1] != "close A" {
			t.Errorf("%+v, %v, %v", tally, err, l.lines)
		}
	})
	t.Run("time, with all samples", func(t *testing.T) {
		l := &log{}
		wide := l.scripted("wide", 10)
		tally, err := l.harness().Run(t.Context(), []Case{wide}, Options{Precision: 0.001, Most: 100, Time: 60 * time.Millisecond})
		if err != nil || tally.Why != "done" || tally.Samples < 10 || tally.Samples > 100 {
			t.Errorf("%+v, %v", tally, err)
		}
	})
	t.Run("interrupt", func(t *testing.T) {
		l := &log{}
		ctx, cancel := context.WithCancel(t.Context())
		h := l.harness()
		h.Progress = func(s State) {
			if s.Done >= 4 {
				cancel()
			}
		}
		tally, err := h.Run(ctx, []Case{l.scripted("A", 100)}, Options{})
		if err != nil || tally.Why != "interrupted" || tally.Samples != 6 || l.lines[len(l.lines)-1] != "close A" {
			t.Errorf("%+v, %v, %v", tally, err, l.lines)
		}
	})
	t.Run("drain fails", func(t *testing.T) {
		l := &log{}
		h := l.harness()
		h.Drain = func() error { return errors.New("stuck") }
		a := l.scripted("A", 4)
		a.Drops = true
		tally, err := h.Run(t.Context(), []Case{a}, Options{})
		if err == nil || !strings.Contains(tally.Why, "failed: ") || !strings.Contains(tally.Why, "stuck") {
			t.Errorf("%+v, %v", tally, err)
		}
	})
	t.Run("full disk", func(t *testing.T) {
		l := &log{broken: errors.New("no space left")}
		_, err := l.harness().Run(t.Context(), []Case{l.scripted("A", 100)}, Options{})
		if err == nil || !strings.Contains(err.Error(), "no space left") || l.samples("A") > 2 || l.lines[len(l.lines)-1] != "close A" {
			t.Errorf("%v, %v", err, l.lines)
		}
	})
}

// The first look comes once, after the first burst round.
func TestFirstLook(t *testing.T) {
	l := &log{}
	h := l.harness()
	var looks []int
	h.Progress = func(s State) {
		if s.FirstLook {
			looks = append(looks, s.Done)
		}
	}
	paced := l.scripted("P", 2)
	paced.Paced = true
	if _, err := h.Run(t.Context(), []Case{l.scripted("A", 4), l.scripted("B", 4), paced}, Options{}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(looks, []int{4}) {
		t.Errorf("looks at %v samples, want [4]", looks)
	}
}
