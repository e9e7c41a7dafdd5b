package network

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

const (
	bridgeLink = "isoperf0"
	// vethPrefix begins the names of the host's ends; the container's address
	// follows in hexadecimal, so that the kernel's refusal of a second link of
	// one name is what makes addresses unique.
	vethPrefix = "isop"
	innerLink  = "eth0"
	forwarding = "/proc/sys/net/ipv4/ip_forward"
)

// bridgeNote is what the record directory says of the bridge.
type bridgeNote struct {
	Subnet netip.Prefix `json:"subnet"`
	// Forwarding: IPv4 forwarding was off, and the bridge has turned it on.
	Forwarding bool `json:"forwarding"`
	// Complete: everything was made. A bridge that is not was cut short.
	Complete bool `json:"complete"`
}

// connectBridge makes a veth pair from the container to the bridge, and the
// bridge with its rules when it is the first.
func (l *Link) connectBridge(ctx context.Context, t Target) error {
	c := l.config
	held, err := reserve(c.Publish)
	if err != nil {
		return err
	}
	l.onClose(held.release)
	gateway, err := l.plug(t)
	if err != nil {
		return err
	}
	start := now()
	if err := configure(t.Net, l.address, gateway); err != nil {
		return err
	}
	l.step("address and route", start)
	if len(c.Publish) > 0 {
		start = now()
		l.onClose(func() error { return deleteRules(ruleComment(c.ID)) })
		if err := applyRules(portRules(c.ID, l.address, c.Publish)); err != nil {
			return fmt.Errorf("publish ports: %w", err)
		}
		l.step("published ports", start)
	}
	pr, err := listenAt(gateway.Addr())
	if err != nil {
		return err
	}
	defer pr.close()
	return l.probe(ctx, t, pr, nil)
}

// plug makes the record, the bridge if there is none, and the veth pair: all
// under the lock of the records, so that nobody removes the bridge meanwhile.
func (l *Link) plug(t Target) (gateway netip.Prefix, err error) {
	c := l.config
	unlock, err := lockRecords(c.Record)
	if err != nil {
		return gateway, err
	}
	defer unlock()
	r, err := l.recordLocked(t)
	if err != nil {
		return gateway, err
	}
	// From here on the last container on the bridge removes it.
	l.onClose(func() error { return l.unplug(r) })
	start := now()
	bridge, gateway, made, err := l.ensureBridge()
	if err != nil {
		return gateway, err
	}
	if made {
		l.step("bridge and NAT rules", start)
	}
	mtu := c.MTU
	if mtu == 0 {
		mtu = uplinkMTU()
	}
	start = now()
	if err := l.addVeth(bridge, gateway, mtu, t, r); err != nil {
		return gateway, err
	}
	l.step("veth pair", start)
	return gateway, nil
}

// unplug removes the veth pair, and the bridge when it was the last.
func (l *Link) unplug(r *record) error {
	start := now()
	unlock, err := lockRecords(l.config.Record)
	if err != nil {
		return err
	}
	defer unlock()
	var failed []error
	if r.note.Veth != "" {
		if _, err := removeVeth(r.note.Veth); err != nil {
			failed = append(failed, err)
		}
	}
	if _, err := removeBridge(l.config.Record); err != nil {
		failed = append(failed, err)
	}
	l.step("unplugged", start)
	return errors.Join(failed...)
}

// addVeth takes the first free address of the subnet and makes the pair with
// the far end in the container's namespace, in one request.
func (l *Link) addVeth(bridge netlink.Link, gateway netip.Prefix, mtu int, t Target, r *record) error {
	c := l.config
	used, err := vethNames()
	if err == nil {
		err = notedVeths(c.Record, used)
	}
	if err != nil {
		return err
	}
	subnet := gateway.Masked()
	for addr := gateway.Addr().Next(); subnet.Contains(addr.Next()); addr = addr.Next() {
		name := vethName(addr)
		if used[name] {
			continue
		}
		r.note.Veth, r.note.Address, r.note.Rules = name, addr, len(c.Publish) > 0
		if err := r.write(); err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU, attrs.MasterIndex, attrs.Flags = name, mtu, bridge.Attrs().Index, net.FlagUp
		err := netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: innerLink, PeerMTU: uint32(mtu),
			PeerHardwareAddr: mac(addr), PeerNamespace: netlink.NsFd(t.Net),
		})
		switch {
		case errors.Is(err, unix.EEXIST) && linkExists(name): // of another record directory
			r.note.Veth = ""
			continue
		case err != nil:
			r.note.Veth = ""
			return fmt.Errorf("make veth pair %q: %w", name, err)
		}
		l.address = addr
		if len(c.Publish) > 0 {
			return hairpin(name)
		}
		return nil
	}
	return fmt.Errorf("take an address of %v: all are in use", subnet)
}

