package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// probe waits until a way out of the namespace works; see Connect. target is
// where to connect to. Refused counts as an answer when nobody listens there.
type probe struct {
	target   netip.AddrPort
	refused  bool
	listener net.Listener // for it to reach; nil: there is none
}

func (pr probe) close() error {
	if pr.listener == nil {
		return nil
	}
	return pr.listener.Close()
}

// listenAt opens a port of the host for the probe to reach. The connection is
// made by the kernel; nobody accepts it.
func listenAt(addr netip.Addr) (probe, error) {
	l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return probe{}, fmt.Errorf("listen for the proof of readiness: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return probe{target: netip.AddrPortFrom(addr, uint16(port)), listener: l}, nil
}

// Names of the probe's ops that become steps.
const (
	opRoute     = "route"
	opHandshake = "handshake"
)

// program is the probe as the child runs it: join, wait for a route, which a
// UDP connect(2) finds without a packet, then connect.
func (pr probe) program(t Target) *program.Program {
	p := program.New(program.Stub, 0)
	t.enter(p)
	address := sockaddr(pr.target)
	connect := func(name string, sock program.Ref, accept ...syscall.Errno) program.Op {
		return program.Op{
			Name: name, Call: unix.SYS_CONNECT,
			Args:   [6]program.Arg{program.Result(sock), program.Bytes(address), program.Int(len(address))},
			Text:   fmt.Sprintf("connect(%v, %v)", program.Result(sock), pr.target),
			Accept: accept,
		}
	}
	// IPv6 has no source address while the only one is tentative.
	unreachable := []syscall.Errno{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EADDRNOTAVAIL}
	udp := p.Add(socket("route socket", pr.target.Addr(), unix.SOCK_DGRAM))
	again(p, connect(opRoute, udp, unreachable...))
	tcp := p.Add(socket("handshake socket", pr.target.Addr(), unix.SOCK_STREAM))
	handshake := connect(opHandshake, tcp, append(unreachable, unix.ECONNREFUSED)...)
	if pr.refused {
		p.Add(handshake)
	} else {
		again(p, handshake)
	}
	p.Add(program.Exit(0))
	return p
}

// enter has a program join the namespaces.
func (t Target) enter(p *program.Program) {
	p.Keep(t.Net)
	if t.User != 0 {
		p.Keep(t.User)
	}
	p.DieWithParent()
	if t.User != 0 {
		p.Add(program.Setns(program.Int(t.User), unix.CLONE_NEWUSER))
	}
	p.Add(program.Setns(program.Int(t.Net), unix.CLONE_NEWNET))
	p.Rearm()
	p.Confirm()
}

// again adds an op and repeats it every quarter of a millisecond as long as it
// fails with an errno that it accepts. Who started the program bounds the time.
func again(p *program.Program, op program.Op) {
	op.Skip = 1
	p.Add(op)
	p.Add(program.Op{
		Name: "done", Call: unix.SYS_CLOSE, Args: [6]program.Arg{program.Int(-1)},
		Text: "close(-1)", Accept: []syscall.Errno{unix.EBADF}, Skip: 2,
	})
	p.Add(program.Sleep(250_000))
	p.Add(program.Op{
		Name: "again", Call: unix.SYS_CLOSE, Args: [6]program.Arg{program.Int(-1)},
		Text: "close(-1)", Accept: []syscall.Errno{unix.EBADF}, Skip: -4,
	})
}

// sockaddr is a struct sockaddr_in, or sockaddr_in6; see ip(7), ipv6(7).
func sockaddr(a netip.AddrPort) []byte {
	b := binary.NativeEndian.AppendUint16(nil, family(a.Addr()))
	b = binary.BigEndian.AppendUint16(b, a.Port())
	if a.Addr().Is6() {
		ip := a.Addr().As16()
		b = append(append(b, make([]byte, 4)...), ip[:]...) // flow information, address
		return append(b, make([]byte, 4)...)                // scope
	}
	ip := a.Addr().As4()
	b = append(b, ip[:]...)
	return append(b, make([]byte, 8)...)
}

func family(a netip.Addr) uint16 {
	if a.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// probe runs the probe, until it has its answer, the context ends, or broken is
// closed, which means that nobody can answer any more.
func (l *Link) probe(ctx context.Context, t Target, pr probe, broken <-chan struct{}) error {
	launcher := program.NewLauncher()
	defer launcher.Close()
	proc, err := launcher.Start(pr.program(t))
	if err != nil {
		return fmt.Errorf("start the proof of readiness: %w", err)
	}
	ended := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ended:
		case <-broken:
			_ = proc.Signal(syscall.SIGKILL) // it may have ended
		case <-ctx.Done():
			_ = proc.Signal(syscall.SIGKILL) // likewise
		}
	}()
	status, err := proc.Wait()
	close(ended)
	<-watched
	defer proc.Release()
	route, handshake := "link, address and route", "first handshake"
	if pr.target.Addr().Is6() {
		route, handshake = "IPv6 address and route", "first IPv6 handshake"
	}
	for _, s := range proc.Timeline().Spans {
		switch {
		case s.Name == opRoute && s.Result == 0:
			l.span(route, s.Start, s.End)
		case s.Name == opHandshake && status.Success():
			l.span(handshake, s.Start, s.End)
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("prove that the network is ready: %w", err)
	case status.Success():
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("reach %v from inside: %w; a firewall of the host may drop it (iptables -S, nft list ruleset)", pr.target, context.Cause(ctx))
	}
	return errors.New("prove that the network is ready: the probe ended with " + status.String())
}

// beyond is where a translator's probe connects to, and a listener there; nil
// when the host has only loopback addresses, or none but those of the
// container's own subnet.
func (c Config) beyond() (probe, error) {
	gateway := c.host(gatewayHost)
	if c.HostLoopback {
		pr, err := listenAt(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		pr.target = netip.AddrPortFrom(gateway, pr.target.Port())
		return pr, err
	}
	addr, err := hostAddress(netip.Addr.Is4, c.subnet())
	if err != nil {
		return probe{}, err
	}
	if !addr.IsValid() {
		return probe{target: netip.AddrPortFrom(gateway, 9), refused: true}, nil
	}
	return listenAt(addr)
}

// hostAddress is an address of the host, of the wanted version, that is neither
// of the loopback or one link only, nor in the subnet; zero: there is none.
func hostAddress(wanted func(netip.Addr) bool, except netip.Prefix) (netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("list the host's addresses: %w", err)
	}
	for _, a := range list {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue // not an address of IP
		}
		addr := prefix.Addr().Unmap()
		if wanted(addr) && addr.IsGlobalUnicast() && !except.Contains(addr) && canBind(addr) {
			return addr, nil
		}
	}
	return netip.Addr{}, nil
}

// canBind says whether an address is usable now: its interface may be down.
func canBind(addr netip.Addr) bool {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9)))
	if err != nil {
		return false
	}
	return c.Close() == nil
}
