// Package mount measures the calls by which a container gets its file system:
// each one alone and repeated, the ways to change the root, and how the calls
// grow with what is mounted already.
//
//	stage (a thread in a mount namespace of its own: a tmpfs root, 20 mounts)
//	  └─ clone NEWNS ─► child: prepare; mark; op; mark; check; exit
//	                             untimed   └ op-ns ┘  untimed
//	op × pacing ───────────────────────────────► Mount  op-ns and parts of it
//	method × pacing ───────────────────────────► Pivot  pivot-ns … op-ns
//	the same, on stages that grow ─────────────► Sweep…
//
// The child is cloned in mode stub: it executes the static program that every
// container starts with, so it has a small memory of its own, as those have who
// make these calls; the launcher's heap, which mode fork would copy, and its
// mutexes do not weigh. It works in a copy of the stage's mounts and takes them
// with it, so no operation sees what the one before has left. The marks around
// the op are stamped by the child; what the op depends on is made before the
// first of them, and behind the last the child looks whether the op did what it
// should: a sample of an op that did not is a failure. So a paced op follows its
// child's birth at once; the 50 ms lie between two children.
//
// op=none is the null case: getppid, the cheapest call, between the same marks.
// It is the least that an op-ns can be.
//
// On the stage the number of mounts is the same on every machine. A file system
// that belongs to a namespace is mounted in a new one, as in a container: proc in
// a pid namespace, sysfs in a network namespace, mqueue in an IPC namespace.
//
// Inside a user namespace the kernel lets a process mount proc and sysfs only
// where both are visible already, so the stage binds the host's.
package mount

import (
	"fmt"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// usual is how many mounts a namespace has in the cases that do not sweep them.
const usual = 20

// act is one thing to measure.
type act struct {
	name  string // of the case: "op=bind/propagation=private"
	flags uint64 // CLONE_NEW*, beside that of the mount namespace
	drops bool   // it drops a network namespace
	wide  bool   // paced in a wide run only
	scene scene
	build func(*plan)
}

// plan is the program of an act, and what of it is timed.
type plan struct {
	*program.Program
	spans []span
}

// span is a figure: from the end of one op to the end of another.
type span struct {
	unit     string
	from, to program.Ref
}

// start ends what is prepared: the time begins behind it.
func (p *plan) start() program.Ref { return p.Add(program.Null()) }

// timed adds ops, of which each has a unit of its own, or none (""), and all
// together have op-ns.
func (p *plan) timed(units []string, ops ...program.Op) {
	from := p.start()
	last := from
	for i, op := range ops {
		ref := p.Add(op)
		if i < len(units) && units[i] != "" {
			p.spans = append(p.spans, span{units[i], last, ref})
		}
		last = ref
	}
	p.spans = append(p.spans, span{"op-ns", from, last})
}

// values are the figures of the last run.
func (p *plan) values(img *program.Image) []sample.Value {
	values := make([]sample.Value, len(p.spans))
	for i, s := range p.spans {
		values[i] = sample.Value{Unit: s.unit, Value: float64(img.Between(s.from, s.to))}
	}
	return values
}

func pacingName(paced bool) string {
	if paced {
		return "paced"
	}
	return "burst"
}

// Cases are the calls, each alone.
func Cases(e harness.Extent) []harness.Case { return both("Mount", acts(), e) }

// Pivots are the ways to change the root.
func Pivots(e harness.Extent) []harness.Case { return both("Pivot", methods(), e) }

// both are the burst and the paced cases of acts.
func both(family string, acts []act, e harness.Extent) []harness.Case {
	var cases []harness.Case
	for _, paced := range []bool{false, true} {
		for _, a := range acts {
			if paced && a.wide && !e.Wide {
				continue
			}
			c := harness.Case{
				Name:    fmt.Sprintf("%s/%s/pacing=%s", family, a.name, pacingName(paced)),
				Paced:   paced,
				Samples: e.Wanted(paced),
				Cost:    700 * time.Microsecond,
				Drops:   a.drops,
				Open: func() (harness.Sampler, error) {
					return open(a, usual, rest{settle: harness.Between, paced: paced})
				},
			}
			if !paced {
				c.Run = 20
			}
			cases = append(cases, c)
		}
	}
	return cases
}
