// Package ab measures two sides in turns, base and head, so that what the machine
// does is done to both.
//
//	base, head ──Side──► visits ─► rounds ─► A/A: base against itself      a fifth of the time, at most
//	                               │    └──► A/B: until it is decided      0.45 of it, at most
//	                               │    └──► fresh rounds, to confirm      what is left
//	                               ▼
//	                   the judge (reports/sequential), and two result files
//
// A round is four visits of a group of cases: base head head base, or head base
// base head, as a coin has it. So each visit has one of the other side beside it,
// a drift cancels, and without a difference a round's figure is as likely above 0
// as below. The groups of a round come in random order.
//
// In every visit an unused variable of random length is in the environment: it
// moves the stack, and a program may be a few percent faster with one place of
// its stack than with another (C. Curtsinger, E. D. Berger, STABILIZER, ASPLOS
// 2013). A side is to be measured with many places, not one.
//
// The programs of both sides are dropped from the page cache and read in again
// every second (Layout): how it holds a file is worth up to 8 % of a start.
//
// All samples are kept. Those of the A/A are in the file of base, under names that
// begin with Control/what=aa/: they are of the machine, and no row of a
// comparison. The controls are sampled for both files in turns.
//
// A visit that fails is recorded and has no time; its round says nothing of the
// group.
package ab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

// Sample is one line of a result file.
type Sample struct {
	Case   string
	Values []sample.Value // of which one stands for the case, and is judged
	Failed string         // why an operation of it failed; it has no values then
}

// Side is one of the two things that are measured.
type Side interface {
	// Visit measures a group once, with that many bytes of an unused variable in
	// the environment.
	Visit(ctx context.Context, group, offset int) ([]Sample, error)
}

// Phased is a side that can say where its time goes.
type Phased interface {
	// Phases measures that once.
	Phases(ctx context.Context) ([]Sample, error)
}

// Recorder is where a side's samples go; *sample.Writer is one.
type Recorder interface {
	Sample(name string, values []sample.Value) error
	Failed(name, why string) error
}

// Judge decides; *sequential.Judge is one. Names are those of a case and its main
// unit, "Startup/… ready-ns".
type Judge interface {
	Same(name string, base, again []float64)
	Known(rounds int) bool
	Plan(rounds int)
	Pair(name string, base, head []float64)
	Look(rounds int, last bool) (undecided []string)
	Confirm(fit int) (names []string)
	Fresh(name string, base, head []float64)
	Again(rounds int, last bool) (unsettled []string)
}

// Options are what is measured.
type Options struct {
	Groups []string // what the groups of cases are called; one at least
	Time   time.Duration
	Seed   uint64
	// Controls are sampled beside, for both files.
	Controls []harness.Case
	// Layout is of the programs of both sides; nil: they are left as they are.
	Layout   *Layout
	Progress func(State) // between rounds; nil: nobody looks
	Clock    harness.Clock
}

// Phase of a comparison.
type Phase string

// The phases.
const (
	AA      Phase = "base against itself"
	AB      Phase = "base against head"
	Confirm Phase = "confirming"
)

// State is how far a comparison is.
type State struct {
	Phase         Phase
	Rounds        int
	Elapsed, Most time.Duration
	Undecided     int // cases
}

// Tally is what a comparison came to.
type Tally struct {
	Same, Rounds, Fresh int    // rounds of each phase
	Failures            [2]int // visits of base and head
	Why                 string // why it ended: "done", "the time was up", "interrupted", "failed: …"
}

// Shares of the time.
const (
	shareSame = 0.2
	shareAB   = 0.45
	// shareKnown is how long the A/A takes at least: noise that comes and goes within
	// seconds is to be in it.
	shareKnown = 0.025
	// leastSame is how many rounds of A/A there are, even when they take longer: but
	// never more than half of the time.
	leastSame = 8
)

// mostFailures is how many visits in a row may fail before it is given up.
const mostFailures = 8

// AAPrefix begins the names of base's samples against itself.
const AAPrefix = "Control/what=aa/"

