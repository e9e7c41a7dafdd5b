package compare

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/perf/benchmath"

	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// rows pairs the columns' cases, on all CPUs: with a million samples, most of a
// comparison's time is here.
func rows(base, head Column, o Options) []Row {
	made := make([][]Row, len(base.order))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(made)); i = next.Add(1) - 1 {
				made[i] = rowsOf(base.order[i], base, head, o)
			}
		})
	}
	workers.Wait()
	list := slices.Concat(made...)
	for _, name := range head.order {
		if base.cases[name] == nil && !isControl(name) {
			if row, ok := lone(name, nil, head.cases[name], base, head); ok {
				list = append(list, row)
			}
		}
	}
	usual := usualOf(list)
	for i := range list {
		r := &list[i]
		if noise, known := o.Noise[r.Key()]; known {
			r.known = true
			r.bound(noise, noise/knownErrors, o.floor())
			continue
		}
		noise, cv := noiseOf(r.old.logs, r.next.logs, usual)
		r.bound(noise, cv, o.floor())
	}
	return list
}

// rowsOf makes the rows of a case of base's.
func rowsOf(name string, base, head Column, o Options) []Row {
	if isControl(name) || spansOfStart(name, base, head) && !o.All {
		return nil
	}
	old, next := base.cases[name], head.cases[name]
	if next == nil || next.samples == 0 || old.samples == 0 {
		if row, ok := lone(name, old, next, base, head); ok {
			return []Row{row}
		}
		return nil
	}
	list := pair(name, base, head, o)
	for i := range list {
		list[i].Main = list[i].Main && !spansOfStart(name, base, head)
	}
	return list
}

// pair makes the rows of a case that both columns have.
func pair(name string, base, head Column, o Options) []Row {
	var list []Row
	old, next := base.cases[name], head.cases[name]
	if len(next.values[old.main()]) == 0 || old.mixed(old.main()) || next.mixed(old.main()) || base.better[old.main()] != head.better[old.main()] {
		why := fmt.Sprintf("the units are not the same: %s", strings.Join(unitsOf(old, next, base, head), ", "))
		return []Row{{Case: name, Unit: old.main(), Main: true, Old: stats.Summarize(old.values[old.main()]), New: stats.Summarize(next.values[next.main()]),
			Ratio: stats.Ratio(nil, nil), P: math.NaN(), Verdict: Apart, Why: why}}
	}
	for _, unit := range old.units {
		main := unit == old.main()
		if !main && !o.All || len(next.values[unit]) == 0 {
			continue
		}
		r := newRow(old.side(unit), next.side(unit))
		r.Case, r.Unit, r.Main, r.Better = name, unit, main, better(base, unit)
		if failures(old) < failures(next) && main {
			r.Verdict = CannotTell
			r.Why = fmt.Sprintf("%d of its operations failed in %s, and %d in %s (%s)", len(next.failures), head.Name, len(old.failures), base.Name, next.failures[0])
		}
		list = append(list, r)
	}
	return list
}

// unitsOf are the units of two sides, or those of lines that do not agree, or what
// is better of one.
func unitsOf(old, next *series, base, head Column) []string {
	unit := old.main()
	for _, s := range []struct {
		*series
		name string
	}{{old, base.Name}, {next, head.Name}} {
		if s.lines[unit] > 0 && s.mixed(unit) {
			return []string{fmt.Sprintf("some lines of %s have %s, and others do not", s.name, unit)}
		}
	}
	if a, b := old.main(), next.main(); a != b {
		return []string{orNone(a), orNone(b)}
	}
	return []string{unit + " better " + orNone(base.better[unit]), unit + " better " + orNone(head.better[unit])}
}

// better is which way a unit is better: as the file says, else as Go's benchmarks
// have it.
func better(c Column, unit string) string {
	if b, ok := c.better[unit]; ok {
		return b
	}
	if strings.HasSuffix(unit, "/s") {
		return "higher"
	}
	return "lower"
}

// failures is the share of a case's operations that failed, in steps of a tenth:
// one of a hundred is no change of code.
func failures(s *series) int {
	return 10 * len(s.failures) / max(1, s.samples+len(s.failures))
}

// lone is the row of a case that one column has samples of; false: it was never
// measured in either.
func lone(name string, old, next *series, base, head Column) (Row, bool) {
	r := Row{Case: name, Main: true, Ratio: stats.Ratio(nil, nil), P: math.NaN(), Adjusted: math.NaN()}
	has, lacks, other := old, next, head
	r.Verdict = Gone
	if old == nil || old.samples == 0 {
		has, lacks, other, r.Verdict = next, old, base, New
	}
	if has == nil || has.samples == 0 {
		return r, false
	}
	r.Unit = has.main()
	summary := stats.Summarize(has.values[r.Unit])
	if r.Verdict == Gone {
		r.Old = summary
	} else {
		r.New = summary
	}
	switch {
	case lacks != nil && len(lacks.failures) > 0:
		r.Why = fmt.Sprintf("all %d of its operations failed in %s (%s)", len(lacks.failures), other.Name, lacks.failures[0])
	case other.notMeasured(name) != "":
		r.Why = "not measured in " + other.Name + ": " + other.notMeasured(name)
	case other.cut():
		r.Why = "the run of " + other.Name + " ended before it"
	}
	if r.Verdict == Gone && r.Why != "" {
		r.Verdict = CannotTell
	}
	return r, true
}

