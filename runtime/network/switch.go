package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
)

// ensureBridge finds the machine's bridge, or makes it. The caller holds the
// lock of the records.
func (l *Link) ensureBridge() (link netlink.Link, gateway netip.Prefix, made bool, err error) {
	dir := l.config.Record
	n, err := readBridgeNote(dir)
	if err != nil {
		return nil, gateway, false, err
	}
	link, err = netlink.LinkByName(bridgeLink)
	if err == nil && n.Complete {
		return link, first(n.Subnet), false, nil
	}
	if err == nil && n == (bridgeNote{}) {
		return nil, gateway, false, fmt.Errorf("link %q exists, and %q knows nothing of it: it belongs to another record directory; use that, or as root: ip link delete %s", bridgeLink, dir, bridgeLink)
	}
	if n != (bridgeNote{}) { // cut short, or somebody has deleted the link
		if _, err := removeBridge(dir); err != nil {
			return nil, gateway, false, err
		}
	}
	resolv, _, err := HostFiles()
	if err != nil {
		return nil, gateway, false, err
	}
	used, err := usedBy(resolv)
	if err != nil {
		return nil, gateway, false, err
	}
	subnet, err := freeSubnet(used)
	if err != nil {
		return nil, gateway, false, err
	}
	link, err = makeBridge(dir, subnet)
	if err != nil {
		_, rerr := removeBridge(dir)
		return nil, gateway, false, errors.Join(fmt.Errorf("make bridge %q: %w", bridgeLink, err), rerr)
	}
	return link, first(subnet), true, nil
}

// freeSubnet is a /16 that the host does not use: 10.88.0.0/16 or one of those
// that follow it.
func freeSubnet(used networks) (netip.Prefix, error) {
	for i := range 256 {
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(88 + i), 0, 0}), 16)
		if !used.overlaps(subnet) {
			return subnet, nil
		}
	}
	for second := byte(16); second < 32; second++ {
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, second, 0, 0}), 16)
		if !used.overlaps(subnet) {
			return subnet, nil
		}
	}
	return netip.Prefix{}, errors.New("the host's routes and name servers use all of 10.0.0.0/8 and 172.16.0.0/12 (ip route)")
}

// first is the bridge's own address: the first of its subnet.
func first(subnet netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(subnet.Addr().Next(), subnet.Bits())
}

// makeBridge makes the bridge with its address and rules, and turns forwarding
// on. What it is about to change is on disk before it does.
func makeBridge(dir string, subnet netip.Prefix) (netlink.Link, error) {
	n := bridgeNote{Subnet: subnet}
	on, err := readSwitch(forwarding)
	if err != nil {
		return nil, err
	}
	n.Forwarding = !on
	if err := writeBridgeNote(dir, n); err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridgeLink
	// Of its own: otherwise the bridge's is that of a port, and changes.
	attrs.HardwareAddr = mac(first(subnet).Addr())
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("add the link: %w", err)
	}
	b := first(subnet).Addr().As4()
	if err := netlink.AddrAdd(bridge, &netlink.Addr{IPNet: &net.IPNet{IP: b[:], Mask: net.CIDRMask(subnet.Bits(), 32)}}); err != nil {
		return nil, fmt.Errorf("give it the address %v: %w", first(subnet), err)
	}
	// The rules come before what they guard.
	if err := applyRules(bridgeRules(subnet, n.Forwarding)); err != nil {
		return nil, err
	}
	if err := writeSwitch("/proc/sys/net/ipv4/conf/"+bridgeLink+"/route_localnet", true); err != nil {
		return nil, err
	}
	if n.Forwarding {
		if err := writeSwitch(forwarding, true); err != nil {
			return nil, err
		}
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return nil, fmt.Errorf("bring it up: %w", err)
	}
	n.Complete = true
	return bridge, writeBridgeNote(dir, n)
}

// removeBridge removes the bridge and its rules, unless a container is on it,
// and turns forwarding off when the bridge has turned it on. The caller holds
// the lock of the records.
func removeBridge(dir string) (removed bool, err error) {
	n, err := readBridgeNote(dir)
	if err != nil || n == (bridgeNote{}) {
		return false, err
	}
	link, err := netlink.LinkByName(bridgeLink)
	var none netlink.LinkNotFoundError
	switch {
	case errors.As(err, &none):
		link = nil
	case err != nil:
		return false, fmt.Errorf("find bridge %q: %w", bridgeLink, err)
	default:
		ports, err := hasPorts(link)
		if err != nil || ports {
			return false, err
		}
	}
	if n.Forwarding {
		if err := writeSwitch(forwarding, false); err != nil {
			return false, err
		}
	}
	if link != nil {
		if err := netlink.LinkDel(link); err != nil {
			return false, fmt.Errorf("remove bridge %q: %w", bridgeLink, err)
		}
	}
	if err := deleteRules(ruleComment("")); err != nil {
		return false, err
	}
	if err := os.Remove(filepath.Join(dir, bridgeName)); err != nil {
		return false, fmt.Errorf("remove the record of the bridge: %w", err)
	}
	return true, nil
}

func hasPorts(bridge netlink.Link) (bool, error) {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return false, fmt.Errorf("list the host's links: %w", err)
	}
	for _, link := range links {
		if link.Attrs().MasterIndex == bridge.Attrs().Index {
			return true, nil
		}
	}
	return false, nil
}

// uplinkMTU is that of the link of the default route, at most 1500 bytes.
func uplinkMTU() int {
	const most = 1500
	routes, err := dump(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return most
	}
	for _, r := range routes {
		if r.Dst != nil && !r.Dst.IP.IsUnspecified() {
			continue
		}
		if link, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
			return min(most, link.Attrs().MTU)
		}
	}
	return most
}

// readSwitch reads a sysctl that is 0 or 1.
func readSwitch(path string) (bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("read a sysctl: %w", err)
	}
	return strings.TrimSpace(string(text)) != "0", nil
}

func writeSwitch(path string, on bool) error {
	text := "0"
	if on {
		text = "1"
	}
	if err := os.WriteFile(path, []byte(text), 0); err != nil {
		return fmt.Errorf("write %q to a sysctl: %w", text, err)
	}
	return nil
}
