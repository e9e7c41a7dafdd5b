package load

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forks has as many processes as Threads, each of one thread, fork at once and
// again and again:
//
//	this process ──fork──► forker 1 ──fork──► child, lives for Work, ends
//	                       forker 2           child …
//	                       …
//
// so what they race for is the group's counter alone; the forks of one process
// would wait for each other at its memory map. With Extra "hold" the children
// stay until the load is told to stop.
//
// On the board: Phase is how many children run now, and Slots[0].Count the most
// that ever did at once; Slots[0].At is how many children each forker is to make,
// from Count, and may be raised by who measures. Forker i has Slots[i]: Loops are
// the forks that it tried, Count those that worked, Errno why one failed, if not
// with EAGAIN.
//
// All of them die with their parent, by signal, and so with the load.
func forks(s Spec, b *Board) error {
	if s.Threads >= Slots {
		return fmt.Errorf("there can be %d forkers, for the first slot is the load's own", Slots-1)
	}
	runtime.LockOSThread() // the death signal is sent when the thread ends
	spareThreads(8)
	f := &fork{board: b, load: uintptr(unix.Getpid()), hold: s.Extra == "hold", until: Monotonic() + int64(Bound)}
	f.work = unix.NsecToTimespec(int64(s.Work))
	f.nap = unix.NsecToTimespec(100_000)
	f.doze = unix.NsecToTimespec(50_000_000)
	wanted := s.Count
	if wanted == 0 {
		wanted = math.MaxInt64
	}
	b.Slots[0].At.Store(wanted)
	// A handler of Go's must not run in a process that has one thread of it.
	all := ^uint64(0)
	if _, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, uintptr(unsafe.Pointer(&all)), 0, 8, 0, 0); errno != 0 {
		return fmt.Errorf("block signals: %w", errno)
	}
	for i := 1; i <= s.Threads; i++ {
		f.slot = &b.Slots[i]
		pid, errno := f.fork()
		if errno != 0 {
			b.Stop()
			return fmt.Errorf("fork forker %d of %d: %w; the group's limit must leave room for them", i, s.Threads, errno)
		}
		if pid == 0 {
			f.forker() // does not return
		}
	}
	// This process keeps quiet, for a new thread of its own might not fit.
	for left := s.Threads; left > 0; left-- {
		var status int32
		pid, _, errno := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&status)), 0, 0, 0, 0)
		switch {
		case errno == unix.EINTR:
			left++
		case errno != 0:
			return fmt.Errorf("wait for forkers: %w", errno)
		case status != 0 && b.Stopped.Load() == 0:
			b.Stop()
			return fmt.Errorf("forker %d ended with status %#x", pid, status)
		}
	}
	return nil
}

// spareThreads makes threads that the Go runtime takes when it wants more: in a
// full group it could not make one, which would be its end.
func spareThreads(n int) {
	var up, done sync.WaitGroup
	up.Add(n)
	done.Add(n)
	for range n {
		go func() {
			defer done.Done()
			runtime.LockOSThread()
			up.Done()
			up.Wait() // all of them are there at once
			runtime.UnlockOSThread()
		}()
	}
	done.Wait()
}

// fork is what the forked processes use: a copy of a process of many threads has
// one, so they do nothing but atomic operations and raw system calls, on a stack
// that does not grow.
type fork struct {
	board     *Board
	slot      *Slot
	hold      bool
	load      uintptr // the load's process
	until     int64
	now       unix.Timespec
	nap, work unix.Timespec
	doze      unix.Timespec // of held children, the least
}

//go:nosplit
//go:norace
func (f *fork) fork() (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	return pid, errno
}

// bound has the process die with its parent, and ends it if that has already
// happened: it must have been parent's child then.
//
//go:nosplit
//go:norace
func bound(parent uintptr) {
	syscall.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0)
	if now, _, _ := syscall.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); now != parent {
		exit(3)
	}
}

//go:nosplit
//go:norace
func exit(code uintptr) {
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, code, 0, 0)
	}
}

//go:nosplit
//go:norace
func (f *fork) sleep(ts *unix.Timespec) {
	syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(ts)), 0, 0)
}

// over says whether the process is to end.
//
//go:nosplit
//go:norace
func (f *fork) over() bool {
	syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&f.now)), 0)
	return f.board.Stopped.Load() != 0 || f.now.Sec*1e9+f.now.Nsec > f.until
}

// forker forks until it is told to stop, waits for its children, and exits.
//
//go:nosplit
//go:norace
func (f *fork) forker() {
	own, _, _ := syscall.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
	bound(f.load)
	// Who watches must get a CPU among so many.
	syscall.RawSyscall(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, 10)
	f.slot.Tid.Store(uint32(own))
	f.board.Ready.Add(1)
	for f.board.Started.Load() == 0 && !f.over() {
		f.sleep(&f.nap)
	}
	for !f.over() {
		if f.slot.Count.Load() >= f.board.Slots[0].At.Load() {
			f.sleep(&f.nap)
			continue
		}
		f.slot.Loops.Add(1)
		pid, errno := f.fork()
		switch {
		case errno != 0 && errno != unix.EAGAIN:
			f.slot.Errno.Store(uint32(errno))
		case errno != 0:
			f.sleep(&f.nap) // let the children end, and others look
		case pid == 0:
			f.child(own)
		default:
			f.slot.Count.Add(1)
		}
		if !f.hold {
			f.reap(unix.WNOHANG)
		}
	}
	f.reap(0)
	exit(0)
}

// reap waits for children until there is none, or none that has ended.
//
//go:nosplit
//go:norace
func (f *fork) reap(options uintptr) {
	for {
		pid, _, errno := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), 0, options, 0, 0, 0)
		if errno != 0 || pid == 0 {
			return
		}
	}
}

// child is counted, lives for a while, and exits.
//
//go:nosplit
//go:norace
func (f *fork) child(parent uintptr) {
	bound(parent)
	n, most := f.board.Phase.Add(1), &f.board.Slots[0].Count
	for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
	}
	if f.hold {
		// Some hundred that look more often leave the forker no CPU: the later it came,
		// the more seldom one looks, up to a second.
		f.doze.Nsec = min(max(f.doze.Nsec, 2_000_000*n), 999_999_999)
		for !f.over() {
			f.sleep(&f.doze)
		}
	} else {
		f.sleep(&f.work)
	}
	f.board.Phase.Add(-1)
	exit(0)
}