// newRow holds the figures of two sides against each other.
func newRow(old, next side) Row {
	r := Row{Old: stats.Summarize(old.values), New: stats.Summarize(next.values), Ratio: stats.Ratio(old.values, next.values), P: math.NaN(), old: old, next: next}
	if len(old.values) > 0 && len(next.values) > 0 {
		r.P = test(old.values, next.values)
	}
	return r
}

// knownErrors is how many errors of a run's median the noise of an A/A run is.
const knownErrors = 3

// bound sets what the row's change is held against.
func (r *Row) bound(noise, cv, floor float64) {
	r.Noise, r.Class, r.Bound = noise, classOf(cv), max(floor, noise)
}

// test is the p of the Mann–Whitney test, as benchstat has it.
func test(old, next []float64) float64 {
	sampled := func(v []float64) *benchmath.Sample {
		return benchmath.NewSample(slices.Clone(v), &benchmath.DefaultThresholds)
	}
	return benchmath.AssumeNothing.Compare(sampled(old), sampled(next)).P
}

// holm adjusts the p of rows that count: the probability of calling any of them
// changed where none is stays Alpha. S. Holm, A simple sequentially rejective
// multiple test procedure, 1979.
func holm(rows []Row) {
	var family []*Row
	for i := range rows {
		rows[i].Adjusted = math.NaN()
		if rows[i].Main && rows[i].Verdict == "" && !math.IsNaN(rows[i].P) {
			family = append(family, &rows[i])
		}
	}
	slices.SortStableFunc(family, func(a, b *Row) int {
		switch {
		case a.P < b.P:
			return -1
		case a.P > b.P:
			return 1
		}
		return 0
	})
	most := 0.0
	for rank, r := range family {
		most = max(most, min(1, r.P*float64(len(family)-rank)))
		r.Adjusted = most
	}
}

// Limits of what a row can tell.
const (
	// least is how many samples a side must have: with three, no test can find
	// anything at 5 %, and with less than six there is no interval of a median.
	least = 6
	// mostNoise is the noise from which on "same within the noise" says nothing.
	mostNoise = 0.25
)

// judge is the verdict of a row.
func (r *Row) judge() {
	if r.Verdict != "" {
		return
	}
	p := r.Adjusted
	if math.IsNaN(p) { // it does not count, and is not of the family
		p = r.P
	}
	ratio, lo, hi := r.Ratio.Ratio, r.Ratio.Lo, r.Ratio.Hi
	changed := p < Alpha && r.Ratio.Sure() && (ratio > 1+r.Bound || ratio < 1/(1+r.Bound))
	switch {
	case r.Old.N < least || r.New.N < least:
		r.Verdict, r.Need = CannotTell, least-min(r.Old.N, r.New.N)
		r.Why = fmt.Sprintf("%d samples on a side are the least that can tell", least)
	case r.Ratio.N < r.New.N || r.Ratio.BaseN < r.Old.N:
		r.Verdict = CannotTell
		if r.Old.Min == r.Old.Max && r.New.Min == r.New.Max && r.Old.Min == r.New.Min {
			r.Verdict = Same
			return
		}
		r.Why = "some figures are not above zero, and have no ratio"
	case r.Class == erratic && changed:
		r.Verdict = CannotTell
		r.Why = fmt.Sprintf("it may differ by %s when nothing does, which is too much to be held against anybody; take turns (isoperf ab)", noiseWords(r.Noise))
	case r.Noise > mostNoise && !changed:
		r.Verdict, r.Need = CannotTell, r.more(math.Log1p(r.Noise)/math.Log1p(mostNoise))
		r.Why = fmt.Sprintf("it may differ by %s when nothing does; take more samples, a quieter machine, or turns (isoperf ab)", noiseWords(r.Noise))
	case changed && r.Better == "":
		r.Verdict, r.Why = CannotTell, "it moved, and neither way is better"
	case changed:
		r.Verdict = Faster
		if r.worse(ratio) {
			r.Verdict = Slower
		}
	case hi <= 1+r.Bound && lo >= 1/(1+r.Bound):
		r.Verdict = Same
	default:
		r.Verdict, r.Need = CannotTell, r.need(p)
		r.Why = "the range is wider than what counts"
	}
}

// need is about how many more samples on each side would tell, if they are like
// those that are there: an interval narrows with the root of their number, and has
// to come to lie on one side of the bound. 0: more would not.
func (r *Row) need(p float64) int {
	width := (math.Log(r.Ratio.Hi) - math.Log(r.Ratio.Lo)) / 2
	if math.IsInf(width, 0) || math.IsNaN(width) || width == 0 {
		return 0
	}
	bound := math.Log(1 + r.Bound)
	away := math.Abs(math.Log(r.Ratio.Ratio))
	room := max(math.Abs(away-bound), bound/4)
	factor := width / room
	if away > bound && p >= Alpha {
		// The test wants more than an interval that leaves out 1: it is one of many.
		factor = max(factor, 1.5)
	}
	return r.more(factor)
}

// mostMore is how many times as many samples are worth naming.
const mostMore = 50

// more is how many samples on each side make what is known so many times exacter;
// 0: so many that something else must be done.
func (r *Row) more(factor float64) int {
	n := float64(min(r.Old.N, r.New.N))
	need := math.Ceil(max(1, n*(factor*factor-1)))
	if !(need <= mostMore*n) {
		return 0
	}
	return int(need)
}

// noiseWords are a noise as it is read. Of few parts next to nothing is known, and
// the figure is then huge.
func noiseWords(noise float64) string {
	if noise > 1 {
		return "more than 100 %"
	}
	return table.Percent(noise)
}
