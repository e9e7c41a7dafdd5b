// Package control measures the instrument and the machine beside the cases:
// what a stamp costs, how fast a fixed loop runs, and what the engine itself
// adds to a start. When the controls move, the machine has changed.
package control

import (
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// Cases are the two controls that are in every file: "clock", the cost of one
// stamp, and "compute", a fixed loop that stays in registers.
func Cases(samples int) []harness.Case {
	one := func(name, unit string, f func() float64) harness.Case {
		return harness.Case{
			Name: "Control/what=" + name, Samples: samples, Run: 3, Cost: 200 * time.Microsecond,
			Open: func() (harness.Sampler, error) {
				return harness.Each(func() ([]sample.Value, error) {
					return []sample.Value{{Unit: unit, Value: f()}}, nil
				}, nil), nil
			},
		}
	}
	return []harness.Case{
		one("clock", "clock-ns", func() float64 { return program.ClockCost(1000) }),
		one("compute", "compute-ns", compute),
	}
}

// compute times 100,000 steps of xorshift64.
func compute() float64 {
	from := program.Now()
	x := uint64(88172645463325252)
	for range 100_000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	took := program.Now() - from
	if x == 0 {
		return 0 // cannot be: keeps the loop
	}
	return float64(took)
}
