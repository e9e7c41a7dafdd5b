package program

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a child that was started and has not been waited for. Signal,
// Open and Pid may be called from any goroutine at any time, the others from
// one goroutine at a time.
type Process struct {
	img     *Image
	owned   bool // Release closes the image
	adopted bool // pid is the second child
	state   Status
	err     error // the op that failed

	watched     int         // the process that executes the command; 0: the child
	interrupted func() bool // asked while Confirm waits

	mu     sync.Mutex // guards what follows
	pid    int
	pidfd  int
	done   bool  // the process was collected, its descriptor closed
	killed bool  // SIGKILL was sent
	lost   error // why the second child could not be followed; done is set
}

// Pid is the process id, in the launcher's pid namespace.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// Pidfd is a descriptor of the process; it belongs to p, until Wait.
func (p *Process) Pidfd() int { return p.pidfd }

// Await waits for a message of the child. It is an error when the child ends
// before it.
func (p *Process) Await(t Tell) error {
	err := p.await(&p.img.arena.header().tell, reaches(t))
	if ferr := p.img.failure(); err != nil && ferr != nil {
		err = ferr
	}
	if err != nil {
		return fmt.Errorf("await message %d: %w", t, err)
	}
	return nil
}

// AwaitUnless is Await that asks ten times a second whether to give up, which is
// ErrInterrupted.
func (p *Process) AwaitUnless(t Tell, interrupted func() bool) error {
	p.interrupted = interrupted
	defer func() { p.interrupted = nil }()
	return p.Await(t)
}

func reaches(t Tell) func(uint32) bool {
	return func(v uint32) bool { return v >= uint32(t) }
}

// Open lets the child pass a gate, and all gates before it.
func (p *Process) Open(g Gate) { raise(&p.img.arena.header().open, uint32(g)) }

// raise sets a word that the child waits for.
func raise(word *uint32, to uint32) {
	for {
		v := atomic.LoadUint32(word)
		if v >= to {
			return
		}
		if atomic.CompareAndSwapUint32(word, v, to) {
			futex(word, futexWake, 1<<31-1, nil)
			return
		}
	}
}

// WaitExec returns when the command runs: the kernel has replaced the child's
// memory, by execve. It is an error when the child ends before.
func (p *Process) WaitExec() error {
	const ownerDied = 0x4000_0000
	h := p.img.arena.header()
	err := p.confirm()
	if err == nil {
		err = p.await(&h.life, func(v uint32) bool { return v&ownerDied != 0 })
	}
	if ferr := p.img.failure(); ferr != nil {
		return ferr
	}
	if err != nil {
		return fmt.Errorf("wait for execve: %w", err)
	}
	if !p.img.reachedExec() || !p.executed() {
		return fmt.Errorf("wait for execve: process %d ended before it", p.Pid())
	}
	return nil
}

// Watch says which process executes the command, in the launcher's pid
// namespace, when it is not the child: after a Fork.
func (p *Process) Watch(pid int) { p.watched = pid }

// executed says, of a child whose memory is gone, whether execve took it or
// its end did: execve gives a process another name, a little later. Without
// /proc it says that it was execve.
func (p *Process) executed() bool {
	pid := p.watched
	if pid == 0 {
		pid = p.Pid()
	}
	path := fmt.Sprintf("/proc/%d/comm", pid)
	for pause := 10 * time.Microsecond; ; pause *= 2 {
		ended := p.ended()
		comm, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(comm)) != initComm {
			return true
		}
		if ended {
			return false
		}
		time.Sleep(min(pause, 10*time.Millisecond))
	}
}

// ErrInterrupted is what Confirm returns when it was told to give up.
var ErrInterrupted = errors.New("interrupted")

// Confirm waits until the child has armed its death signal for the last time,
// and lets it know that the launcher was alive then: without it, or one of the
// other waits, the child does not execute its command. It asks ten times a
// second whether to go on; nil: always.
func (p *Process) Confirm(interrupted func() bool) error {
	p.interrupted = interrupted
	defer func() { p.interrupted = nil }()
	return p.confirm()
}

// confirm sees that the death signal is armed, and lets the child know.
func (p *Process) confirm() error {
	h, armed := p.img.arena.header(), p.img.armed
	if atomic.LoadUint32(&h.bond) >= uint32(armed) {
		return nil
	}
	return p.await(&h.tell, reaches(armed))
}

// await waits for a word of the arena. The kernel or the child wakes it; ten
// times a second it looks itself whether the child is still there. It follows
// the program past its "clone again".
func (p *Process) await(word *uint32, reached func(uint32) bool) error {
	h := p.img.arena.header()
	tenth := unix.Timespec{Nsec: 100e6}
	for ended := false; ; {
		v := atomic.LoadUint32(word)
		if p.img.program.bond {
			raise(&h.bond, atomic.LoadUint32(&h.tell))
		}
		if reached(v) {
			return p.follow()
		}
		if ended {
			return fmt.Errorf("process %d ended before it", p.Pid())
		}
		switch errno := futex(word, futexWait, v, &tenth); errno {
		case 0, unix.EAGAIN, unix.EINTR:
		case unix.ETIMEDOUT:
			if p.interrupted != nil && p.interrupted() {
				return ErrInterrupted
			}
			if err := p.follow(); err != nil {
				return err
			}
			ended = p.ended() // one more look: it may have come just before
		default:
			return fmt.Errorf("futex: %w", errno)
		}
	}
}

