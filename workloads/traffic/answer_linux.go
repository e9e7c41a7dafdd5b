package traffic

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"isoperf/workloads/load"
)

// answer sends back what it is sent, to as many as ask, by TCP or datagrams, from
// the time at which it is Ready on. Of TCP, the asker closes. A slot counts bytes
// and, as Loops, the reads that had some.
func answer(s load.Spec, b *load.Board) error {
	t, err := newTraffic(s, b, 64<<10)
	if err != nil {
		return err
	}
	make, serve := listen, t.answerTCP
	if t.options.UDP {
		make, serve = bound, t.answerUDP
	}
	fd, err := make(t.at, t.options, b)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !t.options.UDP {
		// What is accepted has it from here.
		err := errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), unix.SetNonblock(fd, true))
		if err != nil {
			return fmt.Errorf("have answers leave at once: %w", err)
		}
	}
	return t.each(func(i int) error {
		buf, err := buffer(64 << 10) // more than any datagram
		if err != nil {
			return err
		}
		defer func() { _ = unix.Munmap(buf) }()
		return serve(i, fd, buf)
	})
}

// bound is a socket for datagrams that waits for them.
func bound(at netip.AddrPort, o Options, b *load.Board) (int, error) {
	fd, err := open(at, unix.SOCK_DGRAM, o)
	if err != nil {
		return -1, err
	}
	if err := bind(fd, unix.SOCK_DGRAM, at, b); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// did counts what a thread has done.
func (t *traffic) did(i int, c load.Clock, bytes int) {
	s, slot := &t.report.Streams[i], &t.board.Slots[i]
	s.Bytes += int64(bytes)
	s.Calls++
	slot.Count.Store(s.Bytes)
	slot.At.Store(c.Now())
	slot.Loops.Store(uint64(s.Calls))
	if s.Calls%64 == 0 {
		slot.CPU.Store(load.ThreadCPU())
	}
}

// answerUDP answers datagrams.
func (t *traffic) answerUDP(i, fd int, buf []byte) error {
	from := &struct {
		addr unix.RawSockaddrAny
		size uint32
	}{}
	c := load.NewClock()
	t.board.Ready.Add(1)
	for !t.board.Over() {
		from.size = unix.SizeofSockaddrAny
		n, errno := raw(unix.SYS_RECVFROM, uintptr(fd), base(buf), uintptr(len(buf)), 0,
			uintptr(unsafe.Pointer(&from.addr)), uintptr(unsafe.Pointer(&from.size)))
		if errno == 0 {
			_, errno = raw(unix.SYS_SENDTO, uintptr(fd), base(buf), uintptr(n), unix.MSG_DONTWAIT,
				uintptr(unsafe.Pointer(&from.addr)), uintptr(from.size))
		}
		switch errno {
		case 0:
			t.did(i, c, n)
		case unix.EAGAIN, unix.EINTR: // an answer for which there is no room is one that is lost
		default:
			t.board.Slots[i].Errno.Store(uint32(errno))
		}
	}
	return t.served(i, fd)
}

// served fills in the report of a thread that answered.
func (t *traffic) served(i, fd int) error {
	t.board.Slots[i].CPU.Store(load.ThreadCPU())
	s := &t.report.Streams[i]
	s.End = Stopped
	return s.describe(fd)
}

// server is one thread that answers TCP.
type server struct {
	epoll, listener int
	buf             []byte
	events          [64]unix.EpollEvent
	owed            map[int][]byte // answers for which there was no room yet
}

// answerTCP answers connections.
func (t *traffic) answerTCP(i, fd int, buf []byte) error {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("wait for many connections: %w", err)
	}
	defer unix.Close(epoll)
	v := &server{epoll: epoll, listener: fd, buf: buf, owed: map[int][]byte{}}
	if err := v.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLEXCLUSIVE); err != nil {
		return err
	}
	c := load.NewClock()
	t.board.Ready.Add(1)
	for !t.board.Over() {
		n, errno := raw(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&v.events[0])), uintptr(len(v.events)), uintptr(look.Milliseconds()))
		if errno != 0 && errno != unix.EINTR {
			return fmt.Errorf("wait for requests: %w", errno)
		}
		for _, e := range v.events[:max(n, 0)] {
			if int(e.Fd) == fd {
				if err := v.accept(); err != nil {
					return err
				}
				continue
			}
			if n := v.echo(int(e.Fd)); n > 0 {
				t.did(i, c, n)
			}
		}
	}
	return t.served(i, fd)
}

func (v *server) watch(op, fd int, events uint32) error {
	if err := unix.EpollCtl(v.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("watch a connection: %w", err)
	}
	return nil
}

// accept takes the connections that wait.
func (v *server) accept() error {
	for {
		c, errno := raw(unix.SYS_ACCEPT4, uintptr(v.listener), 0, 0, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch errno {
		case 0:
			if err := v.watch(unix.EPOLL_CTL_ADD, c, unix.EPOLLIN); err != nil {
				unix.Close(c)
				return err
			}
		case unix.EINTR, unix.ECONNABORTED:
		case unix.EAGAIN:
			return nil
		default:
			return fmt.Errorf("accept a connection: %w; is the limit of open files (ulimit -n) too low?", errno)
		}
	}
}

// echo sends back what a connection has, as far as there is room, and says how
// much it read. When the other end has closed, or failed, it closes.
func (v *server) echo(fd int) int {
	if owed := v.owed[fd]; len(owed) > 0 {
		n, err := unix.Write(fd, owed)
		switch {
		case err == nil:
			v.owed[fd] = owed[n:]
		case err != unix.EAGAIN && err != unix.EINTR:
			v.forget(fd)
			return 0
		}
		if len(v.owed[fd]) == 0 && v.watch(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN) != nil {
			v.forget(fd)
		}
		return 0
	}
	n, errno := raw(unix.SYS_RECVFROM, uintptr(fd), base(v.buf), uintptr(len(v.buf)))
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return 0
	}
	if errno != 0 || n == 0 {
		v.forget(fd)
		return 0
	}
	sent, errno := raw(unix.SYS_SENDTO, uintptr(fd), base(v.buf), uintptr(n), unix.MSG_NOSIGNAL)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		sent = 0
	case errno != 0:
		v.forget(fd)
		return n
	}
	if sent < n {
		v.owed[fd] = append([]byte(nil), v.buf[sent:n]...)
		if v.watch(unix.EPOLL_CTL_MOD, fd, unix.EPOLLOUT) != nil {
			v.forget(fd)
		}
	}
	return n
}

func (v *server) forget(fd int) {
	delete(v.owed, fd)
	_, _ = raw(unix.SYS_CLOSE, uintptr(fd)) // there is no descriptor afterwards, whatever it says
}
