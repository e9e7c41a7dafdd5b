// Package sequential decides whether one of two sides is slower while their
// rounds come in, and as soon as it can.
//
//	A/A rounds ──► Band: what the estimate says when nothing differs
//	                 │
//	A/B rounds ──► look: estimate, interval ──► slower ──► fresh rounds ──► confirmed, or not
//	                 │        (6 looks at most)  faster
//	                 │                           same
//	                 └──◄── go on ──◄──────────── not yet
//
// A round gives one figure of a case: the logarithm of head by base, of samples
// that lie beside each other (base head head base, or the other way round, as a
// coin has it). A drift of the machine cancels in it. Since the coin chooses the
// order, the figure is as likely above 0 as below when nothing differs, whatever
// the noise is like: what was true of R. A. Fisher's fields is true of a shared
// machine. The estimate is the median of the means of any two figures, and the
// test Wilcoxon's signed rank, which need nothing else.
//
// Who looks often finds something in the end. So each look has a bound of its own
// (bounds.go): over all looks and cases, one change or more is found with a
// probability of Alpha at most when there is none. The interval at a look is the
// one of its bound (C. Jennison and B. W. Turnbull, Interim analyses: the repeated
// confidence interval approach, 1989), so that what it holds may be said at any
// look.
//
// Slower, or faster: the interval leaves out no change, and the estimate is beyond
// the floor and the band. Same: the interval is within the floor. What is found to be
// slower, or faster, is measured once more, by itself, with rounds that the first
// finding had no part in, and said only when those find it, too. So a false alarm
// needs two errors. How many these very rounds would have raised is counted, too
// (draw.go).
package sequential

import (
	"fmt"
	"math"

	"isoperf/reports/stats"
)

// Alpha is the probability that a change of any case is found where there is
// none, before it is confirmed; the fresh rounds find one with AlphaAgain on
// either side. A false alarm, slower after both, is as likely as half the product:
// once in ten thousand comparisons.
const (
	Alpha      = 0.02
	AlphaAgain = 0.01
)

// shares are the looks, as shares of the rounds that fit in the time: a finding
// that is plain is made early.
var shares = []float64{1. / 32, 1. / 16, 1. / 8, 1. / 4, 1. / 2, 1}

// leastBand is how many rounds of A/A a band needs.
const leastBand = 6

// Verdict is what is said of a case. The values are those of reports/compare.
type Verdict string

// The verdicts; none of them before it is decided.
const (
	Same       Verdict = "same"
	Slower     Verdict = "slower"
	Faster     Verdict = "faster"
	CannotTell Verdict = "cannot tell"
)

// Estimate is a ratio of head by base, and its interval.
type Estimate struct {
	Ratio, Lo, Hi float64
	Rounds        int
}

// estimate is that of log-ratios, with the interval at z standard errors.
func estimate(logs []float64, z float64) Estimate {
	s := stats.Paired(logs, z)
	return Estimate{math.Exp(s.Delta), math.Exp(s.Lo), math.Exp(s.Hi), s.N}
}

// Finding is what was found of a case.
type Finding struct {
	Case    string
	Verdict Verdict
	Why     string // of "cannot tell"
	Need    int    // about how many more rounds would tell; 0: unknown

	Estimate Estimate // of the look that decided; of the fresh rounds, when they confirm it
	P        float64  // of the signed-rank test of the same rounds; not adjusted for the looks
	Band     Estimate // of the A/A
	Noise    float64  // what it says of no change, as a ratio: 0.01 is 1 %
	First    Estimate // of the look that found a change; Rounds is 0 when none did
	Again    Estimate // of the fresh rounds; Rounds is 0 when there were none
}

// history is what has come of a case.
type history struct {
	name           string
	same, ab, anew []float64
	found          Finding
	decided        bool
	settled        bool // so is what the fresh rounds say
}

// Judge takes rounds and decides. It is for one goroutine.
type Judge struct {
	floor   float64
	higher  func(name string) bool
	cases   []*history
	ab, new schedule
}

// New makes a judge; floor is the least change that counts, as a ratio. higher
// says of which cases more is better: their figures are inverted, so that a ratio
// above 1 is worse for all. nil: of none.
func New(floor float64, higher func(name string) bool) *Judge {
	return &Judge{floor: floor, higher: higher}
}

func (j *Judge) of(name string) *history {
	for _, h := range j.cases {
		if h.name == name {
			return h
		}
	}
	h := &history{name: name}
	j.cases = append(j.cases, h)
	return h
}

