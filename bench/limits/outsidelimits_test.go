package limits

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"isoperf/bench/harness"
	"isoperf/reports/limits"
)

// stress-ng is held to limits as our own loads are; without it they are said not
// to be measured.
func TestOutsiders(t *testing.T) {
	wide := harness.Extent{Burst: 1, Wide: true}
	_, missing := exec.LookPath("stress-ng")
	for name, cases := range map[string]func(*Bench) []harness.Case{
		"MemoryMax": func(b *Bench) []harness.Case { return []harness.Case{b.outsideMemory(wide)} },
		"PidsMax":   func(b *Bench) []harness.Case { return []harness.Case{b.outsidePids(wide)} },
	} {
		t.Run(name, func(t *testing.T) {
			if missing != nil {
				t.Setenv("PATH", "")
			}
			j, not := judged(t, cases, name)
			switch {
			case missing != nil:
				if !strings.Contains(not, "no program stress-ng") {
					t.Errorf("without it: %q, %v", not, j)
				}
				return
			case not != "":
				skip(t, not)
			}
			if j.Verdict != limits.Accurate && j.Verdict != limits.Within {
				t.Errorf("%s: %s: %v", j.Verdict, j.Why, j.Figures)
			}
			if v := j.Figures; name == "PidsMax" && (v["refused-count"] == 0 || v["listed-count"] < 10) || name == "MemoryMax" && v["oom-kill-count"] == 0 {
				t.Errorf("the limit was not tried: %v", v)
			}
		})
	}
}

// Without stress-ng, its loads are not measured, and why is said.
func TestNoStressNG(t *testing.T) {
	dir := t.TempDir()
	if busctl, err := exec.LookPath("busctl"); err == nil { // which groups may need
		if err := os.Symlink(busctl, filepath.Join(dir, "busctl")); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	_, not := judged(t, func(b *Bench) []harness.Case { return []harness.Case{b.outsidePids(harness.Extent{Burst: 1})} }, "PidsMax")
	if !strings.Contains(not, "no program stress-ng here; install") && !strings.Contains(not, "pids") {
		t.Errorf("%q", not)
	}
}
