package harness

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What ran last keeps CPUs awake, onto which the launcher may be drawn when
// its child ends: the same clone then takes twice as long (about 50 instead of
// 22 microseconds). A virtual CPU polls some 200 microseconds before it sleeps;
// but Go's monitor goes on waking every 20 microseconds for milliseconds after
// it has found anything to do, and then ever less. So a burst run begins with
// a pause, and with operations that are not recorded.
const (
	Settle  = 60 * time.Millisecond // after anything but samples: all is quiet again
	Between = 2 * time.Millisecond  // between two runs
	WarmUp  = 2                     // operations
)

// hidden is the part of a pause that the scheduler does not see.
const hidden = 6 * time.Millisecond

// Rest pauses the calling thread itself. time.Sleep would hand the thread's
// place to another one, and wake a third when the time is up. The end of the
// pause is hidden from the scheduler, which would otherwise wake its monitor
// when the pause is over; and a goroutine that does nothing but system calls
// is taken for a hog after 10 ms, unless it yields.
func Rest(d time.Duration) {
	runtime.Gosched()
	if d > hidden {
		ts := unix.NsecToTimespec(int64(d - hidden))
		for unix.Nanosleep(&ts, &ts) == unix.EINTR {
		}
		runtime.Gosched()
	}
	ts := unix.NsecToTimespec(int64(min(d, hidden)))
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), uintptr(unsafe.Pointer(&ts)), 0)
		if errno != unix.EINTR {
			return
		}
	}
}
