package plot

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"isoperf/bench/sample"
	"isoperf/reports/plot/specimen"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden texts anew")

func figuresOf(t *testing.T, files ...*sample.File) []Figure {
	t.Helper()
	figures, err := Figures(files)
	if err != nil {
		t.Fatal(err)
	}
	return figures
}

func names(figures []Figure) []string {
	var all []string
	for _, f := range figures {
		all = append(all, f.Name)
	}
	return all
}

func svg(t *testing.T, f Figure) string {
	t.Helper()
	var b bytes.Buffer
	if err := f.SVG(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEveryFamilyHasItsFigures(t *testing.T) {
	want := []string{
		"clone-increment", "clone-ecdf", "clone-modes", "unshare", "setns", "teardown",
		"sweep-mounts", "sweep-netns", "sweep-memory", "sweep-gap", "sweep-creators",
		"mount", "mount-overlay", "pivot", "sweep-mount-table", "sweep-mountns", "sweep-peers", "sweep-mounters", "attach",
		"engine", "control",
	}
	figures := figuresOf(t, specimen.File(40))
	if got := names(figures); !slices.Equal(got, want) {
		t.Errorf("figures %q, want %q", got, want)
	}
	for _, f := range figures {
		if f.Title == "" || f.Family == "" || len(f.Alt) < 40 {
			t.Errorf("figure %s: title %q, family %q, alt %q", f.Name, f.Title, f.Family, f.Alt)
		}
	}
}

// TestWhatTheFiguresSay compares the texts that stand for the pictures; it
// sees what changed in a figure without comparing pixels.
func TestWhatTheFiguresSay(t *testing.T) {
	var b strings.Builder
	for _, f := range figuresOf(t, specimen.File(40)) {
		fmt.Fprintf(&b, "%s: %s\n  lead: %s\n  foot: %s\n  alt: %s\n", f.Name, f.Title, f.sheet.lead, strings.Join(f.sheet.foot, " / "), f.Alt)
	}
	golden := filepath.Join("testdata", "figures.txt")
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

func TestTicks(t *testing.T) {
	labels := func(a axis) (texts []string) {
		for _, tick := range a.ticks {
			if tick.Label != "" {
				texts = append(texts, tick.Label)
			}
		}
		return texts
	}
	for _, test := range []struct {
		axis axis
		want []string
	}{
		{logAxis("", []float64{9e3, 1.2e6}, durationTick), []string{"10 us", "100 us", "1 ms"}},
		{logAxis("", []float64{0.5, 40}, durationTick), []string{"1 ns", "10 ns", "3 ns", "30 ns"}},
		{logAxis("", []float64{90e3, 240e3}, durationTick), []string{"100 us", "150 us", "200 us"}},
		{logAxis("", []float64{1e6, 1e6}, durationTick), []string{"950 us", "1 ms", "1.05 ms"}},
		{logAxis("", []float64{0, -4, 0.02, 20}, numberTick), []string{"0.1", "1", "10"}},
		{logAxis("", nil, numberTick), []string{"1", "3", "10"}},
		{linearAxis("", []float64{3e5, 2.2e6}, durationTick), []string{"0", "500 us", "1 ms", "1.5 ms", "2 ms"}},
		{linearAxis("", []float64{0, 2.4}, durationTick), []string{"0", "0.5 ns", "1 ns", "1.5 ns", "2 ns"}},
		{sweepAxis("", []float64{0, 1e6, 50e6}, durationTick, 400), []string{"0", "1 ms", "50 ms"}},
		{sweepAxis("", []float64{1, 8, 1024}, mebibyteTick, 400), []string{"1 MiB", "8 MiB", "1 GiB"}},
	} {
		got := labels(test.axis)
		slices.Sort(got)
		slices.Sort(test.want)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("from %g to %g: %s", test.axis.min, test.axis.max, diff)
		}
	}
}

func TestGrowthInWords(t *testing.T) {
	points := func(y func(x float64) float64, xs ...float64) (all []point) {
		for _, x := range xs {
			all = append(all, point{x: x, y: y(x)})
		}
		return all
	}
	for _, test := range []struct {
		points []point
		want   string
		drawn  bool
	}{
		{points(func(x float64) float64 { return 100e3 + 420*x }, 10, 100, 1000, 3000), "+ 420 ns per mount, R2 > 0.99", true},
		{points(func(x float64) float64 { return 100e3 + x }, 10, 100, 1000, 3000), "flat: within 3 %", false},
		{points(func(x float64) float64 { return 100e3 + 420*x }, 10, 3000), "104 us to 1.36 ms (13x)", false},
		{points(func(x float64) float64 { return 123 * x * x }, 10, 100, 1000, 3000), "12 us to 1.1 s (90,000x)", false},
		{points(func(x float64) float64 { return 200e3 / x }, 1, 2, 4, 8), "200 us to 25 us (0.12x)", false},
	} {
		g := grow(test.points, axis{log: true, min: 1, max: 4000}, "mount")
		if got := strings.Join(g.words, " "); got != test.want || (g.curve != nil) != test.drawn {
			t.Errorf("got %q, curve %v; want %q, curve %v", got, g.curve != nil, test.want, test.drawn)
		}
	}
}

func TestNoDataNoFigure(t *testing.T) {
	for family, want := range map[string][]string{
		"Setns":       {"setns"},
		"SweepGap":    {"sweep-gap"},
		"SweepMemory": {"sweep-memory"},
		"Unknown":     nil,
		"Pivot":       {"pivot"},
		"Attach":      {"attach"},
	} {
		if got := names(figuresOf(t, specimen.Only(10, family))); !slices.Equal(got, want) {
			t.Errorf("%s alone: figures %q, want %q", family, got, want)
		}
	}
	if got := figuresOf(t); got != nil {
		t.Errorf("no file: figures %q", names(got))
	}
}

func TestFiguresAreTheSameEachTime(t *testing.T) {
	first, second := figuresOf(t, specimen.File(40)), figuresOf(t, specimen.File(40))
	for i := range first {
		if svg(t, first[i]) != svg(t, second[i]) {
			t.Errorf("%s: two drawings of the same samples differ", first[i].Name)
		}
	}
	var a, b bytes.Buffer
	if err := first[0].PNG(&a); err != nil {
		t.Fatal(err)
	}
	if err := second[0].PNG(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Errorf("%s: two pictures of the same samples differ", first[0].Name)
	}
}

func TestPNGIsTwiceTheSheet(t *testing.T) {
	f := figuresOf(t, specimen.Only(20, "Setns"))[0]
	var b bytes.Buffer
	if err := f.PNG(&b); err != nil {
		t.Fatal(err)
	}
	picture, err := png.DecodeConfig(&b)
	if err != nil {
		t.Fatal(err)
	}
	if picture.Width != 2*sheetWidth {
		t.Errorf("width %d pixels, want %d", picture.Width, 2*sheetWidth)
	}
}

func TestSVGNamesFontsThatExistElsewhere(t *testing.T) {
	text := svg(t, figuresOf(t, specimen.Only(20, "Setns"))[0])
	for line := range strings.Lines(text) {
		if strings.Contains(line, "font-family") && !strings.Contains(line, "Liberation Sans,Arial,Helvetica,sans-serif") {
			t.Fatalf("no fallback in %s", line)
		}
	}
	if err := xml.Unmarshal([]byte(text), new(struct{})); err != nil {
		t.Errorf("the picture is not XML: %v", err)
	}
	if !strings.Contains(text, "<title>Joining a namespace that exists: setns</title>") {
		t.Error("the picture has no title for screen readers")
	}
}

// TestOddSamples draws what nobody hopes to measure: no case may stop the
// report.
func TestOddSamples(t *testing.T) {
	odd := map[string][]float64{
		"zero":      {0, 0, 0, 0, 0, 0, 0},
		"one":       {1},
		"negative":  {-5, -5, -5, -5, -5, -5, -5, -5},
		"few":       {60e3, 70e3},
		"constant":  {1e9, 1e9, 1e9, 1e9, 1e9, 1e9},
		"NaN":       {math.NaN(), math.NaN(), 5},
		"infinite":  {math.Inf(1), 5, 7, 9},
		"all of it": {0, -1, 1e-3, 5, 1e15, math.NaN(), math.Inf(1), 12},
	}
	for name, values := range odd {
		f := specimen.File(12)
		for i, c := range f.Cases {
			for unit := range c.Values {
				// Every other case stays as it is, so that both kinds meet.
				if i%2 == 0 || name == "constant" || name == "one" {
					c.Values[unit] = values
				}
			}
		}
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
}

// A hundred curves of thousands of samples each are no picture of several MB.
func TestManyCurvesStaySmall(t *testing.T) {
	var text strings.Builder
	r := rand.New(rand.NewPCG(1, 2))
	for curve := range 100 {
		for range 2500 {
			fmt.Fprintf(&text, "BenchmarkClone/flag=f%d/mode=vm/pacing=burst 1 %.0f reap-ns\n", curve, 3e5*math.Exp(0.1*r.NormFloat64()))
		}
	}
	f, err := sample.Read("many", strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	for _, fig := range figuresOf(t, f) {
		if size := len(svg(t, fig)); size > 3<<19 {
			t.Errorf("%s takes %d bytes", fig.Name, size)
		}
	}
}

func TestIncrementBelowZeroIsAnArrow(t *testing.T) {
	f := &sample.File{Path: "noise.txt"}
	add := func(flag string, values ...float64) {
		f.Cases = append(f.Cases, &sample.Case{
			Name:   "Clone/flag=" + flag + "/mode=vm/pacing=burst",
			Units:  []string{"reap-ns"},
			Values: map[string][]float64{"reap-ns": values},
		})
	}
	add("none", 60e3, 61e3, 62e3, 63e3, 64e3, 65e3, 66e3, 67e3)
	add("uts", 59e3, 60e3, 62e3, 63e3, 64e3, 64e3, 66e3, 67e3)
	add("net", 560e3, 561e3, 562e3, 563e3, 564e3, 565e3, 566e3, 567e3)
	figures := figuresOf(t, f)
	if len(figures) == 0 || figures[0].Name != "clone-increment" {
		t.Fatalf("figures %q", names(figures))
	}
	if foot := strings.Join(figures[0].sheet.foot, " "); !strings.Contains(foot, " Arrow: ") {
		t.Error("an interval that reaches below zero is not explained")
	}
}

func TestTwoMachinesAreNotMixed(t *testing.T) {
	here, there := specimen.Only(10, "Setns"), specimen.Only(10, "Setns")
	there.Config = slices.Clone(there.Config)
	there.Config[2].Value = "5.15.0"
	figures := figuresOf(t, here, there, specimen.Only(10, "Teardown"))
	if got, want := names(figures), []string{"setns", "teardown", "setns-2"}; !slices.Equal(got, want) {
		t.Fatalf("figures %q, want %q", got, want)
	}
	if figures[2].Group != 1 || !strings.Contains(svg(t, figures[2]), "kernel 5.15.0") {
		t.Error("the second machine's figure does not say where it comes from")
	}
}

func TestPoolJoinsOneConfiguration(t *testing.T) {
	a, b := specimen.Only(10, "Setns"), specimen.Only(10, "Setns", "Teardown")
	b.Path, b.Notes = "second.txt", []string{"the end is missing"}
	pooled := Pool([]*sample.File{a, b})
	if len(pooled) != 1 {
		t.Fatalf("%d groups, want 1", len(pooled))
	}
	p := pooled[0]
	if n := p.Case("Setns/flag=user/pacing=burst").N(); n != 20 {
		t.Errorf("%d samples, want 20", n)
	}
	if p.Path != "specimen.txt, second.txt" || len(p.Notes) != 1 || p.Case("Teardown/flag=net") == nil {
		t.Errorf("pooled file: path %q, notes %q", p.Path, p.Notes)
	}
	if n := a.Case("Setns/flag=user/pacing=burst").N(); n != 10 {
		t.Errorf("the input now has %d samples", n)
	}
}
