package limits

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/reports/limits"
	"isoperf/workloads/load"
)

// shown is what a case gave, as a file.
type shown struct {
	file   sample.File
	failed []error
}

// bench is a bench that writes into the file.
func (s *shown) bench(c Config) *Bench {
	c.Trusted = true
	c.Checked = func(k sample.Checked) error { s.file.Checked = append(s.file.Checked, k); return nil }
	c.Series = func(x sample.Series) error { s.file.Series = append(s.file.Series, x); return nil }
	return New(c)
}

// sampleOf takes one sample, and has meddle do what it likes once all is ready.
func (s *shown) sampleOf(t *testing.T, c harness.Case, meddle func(*ground)) map[string]float64 {
	t.Helper()
	sampler, err := c.Open()
	var not harness.NotMeasured
	if errors.As(err, &not) {
		if os.Getenv("ISOPERF_MUST_RUN") == "1" {
			t.Fatalf("must run, but: %v", err)
		}
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sampler.Close(); err != nil {
			t.Error(err)
		}
	}()
	if meddle != nil {
		meddle(groundOf(t, sampler))
	}
	into := s.file.Case(c.Name)
	if into == nil {
		into = &sample.Case{Name: c.Name, Values: map[string][]float64{}}
		s.file.Cases = append(s.file.Cases, into)
	}
	last := map[string]float64{}
	sampler.Sample(1, func(values []sample.Value, err error) {
		if err != nil {
			s.failed = append(s.failed, err)
			into.Failures = append(into.Failures, err.Error())
		}
		for _, v := range values {
			if len(into.Values[v.Unit]) == 0 {
				into.Units = append(into.Units, v.Unit)
			}
			into.Values[v.Unit] = append(into.Values[v.Unit], v.Value)
			last[v.Unit] = v.Value
		}
	})
	return last
}

func groundOf(t *testing.T, s harness.Sampler) *ground {
	t.Helper()
	one, ok := s.(*sampler)
	if !ok {
		t.Fatalf("a sampler is a %T", s)
	}
	return one.ground
}

// judged is what is said of the only case.
func (s *shown) judged(t *testing.T) limits.Judgement {
	t.Helper()
	list := limits.Judge(&s.file, limits.Options{})
	if len(list) != 1 {
		t.Fatalf("%d judgements: %+v", len(list), list)
	}
	return list[0]
}

func caseNamed(t *testing.T, list []harness.Case, name string) harness.Case {
	t.Helper()
	var names []string
	for _, c := range list {
		if c.Name == name {
			return c
		}
		names = append(names, c.Name)
	}
	t.Fatalf("no case %q; there are %s", name, strings.Join(names, ", "))
	return harness.Case{}
}

