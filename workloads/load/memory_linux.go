package load

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// longTouch is the time from which the touch of a page is noted: a fault takes
// some microseconds, where none has to wait for memory.
const longTouch = time.Millisecond

// anon takes Bytes of anonymous memory, a page after the other, and keeps them
// until it is told to stop. Huge pages are refused: one would be charged at once.
func anon(s Spec, b *Board) error {
	return threads(s.Threads, b, func(i int) error {
		text, err := unix.Mmap(-1, 0, int(s.Bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
		if err != nil {
			return fmt.Errorf("map %d bytes: %w", s.Bytes, err)
		}
		if err := unix.Madvise(text, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
			return fmt.Errorf("refuse huge pages: %w", err) // EINVAL: the kernel has none
		}
		if s.Extra == "batch" {
			tables(text)
		}
		s.touch(text, b, i)
		return nil
	})
}

// tables has the kernel make the page tables of the whole mapping now. Each is
// charged as well, and with it a batch would be a page more than one charge, so
// it would be slowed down twice as long as another.
func tables(text []byte) {
	page := os.Getpagesize()
	for at := 0; at < len(text); at += page / 8 * page { // a table is a page of 8 bytes for each page
		text[at] = 1
	}
	text[len(text)-1] = 1
}

// shmem takes Bytes of a memory file. It is page cache, but without swap
// nothing can be reclaimed of it.
func shmem(s Spec, b *Board) error {
	return threads(s.Threads, b, func(i int) error {
		fd, err := unix.MemfdCreate("load", unix.MFD_CLOEXEC)
		if err != nil {
			return fmt.Errorf("make a memory file: %w", err)
		}
		if err := unix.Ftruncate(fd, s.Bytes); err != nil {
			return fmt.Errorf("make a memory file: %w", err)
		}
		text, err := unix.Mmap(fd, 0, int(s.Bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return fmt.Errorf("map %d bytes: %w", s.Bytes, err)
		}
		s.touch(text, b, i)
		return nil
	})
}

// touch writes to each page. Before it does, the slot says to which (Count, from
// 0) and when (At): so the last words of a load that was killed are the touch
// that killed it. A touch in which the thread did not run for long is noted as a
// Gap of that length, up to its end, whose value is the page: what it did itself
// meanwhile, such as looking for memory to reclaim, is not in it. Step bytes are
// noted as a Step whose value is how many bytes there are then.
//
// With Extra "batch", it is Step bytes that are touched at once, by one system
// call, where the kernel has it.
func (s Spec) touch(text []byte, b *Board, thread int) {
	slow := int64(s.Work)
	if slow == 0 {
		slow = int64(longTouch)
	}
	page := os.Getpagesize()
	once := page
	if s.Extra == "batch" && s.Step > 0 {
		once = int(s.Step)
	}
	c, slot := NewClock(), &b.Slots[thread]
	begun := c.Now()
	for at := 0; at < len(text) && !b.Over(); at += once {
		used := ThreadCPU()
		from := c.Now()
		slot.Count.Store(int64(at / page))
		slot.At.Store(from)
		part := text[at:min(at+once, len(text))]
		fill(part, page)
		to := c.Now()
		if to-from > slow {
			ran := ThreadCPU() - used
			if to-from-ran > slow {
				b.Note(Event{From: from + ran, To: to, Value: int64(at / page), Thread: int32(thread), Kind: Gap})
			}
		}
		if done := int64(at + len(part)); s.Step > 0 && done%s.Step == 0 {
			b.Note(Event{From: begun, To: to, Value: done, Thread: int32(thread), Kind: Step})
			begun = to
		}
		slot.Loops.Add(uint64(len(part) / page))
	}
	b.Phase.Add(1)
	for !b.Over() {
		time.Sleep(time.Millisecond)
	}
}

// fill has all pages of a part be there.
func fill(part []byte, page int) {
	// Linux 5.14; before, and where it is refused, they are touched one by one.
	if len(part) > page && unix.Madvise(part, unix.MADV_POPULATE_WRITE) == nil {
		return
	}
	for at := 0; at < len(part); at += page {
		part[at] = 1
	}
}

// file reads Bytes of the file Path, which becomes page cache; with Extra
// "write" it writes them first, which makes dirty pages. Count is how many bytes
// were read or written.
func file(s Spec, b *Board) error {
	return threads(s.Threads, b, func(i int) error {
		f, err := os.OpenFile(s.Path, os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("open the file to read: %w", err)
		}
		defer f.Close()
		buf := make([]byte, max(4096, s.Step))
		slot := &b.Slots[i]
		pass := func(move func([]byte, int64) (int, error)) error {
			for at := int64(0); at < s.Bytes && !b.Over(); {
				n, err := move(buf[:min(int64(len(buf)), s.Bytes-at)], at)
				if err != nil && err != io.EOF {
					slot.Errno.Store(1)
					return fmt.Errorf("at %d of %q: %w", at, s.Path, err)
				}
				if n == 0 {
					return fmt.Errorf("%q ends at %d", s.Path, at)
				}
				at += int64(n)
				slot.Count.Add(int64(n))
			}
			return nil
		}
		if s.Extra == "write" {
			if err := pass(f.WriteAt); err != nil {
				return err
			}
		}
		if err := pass(f.ReadAt); err != nil {
			return err
		}
		b.Phase.Add(1)
		for !b.Over() {
			time.Sleep(time.Millisecond)
		}
		return nil
	})
}
