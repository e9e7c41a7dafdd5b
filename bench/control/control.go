// Package control measures the instrument and the machine beside the cases:
// what a stamp costs, how fast a fixed loop runs, and what the engine itself
// adds to a start. When the controls move, the machine has changed.
package control

import (
	"time"

	"golang.org/x/sys/unix"

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

// Engine are the costs of the engine per start, which are outside of clone-ns,
// child-ns and reap-ns: "build" makes the program, "load" lays it out in an
// arena, "mask" is the two rt_sigprocmask calls, "pidfd" opens and closes a
// pidfd, "launch" is what Cycle takes beyond reap-ns, and "collect" reads the
// times.
func Engine(samples int) []harness.Case {
	var cases []harness.Case
	for _, part := range []struct {
		name string
		open func() (func() (float64, error), func() error, error)
	}{
		{"build", build}, {"load", loading}, {"mask", mask}, {"pidfd", pidfd}, {"launch", launch}, {"collect", collect},
	} {
		cases = append(cases, harness.Case{
			Name: "Engine/part=" + part.name, Samples: samples, Cost: 60 * time.Microsecond,
			Open: func() (harness.Sampler, error) {
				f, closing, err := part.open()
				if err != nil {
					return nil, harness.NotMeasured{Why: err.Error()}
				}
				return harness.Each(func() ([]sample.Value, error) {
					ns, err := f()
					return []sample.Value{{Unit: "op-ns", Value: ns}}, err
				}, closing), nil
			},
		})
	}
	return cases
}

func null() *program.Program {
	p := program.New(program.VM, 0)
	p.Add(program.Exit(0))
	return p
}

func build() (func() (float64, error), func() error, error) {
	return func() (float64, error) {
		from := program.Now()
		null()
		return float64(program.Now() - from), nil
	}, nil, nil
}

func loading() (func() (float64, error), func() error, error) {
	p := null()
	return func() (float64, error) {
		from := program.Now()
		img, err := program.Load(p)
		if err != nil {
			return 0, err
		}
		img.Close()
		return float64(program.Now() - from), nil
	}, nil, nil
}

func mask() (func() (float64, error), func() error, error) {
	return func() (float64, error) {
		var all, old unix.Sigset_t
		for i := range all.Val {
			all.Val[i] = ^all.Val[i]
		}
		from := program.Now()
		if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &old); err != nil {
			return 0, err
		}
		err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
		return float64(program.Now() - from), err
	}, nil, nil
}

func pidfd() (func() (float64, error), func() error, error) {
	return func() (float64, error) {
		from := program.Now()
		fd, err := unix.PidfdOpen(unix.Getpid(), 0)
		if err != nil {
			return 0, err
		}
		err = unix.Close(fd)
		return float64(program.Now() - from), err
	}, nil, nil
}

func launch() (func() (float64, error), func() error, error) {
	img, err := program.Load(null())
	if err != nil {
		return nil, nil, err
	}
	return func() (float64, error) {
		from := program.Now()
		t, err := img.Cycle()
		return float64(program.Now() - from - t.Reaped), err
	}, func() error { img.Close(); return nil }, nil
}

func collect() (func() (float64, error), func() error, error) {
	img, err := program.Load(null())
	if err != nil {
		return nil, nil, err
	}
	return func() (float64, error) {
		if _, err := img.Cycle(); err != nil {
			return 0, err
		}
		from := program.Now()
		img.Times()
		return float64(program.Now() - from), nil
	}, func() error { img.Close(); return nil }, nil
}
