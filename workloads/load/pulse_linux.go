package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// pulse has each thread use Work of CPU time, at once, and then rest until Every
// after it began, again and again: a load that saves quota and then bursts. Each
// turn is a Step, whose number is its value.
func pulse(s Spec, b *Board) error {
	work, every := s.Work, s.Every
	if work == 0 {
		work = 5 * time.Millisecond
	}
	if every == 0 {
		every = 100 * time.Millisecond
	}
	return threads(s.Threads, b, func(i int) error {
		slot := &b.Slots[i]
		for turn := int64(0); !b.stopped(); turn++ {
			begin, used := monotonic(), clockOf(unix.CLOCK_THREAD_CPUTIME_ID)
			for clockOf(unix.CLOCK_THREAD_CPUTIME_ID)-used < int64(work) && !b.stopped() {
			}
			slot.Loops.Store(uint64(turn + 1))
			slot.note()
			b.Note(Event{From: begin, To: monotonic(), Value: turn, Thread: int32(i), Kind: Step})
			for rest := begin + int64(every); monotonic() < rest && !b.stopped(); {
				time.Sleep(min(10*time.Millisecond, time.Duration(max(1, rest-monotonic()))))
			}
		}
		return nil
	})
}
