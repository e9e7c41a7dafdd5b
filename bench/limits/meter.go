package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// reading is what a group's CPU counters said at a moment. Times are
// nanoseconds; the moment is CLOCK_MONOTONIC.
type reading struct {
	at          int64 // the middle of the time that the reading took
	took        int64
	usage       int64 // CPU time
	periods     int64 // enforcement periods that passed while it had work
	throttled   int64 // those in which it was stopped
	throttledNS int64 // for how long, summed over CPUs
	bursts      int64 // periods in which it used saved quota (Linux 5.14); -1: not told
}

// meter reads a group's counters from files that stay open. Version 2 has all in
// cpu.stat; version 1 has the usage in the cpuacct hierarchy.
type meter struct {
	stat, usage *os.File
	v2          bool
	buf         []byte
	now         func() int64 // CLOCK_MONOTONIC
}

// newMeter opens the counters of a group: its directory in the cpu hierarchy
// and, for version 1, in that of cpuacct.
func newMeter(cpu, cpuacct string, v2 bool) (*meter, error) {
	m := &meter{v2: v2, buf: make([]byte, 4096), now: program.Now}
	var err error
	if m.stat, err = os.Open(cpu + "/cpu.stat"); err == nil && !v2 {
		m.usage, err = os.Open(cpuacct + "/cpuacct.usage")
	}
	if err != nil {
		m.close()
		return nil, fmt.Errorf("open a group's CPU counters: %w", err)
	}
	return m, nil
}

func (m *meter) close() {
	for _, f := range []*os.File{m.stat, m.usage} {
		if f != nil {
			f.Close()
		}
	}
}

// read reads the counters once.
func (m *meter) read() (reading, error) {
	r := reading{bursts: -1}
	before := m.now()
	n, err := unix.Pread(int(m.stat.Fd()), m.buf, 0)
	if err == nil && m.usage != nil {
		var k int
		var text [32]byte
		if k, err = unix.Pread(int(m.usage.Fd()), text[:], 0); err == nil {
			r.usage, err = strconv.ParseInt(strings.TrimSpace(string(text[:k])), 10, 64)
		}
	}
	after := m.now()
	if err != nil {
		if err == unix.ENODEV {
			err = errVanished
		}
		return r, fmt.Errorf("read %q: %w", m.stat.Name(), err)
	}
	r.at, r.took = before+(after-before)/2, after-before
	r.parse(m.buf[:n], m.v2)
	return r, nil
}

// errVanished says that a group was removed while it was measured.
var errVanished = errors.New("the group has vanished; whoever manages it removed it, measure one that stays")

// parse reads cpu.stat; version 2 counts in microseconds.
func (r *reading) parse(text []byte, v2 bool) {
	scale := int64(1)
	if v2 {
		scale = 1000
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			continue
		}
		switch key {
		case "usage_usec":
			r.usage = n * 1000
		case "nr_periods":
			r.periods = n
		case "nr_throttled":
			r.throttled = n
		case "throttled_usec", "throttled_time":
			r.throttledNS = n * scale
		case "nr_bursts":
			r.bursts = n
		}
	}
}

// slow is how long a reading may take; one that took longer says nothing of any
// moment, and is left out.
const slow = 200 * time.Microsecond

// watch reads again and again, at intended instants, until a moment, or as long
// as more says so. It returns what it read, and how many readings it left out.
func (m *meter) watch(ctx context.Context, every time.Duration, until int64, more func(reading) bool) (list []reading, dropped int, err error) {
	next := program.Now()
	for next < until && ctx.Err() == nil {
		r, err := m.read()
		if err != nil {
			return list, dropped, err
		}
		if r.took > int64(slow) {
			dropped++
		} else {
			list = append(list, r)
			if more != nil && !more(r) {
				return list, dropped, nil
			}
		}
		next += int64(every)
		if now := program.Now(); next < now {
			next = now // it was kept from running: readings do not pile up
		} else {
			rest(next - now)
		}
	}
	return list, dropped, ctx.Err()
}

// cost is the CPU time of this process that a reading takes, and the rest after it.
func (m *meter) cost() time.Duration {
	const looks = 8
	clock := func() int64 {
		var ts unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts) // every kernel has it
		return ts.Nano()
	}
	begin := clock()
	for range looks {
		_, _ = m.read() // if it fails, whoever reads next says why
		rest(100_000)
	}
	return time.Duration(clock()-begin) / looks
}

// longRest is how long the scheduler of this program's language may be kept from a
// thread: its garbage collector waits for as long.
const longRest = 5 * time.Millisecond

// rest is a doze that Go's scheduler does not know of. Around each one that it
// does, its monitor thread looks for who needs the CPU, every 20 µs for a while:
// hundreds of dozes a second were half of an emulated CPU.
func rest(ns int64) {
	if ns > int64(longRest) {
		doze(ns)
		return
	}
	ts := unix.NsecToTimespec(ns)
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// doze pauses this thread, for so many nanoseconds at most: woken early by a signal
// it only looks sooner.
func doze(ns int64) {
	ts := unix.NsecToTimespec(ns)
	_ = unix.Nanosleep(&ts, nil)
}
