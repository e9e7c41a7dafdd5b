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
	if err := Write(dir, []*sample.File{f}); err != nil {
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
