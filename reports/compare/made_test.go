package compare

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"isoperf/bench/sample"
)

// shape draws one value of a distribution, around 1.
type shape func(*rand.Rand) float64

func lognormal(sigma float64) shape {
	return func(r *rand.Rand) float64 { return math.Exp(sigma * r.NormFloat64()) }
}

func bimodal(r *rand.Rand) float64 {
	if r.Float64() < 0.6 {
		return 1 + 0.02*r.NormFloat64()
	}
	return 1.5 + 0.05*r.NormFloat64()
}

// heavy has strays of any size: a Pareto tail without a variance.
func heavy(r *rand.Rand) float64 { return 0.95 + 0.05*math.Pow(1-r.Float64(), -1/1.5) }

// run is a made-up run: cases with so many samples in blocks of ten, each around
// its median.
type run struct {
	name    string
	shape   shape
	medians map[string]float64 // by case; nil: 10 cases around 100,000
	n       int                // samples of a case; 0: 60
	drift   float64            // the step of a random walk that all blocks of a case follow
	lines   []string           // beside the samples
}

var plain = []string{"goos: linux", "kernel: 6.18", "# isoperf {\"version\":\"test\"}"}

// cases are ten that cost the same, but for some that take longer by a factor.
func cases(slow map[string]float64) map[string]float64 {
	all := map[string]float64{"Control/what=clock": 25, "Control/what=compute": 150_000, nullCase: 30_000}
	for i := range 10 {
		all[fmt.Sprintf("Startup/runtime=r%d", i)] = 100_000 * float64(i+1)
	}
	for name, factor := range slow {
		all[name] *= factor
	}
	return all
}

// text is the run as a result file.
func (m run) text(rng *rand.Rand) string {
	if m.medians == nil {
		m.medians = cases(nil)
	}
	if m.n == 0 {
		m.n = 60
	}
	if m.lines == nil {
		m.lines = plain
	}
	var b strings.Builder
	for _, l := range m.lines {
		b.WriteString(l + "\n")
	}
	walk := map[string]float64{}
	for from := 0; from < m.n; from += 10 {
		for name := range sorted(m.medians) {
			walk[name] += m.drift * rng.NormFloat64()
			for range min(10, m.n-from) {
				v := m.medians[name] * math.Exp(walk[name]) * m.shape(rng)
				unit := "ready-ns"
				if name == nullCase {
					unit = nullUnit
				}
				fmt.Fprintf(&b, "Benchmark%s 1 %g %s\n", name, v, unit)
			}
		}
	}
	return b.String() + "# end {\"why\":\"done\"}\n"
}

// sorted are a map's keys in order, so that a test is the same each time.
func sorted(m map[string]float64) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range 200 {
			for _, prefix := range []string{"Control/what=clock", "Control/what=compute", nullCase, fmt.Sprintf("Startup/runtime=r%d", i)} {
				if _, ok := m[prefix]; ok && (i == 0 || strings.HasPrefix(prefix, "Startup")) {
					if !yield(prefix) {
						return
					}
				}
			}
		}
	}
}

func parsed(t *testing.T, name, text string) *sample.File {
	t.Helper()
	f, err := sample.Read(name, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func column(t *testing.T, name, text string) Column {
	t.Helper()
	c, err := ByFile([]*sample.File{parsed(t, name, text)})
	if err != nil {
		t.Fatal(err)
	}
	return c[0]
}

// compared makes two runs and compares them.
func compared(t *testing.T, rng *rand.Rand, old, next run, o Options) Comparison {
	t.Helper()
	return Compare(column(t, "base.txt", old.text(rng)), column(t, "head.txt", next.text(rng)), o)
}

// recorded are 18 whole runs of the clone family, one after another, on a virtual
// machine with two CPUs and a load between 2 and 20; of each, 38 cases.
func recorded(t *testing.T, file string) []Column {
	t.Helper()
	packed, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var list []Column
	for _, part := range strings.Split(string(all), "== ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		list = append(list, column(t, name, text))
	}
	return list
}
