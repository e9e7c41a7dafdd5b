package network

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What the last byte of an address means in a translator's subnet, as
// slirp4netns(1) has it.
const (
	gatewayHost   = 2
	nameHost      = 3
	containerHost = 100
)

func (c Config) subnet() netip.Prefix {
	if c.Subnet.IsValid() {
		return c.Subnet.Masked()
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 2, 0}), 24)
}

// host is an address of the translator's subnet.
func (c Config) host(n byte) netip.Addr {
	b := c.subnet().Addr().As4()
	b[3] = n
	return netip.AddrFrom4(b)
}

// Settle makes the choices that depend on the machine, before Check.
//
// A translator's subnet, when none is given: a virtual machine often is
// 10.0.2.15 itself, and from inside such a subnet it could not be reached.
//
// A translator's IPv6: on when the host has a default route and an address of it
// that the container can reach. So does pasta by itself, and podman with
// slirp4netns: a container that lacks what its host has is a surprise, and one
// that has an address without a way out waits for connections in vain.
func (c Config) Settle(hostResolv []byte) (Config, error) {
	if !c.Mode.translated() {
		return c, nil
	}
	six, err := c.settleIPv6()
	if err != nil {
		return c, err
	}
	c.IPv6 = c.IPv6 || six
	if c.Subnet.IsValid() {
		return c, nil
	}
	used, err := usedBy(hostResolv)
	if err != nil {
		return c, err
	}
	for third := byte(2); third < 255; third++ {
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, third, 0}), 24)
		if !used.overlaps(subnet) {
			c.Subnet = subnet
			return c, nil
		}
	}
	// A route to all of 10.0.0.0/8: what is behind it stays out of reach for
	// the container in one /24 only, so take it as it is.
	c.Subnet = c.subnet()
	return c, nil
}

// networks are what the host uses already.
type networks []netip.Prefix

func (n networks) overlaps(p netip.Prefix) bool {
	for _, used := range n {
		if used.Overlaps(p) {
			return true
		}
	}
	return false
}

// usedBy lists the host's IPv4 routes but the default, in all tables, and its
// name servers.
func usedBy(hostResolv []byte) (networks, error) {
	var used networks
	for _, addr := range parseResolv(hostResolv).servers {
		if addr.Is4() {
			used = append(used, netip.PrefixFrom(addr, 32))
		}
	}
	filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	routes, err := dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V4, filter, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list the host's routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		if addr, ok := netip.AddrFromSlice(r.Dst.IP.To4()); ok {
			if bits, _ := r.Dst.Mask.Size(); bits > 0 {
				used = append(used, netip.PrefixFrom(addr, bits))
			}
		}
	}
	return used, nil
}

// dump repeats a netlink dump that a change of the tables has interrupted, a
// few times.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	var all []T
	var err error
	for range 10 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return all, err
}
