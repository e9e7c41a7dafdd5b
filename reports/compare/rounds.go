package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/reports/sequential"
	"isoperf/reports/stats"
)

// Known are the options with what the files themselves say of the measurement: by
// how much rows differ when nothing does (the larger one where two do; it goes
// before what the options have), and that the sides took turns in one run.
func Known(base, head Column, o Options) Options {
	before := o.Noise
	o.Noise = map[string]float64{}
	seeds := map[string]bool{}
	for _, f := range append(slices.Clone(base.Files), head.Files...) {
		for _, n := range f.Noise {
			key := Row{Case: n.Case, Unit: n.Unit}.Key()
			o.Noise[key] = max(o.Noise[key], n.Ratio)
		}
		seeds[f.Recorded("seed")] = true
	}
	for key, ratio := range before {
		if _, ok := o.Noise[key]; !ok {
			o.Noise[key] = ratio
		}
	}
	o.Interleaved = len(seeds) == 1 && !seeds[""]
	return o
}

// Rounds compares two columns whose samples took turns: rows that were judged
// round by round (by Row.Key) have that verdict, and their ratio is that of the
// rounds; check is how often these would have been a false alarm. What the machine did is no part of it, since it did it to both sides;
// only a different configuration keeps them apart. A row with failures on a side
// is neither the same nor faster: what failed may be what took its time.
func Rounds(base, head Column, found []sequential.Finding, check Check, o Options) Comparison {
	c := Compare(base, head, Known(base, head, o))
	if len(c.Machine.Differs) > 0 {
		return c
	}
	c.Machine.Apart = ""
	index := func(r Row) int {
		return slices.IndexFunc(found, func(f sequential.Finding) bool { return f.Case == r.Key() })
	}
	// The phases of a start, and the controls, are no rows of their own.
	c.Rows = slices.DeleteFunc(c.Rows, func(r Row) bool {
		if r.Verdict == New || r.Verdict == Gone {
			return strings.HasPrefix(r.Case, spansFamily)
		}
		return index(r) < 0
	})
	for i := range c.Rows {
		r := &c.Rows[i]
		if r.Verdict == New || r.Verdict == Gone {
			continue
		}
		at := index(*r)
		r.take(found[at], c.Floor)
		if n, m := base.failed(r.Case), head.failed(r.Case); n+m > 0 && (r.Verdict == Same || r.Verdict == Faster) {
			r.Verdict, r.Need = CannotTell, 0
			r.Why = fmt.Sprintf("it failed %d times with %s and %d with %s", n, base.Name, m, head.Name)
		}
	}
	c.Check = check
	c.doubt("with the change taken out, the same rounds move as much")
	c.Verdict = c.verdict()
	c.Phases = phases(base, head, c.Rows)
	c.Turns = turns(found)
	return c
}

// turns says how far findings can be believed.
func turns(found []sequential.Finding) string {
	if len(found) == 0 {
		return ""
	}
	widest, rounds, fresh := found[0], 0, 0
	for _, f := range found {
		if f.Noise > widest.Noise {
			widest = f
		}
		first := f.First.Rounds
		if first == 0 {
			first = f.Estimate.Rounds
		}
		rounds, fresh = max(rounds, first), max(fresh, f.Again.Rounds)
	}
	b := widest.Band
	text := fmt.Sprintf("base against itself %+.1f %%", 100*(b.Ratio-1))
	if !math.IsInf(b.Hi, 0) && !math.IsNaN(b.Hi) {
		text += fmt.Sprintf(" (%+.1f .. %+.1f)", 100*(b.Lo-1), 100*(b.Hi-1))
	}
	text += fmt.Sprintf(" in %d rounds; base and head in turns in %d", b.Rounds, rounds)
	if fresh > 0 {
		text += fmt.Sprintf(", and %d fresh ones to confirm", fresh)
	}
	return text
}

// failed is how many of a case's operations failed.
func (c Column) failed(name string) (n int) {
	for _, f := range c.Files {
		if s := f.Case(name); s != nil {
			n += len(s.Failures)
		}
	}
	return n
}

// take has a row say what its rounds do. A finding is of what it costs: where
// higher is better, of the inverse.
func (r *Row) take(f sequential.Finding, floor float64) {
	e := f.Estimate
	r.Ratio = stats.Factor{Ratio: e.Ratio, Lo: e.Lo, Hi: e.Hi, Confidence: 1 - sequential.Alpha, N: e.Rounds, BaseN: e.Rounds}
	if r.Better == "higher" {
		r.Ratio.Ratio, r.Ratio.Lo, r.Ratio.Hi = 1/e.Ratio, 1/e.Hi, 1/e.Lo
	}
	r.P, r.Adjusted, r.Noise, r.Bound = f.P, f.P, f.Noise, max(floor, f.Noise)
	r.Verdict, r.Why, r.Need = Verdict(f.Verdict), f.Why, f.Need
}
