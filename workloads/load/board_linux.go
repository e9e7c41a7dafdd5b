package load

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Slots is how many threads a load may have.
const Slots = 128

// Events is how many events a board keeps; later ones are counted and dropped.
const Events = 1 << 16

// Board is the memory that a load shares with who measures it. Instants are
// CLOCK_MONOTONIC in nanoseconds.
type Board struct {
	Started atomic.Uint32 // the threads may begin
	Stopped atomic.Uint32 // and are to end
	Ready   atomic.Uint32 // how many threads wait for Started
	_       uint32
	Phase   atomic.Int64 // what a kind makes of it: how far it is
	_       [40]byte
	Slots   [Slots]Slot
	Noted   atomic.Uint64 // how many events there were
	_       [56]byte
	Log     [Events]Event
}

// Slot is one thread's; each has a cache line of its own.
type Slot struct {
	Loops atomic.Uint64 // turns of its loop
	CPU   atomic.Int64  // nanoseconds of CPU time, its own clock's
	At    atomic.Int64  // when CPU was read
	Count atomic.Int64  // what a kind counts: bytes, forks, requests
	Tid   atomic.Uint32
	Errno atomic.Uint32 // of the last call that failed; 0: none did
	_     [24]byte
}

// Event is something that a load noted.
type Event struct {
	From, To int64 // instants
	Value    int64 // what the kind says
	Thread   int32
	Kind     int32 // of Gap and its like
}

// Kinds of events.
const (
	Gap        = 1 // the thread did not run From, To
	Request    = 2 // intended at Value, begun From, done To
	Step       = 3 // a part of the work, done From, To; Value: which
	Connection = 4 // begun From, established at Value, closed To
)

// NewBoard makes a board; the file is for the load to inherit; see Env.
func NewBoard() (*Board, *os.File, error) {
	fd, err := unix.MemfdCreate("load", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("make a load's board: %w", err)
	}
	f := os.NewFile(uintptr(fd), "board")
	// All pages are made now: a page is charged to the group of who touches it
	// first, and the board must not be part of what the load is measured by.
	err = unix.EINTR
	for err == unix.EINTR { // Go's own signals
		err = unix.Fallocate(fd, 0, 0, int64(unsafe.Sizeof(Board{})))
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("make a load's board: %w", err)
	}
	b, err := mapBoard(fd)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return b, f, nil
}

func mapBoard(fd int) (*Board, error) {
	text, err := unix.Mmap(fd, 0, int(unsafe.Sizeof(Board{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map a load's board: %w", err)
	}
	return (*Board)(unsafe.Pointer(unsafe.SliceData(text))), nil
}

// Close gives the memory back.
func (b *Board) Close() error {
	return unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(b)), int(unsafe.Sizeof(Board{}))))
}

// Note adds an event, if there is room.
//
//go:nosplit
func (b *Board) Note(e Event) {
	if n := b.Noted.Add(1); n <= Events {
		b.Log[n-1] = e
	}
}

// Since are the events that were noted after the first n.
func (b *Board) Since(n int) []Event {
	return b.Log[min(n, Events):min(int(b.Noted.Load()), Events)]
}

// Go has the threads begin.
func (b *Board) Go() { b.Started.Store(1) }

// Stop has them end.
func (b *Board) Stop() { b.Stopped.Store(1) }

// AwaitGo counts the thread as ready and waits until it may begin, or is to end.
func (b *Board) AwaitGo() {
	b.Ready.Add(1)
	for b.Started.Load() == 0 && b.Stopped.Load() == 0 {
		time.Sleep(200 * time.Microsecond)
	}
}

// Over says that the threads are to end.
//
//go:nosplit
func (b *Board) Over() bool { return b.Stopped.Load() != 0 }

// Clock is CLOCK_MONOTONIC without a system call: Go's own reading of it, from a
// moment at which both were read.
type Clock struct {
	base time.Time
	mono int64
}

// NewClock reads both.
func NewClock() Clock {
	before := time.Now()
	m := Monotonic()
	return Clock{before.Add(time.Since(before) / 2), m}
}

// Now is an instant of CLOCK_MONOTONIC.
func (c Clock) Now() int64 { return c.mono + int64(time.Since(c.base)) }

// Monotonic reads CLOCK_MONOTONIC by a system call.
//
//go:nosplit
func Monotonic() int64 { return clockOf(unix.CLOCK_MONOTONIC) }

// ThreadCPU is the CPU time that this thread has had, in nanoseconds.
//
//go:nosplit
func ThreadCPU() int64 { return clockOf(unix.CLOCK_THREAD_CPUTIME_ID) }

// clockOf reads a clock, raw: around each call that Go knows of, its monitor
// thread wakes hundreds of times a second, in the group that is measured: 4 % of
// a limit of 20 % of a CPU, on another CPU.
//
//go:nosplit
func clockOf(id int32) int64 {
	var ts unix.Timespec
	if _, _, errno := syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		panic(errno) // the kernel has had it since 2.6
	}
	return ts.Nano()
}
