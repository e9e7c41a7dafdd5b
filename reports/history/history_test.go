package history

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"isoperf/bench/sample"
	"isoperf/reports/compare"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden texts anew")

// world is a made-up history: by how much each case is slower in a run.
type world struct {
	runs   int
	cases  []string
	slower func(run int, name string) float64 // 1: as ever; 0: it is not there
	kernel func(run int) string
	rate   bool // a unit of which more is better
	perRun int  // runs of a commit; 0: one
}

func asEver(int, string) float64 { return 1 }

// from is slower by a factor from a run on, where the name begins so.
func from(run int, prefix string, factor float64) func(int, string) float64 {
	return func(i int, name string) float64 {
		if i >= run && strings.HasPrefix(name, prefix) {
			return factor
		}
		return 1
	}
}

var starts = []string{"Startup/runtime=a", "Startup/runtime=b", "Startup/runtime=c"}

func (w world) make(t *testing.T) []Run {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, uint64(w.runs)))
	if w.cases == nil {
		w.cases = starts
	}
	var runs []Run
	for i := range w.runs {
		kernel := "6.18"
		if w.kernel != nil {
			kernel = w.kernel(i)
		}
		var b strings.Builder
		unit, better := "ready-ns", "lower"
		if w.rate {
			unit, better = "sent-B/s", "higher"
		}
		fmt.Fprintf(&b, "goos: linux\nkernel: %s\nhost: here\n# isoperf {\"version\":\"test\"}\nUnit %s better=%s\n", kernel, unit, better)
		for _, name := range append(slices.Clone(w.cases), "Control/what=clock", "Control/what=compute") {
			factor := w.slower(i, name)
			if factor == 0 {
				continue
			}
			level := 1e6 * factor * math.Exp(0.008*rng.NormFloat64())
			u := unit
			if strings.HasPrefix(name, "Control/") {
				u = "call-ns"
			}
			for range 6 {
				fmt.Fprintf(&b, "Benchmark%s 1 %.0f %s\n", name, level*math.Exp(0.003*rng.NormFloat64()), u)
			}
		}
		b.WriteString("# end {\"why\":\"done\"}\n")
		f, err := sample.Read(fmt.Sprintf("%d.txt", i), strings.NewReader(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		day := i / max(1, w.perRun)
		runs = append(runs, Run{Name: f.Path, Commit: fmt.Sprintf("c%06d", day), Time: time.Date(2026, 1, 1+day, 0, 0, 0, 0, time.UTC), File: f})
	}
	return runs
}

func of(t *testing.T, w world, o Options) History {
	t.Helper()
	return Of(w.make(t), o)
}

func TestVerdicts(t *testing.T) {
	old := func(kernel string, until int) func(int) string {
		return func(i int) string {
			if i < until {
				return kernel
			}
			return "6.18"
		}
	}
	for name, c := range map[string]struct {
		w       world
		o       Options
		verdict compare.Verdict
		says    string // in what is printed
	}{
		"nothing": {world{runs: 30, slower: asEver}, Options{}, compare.Same, "OK  3 cases, none is slower since c000000."},
		"slower": {world{runs: 30, slower: from(17, "Startup/runtime=b", 1.05)}, Options{}, compare.Slower,
			"FAIL  slower since c000017: Startup/runtime=b +"},
		"two commits": {world{runs: 40, slower: func(i int, n string) float64 {
			return from(12, "Startup/runtime=a", 1.06)(i, n) * from(25, "Startup/runtime=c", 1.12)(i, n)
		}}, Options{}, compare.Slower, "FAIL  slower since c000025: Startup/runtime=c +1"},
		"no longer": {world{runs: 40, slower: func(i int, n string) float64 {
			return from(12, "Startup/runtime=a", 1.1)(i, n) * from(25, "Startup/runtime=a", 1/1.1)(i, n)
		}}, Options{}, compare.Same, "slower, no longer"},
		"partly no longer": {world{runs: 40, slower: func(i int, n string) float64 {
			return from(12, "Startup/runtime=a", 1.2)(i, n) * from(25, "Startup/runtime=a", 1/1.1)(i, n)
		}}, Options{}, compare.Slower, "FAIL  slower since c000012"},
		"accepted":                             {world{runs: 30, slower: from(17, "Startup/runtime=b", 1.05)}, Options{Since: "c000017"}, compare.Same, "slower, accepted"},
		"not accepted yet":                     {world{runs: 30, slower: from(17, "Startup/runtime=b", 1.05)}, Options{Since: "c000016"}, compare.Slower, "since c000017"},
		"faster":                               {world{runs: 30, slower: from(17, "Startup/runtime=b", 0.9)}, Options{}, compare.Faster, "OK  1 of 3 got faster, none is slower"},
		"within the floor":                     {world{runs: 30, slower: from(17, "Startup/runtime=b", 1.05)}, Options{Floor: 0.1}, compare.Same, "OK  3 cases"},
		"a rate falls":                         {world{runs: 30, rate: true, slower: from(17, "Startup/runtime=b", 0.9)}, Options{}, compare.Slower, "since c000017"},
		"a rate rises":                         {world{runs: 30, rate: true, slower: from(17, "Startup/runtime=b", 1.1)}, Options{}, compare.Faster, "got faster"},
		"the machine":                          {world{runs: 30, slower: from(17, "", 1.06)}, Options{}, compare.CannotTell, "the machine changed (the clock +"},
		"a control that stays does not excuse": {world{runs: 30, slower: from(17, "Startup", 1.06)}, Options{}, compare.Slower, " and 2 more."},
		"most move together":                   {world{runs: 30, slower: from(17, "Startup", 1.06), cases: many(9)}, Options{}, compare.CannotTell, "9 of 9 cases moved together"},
		"too few":                              {world{runs: 5, slower: asEver}, Options{}, compare.CannotTell, "CANNOT TELL  3 of 3 may be slower or not: needs about 3 runs more."},
		"the newest run is far off":            {world{runs: 30, slower: from(29, "Startup/runtime=b", 1.2)}, Options{}, compare.CannotTell, "it may be worse since c000029."},
		"a stray is not": {world{runs: 30, slower: func(i int, n string) float64 {
			if i == 15 && n == starts[1] {
				return 1.4
			}
			return 1
		}}, Options{}, compare.Same, "OK  3 cases"},
		"a case comes": {world{runs: 30, slower: func(i int, n string) float64 {
			if i < 26 && n == starts[1] {
				return 0
			}
			return 1
		}}, Options{}, compare.Same, "first measured at c000026."},
		"a case goes": {world{runs: 30, slower: func(i int, n string) float64 {
			if i > 26 && n == starts[1] {
				return 0
			}
			return 1
		}}, Options{}, compare.Same, "last measured at c000026."},
		"another kernel": {world{runs: 40, kernel: old("6.1", 20), slower: func(i int, n string) float64 {
			return from(10, "Startup/runtime=a", 1.1)(i, n) * from(20, "", 1.3)(i, n)
		}}, Options{}, compare.Same, "slower, on a machine of the past"},
		"a kernel that is ignored": {world{runs: 40, kernel: old("6.1", 20), slower: from(10, "Startup/runtime=a", 1.1)}, Options{Ignore: []string{"kernel"}}, compare.Slower, "since c000010"},
		"only what is asked for":   {world{runs: 30, slower: from(17, "Startup/runtime=b", 1.05)}, Options{Match: func(n string) bool { return n == starts[0] }}, compare.Same, "OK  1 case"},
	} {
		t.Run(name, func(t *testing.T) {
			h := of(t, c.w, c.o)
			var b bytes.Buffer
			if err := Write(&b, h, Printing{Width: 1000}); err != nil {
				t.Fatal(err)
			}
			if h.Verdict != c.verdict || !strings.Contains(b.String(), c.says) {
				t.Errorf("verdict %q, want %q and %q in\n%s", h.Verdict, c.verdict, c.says, b.String())
			}
		})
	}
}

func many(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("Startup/runtime=r%d", i))
	}
	return list
}

