package startup

import (
	"errors"
	"time"
)

// Single is the usual start of one runtime, for those who time it otherwise.
type Single struct {
	Argv, Env []string
	starter   *starter
}

// Single readies the usual start of a runtime; Close ends it.
func (b *Bench) Single(name string) (*Single, error) {
	p := b.find(name)
	if p == nil {
		return nil, errors.New(name + " is not in the table")
	}
	w, err := b.open()
	if err != nil {
		return nil, err
	}
	v := b.which()[0]
	f, err := w.tried(*p, v)
	if err != nil {
		return nil, err
	}
	env, err := w.environ(v, f.start.env)
	if err != nil {
		return nil, err
	}
	st, err := w.newStarter(f, 0)
	if err != nil {
		return nil, err
	}
	return &Single{f.start.argv, env, st}, nil
}

// Total is total-ns of one start.
func (s *Single) Total() (time.Duration, error) {
	o, err := s.starter.cycle()
	return time.Duration(o.total), err
}

// Close gives back what the start took.
func (s *Single) Close() error { return s.starter.Close() }
