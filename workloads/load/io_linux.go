package load

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// batch is how much time the requests of one event may span: what fast requests
// have in common, and a slow one has alone.
const batch = 2 * time.Millisecond

// direct reads or writes (Extra) Step bytes at a time, past the page cache, over
// the first Bytes of the file or device at Path, each thread from a place of its
// own. A thread counts bytes and requests, and notes a Step for what it did in
// about a batch of time: From the first request's beginning To the last one's end,
// Value bytes.
func direct(s Spec, b *Board) error {
	var flags int
	var call func(int, []byte, int64) (int, error)
	switch s.Extra {
	case "read":
		flags, call = unix.O_RDONLY, unix.Pread
	case "write":
		flags, call = unix.O_WRONLY, unix.Pwrite
	default:
		return fmt.Errorf("load io: %q is neither read nor write", s.Extra)
	}
	if s.Step < 512 || s.Step%512 != 0 || s.Bytes < s.Step {
		return fmt.Errorf("load io: %d bytes at a time of %d: whole sectors, and no more than there is", s.Step, s.Bytes)
	}
	fd, err := unix.Open(s.Path, flags|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %q past the page cache: %w; give a device or a file that takes O_DIRECT", s.Path, err)
	}
	defer unix.Close(fd)
	blocks := s.Bytes / s.Step
	return threads(s.Threads, b, func(i int) error {
		buf, err := unix.Mmap(-1, 0, int(s.Step), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_POPULATE)
		if err != nil {
			return fmt.Errorf("map a buffer: %w", err)
		}
		defer func() { _ = unix.Munmap(buf) }()
		c, slot := NewClock(), &b.Slots[i]
		next := blocks * int64(i) / int64(s.Threads)
		var from, done int64
		for !b.Over() {
			if from == 0 {
				from = c.Now()
			}
			n, err := call(fd, buf, next*s.Step)
			if err == unix.EINTR {
				continue
			}
			if err == nil && int64(n) != s.Step {
				err = unix.EIO
			}
			if err != nil {
				errno, _ := errors.AsType[unix.Errno](err)
				slot.Errno.Store(uint32(errno))
				return fmt.Errorf("%s %d bytes of %q, of which %d came: %w; see the kernel's log", s.Extra, s.Step, s.Path, n, err)
			}
			next = (next + 1) % blocks
			done += s.Step
			slot.Count.Add(s.Step)
			slot.Loops.Add(1)
			if now := c.Now(); now-from >= int64(batch) {
				b.Note(Event{From: from, To: now, Value: done, Thread: int32(i), Kind: Step})
				from, done = 0, 0
			}
		}
		if done > 0 {
			b.Note(Event{From: from, To: c.Now(), Value: done, Thread: int32(i), Kind: Step})
		}
		return nil
	})
}

// idle does nothing: threads that are there, for what moving them costs.
func idle(s Spec, b *Board) error {
	end := make(chan struct{})
	return threads(s.Threads, b, func(i int) error {
		if i > 0 {
			<-end
			return nil
		}
		for !b.Over() {
			time.Sleep(20 * time.Millisecond)
		}
		close(end)
		return nil
	})
}
