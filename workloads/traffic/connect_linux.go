package traffic

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"isoperf/workloads/load"
)

// inARow is how many connections may fail, one after the other, before a thread
// gives up.
const inARow = 10

// connect connects, asks for Step bytes, has its answer and closes, again and
// again: one after the other, or Every at the soonest; Count times (0: until it is
// told to end). A thread has made one, which is not noted, before it is Ready. Each is noted as a load.Connection: begun From (before connect(2),
// with a socket that is there), established at Value, To when the other end had
// closed too. It ends a connection as an application does: it says that it has no
// more to send, and reads the other end's last word; nothing is reset, and
// SO_LINGER is not set.
//
// Who closes first keeps the pair of ports for a minute (TIME_WAIT), so that one
// address has some 28 thousand connections to another in that time. On loopback
// the kernel uses them again after a second (net.ipv4.tcp_tw_reuse is 2); elsewhere
// it does when that is 1, which is a namespace's own to set. Or give a Count.
func connect(s load.Spec, b *load.Board) error {
	t, err := newTraffic(s, b, 1)
	if err != nil {
		return err
	}
	if t.options.UDP || t.options.Listen {
		return fmt.Errorf("connect takes neither udp nor listen: the other end is an answer")
	}
	if t.spec.Step > 64<<10 {
		return fmt.Errorf("connect for %d bytes: a request has 65536 at most", t.spec.Step)
	}
	var sum sync.Mutex
	t.report.Asked = &Asked{}
	return t.each(func(i int) error {
		buf, err := buffer(128 << 10)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Munmap(buf) }()
		a := &caller{t: t, thread: i, request: buf[:t.spec.Step], answer: buf[64<<10:]}
		if a.size, err = rawAddress(t.at, &a.to); err != nil {
			return err
		}
		err = a.run()
		sum.Lock()
		t.report.Asked.add(a.Asked)
		sum.Unlock()
		return err
	})
}

// caller is a thread that connects.
type caller struct {
	Asked
	t               *traffic
	thread          int
	to              unix.RawSockaddrAny
	size            int
	request, answer []byte
	clock           load.Clock
}

// rawAddress writes an address as the kernel reads it, and says how long it is.
func rawAddress(at netip.AddrPort, to *unix.RawSockaddrAny) (int, error) {
	a, err := sockaddr(at)
	if err != nil {
		return 0, err
	}
	port := at.Port()<<8 | at.Port()>>8
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(to)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: a.Addr}
		return unix.SizeofSockaddrInet4, nil
	case *unix.SockaddrInet6:
		*(*unix.RawSockaddrInet6)(unsafe.Pointer(to)) = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: a.Addr, Scope_id: a.ZoneId}
		return unix.SizeofSockaddrInet6, nil
	}
	return 0, fmt.Errorf("write the address %s: it is neither IPv4 nor IPv6", at)
}

func (a *caller) run() error {
	t, s := a.t, &a.t.report.Streams[a.thread]
	a.clock = load.NewClock()
	if _, err := a.once(s); err != nil {
		if !t.board.Over() {
			return fmt.Errorf("have one connection: %w", dialError(t.at, err))
		}
		return errOver
	}
	t.board.AwaitGo()
	defer func() { t.board.Slots[a.thread].CPU.Store(load.ThreadCPU()) }()
	failed := 0
	for due := a.clock.Now(); !t.board.Over(); due += int64(t.spec.Every) {
		due = a.await(due)
		a.Due++
		e, err := a.once(nil)
		switch {
		case err == nil:
			failed = 0
			a.Answered++
			t.board.Note(e)
			t.did(a.thread, a.clock, len(a.request))
		case t.board.Over():
			a.Unanswered++
		default:
			a.Failed++
			if failed++; failed == inARow || errors.Is(err, unix.EADDRNOTAVAIL) {
				return fmt.Errorf("after %d connections: %w", a.Answered, dialError(t.at, err))
			}
		}
		if t.spec.Count > 0 && a.Answered >= t.spec.Count {
			s.End = Done
			return nil
		}
	}
	s.End = Stopped
	return nil
}

// await waits until a connection is due, and says when the next is counted from.
func (a *caller) await(due int64) int64 {
	every := int64(a.t.spec.Every)
	if every == 0 {
		return due
	}
	for now := a.clock.Now(); now < due && !a.t.board.Over(); now = a.clock.Now() {
		load.SleepUntil(min(due, now+int64(look)))
	}
	return max(due, a.clock.Now()-every) // one that took long is not made up for
}

// once makes one connection; s is filled in, if it is not nil.
func (a *caller) once(s *Stream) (load.Event, error) {
	e := load.Event{Kind: load.Connection, Thread: int32(a.thread)}
	fd, err := open(a.t.at, unix.SOCK_STREAM, a.t.options)
	if err != nil {
		return e, err
	}
	if err := a.talk(fd, &e, s); err != nil {
		_ = abort(fd) // nothing is to stay of it
		unix.Close(fd)
		return e, err
	}
	_, errno := raw(unix.SYS_CLOSE, uintptr(fd))
	return e, failure(errno)
}

// talk connects, asks, has its answer, says that this is all, and has the other
// end's word that it has closed as well.
func (a *caller) talk(fd int, e *load.Event, s *Stream) error {
	if err := bindTo(fd, a.t.options.Bind); err != nil {
		return err
	}
	e.From = a.clock.Now()
	if err := a.connect(fd); err != nil {
		return err
	}
	e.Value = a.clock.Now()
	a.Sent++
	if s != nil {
		if err := s.describe(fd); err != nil {
			return err
		}
	}
	if _, errno := raw(unix.SYS_SENDTO, uintptr(fd), base(a.request), uintptr(len(a.request)), unix.MSG_NOSIGNAL); errno != 0 {
		return errno
	}
	for got := 0; got < len(a.request); {
		n, err := a.receive(fd)
		if err != nil {
			return err
		}
		if n == 0 {
			return unix.ECONNRESET
		}
		got += n
	}
	if _, errno := raw(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR); errno != 0 {
		return errno
	}
	n, err := a.receive(fd)
	if err == nil && n > 0 {
		err = unix.EPROTO // more than it was asked for
	}
	e.To = a.clock.Now()
	return err
}

// failure is the error of a system call, if there is one.
func failure(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// within makes a bounded call again until it is done, for patience at most.
func (a *caller) within(call func() (int, unix.Errno)) (int, error) {
	for end := int64(0); ; {
		n, errno := call()
		switch errno {
		case unix.EINPROGRESS, unix.EALREADY, unix.EAGAIN, unix.EINTR:
		default:
			return n, failure(errno)
		}
		now := a.clock.Now()
		if end == 0 {
			end = now + int64(patience)
		}
		if a.t.board.Over() {
			return 0, errOver
		}
		if now > end {
			return 0, unix.ETIMEDOUT
		}
	}
}

func (a *caller) connect(fd int) error {
	_, err := a.within(func() (int, unix.Errno) {
		n, errno := raw(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&a.to)), uintptr(a.size))
		if errno == unix.EISCONN {
			errno = 0
		}
		return n, errno
	})
	return err
}

func (a *caller) receive(fd int) (int, error) {
	return a.within(func() (int, unix.Errno) {
		return raw(unix.SYS_RECVFROM, uintptr(fd), base(a.answer), uintptr(len(a.answer)))
	})
}
