package load

import (
	"os"
	"testing"
	"time"
)

// until waits for something that must happen.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for n := 0; !done(); n++ {
		if n > 4000 {
			t.Fatalf("it does not happen: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A memory load takes what it was told to, and says which page it touches.
func TestMemory(t *testing.T) {
	const pages = 512
	page := int64(os.Getpagesize())
	for _, kind := range []string{"anon", "shmem", "batch"} {
		t.Run(kind, func(t *testing.T) {
			s := Spec{Kind: kind, Bytes: pages * page, Step: 64 * page}
			at := int64(pages - 1) // the page that is touched last
			if kind == "batch" {
				s.Kind, s.Extra, at = "anon", kind, pages-64
			}
			b, cmd := started(t, s)
			b.Go()
			until(t, "all pages are touched", func() bool { return b.Phase.Load() == 1 })
			if n, last := b.Slots[0].Loops.Load(), b.Slots[0].Count.Load(); n != pages || last != at {
				t.Errorf("%d pages were touched, the last was %d", n, last)
			}
			steps := 0
			for _, e := range b.Since(0) {
				if e.Kind == Step {
					steps++
					if e.Value != int64(steps)*64*page || e.To < e.From {
						t.Errorf("step %d: %+v", steps, e)
					}
				}
			}
			if steps != pages/64 {
				t.Errorf("%d steps", steps)
			}
			if cmd.ProcessState != nil {
				t.Error("it has ended by itself")
			}
		})
	}
}

// A file is read whole, and written before if that is asked for.
func TestFile(t *testing.T) {
	for extra, passes := range map[string]int64{"": 1, "write": 2} {
		f, err := os.Create(t.TempDir() + "/f")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(1 << 20); err != nil {
			t.Fatal(err)
		}
		b, _ := started(t, Spec{Kind: "file", Path: f.Name(), Bytes: 1 << 20, Extra: extra})
		b.Go()
		until(t, "the file is read", func() bool { return b.Phase.Load() == 1 })
		if n := b.Slots[0].Count.Load(); n != passes<<20 {
			t.Errorf("%d bytes were moved", n)
		}
	}
}
