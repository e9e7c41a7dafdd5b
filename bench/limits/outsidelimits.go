package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
	"isoperf/runtime/program"
)

// The limits of memory and of tasks against stress-ng, which knows nothing of
// them: what the group's own counters say is all that counts.
//
//	memory.max   --vm 1 --vm-bytes 150 % of the limit --vm-keep --oomable: one that
//	             is killed is not started again
//	pids.max     --fork 28 --fork-max 16: all but a few of 32 tasks fork, each several
//	             at once
//
// Where stress-ng is not installed, they are not measured.

// outsideFor is how long it may work at most.
const outsideFor = 5 * time.Second

// watchOutsider calls look until the load has ended by itself, look says that it
// has seen enough, or the time is up; then it ends the load, and all below it.
func (g *ground) watchOutsider(ctx context.Context, w *worker, longest time.Duration, look func() (done bool, err error)) error {
	for begin := program.Now(); !w.gone() && program.Now()-begin < int64(longest) && ctx.Err() == nil; doze(200_000) {
		done, err := look()
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, err := look(); err != nil { // what happened since
		return err
	}
	return errors.Join(w.dismiss(), w.group.Kill(), w.close(), g.emptied(ctx, w.group))
}

// dismiss asks the load to end, so that it reaps what it has forked, and gives it
// some time for that: who is killed leaves dead children to init, and they count
// as tasks until that has reaped them.
func (w *worker) dismiss() error {
	if w.gone() {
		return nil
	}
	if err := w.proc.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end a load: %w", err)
	}
	for begin := program.Now(); !w.gone() && program.Now()-begin < int64(outsideFor); {
		doze(1_000_000)
	}
	return nil
}

// emptied waits until a group whose processes were killed has none.
func (g *ground) emptied(ctx context.Context, made *cgroup.Group) error {
	for begin := program.Now(); ctx.Err() == nil; doze(200_000) {
		left, err := made.Processes()
		if err != nil || len(left) == 0 {
			return err
		}
		if program.Now()-begin > int64(patience) {
			return fmt.Errorf("end a load: process %d is still there %v after it was killed", left[0], patience)
		}
	}
	return ctx.Err()
}

// strangers are the processes of a group that neither are the load nor descend
// from it.
func (w *worker) strangers() (list []int, err error) {
	all, err := w.group.Processes()
	if err != nil {
		return nil, err
	}
	for _, pid := range all {
		up := pid
		for up > 1 && up != w.proc.Pid() {
			up = parentOf(up)
		}
		if up == 1 { // 0: it has ended meanwhile
			list = append(list, pid)
		}
	}
	return list, nil
}

// outsideMemory is memory.max against stress-ng --vm.
func (b *Bench) outsideMemory(e harness.Extent) harness.Case {
	c := MemoryCell{Limit: 64 * mib, Kind: "stress-ng", Want: 1.5}
	return b.newCase("MemoryMax/"+c.tail(), e, 2*time.Second, func(name string, g *ground) (func() ([]sample.Value, error), error) {
		if _, err := installed("stress-ng"); err != nil {
			return nil, err
		}
		m, err := readMachine()
		if err != nil {
			return nil, err
		}
		s := &memorySample{name: name, cell: c, ground: g, cpus: m.env.CPUs}
		if err := s.groups(); err != nil {
			return nil, err
		}
		s.checked = sample.Checked{Case: name, Limit: "memory.max", Asked: strconv.FormatInt(c.Limit, 10), Facts: map[string]string{"version": s.place.version(), "page": strconv.Itoa(os.Getpagesize())}}
		return func() ([]sample.Value, error) {
			values, err := s.presses(b.Context)
			if err != nil {
				return nil, err
			}
			return values, b.record(s.checked)
		}, nil
	})
}

// presses has stress-ng want more memory than there is, and reads the counters.
func (s *memorySample) presses(ctx context.Context) ([]sample.Value, error) {
	swaps, err := s.place.swaps()
	if err != nil {
		return nil, err
	}
	if swaps {
		s.doubt("the group may swap, so its memory does not have to fit; turn swap off (swapoff -a)")
	}
	want := strconv.FormatInt(int64(s.cell.Want*float64(s.cell.Limit)), 10)
	w, err := s.ground.admit(s.group, stressNG("vm", 1, outsideFor, "--vm-bytes", want, "--vm-keep", "--oomable"))
	if err != nil {
		return nil, err
	}
	s.worker = w
	var f fate
	if err := s.ground.watchOutsider(ctx, w, outsideFor, func() (bool, error) { return false, s.glimpse(&f) }); err != nil {
		return nil, err
	}
	limit, err := s.place.limit()
	if err != nil {
		return nil, err
	}
	if s.checked.Read = strconv.FormatInt(limit, 10); s.checked.Read != s.checked.Asked {
		s.doubt("the limit that is in force is %s bytes, not %s: something else has changed it", s.checked.Read, s.checked.Asked)
	}
	if f.strange != 0 {
		s.doubt("process %d was in the group too, and none of the load's", f.strange)
	}
	if f.changed != 0 && f.changed != limit {
		s.doubt("for a while, the limit was %d bytes: something else has changed it", f.changed)
	}
	return s.pressed(f)
}

