package program

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// launch blocks all signals, clones, stamps, waits for the child when
// header.reap is 1, and gives the mask back. The child goes to the loop.
//
//go:noescape
func launch(h uintptr)

// loopEntry is the address of the code that walks the records. The child goes
// there, and its bytes are the stub's text.
func loopEntry() uintptr

// The scheduler is told about the launch as about a blocking system call:
// clone may wait for the destruction of other namespaces, and would hold up
// the garbage collector for as long.

//go:linkname entersyscall runtime.entersyscall
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

//go:nosplit
//go:norace
func launchBlocking(h uintptr) {
	entersyscall()
	launch(h)
	exitsyscall()
}

// Start loads a program and starts it once.
func Start(p *Program) (*Process, error) {
	// With CLONE_VFORK the launcher sleeps until the child is in the stub.
	img, err := loadInto(p, 0, 0, p.Mode == Stub && p.Flags&unix.CLONE_VFORK == 0)
	if err != nil {
		return nil, err
	}
	proc, err := img.Start()
	if err != nil {
		img.Close()
		return nil, err
	}
	proc.owned = true
	return proc, nil
}

// Start starts the program. The caller must Wait before it starts the image
// again. With DieWithParent the calling thread must not end before the child:
// lock the goroutine to its thread, or use a Launcher.
func (img *Image) Start() (*Process, error) {
	if err := img.free(); err != nil {
		return nil, err
	}
	img.reset()
	h := img.arena.header()
	h.reap = 0
	img.anchor = readAnchor()
	launchBlocking(img.arena.addr)
	if h.cloned < 0 {
		return nil, cloneError(h.clone.flags, syscall.Errno(-h.cloned))
	}
	img.born = true
	img.complete()
	proc := &Process{img: img, pid: int(h.cloned), pidfd: int(h.pidfd)}
	if !img.partial {
		proc.answer()
	}
	return proc, nil
}

// complete writes the ops that a child waits for, which has been made without them.
func (img *Image) complete() {
	if !img.written {
		n := img.ops.len()
		img.writeOps(n-len(img.ops.rest), n)
		img.written = true
		raise(&img.arena.header().written, 1)
	}
}

// awaitOps is where the child waits for them.
func awaitOps() Op {
	return Op{
		Name: "rest of the program", Call: callWait, Text: "wait: rest of the program",
		Args: [6]Arg{inHeader(offsetWritten), Int(futexWait), {}, inHeader(offsetStopAfter), {}, Int(1)},
	}
}

// answer says, when the death signal is armed, that this thread is alive. When
// the child has ended before, Wait says why.
func (p *Process) answer() {
	if p.img.program.bond {
		_ = p.await(&p.img.arena.header().tell, reaches(1))
	}
}

// Limits are of each Cycle of an image. The zero value is none.
type Limits struct {
	// Within is how long a child may live; then it is killed, and the cycle
	// fails with ErrBound. 0: it may live as long as it likes.
	Within time.Duration
	// Usage collects CPU time and memory of the child and of what it waited
	// for, which takes the kernel a moment within Reaped.
	Usage bool
	// Refused is told, once and on a goroutine of its own, that a child which is
	// to be killed may not be: it has become another user's, by a set-user-ID bit,
	// and the cycle goes on until it ends by itself or somebody else ends it.
	// nil: nobody is told.
	Refused func(pid int, err error)
}

// ErrBound says that a child lived longer than Limits.Within.
var ErrBound = errors.New("it did not end in time and was killed")

// Limit sets the limits of the next cycles.
func (img *Image) Limit(l Limits) { img.limits = l }

// Status is how the last start ended, once it was waited for.
func (img *Image) Status() Status { return readStatus(img.arena.header()) }

// Entered is when clone3 was entered in the last start, CLOCK_MONOTONIC in
// nanoseconds.
func (img *Image) Entered() int64 { return img.line().instant(img.arena.header().entered) }

// Cycle starts the program and waits for its end in one stretch on one
// thread, with nothing between clone3, waitid and their stamps: the way to
// measure. The program must not wait for the launcher, nor clone again. A child
// that does not exit with 0 is an error, and so is an op that failed.
func (img *Image) Cycle() (Times, error) {
	if err := img.free(); err != nil {
		return Times{}, err
	}
	if p := img.program; p.gates > 0 || p.bond || p.again {
		return Times{}, fmt.Errorf("cycle program: it waits for the launcher, which waits for its end: use Start")
	}
	img.reset()
	h := img.arena.header()
	h.reap, h.usage = 1, 0
	if img.limits.Usage {
		h.usage = uint64(img.arena.addr + unsafe.Offsetof(h.rusage))
	}
	over := img.bound()
	img.anchor = readAnchor()
	launchBlocking(img.arena.addr)
	late := over()
	if h.cloned < 0 {
		return Times{}, cloneError(h.clone.flags, syscall.Errno(-h.cloned))
	}
	unix.Close(int(h.pidfd))
	if late {
		return Times{}, fmt.Errorf("wait %v for process %d: %w", img.limits.Within, h.cloned, ErrBound)
	}
	if h.reaped < 0 {
		return Times{}, fmt.Errorf("wait for process %d: %w", h.cloned, syscall.Errno(-h.reaped))
	}
	status := readStatus(h)
	if err := img.failure(); err != nil {
		return Times{}, err
	}
	if !status.Success() {
		return Times{}, fmt.Errorf("run program: the child ended with %v", status)
	}
	return img.Times(), nil
}

// bound kills the child of a cycle when its time is up; over says whether it
// was, and must be called before the child's pidfd is closed.
func (img *Image) bound() (over func() bool) {
	img.cycle.Lock()
	img.running = true
	img.turn++
	img.cycle.Unlock()
	var late atomic.Bool
	stop := func() bool { return true }
	if img.limits.Within > 0 {
		stop = time.AfterFunc(img.limits.Within, func() { late.Store(true); img.Kill() }).Stop
	}
	return func() bool {
		stop()
		img.cycle.Lock()
		defer img.cycle.Unlock()
		img.running = false
		return late.Load()
	}
}

// Kill kills the child of the cycle that runs, if one does: again and again until
// it is gone, since it may not have been born yet. Any goroutine may call it.
func (img *Image) Kill() {
	pidfd := &img.arena.header().pidfd
	told := false
	for turn := 0; ; {
		img.cycle.Lock()
		if turn == 0 {
			turn = img.turn
		}
		if !img.running || img.turn != turn {
			img.cycle.Unlock()
			return
		}
		var err error
		if fd := atomic.LoadInt32(pidfd); fd >= 0 {
			err = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) // that it has ended shows at once
		}
		img.cycle.Unlock()
		if err == unix.EPERM && !told && img.limits.Refused != nil {
			told = true
			go img.limits.Refused(int(atomic.LoadInt64(&img.arena.header().cloned)), err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// free says whether the image can be started.
func (img *Image) free() error {
	switch {
	case img.arena.size == 0:
		return fmt.Errorf("start program: its image is closed")
	case img.born:
		return fmt.Errorf("start program: its image has a process that was not waited for")
	}
	return nil
}
