package compare

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"isoperf/bench/sample"
)

// Column is one side of a comparison: the cases of one file, or those of all
// files that have the same value of a key.
type Column struct {
	Name   string
	Files  []*sample.File
	Notes  []string // about its files
	host   bool     // it is a host, and is compared with others for that
	config []sample.Pair
	order  []string
	cases  map[string]*series
	better map[string]string // by unit
}

// Config are the configuration keys that its files have in common.
func (c Column) Config() []sample.Pair { return slices.Clone(c.config) }

// series is a case of a column, with the samples of all of its files.
type series struct {
	units    []string
	values   map[string][]float64
	blocks   map[string][]int // where stretches of samples without a break begin
	files    map[string][]int // where each file's values begin
	lines    map[string]int   // that have the unit, with a number or not
	samples  int
	failures []string // why operations failed
}

// main is the unit that stands for the case: of a start, until the payload is
// ready; of others, the last of the sample lines.
func (s *series) main() string {
	if len(s.units) == 0 {
		return ""
	}
	if slices.Contains(s.units, readyUnit) {
		return readyUnit
	}
	return s.units[len(s.units)-1]
}

// mixed says whether some of its lines do not have a unit: then it is not known what
// stands for the case.
func (s *series) mixed(unit string) bool { return s.lines[unit] < s.samples }

// side is one unit, cut into parts.
func (s *series) side(unit string) side {
	return newSide(s.values[unit], s.blocks[unit], s.files[unit])
}

// ByFile makes a column of each file.
func ByFile(files []*sample.File) ([]Column, error) {
	if err := distinct(files); err != nil {
		return nil, err
	}
	var list []Column
	for _, f := range files {
		c := newColumn(columnName(f.Path))
		if err := c.add(f, ""); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	names := map[string]int{}
	for _, c := range list {
		names[c.Name]++
	}
	for i := range list {
		if names[list[i].Name] > 1 {
			list[i].Name = list[i].Files[0].Path
		}
	}
	return list, nil
}

// distinct refuses files that hold the same samples: a copy is the same as
// nothing else in the world, and says nothing of a change.
func distinct(files []*sample.File) error {
	for i, f := range files {
		if doubled(f) {
			return fmt.Errorf("compare %q: it holds the same samples twice; give the file as it was written", f.Path)
		}
		for _, g := range files[:i] {
			if sameSamples(f, g) {
				return fmt.Errorf("compare %q with %q: they hold the same samples, one is a copy of the other; give two runs", g.Path, f.Path)
			}
		}
	}
	return nil
}

// doubled says whether the second half of all samples of a file is the first again.
func doubled(f *sample.File) bool {
	seen := false
	for _, c := range f.Cases {
		for _, unit := range c.Units {
			v := c.Values[unit]
			half := len(v) / 2
			if len(v)%2 == 1 || !slices.Equal(v[:half], v[half:]) {
				return false
			}
			seen = seen || half >= leastPart && varies(v[:half])
		}
	}
	return seen
}

// sameSamples says whether two files have cases in common, and those have the
// same values throughout.
func sameSamples(f, g *sample.File) bool {
	seen := false
	for _, c := range f.Cases {
		d := g.Case(c.Name)
		if d == nil || c.N() == 0 {
			continue
		}
		for _, unit := range c.Units {
			// A file may hold one sample, or have been cut short: what both have counts.
			a, b := c.Values[unit], d.Values[unit]
			n := min(len(a), len(b))
			if n < leastPart {
				continue
			}
			if !slices.Equal(a[:n], b[:n]) {
				return false
			}
			seen = seen || varies(a[:n])
		}
	}
	return seen
}

// varies says whether values are not all the same: counts may be, in any run.
func varies(values []float64) bool {
	return slices.ContainsFunc(values, func(v float64) bool { return v != values[0] })
}

func columnName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".txt") }