// glimpse looks at the group while an outsider works in it.
func (s *memorySample) glimpse(f *fate) error {
	n, err := s.place.current()
	if err != nil {
		return err
	}
	limit, err := s.place.limit()
	if err != nil {
		return err
	}
	if f.most = max(f.most, n); limit != s.cell.Limit {
		f.changed = limit
	}
	strange, err := s.worker.strangers()
	if len(strange) > 0 {
		f.strange = strange[0]
	}
	return err
}

// pressed are the figures of the counters.
func (s *memorySample) pressed(f fate) ([]sample.Value, error) {
	events, err := s.events()
	if err != nil {
		return nil, err
	}
	rest, err := s.place.current()
	if err != nil {
		return nil, err
	}
	peak, told, err := s.place.peak()
	if err != nil {
		return nil, err
	}
	if !told {
		peak, s.checked.Facts["peak"] = f.most, "polled"
	}
	size := float64(s.cell.Limit)
	return []sample.Value{
		{Unit: "limit-B", Value: size},
		{Unit: "peak-B", Value: float64(peak)},
		{Unit: "rest-B", Value: float64(rest)},
		{Unit: "budget-ratio", Value: float64(64*unix.Getpagesize()*s.cpus) / size},
		{Unit: "max-count", Value: float64(events.max)},
		{Unit: "oom-count", Value: float64(events.oom)},
		{Unit: "oom-kill-count", Value: float64(events.kill)},
		{Unit: "overshoot-ratio", Value: max(0, float64(peak)-size) / size},
		{Unit: "peak-ratio", Value: float64(peak) / size},
	}, nil
}

// outsidePids is pids.max against stress-ng --fork.
func (b *Bench) outsidePids(e harness.Extent) harness.Case {
	const limit = 32
	return b.newCase(fmt.Sprintf("PidsMax/max=%d/kind=stress-ng", limit), e, time.Second+stormFor, func(name string, g *ground) (func() ([]sample.Value, error), error) {
		if _, err := installed("stress-ng"); err != nil {
			return nil, err
		}
		made, err := g.group("pidsmax", pidsLimit(limit))
		if err != nil {
			return nil, err
		}
		s := &pidsSample{name: name, cell: PidsCell{limit, "stress-ng"}, ground: g, group: made, place: pidsOf(made), owner: pidsOf(made)}
		s.checked = sample.Checked{Case: name, Limit: "pids.max", Asked: strconv.Itoa(limit), Facts: map[string]string{"version": "1"}}
		if s.owner.v2 {
			s.checked.Facts["version"] = "2"
		}
		return func() ([]sample.Value, error) {
			values, err := s.forked(b.Context)
			if err != nil {
				return nil, err
			}
			return values, b.record(s.checked)
		}, nil
	})
}

// forked has stress-ng fork for a while, and reads the counters. How many tasks
// there were is what the group lists: of pids.current see pidsSample.end.
func (s *pidsSample) forked(ctx context.Context) ([]sample.Value, error) {
	w, err := s.ground.admit(s.group, stressNG("fork", 28, outsideFor, "--fork-max", "16"))
	if err != nil {
		return nil, err
	}
	s.worker = w
	var seen storm
	listed, begin := 0, program.Now()
	look := func() (bool, error) {
		n, err := s.glance(&seen)
		listed = max(listed, n)
		return program.Now()-begin > int64(stormFor), err
	}
	if err := s.ground.watchOutsider(ctx, w, outsideFor, look); err != nil {
		return nil, err
	}
	if seen.moved != 0 {
		s.doubt("for a while, the limit was %d: something else has changed it", seen.moved)
	}
	read, err := s.owner.number("pids.max")
	if err != nil {
		return nil, err
	}
	if s.checked.Read = strconv.FormatInt(read, 10); s.checked.Read != s.checked.Asked {
		s.doubt("the limit that is in force is %s, not %s: something else has changed it", s.checked.Read, s.checked.Asked)
	}
	peak, err := s.owner.peak()
	if err != nil {
		return nil, err
	}
	events, err := s.owner.refused()
	if err != nil {
		return nil, err
	}
	left, err := s.owner.number("pids.current")
	if err != nil {
		return nil, err
	}
	count := func(unit string, n int64) sample.Value { return sample.Value{Unit: unit, Value: float64(n)} }
	return []sample.Value{
		count("limit-count", read), count("peak-count", peak), count("most-count", seen.most), count("listed-count", int64(listed)),
		count("refused-count", events), count("events-count", events), count("left-count", left), count("look-count", int64(seen.looks)),
		count("transient-count", max(0, seen.most-s.cell.Max)),
		count("overshoot-count", max(0, max(peak, int64(listed))-s.cell.Max)),
	}, nil
}

// glance looks at the group while an outsider forks in it; n is how many tasks it
// lists.
func (s *pidsSample) glance(seen *storm) (n int, err error) {
	now, err := s.owner.number("pids.current")
	if err != nil {
		return 0, err
	}
	limit, err := s.owner.number("pids.max")
	if err != nil {
		return 0, err
	}
	seen.looks++
	if seen.most = max(seen.most, now); limit != s.cell.Max {
		seen.moved = limit
	}
	list, err := numbers(s.place.dir + "/cgroup.procs")
	slices.Sort(list)
	return len(slices.Compact(list)), err
}
