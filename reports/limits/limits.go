// Package limits judges: it reads what was measured of control groups' limits and
// says of each whether the kernel keeps it.
//
//	result file ──Judge──► judgements ──► Write, WriteWatch: words and a table
//	 samples, Checked       one a case └► JSON, JUnit, Metrics: for programs
//
// A judgement is absolute. The error of a limit is held against a tolerance, and
// against a budget: by how much the kernel may be off by its own constants in so
// short a time. Four verdicts:
//
//	accurate        the error is within the tolerance, and so is the budget
//	within budget   the error is within the budget, which is wider than the tolerance:
//	                a longer measurement could tell more
//	inaccurate      the error is beyond both
//	not judged      there is a reason to doubt that the measurement says anything of
//	                the kernel: what was limited, by whom, or how fully it was used
//
// Nothing that was doubted is ever accurate. See the table of rules, one file a
// limit.
package limits

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
)

// Verdict is what is said of a limit.
type Verdict string

// The verdicts.
const (
	Accurate   Verdict = "accurate"
	Within     Verdict = "within budget"
	Inaccurate Verdict = "inaccurate"
	NotJudged  Verdict = "not judged"
)

// Tolerance is the error that is accurate, when nothing else is asked for: a
// tenth of what the kernel's own tests accept.
const Tolerance = 0.02

// Options say how to judge.
type Options struct {
	Tolerance float64 // relative; 0: Tolerance
}

func (o Options) tolerance() float64 {
	if o.Tolerance > 0 {
		return o.Tolerance
	}
	return Tolerance
}

// Judgement is what is said of one case.
type Judgement struct {
	Case    string  `json:"case"`             // its name in the result file
	Limit   string  `json:"limit"`            // as version 2 calls it: "cpu.max"
	Asked   string  `json:"asked"`            // the limit in words: "20 % / 100 ms"
	Where   string  `json:"where,omitempty"`  // the group that has the limit, of one that was there already
	Got     string  `json:"got,omitempty"`    // what it came to: "20.03 %"; empty: nothing was measured
	Error   float64 `json:"error"`            // relative to what was entitled, where Unit is empty
	Budget  float64 `json:"budget"`           // by how much Error may be off, although the kernel is right
	Unit    string  `json:"unit,omitempty"`   // of Error and Budget: empty for a ratio, "points", "count", "B", "ns"
	Worst   string  `json:"worst,omitempty"`  // the worst that was felt: "80 ms"
	Kernel  string  `json:"kernel,omitempty"` // what the kernel's own test would accept: "16.4 .. 24.4 %"
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"`  // of inaccurate and not judged
	Note    string  `json:"note,omitempty"` // what else a reader must know
	Windows int     `json:"windows"`        // samples that were taken
	Counted int     `json:"counted"`        // of them, those without doubts
	// Figures are what the judgement was made of, by the units of the file:
	// medians of the samples that count.
	Figures map[string]float64 `json:"figures,omitempty"`
}

// rule judges the cases of one family.
type rule struct {
	family string // of the case's name
	limit  string // as version 2 calls it
	judge  func(c *sample.Case, counted map[string]float64, facts map[string]string, o Options) Judgement
	// curve looks at the series of the samples that count as well; nil: there is
	// nothing in them to judge.
	curve func(j Judgement, all []sample.Series, facts map[string]string) Judgement
	// each has every window that counts judged by itself too: a median would hide
	// one that was not as the others.
	each bool
	// exact: one such window is enough to say that the limit is not kept.
	exact bool
	needs []string // units without which a sample says nothing
	// columns are the heads of the table's columns between "asked" and "verdict".
	columns []column
	words   int // how many of the first columns hold words: they keep to the left
	// word is the verdict in the table; nil: the verdict itself.
	word func(Judgement) string
}

// column is one of a limit's table.
type column struct {
	head string
	cell func(Judgement) string
}

// rules are all, in the order of the tables.
func rules() []rule {
	return []rule{cpuMax(), cpuConverge(), cpuBurst(), cpuWeight(), cpuset(), memoryMax(), oomKill(), memoryHigh(), pidsMax(), ioMax(), freeze(), watch()}
}

// Judge judges every case of a file that has a rule, and what could not be
// measured.
func Judge(f *sample.File, o Options) []Judgement {
	var list []Judgement
	for _, r := range rules() {
		for _, c := range f.Family(r.family) {
			if c.N() > 0 || !noted(f, c.Name) {
				list = append(list, r.one(f, c, o))
			}
		}
		for _, n := range f.NotMeasured {
			family, _, _ := strings.Cut(n.Case, "/")
			if family == r.family && (f.Case(n.Case) == nil || f.Case(n.Case).N() == 0) {
				c := &sample.Case{Name: n.Case}
				j := r.judge(c, nil, nil, o)
				j.Case, j.Limit, j.Verdict, j.Why = n.Case, r.limit, NotJudged, n.Why
				list = append(list, j)
			}
		}
	}
	return list
}

// noted says whether the file says why a case could not be measured.
func noted(f *sample.File, name string) bool {
	return slices.ContainsFunc(f.NotMeasured, func(n sample.Note) bool { return n.Case == name })
}

