package network

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
)

// Cell is one case: the samples that count, and why others do not.
type Cell struct {
	Key
	Case     string
	runs     []map[string][]float64 // of each run, the values of the samples that count, by unit
	series   []sample.Series        // of those samples
	waited   []float64              // nanoseconds, of each: from "said to be ready" to the first handshake
	facts    map[string]string      // of the last of them
	Unproven []string               // why the path of a sample was not proved
	Failed   []string               // why others failed
}

// View is all that a file says of networks.
type View struct {
	cells []*Cell // as a report shows them
	runs  int
}

// Read reads a file, or the runs of one that was pooled. It is never nil.
func Read(f *sample.File) *View {
	runs := f.Runs
	if len(runs) == 0 {
		runs = []*sample.File{f}
	}
	v := &View{runs: len(runs)}
	byName := map[string]*Cell{}
	for i, r := range runs {
		for _, c := range r.Cases {
			if !Told(c.Family()) {
				continue
			}
			cell := byName[c.Name]
			if cell == nil {
				cell = &Cell{Key: keyOf(c), Case: c.Name, runs: make([]map[string][]float64, len(runs)), facts: map[string]string{}}
				byName[c.Name] = cell
				v.cells = append(v.cells, cell)
			}
			cell.read(i, r, c)
		}
	}
	slices.SortStableFunc(v.cells, func(a, b *Cell) int { return a.compare(b.Key) })
	return v
}

// mainUnit is the figure without which a sample of a family says nothing.
func mainUnit(family string) string {
	switch family {
	case Request:
		return "rr-ns"
	case Connect:
		return "crr-ns"
	case Setup:
		return "setup-ns"
	}
	return goodput
}

const goodput = "goodput-B/s"

// unproven begins the reason of a failure that is one of proof.
const unproven = "not proven: "

// read adds what the i-th run says of the case.
func (c *Cell) read(i int, f *sample.File, from *sample.Case) {
	c.runs[i] = map[string][]float64{}
	for _, why := range from.Failures {
		if reason, ok := strings.CutPrefix(why, unproven); ok {
			c.Unproven = append(c.Unproven, reason)
		} else {
			c.Failed = append(c.Failed, why)
		}
	}
	for n := range from.N() {
		doubts, facts := proof(f, from, n)
		if len(doubts) > 0 {
			c.Unproven = append(c.Unproven, strings.Join(doubts, "; "))
			continue
		}
		for k, v := range facts {
			c.facts[k] = v
		}
		for _, unit := range from.Units {
			if v, ok := from.Value(unit, n); ok && isFinite(v) {
				c.runs[i][unit] = append(c.runs[i][unit], v)
			}
		}
		if said, ok := from.Value("said-ns", n); ok {
			if shook, ok := from.Value("setup-ns", n); ok {
				c.waited = append(c.waited, shook-said)
			}
		}
		for _, s := range f.Series {
			if s.Case == from.Name && s.Sample == n {
				c.series = append(c.series, s)
			}
		}
	}
}

// proof says why a sample does not count; none: it does.
func proof(f *sample.File, c *sample.Case, n int) (doubts []string, facts map[string]string) {
	checked := false
	for _, k := range f.Checked {
		if k.Case != c.Name || k.Sample != n || k.Limit != "path" {
			continue
		}
		checked, facts = true, k.Facts
		doubts = append(doubts, k.Doubts...)
		if k.Asked != c.Param("path") {
			doubts = append(doubts, fmt.Sprintf("path %q was checked", k.Asked))
		}
	}
	if !checked {
		doubts = append(doubts, "the file does not say what was checked")
	}
	unit := mainUnit(c.Family())
	switch v, ok := c.Value(unit, n); {
	case !ok:
		doubts = append(doubts, "the file does not have its "+unit)
	case !isFinite(v) || v <= 0:
		doubts = append(doubts, "its "+unit+" is no number above zero")
	}
	return doubts, facts
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// values of a unit, of all runs.
func (c *Cell) values(unit string) (all []float64) {
	if c == nil {
		return nil
	}
	for _, r := range c.runs {
		all = append(all, r[unit]...)
	}
	return all
}

// Of is the summary of a unit over the samples that count; its median is NaN
// where there is none. It may be asked of a cell that is not there.
func (c *Cell) Of(unit string) stats.Summary { return stats.Summarize(c.values(unit)) }

// N is how many samples count.
func (c *Cell) N() int {
	if c == nil {
		return 0
	}
	return len(c.values(mainUnit(c.Family)))
}

// Median of a unit; NaN where there is none.
func (c *Cell) Median(unit string) float64 { return c.Of(unit).Median }

// Curves are the series of that name of the samples that count.
func (c *Cell) Curves(name string) (some []sample.Series) {
	for _, s := range c.series {
		if s.Name == name && len(s.Points) > 1 {
			some = append(some, s)
		}
	}
	return some
}

// why is the reason that a cell has no figure; "" where it has one.
func (c *Cell) why() (word, reason string) {
	switch {
	case c == nil:
		return "not measured", ""
	case c.N() > 0:
		return "", ""
	case len(c.Unproven) > 0:
		return "not proven", c.Unproven[0]
	case len(c.Failed) > 0:
		return "failed", c.Failed[0]
	}
	return "no sample", "the file has no sample of it"
}

// Of are a family's cells, as a report shows them: those without a figure too.
func (v *View) Of(family string) (some []*Cell) {
	for _, c := range v.cells {
		if c.Family == family {
			some = append(some, c)
		}
	}
	return some
}

// find is the cell of a key, or nil.
func (v *View) find(k Key) *Cell {
	for _, c := range v.cells {
		if c.Key == k {
			return c
		}
	}
	return nil
}

// distinct are the values of what a key holds, sorted by the order in which they
// are shown, of the cells that are wanted.
func distinct[T comparable](cells []*Cell, of func(Key) T, want func(*Cell) bool) (all []T) {
	for _, c := range cells {
		if v := of(c.Key); want(c) && !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}
