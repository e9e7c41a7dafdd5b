package network

import (
	"fmt"

	"isoperf/bench/sample"
)

// Single is one path that has been made, for checks from outside: our own ends and
// somebody else's take turns on it.
type Single struct{ stage *stage }

// Ways are the paths by direction, at some MTUs: one stream of each. A path that
// has no MTUs to choose from is there once.
func Ways(mtus ...int) []Cell {
	var list []Cell
	for _, p := range paths() {
		had := map[int]bool{}
		for _, mtu := range p.mtus {
			had[mtu] = true
		}
		which := mtus
		if had[0] {
			which = []int{0}
		}
		for _, mtu := range which {
			for _, dir := range []string{"out", "in"} {
				if had[mtu] {
					list = append(list, Cell{Family: Stream, Path: p.name, Dir: dir, MTU: mtu, Streams: 1, IP: 4})
				}
			}
		}
	}
	return list
}

// Open makes the path of a cell. What it needs that is not here is a
// harness.NotMeasured.
func Open(c Cell) (*Single, error) {
	s, err := newStage(c)
	if err != nil {
		return nil, err
	}
	return &Single{s}, nil
}

// Ours is a sample of our own ends. The cell is that of Open, or one that differs
// from it in direction, streams, buffers and times only.
func (s *Single) Ours(c Cell) ([]sample.Value, error) {
	o, err := s.stage.ask(c)
	if err == nil {
		err = o.err()
	}
	return o.Values, err
}

// Foreign is a sample of somebody else's ends, which must take no longer than the
// cell's times and 10 s more.
func (s *Single) Foreign(c Cell, p Pair) (Foreign, error) {
	c.Foreign = &p
	o, err := s.stage.ask(c)
	if err == nil {
		err = o.err()
	}
	if err != nil {
		return Foreign{}, err
	}
	if o.Foreign == nil {
		return Foreign{}, fmt.Errorf("measure %q: the host has no answer", c.Name())
	}
	return *o.Foreign, nil
}

// Close ends the path.
func (s *Single) Close() error { return s.stage.close() }