// TestRunsOfACommit: a level begins where the commit changes, and nowhere within
// the runs of one.
func TestRunsOfACommit(t *testing.T) {
	h := of(t, world{runs: 45, perRun: 3, slower: from(25, starts[0], 1.08)}, Options{}) // the second run of commit 8
	f := h.newest()
	if p := f.Point; p%3 != 0 || f.Commit != "c000008" && f.Commit != "c000009" {
		t.Errorf("the change is at run %d, commit %s", p, f.Commit)
	}
}

// TestNoise: two runs of a case that does not change are within the noise, and the
// noise of another environment is not known.
func TestNoise(t *testing.T) {
	w := world{runs: 40, slower: from(17, starts[1], 1.3)}
	h := of(t, w, Options{})
	noise, runs := h.Noise(h.Runs[0].File.Config)
	if len(noise) != len(starts) || runs != w.runs {
		t.Fatalf("noise of %d cases in %d runs", len(noise), runs)
	}
	for key, v := range noise { // runs scatter by 0.8 %
		if v < 0.02 || v > 0.08 {
			t.Errorf("%s: noise %g", key, v)
		}
	}
	if noise, _ := h.Noise([]sample.Pair{{Key: "kernel", Value: "5.10"}}); len(noise) != 0 {
		t.Errorf("noise of another kernel: %v", noise)
	}
}

