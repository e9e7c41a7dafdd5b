package harness

import (
	"math"

	"golang.org/x/perf/benchmath"

	"isoperf/bench/sample"
)

// most is the number of samples at which a case is done in any event.
func (e *entry) most(o Options) int { return e.Samples * max(1, o.Most) }

// enough says whether a case needs no more samples: it has those that it
// wants and, in the second half of a run with a precision, is that precise.
func (e *entry) enough(o Options, extend bool) bool {
	switch {
	case e.n < e.Samples:
		return false
	case !extend || e.n >= e.most(o):
		return true
	}
	return HalfWidth(e.main) <= o.Precision
}

// HalfWidth is half the width of the 95 % interval of the median, relative to
// the median; infinite below six samples, which have no such interval.
func HalfWidth(values []float64) float64 {
	if len(values) == 0 {
		return math.Inf(1)
	}
	s := benchmath.AssumeNothing.Summary(benchmath.NewSample(values, &benchmath.DefaultThresholds), 0.95)
	if s.Center == 0 {
		return math.Inf(1)
	}
	return (s.Hi - s.Lo) / 2 / math.Abs(s.Center)
}

// Each makes a Sampler of a function that takes one sample, and one that
// removes what it made (nil: nothing to remove).
func Each(one func() ([]sample.Value, error), closing func() error) Sampler {
	return each{one, closing}
}

type each struct {
	one     func() ([]sample.Value, error)
	closing func() error
}

func (e each) Sample(n int, emit func([]sample.Value, error)) {
	for range n {
		emit(e.one())
	}
}

func (e each) Close() error {
	if e.closing == nil {
		return nil
	}
	return e.closing()
}
