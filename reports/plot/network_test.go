package plot

import (
	"bytes"
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

func TestNetworkHasItsFigures(t *testing.T) {
	want := []string{"network-throughput", "network-cpu", "network-start", "network-rtt", "network-latency", "network-setup"}
	if got := names(figuresOf(t, specimen.Network(6))); !slices.Equal(got, want) {
		t.Errorf("figures %q, want %q", got, want)
	}
}

// TestWhatTheNetworkFiguresSay compares the texts that stand for the pictures.
func TestWhatTheNetworkFiguresSay(t *testing.T) {
	var b strings.Builder
	for _, f := range figuresOf(t, specimen.Network(6)) {
		fmt.Fprintf(&b, "%s: %s\n  lead: %s\n  foot: %s\n  alt: %s\n", f.Name, f.Title, f.sheet.lead, strings.Join(f.sheet.foot, " / "), f.Alt)
	}
	golden := filepath.Join("testdata", "network.txt")
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

// What was not proved is in no picture.
func TestNotProvenIsNotDrawn(t *testing.T) {
	f := specimen.Network(6)
	f.Checked = nil
	if got := names(figuresOf(t, f)); len(got) != 0 {
		t.Errorf("figures %q of a file that proves nothing", got)
	}
}

// TestOddNetworks draws what nobody hopes to measure, one path and one MTU among
// it.
func TestOddNetworks(t *testing.T) {
	for name, values := range map[string][]float64{
		"zero": {0, 0, 0, 0, 0, 0}, "NaN": {math.NaN(), 5, math.NaN(), 7, 8, 9}, "negative": {-5, -5, -5, -5, -5, -5},
		"all of it": {0, -1, 1e-9, 1e15, math.NaN(), math.Inf(1)}, "one": {3},
	} {
		f := specimen.Network(6)
		for i, c := range f.Cases {
			for unit := range c.Values {
				if i%2 == 0 || name == "one" {
					c.Values[unit] = values
				}
			}
		}
		drawn(t, name, f)
	}
	for _, keep := range []string{"path=pasta/dir=out/mtu=1500", "path=loopback", "rtt=1ms", "rtt=0s", "NetworkRequest/path=pasta/"} {
		f := specimen.Network(1)
		f.Cases = slices.DeleteFunc(f.Cases, func(c *sample.Case) bool { return !strings.Contains(c.Name, keep) })
		drawn(t, keep, f)
	}
	strange := specimen.Network(1)
	for i, c := range strange.Cases {
		was := c.Name
		c.Name = strings.NewReplacer("dir=", "way=", "mtu=1500", "mtu=many", "path=nat/", "path=<b>/").Replace(c.Name)
		if i%3 == 0 {
			c.Name = strings.Replace(was, "dir=", "way=", 1)
		}
		for k := range strange.Checked {
			if strange.Checked[k].Case == was {
				strange.Checked[k].Case, strange.Checked[k].Asked = c.Name, c.Param("path")
			}
		}
	}
	drawn(t, "strange names", strange)
}

func drawn(t *testing.T, name string, f *sample.File) {
	t.Helper()
	for _, fig := range figuresOf(t, f) {
		var b bytes.Buffer
		if err := fig.SVG(&b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
			t.Errorf("%s: %s has a coordinate that is not a number", name, fig.Name)
		}
	}
}
