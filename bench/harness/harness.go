// Package harness takes samples: cases in, samples out. It never prints.
//
//	cases ─► open ─► rounds: ┌ drain, warm up, a run of back-to-back samples ┐ ─► file
//	           │             └ … of each case, forwards, then backwards      ┘
//	           │         ─► rounds: one sample of each case, 50 ms apart       ─► file
//	           └ cannot: "not measured: why"
//
// Two pacings, because the same call can cost a hundred times more when it is
// not made in a tight loop: burst, in short runs of back-to-back samples whose
// cases are interleaved; and paced, with a pause between any two operations of
// the run. Each run starts with two operations that are not recorded, so that
// every burst sample follows one of its own kind.
//
// Rounds go through the cases forwards and backwards in turn (ABBA), so that a
// machine that drifts drifts for all of them. First every case gets its
// samples; then, if a precision is asked for, sampling goes on where the 95 %
// interval of the median is not that tight yet; all until the time is up.
package harness

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"isoperf/bench/sample"
)

// Gap is the pause between two paced operations. The gap sweep shows that the
// effects of pacing are complete from 10 to 20 ms on.
const Gap = 50 * time.Millisecond

// RunLength is the number of recorded samples of a burst run.
const RunLength = 10

// Case is one row of an experiment.
type Case struct {
	Name    string // as in the result file: "Clone/flag=net/mode=vm/pacing=burst"
	Paced   bool   // Gap between its operation and any other
	Samples int    // how many are wanted; at least 1
	Run     int    // samples of a visit; 0: RunLength, or 1 when it is paced
	Cost    time.Duration
	// Drops: the operation drops network namespaces. The kernel destroys them
	// later, so the next run of any case waits until they are gone.
	Drops bool
	// Ballast: the case is opened for each visit and closed after it, since
	// its surroundings (memory, mounts, namespaces) weigh on the others.
	Ballast bool
	// Long: the operation takes so long that what ran before does not matter, so
	// none is done to warm up.
	Long bool
	Open func() (Sampler, error)
}

func (c *Case) run() int {
	switch {
	case c.Run > 0:
		return c.Run
	case c.Paced:
		return 1
	}
	return RunLength
}

// Sampler measures one case.
type Sampler interface {
	// Sample does the operation n times, back to back, and hands each result
	// to emit: values, or the error of an operation that failed.
	Sample(n int, emit func([]sample.Value, error))
	// Close removes what the case made.
	Close() error
}

// NotMeasured is the error of a case that cannot be measured here.
type NotMeasured struct{ Why string }

// Error says why.
func (e NotMeasured) Error() string { return "not measured: " + e.Why }

// Recorder is where samples go; *sample.Writer is one.
type Recorder interface {
	Sample(name string, values []sample.Value) error
	Failed(name, why string) error
	NotMeasured(name, why string) error
}

// Options are the stop rule.
type Options struct {
	// Precision is the half-width of the median's 95 % interval, relative to
	// the median, below which a case is done; 0: the number of samples alone
	// decides.
	Precision float64
	// Most is the number of samples at which a case is done whatever its
	// precision, as a multiple of Case.Samples; 0: 1.
	Most int
	// Time bounds the whole run; 0: it is not bounded.
	Time time.Duration
}

// State is how far a run is.
type State struct {
	Case       string
	Done, Want int // samples
	Elapsed    time.Duration
	Left       time.Duration // an estimate; 0: unknown
	Extends    bool          // all samples are there; now the precision decides
	FirstLook  bool          // true once, when every burst case has had its first run
}

// Tally is what a run came to.
type Tally struct {
	Samples, Failures, NotMeasured int
	Why                            string // why it ended: "done", "the time was up", "interrupted", "failed: …"
}

// Harness runs cases. It is for one goroutine.
type Harness struct {
	Out      Recorder
	Progress func(State)  // called between samples; nil: nobody looks
	Drain    func() error // waits until dropped network namespaces are gone; nil: no case drops any
	Clock    Clock        // the zero value is the real one
}

// Clock is replaced in tests.
type Clock struct {
	Now   func() time.Time
	Sleep func(time.Duration)
}

// entry is a case while it runs.
type entry struct {
	*Case
	sampler  Sampler
	n        int       // samples taken
	main     []float64 // the last unit of each sample: what the precision is judged by
	failures int
	warm     bool
}

// Failures, and nothing else, after which a case is given up.
const mostFailures = 20

type run struct {
	*Harness
	ctx     context.Context
	o       Options
	start   time.Time
	last    time.Time // the end of the last operation
	entries []*entry
	tally   Tally
	err     error
	looked  bool
	extend  bool // every case has its samples: now the precision counts
	// Something else than samples has run since the last run.
	disturbed bool
	dirty     bool // network namespaces were dropped since the last drain
}

// Run takes the samples. It returns what it came to, and an error only when
// results could not be written or a case could not be closed. A cancelled
// context ends it between two samples.
func (h *Harness) Run(ctx context.Context, cases []Case, o Options) (Tally, error) {
	if h.Clock.Now == nil {
		h.Clock = Clock{time.Now, Rest}
	}
	// Between rounds garbage is collected by hand, never beside a sample.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	r := &run{Harness: h, ctx: ctx, o: o, start: h.Clock.Now()}
	r.open(cases)
	r.rounds(false)
	r.rounds(true)
	if r.extend = o.Precision > 0; r.extend {
		r.rounds(false)
		r.rounds(true)
	}
	for _, e := range r.entries {
		if e.sampler != nil {
			r.keep(e.sampler.Close())
		}
	}
	switch {
	case r.err != nil:
		r.tally.Why = "failed: " + r.err.Error()
	case ctx.Err() != nil:
		r.tally.Why = "interrupted"
	case r.late() && r.short():
		r.tally.Why = "the time was up"
	default:
		r.tally.Why = "done"
	}
	return r.tally, r.err
}

