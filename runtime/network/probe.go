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
	target  netip.AddrPort
	refused bool
}

// listen opens a port of the host for the probe to reach. The connection is
// made by the kernel; nobody accepts it.
func listen(addr netip.Addr) (net.Listener, netip.AddrPort, error) {
	l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return nil, netip.AddrPort{}, fmt.Errorf("listen for the proof of readiness: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return l, netip.AddrPortFrom(addr, uint16(port)), nil
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
	address := sockaddr(pr.target)
	connect := func(name string, sock program.Ref, accept ...syscall.Errno) program.Op {
		return program.Op{
			Name: name, Call: unix.SYS_CONNECT,
			Args:   [6]program.Arg{program.Result(sock), program.Bytes(address), program.Int(len(address))},
			Text:   fmt.Sprintf("connect(%v, %v)", program.Result(sock), pr.target),
			Accept: accept,
		}
	}
	udp := p.Add(socket("route socket", unix.SOCK_DGRAM))
	again(p, connect(opRoute, udp, unix.ENETUNREACH, unix.EHOSTUNREACH))
	tcp := p.Add(socket("handshake socket", unix.SOCK_STREAM))
	if pr.refused {
		p.Add(connect(opHandshake, tcp, unix.ECONNREFUSED, unix.ENETUNREACH, unix.EHOSTUNREACH))
	} else {
		again(p, connect(opHandshake, tcp, unix.ECONNREFUSED, unix.ENETUNREACH, unix.EHOSTUNREACH))
	}
	p.Add(program.Exit(0))
	return p
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

// sockaddr is a struct sockaddr_in; see ip(7).
func sockaddr(a netip.AddrPort) []byte {
	b := binary.NativeEndian.AppendUint16(nil, unix.AF_INET)
	b = binary.BigEndian.AppendUint16(b, a.Port())
	ip := a.Addr().As4()
	b = append(b, ip[:]...)
	return append(b, make([]byte, 8)...)
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
			_ = proc.Signal(syscall.SIGKILL)
		}
	}()
	status, err := proc.Wait()
	close(ended)
	<-watched
	defer proc.Release()
	for _, s := range proc.Timeline().Spans {
		switch {
		case s.Name == opRoute && s.Result == 0:
			l.span("link, address and route", s.Start, s.End)
		case s.Name == opHandshake && status.Success():
			l.span("first handshake", s.Start, s.End)
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
func (c Config) beyond() (probe, net.Listener, error) {
	gateway := c.host(gatewayHost)
	if c.HostLoopback {
		l, at, err := listen(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		return probe{target: netip.AddrPortFrom(gateway, at.Port())}, l, err
	}
	addr, err := hostAddress(c.subnet())
	if err != nil {
		return probe{}, nil, err
	}
	if !addr.IsValid() {
		return probe{target: netip.AddrPortFrom(gateway, 9), refused: true}, nil, nil
	}
	l, at, err := listen(addr)
	return probe{target: at}, l, err
}

// hostAddress is an IPv4 address of the host that is neither a loopback one
// nor in the subnet; zero: there is none.
func hostAddress(except netip.Prefix) (netip.Addr, error) {
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
		if addr.Is4() && addr.IsGlobalUnicast() && !except.Contains(addr) && canBind(addr) {
			return addr, nil
		}
	}
	return netip.Addr{}, nil
}

// canBind says whether an address is usable now: its interface may be down.
func canBind(addr netip.Addr) bool {
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9)))
	if err != nil {
		return false
	}
	return c.Close() == nil
}
