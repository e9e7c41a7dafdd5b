package compare

import (
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
)

// Median is what one file says of a case, by the unit that stands for it.
type Median struct {
	Case, Unit string
	Better     string // "lower", "higher", or "" where neither is better
	Control    bool   // it measures the machine, and no code of a runtime
	stats.Summary
}

// Medians are those of all cases of a file that a comparison would count, and of
// its controls, in the file's order. The null case is both. The spans of a start
// that is there as a whole are left out, and so is whether limits are kept.
func Medians(f *sample.File) ([]Median, error) {
	columns, err := ByFile([]*sample.File{f})
	if err != nil {
		return nil, err
	}
	c := columns[0]
	var list []Median
	add := func(name, unit string, control bool) {
		if s := stats.Summarize(c.cases[name].values[unit]); s.N > 0 {
			list = append(list, Median{name, unit, better(c, unit), control, s})
		}
	}
	for _, name := range c.order {
		switch {
		case isControl(name):
			add(name, c.cases[name].main(), true)
		case !spansOfStart(name, c, c):
			add(name, c.cases[name].main(), false)
		}
		if name == nullCase {
			add(name, nullUnit, true)
		}
	}
	return list, nil
}

// Differing are the configuration keys in which two files differ, with both
// values: "kernel (6.18, 6.19)". Such files are not comparable.
func Differing(a, b []sample.Pair) []string { return differing(a, b) }

// AlikeButHost says whether two configurations differ in nothing but what is a
// machine's own: its name, kernel, CPU, cgroup setup.
func AlikeButHost(a, b []sample.Pair) bool {
	keep := func(list []sample.Pair) []sample.Pair {
		return slices.DeleteFunc(slices.Clone(list), func(p sample.Pair) bool { return p.Key == hostKey || ofHost(p.Key) })
	}
	return len(differing(keep(a), keep(b))) == 0
}

// ControlWords are what a control is, in words: "the clock".
func ControlWords(name string) string { return Control{Name: name}.words() }

// ControlFloor is by how much a control may be off between two runs on the same
// machine.
const ControlFloor = controlFloor

// Family is the first part of a case's name: "Clone" of "Clone/flag=net".
func Family(name string) string {
	family, _, _ := strings.Cut(name, "/")
	return family
}
