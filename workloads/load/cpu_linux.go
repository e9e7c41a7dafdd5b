package load

import (
	"time"
	_ "unsafe" // for linkname
)

// offCPU is the pause between two readings of the clock from which a thread is
// taken to have been off the CPU; a reading takes some 30 ns.
const offCPU = 100 * time.Microsecond

// Go's scheduler is told that a thread which only computes is in a system call.
// Otherwise its monitor thread wakes a hundred times a second to see whether the
// thread has to be preempted, and preempts it, which wakes yet another thread:
// 1.5 % of a limit of 20 % of a CPU, used on other CPUs than the load's, where
// quota gets stranded. Between the two calls the stack must not grow: all that
// is called there is nosplit.

//go:linkname entersyscall runtime.entersyscall
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

// nanotime is CLOCK_MONOTONIC in nanoseconds, without a system call.
//
//go:linkname nanotime runtime.nanotime
func nanotime() int64

// every is how often a thread writes down its CPU time.
const every = time.Millisecond

// spin computes without a system call, and notes when it was off the CPU.
func spin(s Spec, b *Board) error {
	return threads(s.Threads, b, func(i int) error {
		spinUnseen(b, &b.Slots[i], int32(i))
		return nil
	})
}

// spinUnseen is the loop of spin, between entersyscall and exitsyscall.
//
//go:nosplit
//go:norace
func spinUnseen(b *Board, slot *Slot, thread int32) {
	entersyscall()
	last, wrote := nanotime(), int64(0)
	for loops := uint64(1); !b.Over(); loops++ {
		now := nanotime()
		if now-last > int64(offCPU) {
			b.Note(Event{From: last, To: now, Thread: thread, Kind: Gap})
		}
		if now-wrote > int64(every) {
			slot.Loops.Store(loops)
			slot.note()
			wrote = now
		}
		last = now
	}
	slot.note()
	exitsyscall()
}

// note writes down the thread's CPU time.
//
//go:nosplit
func (s *Slot) note() {
	s.CPU.Store(ThreadCPU())
	s.At.Store(Monotonic())
}

// syscalls does nothing but system calls, so that it is in the kernel most of
// the time: since Linux 6.18 a throttled task stops on its way out of it.
func syscalls(s Spec, b *Board) error {
	return threads(s.Threads, b, func(i int) error {
		syscallsUnseen(b, &b.Slots[i], int32(i))
		return nil
	})
}

// syscallsUnseen is the loop of syscalls, between entersyscall and exitsyscall.
//
//go:nosplit
//go:norace
func syscallsUnseen(b *Board, slot *Slot, thread int32) {
	entersyscall()
	last := Monotonic()
	for loops := uint64(0); !b.Over(); loops++ {
		now := Monotonic() // is a system call
		if now-last > int64(offCPU) {
			b.Note(Event{From: last, To: now, Thread: thread, Kind: Gap})
		}
		if last = now; loops%1024 == 0 {
			slot.Loops.Store(loops)
			slot.note()
			last = Monotonic()
		}
	}
	slot.note()
	exitsyscall()
}

// turns has the first thread spin and each other one work for Work and sleep for
// Every, in turn: the shape that strands quota on CPUs which go idle (fibtest).
func turns(s Spec, b *Board) error {
	work, pause := s.Work, s.Every
	if work == 0 {
		work = 20 * time.Microsecond
	}
	if pause == 0 {
		pause = 10 * time.Millisecond
	}
	return threads(s.Threads, b, func(i int) error {
		c, slot := NewClock(), &b.Slots[i]
		for loops := uint64(0); !b.Over(); loops++ {
			for begin := c.Now(); c.Now()-begin < int64(work); {
			}
			if i > 0 {
				time.Sleep(pause)
			}
			slot.Loops.Store(loops)
			slot.note()
		}
		return nil
	})
}
