package follow

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// options are what every process of the tree is traced with; children get the
// same.
const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACESECCOMP | unix.PTRACE_O_EXITKILL |
	unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACEEXIT

// syscallInfo is struct ptrace_syscall_info of Linux 5.3, whose union begins at
// data; see ptrace(2), PTRACE_GET_SYSCALL_INFO.
type syscallInfo struct {
	op   uint8
	_    [3]uint8
	arch uint32
	_    [2]uint64 // instruction and stack pointers
	data [8]uint64 // entry: nr and six arguments; exit: the result
}

func (i *syscallInfo) number() uint32      { return uint32(i.data[0]) }
func (i *syscallInfo) result() int64       { return int64(i.data[0]) }
func (i *syscallInfo) exit() bool          { return i.op == unix.PTRACE_SYSCALL_INFO_EXIT }
func (i *syscallInfo) args() (a [6]uint64) { copy(a[:], i.data[1:]); return a }

// ptrace is the bare call; none of the requests that are used here blocks.
func ptrace(request, tid int, addr, data uintptr) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func seize(pid int) error { return ptrace(unix.PTRACE_SEIZE, pid, 0, options) }

// describe fills in what the thread stopped at.
func describe(tid int, info *syscallInfo) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid), unsafe.Sizeof(*info), uintptr(unsafe.Pointer(info)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// message is PTRACE_GETEVENTMSG: the number of a new thread, or of the one that
// called execve.
func message(tid int) (int, error) {
	var n uint64
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GETEVENTMSG, uintptr(tid), 0, uintptr(unsafe.Pointer(&n)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// cpuTime is what a process has used of the CPUs, all its threads together, in
// nanoseconds, from its CPU clock; see clock_getcpuclockid(3).
func cpuTime(pid int) (int64, bool) {
	const perProcess = 2 // CPUCLOCK_SCHED
	clock := ^int32(pid)<<3 | perProcess
	var ts unix.Timespec
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0, false
	}
	return ts.Nano(), true
}

// What waitid says has happened; see sigaction(2), si_code of SIGCHLD.
const (
	codeExited  = 1
	codeKilled  = 2
	codeDumped  = 3
	codeTrapped = 4
	codeStopped = 5
)

// stopped is what waitid reports of a thread.
type stopped struct {
	tid    int
	code   int32 // CLD_*
	status int32 // the signal or exit status; of a stop, with the event above it
}

// siginfo is what waitid fills in.
type siginfo struct {
	signo, errno, code int32
	_                  int32
	pid, uid           int32
	status             int32
	_                  [100]byte
}

// next waits for a tracee of this thread and leaves the report where it is, so
// that a number cannot be used again before take.
func next() (stopped, error) {
	var info siginfo
	const flags = unix.WEXITED | unix.WSTOPPED | unix.WNOWAIT | unix.WALL | unix.WNOTHREAD
	for {
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)), flags, 0, 0)
		switch errno {
		case 0:
			return stopped{int(info.pid), info.code, info.status}, nil
		case unix.EINTR:
		default:
			return stopped{}, errno
		}
	}
}

// take removes the report.
func take(tid int) error {
	var status uint32
	_, _, errno := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(tid), uintptr(unsafe.Pointer(&status)), unix.WALL|unix.WNOHANG, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// peek reads a thread's memory: as much of n bytes as there is. Where the
// thread has other credentials than its tracer, process_vm_readv may be
// forbidden that ptrace still can, word by word.
func peek(tid int, addr uint64, n int) []byte {
	const page = 4096
	buf := make([]byte, n)
	have := 0
	for have < n {
		part := min(n-have, page-int((addr+uint64(have))%page))
		local := unix.Iovec{Base: &buf[have]}
		local.SetLen(part)
		remote := unix.RemoteIovec{Base: uintptr(addr) + uintptr(have), Len: part}
		got, err := unix.ProcessVMReadv(tid, []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
		if err == unix.EPERM {
			got, err = unix.PtracePeekData(tid, uintptr(addr)+uintptr(have), buf[have:have+part])
		}
		if err != nil || got <= 0 {
			break
		}
		have += got
	}
	return buf[:have]
}

// text reads a string, at most n bytes of it.
func text(tid int, addr uint64, n int) (string, bool) {
	const first = 256 // most are short, and reading more costs more
	for _, size := range []int{min(n, first), n} {
		b := peek(tid, addr, size)
		if end := bytes.IndexByte(b, 0); end >= 0 {
			return string(b[:end]), true
		}
		if len(b) < size {
			return string(b), len(b) > 0
		}
		if size == n {
			return string(b) + "…", true
		}
	}
	return "", false
}

// word reads a number of the thread's.
func word(tid int, addr uint64) (uint64, bool) {
	b := peek(tid, addr, 8)
	if len(b) < 8 {
		return 0, false
	}
	return binary.NativeEndian.Uint64(b), true
}

// queue reads how long a thread was ready to run and had no CPU, in
// nanoseconds, from /proc/TID/schedstat; 0 where the kernel does not count that
// (CONFIG_SCHED_INFO). It keeps the file open, since it is read at every stop;
// the zero value has not opened it.
type queue struct{ fd int }

func (q *queue) read(tid int) (ns int64, ok bool) {
	if q.fd == 0 {
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/schedstat", tid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, false
		}
		q.fd = fd
	}
	var buf [96]byte
	n, err := unix.Pread(q.fd, buf[:], 0)
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(buf[:n])
	if len(fields) < 2 {
		return 0, false
	}
	ns, err = strconv.ParseInt(string(fields[1]), 10, 64)
	return ns, err == nil
}

func (q *queue) close() {
	if q.fd > 0 {
		unix.Close(q.fd)
	}
	q.fd = 0
}
