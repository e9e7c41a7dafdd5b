package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ParseMode reads the name of a mode.
func ParseMode(s string) (Mode, error) {
	if m := Mode(s); slices.Contains(Modes(), m) {
		return m, nil
	}
	return "", fmt.Errorf("parse network %q: not a mode; use none, host, bridge, slirp4netns or pasta", s)
}

// Port is a port of the host that leads to one of the container.
type Port struct {
	// Host is the host's address to listen on; the zero value: every address,
	// of IPv4 at least.
	Host      netip.Addr
	HostPort  uint16
	Container uint16
	Protocol  string // "tcp" or "udp"
}

// ParsePort reads "[HOST:]PORT:CONTAINERPORT[/PROTOCOL]": 8080:80,
// 127.0.0.1:8080:80/udp, [::1]:8080:80. The protocol is tcp when not given.
func ParsePort(s string) (Port, error) {
	const usage = "use [HOST:]PORT:CONTAINERPORT[/tcp|/udp], as in 127.0.0.1:8080:80"
	ports, protocol, given := strings.Cut(s, "/")
	if !given {
		protocol = "tcp"
	}
	if protocol != "tcp" && protocol != "udp" {
		return Port{}, fmt.Errorf("parse published port %q: protocol %q is neither tcp nor udp", s, protocol)
	}
	p := Port{Protocol: protocol}
	rest, inner, ok := cutLast(ports)
	if !ok {
		return Port{}, fmt.Errorf("parse published port %q: one of the two ports is missing; %s", s, usage)
	}
	outer := rest
	if host, port, ok := cutLast(rest); ok {
		outer = port
		addr, err := parseHost(host)
		if err != nil {
			return Port{}, fmt.Errorf("parse published port %q: %w; %s", s, err, usage)
		}
		p.Host = addr
	}
	var err error
	if p.HostPort, err = parseNumber(outer); err == nil {
		p.Container, err = parseNumber(inner)
	}
	if err != nil {
		return Port{}, fmt.Errorf("parse published port %q: %w; %s", s, err, usage)
	}
	return p, nil
}

// cutLast cuts at the last colon that is not inside brackets.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || i < strings.LastIndexByte(s, ']') {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func parseHost(s string) (netip.Addr, error) {
	inner, bracket := strings.CutPrefix(s, "[")
	if bracket {
		var closed bool
		if inner, closed = strings.CutSuffix(inner, "]"); !closed {
			return netip.Addr{}, fmt.Errorf("%q has no closing bracket", s)
		}
	}
	addr, err := netip.ParseAddr(inner)
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", s)
	case addr.Is6() != bracket:
		return netip.Addr{}, fmt.Errorf("brackets belong to an IPv6 address, and %q has them or lacks them wrongly", s)
	case addr.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%q has a zone, which cannot be published", s)
	case addr.Is4In6():
		return netip.Addr{}, fmt.Errorf("%q is an IPv4 address in IPv6 clothes; write it as IPv4", s)
	}
	return addr, nil
}

func parseNumber(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '+' {
		return 0, fmt.Errorf("%q is not a port, a number from 1 to 65535", s)
	}
	return uint16(n), nil
}

// String is the port as ParsePort reads it.
func (p Port) String() string {
	text := fmt.Sprintf("%d:%d/%s", p.HostPort, p.Container, p.Protocol)
	switch {
	case !p.Host.IsValid():
		return text
	case p.Host.Is6():
		return "[" + p.Host.String() + "]:" + text
	}
	return p.Host.String() + ":" + text
}

// clash says whether two published ports want the same one of the host.
func (p Port) clash(q Port) bool {
	if p.HostPort != q.HostPort || p.Protocol != q.Protocol {
		return false
	}
	every := func(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }
	return p.Host == q.Host || every(p.Host) || every(q.Host)
}
