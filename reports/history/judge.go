package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	distribution "github.com/aclements/go-moremath/stats"

	"isoperf/reports/compare"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// Limits of what a series can tell.
const (
	erratic    = 0.10 // the scatter from which on nothing is held against anybody, as in compare
	mostSees   = 0.25 // a series that would not show such a step is not called the same
	seenAfter  = 5    // runs after a step
	suspected  = 0.95 // of a place's probability is named
	controlP   = 0.01 // of a control's step
	together   = 0.5  // the share of series that, when they step at once, are moved by the machine
	fewSeries  = 8    // from how many on that is so
	nearPoints = 1    // runs that two steps at the same place may lie apart
)

// judgeAll finds the changes of an environment's series, and judges each.
func (h *History) judgeAll(environment int) {
	var list []*Series
	for i := range h.Series {
		s := &h.Series[i]
		if s.Environment != environment || !h.enough(s) {
			continue
		}
		h.follow(s)
		list = append(list, s)
	}
	if len(list) == 0 {
		return
	}
	r := rules{alpha: Alpha / float64(len(list)), floor: math.Log1p(h.Floor), drift: driftIn(list)}
	for _, s := range list {
		h.cut(s, s.track.strict(r), r, len(list))
	}
	for _, s := range list {
		for i := range s.Changes {
			h.machine(s, i, list)
		}
	}
	for _, s := range list {
		h.judge(s, r)
	}
}

// driftIn is what the correlation of runs makes of the variance, as all series of
// an environment have it on average: one of them is too short to know.
func driftIn(list []*Series) float64 {
	sum, known := 0.0, 0
	for _, s := range list {
		if lag, ok := s.track.lag(s.track.maybe); ok {
			sum += lag
			known++
		}
	}
	if known == 0 {
		return 1
	}
	return driftOf(sum / float64(known))
}

// enough says whether a series can be looked at, and gives it a verdict when not.
func (h *History) enough(s *Series) bool {
	env := h.Environments[s.Environment]
	s.Sees = math.Inf(1)
	switch {
	case !s.positive():
		s.Verdict, s.Why = compare.CannotTell, "some figures are not above zero, and have no ratio"
		if !slices.ContainsFunc(s.Points, func(p Point) bool { return p.Median != s.Points[0].Median }) {
			s.Verdict, s.Why = compare.Same, ""
		}
	case h.gone(s, env):
		s.Verdict, s.Why = compare.Gone, "last measured at "+h.commit(s, len(s.Points)-1)
	case len(s.Points) >= leastRuns:
		return true
	default:
		s.Need = leastRuns - len(s.Points)
		s.Verdict, s.Why = compare.CannotTell, fmt.Sprintf("%d runs are the least that can tell", leastRuns)
		if s.Points[0].Run != env.Runs[0] {
			s.Verdict, s.Why = compare.New, "first measured at "+h.commit(s, 0)
		}
	}
	s.Levels = []Level{level(s.Points, 0, len(s.Points))}
	return false
}

// gone says whether the newest run that measured the case's family left it out.
func (h *History) gone(s *Series, env Environment) bool {
	last := s.Points[len(s.Points)-1].Run
	for _, r := range env.Runs {
		if r <= last {
			continue
		}
		for _, c := range h.Runs[r].File.Cases {
			if compare.Family(c.Name) == compare.Family(s.Case) && c.N() > 0 {
				return h.Runs[r].File.End.Why == "done"
			}
		}
	}
	return false
}

func (h *History) commit(s *Series, point int) string { return h.Runs[s.Points[point].Run].Commit }

func level(points []Point, from, to int) Level {
	return Level{from, to, stats.Quantiles(medians(points[from:to]), 0.5)[0]}
}

func medians(points []Point) []float64 {
	var list []float64
	for _, p := range points {
		list = append(list, p.Median)
	}
	return list
}

