package follow

import (
	"context"
	"fmt"
	"os"
	"slices"

	"isoperf/runtime/program"
)

// Cost is what following costs on this machine.
type Cost struct {
	Stop    float64 // what one stop adds to a call, in nanoseconds
	Latency float64 // the part of it in which the thread is not seen to be held, by either side
	Calls   int     // how many calls that was measured with
}

// Calibrate measures it, with a child that makes calls null calls, followed as
// every other call is, and not followed. Medians, so that a call that was
// interrupted does not count.
func Calibrate(ctx context.Context, calls int) (Cost, error) {
	if calls < 10 {
		return Cost{}, fmt.Errorf("measure the cost of a stop: %d calls are too few; make it at least 10", calls)
	}
	traced, err := nulls(ctx, calls, true)
	if err != nil {
		return Cost{}, fmt.Errorf("measure the cost of a stop: %w", err)
	}
	plain, err := nulls(ctx, calls, false)
	if err != nil {
		return Cost{}, fmt.Errorf("measure the cost of a stop: %w", err)
	}
	var held, took, bare []int64
	for i, c := range traced.Calls {
		held = append(held, c.Entered-c.Seen+c.Left-c.Returned)
		if i > 0 {
			took = append(took, c.Seen-traced.Calls[i-1].Seen)
		}
	}
	for _, s := range plain.Spans {
		if s.Name == program.Null().Name {
			bare = append(bare, s.End-s.Start)
		}
	}
	if len(took) < calls-1 || len(bare) < calls {
		return Cost{}, fmt.Errorf("measure the cost of a stop: of %d calls %d and %d were seen; a seccomp filter around this program may answer them", calls, len(held), len(bare))
	}
	both := float64(max(median(took)-median(bare), 0))
	return Cost{Stop: both / 2, Latency: max(both-float64(median(held)), 0) / 2, Calls: calls}, nil
}

// nullCall is the cheapest one there is.
const nullCall = "getppid"

// nulls is the record of so many calls. Those that are traced have no stamps of
// their own, since no op has behind a filter.
func nulls(ctx context.Context, calls int, traced bool) (*Record, error) {
	g, err := begin([3]int{int(os.Stdin.Fd()), int(os.Stdout.Fd()), int(os.Stderr.Fd())})
	if err != nil {
		return nil, err
	}
	if traced {
		filter, err := assemble(false, nullCall)
		if err != nil {
			return nil, err
		}
		g.Add(filter.Op())
	}
	for range calls {
		g.Add(program.Null())
	}
	g.Add(program.Exit(0))
	return Options{Path: "the null calls", calibrates: true}.follow(ctx, g)
}

func median(values []int64) int64 {
	values = slices.Clone(values)
	slices.Sort(values)
	return values[len(values)/2]
}
