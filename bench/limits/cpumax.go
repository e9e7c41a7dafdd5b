package limits

import (
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/workloads/load"
)

// CPUMax are the cells of a report: quotas and periods, wherever the quota is at
// least the kernel's.
func (b *Bench) CPUMax(e harness.Extent) []harness.Case {
	cells := b.Cells
	m, err := readMachine()
	if len(cells) == 0 {
		cells = grid(e, m.cpus)
	}
	var cases []harness.Case
	for _, c := range cells {
		length := b.Window
		if length == 0 {
			length = c.length(m)
		}
		cases = append(cases, b.newCase(c.name(m.cpus), e, length+100*time.Millisecond, func(name string, g *ground) (func() ([]sample.Value, error), error) {
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
	made, err := g.group("cpumax", c.resources(), "cpu", "cpuacct")
	if err != nil {
		return nil, err
	}
	w, err := g.start(made, load.Spec{Kind: c.load(), Threads: c.threads(m.cpus)})
	if err != nil {
		return nil, err
	}
	where := placeOf(made)
	counters, err := newMeter(where.cpu, where.cpuacct, where.v2)
	if err != nil {
		return nil, err
	}
	g.onClose(func() error { counters.close(); return nil })
	return func() ([]sample.Value, error) {
		return b.sampleCPU(cpuSample{name: name, asked: c.limit(), limit: c.bandwidth(m), machine: m, place: where, meter: counters, workers: []*worker{w}, length: length})
	}, nil
}
