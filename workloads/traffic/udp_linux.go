package traffic

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"isoperf/workloads/load"
)

// batch is how many datagrams a system call moves at most.
const batch = 64

// apart is the shortest sleep between two calls; datagrams that are due more often
// leave in bursts.
const apart = 50 * time.Microsecond

// ordinary is the MTU of Ethernet, whose datagrams are the default.
const ordinary = 1500

// mmsghdr is what sendmmsg(2) and recvmmsg(2) take.
type mmsghdr struct {
	header unix.Msghdr
	bytes  uint32
	_      [4]byte
}

// burst is memory for a batch of datagrams, on the heap.
type burst struct {
	messages [batch]mmsghdr
	vectors  [batch]unix.Iovec
	buf      []byte
	size     int // of one
}

func newBurst(size int) (*burst, error) {
	buf, err := buffer(batch * size)
	if err != nil {
		return nil, err
	}
	u := &burst{buf: buf, size: size}
	for i := range u.messages {
		u.vectors[i].Base = &buf[i*size]
		u.vectors[i].SetLen(size)
		u.messages[i].header.Iov = &u.vectors[i]
		u.messages[i].header.SetIovlen(1)
	}
	return u, nil
}

func (u *burst) datagram(i int) []byte { return u.buf[i*u.size:][:u.size] }

// sendUDP offers a datagram of Step bytes every Every (0: as many as it can), by a
// schedule that waits for nobody; Count of them (0: until it is told to end). None
// is cut up on its way: one that is larger than the path's MTU is an error. The
// method segment hands 64 or as many as fit into 64 KiB to the kernel as one. A
// slot counts bytes and, as Loops, datagrams.
func sendUDP(s load.Spec, b *load.Board) error {
	t, err := newTraffic(s, b, 0)
	if err != nil {
		return err
	}
	headers, most := 28, int64(65507) // of IPv4 and UDP
	if t.at.Addr().Is6() {
		headers, most = 48, 65527
	}
	if t.spec.Step == 0 {
		t.spec.Step = int64(ordinary - headers)
	}
	if t.report.Block = int(t.spec.Step); t.spec.Step < HeaderBytes || t.spec.Step > most {
		return fmt.Errorf("send datagrams of %d bytes: %d to %d are possible", t.spec.Step, HeaderBytes, most)
	}
	var sum sync.Mutex
	t.report.Offered = &Offered{}
	return t.each(func(i int) error {
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil { // see load's probe
			return err
		}
		fd, err := dial(t.at, unix.SOCK_DGRAM, t.options, b)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		o := &offerer{t: t, thread: i, fd: fd, most: batch}
		err = o.run()
		sum.Lock()
		t.report.Offered.Due += o.Due
		t.report.Offered.Sent += o.Sent
		t.report.Offered.Full += o.Full
		t.report.Offered.Behind = max(t.report.Offered.Behind, o.Behind)
		sum.Unlock()
		return err
	})
}

// offerer is a thread that sends datagrams.
type offerer struct {
	Offered
	*burst
	t          *traffic
	thread, fd int
	clock      load.Clock
	most       int // datagrams of a call
	one        unix.Msghdr
	vector     unix.Iovec
}

func (o *offerer) run() error {
	t, s := o.t, &o.t.report.Streams[o.thread]
	if err := o.prepare(); err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(o.buf) }()
	if err := s.describe(o.fd); err != nil {
		return err
	}
	t.board.AwaitGo()
	o.clock = load.NewClock()
	s.End = Stopped
	errno := o.schedule()
	t.board.Slots[o.thread].CPU.Store(load.ThreadCPU())
	if err := s.describe(o.fd); err != nil {
		return err
	}
	switch {
	case errno == 0 || errno == unix.ECONNREFUSED && t.overSoon():
		return nil
	case errno == unix.EMSGSIZE:
		return fmt.Errorf("send datagrams of %d bytes to %s: %w; the path's MTU is %d: give a smaller step, or the interface a larger MTU", o.size, t.at, errno, s.PathMTU)
	case errno == unix.ECONNREFUSED:
		return fmt.Errorf("send datagrams to %s: %w; nothing receives there: start udp-receive first", t.at, errno)
	}
	return fmt.Errorf("send datagrams to %s by %s: %w", t.at, t.report.Method, errno)
}

