package load

import "time"

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
		for turn := int64(0); !b.Over(); turn++ {
			begin, used := Monotonic(), ThreadCPU()
			for ThreadCPU()-used < int64(work) && !b.Over() {
			}
			slot.Loops.Store(uint64(turn + 1))
			slot.note()
			b.Note(Event{From: begin, To: Monotonic(), Value: turn, Thread: int32(i), Kind: Step})
			for rest := begin + int64(every); Monotonic() < rest && !b.Over(); {
				time.Sleep(min(10*time.Millisecond, time.Duration(max(1, rest-Monotonic()))))
			}
		}
		return nil
	})
}