func (r *run) keep(err error) { r.err = errors.Join(r.err, err) }

func (r *run) late() bool { return r.o.Time > 0 && r.Clock.Now().Sub(r.start) >= r.o.Time }

// short says whether a case has fewer samples than it wants.
func (r *run) short() bool {
	for _, e := range r.entries {
		if e.n < e.Samples {
			return true
		}
	}
	return false
}

func (r *run) stopped() bool { return r.err != nil || r.ctx.Err() != nil || r.late() }

// open sets the cases up, except those with ballast.
func (r *run) open(cases []Case) {
	for i := range cases {
		e := &entry{Case: &cases[i]}
		if !e.Ballast && r.ctx.Err() == nil && !r.begin(e) {
			continue
		}
		r.entries = append(r.entries, e)
	}
}

// begin opens a case's sampler, or records why it cannot be measured.
func (r *run) begin(e *entry) bool {
	s, err := e.Open()
	if err != nil {
		r.giveUp(e, err)
		return false
	}
	e.sampler, e.warm = s, false
	return true
}

func (r *run) giveUp(e *entry, err error) {
	var not NotMeasured
	why := err.Error()
	if errors.As(err, &not) {
		why = not.Why
	}
	r.tally.NotMeasured++
	e.Samples = 0
	r.keep(r.Out.NotMeasured(e.Name, why))
}

// rounds visits the burst cases, or the paced ones, until all are done.
func (r *run) rounds(paced bool) {
	var mine []*entry
	for _, e := range r.entries {
		if e.Paced == paced {
			mine = append(mine, e)
		}
	}
	for round := 0; ; round++ {
		runtime.GC()
		r.disturbed = true
		visited := false
		for i := range mine {
			e := mine[i]
			if round%2 == 1 {
				e = mine[len(mine)-1-i]
			}
			if r.stopped() {
				return
			}
			if e.enough(r.o, r.extend) {
				continue
			}
			visited = true
			r.visit(e)
		}
		if !visited {
			return
		}
		if !paced && round == 0 && !r.looked {
			r.looked = true
			r.report(mine[0], true)
		}
	}
}

// visit takes one run of samples of a case.
func (r *run) visit(e *entry) {
	r.report(e, false)
	if r.dirty && r.Drain != nil {
		if err := r.Drain(); err != nil {
			r.keep(fmt.Errorf("drain before %s: %w", e.Name, err))
			return
		}
		r.last, r.disturbed = r.Clock.Now(), true
	}
	r.dirty = e.Drops
	if e.Ballast {
		r.disturbed = true
		if !r.begin(e) {
			return
		}
		defer func() {
			r.keep(e.sampler.Close())
			e.sampler = nil
			r.disturbed, r.last = true, r.Clock.Now()
		}()
	}
	n := min(e.run(), e.Samples-e.n)
	if r.extend {
		n = min(e.run(), e.most(r.o)-e.n)
	}
	discard := func([]sample.Value, error) {}
	switch {
	case e.Long:
		r.pace()
	case !e.Paced:
		r.settle()
		e.sampler.Sample(WarmUp, discard)
	case !e.warm:
		r.pace()
		e.sampler.Sample(1, discard)
		r.last = r.Clock.Now()
		fallthrough
	default:
		r.pace()
	}
	e.warm = true
	e.sampler.Sample(n, func(v []sample.Value, err error) { r.record(e, v, err) })
	r.last = r.Clock.Now()
}

// settle pauses before a burst run.
func (r *run) settle() {
	if r.disturbed {
		r.Clock.Sleep(Settle)
	} else {
		r.Clock.Sleep(Between)
	}
	r.disturbed = false
}

// pace waits until Gap has passed since the last operation.
func (r *run) pace() {
	if left := Gap - r.Clock.Now().Sub(r.last); left > 0 {
		r.Clock.Sleep(left)
	}
}

func (r *run) record(e *entry, values []sample.Value, err error) {
	if err != nil {
		e.failures++
		r.tally.Failures++
		r.keep(r.Out.Failed(e.Name, err.Error()))
		e.n++ // a failure takes a sample's place, so that rounds end
		if e.failures >= mostFailures && e.failures == e.n {
			e.Samples = 0 // it only fails: no more tries
		}
		return
	}
	e.n++
	r.tally.Samples++
	e.main = append(e.main, values[len(values)-1].Value)
	r.keep(r.Out.Sample(e.Name, values))
}

// report shows where the run is.
func (r *run) report(e *entry, firstLook bool) {
	if r.Progress == nil {
		return
	}
	s := State{Case: e.Name, Elapsed: r.Clock.Now().Sub(r.start), FirstLook: firstLook}
	var left time.Duration
	for _, e := range r.entries {
		s.Want += e.Samples
		s.Done += min(e.n, e.Samples)
		left += time.Duration(max(0, e.Samples-e.n)) * e.cost()
	}
	s.Left, s.Extends = left, r.extend
	if r.o.Time > 0 && (r.extend || s.Left > r.o.Time-s.Elapsed) {
		s.Left = r.o.Time - s.Elapsed
	}
	r.Progress(s)
}
