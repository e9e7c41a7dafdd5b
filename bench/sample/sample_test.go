package sample

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/perf/benchfmt"
)

const name = "Clone/flag=net/mode=vm/pacing=burst"

// write makes a file with three samples, a failure and a case that could not
// be measured.
func write(t *testing.T) (path string, data []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "r.txt")
	w, err := Create(path, Header{
		Config:      []Pair{{"goos", "linux"}, {"kernel", "6.18"}, {"host", ""}},
		Fingerprint: map[string]any{"version": "test"},
		Units:       []Unit{{"clone-ns", "lower"}, {"reap-ns", "lower"}, {"memory-B", ""}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := w.Sample(name, []Value{{"clone-ns", float64(1617834 + i)}, {"reap-ns", 639720}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{w.Failed(name, "EPERM"), w.NotMeasured("Clone/flag=time", "no such\nnamespace"),
		w.Observed(Observed{Case: name, Version: "x 1.0", Lacks: []string{"cgroup"}}),
		w.Timeline(Timeline{Case: name, Total: 9, Bars: []Bar{{"isorun", "mounts", 1, 8}}}), w.Noise(Noise{name, "clone-ns", 0.006, 214}), w.End(Ending{Why: "done"}), w.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	data, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, data
}

func TestRoundTrip(t *testing.T) {
	path, data := write(t)
	want := `goos: linux
kernel: 6.18
# isoperf {"version":"test"}
Unit clone-ns better=lower
Unit reap-ns better=lower
BenchmarkClone/flag=net/mode=vm/pacing=burst 1 1617834 clone-ns 639720 reap-ns
BenchmarkClone/flag=net/mode=vm/pacing=burst 1 1617835 clone-ns 639720 reap-ns
BenchmarkClone/flag=net/mode=vm/pacing=burst 1 1617836 clone-ns 639720 reap-ns
# failed {"case":"Clone/flag=net/mode=vm/pacing=burst","why":"EPERM"}
# not-measured {"case":"Clone/flag=time","why":"no such\nnamespace"}
# observed {"case":"Clone/flag=net/mode=vm/pacing=burst","version":"x 1.0","lacks":["cgroup"]}
# timeline {"case":"Clone/flag=net/mode=vm/pacing=burst","total_ns":9,"bars":[{"lane":"isorun","phase":"mounts","from":1,"to":8}]}
# noise {"case":"Clone/flag=net/mode=vm/pacing=burst","unit":"clone-ns","ratio":0.006,"rounds":214}
# end {"why":"done"}
`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("the file (-want +got):\n%s", diff)
	}
	f, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wantFile := &File{
		Path:        path,
		Config:      []Pair{{"goos", "linux"}, {"kernel", "6.18"}},
		Fingerprint: []byte(`{"version":"test"}`),
		Units:       []Unit{{"clone-ns", "lower"}, {"reap-ns", "lower"}},
		Cases: []*Case{{
			Name: name, Units: []string{"clone-ns", "reap-ns"}, Failures: []string{"EPERM"},
			Values: map[string][]float64{"clone-ns": {1617834, 1617835, 1617836}, "reap-ns": {639720, 639720, 639720}},
			Blocks: []int{0},
		}},
		NotMeasured: []Note{{"Clone/flag=time", "no such\nnamespace"}},
		Observed:    []Observed{{Case: name, Version: "x 1.0", Lacks: []string{"cgroup"}}},
		Timelines:   []Timeline{{Case: name, Total: 9, Bars: []Bar{{"isorun", "mounts", 1, 8}}}},
		Noise:       []Noise{{name, "clone-ns", 0.006, 214}},
		End:         Ending{Why: "done"},
	}
	if diff := cmp.Diff(wantFile, f); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	c := f.Case(name)
	if c.Family() != "Clone" || c.Param("mode") != "vm" || c.Param("nothing") != "" || c.N() != 3 {
		t.Errorf("family %q, mode %q, n %d", c.Family(), c.Param("mode"), c.N())
	}
}

// A file that is cut anywhere is read, its whole lines count, and it says
// that the end is missing.
func TestTruncated(t *testing.T) {
	path, data := write(t)
	start := bytes.Index(data, []byte("Benchmark"))
	first := start + bytes.IndexByte(data[start:], '\n') + 1
	for cut := first; cut < len(data); cut++ {
		if err := os.WriteFile(path, data[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := ReadFile(path)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		kept := data[start : bytes.LastIndexByte(data[:cut], '\n')+1]
		whole := bytes.Count(append([]byte("\n"), kept...), []byte("\nBench"))
		if n := f.Case(name).N(); n != whole {
			t.Fatalf("cut at %d: %d samples, want %d", cut, n, whole)
		}
		if len(f.Notes) == 0 || !strings.Contains(f.Notes[0], "the end is missing") {
			t.Fatalf("cut at %d: notes %q", cut, f.Notes)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data[:cut]) {
			t.Fatal("reading changed the file")
		}
	}
}

func TestBadFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "it is empty",
		"hello\nworld\n":                     "holds no sample",
		"goos: linux\n# isoperf {}\n":        "holds no sample",
		"BenchmarkX 1 2\n":                   "holds no sample",
		strings.Repeat("x", 1<<20) + "\n":    "token too long",
		"\x00\xff\xfe binary \x00\n\x01\x02": "holds no sample",
	} {
		if _, err := Read("f.txt", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "f.txt") {
			t.Errorf("reading %.20q: %v, want %q", text, err, want)
		}
	}
	f, err := Read("f.txt", strings.NewReader("BenchmarkA 1 2 x-ns\nBenchmarkB 1 x\n# failed {\nBenchmarkA 1 3 x-ns\n"))
	if err != nil || f.Case("A").N() != 2 || len(f.Notes) != 2 {
		t.Errorf("damaged lines among good ones: %+v, %v", f, err)
	}
}

func TestInterrupted(t *testing.T) {
	f, err := Read("f.txt", strings.NewReader("# isoperf {}\nBenchmarkA 1 2 x-ns\n# end {\"why\":\"interrupted\"}\n"))
	if err != nil || f.End.Why != "interrupted" || len(f.Notes) != 1 || !strings.Contains(f.Notes[0], "interrupted") {
		t.Errorf("%+v, %v", f, err)
	}
}

// A plain file of `go test -bench` is read, too.
func TestForeign(t *testing.T) {
	f, err := Read("f.txt", strings.NewReader("goos: linux\nBenchmarkFoo-8 \t 100\t 12.5 ns/op\nPASS\n"))
	if err != nil || f.Case("Foo-8").Values["ns/op"][0] != 12.5 || len(f.Notes) != 0 {
		t.Errorf("%+v, %v", f, err)
	}
}

// benchfmt, and so benchstat, reads every sample.
func TestBenchfmtReads(t *testing.T) {
	_, data := write(t)
	r := benchfmt.NewReader(bytes.NewReader(data), "f")
	n := 0
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.Result:
			n++
			if rec.GetConfig("kernel") != "6.18" {
				t.Error("the configuration is lost")
			}
		case *benchfmt.SyntaxError:
			t.Error(rec)
		}
	}
	if n != 3 || r.Err() != nil {
		t.Errorf("%d results, %v", n, r.Err())
	}
}

func TestCreateErrors(t *testing.T) {
	path, _ := write(t)
	if _, err := Create(path, Header{}); err == nil {
		t.Error("an existing file was overwritten")
	}
	if _, err := Create(filepath.Join(t.TempDir(), "no", "such", "dir"), Header{}); err == nil {
		t.Error("a file in a missing folder was created")
	}
}

// A value belongs to its own sample, whichever units the others have.
func TestValueOfSample(t *testing.T) {
	f, err := Read("x", strings.NewReader("BenchmarkX 1 1 a-ns\nBenchmarkX 1 2 a-ns 7 b-ns\nBenchmarkX 1 8 b-ns\nBenchmarkX 1 4 a-ns 9 b-ns\n"))
	if err != nil {
		t.Fatal(err)
	}
	c := f.Case("X")
	if c.N() != 4 {
		t.Errorf("%d samples, want 4", c.N())
	}
	for unit, want := range map[string][]float64{"a-ns": {1, 2, -1, 4}, "b-ns": {-1, 7, 8, 9}, "c-ns": {-1, -1, -1, -1}} {
		for i, w := range want {
			if v, ok := c.Value(unit, i); ok != (w >= 0) || ok && v != w {
				t.Errorf("%s of sample %d: %v, %v; want %v", unit, i, v, ok, w)
			}
		}
	}
}

// A case that has its turn several times has as many blocks.
func TestBlocks(t *testing.T) {
	text := "BenchmarkA 1 1 x-ns\nBenchmarkA 1 2 x-ns\nBenchmarkB 1 1 x-ns\n# observed {}\nBenchmarkA 1 3 x-ns\n# failed {\"case\":\"B\",\"why\":\"EPERM\"}\nBenchmarkA 1 4 x-ns\n"
	f, err := Read("r.txt", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{0, 2}, f.Case("A").Blocks); diff != "" {
		t.Errorf("blocks of A (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{0}, f.Case("B").Blocks); diff != "" {
		t.Errorf("blocks of B (-want +got):\n%s", diff)
	}
}