// prepare gets memory and the socket ready.
func (o *offerer) prepare() error {
	var err error
	if o.burst, err = newBurst(int(o.t.spec.Step)); err != nil {
		return err
	}
	level, option, value := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO
	if o.t.at.Addr().Is6() {
		level, option, value = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO
	}
	if err := unix.SetsockoptInt(o.fd, level, option, value); err != nil {
		return fmt.Errorf("have datagrams stay in one piece: %w", err)
	}
	if o.t.report.Method == Segment {
		if err := unix.SetsockoptInt(o.fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, o.size); err != nil {
			return fmt.Errorf("have the kernel cut datagrams of %d bytes: %w; UDP_SEGMENT needs Linux 4.18", o.size, err)
		}
		o.most = min(batch, 65000/o.size)
		o.vector.Base = unsafe.SliceData(o.buf)
		o.one.Iov = &o.vector
		o.one.SetIovlen(1)
	}
	return nil
}

// schedule sends what is due, until it is told to end.
func (o *offerer) schedule() unix.Errno {
	t, s := o.t, &o.t.report.Streams[o.thread]
	slot := &t.board.Slots[o.thread]
	every, count := int64(t.spec.Every), t.spec.Count
	due := o.clock.Now()
	for used := int64(0); !t.board.Over() && (count == 0 || o.Sent < count); {
		now := o.clock.Now()
		n := o.most
		if every > 0 {
			if due > now {
				load.SleepUntil(min(max(due, now+int64(apart)), now+int64(look)))
				continue
			}
			n = int(min(int64(n), (now-due)/every+1))
		}
		if count > 0 {
			n = int(min(int64(n), count-o.Sent))
		}
		for i := range n {
			Header{Stream: uint32(o.thread), Number: uint64(o.Sent + int64(i)), Due: due + int64(i)*every, Begun: now}.put(o.datagram(i))
		}
		sent, errno := o.send(n)
		s.Calls++
		switch errno {
		case 0:
		case unix.EAGAIN, unix.EINTR, unix.ENOBUFS:
			o.Full++
			continue
		default:
			return errno
		}
		o.Sent += int64(sent)
		due += int64(sent) * every
		s.Bytes += int64(sent * o.size)
		slot.Count.Store(s.Bytes)
		slot.At.Store(now)
		slot.Loops.Store(uint64(o.Sent))
		if now-used >= cpuEvery {
			slot.CPU.Store(load.ThreadCPU())
			used = now
		}
	}
	o.Due = o.Sent
	if late := o.clock.Now() - due; every > 0 && late > 0 && (count == 0 || o.Sent < count) {
		o.Behind = late
		o.Due += late / every
	}
	if count > 0 && o.Sent >= count {
		s.End = Done
	}
	return 0
}

// send sends the first n datagrams.
func (o *offerer) send(n int) (int, unix.Errno) {
	if o.t.report.Method != Segment {
		return raw(unix.SYS_SENDMMSG, uintptr(o.fd), uintptr(unsafe.Pointer(&o.messages[0])), uintptr(n), 0)
	}
	o.vector.SetLen(n * o.size)
	if _, errno := raw(unix.SYS_SENDMSG, uintptr(o.fd), uintptr(unsafe.Pointer(&o.one)), 0); errno != 0 {
		return 0, errno
	}
	return n, 0
}

