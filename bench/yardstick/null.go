package main

import (
	"fmt"
	"time"

	"isoperf/runtime/program"
)

// nullPairs are the samples of part 1; [i] of both sides belong together.
type nullPairs struct {
	ours, c []cycle
}

// measureNull is part 1. The order within a pair alternates.
func measureNull(c *yardstick, o options) (nullPairs, error) {
	p := program.New(program.VM, 0)
	p.Add(program.Exit(0))
	img, err := program.Load(p)
	if err != nil {
		return nullPairs{}, fmt.Errorf("load the null case: %w", err)
	}
	defer img.Close()
	pairs := nullPairs{make([]cycle, o.pairs), make([]cycle, o.pairs)}
	ours := func(i int) (err error) { pairs.ours[i], err = engineCycle(img, o); return }
	theirs := func(i int) (err error) { pairs.c[i], err = c.sample(caseNull); return }
	for i := range o.pairs {
		first, second := ours, theirs
		if i%2 == 1 {
			first, second = theirs, ours
		}
		for _, side := range []func(int) error{first, second} {
			if err := side(i); err != nil {
				return pairs, fmt.Errorf("measure pair %d of the null case: %w", i+1, err)
			}
		}
	}
	return pairs, nil
}

// engineCycle is one sample of the engine.
func engineCycle(img *program.Image, o options) (cycle, error) {
	o.rest()
	for range o.warm {
		if _, err := img.Cycle(); err != nil {
			return cycle{}, err
		}
	}
	start := time.Now()
	t, err := img.Cycle()
	return cycle{t.Returned, t.First, t.Reaped, int64(time.Since(start))}, err
}
