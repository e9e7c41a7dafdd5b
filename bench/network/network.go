// Package network asks what isolation costs on the wire: how many bytes per
// second a path carries, how long an answer takes, how long the path takes to
// set up, and whose CPU time that is.
//
//	Cell ─► stage ── this program again, as a host of its own ──► world: peer ─ uplink ─ host ─ path ─ container
//	          ▲         (namespaces: pid, mount, net; user for an                │
//	          │          ordinary user)                                          ▼
//	          │                                          endpoints (workloads/traffic) at the path's two ends
//	          └── values, what was checked ◄── proof ◄── meters: boards, CPU clocks, interface counters
//
// A case makes its whole network for itself, in namespaces of a process that it
// starts: a model of a host with an uplink to a peer, and a container behind the
// path that is measured. Nothing of the machine's own network is touched, and
// all of it ends with that process, however it ends: it is the first process of
// a pid namespace. Only the path "loopback" runs in the machine's own network.
//
// The ends are processes of their own, so that each one's CPU time is known. The
// receiver counts; what was sent does not matter.
//
// A sample counts only if the path is proved: the interface that the data must
// take carried it, the translator worked, the MTU is what was asked for. Else the
// sample has failed, with the reason, and there is no number.
package network

import (
	"context"

	"isoperf/bench/sample"
)

// Config is what the cases of a run share. The zero value records nothing beside
// the samples.
type Config struct {
	Context context.Context            // ends a measurement; nil: nothing does
	Checked func(sample.Checked) error // takes how a path was proved; nil: nobody
	Series  func(sample.Series) error
}

// Bench makes the cases.
type Bench struct {
	Config
	taken map[string]int // samples of each case
}

// New is a bench. It holds nothing that has to be closed.
func New(c Config) *Bench {
	if c.Context == nil {
		c.Context = context.Background()
	}
	return &Bench{c, map[string]int{}}
}

// record hands on what was checked of a sample, with its number.
func (b *Bench) record(name string, o outcome) error {
	n := b.taken[name]
	b.taken[name]++
	if b.Checked != nil && o.Checked != nil {
		o.Checked.Case, o.Checked.Sample = name, n
		if err := b.Checked(*o.Checked); err != nil {
			return err
		}
	}
	for _, s := range o.Series {
		s.Case, s.Sample = name, n
		if b.Series != nil {
			if err := b.Series(s); err != nil {
				return err
			}
		}
	}
	return nil
}
