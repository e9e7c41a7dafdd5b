package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"isoperf/runtime/program"
)

// Comparison is how long a command took when it was followed and when it was
// not, from its execve until it had ended, in nanoseconds, in pairs.
type Comparison struct {
	Followed, Alone []int64
	Stopped         string // why there are fewer pairs than were asked for; "": there are not
}

// Compare runs the command pairs times followed and as often alone, in turns
// (the order changes from pair to pair), until the time is up. It is an error
// when a run ends otherwise than with the status: what it did was not the same.
func Compare(ctx context.Context, o Options, pairs int, most time.Duration, status program.Status) (Comparison, error) {
	var c Comparison
	deadline := time.Now().Add(most)
	for n := range pairs {
		if n > 0 && time.Now().After(deadline) {
			c.Stopped = fmt.Sprintf("%v were up", most)
			break
		}
		for turn := range 2 {
			run, list := o.followed, &c.Followed
			if (n+turn)%2 == 1 {
				run, list = o.alone, &c.Alone
			}
			took, got, err := run(ctx)
			if err != nil {
				return c, fmt.Errorf("compare with runs that are not followed: run %d: %w", 2*n+turn+1, err)
			}
			if got.ExitCode() != status.ExitCode() {
				return c, fmt.Errorf("compare with runs that are not followed: run %d ended with %v, the first one with %v; a command that cannot be repeated cannot be compared", 2*n+turn+1, got, status)
			}
			*list = append(*list, took)
		}
	}
	return c, nil
}

func (o Options) followed(ctx context.Context) (int64, program.Status, error) {
	r, err := Follow(ctx, o)
	if err != nil {
		return 0, program.Status{}, err
	}
	if r.Ended != "" {
		return 0, program.Status{}, fmt.Errorf("its tree was ended, since %s", r.Ended)
	}
	return r.Led - r.Start, r.Status, nil
}

// alone runs the command as followed does, without a filter and a tracer. Like
// it, it stays until what went into the background has ended, so that it does
// not run beside the next one.
func (o Options) alone(ctx context.Context) (took int64, status program.Status, err error) {
	left, err := adopt()
	if err != nil {
		return 0, status, err
	}
	defer func() { err = errors.Join(err, left.release()) }()
	if took, status, err = o.untraced(ctx); err != nil {
		return 0, status, errors.Join(err, left.wait(ctx, 0))
	}
	return took, status, left.wait(ctx, lingers)
}

// untraced is the command itself, from its execve to its end.
func (o Options) untraced(ctx context.Context) (took int64, status program.Status, err error) {
	p := program.New(program.Stub, 0)
	p.Stdio(o.Stdio[0], o.Stdio[1], o.Stdio[2])
	p.DieWithParent()
	p.Exec(o.Path, o.Args, o.Env)
	l := program.NewLauncher()
	defer l.Close()
	proc, err := l.Start(p)
	if err != nil {
		return 0, status, err
	}
	defer proc.Release()
	defer context.AfterFunc(ctx, func() { _ = proc.Signal(9) })() // it may have ended
	if status, err = proc.Wait(); err != nil {
		return 0, status, err
	}
	if err := ctx.Err(); err != nil {
		return 0, status, err
	}
	t := proc.Timeline()
	return t.Reaped - t.Spans[len(t.Spans)-1].End, status, nil
}