// ended says whether the child is a zombie, or was collected.
func (p *Process) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return true
	}
	fds := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// Signal sends a signal to the process. It cannot reach another process by
// mistake, since it goes through the pidfd.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return os.ErrProcessDone
	}
	switch err := unix.PidfdSendSignal(p.pidfd, sig, nil, 0); err {
	case nil:
		p.killed = p.killed || sig == unix.SIGKILL
		return nil
	case unix.ESRCH:
		return os.ErrProcessDone
	default:
		return fmt.Errorf("send signal %v to process %d: %w", sig, p.pid, err)
	}
}

// wasKilled says whether the child cannot be expected to tell anything more.
func (p *Process) wasKilled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed
}

// Wait waits for the end of the process and collects it. An op that failed is
// an *OpError, beside the status.
func (p *Process) Wait() (Status, error) {
	if p.done {
		return p.state, p.err
	}
	h := p.img.arena.header()
	if !p.wasKilled() {
		_ = p.confirm() // the child ended before: its status says how
	}
	for {
		if err := waitid(p.pidfd, h, 0); err != nil {
			return Status{}, fmt.Errorf("wait for process %d: %w", p.Pid(), err)
		}
		if !p.passedOn() {
			break
		}
		if err := p.adopt(); err != nil {
			return Status{}, err
		}
		_ = p.confirm() // as above
	}
	h.ended = stampNow(h.clock)
	p.mu.Lock()
	unix.Close(p.pidfd)
	p.done = true
	p.mu.Unlock()
	p.state, p.err = readStatus(h), p.img.failure()
	p.img.born = false
	return p.state, p.err
}

// Adopt waits for a program's "clone again" and makes p the second child, so
// that Pid, Signal and Wait mean the process that goes on. Await, WaitExec and
// Wait do it by themselves when they get there.
func (p *Process) Adopt() error {
	h := p.img.arena.header()
	if !p.img.program.again {
		return fmt.Errorf("adopt the second child of process %d: the program has none", p.Pid())
	}
	if p.adopted {
		return nil
	}
	if err := waitid(p.pidfd, h, unix.WNOWAIT); err != nil {
		return fmt.Errorf("wait for process %d: %w", p.Pid(), err)
	}
	if !p.passedOn() {
		if err := p.img.failure(); err != nil {
			return err
		}
		return fmt.Errorf("adopt the second child of process %d: it ended before the clone", p.Pid())
	}
	return p.follow()
}

// passedOn says whether there is a second child that p is not yet.
func (p *Process) passedOn() bool {
	return p.img.program.again && !p.adopted && atomic.LoadInt32(&p.img.arena.header().again) != 0
}

// follow adopts the second child, when there is one.
func (p *Process) follow() error {
	if !p.passedOn() {
		return nil
	}
	h := p.img.arena.header()
	// The first child exits as soon as it has cloned.
	if err := waitid(p.pidfd, h, 0); err != nil {
		return fmt.Errorf("wait for process %d: %w", p.Pid(), err)
	}
	return p.adopt()
}

// adopt makes p the second child, after the first was collected.
func (p *Process) adopt() error {
	h := p.img.arena.header()
	pid := int(atomic.LoadInt32(&h.again))
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return p.lose(fmt.Errorf("open a descriptor of process %d: %w", pid, err))
	}
	// The number comes from memory that the child can write.
	if err := waitid(pidfd, h, unix.WNOHANG|unix.WNOWAIT); err != nil {
		unix.Close(pidfd)
		return p.lose(fmt.Errorf("adopt process %d: it is not a child of this one: %w", pid, err))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	unix.Close(p.pidfd)
	p.pid, p.pidfd, p.adopted = pid, pidfd, true
	return nil
}

// lose gives up a second child that cannot be followed. The first one was
// collected; the image stays taken, since the other may still write there.
func (p *Process) lose(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	unix.Close(p.pidfd)
	p.done, p.lost = true, err
	return err
}

// Release gives the process's memory back after Wait; timelines and buffers
// must have been read. It does nothing to a process that still runs.
func (p *Process) Release() {
	if p.done && p.owned && p.lost == nil {
		p.img.Close()
	}
}

// Abandon gives up a process that goes on without its launcher: whoever reaps
// orphans waits for it. Its image stays taken.
func (p *Process) Abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		unix.Close(p.pidfd)
		p.done, p.lost = true, errors.New("the process was abandoned")
	}
}

// Buffer is what ops wrote into a Buffer argument.
func (p *Process) Buffer(a Arg) []byte { return p.img.Buffer(a) }

// Result is that of an op, once it has run: an error is the errno, negative. The
// child can write it, and so can who traces it.
func (p *Process) Result(r Ref) int64 {
	return p.img.arena.records(p.img.ops.len() + 1)[p.img.index(r)].result
}

// Timeline is when each op ended; complete after Wait.
func (p *Process) Timeline() Timeline { return p.img.Timeline() }
