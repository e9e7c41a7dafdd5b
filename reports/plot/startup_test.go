package plot

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"isoperf/bench/sample"
	"isoperf/reports/plot/specimen"

	"github.com/google/go-cmp/cmp"
)

func TestStartupHasItsFigures(t *testing.T) {
	want := []string{"startup-runtimes", "startup-variants", "startup-phases", "startup-at-once", "startup-open", "control"}
	if got := names(figuresOf(t, specimen.Startup(20))); !slices.Equal(got, want) {
		t.Errorf("figures %q, want %q", got, want)
	}
	if got := names(figuresOf(t, specimen.Versions(20))); !slices.Equal(got, want[:1]) {
		t.Errorf("a user's two versions: figures %q, want %q", got, want[:1])
	}
}

// TestWhatTheStartupFiguresSay compares the texts that stand for the pictures.
func TestWhatTheStartupFiguresSay(t *testing.T) {
	var b strings.Builder
	for _, f := range append(figuresOf(t, specimen.Startup(60)), figuresOf(t, specimen.Versions(40))...) {
		fmt.Fprintf(&b, "%s: %s\n  lead: %s\n  foot: %s\n  alt: %s\n  findings: %s\n", f.Name, f.Title, f.sheet.lead,
			strings.Join(f.sheet.foot, " / "), f.Alt, strings.Join(f.Findings, " / "))
	}
	golden := filepath.Join("testdata", "startup.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("the figures say something else (run with -update if they should): %s", diff)
	}
}

// crowded has many runtimes everywhere, with names and reasons that do not
// end where others do.
func crowded() *sample.File {
	f := specimen.Startup(12)
	long := strings.Repeat("with a name that goes on, ", 4)
	for i := range 12 {
		for _, from := range []string{"StartupAtOnce/runtime=crun/n=", "StartupOpen/runtime=runc/load=", "Startup/runtime=crun/with=", "StartupVariants/runtime=crun/with=", "StartupSpans/runtime=isorun/with="} {
			for _, c := range slices.Clone(f.Cases) {
				if strings.HasPrefix(c.Name, from) && i%4 == len(from)%4 {
					name := strings.Replace(c.Name, c.Param("runtime"), fmt.Sprintf("%s-%d-%s", c.Param("runtime"), i, strings.ReplaceAll(long, " ", "-")), 1)
					f.Cases = append(f.Cases, &sample.Case{Name: name, Units: c.Units, Values: c.Values})
					f.Observed = append(f.Observed, sample.Observed{Case: name, Lacks: []string{long, "cgroup"}})
				}
			}
		}
	}
	f.NotMeasured = append(f.NotMeasured, sample.Note{Case: "Startup/runtime=lost", Why: strings.Repeat(long, 6)})
	return f
}

// TestStartupIsNotClippedOrCovered draws the figures on the proof.
func TestStartupIsNotClippedOrCovered(t *testing.T) {
	for name, f := range map[string]*sample.File{
		"plenty": specimen.Startup(60), "few": specimen.Startup(3), "two": specimen.Versions(40),
		"slow": slowed(specimen.Startup(20)), "crowded": crowded(),
	} {
		for _, fig := range figuresOf(t, f) {
			if fig.Family == "Control" {
				continue
			}
			width, height := fig.sheet.size()
			c := &proof{width: width, height: height}
			if err := fig.draw(c); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			c.inspect(t, name+", "+fig.Name)
		}
	}
}

// TestOddStarts draws what nobody hopes to measure.
func TestOddStarts(t *testing.T) {
	for name, values := range map[string][]float64{
		"zero": {0, 0, 0, 0, 0, 0, 0, 0, 0}, "one": {1}, "negative": {-5, -5, -5, -5, -5, -5, -5, -5, -5},
		"constant": {1e9, 1e9, 1e9, 1e9, 1e9, 1e9, 1e9, 1e9}, "half alike": {1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6, 3e6, 9e6},
		"NaN": {math.NaN(), math.NaN(), 5}, "infinite": {math.Inf(1), 5, 7, 9},
		"all of it": {0, -1, 1e-3, 5, 1e15, math.NaN(), math.Inf(1), 12, 13, 14, 15},
	} {
		f := specimen.Startup(12)
		for i, c := range f.Cases {
			for unit := range c.Values {
				if i%2 == 0 || name == "constant" || name == "one" {
					c.Values[unit] = values
				}
			}
		}
		for _, fig := range figuresOf(t, f) {
			if text := svg(t, fig); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
				t.Errorf("%s: %s has a coordinate that is not a number", name, fig.Name)
			}
		}
	}
}

func TestChange(t *testing.T) {
	for ratio, want := range map[float64]string{1.044: "+ 4.4 %", 0.75: "- 25 %", 4.1: "4.1x", 0.4: "0.40x", 1: "+ 0 %"} {
		if got := change(ratio); got != want {
			t.Errorf("change(%v) = %q, want %q", ratio, got, want)
		}
	}
}
