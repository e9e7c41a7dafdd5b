// Package inherit knows what the process was given at birth and Go changes
// before main, and what a short-lived launcher does before Go does anything.
//
//	kernel ─► entry ─► the Go runtime ─► this package ─► syscall and all others ─► main
//	            │       on one CPU         limits back                             │
//	            └─ a process: unshare(net, ipc, uts) ───────── joined by the child ┘ Restore
//
// Package syscall raises the soft limit of open files in its init. This
// package imports nothing that needs initialising, so by the order of the Go
// specification (since 1.21: by import path among packages that are ready) it
// runs first, and reads the limit as it was.
//
// # The entry
//
// A binary that is linked with -E isoperf/runtime/program/inherit.entry begins
// in entry, some raw system calls in assembly; without it all of what follows
// is left out, and everything works the same. It is for isorun, whose own start
// is half of the time that a small container takes:
//
//   - One CPU: the runtime then starts no threads to use the others with, whose
//     every page fault and change of a mapping interrupts the first one.
//   - No files but 0, 1 and 2: the runtime looks for its CPU limit in /proc and
//     in the control groups' files, and no switch keeps it from that. Where one
//     of the three is closed it opens /dev/null, for which there is room.
//   - A coarse timer: the runtime's monitor otherwise wakes up every 20 us.
//   - No profile of memory: the runtime otherwise samples its very first
//     allocation, for which it makes a table and walks the stack.
//   - A stack of 32 kB, before any package is initialised: it would otherwise be
//     doubled four times, and the runtime cuts eight of the smaller ones at once.
//   - With "run" or "create" among the arguments, and no large pages, those that the heap
//     grows into next, by one call: a start touches three quarters of them, and each
//     would be a fault of its own.
//   - Large pages (2 MiB; amd64), where the first touch of a page is slow, which entry
//     measures: 10 to 25 us on a machine whose host keeps shadow page tables, where
//     300 of them were half of a start. One for the program's data, with the runtime's
//     small mappings behind it, and one or two for the heap. For the first the binary
//     must be linked with -R 0x200000 as well. They cost 2 to 6 MiB of memory, and
//     where faults are fast they would cost about what they save: to clear one takes
//     50 to 150 us. Nor is the kernel's clock in memory (vDSO) used there: four pages,
//     for some forty readings of the clock.
//   - "run" or "create" among the arguments: a process makes the namespaces net, ipc and
//     uts on the other CPU, for which the kernel takes half as long as Go takes
//     to start, opens them into the common table of descriptors, brings the
//     loopback interface up, a tenth of a millisecond more, and ends. Who
//     does not need them still has to wait for it and to close them. (A thread
//     would slow the start down by more than it saves: with two CPUs in one
//     address space each change of a mapping interrupts the other one.) Where 0,
//     1 or 2 is closed, there is no such process; nor where the first touch of a page
//     is slow: the clone then costs 1.1 ms, more than the namespaces.
//
// Limits are given back before any package but the runtime is initialised, CPUs
// and timer by Restore, before a child is made.
package inherit

import (
	"runtime"
	"unsafe"
)

// birth is what entry wrote down. The assembly uses its offsets.
type birth struct {
	at         [2]uint64   // when, CLOCK_MONOTONIC: seconds, nanoseconds
	fault      int64       // how long the first touch of a page took, nanoseconds; amd64
	soft, hard uint64      // RLIMIT_NOFILE
	limited    uint64      // 1: the soft limit was set to few
	timer      int64       // of the first thread, nanoseconds; PR_GET_TIMERSLACK
	masked     int64       // bytes of mask; 0 or less: the CPUs were left alone
	mask       [128]uint64 // the CPUs of the first thread; sched_getaffinity
	one        [128]uint64 // the one that it was moved to
	cpu        uint64
	few        [2]uint64 // soft limit 3, and hard
	maker      int64     // the process that makes namespaces; 0 or less: there is none
	spare      uintptr   // the page shared with it; spare below
}

// spare is what the other process leaves behind: descriptors, or -errno, and
// whether the loopback interface is up.
type spare struct{ done, net, uts, ipc, up int64 }

var born birth

// profiled is where the runtime reads whether to profile its memory.
var profiled = &runtime.MemProfileRate

