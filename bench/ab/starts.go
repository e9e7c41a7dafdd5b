package ab

import (
	"context"
	"errors"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/bench/startup"
)

// Starts is a side of which each visit is one start: of a runtime's usual
// container, or of a command, timed by the engine from before clone3 until it was
// reaped.
type Starts struct {
	Case   string // what its samples are called
	Spans  string // and those of its phases
	single *startup.Single
	phases harness.Sampler // nil: it does not tell
}

// NewStarts readies a side. name is that of a runtime that the bench was made
// with; the cases are called after what both sides are.
func NewStarts(b *startup.Bench, name string) (*Starts, sample.Observed, error) {
	s := &Starts{}
	var err error
	if s.single, err = b.Single(name); err != nil {
		return nil, sample.Observed{}, err
	}
	if s.phases, err = b.Phases(name); err != nil {
		var not harness.NotMeasured
		if !errors.As(err, &not) { // an old build may not tell; that is no reason not to time it
			return nil, sample.Observed{}, errors.Join(err, s.Close())
		}
		seen := s.single.Observed
		seen.Notes = append(seen.Notes, "it does not tell where its time goes: "+not.Why)
		return s, seen, nil
	}
	return s, s.single.Observed, nil
}

// With is the container's variant.
func (s *Starts) With() string { return s.single.With }

// Program is the path of what is started.
func (s *Starts) Program() string { return s.single.Program }

// NewCommand makes a side of a command that was readied.
func NewCommand(name string, single *startup.Single) *Starts {
	return &Starts{Case: name, single: single}
}

// Visit is one start.
func (s *Starts) Visit(_ context.Context, _, offset int) ([]Sample, error) {
	values, err := s.single.Start(offset)
	if err != nil {
		return nil, err
	}
	return []Sample{{Case: s.Case, Values: values}}, nil
}

// Phases is one start that tells its timeline.
func (s *Starts) Phases(context.Context) (list []Sample, err error) {
	if s.phases == nil {
		return nil, nil
	}
	s.phases.Sample(1, func(values []sample.Value, e error) {
		if err = e; e == nil {
			list = append(list, Sample{Case: s.Spans, Values: values})
		}
	})
	return list, err
}

// Close gives back what the starts took.
func (s *Starts) Close() error {
	err := s.single.Close()
	if s.phases != nil {
		err = errors.Join(err, s.phases.Close())
	}
	return err
}
