package load

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// probe asks for Work of CPU time every Every, by a schedule that does not wait
// for anybody: a request that was due while the one before was held up is late
// from the moment at which it was due, not from the one at which it was begun.
// Each is noted. The other threads use up whatever they get, and note when they
// did not run.
//
//	due       |   |   |   |   |   |
//	served    #   #   ·········# # # #     a request waits for the group, the next for it
//
// It works while Phase is odd and pauses while it is even. Before it pauses, it
// serves all that was due. A thread whose Loops are a phase has taken note of it.
func probe(s Spec, b *Board) error {
	if s.Work == 0 {
		s.Work = 100 * time.Microsecond
	}
	if s.Every == 0 {
		s.Every = time.Millisecond
	}
	return threads(s.Threads, b, func(i int) error {
		// The kernel may wake a sleeper up to 50 µs late, to save power.
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
			return err
		}
		for slot := &b.Slots[i]; !b.Over(); {
			phase := b.Phase.Load()
			slot.Loops.Store(uint64(phase))
			switch {
			case phase%2 == 0:
				SleepUntil(Monotonic() + int64(time.Millisecond))
			case i == 0:
				serve(s, b, phase)
			default:
				burn(b, i, phase)
			}
		}
		return nil
	})
}

// serve serves requests during a phase.
func serve(s Spec, b *Board, phase int64) {
	c, slot := NewClock(), &b.Slots[0]
	due, last := c.Now()+int64(s.Every), int64(math.MaxInt64)
	for ; due < last; due += int64(s.Every) {
		if c.Now() < due {
			SleepUntil(due)
		}
		from := c.Now()
		for begin := ThreadCPU(); ThreadCPU()-begin < int64(s.Work); {
		}
		done := c.Now()
		b.Note(Event{From: from, To: done, Value: due, Kind: Request})
		slot.Count.Add(1)
		if last == math.MaxInt64 && (b.Phase.Load() != phase || b.Over()) {
			last = done
		}
	}
}

// burn computes during a phase, and notes when it was off the CPU.
func burn(b *Board, thread int, phase int64) {
	c := NewClock()
	for last := c.Now(); b.Phase.Load() == phase && !b.Over(); {
		now := c.Now()
		if now-last > int64(offCPU) {
			b.Note(Event{From: last, To: now, Thread: int32(thread), Kind: Gap})
		}
		last = now
	}
}

// hog computes and does nothing else. With Extra "pin", each thread keeps to a CPU
// of its own, the first to the first that it may use, and so on.
//
// The weight of a group is shared out among CPUs by what it wants on each. The
// monitor thread of Go's runtime wakes a hundred times a second; where the CPUs
// are busy it waits each time, which counts as much as if it wanted to compute,
// and takes weight from the CPUs on which it is not: of a group that was to
// have 25 %, 17 % were seen to be left. So the threads that do not compute get the
// policy SCHED_IDLE, by which what they want counts 3 of 1024.
func hog(s Spec, b *Board) error {
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		return err
	}
	var list []int
	for i := range 64 * len(cpus) {
		if cpus.IsSet(i) {
			list = append(list, i)
		}
	}
	return threads(s.Threads, b, func(i int) error {
		if s.Extra == "pin" {
			var one unix.CPUSet
			one.Set(list[i%len(list)])
			if err := unix.SchedSetaffinity(0, &one); err != nil {
				return err
			}
		}
		if i == 0 {
			if err := idleOthers(s.Threads, b); err != nil {
				return err
			}
		}
		for slot, n := &b.Slots[i], uint64(1); !b.Over(); n++ {
			if n%4096 == 0 {
				slot.Loops.Store(n)
			}
		}
		return nil
	})
}

// idleOthers has the threads of this process that do not compute run only when
// nobody else wants to; those that they make later do so, too.
func idleOthers(threads int, b *Board) error {
	computes := map[string]bool{}
	for i := range threads {
		computes[strconv.Itoa(int(b.Slots[i].Tid.Load()))] = true
	}
	list, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list the threads of this load: %w", err)
	}
	for _, e := range list {
		tid, err := strconv.Atoi(e.Name())
		if err != nil || computes[e.Name()] {
			continue
		}
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
		if err := unix.SchedSetAttr(tid, &attr, 0); err != nil && err != unix.ESRCH {
			return fmt.Errorf("have thread %d run when nobody else wants to: %w", tid, err)
		}
	}
	return nil
}

// SleepUntil sleeps until an instant of CLOCK_MONOTONIC. Go's own scheduler has
// no part in it, which would add to how late it wakes up.
func SleepUntil(at int64) {
	ts := unix.NsecToTimespec(at)
	for {
		_, _, err := unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		if err != unix.EINTR {
			return
		}
	}
}

// task is one of many: its thread counts turns, between which it naps for Every;
// 0: it does nothing else but count. It looks for its Go rarely, since many wait.
func task(s Spec, b *Board) error {
	runtime.LockOSThread()
	slot := &b.Slots[0]
	slot.Tid.Store(uint32(unix.Gettid()))
	b.Ready.Add(1)
	for b.Started.Load() == 0 && !b.Over() {
		time.Sleep(10 * time.Millisecond)
	}
	for !b.Over() {
		if s.Every > 0 {
			SleepUntil(Monotonic() + int64(s.Every))
		}
		slot.Loops.Add(1)
	}
	return nil
}
