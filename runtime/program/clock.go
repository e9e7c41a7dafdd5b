package program

import (
	"os"
	"strings"
	"sync"
	"time"
	_ "unsafe" // for linkname

	"golang.org/x/sys/unix"

	"isoperf/runtime/program/inherit"
)

// The loop stamps with the CPU's counter where the kernel's own clock is that
// counter (tsc, arch_sys_counter), at some 10 ns a stamp, and otherwise with
// the clock_gettime system call. Stamps become nanoseconds of CLOCK_MONOTONIC
// by a line: through a reading of both clocks just before the start, with the
// counter's mean rate since the first reading. So it does not matter that the
// kernel corrects the speed of its clock (NTP) between one start and another.
//
// A child that entered a time namespace with offsets stamps with those when
// the source is clock_gettime.
const (
	sourceCounter = 0
	sourceSyscall = 1
)

// anchor is one reading of both clocks.
type anchor struct {
	ticks uint64
	ns    int64
}

// clocks is set once, by setUp; later anchors only make the rate more exact.
var clocks struct {
	once   sync.Once
	err    error
	source uint64
	parent int // a pidfd of this process
	base   anchor

	mu   sync.Mutex
	last anchor
	rate float64 // nanoseconds per tick; 0: not known yet
}

// counter reads the CPU's counter.
func counter() uint64

// nanotime is CLOCK_MONOTONIC in nanoseconds, without a system call.
//
//go:linkname nanotime runtime.nanotime
func nanotime() int64

// setUp finds the clock and opens what every start needs, once.
func setUp() error {
	clocks.once.Do(func() {
		clocks.source = sourceSyscall
		source := firstWord(inherit.ClockSource.Take())
		if source == "" {
			source = readWord("/sys/devices/system/clocksource/clocksource0/current_clocksource")
		}
		switch source {
		case "tsc", "arch_sys_counter":
			clocks.source = sourceCounter
		}
		clocks.base = readAnchor()
		clocks.parent, clocks.err = unix.PidfdOpen(os.Getpid(), 0)
		unix.CloseOnExec(clocks.parent)
	})
	return clocks.err
}

// stampNow is a stamp as the loop makes it.
func stampNow(source uint64) uint64 {
	if source == sourceCounter {
		return counter()
	}
	return uint64(nanotime())
}

func parentFd() int { return clocks.parent }

// Now is CLOCK_MONOTONIC in nanoseconds, to be compared with Ended and with
// timelines.
func Now() int64 { return nanotime() }

// readAnchor takes the tightest of five readings.
func readAnchor() anchor {
	var best anchor
	width := ^uint64(0)
	for range 5 {
		before := counter()
		ns := nanotime()
		if after := counter(); after-before < width {
			width = after - before
			best = anchor{before + width/2, ns}
		}
	}
	return best
}

// tickLength is nanoseconds per tick of the counter: the mean from the first
// anchor to one that is taken anew whenever the stretch has become three times
// as long.
func tickLength() float64 {
	clocks.mu.Lock()
	defer clocks.mu.Unlock()
	base, last := clocks.base, clocks.last
	if clocks.rate != 0 && counter()-last.ticks < 2*(last.ticks-base.ticks) {
		return clocks.rate
	}
	now := readAnchor()
	for now.ticks <= base.ticks || now.ns <= base.ns {
		now = readAnchor()
	}
	clocks.last = now
	clocks.rate = float64(now.ns-base.ns) / float64(now.ticks-base.ticks)
	return clocks.rate
}

// line turns stamps into nanoseconds. Its zero value is for stamps that are
// nanoseconds of CLOCK_MONOTONIC.
type line struct {
	anchor anchor
	rate   float64 // nanoseconds per tick; 0: stamps are nanoseconds
}

func newLine(source uint64, a anchor) line {
	if source != sourceCounter {
		return line{}
	}
	return line{a, tickLength()}
}

// span is the time between two stamps in nanoseconds; 0 when one is missing.
func (l line) span(from, to uint64) int64 {
	switch {
	case from == 0 || to == 0:
		return 0
	case l.rate == 0:
		return int64(to - from)
	}
	return int64(float64(int64(to-from)) * l.rate)
}

// instant is a stamp as CLOCK_MONOTONIC nanoseconds; 0 when it is missing.
func (l line) instant(stamp uint64) int64 {
	if stamp == 0 || l.rate == 0 {
		return int64(stamp)
	}
	return l.anchor.ns + int64(float64(int64(stamp-l.anchor.ticks))*l.rate)
}

// ClockSource says what stamps are made of: "counter" or "clock_gettime".
func ClockSource() string {
	if setUp() == nil && clocks.source == sourceCounter {
		return "counter"
	}
	return "clock_gettime"
}

// ClockCost is what one stamp costs in nanoseconds, the mean of n.
func ClockCost(n int) float64 {
	if setUp() != nil || n <= 0 {
		return 0
	}
	start := time.Now()
	if clocks.source == sourceCounter {
		for range n {
			counter()
		}
	} else {
		var ts unix.Timespec
		for range n {
			rawClock(&ts)
		}
	}
	return float64(time.Since(start)) / float64(n)
}

func rawClock(ts *unix.Timespec) {
	rawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, ts)
}

// readWord is the first word of a small file, "" when there is none. It does not
// use package os, which would set up polling for it.
func readWord(path string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var buf [64]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return ""
	}
	return firstWord(buf[:n])
}

func firstWord(text []byte) string {
	word, _, _ := strings.Cut(string(text), "\n")
	return word
}