func TestParseWeights(t *testing.T) {
	for text, want := range map[string]string{
		"100:200":              "1=100 2=200",
		"50:100:150":           "1=50 2=100 3=150",
		"1000:1000(5000:5000)": "1=1000 2.1=5000 2.2=5000",
		"1(2(3:4):5):6":        "1.1.1=3 1.1.2=4 1.2=5 2=6",
		"":                     "", "100": "", "100:": "", "0:1": "", "10001:1": "", "100:200(": "", "100:200)": "", "a:b": "", "1:2(3": "", "1::2": "", "-1:2": "",
		"99999999999999999999:1": "",
	} {
		root, err := parseWeights(text)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "100:200") {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []string
		for _, l := range root.leaves() {
			got = append(got, fmt.Sprintf("%s=%d", l.name, l.weight))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// Who is entitled to what: by weight, no more than is wanted, and nothing is
// left while somebody wants it.
func TestEntitle(t *testing.T) {
	for _, c := range []struct {
		weights string
		threads []int
		cpus    int
		want    []float64
		shape   string
	}{
		{"100:300", nil, 2, []float64{0.5, 1.5}, shapeShared},
		{"50:100:150", nil, 4, []float64{4. / 6, 4. / 3, 2}, shapeShared},
		{"1000:1000(5000:5000)", nil, 2, []float64{1, 0.5, 0.5}, shapeShared},
		{"100:200(100:300)", nil, 3, []float64{1, 0.5, 1.5}, shapeShared},
		{"100:200", []int{0, 2}, 2, []float64{0, 2}, shapeIdle},
		{"100:300", []int{1, 1}, 2, []float64{1, 1}, shapeFew},
		{"100:100:100", []int{1, 4, 4}, 4, []float64{1, 1.5, 1.5}, shapeShared},
		{"100:300", []int{4, 1}, 4, []float64{3, 1}, shapeShared},
		{"100:100(100:100)", []int{4, 0, 1}, 4, []float64{3, 0, 1}, shapeIdle},
	} {
		root, err := WeightCell{Weights: c.weights, Threads: c.threads}.tree(c.cpus)
		if err != nil {
			t.Errorf("%s: %v", c.weights, err)
			continue
		}
		for i, l := range root.leaves() {
			if math.Abs(l.entitled-c.want[i]) > 0.001 {
				t.Errorf("%s %v: group %s is entitled to %v, not %v", c.weights, c.threads, l.name, l.entitled, c.want[i])
			}
		}
		if got := root.shape(c.cpus); got != c.shape {
			t.Errorf("%s %v: %s", c.weights, c.threads, got)
		}
	}
	for _, bad := range []WeightCell{{Weights: "1:2", Threads: []int{1}}, {Weights: "1:2", Threads: []int{-1, 1}}, {Weights: "1:2", Threads: []int{1, 1000}}} {
		if _, err := bad.tree(2); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// The kernel counts with 1024 for 100, rounded: the same in both versions.
func TestSchedulerWeight(t *testing.T) {
	for weight, want := range map[uint64]uint64{1: 10, 50: 512, 100: 1024, 150: 1536, 300: 3072, 33: 338, 10000: 102400} {
		if got := (&share{weight: weight}).scheduler(); got != want {
			t.Errorf("%d: %d, not %d", weight, got, want)
		}
	}
}

func TestDivision(t *testing.T) {
	d := division{got: []float64{0.4, 1.6}, entitled: []float64{0.5, 1.5}}
	if p := d.points(); math.Abs(p[0]+0.05) > 1e-9 || math.Abs(p[1]-0.05) > 1e-9 {
		t.Errorf("points %v", p)
	}
	if r := worst(d.relative()); math.Abs(r+0.2) > 1e-9 {
		t.Errorf("relative %v", r)
	}
	if f := (division{got: []float64{1, 2}, entitled: []float64{1, 2}}).fairness(); math.Abs(f-1) > 1e-9 {
		t.Errorf("fairness %v of what is fair", f)
	}
	if f := (division{got: []float64{3, 0}, entitled: []float64{1, 2}}).fairness(); math.Abs(f-0.5) > 1e-9 {
		t.Errorf("fairness %v when one of two took all", f)
	}
	idle := division{got: []float64{0, 2}, entitled: []float64{0, 2}}
	if f, r := idle.fairness(), idle.relative(); math.Abs(f-1) > 1e-9 || len(r) != 1 {
		t.Errorf("an idle group counts: %v %v", f, r)
	}
	if p := (division{got: []float64{0, 0}, entitled: []float64{1, 1}}).points(); p[0] != 0 {
		t.Errorf("nothing got: %v", p)
	}
}

// weightBench has the case of two groups, one to three.
func weightCaseOf(t *testing.T, s *shown, c WeightCell, window time.Duration) harness.Case {
	t.Helper()
	m, err := readMachine()
	if err != nil {
		t.Fatal(err)
	}
	return s.bench(Config{Window: window}).weightCase(c, harness.Extent{Burst: 1}, m, nil)
}

// Groups get CPU time by their weights. The bound is wide: other programs run
// meanwhile, and then nothing is judged.
func TestWeights(t *testing.T) {
	for _, c := range []WeightCell{{Weights: "100:300"}, {Weights: "100:200(100:300)"}} {
		t.Run(c.Weights, func(t *testing.T) {
			var s shown
			v := s.sampleOf(t, weightCaseOf(t, &s, c, time.Second), nil)
			for _, err := range s.failed {
				t.Fatal(err)
			}
			j := s.judged(t)
			t.Logf("%s: %s, error %.2f, budget %.2f, %s %s", j.Verdict, j.Got, j.Error, j.Budget, j.Why, j.Note)
			if k := s.file.Checked; len(k) != 1 || k[0].Asked == "" || k[0].Asked != k[0].Read || len(k[0].Doubts) > 0 {
				t.Errorf("checked %+v", k)
			}
			if j.Unit != "points" || v["group1-achieved-ratio"] <= 0 {
				t.Errorf("%+v", j)
			}
			if j.Verdict == limits.Inaccurate && math.Abs(j.Error) > 15 {
				t.Errorf("a group is %.1f points off", j.Error)
			}
		})
	}
}

// The weights that are in force are those of the groups with the loads.
func TestWeightOfWrongGroup(t *testing.T) {
	var s shown
	s.sampleOf(t, weightCaseOf(t, &s, WeightCell{Weights: "100:300"}, 500*time.Millisecond), func(g *ground) {
		// The second group's weight goes to the one above both.
		for of, value := range map[int]uint64{0: 300, 2: 100} {
			where := placeOf(g.groups[of])
			file := where.cpu + "/cpu.weight"
			if !where.v2 {
				file, value = where.cpu+"/cpu.shares", (&share{weight: value}).scheduler()
			}
			if err := os.WriteFile(file, []byte(strconv.FormatUint(value, 10)), 0); err != nil {
				t.Fatal(err)
			}
		}
	})
	if j := s.judged(t); j.Verdict != limits.NotJudged || !strings.Contains(j.Why, "something else has changed") {
		t.Errorf("%+v", j)
	}
}

// A load that has left its group is noticed.
func TestWeightLeft(t *testing.T) {
	var s shown
	s.sampleOf(t, weightCaseOf(t, &s, WeightCell{Weights: "100:300"}, 500*time.Millisecond), func(g *ground) {
		if err := g.groups[1].Attach(g.workers[1].proc.Pid()); err != nil {
			t.Fatal(err)
		}
	})
	if j := s.judged(t); j.Verdict != limits.NotJudged || !strings.Contains(j.Why, "not in the group") {
		t.Errorf("%+v", j)
	}
}

// What others use makes it doubtful, whatever the shares are.
func TestWeightBesideOthers(t *testing.T) {
	var s shown
	c := weightCaseOf(t, &s, WeightCell{Weights: "100:300"}, time.Second)
	s.sampleOf(t, c, func(g *ground) { busyElsewhere(t, g) })
	if j := s.judged(t); j.Verdict != limits.NotJudged || !strings.Contains(j.Why, "others used") {
		t.Errorf("%+v", j)
	}
}

// busyElsewhere has a load use a CPU, in a group of its own.
func busyElsewhere(t *testing.T, g *ground) {
	t.Helper()
	other, err := g.group("other", nil, "cpu", "cpuacct")
	if err != nil {
		t.Fatal(err)
	}
	w, err := g.start(other, spinSpec())
	if err != nil {
		t.Fatal(err)
	}
	w.board.Go()
}

func spinSpec() load.Spec { return load.Spec{Kind: "spin", Threads: 1} }