// cut makes levels and changes of boundaries.
func (h *History) cut(s *Series, at []int, r rules, family int) {
	from := 0
	for _, to := range append(slices.Clone(at), len(s.Points)) {
		s.Levels = append(s.Levels, level(s.Points, from, to))
		from = to
	}
	sigma, free := s.track.sigma(at)
	s.Scatter = math.Expm1(sigma)
	last := s.Levels[len(s.Levels)-1]
	if n := float64(last.To - last.From); free > 0 {
		// As step has it, but without the value that is left out, and the mean of what
		// is then seen: a step that is found in half of all cases.
		t := -distribution.InvCDF(distribution.TDist{V: free})(r.alpha / 2 / float64(s.track.places()))
		s.Sees = max(h.Floor, math.Expm1(t*sigma*math.Sqrt(r.drift*(1/n+1/(seenAfter-1.0)))))
	}
	for i, k := range at {
		p, _ := s.track.step(at, i, r)
		old, next := s.Levels[i], s.Levels[i+1]
		c := Change{Point: k, Commit: h.commit(s, k), Before: h.commit(s, k-1), P: min(1, p*float64(family)),
			Ratio: stats.Ratio(medians(s.Points[old.From:old.To]), medians(s.Points[next.From:next.To]))}
		c.Worse = s.worse(c.Ratio.Ratio)
		c.Still = s.worse(last.Median/old.Median) && math.Abs(math.Log(last.Median/old.Median)) >= r.floor
		c.Suspects = h.suspects(s, at, i)
		c.Accepted = h.accepted(s.Points[k].Run)
		s.Changes = append(s.Changes, c)
	}
}

// worse says whether a ratio is.
func (s *Series) worse(ratio float64) bool { return (ratio > 1) != (s.Better == "higher") }

// accepted says whether a run is not later than the last one of the commit up to
// which changes are accepted.
func (h *History) accepted(run int) bool {
	if h.Since == "" {
		return false
	}
	for i := len(h.Runs) - 1; i >= 0; i-- {
		if SameCommit(h.Runs[i].Commit, h.Since) {
			return run <= i
		}
	}
	return false
}

// suspects are the commits that may be the first of a new level.
func (h *History) suspects(s *Series, at []int, i int) []Suspect {
	likely, lo := s.track.likely(at, i)
	var list []Suspect
	for k, share := range likely {
		if share > 0 {
			list = append(list, Suspect{h.commit(s, lo+k), share})
		}
	}
	slices.SortStableFunc(list, func(a, b Suspect) int { return cmp.Compare(b.Share, a.Share) })
	sum := 0.0
	for k, x := range list {
		if sum += x.Share; sum >= suspected {
			return list[:k+1]
		}
	}
	return list
}

// machine asks whether the controls, or most other series, step where a series
// does: then the machine did.
func (h *History) machine(s *Series, i int, list []*Series) {
	c := &s.Changes[i]
	first, last := s.Points[s.Levels[i].From].Run, s.Points[s.Levels[i+1].To-1].Run
	at := s.Points[c.Point].Run
	change := math.Log(c.Ratio.Ratio)
	if s.Better == "higher" {
		change = -change // a control takes longer when a rate falls
	}
	for _, k := range h.controls {
		if k.Environment != s.Environment || k.Case == s.Case && k.Unit == s.Unit {
			continue
		}
		if moved, ok := k.moved(first, at, last, change); ok {
			c.Machine = fmt.Sprintf("%s %+.1f %%", compare.ControlWords(k.Case), 100*math.Expm1(moved))
			return
		}
	}
	same := 0
	for _, other := range list {
		if other.stepsWith(at, c.Worse) {
			same++
		}
	}
	if len(list) >= fewSeries && float64(same) > together*float64(len(list)) {
		c.Machine = fmt.Sprintf("%d of %d cases moved together", same, len(list))
	}
}

// moved is by how much a control stepped at a run, as a logarithm, when that is as
// the change of a case: the same way, certain, and more than controls may or at
// least half of the change.
func (s *Series) moved(first, at, last int, change float64) (float64, bool) {
	var old, next []float64
	for _, p := range s.Points {
		switch {
		case p.Run < first || p.Run > last || !(p.Median > 0):
		case p.Run < at:
			old = append(old, math.Log(p.Median))
		default:
			next = append(next, math.Log(p.Median))
		}
	}
	if len(old) < leastLevel || len(next) < leastLevel {
		return 0, false
	}
	step := medianOf(next) - medianOf(old)
	enough := min(math.Log1p(compare.ControlFloor), math.Abs(change)/2)
	return step, step*change > 0 && math.Abs(step) >= enough && studentP(calm(old), calm(next)) < controlP
}

