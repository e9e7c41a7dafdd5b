package limits

import (
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
	"isoperf/workloads/load"
)

// A shape is a limit with another load, or with groups below it:
//
//	load=turns       a spinner, and threads that work for 20 µs and sleep: quota is stranded
//	load=syscall     a thread that is in the kernel most of the time
//	two-children     the group's limit is shared by two groups below, which have more together
//	larger-child     the group below has more than the group; version 1 refuses it
//	stress-one       `stress -c 1` in the group
//	stress-two       two of them: each gets a half
//	stress-ng        stress-ng --cpu 1 in the group
//	beside           stress-ng --cpu, one a CPU, in a group beside that has no limit: an
//	                 antagonist, which must not take what the limit leaves to the load

// shape is a row of the table of shapes.
type shape struct {
	name string
	cell Cell
	open func(s *cpuSample, g *ground, c Cell) error // adds what runs to the sample
}

func shapes() []shape {
	fifth := Cell{Quota: 0.2, Threads: 1}
	two := Cell{Quota: 0.2, Threads: 2}
	one, both, ng := fifth, two, fifth
	one.Load, both.Load, ng.Load = "stress", "stress", "stress-ng"
	return []shape{
		{"two-children", two, func(s *cpuSample, g *ground, c Cell) error { return s.below(g, c, 0.15, 2) }},
		{"larger-child", fifth, func(s *cpuSample, g *ground, c Cell) error { return s.below(g, c, 0.5, 1) }},
		{"stress-one", one, func(s *cpuSample, g *ground, _ Cell) error { return s.outsiders(g, 1, stress(s.longest())) }},
		{"stress-two", both, func(s *cpuSample, g *ground, _ Cell) error { return s.outsiders(g, 2, stress(s.longest())) }},
		{"stress-ng", ng, func(s *cpuSample, g *ground, _ Cell) error { return s.outsiders(g, 1, stressNG("cpu", 1, s.longest())) }},
		{"beside", fifth, func(s *cpuSample, g *ground, c Cell) error { return s.beside(g, c) }},
	}
}

// CPUShapes are limits with other loads, and with groups below.
func (b *Bench) CPUShapes(e harness.Extent) []harness.Case {
	m, failed := readMachine()
	var cases []harness.Case
	add := func(name string, c Cell, open func(s *cpuSample, g *ground) error) {
		length := b.Window
		if length == 0 {
			length = c.length(m)
		}
		cases = append(cases, b.newCase(name, e, length+100*time.Millisecond, func(name string, g *ground) (func() ([]sample.Value, error), error) {
			if failed != nil {
				return nil, failed
			}
			s, err := newCPUSample(name, c, m, g, length)
			if err == nil {
				err = open(s, g)
			}
			if err != nil {
				return nil, err
			}
			return func() ([]sample.Value, error) { return b.sampleCPU(*s) }, nil
		}))
	}
	many := 2 * m.cpus
	for _, c := range []Cell{
		{Quota: 0.1, Load: "turns", Threads: many}, {Quota: 0.1, Period: 10 * time.Millisecond, Load: "turns", Threads: many},
		{Quota: 0.2, Load: "syscall"},
	} {
		add(c.name(m.cpus), c, func(s *cpuSample, g *ground) error { return s.load(g, s.group, c.load(), c.threads(m.cpus)) })
	}
	for _, x := range shapes() {
		add(x.cell.shaped(x.name, m.cpus), x.cell, func(s *cpuSample, g *ground) error { return x.open(s, g, x.cell) })
	}
	return cases
}

// newCPUSample makes a group with the cell's limit; what runs in it is to be
// added.
func newCPUSample(name string, c Cell, m machine, g *ground, length time.Duration) (*cpuSample, error) {
	made, err := g.group("cpumax", c.resources(), "cpu", "cpuacct")
	if err != nil {
		return nil, err
	}
	s := &cpuSample{name: name, asked: c.limit(), limit: c.bandwidth(m), machine: m, group: made, place: placeOf(made), length: length}
	s.meter, err = g.meter(made)
	return s, err
}

// load starts a load of ours.
func (s *cpuSample) load(g *ground, in *cgroup.Group, kind string, threads int) error {
	w, err := g.start(in, load.Spec{Kind: kind, Threads: threads})
	if err == nil {
		s.workers = append(s.workers, w)
	}
	return err
}

// below makes groups below, each with a limit and a spinner of its own.
func (s *cpuSample) below(g *ground, c Cell, share float64, n int) error {
	own := c
	own.Quota = share
	for i := range n {
		// A child is in the hierarchies that its limits need; its use is counted in
		// that of cpuacct as well.
		made, err := g.child(s.group, fmt.Sprintf("child%d", i+1), own.resources())
		if errors.Is(err, unix.EINVAL) && share > c.Quota && !s.place.v2 {
			return harness.NotMeasured{Why: fmt.Sprintf("version 1 refuses a group with %.4g %% below one with %.4g %%; version 2 takes it", 100*share, 100*c.Quota)}
		}
		if err != nil {
			return err
		}
		if err := s.load(g, made, "spin", 1); err != nil {
			return err
		}
		m, err := g.meter(made)
		if err != nil {
			return err
		}
		s.children = append(s.children, child{m, min(share, c.Quota)})
	}
	return nil
}

// longest is for how long an outsider works, should nobody end it.
func (s *cpuSample) longest() time.Duration { return s.length + time.Minute }

// outsiders starts so many of an outsider in the group.
func (s *cpuSample) outsiders(g *ground, n int, o outsider) error {
	for range n {
		w, err := g.admit(s.group, o)
		if err != nil {
			return err
		}
		s.workers = append(s.workers, w)
	}
	return nil
}

// beside starts a load of ours in the group, and an antagonist in another.
func (s *cpuSample) beside(g *ground, c Cell) error {
	other, err := g.group("antagonist", &specs.LinuxResources{}, "cpu", "cpuacct")
	if err != nil {
		return err
	}
	if _, err := g.admit(other, stressNG("cpu", s.machine.cpus, s.longest())); err != nil {
		return err
	}
	return s.load(g, s.group, c.load(), 1)
}