// one judges a case: the medians of the samples that nobody doubts.
func (r rule) one(f *sample.File, c *sample.Case, o Options) Judgement {
	doubts, facts := checks(f, c)
	n, flawed := 0, false
	var why []string
	for i := range c.N() {
		if _, checked := doubts[i]; !checked {
			doubts[i] = []string{"the file does not say what was checked"}
		}
		flaws := r.flaws(c, i)
		flawed = flawed || len(flaws) > 0
		doubts[i] = append(flaws, doubts[i]...)
		if len(doubts[i]) == 0 {
			n++
		}
		for _, reason := range doubts[i] {
			if !slices.Contains(why, reason) {
				why = append(why, reason)
			}
		}
	}
	var counted map[string]float64 // nothing, where nothing was measured
	if c.N() > 0 {
		counted = medians(c, func(i int) bool { return n == 0 || len(doubts[i]) == 0 })
	}
	j := r.judge(c, counted, facts, o)
	if r.each && n > 1 && (j.Verdict == Accurate || j.Verdict == Within) {
		r.windows(&j, c, doubts, facts, o)
	}
	j.Case, j.Limit, j.Windows, j.Counted, j.Figures = c.Name, r.limit, c.N(), n, counted
	if r.curve != nil && n > 0 {
		var all []sample.Series
		for _, x := range f.Series {
			if x.Case == c.Name && checkedAndClear(doubts, x.Sample) {
				all = append(all, x)
			}
		}
		j = r.curve(j, all, facts)
	}
	switch {
	case n == 0 && c.N() == 0 && len(c.Failures) > 0:
		j.Verdict, j.Why = NotJudged, c.Failures[0]
	case n == 0:
		if len(why) == 0 {
			why = []string{"there is no sample"}
		}
		j.Verdict, j.Why = NotJudged, strings.Join(why, "; ")
		if flawed {
			j.Got, j.Error, j.Budget = "", 0, 0
		}
	case len(c.Failures) > 0:
		j.Note = strings.TrimPrefix(fmt.Sprintf("%s; %d measurements failed: %s", j.Note, len(c.Failures), c.Failures[0]), "; ")
	}
	if n > 0 && n < c.N() {
		j.Note = strings.TrimPrefix(fmt.Sprintf("%s; %d of %d windows do not count: %s", j.Note, c.N()-n, c.N(), strings.Join(why, "; ")), "; ")
	}
	return j
}

// checks are the doubts of each sample of a case, by its number, and the facts.
func checks(f *sample.File, c *sample.Case) (doubts map[int][]string, facts map[string]string) {
	doubts, facts = map[int][]string{}, map[string]string{}
	for _, k := range f.Checked {
		if k.Case != c.Name {
			continue
		}
		facts["asked"], facts["read"] = k.Asked, k.Read
		maps.Copy(facts, k.Facts)
		doubts[k.Sample] = append(doubts[k.Sample], k.Doubts...)
	}
	return doubts, facts
}

// flaws are why a sample cannot be judged: figures that are not in the file, or
// are no numbers. Nothing would count as no error.
func (r rule) flaws(c *sample.Case, i int) []string {
	var list []string
	for _, unit := range r.needs {
		if _, ok := c.Value(unit, i); !ok {
			list = append(list, "the file does not have its "+unit)
		}
	}
	for _, unit := range c.Units {
		if v, ok := c.Value(unit, i); ok && !isFinite(v) {
			list = append(list, "its "+unit+" is no number")
		}
	}
	return list
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// windows withdraws a good verdict when a window by itself is inaccurate.
func (r rule) windows(j *Judgement, c *sample.Case, doubts map[int][]string, facts map[string]string, o Options) {
	for i := range c.N() {
		if !checkedAndClear(doubts, i) {
			continue
		}
		one := r.judge(c, medians(c, func(k int) bool { return k == i }), facts, o)
		switch {
		case one.Verdict != Inaccurate:
			continue
		case r.exact:
			one.Why = fmt.Sprintf("window %d of %d: %s", i+1, c.N(), one.Why)
			*j = one
		default:
			j.Verdict, j.Why = NotJudged, fmt.Sprintf("window %d of %d was inaccurate, others were not: %s", i+1, c.N(), one.Why)
		}
		return
	}
}

func checkedAndClear(doubts map[int][]string, i int) bool {
	reasons, ok := doubts[i]
	return ok && len(reasons) == 0
}

// medians are those of each unit, of the samples that are wanted and have it.
func medians(c *sample.Case, want func(int) bool) map[string]float64 {
	all := map[string]float64{}
	for _, unit := range c.Units {
		var some []float64
		for i := range c.N() {
			if v, ok := c.Value(unit, i); ok && isFinite(v) && want(i) {
				some = append(some, v)
			}
		}
		if len(some) > 0 {
			all[unit] = median(some)
		}
	}
	return all
}

// median sorts the list.
func median(list []float64) float64 {
	slices.Sort(list)
	n := len(list)
	if n%2 == 0 {
		return (list[n/2-1] + list[n/2]) / 2
	}
	return list[n/2]
}

// Overall is what is said of all: the worst. Of a group that was there already
// the limits are not judged that it never reached; one that is kept is enough.
func Overall(list []Judgement) Verdict {
	worst, best := Accurate, NotJudged
	order := []Verdict{Accurate, Within, NotJudged, Inaccurate}
	watched := len(list) > 0
	for _, j := range list {
		watched = watched && j.family() == watchFamily
		if j.Verdict == Within || j.Verdict == Accurate && best == NotJudged {
			best = j.Verdict
		}
		if slices.Index(order, j.Verdict) > slices.Index(order, worst) {
			worst = j.Verdict
		}
	}
	switch {
	case len(list) == 0:
		return NotJudged
	case worst == NotJudged && watched:
		return best // the worse of what is kept, if anything is
	}
	return worst
}

// family is the first part of the case's name.
func (j Judgement) family() string {
	family, _, _ := strings.Cut(j.Case, "/")
	return family
}

// tell is the verdict of an error that is relative, or in points.
func tell(failure, budget, tolerance float64) Verdict {
	size := max(failure, -failure)
	switch {
	case size > max(tolerance, budget):
		return Inaccurate
	case budget > tolerance:
		return Within
	}
	return Accurate
}
