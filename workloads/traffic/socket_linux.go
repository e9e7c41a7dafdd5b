package traffic

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/workloads/load"
)

// look is how long a call on a socket waits at most (SO_RCVTIMEO, SO_SNDTIMEO), so
// that a thread looks whether it is to end, even on a path that is stuck.
const look = 50 * time.Millisecond

// patience is how long a connection may take to be established.
const patience = 10 * time.Second

// raw is a system call of which Go's scheduler knows nothing. Around one that it
// knows of, its monitor thread wakes hundreds of times a second, and takes the
// thread's place away when it blocks. Here each thread has a place of its own,
// and no garbage is collected; see load.Main. What it is given as
// uintptr(unsafe.Pointer(p)) is on the heap, since a stack may move.
//
//go:uintptrescapes
func raw(trap uintptr, a ...uintptr) (int, unix.Errno) {
	var arg [6]uintptr
	copy(arg[:], a)
	n, _, errno := unix.RawSyscall6(trap, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5])
	return int(n), errno
}

// address is Path as the kernel wants it, and its family.
func address(path string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(path)
	if err != nil {
		return at, fmt.Errorf("read the address %q: %w; give HOST:PORT or [HOST]:PORT, with the host as a number", path, err)
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}

// sockaddr is an address as the kernel wants it.
func sockaddr(at netip.AddrPort) (unix.Sockaddr, error) {
	if at.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}, nil
	}
	a := &unix.SockaddrInet6{Addr: at.Addr().As16(), Port: int(at.Port())}
	if zone := at.Addr().Zone(); zone != "" {
		i, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, fmt.Errorf("find the interface %q of address %s: %w", zone, at, err)
		}
		a.ZoneId = uint32(i.Index)
	}
	return a, nil
}

// addrPort is the reverse of sockaddr; invalid for another family.
func addrPort(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// open makes a socket (unix.SOCK_STREAM, SOCK_DGRAM) with its options. The buffers
// are asked for before it connects or listens: they decide the window's scale.
func open(at netip.AddrPort, kind int, o Options) (int, error) {
	family := unix.AF_INET6
	if at.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("make a socket for %s: %w", at, err)
	}
	if err := options(fd, kind, o); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// options sets a socket's options; a listener's hold for what it accepts.
func options(fd, kind int, o Options) error {
	wait := unix.NsecToTimeval(int64(look))
	err := errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait))
	if err != nil {
		return fmt.Errorf("bound a socket's calls to %v: %w", look, err)
	}
	if o.Window > 0 {
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, o.Window),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, o.Window))
		if err != nil {
			return fmt.Errorf("have socket buffers of %d bytes: %w", o.Window, err)
		}
	}
	if o.Congestion != "" && kind == unix.SOCK_STREAM {
		if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, o.Congestion); err != nil {
			return fmt.Errorf("have the congestion control %q: %w; /proc/sys/net/ipv4/tcp_allowed_congestion_control has those that may be had", o.Congestion, err)
		}
	}
	return nil
}

// bind gives a socket that will listen, or receive datagrams, its address, and
// says on the board which port it got.
func bind(fd, kind int, at netip.AddrPort, b *load.Board) error {
	// After a run before, connections wait out their end on the port. Of datagrams,
	// it would let two share it.
	if kind == unix.SOCK_STREAM {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return fmt.Errorf("have %s again soon: %w", at, err)
		}
	}
	to, err := sockaddr(at)
	if err != nil {
		return err
	}
	switch err := unix.Bind(fd, to); err {
	case nil:
	case unix.EADDRINUSE:
		return fmt.Errorf("bind to %s: %w; another process has the port: give 0 to have a free one", at, err)
	case unix.EADDRNOTAVAIL:
		return fmt.Errorf("bind to %s: %w; no interface of this network namespace has that address", at, err)
	default:
		return fmt.Errorf("bind to %s: %w", at, err)
	}
	got, err := unix.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("ask for the port of %s: %w", at, err)
	}
	b.Phase.Store(int64(addrPort(got).Port()))
	return nil
}