type run struct {
	Options
	ctx      context.Context
	sides    [2]Side
	out      [2]Recorder
	judge    Judge
	start    time.Time
	coin     *rand.Rand
	collect  func()
	controls []control
	between  time.Time // when what is done between rounds was done last
	renewed  time.Time // when the programs were laid out last
	open     map[string]bool
	groups   map[string]int // of the judged cases
	tally    Tally
	row      [2]int // failures in a row
	err      error
}

// Run compares. The error is that of a file that cannot be written, or of a side
// that only fails; what has been measured before is kept.
func Run(ctx context.Context, base, head Side, files [2]Recorder, j Judge, o Options) (Tally, error) {
	collect := func() {} // in a simulation there is nothing to
	if o.Clock.Now == nil {
		o.Clock, collect = harness.Clock{Now: time.Now, Sleep: harness.Rest}, runtime.GC
	}
	// Garbage is collected between rounds, never beside a sample.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	r := &run{
		Options: o, ctx: ctx, collect: collect, sides: [2]Side{base, head}, out: files, judge: j, start: o.Clock.Now(),
		coin: rand.New(rand.NewPCG(o.Seed, 0)), groups: map[string]int{},
	}
	r.openControls()
	r.same()
	r.against()
	r.fresh()
	r.closeControls()
	switch {
	case ctx.Err() != nil:
		r.tally.Why = "interrupted"
	case r.err != nil:
		r.tally.Why = "failed: " + r.err.Error()
	case len(r.open) > 0:
		r.tally.Why = "the time was up"
	default:
		r.tally.Why = "done"
	}
	if ctx.Err() != nil {
		return r.tally, nil
	}
	return r.tally, r.err
}

func (r *run) elapsed() time.Duration { return r.Clock.Now().Sub(r.start) }

func (r *run) share(s float64) time.Duration { return time.Duration(s * float64(r.Time)) }

func (r *run) stopped() bool { return r.err != nil || r.ctx.Err() != nil }

// same is the A/A, which ends early when the judge knows enough of the noise. It
// tells the judge how many rounds of both sides fit.
func (r *run) same() {
	for !r.stopped() {
		if e := r.elapsed(); e >= r.share(shareSame) && r.tally.Same >= leastSame || e >= r.Time/2 && r.tally.Same > 0 {
			break
		}
		r.round(AA, nil, r.judge.Same)
		r.tally.Same++
		if r.elapsed() >= r.share(shareKnown) && r.judge.Known(r.tally.Same) {
			break
		}
	}
	if r.tally.Same > 0 {
		one := r.elapsed() / time.Duration(r.tally.Same)
		r.judge.Plan(int(r.left() / max(1, one)))
	}
}

// left is what the A/B may take.
func (r *run) left() time.Duration {
	return max(0, min(r.share(shareAB), r.Time-r.elapsed()))
}

// against is the A/B.
func (r *run) against() {
	end := r.elapsed() + r.left()
	for !r.stopped() {
		r.round(AB, r.open, r.judge.Pair)
		if r.stopped() {
			return
		}
		r.tally.Rounds++
		last := r.elapsed() >= end
		undecided := r.judge.Look(r.tally.Rounds, last)
		r.open = map[string]bool{}
		for _, name := range undecided {
			r.open[name] = true
		}
		if last || len(undecided) == 0 {
			return
		}
	}
}

// fresh measures what was found to be slower, or faster, once more.
func (r *run) fresh() {
	if r.tally.Rounds == 0 {
		return
	}
	one := r.elapsed() / time.Duration(r.tally.Same+r.tally.Rounds)
	names := r.judge.Confirm(int(max(0, r.Time-r.elapsed()) / max(1, one)))
	for last := false; !r.stopped() && !last && len(names) > 0 && r.elapsed() < r.Time; {
		only := map[string]bool{}
		for _, name := range names {
			only[name] = true
		}
		r.round(Confirm, only, r.judge.Fresh)
		if r.stopped() {
			return
		}
		r.tally.Fresh++
		last = r.elapsed() >= r.Time
		names = r.judge.Again(r.tally.Fresh, last)
	}
}