// stepsWith says whether a series changes at a run, the same way.
func (s *Series) stepsWith(run int, worse bool) bool {
	for _, c := range s.Changes {
		for k := max(0, c.Point-nearPoints); k <= min(len(s.Points)-1, c.Point+nearPoints); k++ {
			if s.Points[k].Run == run && c.Worse == worse {
				return true
			}
		}
	}
	return false
}

// judge is the verdict of a series that was cut.
func (h *History) judge(s *Series, r rules) {
	counts := func(c Change) bool { return c.Counts() }
	doubtful := func(c Change) bool { return c.Worse && c.Still && !c.Accepted && c.Machine != "" }
	better := func(c Change) bool { return !c.Worse && c.Machine == "" && !c.Accepted }
	m, pending := s.pending(r)
	switch {
	case s.Scatter >= erratic:
		s.Verdict, s.Why = compare.CannotTell, fmt.Sprintf("its runs differ by %s when nothing does, which is too much to be held against anybody", table.Percent(s.Scatter))
	case s.Better == "" && len(s.Changes) > 0:
		s.Verdict, s.Why = compare.CannotTell, "it moved, and neither way is better"
	case slices.ContainsFunc(s.Changes, counts):
		s.Verdict = compare.Slower
	case slices.ContainsFunc(s.Changes, doubtful):
		c := s.Changes[slices.IndexFunc(s.Changes, doubtful)]
		s.Verdict, s.Why = compare.Apart, fmt.Sprintf("the machine changed at %s: %s", c.Commit, c.Machine)
	case pending:
		s.Verdict, s.Need = compare.CannotTell, leastLevel+1-m
		s.Why = fmt.Sprintf("the newest run is far off: it may be worse since %s", h.commit(s, len(s.Points)-m))
		if m > 1 {
			s.Why = fmt.Sprintf("the newest %d runs are far off: it may be worse since %s", m, h.commit(s, len(s.Points)-m))
		}
	case s.Sees > mostSees:
		s.Verdict, s.Why = compare.CannotTell, fmt.Sprintf("a step of less than %s would not be seen", table.Percent(s.Sees))
	case slices.ContainsFunc(s.Changes, better) && s.better(r.floor):
		s.Verdict = compare.Faster
	default:
		s.Verdict = compare.Same
	}
}

// better says whether the newest level is better than the first, by the floor.
func (s *Series) better(floor float64) bool {
	ratio := s.Levels[len(s.Levels)-1].Median / s.Levels[0].Median
	return !s.worse(ratio) && math.Abs(math.Log(ratio)) >= floor
}

// pending says whether the newest runs, too few for a level, are worse by far more
// than they ever are, and how many they are.
func (s *Series) pending(r rules) (runs int, ok bool) {
	var at []int
	for _, c := range s.Changes {
		at = append(at, c.Point)
	}
	last := s.Levels[len(s.Levels)-1]
	sigma, free := s.track.sigma(at)
	for m := leastLevel - 1; m > 0; m-- {
		k := len(s.Points) - m
		if k-last.From < seenAfter || !s.track.starts[k] || free < 1 || sigma == 0 {
			continue
		}
		usual, least := mean(s.track.calm[last.From:k]), math.Inf(1)
		for _, v := range s.track.logs[k:] {
			away := v - usual
			if s.Better == "higher" {
				away = -away
			}
			least = min(least, away)
		}
		z := least / (sigma * math.Sqrt(r.drift*(1+1/float64(k-last.From))))
		if least >= r.floor && (distribution.TDist{V: free}).CDF(-z) < r.alpha/2 {
			return m, true
		}
	}
	return 0, false
}

// SameCommit says whether two names mean one commit: one may be short.
func SameCommit(a, b string) bool {
	const short = 7
	if len(a) > len(b) {
		a, b = b, a
	}
	return a == b || len(a) >= short && b[:len(a)] == a
}
