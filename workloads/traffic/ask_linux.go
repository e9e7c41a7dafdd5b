package traffic

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"isoperf/workloads/load"
)

// LostAfter is when a datagram that was not answered is lost; and how long a kind
// that asks waits, at its end, for the answers that are still to come.
const LostAfter = time.Second

// numbered is how many bytes of a datagram are its number.
const numbered = 8

// ask sends a request of Step bytes every Every (1 ms), by a schedule that waits
// for nobody: what an answer that is late holds up is late from the moment at
// which it was due.
//
//	due      |   |   |   |   |   |
//	begun    |   |   |   |   |   |     several may be on their way
//	answered   ·   ·············:::·
//
// Each answer is noted as a load.Request: due Value, begun From, done To. A thread
// has one connection, and has had one answer, which is not noted, before it is
// Ready: by then the path is proven. A slot counts bytes of answers, and answers.
func ask(s load.Spec, b *load.Board) error {
	t, err := newTraffic(s, b, 1)
	if err != nil {
		return err
	}
	if t.spec.Every <= 0 {
		t.spec.Every = time.Millisecond
	}
	kind := unix.SOCK_STREAM
	if t.options.UDP {
		kind = unix.SOCK_DGRAM
		t.spec.Step = max(t.spec.Step, numbered)
		t.report.Block = int(t.spec.Step)
	}
	if t.spec.Step > 65507 {
		return fmt.Errorf("ask for %d bytes at once: a request has 65507 at most", t.spec.Step)
	}
	var sum sync.Mutex
	t.report.Asked = &Asked{}
	return t.each(func(i int) error {
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil { // see load's probe
			return err
		}
		fd, err := dial(t.at, kind, t.options, b)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		buf, err := buffer(128 << 10)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Munmap(buf) }()
		a := &asker{t: t, thread: i, fd: fd, request: buf[:64<<10][:t.spec.Step], answer: buf[64<<10:], base: 1}
		err = a.run()
		sum.Lock()
		t.report.Asked.add(a.Asked)
		sum.Unlock()
		return err
	})
}

func (a *Asked) add(b Asked) {
	a.Due += b.Due
	a.Sent += b.Sent
	a.Answered += b.Answered
	a.Late += b.Late
	a.Lost += b.Lost
	a.Unanswered += b.Unanswered
	a.Strange += b.Strange
	a.Failed += b.Failed
}

// asker is a thread that asks.
type asker struct {
	Asked
	t               *traffic
	thread, fd      int
	request, answer []byte
	clock           load.Clock
	waiting         []request // for their answers, in the order of their numbers
	base            int64     // the number of the first; 0 is the one before all
	owed            int       // bytes of requests that TCP had no room for
	got             int       // bytes of the answer that TCP has begun
	poll            unix.PollFd
	limit           unix.Timespec
}

type request struct {
	due, begun int64
	answered   bool
}

func (a *asker) run() error {
	t, s := a.t, &a.t.report.Streams[a.thread]
	if !t.options.UDP {
		if err := unix.SetsockoptInt(a.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return fmt.Errorf("have requests leave at once: %w", err)
		}
	}
	if err := s.describe(a.fd); err != nil {
		return err
	}
	if err := a.first(); err != nil {
		return fmt.Errorf("have one answer from %s: %w; is it an answer that listens there?", t.at, err)
	}
	t.board.AwaitGo()
	a.clock = load.NewClock()
	s.End = Stopped
	errno := a.schedule()
	t.board.Slots[a.thread].CPU.Store(load.ThreadCPU())
	for _, r := range a.waiting {
		if !r.answered {
			a.Unanswered++
		}
	}
	if err := s.describe(a.fd); err != nil {
		return err
	}
	if errno != 0 && !t.overSoon() {
		return fmt.Errorf("ask %s, after %d answers: %w; did the other end fail?", t.at, a.Answered, errno)
	}
	return nil
}

// first asks until there was an answer, within patience. A datagram is sent again
// and again.
func (a *asker) first() error {
	got, send := 0, true
	for end := load.Monotonic() + int64(patience); load.Monotonic() < end; {
		if a.t.board.Over() {
			return errOver
		}
		if send {
			if _, errno := raw(unix.SYS_SENDTO, uintptr(a.fd), base(a.request), uintptr(len(a.request)), unix.MSG_NOSIGNAL); errno != 0 && errno != unix.EAGAIN {
				return errno
			}
			send = false
		}
		n, errno := raw(unix.SYS_RECVFROM, uintptr(a.fd), base(a.answer), uintptr(len(a.answer)))
		switch {
		case errno == unix.EAGAIN || errno == unix.EINTR:
			send = a.t.options.UDP
		case errno != 0:
			return errno
		case n == 0 && !a.t.options.UDP:
			return unix.ECONNRESET
		default:
			if got += n; got >= len(a.request) {
				return nil
			}
		}
	}
	return unix.ETIMEDOUT
}

