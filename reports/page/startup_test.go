package page

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isoperf/bench/sample"
	"isoperf/reports/plot/specimen"

	"github.com/google/go-cmp/cmp"
)

func TestStartupPage(t *testing.T) {
	for name, f := range map[string]*sample.File{"startup": specimen.Startup(60), "startup-versions": specimen.Versions(40)} {
		t.Run(name, func(t *testing.T) {
			got := page(t, Options{}, f)
			golden := filepath.Join("testdata", name+".md")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the page changed (run with -update if it should): %s", diff)
			}
		})
	}
}

// A runtime is called what its user calls it; no name makes a tag or a row.
func TestNamesOfRuntimesStayText(t *testing.T) {
	f := specimen.Versions(10)
	for _, c := range f.Cases {
		c.Name = strings.Replace(c.Name, "runc-1.4.0", "<b>|[x](y)", 1)
	}
	f.NotMeasured = []sample.Note{{Case: "Startup/runtime=lost", Why: "see <script> | [here](z)"}}
	dir := t.TempDir()
	if err := (Options{}).Write(dir, []*sample.File{f}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<b>", "<script>", "script> | ["} {
		if strings.Contains(string(text), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

// Files of two times are pooled, but a variant is set against the usual start of
// its own file.
func TestVariantsOfAnotherTime(t *testing.T) {
	steady := func(name string, ms float64) *sample.Case {
		c := &sample.Case{Name: name + "/pacing=burst", Units: []string{"total-ns"}, Values: map[string][]float64{}}
		for i := range 40 {
			c.Values["total-ns"] = append(c.Values["total-ns"], ms*1e6+1e3*float64(i))
		}
		return c
	}
	plain := &sample.File{Path: "plain.txt", Cases: []*sample.Case{steady("Startup/runtime=isorun/with=usual", 2)}}
	varied := &sample.File{Path: "varied.txt", Cases: []*sample.Case{
		steady("StartupVariants/runtime=isorun/with=usual", 2.5), steady("StartupVariants/runtime=isorun/with=host-net", 2.3),
	}}
	for _, files := range [][]*sample.File{{plain, varied}, {varied, plain}, {varied}} {
		text := page(t, Options{}, files...)
		if !strings.Contains(text, "`host-net` - 200 us") {
			t.Errorf("%d files: the finding is not of the variants' own base", len(files))
		}
		if !strings.Contains(text, "| isorun  | 2.52 ms |  2.32 ms |") {
			t.Errorf("%d files: no table of the variants", len(files))
		}
		if n := strings.Count(text, "; ratios over isorun"); n != 1 {
			t.Errorf("%d files: the usual start has %d tables", len(files), n)
		}
	}
}
