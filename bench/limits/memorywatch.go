package limits

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// fate is what became of a load that wanted memory. Instants are
// CLOCK_MONOTONIC; 0: it did not happen.
type fate struct {
	touch int64 // before it touched the page that it did not survive
	event int64 // the group was seen to be out of memory
	kill  int64 // a kill was seen to be counted
	exit  int64 // the load's pidfd was seen to be readable
	empty int64 // the group was seen to have no process
	slow  int64 // the longest time between two looks, from the touch on
	again bool  // it was asked once more, after the load was seen to be gone

	most    int64 // the highest usage that was seen
	changed int64 // a limit that was seen and is not the one that was asked for; 0: none
	strange int   // a process that was in the group, and none of an outsider's; 0: none
}

// follow starts the load and looks, again and again, until it has what it wants
// or is gone. It looks without a pause when the load comes near the limit: the
// time between two looks is what the instants may be late by.
func (s *memorySample) follow(ctx context.Context) (f fate, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	notice := -1
	if !s.place.v2 {
		if notice, err = s.place.oomNotice(); err != nil {
			return f, err
		}
		defer unix.Close(notice)
	}
	slot, page := &s.worker.board.Slots[0], int64(unix.Getpagesize())
	s.worker.board.Go()
	var looks []int64
	for begin := program.Now(); ; {
		now := program.Now()
		looks = append(looks, now)
		done, err := s.look(&f, notice)
		switch {
		case err != nil:
			return f, err
		case done:
			f.conclude(slot.At.Load(), looks)
			return f, nil
		case ctx.Err() != nil:
			return f, ctx.Err()
		case now-begin > int64(patience):
			return f, fmt.Errorf("measure %s: after %v the load has neither what it wants nor is it gone", s.name, patience)
		}
		if s.cell.killed() && slot.Count.Load()*page*2 > s.cell.Limit {
			continue
		}
		looks = looks[:0]
		doze(100_000)
	}
}

// conclude fills in what is known when all is over.
func (f *fate) conclude(touch int64, looks []int64) {
	if f.exit == 0 {
		return
	}
	f.touch = touch
	for i := 1; i < len(looks); i++ {
		if looks[i] > touch {
			f.slow = max(f.slow, looks[i]-looks[i-1])
		}
	}
}

// look looks once, in the order in which things happen.
func (s *memorySample) look(f *fate, notice int) (done bool, err error) {
	events, err := s.events()
	if err != nil {
		return false, err
	}
	now := program.Now()
	if f.event == 0 && (events.oom > 0 || noticed(notice)) {
		f.event = now
	}
	if f.kill == 0 && events.kill > 0 {
		if f.exit != 0 {
			now = f.exit // seen late: it cannot have been after the end
		}
		f.kill = now
		if f.event == 0 || f.event > now {
			f.event = now
		}
	}
	gone := s.worker.gone()
	if f.exit == 0 && gone {
		f.exit = program.Now()
	}
	if f.kill == 0 {
		if n, err := s.place.current(); err == nil {
			f.most = max(f.most, n)
		}
		if n, err := s.place.limit(); err == nil && n != s.cell.Limit {
			f.changed = n
		}
		if s.halfway != nil {
			if err := s.halfway(); err != nil {
				return false, err
			}
		}
		if gone && !f.again {
			f.again = true // all may have happened between the two questions
			return false, nil
		}
		return gone || s.worker.board.Phase.Load() > 0, nil
	}
	if f.empty == 0 && s.emptied() {
		members, err := s.homes[0].members()
		if err != nil {
			return false, err
		}
		if len(members) == 0 {
			f.empty = program.Now()
		}
	}
	return f.exit != 0 && (f.empty != 0 || !s.emptied()) || s.besideGone(), nil
}

// emptied says whether the group is to have no process when the load was killed.
func (s *memorySample) emptied() bool { return s.cell.tasks() == 1 || s.cell.Group }

func noticed(fd int) bool {
	if fd < 0 {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds, 0) // interrupted: it is looked at again
	return n > 0
}

// begin notes what is doubtful before the load begins: who is in the group, and
// whether swap takes what the limit pushes out.
func (s *memorySample) begin() error {
	want := map[int]bool{s.worker.proc.Pid(): true}
	for _, w := range s.others {
		want[w.proc.Pid()] = true
	}
	members, err := s.members()
	if err != nil {
		return err
	}
	for pid := range want {
		if !slices.Contains(members, pid) {
			s.doubt("process %d of the load is not in the group", pid)
		}
	}
	for _, pid := range members {
		if !want[pid] {
			s.doubt("process %d is in the group too, and none of the load's", pid)
		}
	}
	swaps, err := s.place.swaps()
	if swaps {
		s.doubt("the group may swap, so its memory does not have to fit; turn swap off (swapoff -a)")
	}
	return err
}