// wanted says whether a group has a case that is asked for; nil: all are.
func (r *run) wanted(group int, only map[string]bool) bool {
	if len(only) == 0 {
		return true
	}
	for name := range only {
		if g, ok := r.groups[name]; !ok || g == group {
			return true
		}
	}
	return false
}

// round is one round of each group that is wanted, in random order.
func (r *run) round(phase Phase, only map[string]bool, tell func(string, []float64, []float64)) {
	r.rest(phase, len(only))
	for _, group := range r.coin.Perm(len(r.Groups)) {
		if r.stopped() {
			return
		}
		if r.wanted(group, only) {
			r.group(phase, group, tell)
		}
	}
	if n := r.tally.Rounds + r.tally.Fresh; phase != AA && n%phasesEvery == 0 {
		r.phases()
	}
}

// betweenEvery is how often garbage is collected, the controls are sampled, and
// somebody is told.
const betweenEvery = 250 * time.Millisecond

// renewEvery is how often the programs are laid out in the page cache anew, which
// takes some milliseconds.
const renewEvery = time.Second

// rest does what must not be done beside a sample.
func (r *run) rest(phase Phase, undecided int) {
	now := r.Clock.Now()
	if !r.between.IsZero() && now.Sub(r.between) < betweenEvery {
		return
	}
	r.between = now
	if r.Progress != nil {
		rounds := map[Phase]int{AA: r.tally.Same, AB: r.tally.Rounds, Confirm: r.tally.Fresh}[phase]
		r.Progress(State{phase, rounds, r.elapsed(), r.Time, undecided})
	}
	r.collect()
	if r.Layout != nil && now.Sub(r.renewed) >= renewEvery {
		r.renewed = now
		r.keep(r.Layout.Renew())
	}
	r.control()
}

func (r *run) keep(err error) { r.err = errors.Join(r.err, err) }

// offsets is below how many bytes the unused variable is; a page, in which the
// place of the stack repeats itself.
const offsets = 4096

// group is one round of one group.
func (r *run) group(phase Phase, group int, tell func(string, []float64, []float64)) {
	order := [4]int{0, 1, 1, 0}
	if r.coin.IntN(2) == 1 {
		order = [4]int{1, 0, 0, 1}
	}
	var all [2][][]Sample
	for _, turn := range order {
		side := turn
		if phase == AA {
			side = 0
		}
		list, err := r.sides[side].Visit(r.ctx, group, 1+r.coin.IntN(offsets))
		if r.ctx.Err() != nil {
			return // it was interrupted, and did not fail
		}
		if err != nil {
			r.failed(side, group, err)
			continue
		}
		r.row[side] = 0
		all[turn] = append(all[turn], list)
		for _, s := range list {
			name := s.Case
			if phase == AA {
				name = AAPrefix + s.Case
			}
			r.write(side, name, s)
		}
	}
	if len(all[0]) == 2 && len(all[1]) == 2 {
		r.figures(group, all, tell)
	}
}

// write writes a sample, or a failure.
func (r *run) write(side int, name string, s Sample) {
	if s.Failed != "" {
		r.keep(r.out[side].Failed(name, s.Failed))
		return
	}
	r.keep(r.out[side].Sample(name, s.Values))
}

// Try visits each group of both sides once, and keeps nothing: what cannot be
// measured is found out before the time begins.
func Try(ctx context.Context, base, head Side, groups int) error {
	for i, side := range []Side{base, head} {
		for group := range groups {
			if _, err := side.Visit(ctx, group, 1); err != nil {
				return fmt.Errorf("%s: %w", [2]string{"base", "head"}[i], err)
			}
		}
	}
	return nil
}

// failed records a visit that has no time.
func (r *run) failed(side, group int, err error) {
	r.tally.Failures[side]++
	r.row[side]++
	name := r.Groups[group]
	r.keep(r.out[side].Failed(name, err.Error()))
	if r.row[side] >= mostFailures {
		r.keep(fmt.Errorf("measure %s: %d visits in a row failed: %w", [2]string{"base", "head"}[side], mostFailures, err))
	}
}
