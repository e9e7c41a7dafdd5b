package load

import "time"

// offCPU is the pause between two readings of the clock from which a thread is
// taken to have been off the CPU; a reading takes some 30 ns.
const offCPU = 100 * time.Microsecond

// every is how often a thread writes down its CPU time.
const every = time.Millisecond

// spin computes without a system call, and notes when it was off the CPU.
func spin(s Spec, b *Board) error {
	return threads(s.Threads, b, func(i int) error {
		c, slot := NewClock(), &b.Slots[i]
		last, wrote, loops := c.Now(), int64(0), uint64(0)
		for !b.Over() {
			now := c.Now()
			if now-last > int64(offCPU) {
				b.Note(Event{From: last, To: now, Thread: int32(i), Kind: Gap})
			}
			loops++
			if now-wrote > int64(every) {
				slot.Loops.Store(loops)
				slot.note()
				wrote = now
			}
			last = now
		}
		slot.note()
		return nil
	})
}

// note writes down the thread's CPU time.
func (s *Slot) note() {
	s.CPU.Store(ThreadCPU())
	s.At.Store(Monotonic())
}

// syscalls does nothing but system calls, so that it is in the kernel most of
// the time: since Linux 6.18 a throttled task stops on its way out of it.
func syscalls(s Spec, b *Board) error {
	return threads(s.Threads, b, func(i int) error {
		slot := &b.Slots[i]
		last := Monotonic()
		for loops := uint64(0); !b.Over(); loops++ {
			now := Monotonic() // is a system call
			if now-last > int64(offCPU) {
				b.Note(Event{From: last, To: now, Thread: int32(i), Kind: Gap})
			}
			if last = now; loops%1024 == 0 {
				slot.Loops.Store(loops)
				slot.note()
				last = Monotonic()
			}
		}
		slot.note()
		return nil
	})
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