// ended reads what is left, and notes what is doubtful.
func (s *memorySample) ended(f fate) (list []sample.Value, err error) {
	limit, err := s.place.limit()
	if err != nil {
		return nil, err
	}
	if s.checked.Read = fmt.Sprint(limit); s.checked.Read != s.checked.Asked {
		s.doubt("the limit that is in force is %s bytes, not %s: something else has changed it", s.checked.Read, s.checked.Asked)
	}
	if f.changed != 0 && f.changed != limit {
		s.doubt("for a while, the limit was %d bytes: something else has changed it", f.changed)
	}
	events, killed, err := s.settle()
	if err != nil {
		return nil, err
	}
	if err := s.around(); err != nil {
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
	if killed > max(events.kill, 0) {
		s.doubt("%v processes of the load are gone, and %d were killed for memory: something else has ended them", killed, max(events.kill, 0))
	}
	touched := s.worker.board.Slots[0].Count.Load()
	if s.worker.spec.Kind != "file" {
		touched = int64(s.worker.board.Slots[0].Loops.Load()) * int64(unix.Getpagesize())
	}
	size := float64(s.cell.Limit)
	return []sample.Value{
		{Unit: "limit-B", Value: size},
		{Unit: "peak-B", Value: float64(peak)},
		{Unit: "rest-B", Value: float64(rest)},
		{Unit: "touched-B", Value: float64(touched)},
		{Unit: "budget-ratio", Value: float64(64*unix.Getpagesize()*s.cpus) / size},
		{Unit: "max-count", Value: float64(events.max)},
		{Unit: "oom-count", Value: float64(events.oom)},
		{Unit: "oom-kill-count", Value: float64(events.kill)},
		{Unit: "killed-count", Value: float64(killed)},
		{Unit: "overshoot-ratio", Value: max(0, float64(peak)-size) / size},
		{Unit: "peak-ratio", Value: float64(peak) / size},
	}, nil
}

// settling is how long what was counted as killed may take to be gone.
const settling = 5 * time.Second

// settle waits until all processes that were counted as killed are gone, and says
// how many are: a kill is counted before the process has ended. The kernel may
// choose another meanwhile, since it forgets of a process that it has chosen it
// before it takes what that had off the group (exit_mmap, Linux 6.1).
func (s *memorySample) settle() (events memoryEvents, gone int64, err error) {
	all := append([]*worker{s.worker}, s.others...)
	for begin := time.Now(); ; doze(100_000) {
		if events, err = s.events(); err != nil {
			return events, 0, err
		}
		gone = 0
		for _, w := range all {
			if w.gone() {
				gone++
			}
		}
		if gone >= min(events.kill, int64(len(all))) || time.Since(begin) > settling {
			return events, gone, nil
		}
	}
}

// sampleMemory measures whether a limit is kept.
func (b *Bench) sampleMemory(s *memorySample) ([]sample.Value, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	f, err := s.follow(b.Context)
	if err != nil {
		return nil, err
	}
	return s.ended(f)
}

// sampleOOM measures how long it takes to kill. The parts add up: event, from
// the touch that went past the limit; kill, from there until a kill is counted;
// exit, until the process is gone; empty, until the group is empty too, 0 if it
// was before.
func (b *Bench) sampleOOM(s *memorySample) ([]sample.Value, error) {
	s.checked.Limit = "oom kill"
	if err := s.begin(); err != nil {
		return nil, err
	}
	f, err := s.follow(b.Context)
	if err != nil {
		return nil, err
	}
	values, err := s.ended(f)
	if err != nil {
		return nil, err
	}
	if f.kill == 0 {
		return nil, fmt.Errorf("measure %s: the load was not killed, although it touched %v of %d bytes", s.name, values[3].Value, s.cell.Limit)
	}
	last := max(f.exit, f.empty)
	// A look's own time is within the parts, so none is below 0 but by that.
	values = append(values,
		sample.Value{Unit: "watch-ns", Value: float64(f.slow)},
		sample.Value{Unit: "event-ns", Value: float64(f.event - f.touch)},
		sample.Value{Unit: "kill-ns", Value: float64(f.kill - f.event)},
		sample.Value{Unit: "exit-ns", Value: float64(f.exit - f.kill)},
		sample.Value{Unit: "empty-ns", Value: float64(last - f.exit)},
		sample.Value{Unit: "total-ns", Value: float64(last - f.touch)})
	if b.Timeline == nil {
		return values, nil
	}
	t := sample.Timeline{Case: s.name, Total: last - f.touch}
	for _, bar := range []struct {
		phase    string
		from, to int64
	}{{"out of memory", f.touch, f.event}, {"chosen", f.event, f.kill}, {"exits", f.kill, f.exit}, {"group empties", f.exit, last}} {
		t.Bars = append(t.Bars, sample.Bar{Lane: "load", Phase: bar.phase, From: bar.from - f.touch, To: bar.to - f.touch})
	}
	return values, b.Timeline(t)
}
