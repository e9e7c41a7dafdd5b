package program

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slack is by how many nanoseconds an instant may be off: the anchor lies in
// the middle of a bracket that is a little wide when the machine is busy.
const slack = 5000

// withClock has programs that are loaded until the test ends stamp with the
// source.
func withClock(t *testing.T, source uint64) {
	t.Helper()
	if err := setUp(); err != nil {
		t.Fatal(err)
	}
	old := clocks.source
	requireKernel(t, source == sourceSyscall || old == source, "the kernel's clock is not the CPU's counter")
	clocks.source = source
	t.Cleanup(func() { clocks.source = old })
}

// eachClock runs a test with each source of stamps, in each mode.
func eachClock(t *testing.T, f func(t *testing.T, mode Mode)) {
	for name, source := range map[string]uint64{"counter": sourceCounter, "clock_gettime": sourceSyscall} {
		t.Run(name, func(t *testing.T) {
			withClock(t, source)
			if got := ClockSource(); got != name {
				t.Errorf("the source is %q", got)
			}
			if cost := ClockCost(1000); cost <= 0 {
				t.Errorf("a stamp costs %v ns", cost)
			}
			eachMode(t, f)
		})
	}
}

// clockReader is a program whose ops read CLOCK_MONOTONIC themselves.
func clockReader(mode Mode, n int) (p *Program, readings []Arg) {
	p = New(mode, 0)
	for range n {
		ts := Buffer(16)
		readings = append(readings, ts)
		p.Add(Op{Name: "read the clock", Call: unix.SYS_CLOCK_GETTIME, Args: [6]Arg{Int(unix.CLOCK_MONOTONIC), ts}})
	}
	p.Add(Exit(0))
	return p, readings
}

// checkTimeline compares the instants of a start with the clock read around
// them: by the launcher before and after it, and by the ops.
func checkTimeline(t *testing.T, img *Image, readings []Arg, before, after int64) {
	t.Helper()
	line := img.Timeline()
	if line.Entered < before-slack || line.Returned < line.Entered || line.First < line.Entered ||
		line.Reaped < line.First || line.Reaped > after+slack {
		t.Fatalf("%+v is not between %d and %d, or out of order", line, before, after)
	}
	last, next := line.First, 0
	for _, s := range line.Spans {
		if s.Start != last || s.End < s.Start {
			t.Fatalf("%q takes from %d to %d; the one before ended at %d", s.Name, s.Start, s.End, last)
		}
		last = s.End
		if s.Name != "read the clock" {
			continue
		}
		ns := (*unix.Timespec)(unsafe.Pointer(unsafe.SliceData(img.Buffer(readings[next])))).Nano()
		if ns < s.Start-slack || ns > s.End+slack {
			t.Fatalf("op %d read %d; its stamps say from %d to %d", next, ns, s.Start, s.End)
		}
		next++
	}
	if next != len(readings) || line.Reaped < last {
		t.Fatalf("%d readings, the last op ended at %d, the child at %d", next, last, line.Reaped)
	}
}

// TestStamps: they are in order and agree with CLOCK_MONOTONIC.
func TestStamps(t *testing.T) {
	eachClock(t, func(t *testing.T, mode Mode) {
		p, readings := clockReader(mode, 20)
		img := load(t, p)
		for range 50 {
			before := Now()
			times, err := img.Cycle()
			if err != nil {
				t.Fatal(err)
			}
			checkTimeline(t, img, readings, before, Now())
			if times.Returned <= 0 || times.First <= 0 || times.Reaped < times.First {
				t.Fatalf("the events are out of order: %+v", times)
			}
		}
		before := Now()
		proc := start(t, p)
		mustExit(t, proc, 0)
		checkTimeline(t, proc.img, readings, before, Now())
	})
}

// TestRefs: the times of single ops.
func TestRefs(t *testing.T) {
	eachClock(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		early := p.Early(Null())
		first := p.Add(Null())
		nap := p.Add(Sleep(2e6))
		skipped := p.Add(Exit(0))
		img := cycle(t, p)
		if took := img.Took(nap); took < 2e6-slack || took != img.Between(first, nap) {
			t.Errorf("a sleep of 2 ms took %d ns, from the op before it %d ns", took, img.Between(first, nap))
		}
		if a, b, c := img.Ended(early), img.Ended(first), img.Ended(nap); a <= 0 || b < a || c < b+2e6-slack {
			t.Errorf("the ops ended at %d, %d and %d", a, b, c)
		}
		if img.Ended(skipped) != 0 || img.Took(skipped) != 0 {
			t.Error("an op that does not return has a time")
		}
	})
}

// TestClockIsCorrected: when the kernel has changed the speed of its clock
// since the first reading, instants still agree with it.
func TestClockIsCorrected(t *testing.T) {
	withClock(t, sourceCounter)
	tickLength()
	clocks.mu.Lock()
	base, rate, last := clocks.base, clocks.rate, clocks.last
	// Twenty seconds ago the clock was faster, by 300 parts in a million.
	now := readAnchor()
	second := uint64(1e9 / rate)
	clocks.base = anchor{now.ticks - 20*second, now.ns - 20e9 - 3e6}
	clocks.last = anchor{now.ticks - 10*second, now.ns - 10e9}
	clocks.rate = (10e9 + 3e6) / float64(10*second)
	clocks.mu.Unlock()
	defer func() {
		clocks.mu.Lock()
		clocks.base, clocks.rate, clocks.last = base, rate, last
		clocks.mu.Unlock()
	}()
	p, readings := clockReader(VM, 20)
	img := load(t, p)
	for range 20 {
		before := Now()
		if _, err := img.Cycle(); err != nil {
			t.Fatal(err)
		}
		checkTimeline(t, img, readings, before, Now())
	}
}

func TestLine(t *testing.T) {
	l := line{anchor{1000, 50_000}, 0.5}
	for stamp, want := range map[uint64]int64{0: 0, 1000: 50_000, 1200: 50_100, 800: 49_900} {
		if got := l.instant(stamp); got != want {
			t.Errorf("instant of %d is %d, want %d", stamp, got, want)
		}
	}
	if got := (line{}).instant(77); got != 77 {
		t.Errorf("a stamp in nanoseconds became %d", got)
	}
	for _, c := range []struct {
		line     line
		from, to uint64
		want     int64
	}{{l, 1000, 1200, 100}, {l, 1200, 1000, -100}, {l, 0, 1000, 0}, {l, 1000, 0, 0}, {line{}, 5, 9, 4}} {
		if got := c.line.span(c.from, c.to); got != c.want {
			t.Errorf("from %d to %d are %d ns, want %d", c.from, c.to, got, c.want)
		}
	}
}