// TestOutputs compares what is written with golden files.
func TestOutputs(t *testing.T) {
	h := of(t, world{runs: 40, slower: func(i int, n string) float64 {
		return from(12, starts[0], 1.06)(i, n) * from(25, starts[2], 1.12)(i, n)
	}}, Options{})
	h.Notes = append(h.Notes, "a <note>\nof two lines")
	for name, write := range map[string]func(*bytes.Buffer) error{
		"history.txt":  func(b *bytes.Buffer) error { return Write(b, h, Printing{}) },
		"verbose.txt":  func(b *bytes.Buffer) error { return Write(b, h, Printing{Verbose: true}) },
		"history.md":   func(b *bytes.Buffer) error { return Markdown(b, h, 0) },
		"history.json": func(b *bytes.Buffer) error { return JSON(b, h, 1) },
		"history.csv":  func(b *bytes.Buffer) error { return CSV(b, h) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got; -update writes it anew):\n%s", name, diff)
		}
	}
}

// TestHostileNames: control characters of a name reach no terminal, JSON stays
// JSON, and Markdown fits.
func TestHostileNames(t *testing.T) {
	var cases []string
	for i := range 400 {
		cases = append(cases, fmt.Sprintf("Startup/x=%d|<b>`[@someone](x)%s", i, strings.Repeat("y", 200)))
	}
	h := of(t, world{runs: 12, cases: cases, slower: asEver}, Options{})
	h.Runs[0].Commit = "a\x1b[31m|b"
	var b bytes.Buffer
	if err := Markdown(&b, h, 0); err != nil {
		t.Fatal(err)
	}
	if b.Len() > compare.CommentLimit {
		t.Errorf("%d bytes of Markdown", b.Len())
	}
	b.Reset()
	if err := Write(&b, h, Printing{Verbose: true}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("an escape sequence is printed")
	}
	b.Reset()
	if err := JSON(&b, h, 0); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b.Bytes()) {
		t.Error("the JSON is none")
	}
}

// TestNothing: a history without runs, and one without cases.
func TestNothing(t *testing.T) {
	for _, h := range []History{Of(nil, Options{}), of(t, world{runs: 9, slower: asEver}, Options{Match: func(string) bool { return false }})} {
		var b bytes.Buffer
		if err := Write(&b, h, Printing{}); err != nil {
			t.Fatal(err)
		}
		if h.Verdict != compare.CannotTell || !strings.HasPrefix(b.String(), "CANNOT TELL") {
			t.Errorf("%s: %s", h.Verdict, b.String())
		}
	}
}

// TestManyRuns: a long history of many cases takes no more than it may.
func TestManyRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var logs []float64
	var starts []bool
	for i := range mostRuns {
		logs, starts = append(logs, 0.01*rng.NormFloat64()), append(starts, true)
		if i >= 300 {
			logs[i] += 0.03
		}
	}
	if at := newTrack(logs, starts).strict(usualRules()); !slices.Equal(at, []int{300}) {
		t.Errorf("change points %v, want 300", at)
	}
}

func BenchmarkTrack(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	var logs []float64
	var starts []bool
	for i := range mostRuns {
		logs, starts = append(logs, 0.01*rng.NormFloat64()+0.03*float64(i/60)), append(starts, true)
	}
	for b.Loop() {
		newTrack(logs, starts).strict(usualRules())
	}
}
