// Package compare says what changed between result files, and whether a change
// may be laid at the code's door.
//
//	files ──ByFile, ByKey──► columns ──Compare──► rows: old, new, ratio, interval, p, noise
//	                                               │
//	            configuration differs, controls    ├─ machine: not comparable
//	            moved, most rows moved together ───┘
//	                                               ├─ Holm over the family, judge: a verdict each
//	                                               ├─ check: the same blocks dealt anew, 300 times:
//	                                               │         how often is that a false alarm?
//	                                               └─ phases: where a slower start's time went
//	                                               ▼
//	              Write, Markdown, JUnit, JSON, CSV, … (pure functions of a Comparison)
//
// A row counts as a change only when three things hold: the Mann–Whitney test
// finds one, among so many rows (Holm); the interval of the ratio (Hodges–Lehmann)
// leaves out 1; and the ratio goes beyond the row's own noise and the floor that
// the user set. Noise is what the same row does without any change: from an A/A
// run when there is one, else from how far parts of the two files lie apart. The
// test alone would not do: it takes samples for independent of each other, and
// neighbours on a machine come and go.
//
// Two runs on a shared machine differ although no code did. So the controls veto:
// the clock, a fixed computation and the null case are in every file, and when
// they moved, or most rows moved together, nothing is said of the code. Columns by
// host are the exception: there the machines are what is compared.
package compare

import (
	"slices"

	"isoperf/reports/stats"
)

// Verdict is what is said of a row, or of all.
type Verdict string

// The verdicts.
const (
	Same       Verdict = "same"        // shown to be within the row's bound
	Slower     Verdict = "slower"      // worse, whatever the unit
	Faster     Verdict = "faster"      // better
	CannotTell Verdict = "cannot tell" // neither is shown
	New        Verdict = "new"         // the base does not have it
	Gone       Verdict = "gone"        // only the base has it
	Apart      Verdict = "not comparable"
)

// Alpha is the probability of calling a change where there is none, over all
// rows of a comparison, as far as samples are independent of each other.
const Alpha = 0.05

// DefaultFloor is the least change that counts when the user does not say: 2 %.
const DefaultFloor = 0.02

// Options are the rules. The zero value is the default.
type Options struct {
	// Floor is the least change that counts, as a ratio: 0.02 is 2 %. 0: DefaultFloor.
	Floor float64
	// Noise is by how much each row differs when nothing does, as a ratio: from an
	// A/A run, or from a history, by Row.Key. nil, or a row that it has not: from the
	// files.
	Noise map[string]float64
	// All units are rows, not just each case's main one. The others are never
	// counted.
	All bool
	// Interleaved says that the sides took turns, so that the machine was the same
	// for both: rows that move together then do so by the code, and so does the
	// null case. The clock and the computation still veto.
	Interleaved bool
}

func (o Options) floor() float64 {
	if o.Floor > 0 {
		return o.Floor
	}
	return DefaultFloor
}

// Row is one case and unit of two columns.
type Row struct {
	Case, Unit string
	Main       bool   // the case's main unit, which counts
	Better     string // "lower", "higher", or "" where neither is better

	Old, New stats.Summary
	Ratio    stats.Factor // of new by old
	P        float64      // Mann–Whitney
	Adjusted float64      // the same among all rows that count (Holm); NaN for others
	Noise    float64      // by how much it differs when nothing does, as a ratio: 0.03 is 3 %
	Bound    float64      // beyond which a change counts: the floor or the noise, whichever is more
	Class    string       // "stable", "noisy", "erratic": how far it scatters; an erratic one is neither slower nor faster
	Verdict  Verdict
	Why      string // of "cannot tell", "not comparable", "new" and "gone"; may be empty
	Need     int    // about how many more samples on each side would tell; 0: more would not, or unknown

	old, next side
	known     bool // the noise is of an A/A run
}

// Key names the row.
func (r Row) Key() string { return r.Case + " " + r.Unit }

// Change is the ratio as a change: 0.08 is 8 % more.
func (r Row) Change() float64 { return r.Ratio.Ratio - 1 }

// Compared says whether both columns have it.
func (r Row) Compared() bool { return r.Old.N > 0 && r.New.N > 0 }

// worse says whether a ratio is worse: a larger one is, unless the unit's
// metadata says that higher is better.
func (r Row) worse(ratio float64) bool { return (ratio > 1) != (r.Better == "higher") }

// Comparison is base against one other column.
type Comparison struct {
	Base, Head string // what the columns are called
	Rows       []Row
	Machine    Machine
	Check      Check
	Verdict    Verdict // Slower, Apart, CannotTell, Faster, Same
	Floor      float64
	Phases     []Phase // where a slower start's time went, the largest that is sure first
	Notes      []string

	// Interleaved says that the sides took turns, and Turns how far it can be
	// believed, of samples that were judged meanwhile; empty: they were not.
	Interleaved bool
	Turns       string

	BaseFiles, HeadFiles []string     // their paths
	Config               []Difference // the machine: all configuration keys, whether they differ or not
	Environment          []Difference // what else the first files record, where it differs
}

// Compare compares two columns.
func Compare(base, head Column, o Options) Comparison {
	c := Comparison{Base: base.Name, Head: head.Name, Floor: o.floor(), Interleaved: o.Interleaved}
	c.Rows = rows(base, head, o)
	c.Machine = machine(base, head, o)
	holm(c.Rows)
	for i := range c.Rows {
		c.Rows[i].judge()
	}
	if c.Machine.Apart == "" && !o.Interleaved && !c.Machine.Hosts {
		c.Machine.together(c.Rows, c.Floor)
	}
	c.check(o.Interleaved)
	c.doubt("with the parts of both files dealt anew, rows move as much")
	if c.Machine.Apart != "" {
		for i := range c.Rows {
			if r := &c.Rows[i]; r.Compared() {
				r.Verdict, r.Why, r.Need = Apart, c.Machine.Apart, 0
			}
		}
	}
	c.Verdict = c.verdict()
	c.Phases = phases(base, head, c.Rows)
	c.Notes = slices.Concat(c.Machine.hostNotes(base, head), base.Notes, head.Notes)
	c.BaseFiles, c.HeadFiles = base.paths(), head.paths()
	c.Config, c.Environment = configs(base, head), environments(base, head)
	for i := range c.Rows {
		c.Rows[i].old, c.Rows[i].next = side{}, side{}
	}
	return c
}

// Count is how many rows that count have a verdict.
func (c Comparison) Count(v Verdict) (n int) {
	for _, r := range c.Rows {
		if r.Main && r.Verdict == v {
			n++
		}
	}
	return n
}

// verdict is that of all: the worst. Without a row that both columns have, it is
// that nothing can be told.
func (c Comparison) verdict() Verdict {
	if c.Machine.Apart != "" {
		return Apart
	}
	for _, v := range []Verdict{Slower, Apart, CannotTell, Faster, Same} {
		if c.Count(v) > 0 {
			return v
		}
	}
	return CannotTell
}