// hairpin lets a container reach itself by its published ports: where bridged
// packets pass the rules (br_netfilter), such a packet goes back to the port
// that it came from.
func hairpin(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetHairpin(link, true)
	}
	if err != nil {
		return fmt.Errorf("turn on hairpin of %q: %w", name, err)
	}
	return nil
}

func vethName(a netip.Addr) string {
	b := a.As4()
	return vethPrefix + hex.EncodeToString(b[:])
}

// mac is the hardware address of whoever has an IP address: the same for each
// that gets it, so that nobody's neighbour table is ever wrong. It is locally
// administered.
func mac(a netip.Addr) net.HardwareAddr {
	b := a.As4()
	return append(net.HardwareAddr{0x02, 0x69}, b[:]...)
}

// vethNames are the host's ends of all containers.
func vethNames() (map[string]bool, error) {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list the host's links: %w", err)
	}
	names := map[string]bool{}
	for _, link := range links {
		if name := link.Attrs().Name; strings.HasPrefix(name, vethPrefix) && len(name) == len(vethPrefix)+8 {
			names[name] = true
		}
	}
	return names, nil
}

// notedVeths adds those that records tell of. A killed container's goes with its
// namespace, but the sweep, which comes later, would remove another's of its name.
func notedVeths(dir string, used map[string]bool) error {
	paths, err := filepath.Glob(filepath.Join(escape(dir), "*"+recordSuffix))
	if err != nil {
		return fmt.Errorf("list network records: %w", err)
	}
	for _, path := range paths {
		n, err := readNote(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		used[n.Veth] = true // "" is no name
	}
	return nil
}

func linkExists(name string) bool {
	_, err := netlink.LinkByName(name)
	return err == nil
}

// removeVeth removes a pair; it may have gone with the container's namespace.
func removeVeth(name string) (removed bool, err error) {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	var none netlink.LinkNotFoundError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &none), errors.Is(err, unix.ENODEV):
		return false, nil
	}
	return false, fmt.Errorf("remove veth %q: %w", name, err)
}

// configure gives the far end its address and the default route. The netlink
// socket is made on a thread of its own, which visits the namespace for it.
func configure(ns int, addr netip.Addr, gateway netip.Prefix) error {
	var h *netlink.Handle
	var err error
	launcher := program.NewLauncher()
	launcher.Do(func() { h, err = netlink.NewHandleAt(netns.NsHandle(ns), unix.NETLINK_ROUTE) })
	launcher.Close()
	if err != nil {
		return fmt.Errorf("open a netlink socket in the container's namespace: %w", err)
	}
	defer h.Close()
	link, err := h.LinkByName(innerLink)
	if err != nil {
		return fmt.Errorf("find %q in the container: %w", innerLink, err)
	}
	b := addr.As4()
	own := &netlink.Addr{IPNet: &net.IPNet{IP: b[:], Mask: net.CIDRMask(gateway.Bits(), 32)}}
	if err := h.AddrAdd(link, own); err != nil {
		return fmt.Errorf("give %q the address %v: %w", innerLink, addr, err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %q up: %w", innerLink, err)
	}
	via := gateway.Addr().As4()
	if err := h.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: via[:]}); err != nil {
		return fmt.Errorf("add the default route via %v: %w", gateway.Addr(), err)
	}
	return nil
}

// newSuffix ends the name of a note until it is whole.
const newSuffix = ".new"

// writeBridgeNote replaces the bridge's note.
func writeBridgeNote(dir string, n bridgeNote) error {
	text, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("record the bridge: %w", err)
	}
	path := filepath.Join(dir, bridgeName)
	if err := os.WriteFile(path+newSuffix, text, 0o600); err != nil {
		return fmt.Errorf("record the bridge: %w", err)
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return fmt.Errorf("record the bridge: %w", err)
	}
	return nil
}

func readBridgeNote(dir string) (bridgeNote, error) {
	var n bridgeNote
	text, err := os.ReadFile(filepath.Join(dir, bridgeName))
	if errors.Is(err, os.ErrNotExist) {
		return n, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil {
		return n, fmt.Errorf("read the record of the bridge: %w", err)
	}
	return n, nil
}
