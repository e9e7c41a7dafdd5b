// Package clone measures what it costs to create, join and destroy namespaces.
//
//	flag × mode × pacing ─► program (clone; exit) ─► Clone     clone-ns child-ns reap-ns
//	                        program (unshare; exit) ► Unshare   unshare-ns
//	                        program (setns; exit) ──► Setns     setns-ns
//	                        victim, then poller ────► Teardown  exit-ns close-ns gone-ns
//	                        the same, in surroundings that grow ► Sweep…
//
// The events: clone-ns is from clone3 entered to returned in the parent;
// child-ns to the child's first instruction; reap-ns to waitid returned.
// unshare-ns and setns-ns are the call alone, stamped by the child on both
// sides. The sweeps are in sweep.go.
package clone

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/namespace"
	"isoperf/runtime/program"
)

// Flags is a row of the clone table: a set of namespaces under a name.
type Flags struct {
	Name string
	Bits uint64
}

// AllFlags are the rows: none, each namespace alone, all but user, all.
func AllFlags() []Flags {
	rows := []Flags{{"none", 0}}
	for _, n := range namespace.All() {
		rows = append(rows, Flags{n.Name, n.Flag})
	}
	return append(rows, Flags{"all-but-user", namespace.Flags("user")}, Flags{"all", namespace.Flags()})
}

func pacingName(paced bool) string {
	if paced {
		return "paced"
	}
	return "burst"
}

// Cases are the clone, unshare, setns and teardown cases.
func Cases(e harness.Extent) []harness.Case {
	var cases []harness.Case
	for _, paced := range []bool{false, true} {
		for _, f := range AllFlags() {
			for _, mode := range []program.Mode{program.VM, program.Fork, program.Stub} {
				some := f.Name == "none" || f.Name == "all"
				if mode == program.Stub && !some || paced && mode != program.VM && !e.Wide {
					continue
				}
				cases = append(cases, cloneCase(f, mode, paced, e))
			}
		}
		for _, n := range namespace.All() {
			if !paced || e.Wide {
				cases = append(cases, unshareCase(n, paced, e), setnsCase(n, paced, e))
			}
		}
	}
	for _, n := range namespace.All() {
		cases = append(cases, teardownCase(n, e.Teardown))
	}
	return cases
}

// cost is about how long an operation takes, for estimates.
func cost(bits uint64, mode program.Mode) time.Duration {
	c := 80 * time.Microsecond
	if mode != program.VM {
		c += 200 * time.Microsecond
	}
	if bits&unix.CLONE_NEWNET != 0 {
		c += 500 * time.Microsecond
	}
	return c
}

func cloneCase(f Flags, mode program.Mode, paced bool, e harness.Extent) harness.Case {
	return harness.Case{
		Name:    fmt.Sprintf("Clone/flag=%s/mode=%s/pacing=%s", f.Name, mode, pacingName(paced)),
		Paced:   paced,
		Samples: e.Wanted(paced),
		Cost:    cost(f.Bits, mode),
		Drops:   f.Bits&unix.CLONE_NEWNET != 0,
		Open:    func() (harness.Sampler, error) { return openClone(mode, f.Bits) },
	}
}

// openClone prepares "clone with these flags; exit".
func openClone(mode program.Mode, bits uint64) (harness.Sampler, error) {
	p := program.New(mode, bits)
	p.Add(program.Exit(0))
	img, err := program.Load(p)
	if err != nil {
		return nil, err
	}
	if _, err := img.Cycle(); err != nil {
		img.Close()
		return nil, harness.NotMeasured{Why: err.Error()}
	}
	return harness.Each(func() ([]sample.Value, error) { return cycle(img) }, closeImage(img)), nil
}

func closeImage(img *program.Image) func() error {
	return func() error { img.Close(); return nil }
}

// cycle is one sample of the clone family.
func cycle(img *program.Image) ([]sample.Value, error) {
	t, err := img.Cycle()
	if err != nil {
		return nil, err
	}
	return []sample.Value{
		{Unit: "clone-ns", Value: float64(t.Returned)},
		{Unit: "child-ns", Value: float64(t.First)},
		{Unit: "reap-ns", Value: float64(t.Reaped)},
	}, nil
}

// unshareCase times unshare(2) in a child with a memory of its own, as those
// have who call it.
func unshareCase(n namespace.Namespace, paced bool, e harness.Extent) harness.Case {
	return harness.Case{
		Name:    fmt.Sprintf("Unshare/flag=%s/pacing=%s", n.Name, pacingName(paced)),
		Paced:   paced,
		Samples: e.Wanted(paced),
		Cost:    cost(n.Flag, program.Fork),
		Drops:   n.Flag == unix.CLONE_NEWNET,
		Open: func() (harness.Sampler, error) {
			p := program.New(program.Fork, 0)
			p.Add(program.Null())
			ref := p.Add(program.Unshare(n.Flag))
			p.Add(program.Exit(0))
			return openOp(p, ref, "unshare-ns", nil)
		},
	}
}

// setnsCase times setns(2) into a namespace that a descriptor holds, in a
// child with a memory of its own: a time namespace takes no other.
func setnsCase(n namespace.Namespace, paced bool, e harness.Extent) harness.Case {
	return harness.Case{
		Name:    fmt.Sprintf("Setns/flag=%s/pacing=%s", n.Name, pacingName(paced)),
		Paced:   paced,
		Samples: e.Wanted(paced),
		Cost:    cost(0, program.Fork),
		Open: func() (harness.Sampler, error) {
			target, err := hold(n)
			if err != nil {
				return nil, err
			}
			p := program.New(program.Fork, 0)
			p.Add(program.Null())
			ref := p.Add(program.Setns(program.Int(target.Fd()), n.Flag))
			p.Add(program.Exit(0))
			return openOp(p, ref, "setns-ns", target.Close)
		},
	}
}

// openOp prepares a program of which one op is timed.
func openOp(p *program.Program, ref program.Ref, unit string, closing func() error) (harness.Sampler, error) {
	if closing == nil {
		closing = func() error { return nil }
	}
	img, err := program.Load(p)
	if err == nil {
		if _, cerr := img.Cycle(); cerr != nil {
			img.Close()
			err = harness.NotMeasured{Why: cerr.Error()}
		}
	}
	if err != nil {
		closing()
		return nil, err
	}
	one := func() ([]sample.Value, error) {
		if _, err := img.Cycle(); err != nil {
			return nil, err
		}
		return []sample.Value{{Unit: unit, Value: float64(img.Took(ref))}}, nil
	}
	return harness.Each(one, func() error { img.Close(); return closing() }), nil
}
