package main

import (
	"errors"
	"fmt"
	"time"

	"isoperf/bench/control"
	"isoperf/runtime/program"
)

// piece is a line of part 3: samples, or differences of two things measured
// in turn, in nanoseconds.
type piece struct {
	name, about string
	samples     []float64
}

// measurePieces is part 3.
func measurePieces(c *yardstick, s *scratch, o options) ([]piece, error) {
	pieces, err := cPieces(c, o.costs)
	if err != nil {
		return nil, err
	}
	for _, part := range control.Parts() {
		samples, err := repeat(part, o.costs)
		if err != nil {
			return nil, fmt.Errorf("measure the engine's %s: %w", part.Name, err)
		}
		pieces = append(pieces, piece{"engine: " + part.Name, part.About, samples})
	}
	stub, err := difference(o.costs, nullStart(program.Stub, ""), nullStart(program.VM, ""))
	if err != nil {
		return nil, fmt.Errorf("measure the price of the stub: %w", err)
	}
	bond, err := difference(o.costs, nullStart(program.VM, s.payload, (*program.Program).DieWithParent), nullStart(program.VM, s.payload))
	if err != nil {
		return nil, fmt.Errorf("measure the price of DieWithParent: %w", err)
	}
	return append(pieces,
		piece{"engine: stub", "a null start through the stub, minus one without", stub},
		piece{"engine: die with parent", "start of a static program with the death signal armed and confirmed, minus without", bond},
	), nil
}

// repeat takes n samples of a part, after some that do not count.
func repeat(part control.Part, n int) ([]float64, error) {
	one, closing, err := part.Open()
	if err != nil {
		return nil, err
	}
	samples := make([]float64, 0, n)
	for i := range n + 20 {
		ns, oerr := one()
		if oerr != nil {
			err = oerr
			break
		}
		if i >= 20 {
			samples = append(samples, ns)
		}
	}
	if closing != nil {
		err = errors.Join(err, closing())
	}
	return samples, err
}

// cPieces are what the calls around clone3 cost in the C program.
func cPieces(c *yardstick, n int) ([]piece, error) {
	ask := func(letter byte) func() (int64, error) {
		return func() (int64, error) { a, err := c.sample(letter); return a.Whole, err }
	}
	pidfd, err := difference(n, ask(caseNull), ask(caseNoPidfd))
	if err != nil {
		return nil, fmt.Errorf("measure the price of the pidfd: %w", err)
	}
	mask, err := difference(n, ask(caseNull), ask(caseNoMask))
	if err != nil {
		return nil, fmt.Errorf("measure the price of the signal mask: %w", err)
	}
	return []piece{
		{"C: pidfd", "a whole null cycle with CLONE_PIDFD and its close, minus one without", pidfd},
		{"C: signal mask", "a whole null cycle with two rt_sigprocmask, minus one without", mask},
	}, nil
}

// difference takes n samples of with and of without, in turn, the order
// alternating, and subtracts pair by pair.
func difference(n int, with, without func() (int64, error)) ([]float64, error) {
	diff := make([]float64, n)
	for i := range n {
		first, second, sign := with, without, 1.0
		if i%2 == 1 {
			first, second, sign = without, with, -1.0
		}
		a, err := first()
		if err != nil {
			return nil, err
		}
		b, err := second()
		if err != nil {
			return nil, err
		}
		diff[i] = sign * float64(a-b)
	}
	return diff, nil
}

// nullStart times the start of a program that exits, or that executes the
// payload, until it is reaped.
func nullStart(mode program.Mode, payload string, more ...func(*program.Program)) func() (int64, error) {
	return func() (int64, error) {
		p := program.New(mode, 0)
		for _, add := range more {
			add(p)
		}
		if payload == "" {
			p.Add(program.Exit(0))
		} else {
			p.Exec(payload, []string{"payload"}, nil)
		}
		img, err := program.Load(p)
		if err != nil {
			return 0, err
		}
		defer img.Close()
		if err := startReaped(img); err != nil { // the one that does not count
			return 0, err
		}
		start := time.Now()
		err = startReaped(img)
		return int64(time.Since(start)), err
	}
}