// ByKey makes a column of each value of a key: of the cases' names ("runtime"),
// or of the files' configuration ("kernel", "host", a label). The rows are then
// the names without it. By "host" machines are compared, and no code (machine.go).
func ByKey(files []*sample.File, key string) ([]Column, error) {
	if err := distinct(files); err != nil {
		return nil, err
	}
	var list []Column
	at := func(name string) *Column {
		i := slices.IndexFunc(list, func(c Column) bool { return c.Name == name })
		if i < 0 {
			list = append(list, newColumn(name))
			i = len(list) - 1
		}
		return &list[i]
	}
	for _, f := range files {
		if value := f.Key(key); value != "" {
			column := at(value)
			column.host = key == hostKey
			if err := column.add(f, key); err != nil {
				return nil, err
			}
			continue
		}
		seen := map[string]bool{}
		for _, c := range f.Cases {
			if v := c.Param(key); v != "" && !seen[v] {
				seen[v] = true
				if err := at(v).addOnly(f, key, v); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("compare by %q: no case and no file has that key; the keys are %s", key, strings.Join(Keys(files), ", "))
	}
	return list, nil
}

// Keys are those by which files can be told apart.
func Keys(files []*sample.File) []string {
	var list []string
	add := func(key string) {
		if key != "" && !slices.Contains(list, key) {
			list = append(list, key)
		}
	}
	for _, f := range files {
		for _, c := range f.Cases {
			for _, part := range strings.Split(c.Name, "/")[1:] {
				key, _, _ := strings.Cut(part, "=")
				add(key)
			}
		}
	}
	for _, f := range files {
		for _, p := range f.Config {
			add(p.Key)
		}
	}
	return list
}

func newColumn(name string) Column {
	return Column{Name: name, cases: map[string]*series{}, better: map[string]string{}}
}

// add takes all of a file's cases; key is left out of the configuration.
func (c *Column) add(f *sample.File, key string) error {
	return c.take(f, key, func(s *sample.Case) (string, bool) { return s.Name, true })
}

// addOnly takes the cases of a file that have a value of a key, and its controls.
func (c *Column) addOnly(f *sample.File, key, value string) error {
	return c.take(f, key, func(s *sample.Case) (string, bool) {
		if isControl(s.Name) {
			return s.Name, true
		}
		return without(s.Name, key), s.Param(key) == value
	})
}

// without is a case's name without a key.
func without(name, key string) string {
	parts := slices.DeleteFunc(strings.Split(name, "/"), func(p string) bool { return strings.HasPrefix(p, key+"=") })
	return strings.Join(parts, "/")
}

func (c *Column) take(f *sample.File, key string, of func(*sample.Case) (string, bool)) error {
	config := slices.DeleteFunc(slices.Clone(f.Config), func(p sample.Pair) bool { return p.Key == key })
	if len(c.Files) > 0 && !slices.Equal(c.config, config) {
		return fmt.Errorf("put %q and %q into one column %q: they differ in %s; leave one out, or compare them by that key (--col)", c.Files[0].Path, f.Path, c.Name, strings.Join(differing(c.config, config), ", "))
	}
	c.config = config
	c.Files = append(c.Files, f)
	for _, note := range f.Notes {
		c.Notes = append(c.Notes, f.Path+": "+note)
	}
	for _, u := range f.Units {
		c.better[u.Name] = u.Better
	}
	judged := map[string]bool{}
	for _, k := range f.Checked {
		judged[k.Case] = true
	}
	limits := 0
	for _, s := range f.Cases {
		name, ok := of(s)
		switch {
		case ok && judged[s.Name]:
			limits++
		case ok:
			c.append(name, s)
		}
	}
	if limits > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("%s: %d cases measure whether a limit is kept, which is judged by itself (isoperf verify), and never compared", f.Path, limits))
	}
	return nil
}

// append adds a file's samples of a case. What is no number is left out.
func (c *Column) append(name string, s *sample.Case) {
	mine := c.cases[name]
	if mine == nil {
		mine = &series{values: map[string][]float64{}, blocks: map[string][]int{}, files: map[string][]int{}, lines: map[string]int{}}
		c.cases[name] = mine
		c.order = append(c.order, name)
	}
	mine.failures = append(mine.failures, s.Failures...)
	mine.samples += s.N()
	for _, unit := range s.Units {
		if !slices.Contains(mine.units, unit) {
			mine.units = append(mine.units, unit)
		}
		mine.lines[unit] += len(s.Values[unit])
		before := len(mine.values[unit])
		mine.files[unit] = append(mine.files[unit], before)
		mine.values[unit] = slices.Grow(mine.values[unit], len(s.Values[unit]))
		next := 0
		for i, v := range s.Values[unit] {
			if at := s.At[unit]; at != nil {
				i = at[i]
			}
			for next < len(s.Blocks) && s.Blocks[next] <= i {
				if n := len(mine.blocks[unit]); n == 0 || mine.blocks[unit][n-1] < len(mine.values[unit]) {
					mine.blocks[unit] = append(mine.blocks[unit], len(mine.values[unit]))
				}
				next++
			}
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				mine.values[unit] = append(mine.values[unit], v)
			}
		}
	}
}

// differing are the keys in which two configurations differ.
func differing(a, b []sample.Pair) []string {
	var list []string
	value := func(list []sample.Pair, key string) string {
		for _, p := range list {
			if p.Key == key {
				return p.Value
			}
		}
		return ""
	}
	for _, p := range append(slices.Clone(a), b...) {
		x, y := value(a, p.Key), value(b, p.Key)
		text := fmt.Sprintf("%s (%s, %s)", p.Key, orNone(x), orNone(y))
		if x != y && !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Names of cases that mean something here.
const (
	controlFamily = "Control"
	nullCase      = "Clone/flag=none/mode=vm/pacing=burst"
	nullUnit      = "clone-ns"
	startFamily   = "Startup/"
	readyUnit     = "ready-ns"
	spansFamily   = "StartupSpans/"
	spanPrefix    = "span."
)

// isControl says whether a case measures the machine, and no code of a runtime.
func isControl(name string) bool { return strings.HasPrefix(name, controlFamily+"/") }

// notMeasured is why a case was not measured; empty: nothing is said of it.
func (c Column) notMeasured(name string) string {
	for _, f := range c.Files {
		for _, n := range f.NotMeasured {
			if n.Case == name {
				return n.Why
			}
		}
	}
	return ""
}

// cut says whether one of the runs did not come to its end. Files of other
// programs do not say how they ended.
func (c Column) cut() bool {
	return slices.ContainsFunc(c.Files, func(f *sample.File) bool { return f.Fingerprint != nil && f.End.Why != "done" })
}
