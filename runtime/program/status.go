package program

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Status is how a process ended.
type Status struct {
	Code   int            // the exit status; -1 after a signal
	Signal syscall.Signal // the signal that ended it; 0: none
	Core   bool           // it left a core
	User   time.Duration  // CPU time in user mode
	System time.Duration  // CPU time in the kernel
	MaxRSS int64          // peak resident memory in bytes; 0 when Cycle waited, without Limits.Usage
}

// Success says whether the process exited with status 0.
func (s Status) Success() bool { return s.Code == 0 && s.Signal == 0 }

// ExitCode is the status as a shell gives it: 128 plus the signal's number.
func (s Status) ExitCode() int {
	if s.Signal != 0 {
		return 128 + int(s.Signal)
	}
	return s.Code
}

// String is "exit status 3" or "signal: killed".
func (s Status) String() string {
	switch {
	case s.Core:
		return fmt.Sprintf("signal: %v (core dumped)", s.Signal)
	case s.Signal != 0:
		return fmt.Sprintf("signal: %v", s.Signal)
	}
	return fmt.Sprintf("exit status %d", s.Code)
}

// siginfo is the part of siginfo_t that waitid fills.
type siginfo struct {
	signo, errno, code int32
	_                  int32
	pid                int32
	uid                uint32
	status             int32
}

const (
	cldExited = 1
	cldDumped = 3
)

func readStatus(h *header) Status {
	info := (*siginfo)(unsafe.Pointer(&h.info))
	s := Status{
		User:   time.Duration(h.rusage.Utime.Nano()),
		System: time.Duration(h.rusage.Stime.Nano()),
		MaxRSS: h.rusage.Maxrss * 1024,
	}
	switch info.code {
	case cldExited:
		s.Code = int(info.status)
	default:
		s.Code, s.Signal, s.Core = -1, syscall.Signal(info.status), info.code == cldDumped
	}
	return s
}

// waitid waits for the end of the process behind a pidfd, whatever its exit
// signal.
func waitid(pidfd int, h *header, options uintptr) error {
	for {
		_, _, errno := syscall.Syscall6(unix.SYS_WAITID, unix.P_PIDFD, uintptr(pidfd),
			uintptr(unsafe.Pointer(&h.info)), unix.WEXITED|unix.WALL|options, uintptr(unsafe.Pointer(&h.rusage)), 0)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

func futex(word *uint32, op int, value uint32, timeout *unix.Timespec) syscall.Errno {
	_, _, errno := syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), uintptr(op),
		uintptr(value), uintptr(unsafe.Pointer(timeout)), 0, 0)
	return errno
}

func rawSyscall(call, a uintptr, ts *unix.Timespec) {
	syscall.RawSyscall(call, a, uintptr(unsafe.Pointer(ts)), 0)
}