// listen makes a listener.
func listen(at netip.AddrPort, o Options, b *load.Board) (int, error) {
	fd, err := open(at, unix.SOCK_STREAM, o)
	if err != nil {
		return -1, err
	}
	// Before the port is said: who reads it may connect at once.
	port := func() error {
		if err := bind(fd, unix.SOCK_STREAM, at, b); err != nil {
			return err
		}
		if err := unix.Listen(fd, 4096); err != nil {
			b.Phase.Store(0)
			return fmt.Errorf("listen on %s: %w", at, err)
		}
		return nil
	}
	if err := port(); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// accept waits for a connection; none, when the board says that it is over.
func accept(fd int, b *load.Board) (int, error) {
	for !b.Over() {
		c, errno := raw(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_CLOEXEC)
		switch errno {
		case 0:
			return c, nil
		case unix.EAGAIN, unix.EINTR, unix.ECONNABORTED:
		default:
			return -1, fmt.Errorf("accept a connection: %w", errno)
		}
	}
	return -1, errOver
}

// errOver says that a thread was told to end before it could begin.
var errOver = errors.New("told to stop before the connection was established")

// dial connects a new socket, within patience.
func dial(at netip.AddrPort, kind int, o Options, b *load.Board) (int, error) {
	to, err := sockaddr(at)
	if err != nil {
		return -1, err
	}
	fd, err := open(at, kind, o)
	if err != nil {
		return -1, err
	}
	if err := bindTo(fd, o.Bind); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if err := connected(fd, to, b); err != nil {
		unix.Close(fd)
		return -1, dialError(at, err)
	}
	return fd, nil
}

// bindTo has a socket connect from an address, if it is valid.
func bindTo(fd int, a netip.Addr) error {
	if !a.IsValid() {
		return nil
	}
	from, err := sockaddr(netip.AddrPortFrom(a, 0))
	if err == nil {
		// The port is chosen as if it were not bound: when it connects, by the pair.
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}
	if err == nil {
		err = unix.Bind(fd, from)
	}
	if err != nil {
		return fmt.Errorf("bind to %s, to connect from it: %w; does an interface here have it?", a, err)
	}
	return nil
}

// connected connects a socket whose calls are bounded: the first ends with
// EINPROGRESS when it has to wait for longer, the next with EALREADY.
func connected(fd int, to unix.Sockaddr, b *load.Board) error {
	for end := load.Monotonic() + int64(patience); load.Monotonic() < end; {
		switch err := unix.Connect(fd, to); err {
		case nil, unix.EISCONN:
			return nil
		case unix.EINPROGRESS, unix.EALREADY, unix.EAGAIN, unix.EINTR:
		default:
			return err
		}
		if b.Over() {
			return errOver
		}
	}
	return unix.ETIMEDOUT
}

// dialError says what can be done about it.
func dialError(at netip.AddrPort, err error) error {
	advice := ""
	errno, _ := errors.AsType[unix.Errno](err)
	switch errno {
	case unix.ECONNREFUSED:
		advice = "; nothing listens there: start the other end first, its board's Phase is the port"
	case unix.ETIMEDOUT:
		advice = "; nothing answers: is the interface up, and is there a route back?"
	case unix.ENETUNREACH, unix.EHOSTUNREACH:
		advice = "; there is no route: see ip route, or ip -6 route"
	case unix.EADDRNOTAVAIL:
		advice = "; all local ports are waiting out their end: set net.ipv4.tcp_tw_reuse to 1 in this network namespace, or connect less often"
	}
	return fmt.Errorf("connect to %s: %w%s", at, err, advice)
}

// abort has closing a connection drop what was not sent, and forget it at once:
// otherwise it would still be on its way during what is measured next, and keep
// the network namespace of a path that is stuck for minutes.
func abort(fd int) error {
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// describe fills in what the kernel says of a socket.
func (s *Stream) describe(fd int) error {
	local, err := unix.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("ask for a socket's address: %w", err)
	}
	s.Local = addrPort(local).String()
	if remote, err := unix.Getpeername(fd); err == nil { // none any more, when it was reset
		s.Remote = addrPort(remote).String()
	}
	mtu := [2]int{unix.IPPROTO_IP, unix.IP_MTU}
	if _, ok := local.(*unix.SockaddrInet6); ok {
		mtu = [2]int{unix.IPPROTO_IPV6, unix.IPV6_MTU}
	}
	if n, err := unix.GetsockoptInt(fd, mtu[0], mtu[1]); err == nil { // as with the address
		s.PathMTU = n
	}
	for _, q := range []struct {
		name int
		to   *int
	}{{unix.SO_SNDBUF, &s.SendBuffer}, {unix.SO_RCVBUF, &s.ReceiveBuffer}} {
		if *q.to, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, q.name); err != nil {
			return fmt.Errorf("ask for a socket's buffers: %w", err)
		}
	}
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_STREAM {
		return err
	}
	return s.describeTCP(fd)
}

func (s *Stream) describeTCP(fd int) error {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return fmt.Errorf("ask for TCP_INFO: %w", err)
	}
	congestion, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if err != nil {
		return fmt.Errorf("ask for TCP_CONGESTION: %w", err)
	}
	least := int64(info.Min_rtt) * 1000
	if info.Min_rtt == ^uint32(0) {
		least = 0
	}
	s.TCP = &TCP{
		Congestion: congestion, MSS: int(info.Snd_mss),
		RTT: int64(info.Rtt) * 1000, RTTVariance: int64(info.Rttvar) * 1000, RTTLeast: least,
		Window: int(info.Snd_cwnd), ReceiveSpace: int(info.Rcv_space),
		Retransmits: int(info.Total_retrans), DeliveryRate: int64(info.Delivery_rate),
	}
	return nil
}
