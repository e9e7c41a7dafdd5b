package sample

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzRead: a file that is cut anywhere has no more than the whole one, as a run
// that was killed leaves it; and every value belongs to a sample.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("../../results/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text[:min(len(text), 6000)]), 3000)
	}
	f.Add("kernel: 6.18\n# isoperf {\"version\":\"1\"}\nUnit a-ns better=lower\nBenchmarkA/b=c 1 2 a-ns 3 b-count\nBenchmarkA/b=c 1 x a-ns\n", 40)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		whole, err := Read("whole", strings.NewReader(text))
		if err != nil {
			return
		}
		for _, c := range whole.Cases {
			for unit, at := range c.At {
				if at != nil && len(at) != len(c.Values[unit]) {
					t.Errorf("case %q has %d values of %q and %d places for them", c.Name, len(c.Values[unit]), unit, len(at))
				}
			}
		}
		if cut < 0 || cut > len(text) {
			return
		}
		part, err := Read("part", strings.NewReader(text[:cut]))
		if err != nil {
			return
		}
		if len(part.Cases) > len(whole.Cases) {
			t.Errorf("cut after %d bytes it has %d cases, whole %d", cut, len(part.Cases), len(whole.Cases))
		}
	})
}
