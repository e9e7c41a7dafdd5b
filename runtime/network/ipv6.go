package network

import (
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// leastMTU6 is what IPv6 demands of a link, in bytes (RFC 8200, section 5).
const leastMTU6 = 1280

// containerHost6 is the end of a container's address, as 100 is of IPv4's.
const containerHost6 = 0x100

// subnet6 is the IPv6 network of a translator. That of slirp4netns is fixed
// (libslirp's default); its advertisements of it are what gives the container
// an address, made from the link's. pasta takes any: a private one (RFC 4193),
// whose 40 bits nobody else is likely to have chosen.
func (c Config) subnet6() netip.Prefix {
	if c.Mode == Slirp4netns {
		return netip.MustParsePrefix("fd00::/64")
	}
	return netip.MustParsePrefix("fd69:736f:7065::/64")
}

// host6 is an address of the translator's IPv6 network.
func (c Config) host6(n uint16) netip.Addr {
	b := c.subnet6().Addr().As16()
	b[14], b[15] = byte(n>>8), byte(n)
	return netip.AddrFrom16(b)
}

// settleIPv6 says whether a translator can carry IPv6: the host has a default
// route of it, and an address that the container can reach.
func (c Config) settleIPv6() (bool, error) {
	if c.MTU != 0 && c.MTU < leastMTU6 {
		return false, nil
	}
	addr, err := hostAddress(netip.Addr.Is6, c.subnet6())
	if err != nil || !addr.IsValid() {
		return false, err
	}
	routes, err := dump(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_V6) })
	if err != nil {
		return false, fmt.Errorf("list the host's IPv6 routes: %w", err)
	}
	for _, r := range routes {
		bits := 0
		if r.Dst != nil {
			bits, _ = r.Dst.Mask.Size()
		}
		if bits == 0 && r.Type == unix.RTN_UNICAST {
			return true, nil
		}
	}
	return false, nil
}

// withoutDAD has links of the namespace that are made from now on use an address
// at once, rather than ask for a second or two whether somebody else has it
// (RFC 4862, section 5.4). At the other end of a translator's link there is
// nobody who could. It is what podman does, too.
//
// Where /proc/sys cannot be written, or the kernel has no IPv6, it goes on: the
// proof of readiness then waits as long as the kernel does, or says what lacks.
func (t Target) withoutDAD() error {
	launcher := program.NewLauncher()
	defer launcher.Close()
	proc, err := launcher.Start(t.trusting())
	if err != nil {
		return fmt.Errorf("turn the detection of duplicate addresses off: %w", err)
	}
	defer proc.Release()
	status, err := proc.Wait()
	if err == nil && !status.Success() {
		err = fmt.Errorf("the child ended with %v", status)
	}
	if err != nil {
		return fmt.Errorf("turn the detection of duplicate addresses off: %w", err)
	}
	return nil
}

// trusting is the program of withoutDAD.
func (t Target) trusting() *program.Program {
	p := program.New(program.Stub, 0)
	t.enter(p)
	open := program.Open("/proc/sys/net/ipv6/conf/default/accept_dad", unix.O_WRONLY)
	open.Accept, open.Skip = []syscall.Errno{unix.ENOENT, unix.EROFS, unix.EACCES, unix.EPERM}, 1
	fd := p.Add(open)
	p.Add(program.Write(program.Result(fd), "0"))
	p.Add(program.Exit(0))
	return p
}

// beyond6 is where the proof of IPv6 connects to: an address of the host, and
// a listener there.
func (c Config) beyond6() (probe, error) {
	addr, err := hostAddress(netip.Addr.Is6, c.subnet6())
	if err != nil {
		return probe{}, err
	}
	if !addr.IsValid() {
		return probe{}, fmt.Errorf("find an IPv6 address of the host outside %v that the container could reach: there is none; leave IPv6 out", c.subnet6())
	}
	return listenAt(addr)
}