// entry is where the process begins when the linker was told so.
func entry()

// deep needs 20 kB of stack, and does nothing with it.
func deep()

// syscall3 is the raw system call; it returns the result or -errno.
func syscall3(call, a, b, c uintptr) int64

// getrlimit is prlimit64(0, resource, NULL, old).
func getrlimit(resource uintptr, old unsafe.Pointer) int64

// setrlimit is prlimit64(0, resource, limit, NULL).
func setrlimit(resource uintptr, limit unsafe.Pointer) int64

const rlimitNofile = 7

type limit struct{ soft, hard uint64 }

var nofile = original()

// original gives the limit of open files back, when entry took it.
func original() limit {
	if born.limited == 0 {
		return read()
	}
	deep()
	if born.spare != 0 { // to run, where faults are fast
		populate()
	}
	setrlimit(rlimitNofile, unsafe.Pointer(&born.soft))
	return limit{born.soft, born.hard}
}

// populate has the heap's next pages there before they are touched
// (MADV_POPULATE_WRITE, Linux 5.14). Where the heap ends before them, the rest
// is left to faults. The stack is cut out of the heap, and was a moment ago.
func populate() {
	var here byte
	at := uintptr(unsafe.Pointer(&here)) &^ (1<<16 - 1)
	syscall3(sysMadvise, at, 512<<10, madvPopulateWrite)
}

const madvPopulateWrite = 23

func read() limit {
	var l limit
	getrlimit(rlimitNofile, unsafe.Pointer(&l))
	return l
}

// Nofile is the RLIMIT_NOFILE that the process was started with, in
// descriptors, and whether the soft limit now is the one that Go raised it to
// (one below the hard limit), not one that the program set since.
func Nofile() (soft, hard uint64, raised bool) {
	now := read()
	return nofile.soft, now.hard, now.hard > 0 && now.soft == now.hard-1 && nofile.soft < now.soft
}

// Entered says whether the process began in entry.
func Entered() bool { return born.masked != 0 }

// At is when the process began in entry, by its first instruction but a few:
// CLOCK_MONOTONIC in nanoseconds; 0: it did not begin there.
func At() int64 { return int64(born.at[0]*1e9 + born.at[1]) }

// Restore gives the calling thread the CPUs and the timer slack that the
// process was started with, where entry changed them. Threads that the Go
// runtime made keep what they have. It must be called in the cpuset that the
// process was started in.
//
// The kernel tells which CPUs a thread may use, not whether it asked for them: a
// thread that did not is to follow its cpuset, now and when that changes. So it
// asks for all, and for those of its birth only when that gave more.
func Restore() {
	if born.masked > 0 {
		var all, now [len(born.mask)]uint64
		for i := range all {
			all[i] = ^uint64(0)
		}
		syscall3(sysSchedSetaffinity, 0, unsafe.Sizeof(all), uintptr(unsafe.Pointer(&all)))
		n := syscall3(sysSchedGetaffinity, 0, unsafe.Sizeof(now), uintptr(unsafe.Pointer(&now)))
		if n <= 0 || now != born.mask {
			syscall3(sysSchedSetaffinity, 0, uintptr(born.masked), uintptr(unsafe.Pointer(&born.mask)))
		}
	}
	if born.timer > 0 {
		syscall3(sysPrctl, prSetTimerslack, uintptr(born.timer), 0)
	}
}

const prSetTimerslack = 29

// Spare are descriptors of new namespaces; below 3: it could not be opened. Up
// says that the loopback interface is.
type Spare struct {
	Net, UTS, IPC int
	Up            bool
}

// Maker is the process that makes spare namespaces, a child of this one without
// an exit signal, and 0 when there is none. It ends by itself. The caller waits
// for it, with __WALL, and then calls Made.
func Maker() int { return max(0, int(born.maker)) }

// Made is what the maker, which has ended, left in the table of descriptors, and
// whether it came to its end.
func Made() (s Spare, ok bool) {
	if born.maker <= 0 {
		return s, false
	}
	made := *(**spare)(unsafe.Pointer(&born.spare))
	return Spare{Net: int(made.net), UTS: int(made.uts), IPC: int(made.ipc), Up: made.up == 1}, made.done == 1
}
