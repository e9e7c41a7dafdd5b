package limits

import (
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

// CPUMax are the cells of a report: quotas and periods, wherever the quota is at
// least the kernel's.
func (b *Bench) CPUMax(e harness.Extent) []harness.Case {
	cells := b.Cells
	m, err := readMachine()
	switch {
	case len(cells) > 0:
	case b.Wide:
		cells = wideGrid(m.cpus)
	default:
		cells = grid(e, m.cpus)
	}
	var cases []harness.Case
	for _, c := range cells {
		length := b.Window
		if length == 0 {
			length = c.length(m)
		}
		cases = append(cases, b.newCase(c.name(m.cpus), e, warmUp*c.period()+length+100*time.Millisecond, func(name string, g *ground) (func() ([]sample.Value, error), error) {
			if err != nil {
				return nil, err
			}
			return b.openCPUMax(name, c, m, g, length)
		}))
	}
	return cases
}

// openCPUMax makes a group with the cell's limit and a load in it.
func (b *Bench) openCPUMax(name string, c Cell, m machine, g *ground, length time.Duration) (func() ([]sample.Value, error), error) {
	s, err := newCPUSample(name, c, m, g, length)
	if err == nil {
		err = s.load(g, s.group, c.load(), c.threads(m.cpus))
	}
	if err != nil {
		return nil, err
	}
	return func() ([]sample.Value, error) { return b.sampleCPU(*s) }, nil
}
