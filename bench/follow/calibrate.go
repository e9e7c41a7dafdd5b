package follow

import (
	"context"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// Price is what one stop adds to a call, in nanoseconds.
type Price struct {
	Stop    float64 // all of it
	Latency float64 // the part in which the thread is neither seen to be held nor at work: being let go, and the stop being told
}

// Cost is what following costs on this machine: it depends on where the
// scheduler puts the tracer. Waking an idle CPU can cost more than all the rest.
type Cost struct {
	Near  Price // tracer and process on one CPU
	Far   Price // on two; the same as Near where there is only one
	Calls int   // how many calls each was measured with
}

// Calibrate measures it, with children that make calls null calls, followed as
// every other call is, and not followed. Medians, so that a call that was
// interrupted does not count.
func Calibrate(ctx context.Context, calls int) (Cost, error) {
	c := Cost{Calls: calls}
	if calls < 10 {
		return c, fmt.Errorf("measure the cost of a stop: %d calls are too few; make it at least 10", calls)
	}
	cpus, err := ownCPUs()
	if err != nil {
		return c, fmt.Errorf("measure the cost of a stop: %w", err)
	}
	if c.Near, err = calibrate(ctx, calls, cpus[0], cpus[0]); err != nil {
		return c, fmt.Errorf("measure the cost of a stop: %w", err)
	}
	c.Far = c.Near
	if len(cpus) > 1 {
		if c.Far, err = calibrate(ctx, calls, cpus[0], cpus[1]); err != nil {
			return c, fmt.Errorf("measure the cost of a stop: %w", err)
		}
	}
	return c, nil
}

// ownCPUs are the CPUs that this process may run on.
func ownCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("ask for the own CPUs: %w", err)
	}
	var cpus []int
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	return cpus, nil
}

// calibrate measures one placing.
func calibrate(ctx context.Context, calls, tracer, tracee int) (Price, error) {
	followed, err := nulls(ctx, calls, true, tracer, tracee)
	if err != nil {
		return Price{}, err
	}
	plain, err := nulls(ctx, calls, false, tracer, tracee)
	if err != nil {
		return Price{}, err
	}
	var held, took, bare []int64
	last := int64(0)
	for _, c := range followed.Calls {
		if c.Name != nullCall {
			continue
		}
		held = append(held, c.Entered-c.Seen+c.Left-c.Returned)
		if last > 0 {
			took = append(took, c.Seen-last)
		}
		last = c.Seen
	}
	for _, s := range plain.Spans {
		if s.Name == program.Null().Name {
			bare = append(bare, s.End-s.Start)
		}
	}
	if len(held) < calls || len(bare) < calls {
		return Price{}, fmt.Errorf("of %d calls %d and %d were seen; a seccomp filter around this program may answer them", calls, len(held), len(bare))
	}
	both := float64(max(median(took)-median(bare), 0))
	return Price{Stop: both / 2, Latency: max(both-float64(median(held)), 0) / 2}, nil
}

// nullCall is the cheapest one there is.
const nullCall = "getppid"

// nulls is the record of so many calls. Those that are traced have no stamps of
// their own, since no op has behind a filter.
func nulls(ctx context.Context, calls int, traced bool, tracer, tracee int) (*Record, error) {
	g, err := begin([3]int{int(os.Stdin.Fd()), int(os.Stdout.Fd()), int(os.Stderr.Fd())})
	if err != nil {
		return nil, err
	}
	g.Add(program.Op{
		Name: "place", Call: unix.SYS_SCHED_SETAFFINITY,
		Args: [6]program.Arg{program.Int(0), program.Int(unsafe.Sizeof(unix.CPUSet{})), program.Bytes(maskOf(tracee))},
	})
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
	return Options{Path: "the null calls", calibrates: true, cpu: tracer}.follow(ctx, g)
}

// maskOf is one CPU as sched_setaffinity takes it.
func maskOf(cpu int) []byte {
	var set unix.CPUSet
	set.Set(cpu)
	return slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&set)), unsafe.Sizeof(set)))
}

// Latency is what Divide takes a stop's latency to have been in this record:
// the median time from let go to told of those of its calls in which the kernel
// does next to nothing, but no more than Calibrate found. Few such calls show
// nothing; then it is the lower one of Calibrate.
func (r *Record) Latency(c Cost) float64 {
	var took []int64
	for _, call := range r.Calls {
		if brief(call.Name) && !call.Lost {
			took = append(took, call.Returned-call.Entered)
		}
	}
	const few = 10
	low, high := min(c.Near.Latency, c.Far.Latency), max(c.Near.Latency, c.Far.Latency)
	if len(took) < few {
		return low
	}
	return min(max(float64(median(took)), low), high)
}

// brief says whether a call only changes a few words of its own process.
func brief(name string) bool {
	switch name {
	case "prctl", "capset", "personality", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid":
		return true
	}
	return false
}

func median(values []int64) int64 {
	values = slices.Clone(values)
	slices.Sort(values)
	return values[len(values)/2]
}
