package control

import (
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// Part is one part of what the engine itself costs per start, which lies
// outside of clone-ns, child-ns and reap-ns.
type Part struct {
	Name  string
	About string // what a sample spans, in one line
	// Open prepares the part; sample is one operation in nanoseconds, closing
	// removes what was made (nil: nothing).
	Open func() (sample func() (float64, error), closing func() error, err error)
}

// ops is how many ops the measured program has, about as many as a container.
const ops = 16

// Parts are all parts.
func Parts() []Part {
	return []Part{
		{"build", "make a program of 16 ops", build},
		{"load", "lay it out in an arena, and give the arena back", loading(program.VM)},
		{"load-stub", "the same in mode stub, whose arena is a file", loading(program.Stub)},
		{"mask", "two rt_sigprocmask calls", mask},
		{"pidfd", "open and close a pidfd", pidfd},
		{"launch", "what Cycle takes beyond the reap-ns within it", launch},
		{"collect", "Times after a start", collect(func(img *program.Image) { img.Times() })},
		{"timeline", "Timeline of 16 ops after a start", collect(func(img *program.Image) { img.Timeline() })},
	}
}

// Engine are the parts as cases.
func Engine(samples int) []harness.Case {
	var cases []harness.Case
	for _, part := range Parts() {
		cases = append(cases, harness.Case{
			Name: "Engine/part=" + part.Name, Samples: samples, Cost: 60 * time.Microsecond,
			Open: func() (harness.Sampler, error) {
				one, closing, err := part.Open()
				if err != nil {
					return nil, harness.NotMeasured{Why: err.Error()}
				}
				return harness.Each(func() ([]sample.Value, error) {
					ns, err := one()
					return []sample.Value{{Unit: "op-ns", Value: ns}}, err
				}, closing), nil
			},
		})
	}
	return cases
}

// idle is a program of ops that do nothing, and an exit.
func idle(mode program.Mode) *program.Program {
	p := program.New(mode, 0)
	for range ops - 1 {
		p.Add(program.Null())
	}
	p.Add(program.Exit(0))
	return p
}

func build() (func() (float64, error), func() error, error) {
	return func() (float64, error) {
		from := program.Now()
		idle(program.VM)
		return float64(program.Now() - from), nil
	}, nil, nil
}

func loading(mode program.Mode) func() (func() (float64, error), func() error, error) {
	return func() (func() (float64, error), func() error, error) {
		p := idle(mode)
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
	p := program.New(program.VM, 0)
	p.Add(program.Exit(0))
	img, err := program.Load(p)
	if err != nil {
		return nil, nil, err
	}
	return func() (float64, error) {
		from := program.Now()
		t, err := img.Cycle()
		return float64(program.Now() - from - t.Reaped), err
	}, func() error { img.Close(); return nil }, nil
}

func collect(read func(*program.Image)) func() (func() (float64, error), func() error, error) {
	return func() (func() (float64, error), func() error, error) {
		img, err := program.Load(idle(program.VM))
		if err != nil {
			return nil, nil, err
		}
		return func() (float64, error) {
			if _, err := img.Cycle(); err != nil {
				return 0, err
			}
			from := program.Now()
			read(img)
			return float64(program.Now() - from), nil
		}, func() error { img.Close(); return nil }, nil
	}
}
