package page

import (
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"isoperf/bench/sample"
	"isoperf/reports/plot/specimen"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden pages anew")

func page(t *testing.T, o Options, files ...*sample.File) string {
	t.Helper()
	dir := t.TempDir()
	if err := o.Write(dir, files); err != nil {
		t.Fatal(err)
	}
	name := o.Page
	if name == "" {
		name = "RESULTS.md"
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	followLinks(t, filepath.Dir(filepath.Join(dir, name)), string(text))
	return string(text)
}

// followLinks opens what the page links to.
func followLinks(t *testing.T, dir, text string) {
	t.Helper()
	links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1)
	for _, l := range links {
		path, err := url.PathUnescape(l[1])
		if err != nil {
			t.Errorf("link %s: %v", l[1], err)
			continue
		}
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Errorf("link %s: %v", l[1], err)
		} else if info.Size() < 1000 {
			t.Errorf("link %s: only %d bytes", l[1], info.Size())
		}
	}
}

func TestPage(t *testing.T) {
	whole := specimen.File(60)
	whole.Notes = append(whole.Notes, `the end is missing: the last line is cut ("Benchm") and was skipped; the run did not finish`)
	whole.NotMeasured = append(whole.NotMeasured, sample.Note{Case: "Startup/runtime=runc", Why: "runc is not installed"})
	other := specimen.Only(20, "Setns")
	other.Config = slices.Clone(other.Config)
	other.Config[2].Value = "5.15.0"
	other.Path = "older.txt"
	unknown := &sample.File{Path: "new.txt", Cases: []*sample.Case{{
		Name:  "Quota/asked=20%/period=100ms",
		Units: []string{"error-ratio", "stall-ns", "used-B", "rate-B/s", "periods-count", "score"},
		Values: map[string][]float64{
			"error-ratio": {0.0015, 0.0016, 0.0014}, "stall-ns": {80e6, 81e6, 79e6}, "used-B": {1 << 20, 1 << 20, 3 << 20},
			"rate-B/s": {5e6, 5e6, 5e6}, "periods-count": {10, 10, 10}, "score": {1.5, 1.25, 1.75},
		},
	}}}
	for name, files := range map[string][]*sample.File{
		"whole": {whole}, "two-machines": {specimen.Only(20, "Setns"), other}, "unknown": {unknown},
	} {
		t.Run(name, func(t *testing.T) {
			got := page(t, Options{}, files...)
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

func TestPageAtTheRootOfARepository(t *testing.T) {
	text := page(t, Options{Page: "FIGURES.md", Plots: "results/plots", Title: "Measured"}, specimen.Only(10, "Setns"))
	for _, want := range []string{"# Measured\n", "](results/plots/setns.png)", "](results/plots/setns.svg)"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestPageInAFolderOfItsOwn(t *testing.T) {
	text := page(t, Options{Page: "docs/page.md", Plots: "all plots"}, specimen.Only(10, "Setns"))
	if !strings.Contains(text, "](../all%20plots/setns.png)") {
		t.Error("the link is not relative to the page, or its space is not escaped")
	}
}

func TestNoFileIsAnError(t *testing.T) {
	if err := (Options{}).Write(t.TempDir(), nil); err == nil {
		t.Error("a report of nothing was written")
	}
}

func TestFilesOfOneMachineArePooled(t *testing.T) {
	a, b := specimen.Only(10, "Setns"), specimen.Only(10, "Setns")
	b.Path = "second.txt"
	b.Fingerprint = []byte(`{"version":"v0.1.0","load1":1.5,"clock":{"source":"hpet"}}`)
	text := page(t, Options{}, a, b)
	for _, want := range []string{"tsc; hpet", "0.21; 1.5", "`second.txt`", "| user "} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if !regexp.MustCompile(`\| user +\| +20 \|`).MatchString(text) {
		t.Error("the samples of the two files are not joined")
	}
}

// TestTextOfAFileStaysText checks that a result file cannot make links, tags
// or rows on the page.
func TestTextOfAFileStaysText(t *testing.T) {
	f := specimen.Only(10, "Setns")
	f.Config = append(slices.Clone(f.Config), sample.Pair{Key: "note", Value: "a|b <script>"})
	f.Cases[0].Failures = []string{"see [here](http://example.invalid)\n# heading <b>"}
	dir := t.TempDir()
	if err := (Options{}).Write(dir, []*sample.File{f}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script>", "[here](", "\n# heading", "<b>"} {
		if strings.Contains(string(text), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}
