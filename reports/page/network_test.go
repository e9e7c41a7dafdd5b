package page

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isoperf/reports/plot/specimen"

	"github.com/google/go-cmp/cmp"
)

func TestNetworkPage(t *testing.T) {
	got := page(t, Options{}, specimen.Network(6))
	golden := filepath.Join("testdata", "network.md")
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
}

// Two runs of one machine are pooled, and ratios stay within a run: the second is
// twice as fast in all, so each ratio is that of either.
func TestNetworkRatiosStayWithinARun(t *testing.T) {
	a, b := specimen.Network(6), specimen.Network(6)
	b.Path = "second.txt"
	for _, c := range b.Cases {
		for i := range c.Values["goodput-B/s"] {
			c.Values["goodput-B/s"][i] *= 2
		}
	}
	text := page(t, Options{}, a, b)
	one := page(t, Options{}, a)
	row := func(page string) []string {
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "| slirp4netns ") && strings.Contains(line, "| 1500 out") {
				return strings.Split(line, "|")
			}
		}
		t.Fatal("the page has no row of slirp4netns at 1500, out")
		return nil
	}
	ratio := func(cells []string) string {
		first, _, _ := strings.Cut(strings.TrimSpace(cells[5]), " ")
		return first
	}
	if two, alone := row(text), row(one); ratio(two) != ratio(alone) || two[3] == alone[3] {
		t.Errorf("of two runs %q, of one %q; want the same ratio and another median", two, alone)
	}
}