// figure is the log-ratio of a round; NaN: it says nothing.
func figure(base, head []float64) float64 {
	mean := func(values []float64) float64 {
		sum := 0.0
		for _, v := range values {
			sum += math.Log(v)
		}
		return sum / float64(len(values))
	}
	return mean(head) - mean(base)
}

func (j *Judge) keep(name string, list *[]float64, base, head []float64) {
	if j.higher != nil && j.higher(name) {
		base, head = head, base
	}
	if f := figure(base, head); !math.IsNaN(f) && !math.IsInf(f, 0) {
		*list = append(*list, f)
	}
}

// Same takes a round of base against itself.
func (j *Judge) Same(name string, base, again []float64) {
	j.keep(name, &j.of(name).same, base, again)
}

// firstKnown is after how many rounds of A/A one looks first whether they are
// enough; then after twice as many, and so on.
const firstKnown = 32

// Known says whether more rounds of A/A would change no verdict: of every case, the
// interval of base against itself lies within half of the floor, so that it is the
// floor that a change must pass.
func (j *Judge) Known(rounds int) bool {
	if rounds < firstKnown || rounds&(rounds-1) != 0 || len(j.cases) == 0 {
		return false
	}
	half := math.Log(1+j.floor) / 2
	for _, h := range j.cases {
		e := estimate(h.same, quantile(0.025))
		if e.Rounds < leastBand || !(math.Log(e.Hi) <= half && math.Log(e.Lo) >= -half) {
			return false
		}
	}
	return true
}

// Pair takes a round of base and head.
func (j *Judge) Pair(name string, base, head []float64) {
	j.keep(name, &j.of(name).ab, base, head)
}

// Fresh takes a round that is to confirm.
func (j *Judge) Fresh(name string, base, head []float64) {
	j.keep(name, &j.of(name).anew, base, head)
}

// Plan is told how many rounds of base and head fit in the time.
func (j *Judge) Plan(rounds int) {
	j.ab = schedule{planned: max(1, rounds)}
	for _, share := range shares {
		j.ab.add(int(math.Round(share * float64(rounds))))
	}
}

// Look is told that so many rounds are there, and whether there will be no more.
// It says which cases are not decided, and looks only when it is time to.
func (j *Judge) Look(rounds int, last bool) (undecided []string) {
	if j.ab.due(rounds, last) {
		z := j.ab.bound(rounds, last, Alpha/float64(max(1, len(j.cases))))
		for _, h := range j.cases {
			if !h.decided {
				j.decide(h, z)
			}
		}
	}
	for _, h := range j.cases {
		if !h.decided {
			undecided = append(undecided, h.name)
		}
	}
	return undecided
}

// limit is the change, as a ratio, that a case must pass to count.
func (j *Judge) limit(h *history) float64 { return max(j.floor, h.found.Noise) }

// band sets the noise of a case: what the estimate says although nothing differs,
// either way. When it is plain that something does differ between a thing and
// itself (p < 0.001), all of its interval is noise.
func (h *history) band() {
	h.found.Case = h.name
	if h.found.Band.Rounds > 0 { // the A/A is over when the first case is looked at
		return
	}
	h.found.Band = estimate(h.same, quantile(0.025))
	b, plain := h.found.Band, estimate(h.same, quantile(0.0005))
	h.found.Noise = math.Inf(1)
	switch {
	case b.Rounds < leastBand:
	case plain.Lo > 1 || plain.Hi < 1:
		h.found.Noise = max(b.Hi, 1/b.Lo) - 1
	default:
		h.found.Noise = max(b.Ratio, 1/b.Ratio) - 1
	}
}

// decide looks at a case, with the bound of the look.
func (j *Judge) decide(h *history, z float64) {
	h.band()
	e := estimate(h.ab, z)
	limit := j.limit(h)
	h.found.Estimate, h.found.P = e, stats.SignedRank(h.ab)
	switch {
	case e.Rounds == 0 || math.IsInf(limit, 0):
		return
	case e.Lo > 1 && e.Ratio > 1+limit:
		h.found.Verdict = Slower
	case e.Hi < 1 && e.Ratio < 1/(1+limit):
		h.found.Verdict = Faster
	case j.same(e):
		h.found.Verdict = Same
	default:
		return
	}
	h.decided = true
}

