package program

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	_ "unsafe" // for linkname

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

// Process is a child that was started and has not been waited for.
type Process struct {
	img   *Image
	pid   int
	pidfd int
	owned bool // the image is closed by Wait
	done  bool
	state Status
}

// Start loads a program and starts it once.
func Start(p *Program) (*Process, error) {
	img, err := Load(p)
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
	if img.born {
		return nil, fmt.Errorf("start program: its image has a process that was not waited for")
	}
	img.reset()
	h := img.arena.header()
	h.reap = 0
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	launchBlocking(img.arena.addr)
	if h.cloned < 0 {
		return nil, cloneError(h.clone.flags, syscall.Errno(-h.cloned))
	}
	img.born = true
	proc := &Process{img: img, pid: int(h.cloned), pidfd: int(h.pidfd)}
	if img.program.bond {
		// This thread is alive and the death signal is armed: say so.
		if err := proc.Await(1); err == nil {
			proc.Open(1)
		} // otherwise the child has ended, and Wait says why
	}
	return proc, nil
}

// Cycle starts the program and waits for its end in one stretch on one
// thread, with nothing between clone3, waitid and their stamps: the way to
// measure. The program must not wait for the launcher. A child that does not
// exit with 0 is an error, and so is an op that failed.
func (img *Image) Cycle() (Times, error) {
	img.reset()
	h := img.arena.header()
	h.reap = 1
	runtime.LockOSThread()
	launchBlocking(img.arena.addr)
	runtime.UnlockOSThread()
	if h.cloned < 0 {
		return Times{}, cloneError(h.clone.flags, syscall.Errno(-h.cloned))
	}
	unix.Close(int(h.pidfd))
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

// Pid is the process id, in the launcher's pid namespace.
func (p *Process) Pid() int { return p.pid }

// Pidfd is a descriptor of the process; it belongs to p.
func (p *Process) Pidfd() int { return p.pidfd }

// Await waits for a message of the child. It is an error when the child ends
// before it.
func (p *Process) Await(t Tell) error {
	h := p.img.arena.header()
	err := p.await(&h.tell, func(v uint32) bool { return v >= uint32(t) })
	if err != nil {
		return fmt.Errorf("await message %d: %w", t, err)
	}
	return nil
}

// Open lets the child pass a gate, and all gates before it.
func (p *Process) Open(g Gate) {
	word := &p.img.arena.header().open
	if atomic.LoadUint32(word) < uint32(g) {
		atomic.StoreUint32(word, uint32(g))
		futex(word, futexWake, 1<<31-1, nil)
	}
}

// WaitExec returns when the command runs: the kernel has replaced the child's
// memory, by execve. It is an error when the child ends before.
func (p *Process) WaitExec() error {
	h := p.img.arena.header()
	const ownerDied = 0x4000_0000
	err := p.await(&h.life, func(v uint32) bool { return v&ownerDied != 0 })
	if err == nil && h.failed == 0 && p.img.reachedLast() {
		return nil
	}
	if ferr := p.img.failure(); ferr != nil {
		return ferr
	}
	return fmt.Errorf("wait for execve: the child ended before it")
}

// await waits for a word of the arena. The kernel or the child wakes it; ten
// times a second it looks itself whether the child is still there.
func (p *Process) await(word *uint32, reached func(uint32) bool) error {
	tenth := unix.Timespec{Nsec: 100e6}
	for {
		v := atomic.LoadUint32(word)
		if reached(v) {
			return nil
		}
		switch errno := futex(word, futexWait, v, &tenth); errno {
		case 0, unix.EAGAIN, unix.EINTR:
			continue
		case unix.ETIMEDOUT:
		default:
			return fmt.Errorf("futex: %w", errno)
		}
		if p.ended() && !reached(atomic.LoadUint32(word)) {
			return fmt.Errorf("process %d ended before it", p.pid)
		}
	}
}

// ended says whether the child is a zombie.
func (p *Process) ended() bool {
	fds := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// Signal sends a signal to the process. It cannot reach another process by
// mistake, since it goes through the pidfd.
func (p *Process) Signal(sig syscall.Signal) error {
	if p.done {
		return os.ErrProcessDone
	}
	switch err := unix.PidfdSendSignal(p.pidfd, unix.Signal(sig), nil, 0); err {
	case nil:
		return nil
	case unix.ESRCH:
		return os.ErrProcessDone
	default:
		return fmt.Errorf("send signal %v to process %d: %w", sig, p.pid, err)
	}
}

// Wait waits for the end of the process and collects it. An op that failed is
// an *OpError, beside the status.
func (p *Process) Wait() (Status, error) {
	if p.done {
		return p.state, p.img.failure()
	}
	h := p.img.arena.header()
	if err := waitid(p.pidfd, h); err != nil {
		return Status{}, fmt.Errorf("wait for process %d: %w", p.pid, err)
	}
	h.ended = stampNow()
	if h.again > 0 {
		if err := p.adopt(int(h.again)); err != nil {
			return Status{}, err
		}
		if err := waitid(p.pidfd, h); err != nil {
			return Status{}, fmt.Errorf("wait for process %d: %w", p.pid, err)
		}
		h.ended = stampNow()
	}
	unix.Close(p.pidfd)
	p.state, p.done = readStatus(h), true
	p.img.born = false
	return p.state, p.img.failure()
}

// Adopt follows a program past its "clone again": it waits for the first
// child and makes p the second one, so that Pid, Signal and Wait mean the
// process that goes on. Wait does it by itself.
func (p *Process) Adopt() error {
	h := p.img.arena.header()
	if err := waitid(p.pidfd, h); err != nil {
		return fmt.Errorf("wait for process %d: %w", p.pid, err)
	}
	if h.again <= 0 {
		if err := p.img.failure(); err != nil {
			return err
		}
		return fmt.Errorf("adopt the second child of process %d: it ended before the clone", p.pid)
	}
	return p.adopt(int(h.again))
}

func (p *Process) adopt(pid int) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("open a descriptor of process %d: %w", pid, err)
	}
	unix.Close(p.pidfd)
	p.pid, p.pidfd = pid, pidfd
	p.img.arena.header().again = 0
	return nil
}

// Release gives the process's memory back after Wait; timelines and buffers
// must have been read. It does nothing to a process that still runs.
func (p *Process) Release() {
	if p.done && p.owned {
		p.img.Close()
	}
}

// Buffer is what ops wrote into a Buffer argument.
func (p *Process) Buffer(a Arg) []byte { return p.img.Buffer(a) }

// Timeline is when each op ended; complete after Wait.
func (p *Process) Timeline() Timeline { return p.img.Timeline() }
