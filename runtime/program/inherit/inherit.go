// Package inherit knows what the process was given at birth and Go changes
// before main, and what a short-lived launcher does before Go does anything.
//
//	kernel ─► entry ─► the Go runtime ─► this package ─► syscall and all others ─► main
//	            │       on one CPU         limits back                             │
//	            └─ a process: unshare(net, ipc, uts), read ─── joined by the child ┘ Restore
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
//   - Large pages (2 MiB; amd64), where the first touch of a page is slow, which entry
//     measures: 10 to 25 us on a machine whose host keeps shadow page tables, where
//     300 of them were half of a start. One for the program's data, with the runtime's
//     small mappings behind it, and one or two for the heap. For the first the binary
//     must be linked with -R 0x200000 as well. They cost 2 to 6 MiB of memory, and
//     where faults are fast more time than they save: to clear one takes 50 to 250 us,
//     and a start took a third longer with them where a fault takes 2 us. Nor is the
//     kernel's clock in memory (vDSO) used there: four pages, for some forty readings
//     of the clock.
//   - "run" or "create" among the arguments: a process makes the namespaces net, ipc and
//     uts on the other CPU, for which the kernel takes half as long as Go takes
//     to start, opens them into the common table of descriptors, brings the
//     loopback interface up, a tenth of a millisecond more, reads some texts that a
//     start will want (Text), and ends. Who needs none of it still has to wait for it,
//     and to close them. (A thread would slow the start down by more than it saves:
//     with two CPUs in one address space each change of a mapping interrupts the other
//     one.) Where 0,
//     1 or 2 is closed, there is no such process; nor where the first touch of a page
//     is slow: the clone then costs 1.1 ms, more than the namespaces.
//
// Limits are given back before any package but the runtime is initialised, CPUs
// and timer by Restore, before a child is made.
package inherit

import (
	"runtime"
	"sync/atomic"
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
	spare      uintptr   // the memory shared with it; spare below
	environ    **byte    // the environment
}

// spare is what the other process leaves behind: descriptors, or -errno, whether
// the loopback interface is up, and texts: each its length, 0 without one, and then
// its bytes.
type spare struct {
	done, net, uts, ipc, up int64
	clock, user             [64]byte
	groups                  [4096 - 168]byte
	mounts                  [12 << 10]byte
}

// text is one that the maker reads.
type text struct {
	name string  // and NUL; empty: there are no more
	link uintptr // 1: it is a link, and the text is where that leads
	at   uintptr // where its length is, in spare
	room uintptr // that many bytes or more are too many
}

var texts = [...]text{
	ClockSource:   {name: "/sys/devices/system/clocksource/clocksource0/current_clocksource\x00", at: unsafe.Offsetof(spare{}.clock), room: unsafe.Sizeof(spare{}.clock) - 8},
	UserNamespace: {name: "/proc/self/ns/user\x00", link: 1, at: unsafe.Offsetof(spare{}.user), room: unsafe.Sizeof(spare{}.user) - 8},
	Groups:        {name: "/proc/self/cgroup\x00", at: unsafe.Offsetof(spare{}.groups), room: unsafe.Sizeof(spare{}.groups) - 8},
	Mounts:        {name: "/proc/self/mountinfo\x00", at: unsafe.Offsetof(spare{}.mounts), room: unsafe.Sizeof(spare{}.mounts) - 8},
	Mounts + 1:    {},
}

// Text is a text that a start needs and the maker has read meanwhile.
type Text int

// The texts.
const (
	ClockSource   Text = iota // the file current_clocksource below /sys/devices/system/clocksource/clocksource0
	UserNamespace             // the link /proc/self/ns/user
	Groups                    // /proc/self/cgroup
	Mounts                    // /proc/self/mountinfo
)

// taken has a bit for each text that was.
var taken atomic.Uint32

// Take gives the text, once, since it is as it was when the process began; nil: there
// is none, because there was no maker, or it has not read it, or it is too long. It
// must not be changed.
func (t Text) Take() []byte {
	if born.maker <= 0 || taken.Or(1<<t)&(1<<t) != 0 {
		return nil
	}
	made := shared()
	if atomic.LoadInt64(&made.done) == 0 {
		return nil
	}
	length := (*int64)(unsafe.Add(unsafe.Pointer(made), texts[t].at))
	if *length <= 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(length), 8)), *length)
}

// Getenv is an environment variable as the process was given it; known is false when
// it did not begin in entry. os.Getenv makes a map of all of them first.
func Getenv(name string) (value string, known bool) {
	if born.environ == nil {
		return "", false
	}
next:
	for at := born.environ; *at != nil; at = (**byte)(unsafe.Add(unsafe.Pointer(at), unsafe.Sizeof(*at))) {
		char := func(i int) *byte { return (*byte)(unsafe.Add(unsafe.Pointer(*at), i)) }
		for i := range len(name) {
			if *char(i) != name[i] {
				continue next
			}
		}
		if *char(len(name)) != '=' {
			continue
		}
		from, n := len(name)+1, 0
		for *char(from + n) != 0 {
			n++
		}
		return string(unsafe.Slice(char(from), n)), true
	}
	return "", true
}

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
	setrlimit(rlimitNofile, unsafe.Pointer(&born.soft))
	return limit{born.soft, born.hard}
}

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
// for it, with __WALL.
func Maker() int { return max(0, int(born.maker)) }

// Made is what the maker has left in the table of descriptors; done says that it has
// come to its end, which may be later.
func Made() (s Spare, done bool) {
	if born.maker <= 0 {
		return s, false
	}
	made := shared()
	done = atomic.LoadInt64(&made.done) == 1
	return Spare{Net: int(made.net), UTS: int(made.uts), IPC: int(made.ipc), Up: made.up == 1}, done
}

// shared is the memory that the maker writes.
func shared() *spare { return *(**spare)(unsafe.Pointer(&born.spare)) }