// Reach is how far the interval of the A/A goes from no change, as a ratio: who
// judges the same samples otherwise than by rounds cannot count on less noise.
func (f Finding) Reach() float64 { return max(f.Band.Hi, 1/f.Band.Lo) - 1 }

// leastFresh is how many fresh rounds there are at least.
const leastFresh = 12

// Confirm is told how many fresh rounds fit in the time that is left, and says
// which cases were found to be slower or faster and are to be measured anew. Their
// first look is after three times as many rounds as the finding took: with as many,
// a change that has just passed its bound would often be missed.
func (j *Judge) Confirm(fit int) (names []string) {
	first := leastFresh
	for _, h := range j.cases {
		if h.decided && h.found.Verdict != Same {
			names = append(names, h.name)
			first = max(first, 3*h.found.Estimate.Rounds)
		}
	}
	j.new = schedule{planned: max(1, fit)}
	for at := first; at < fit; at *= 2 {
		j.new.add(at)
	}
	j.new.add(fit)
	return names
}

// Again is Look for the fresh rounds.
func (j *Judge) Again(rounds int, last bool) (unsettled []string) {
	due := j.new.due(rounds, last)
	z := 0.0
	if due {
		z = j.new.bound(rounds, last, 2*AlphaAgain)
	}
	for _, h := range j.cases {
		if !h.decided || h.found.Verdict == Same || h.settled {
			continue
		}
		if due {
			h.found.Again = estimate(h.anew, z)
			h.settled = j.confirms(h) || j.same(h.found.Again)
		}
		if !h.settled {
			unsettled = append(unsettled, h.name)
		}
	}
	return unsettled
}

// confirms says whether the fresh rounds found what the first ones did.
func (j *Judge) confirms(h *history) bool {
	e, limit := h.found.Again, j.limit(h)
	if h.found.Verdict == Slower {
		return e.Lo > 1 && e.Ratio > 1+limit
	}
	return e.Hi < 1 && e.Ratio < 1/(1+limit)
}

// same says whether an interval is within the floor.
func (j *Judge) same(e Estimate) bool { return e.Lo >= 1/(1+j.floor) && e.Hi <= 1+j.floor }

// Findings are the verdicts, after the last round.
func (j *Judge) Findings() []Finding {
	var list []Finding
	for _, h := range j.cases {
		switch {
		case !h.decided:
			h.band()
			j.undecided(h)
		case h.found.Verdict != Same:
			j.confirm(h)
		}
		list = append(list, h.found)
	}
	return list
}

// confirm takes a finding back unless the fresh rounds say the same.
func (j *Judge) confirm(h *history) {
	first, e := h.found.Estimate, h.found.Again
	h.found.First = first
	switch {
	case e.Rounds < leastFresh:
		h.found.Verdict, h.found.Need = CannotTell, leastFresh-e.Rounds
		h.found.Why = fmt.Sprintf("%+.1f %% in %d rounds, and there was no time to confirm it", 100*(first.Ratio-1), first.Rounds)
	case j.confirms(h):
		// The first ones were chosen for being far out; these were not.
		h.found.Estimate, h.found.P = e, stats.SignedRank(h.anew)
	case j.same(e):
		h.found.Verdict, h.found.Estimate = Same, e
	default:
		h.found.Verdict = CannotTell
		h.found.Why = fmt.Sprintf("%+.1f %% in %d rounds, but %+.1f %% in %d fresh ones: not confirmed", 100*(first.Ratio-1), first.Rounds, 100*(e.Ratio-1), e.Rounds)
	}
}

// undecided says why a case is, when all rounds are there.
func (j *Judge) undecided(h *history) {
	h.found.Verdict = CannotTell
	e := h.found.Estimate
	switch {
	case h.found.Band.Rounds < leastBand:
		h.found.Why = fmt.Sprintf("%d rounds of base against itself are too few to know its noise", h.found.Band.Rounds)
	case e.Rounds == 0 || math.IsInf(e.Hi, 0):
		h.found.Why = fmt.Sprintf("%d rounds are too few", len(h.ab))
	default:
		h.found.Why = "the interval is wider than what counts"
		width := math.Log(e.Hi/e.Lo) / 2
		limit := math.Log(1 + j.limit(h))
		room := max(math.Abs(math.Abs(math.Log(e.Ratio))-limit), limit/4)
		h.found.Need = int(math.Ceil(max(1, float64(e.Rounds)*(width*width/room/room-1))))
	}
}
