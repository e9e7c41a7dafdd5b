package compare

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"isoperf/bench/sample"
	"isoperf/reports/export"
)

var quiet = lognormal(0.01)

// slower is a comparison in which one start of ten is 8 % slower, and one gone.
func slower(t *testing.T) Comparison {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	next := cases(map[string]float64{"Startup/runtime=r3": 1.08, "Startup/runtime=r5": 0.8})
	delete(next, "Startup/runtime=r7")
	return compared(t, rng, run{shape: quiet}, run{shape: quiet, medians: next}, Options{})
}

func TestVerdicts(t *testing.T) {
	c := slower(t)
	want := map[string]Verdict{"Startup/runtime=r3": Slower, "Startup/runtime=r5": Faster, "Startup/runtime=r7": Gone, "Startup/runtime=r1": Same}
	for _, r := range c.Rows {
		if v, ok := want[r.Case]; ok && r.Verdict != v {
			t.Errorf("%s is %q (%s), not %q", r.Case, r.Verdict, r.Why, v)
		}
	}
	for text, want := range map[string]string{c.Answer(): "FAIL  1 of 11 got slower: Startup/runtime=r3, +", c.Trust(): "false alarms of this comparison 0 of 300 (at most 1 %); machine unchanged (the clock"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	if c.Verdict != Slower {
		t.Errorf("the verdict is %q", c.Verdict)
	}
}

// Higher is better where the file says so.
func TestBetterIsHigher(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	lines := append(plain[:len(plain):len(plain)], "Unit ready-ns better=higher")
	old, next := run{shape: quiet, lines: lines}, run{shape: quiet, lines: lines, medians: cases(map[string]float64{"Startup/runtime=r3": 0.9})}
	if c := compared(t, rng, old, next, Options{}); c.Verdict != Slower || c.Count(Slower) != 1 {
		t.Errorf("10 %% less of what should be more: %s", c.Answer())
	}
	if c := compared(t, rng, next, old, Options{}); c.Verdict != Faster {
		t.Errorf("more of what should be more: %s", c.Answer())
	}
}

// What moves all, or the controls, is not the code.
func TestMachineVetoes(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	all := cases(nil)
	for i := range 6 {
		all[fmt.Sprintf("Startup/runtime=r%d", i)] *= 1.3
	}
	for what, c := range map[string]struct {
		next        run
		interleaved bool
		want        Verdict
		says        string
	}{
		"clock":         {run{medians: cases(map[string]float64{"Control/what=clock": 1.1})}, false, Apart, "the clock +"},
		"compute":       {run{medians: cases(map[string]float64{"Control/what=compute": 0.9})}, true, Apart, "a fixed computation -"},
		"null":          {run{medians: cases(map[string]float64{nullCase: 1.1})}, false, Apart, "the null case +"},
		"null in turns": {run{medians: cases(map[string]float64{nullCase: 1.1})}, true, Slower, "FAIL"},
		"most rows":     {run{medians: all}, false, Apart, "moved together"},
		"rows in turns": {run{medians: all}, true, Slower, "FAIL"},
		"kernel":        {run{lines: []string{"goos: linux", "kernel: 6.19"}}, false, Apart, "kernel (6.18, 6.19)"},
	} {
		c.next.shape = quiet
		r := compared(t, rng, run{shape: quiet}, c.next, Options{Interleaved: c.interleaved})
		if r.Verdict != c.want || !strings.Contains(r.Answer(), c.says) {
			t.Errorf("%s: %q: %s", what, r.Verdict, r.Answer())
		}
		if r.Verdict == Apart && r.Count(Slower)+r.Count(Same)+r.Count(Faster) > 0 {
			t.Errorf("%s: rows have a verdict although the machine changed", what)
		}
	}
}

// By host, the machines are what is compared: what is a machine's own may differ and
// its controls may move. What is no machine's still vetoes.
func TestHosts(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	slow := cases(nil)
	for name := range slow {
		slow[name] *= 1.3
	}
	host := func(name string, more ...string) []string {
		return append([]string{"goos: linux", "host: " + name, "# isoperf {\"version\":\"test\"}"}, more...)
	}
	for what, c := range map[string]struct {
		next run
		want Verdict
		says string
	}{
		"another host":   {run{lines: host("b", "kernel: 6.19", "privilege: root"), medians: slow}, Slower, "FAIL  11 of "},
		"one like it":    {run{lines: host("b", "kernel: 6.18", "privilege: root")}, Same, "OK  "},
		"as another one": {run{lines: host("b", "kernel: 6.18", "privilege: userns")}, Apart, "privilege (root, userns)"},
	} {
		c.next.shape = quiet
		base := run{shape: quiet, lines: host("a", "kernel: 6.18", "privilege: root")}
		columns, err := ByKey([]*sample.File{parsed(t, "a.txt", base.text(rng)), parsed(t, "b.txt", c.next.text(rng))}, "host")
		if err != nil {
			t.Fatal(err)
		}
		r := Compare(columns[0], columns[1], Options{})
		if r.Base != "a" || r.Head != "b" || r.Verdict != c.want || !strings.Contains(r.Answer(), c.says) {
			t.Errorf("%s: %s against %s: %s", what, r.Base, r.Head, r.Answer())
		}
		if r.Verdict == Slower && (!strings.Contains(r.Trust(), "two machines") || !slices.Contains(r.Notes, "the hosts differ: kernel (6.18, 6.19)")) {
			t.Errorf("%s: it does not say that these are two machines: %s %q", what, r.Trust(), r.Notes)
		}
	}
}

// A row that may differ by much when nothing does is not called the same, and a few
// samples say nothing.
func TestCannotTell(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	wide := run{shape: lognormal(0.6)}
	if c := compared(t, rng, wide, wide, Options{}); c.Verdict != CannotTell || c.Count(Same) > 0 {
		t.Errorf("wide: %s", c.Answer())
	}
	few := run{shape: quiet, n: 4}
	c := compared(t, rng, few, few, Options{})
	if c.Verdict != CannotTell || c.Rows[0].Need != 2 {
		t.Errorf("4 samples: %s, %d more", c.Answer(), c.Rows[0].Need)
	}
	known := compared(t, rng, run{shape: quiet}, run{shape: quiet}, Options{Noise: map[string]float64{"Startup/runtime=r0 ready-ns": 0.1}})
	for _, r := range known.Rows {
		if r.Case == "Startup/runtime=r0" && (r.Verdict != Same || r.Bound != 0.1 || said(r, known.Floor) != "same within 10 %") {
			t.Errorf("with a noise of 10 %%: %s, bound %v", said(r, known.Floor), r.Bound)
		}
	}
}

// Files that say nothing together, and those that must not be put together.
func TestOddFiles(t *testing.T) {
	lines := func(name, unit string, from int) (text string) {
		for i := range 20 {
			text += fmt.Sprintf("Benchmark%s 1 %d %s\n", name, 1000+(from+7*i)%13, unit)
		}
		return text
	}
	nothing := Compare(column(t, "a", lines("A", "x-ns", 0)), column(t, "b", lines("B", "x-ns", 0)), Options{})
	if nothing.Verdict != CannotTell || !strings.Contains(nothing.Answer(), "no case in common") {
		t.Errorf("nothing in common: %q: %s", nothing.Verdict, nothing.Answer())
	}
	mixed := Compare(column(t, "a", lines("A", "x-ns", 0)), column(t, "b", lines("A", "y-B", 0)), Options{})
	if mixed.Verdict != Apart || !strings.Contains(mixed.Answer(), "the units are not the same: x-ns, y-B") {
		t.Errorf("mixed units: %q: %s", mixed.Verdict, mixed.Answer())
	}
	failed := Compare(column(t, "a", lines("A", "x-ns", 0)), column(t, "b", lines("A", "x-ns", 1)+strings.Repeat("# failed {\"case\":\"A\",\"why\":\"EPERM\"}\n", 20)), Options{})
	if failed.Verdict != CannotTell || !strings.Contains(failed.Rows[0].Why, "20 of its operations failed in b") {
		t.Errorf("failures: %q: %s", failed.Verdict, failed.Rows[0].Why)
	}
	cut := Compare(column(t, "a", lines("A", "x-ns", 0)+lines("B", "x-ns", 0)), column(t, "b", "# isoperf {}\n"+lines("A", "x-ns", 1)), Options{})
	if cut.Verdict != CannotTell || !strings.Contains(cut.Rows[1].Why, "ended before it") {
		t.Errorf("cut short: %q: %s", cut.Verdict, cut.Rows[1].Why)
	}
	a, b := parsed(t, "a", lines("A", "x-ns", 0)), parsed(t, "b", lines("A", "x-ns", 0))
	if _, err := ByFile([]*sample.File{a, b}); err == nil || !strings.Contains(err.Error(), "one is a copy of the other") {
		t.Errorf("a copy: %v", err)
	}
	twice := parsed(t, "twice", lines("A", "x-ns", 0)+lines("A", "x-ns", 0))
	if _, err := ByFile([]*sample.File{a, twice}); err == nil || !strings.Contains(err.Error(), "the same samples twice") {
		t.Errorf("a file in itself twice: %v", err)
	}
	// Lines of another unit keep a case apart, whichever side they are on.
	for _, texts := range [][2]string{
		{lines("A", "x-ns", 0), lines("A", "x-ns", 1) + "BenchmarkA 1 0.02 x-ms\n"},
		{lines("A", "x-ns", 1) + "BenchmarkA 1 0.02 x-ms\n", lines("A", "x-ns", 0)},
	} {
		if c := Compare(column(t, "a", texts[0]), column(t, "b", texts[1]), Options{}); c.Verdict != Apart || !strings.Contains(c.Rows[0].Why, "and others do not") {
			t.Errorf("mixed units: %q: %s", c.Verdict, c.Rows[0].Why)
		}
	}
	if _, err := ByKey([]*sample.File{a}, "colour"); err == nil || !strings.Contains(err.Error(), `compare by "colour": no case and no file has that key`) {
		t.Errorf("a key that is not there: %v", err)
	}
}

func TestByKey(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	f := parsed(t, "r.txt", run{shape: quiet}.text(rng))
	list, err := ByKey([]*sample.File{f}, "runtime")
	if err != nil || len(list) != 10 {
		t.Fatal(len(list), err)
	}
	c := Compare(list[0], list[1], Options{})
	if len(c.Rows) != 1 || c.Rows[0].Case != "Startup" || c.Verdict != Slower || c.Rows[0].Ratio.Ratio < 1.9 {
		t.Errorf("%d rows: %s", len(c.Rows), c.Answer())
	}
}

// The phase that was slowed is the one that is named.
func TestWhere(t *testing.T) {
	text := func(mount int) string {
		var b strings.Builder
		rng := rand.New(rand.NewPCG(uint64(mount), 1))
		for range 60 {
			n, m := 1_400_000+rng.IntN(20_000), mount+rng.IntN(2_000)
			fmt.Fprintf(&b, "BenchmarkStartup/runtime=isorun 1 %d ready-ns %d total-ns\n", n+m, n+m+300_000)
			fmt.Fprintf(&b, "BenchmarkStartupSpans/runtime=isorun 1 %d ready-ns %d span.clone-ns %d span.mount-proc-ns\n", n+m+1000, 70_000+rng.IntN(900), m)
		}
		return b.String()
	}
	c := Compare(column(t, "base", text(100_000)), column(t, "head", text(220_000)), Options{})
	if want := `Where: phase "mount proc" holds the change, +120 us of the +1`; !strings.HasPrefix(c.Where(), want) {
		t.Errorf("%q: %q", c.Answer(), c.Where())
	}
}

// A long phase whose noise is larger than the change is not named in place of the
// short one that changed, however the estimates of both lie.
func TestWhereBesideNoise(t *testing.T) {
	larger := 0
	for seed := range uint64(40) {
		text := func(mount int) string {
			var b strings.Builder
			rng := rand.New(rand.NewPCG(uint64(mount), seed))
			for range 60 {
				m, long := mount+rng.IntN(20_000), 3_000_000+rng.IntN(1_500_000)
				fmt.Fprintf(&b, "BenchmarkStartup/runtime=isorun 1 %d ready-ns\n", 5_000_000+m+rng.IntN(40_000))
				fmt.Fprintf(&b, "BenchmarkStartupSpans/runtime=isorun 1 %d ready-ns %d span.start-of-go-ns %d span.mount-proc-ns\n", long+m, long, m)
			}
			return b.String()
		}
		c := Compare(column(t, "base", text(100_000)), column(t, "head", text(220_000)), Options{})
		if !strings.Contains(c.Where(), `"mount proc"`) {
			t.Errorf("%d: %q: %q", seed, c.Answer(), c.Where())
		}
		for _, p := range c.Phases {
			if p.Name == "start of go" && p.Delta() > 120_000 {
				larger++
			}
		}
	}
	if larger == 0 {
		t.Error("noise never looked like the larger change")
	}
}

// Every output says the same, in its own form.
func TestOutputs(t *testing.T) {
	c := slower(t)
	list := []Comparison{c}
	write := func(f func(io.Writer) error) string {
		t.Helper()
		var b bytes.Buffer
		if err := f(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	var doc struct {
		Schema, Verdict string
		Exit            int
		Comparisons     []struct {
			Counts map[string]int
			Rows   []map[string]any
		}
	}
	if err := json.Unmarshal([]byte(write(func(w io.Writer) error { return JSON(w, list, 1) })), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Schema != Schema || doc.Verdict != "slower" || doc.Exit != 1 || doc.Comparisons[0].Counts["slower"] != 1 || len(doc.Comparisons[0].Rows) != len(c.Rows) {
		t.Errorf("JSON: %+v", doc)
	}
	lines, err := csv.NewReader(strings.NewReader(write(func(w io.Writer) error { return CSV(w, list) }))).ReadAll()
	if err != nil || len(lines) != len(c.Rows)+1 {
		t.Errorf("CSV: %d lines, %v", len(lines), err)
	}
	var suites export.Suites
	if err := xml.Unmarshal([]byte(write(func(w io.Writer) error { return JUnit(w, list, Fails{}) })), &suites); err != nil {
		t.Fatal(err)
	}
	if suites.Tests != 11 || suites.Failures != 1 || suites.Skipped != 1+c.Count(CannotTell) {
		t.Errorf("JUnit: %d tests, %d failures, %d skipped", suites.Tests, suites.Failures, suites.Skipped)
	}
	metrics := write(func(w io.Writer) error { return Metrics(w, list) })
	if !strings.HasSuffix(metrics, "# EOF\n") || !strings.Contains(metrics, `isoperf_compare_verdict{base="base",head="head",isoperf_compare_verdict="slower"} 1`) {
		t.Errorf("metrics:\n%s", metrics)
	}
	var bmf map[string]map[string]struct{ Value float64 }
	if err := json.Unmarshal([]byte(write(func(w io.Writer) error { return Bencher(w, list) })), &bmf); err != nil {
		t.Fatal(err)
	}
	if v := bmf["Startup/runtime=r3"]["ready-ns"].Value; v < 425_000 || v > 440_000 || len(bmf) != 10 {
		t.Errorf("Bencher: %v, %d benchmarks", v, len(bmf))
	}
	var small, big []githubFigure
	for bigger, into := range map[bool]*[]githubFigure{false: &small, true: &big} {
		if err := json.Unmarshal([]byte(write(func(w io.Writer) error { return GitHubBenchmark(w, list, bigger) })), into); err != nil {
			t.Fatal(err)
		}
	}
	if len(small) != 10 || len(big) != 0 || HasBigger(list) {
		t.Errorf("github-action-benchmark: %d and %d", len(small), len(big))
	}
}

// What a terminal is given is ASCII, and broken into lines.
func TestWrite(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, slower(t), Printing{}); err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(b.String()) {
		if len(l) > 100 || strings.ContainsFunc(l, func(r rune) bool { return r > 126 }) {
			t.Errorf("a long line, or one that is not ASCII: %q", l)
		}
	}
}

// Markdown stays under the hosts' limits, whatever the rows, and is whole.
func TestMarkdownFits(t *testing.T) {
	c := slower(t)
	for range 5000 {
		r := c.Rows[0]
		r.Case, r.Verdict = "Startup/<b>|"+strings.Repeat("x", 200), Slower
		c.Rows = append(c.Rows, r)
	}
	for _, limit := range []int{CommentLimit, SummaryLimit} {
		var b bytes.Buffer
		if err := Markdown(&b, []Comparison{c, c}, limit); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if utf8.RuneCountInString(text) >= limit || b.Len() >= limit || b.Len() < limit/4 {
			t.Errorf("%d bytes of %d", b.Len(), limit)
		}
		if strings.Count(text, "<details>") != strings.Count(text, "</details>") || strings.Contains(text, "<b>") || !strings.Contains(text, "more rows do not fit") {
			t.Errorf("limit %d: folds are left open, or names are taken for tags, or nothing says what is missing", limit)
		}
	}
}
