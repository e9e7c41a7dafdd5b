package program

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The loop stamps with the CPU's counter where the kernel's own clock is that
// counter (tsc, arch_sys_counter), at some 10 ns a stamp, and otherwise with
// the clock_gettime system call. Stamps become nanoseconds of CLOCK_MONOTONIC
// by a line through two readings of both clocks.
const (
	sourceCounter = 0
	sourceSyscall = 1
)

// anchor is one reading of both clocks.
type anchor struct {
	ticks uint64
	ns    int64
}

// clocks is set once, by setUp; later anchors only make the line longer.
var clocks struct {
	once   sync.Once
	err    error
	source uint64
	parent int // a pidfd of this process
	mu     sync.Mutex
	base   anchor
	rate   atomic.Pointer[float64] // nanoseconds per tick
	last   anchor
}

// counter reads the CPU's counter.
func counter() uint64

// setUp finds the clock and opens what every start needs, once.
func setUp() error {
	clocks.once.Do(func() {
		clocks.source = sourceSyscall
		name, err := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
		if s := strings.TrimSpace(string(name)); err == nil && (s == "tsc" || s == "arch_sys_counter") {
			clocks.source = sourceCounter
		}
		clocks.base = readAnchor()
		clocks.parent, clocks.err = unix.PidfdOpen(os.Getpid(), 0)
		unix.CloseOnExec(clocks.parent)
	})
	return clocks.err
}

// stampNow is a stamp as the loop makes it.
func stampNow() uint64 {
	if clocks.source == sourceCounter {
		return counter()
	}
	return uint64(monotonic())
}

func parentFd() int { return clocks.parent }

// monotonic is CLOCK_MONOTONIC in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // the kernel has had this clock since 2.6
	}
	return ts.Nano()
}

// readAnchor takes the tightest of five readings.
func readAnchor() anchor {
	var best anchor
	width := ^uint64(0)
	for range 5 {
		before := counter()
		ns := monotonic()
		if after := counter(); after-before < width {
			width = after - before
			best = anchor{before + width/2, ns}
		}
	}
	return best
}

// settle makes the line through base and now, when now is far enough from
// the last one to improve it.
func settle() {
	if clocks.source != sourceCounter {
		return
	}
	if clocks.rate.Load() != nil && counter()-clocks.last.ticks < 2*(clocks.last.ticks-clocks.base.ticks) {
		return
	}
	clocks.mu.Lock()
	defer clocks.mu.Unlock()
	now := readAnchor()
	if now.ticks <= clocks.base.ticks {
		return
	}
	rate := float64(now.ns-clocks.base.ns) / float64(now.ticks-clocks.base.ticks)
	clocks.last = now
	clocks.rate.Store(&rate)
}

// span is the time between two stamps in nanoseconds; 0 when one is missing.
func span(from, to uint64) int64 {
	if from == 0 || to == 0 {
		return 0
	}
	if clocks.source != sourceCounter {
		return int64(to - from)
	}
	return int64(float64(int64(to-from)) * *clocks.rate.Load())
}

// instant is a stamp as CLOCK_MONOTONIC nanoseconds; 0 when it is missing.
func instant(stamp uint64) int64 {
	if stamp == 0 || clocks.source != sourceCounter {
		return int64(stamp)
	}
	return clocks.base.ns + int64(float64(int64(stamp-clocks.base.ticks))**clocks.rate.Load())
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