// receiveUDP counts the datagrams that come, from the time at which it is Ready
// on, by their numbers, of as many senders as there are; its threads (one, unless
// told) share the socket. At its end it takes what the socket still has, so the
// senders are to be stopped first. About one in a millisecond is noted as a
// load.Request: due Value, sent From, come To, by the sender's clock and this
// one's, which are the same on one machine, in one time namespace. A slot counts
// bytes and, as Loops, datagrams.
func receiveUDP(s load.Spec, b *load.Board) error {
	t, err := newTraffic(s, b, 65536)
	if err != nil {
		return err
	}
	if t.spec.Threads != 1 {
		return errors.New("receive datagrams: one thread has the socket, of however many senders")
	}
	fd, err := bound(t.at, t.options, b)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return t.each(func(i int) error {
		u, err := newBurst(int(t.spec.Step))
		if err != nil {
			return err
		}
		defer func() { _ = unix.Munmap(u.buf) }()
		r := &receiver{burst: u, t: t, fd: fd, senders: map[uint32]*numbers{}}
		t.report.Arrived = &r.Arrived
		if err := r.run(); err != nil {
			return err
		}
		return t.served(i, fd)
	})
}

// receiver is the thread that receives datagrams.
type receiver struct {
	Arrived
	*burst
	t       *traffic
	fd      int
	clock   load.Clock
	senders map[uint32]*numbers
	noted   int64
}

func (r *receiver) run() error {
	b, slot := r.t.board, &r.t.board.Slots[0]
	r.clock = load.NewClock()
	b.Ready.Add(1)
	for used := int64(0); ; {
		flags := uintptr(unix.MSG_WAITFORONE)
		over := b.Over()
		if over {
			flags = unix.MSG_DONTWAIT
		}
		n, errno := raw(unix.SYS_RECVMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&r.messages[0])), batch, flags, 0)
		now := r.clock.Now()
		switch {
		case errno == unix.EAGAIN && over:
			r.sum()
			return r.dropped()
		case errno == unix.EAGAIN || errno == unix.EINTR:
			continue
		case errno != 0:
			return fmt.Errorf("receive datagrams on %s: %w", r.t.at, errno)
		}
		r.take(n, now)
		slot.At.Store(now)
		if now-used >= cpuEvery {
			slot.CPU.Store(load.ThreadCPU())
			used = now
		}
	}
}

// take counts the first n messages, which came now.
func (r *receiver) take(n int, now int64) {
	s, slot := &r.t.report.Streams[0], &r.t.board.Slots[0]
	s.Calls++
	for i := range n {
		m := &r.messages[i]
		h, ok := header(r.datagram(i)[:m.bytes])
		if !ok || h.Stream >= load.Slots {
			r.Strange++
			continue
		}
		of := r.senders[h.Stream]
		if of == nil {
			of = &numbers{Sender: Sender{Stream: int(h.Stream)}}
			r.senders[h.Stream] = of
		}
		of.take(h.Number, int(m.bytes), &r.Arrived)
		s.Bytes += int64(m.bytes)
		slot.Loops.Add(1)
		if now-r.noted >= int64(time.Millisecond) {
			r.noted = now
			r.t.board.Note(load.Event{Kind: load.Request, Value: h.Due, From: h.Begun, To: now, Thread: int32(h.Stream)})
		}
	}
	slot.Count.Store(s.Bytes)
}

// dropped asks the socket how many datagrams it had no room for: SO_MEMINFO, Linux
// 4.12, the ninth number. SO_RXQ_OVFL says it with each datagram, so never of the
// last ones that were dropped.
func (r *receiver) dropped() error {
	info := &struct {
		numbers [9]uint32
		size    uint32
	}{}
	info.size = uint32(unsafe.Sizeof(info.numbers))
	_, errno := raw(unix.SYS_GETSOCKOPT, uintptr(r.fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info.numbers)), uintptr(unsafe.Pointer(&info.size)))
	if errno != 0 {
		return fmt.Errorf("ask for what the socket has dropped: %w", errno)
	}
	r.Overflowed = int64(info.numbers[8])
	return nil
}

// sum lists the senders, by their numbers.
func (r *receiver) sum() {
	for i := range uint32(load.Slots) {
		if of := r.senders[i]; of != nil {
			r.Senders = append(r.Senders, of.Sender)
		}
	}
}