// schedule asks until it is told to end, and then waits for what is on its way.
func (a *asker) schedule() unix.Errno {
	every, over := int64(a.t.spec.Every), int64(0)
	due := a.clock.Now() + every
	for {
		now := a.clock.Now()
		if over == 0 && a.t.board.Over() {
			over = now + int64(LostAfter)
		}
		if over != 0 && (now > over || len(a.waiting) == 0) {
			return 0
		}
		for over == 0 && due <= now {
			if errno := a.begin(due, now); errno != 0 {
				return errno
			}
			due += every
			now = a.clock.Now()
		}
		until := min(due, now+int64(look))
		if over != 0 {
			until = now + int64(time.Millisecond)
		}
		if errno := a.turn(until - now); errno != 0 {
			return errno
		}
	}
}

// begin begins a request.
func (a *asker) begin(due, now int64) unix.Errno {
	a.Due++
	if now-due > int64(a.t.spec.Every) {
		a.Late++
	}
	a.Sent++
	a.waiting = append(a.waiting, request{due: due, begun: now})
	if !a.t.options.UDP {
		a.owed += len(a.request)
		return a.flush()
	}
	binary.LittleEndian.PutUint64(a.request, uint64(a.base+int64(len(a.waiting))-1))
	_, errno := raw(unix.SYS_SENDTO, uintptr(a.fd), base(a.request), uintptr(len(a.request)), unix.MSG_DONTWAIT)
	if errno == unix.EAGAIN || errno == unix.EINTR || errno == unix.ENOBUFS {
		return 0 // no room: the request is lost, as one on its way would be
	}
	return errno
}

// flush sends what is owed, as far as there is room.
func (a *asker) flush() unix.Errno {
	for a.owed > 0 {
		n, errno := raw(unix.SYS_SENDTO, uintptr(a.fd), base(a.request), uintptr(min(a.owed, len(a.request))), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch errno {
		case 0:
			a.owed -= n
		case unix.EAGAIN:
			return 0
		case unix.EINTR:
		default:
			return errno
		}
	}
	return 0
}

// turn waits for some time, in ns, and takes the answers that came.
func (a *asker) turn(wait int64) unix.Errno {
	a.poll = unix.PollFd{Fd: int32(a.fd), Events: unix.POLLIN}
	if a.owed > 0 {
		a.poll.Events |= unix.POLLOUT
	}
	a.limit = unix.NsecToTimespec(max(0, wait))
	n, errno := raw(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&a.poll)), 1, uintptr(unsafe.Pointer(&a.limit)))
	if errno != 0 && errno != unix.EINTR {
		return errno
	}
	if n > 0 && a.poll.Revents&unix.POLLOUT != 0 {
		if errno := a.flush(); errno != 0 {
			return errno
		}
	}
	for n > 0 {
		got, errno := raw(unix.SYS_RECVFROM, uintptr(a.fd), base(a.answer), uintptr(len(a.answer)), unix.MSG_DONTWAIT)
		if errno == unix.EAGAIN || errno == unix.EINTR {
			break
		}
		if errno != 0 {
			return errno
		}
		if a.t.options.UDP {
			a.datagram(a.answer[:got])
			continue
		}
		if got == 0 {
			return unix.ECONNRESET
		}
		now := a.clock.Now()
		for a.got += got; a.got >= len(a.request); a.got -= len(a.request) {
			a.done(a.base, now)
		}
		if got < len(a.answer) {
			break // there is no more
		}
	}
	a.forget()
	return 0
}

// datagram takes an answer by its number.
func (a *asker) datagram(text []byte) {
	if len(text) != len(a.request) {
		a.Strange++
		return
	}
	if n := int64(binary.LittleEndian.Uint64(text)); n != 0 { // the first of all may come twice
		a.done(n, a.clock.Now())
	}
}

// done notes the answer to a request, now.
func (a *asker) done(number, now int64) {
	i := number - a.base
	if i < 0 || i >= int64(len(a.waiting)) || a.waiting[i].answered {
		a.Strange++
		return
	}
	r := &a.waiting[i]
	r.answered = true
	a.Answered++
	a.t.board.Note(load.Event{Kind: load.Request, Value: r.due, From: r.begun, To: now, Thread: int32(a.thread)})
	a.t.did(a.thread, a.clock, len(a.request))
	if !a.t.options.UDP {
		a.drop(1)
	}
}

// forget drops the requests that were answered, and those that are lost.
func (a *asker) forget() {
	if !a.t.options.UDP {
		return
	}
	n, lost := 0, a.clock.Now()-int64(LostAfter)
	for ; n < len(a.waiting) && (a.waiting[n].answered || a.waiting[n].begun < lost); n++ {
		if !a.waiting[n].answered {
			a.Lost++
		}
	}
	a.drop(n)
}

func (a *asker) drop(n int) {
	a.base += int64(n)
	if n == len(a.waiting) {
		a.waiting = a.waiting[:0] // its memory is used again
		return
	}
	a.waiting = a.waiting[n:]
}
