package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	runtimenet "isoperf/runtime/network"
	"isoperf/runtime/program"
)

// The model's addresses, which are those that documents use (RFC 5737, RFC
// 3849): the host's and its peer's on the uplink, and the container's where the
// path bridges it to there.
const (
	hostV4, peerV4, bridgedV4 = "198.51.100.1", "198.51.100.9", "198.51.100.20"
	hostV6, peerV6, bridgedV6 = "2001:db8::1", "2001:db8::9", "2001:db8::20"
)

// Links of the model.
const (
	uplink = "uplink0" // of the host, to its peer
	bridge = "br0"     // of the host
	inner  = "eth0"    // of whoever is at the far end of a pair
)

// place is a network namespace of the model: a process holds it.
type place struct {
	name     string
	holder   *program.Process
	net      int // its descriptor
	netlink  *netlink.Handle
	launcher *program.Launcher
}

// world is what a host makes for a path, and in which it measures.
type world struct {
	ctx   context.Context
	host  *place // this process's namespace; no holder
	peer  *place // nil: the path has none
	inner *place // the container's; nil: it is the host's
	link  *runtimenet.Link
	route route
}

// newWorld makes the world of a cell. It is never taken down piece by piece: it
// ends with its process.
func newWorld(c Cell) (*world, error) {
	p, err := findPath(c.Path)
	if err != nil {
		return nil, err
	}
	if err := furnish(); err != nil {
		return nil, err
	}
	host, err := own()
	if err != nil {
		return nil, err
	}
	w := &world{ctx: context.Background(), host: host}
	if c.Path != loopbackPath {
		if err := host.up("lo", 0); err != nil {
			return nil, err
		}
	}
	if c.Family == Setup {
		err = p.prepare(w, c)
	} else {
		w.route, err = p.make(w, c)
	}
	if err != nil {
		return nil, fmt.Errorf("make the path %q: %w", c.Path, err)
	}
	return w, nil
}

func own() (*place, error) {
	fd, err := unix.Open("/proc/self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the host's network namespace: %w", err)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	return &place{name: "host", net: fd, netlink: h}, nil
}

// newPlace is a network namespace with lo up.
func newPlace(name string) (*place, error) {
	p := program.New(program.Stub, unix.CLONE_NEWNET)
	p.DieWithParent()
	runtimenet.Loopback(p)
	made := p.Tell("made")
	p.Add(program.Pause())
	l := &place{name: name, launcher: harness.NewThread()}
	var err error
	if l.holder, err = l.launcher.Start(p); err != nil {
		return nil, fmt.Errorf("make the network namespace of the %s: %w", name, err)
	}
	if err := l.holder.Await(made); err != nil {
		return nil, fmt.Errorf("make the network namespace of the %s: %w", name, err)
	}
	l.net, err = unix.Open(fmt.Sprintf("/proc/%d/ns/net", l.holder.Pid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the network namespace of the %s: %w", name, err)
	}
	l.netlink, err = netlink.NewHandleAt(netns.NsHandle(l.net), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket in the namespace of the %s: %w", name, err)
	}
	return l, nil
}

// close ends the place.
func (p *place) close() error {
	err := errors.Join(harness.End(p.holder), unix.Close(p.net))
	p.holder.Release()
	p.netlink.Close()
	p.launcher.Close()
	return err
}

// up brings a link up, with an MTU (0: as it is) and addresses.
func (p *place) up(name string, mtu int, addresses ...string) error {
	link, err := p.netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %q of the %s: %w", name, p.name, err)
	}
	if mtu != 0 {
		if err := p.netlink.LinkSetMTU(link, mtu); err != nil {
			return fmt.Errorf("set the MTU of link %q of the %s to %d: %w", name, p.name, mtu, err)
		}
	}
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a)
		if err != nil {
			return fmt.Errorf("give link %q the address %q: %w", name, a, err)
		}
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}}
		if prefix.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD // nobody else is there
		}
		if err := p.netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("give link %q of the %s the address %v: %w", name, p.name, a, err)
		}
	}
	if err := p.netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring link %q of the %s up: %w", name, p.name, err)
	}
	return nil
}

// pair makes a veth pair of which the other end is eth0 of another place.
func (p *place) pair(name string, mtu int, other *place) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name, mtu
	err := p.netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: inner, PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(other.net)})
	if errors.Is(err, unix.EOPNOTSUPP) {
		return harness.NotMeasured{Why: "this kernel has no veth (modprobe veth)"}
	}
	if err != nil {
		return fmt.Errorf("make a veth pair from the %s to the %s: %w", p.name, other.name, err)
	}
	return nil
}

// queued is how many packets may be under way in a delayed link: 50 ms at 40
// Gbit/s of 1500 bytes.
const queued = 200_000

// delay has packets that leave by a link wait.
func (p *place) delay(name string, d time.Duration) error {
	link, err := p.netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %q of the %s: %w", name, p.name, err)
	}
	q := netlink.NewNetem(netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		netlink.NetemQdiscAttrs{Latency: uint32(d.Microseconds()), Limit: queued})
	err = p.netlink.QdiscAdd(q)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		return harness.NotMeasured{Why: "this kernel has no netem, which makes links longer (modprobe sch_netem; scripts/vm/results measures this in a machine that has it)"}
	}
	if err != nil {
		return fmt.Errorf("delay link %q of the %s by %v: %w", name, p.name, d, err)
	}
	return nil
}

// defaultRoute sends all that is not local to an address.
func (p *place) defaultRoute(via string) error {
	if err := p.netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(via)}); err != nil {
		return fmt.Errorf("add the default route of the %s via %s: %w", p.name, via, err)
	}
	return nil
}

// addUplink makes the peer, and the uplink to it with the host's addresses;
// bridged: the host's end is for a bridge and has none.
func (w *world) addUplink(mtu int, rtt time.Duration, bridged bool) (err error) {
	if w.peer, err = newPlace("peer"); err != nil {
		return err
	}
	if err := w.host.pair(uplink, mtu, w.peer); err != nil {
		return err
	}
	if err := w.peer.up(inner, 0, peerV4+"/24", peerV6+"/64"); err != nil {
		return err
	}
	defer func() {
		if err == nil && rtt > 0 {
			err = errors.Join(w.host.delay(uplink, rtt/2), w.peer.delay(inner, rtt/2))
		}
	}()
	if bridged {
		return w.host.up(uplink, 0)
	}
	if err := w.host.up(uplink, 0, hostV4+"/24", hostV6+"/64"); err != nil {
		return err
	}
	// The way back to a container is the host's own business.
	return errors.Join(w.host.defaultRoute(peerV4), w.host.defaultRoute(peerV6))
}

// addContainer makes the container's namespace.
func (w *world) addContainer() error {
	var err error
	w.inner, err = newPlace("container")
	return err
}

// connect has the runtime connect the container, as it does for isoperf run.
func (w *world) connect(c Cell, mode runtimenet.Mode, publish ...runtimenet.Port) error {
	if err := w.addUplink(c.MTU, c.RTT, false); err != nil {
		return err
	}
	if err := w.addContainer(); err != nil {
		return err
	}
	var err error
	w.link, err = w.join(w.ctx, w.inner, runtimenet.Config{Mode: mode, MTU: c.MTU, Publish: publish, IPv6: c.IP == 6})
	return err
}

// join connects a place by the runtime.
func (w *world) join(ctx context.Context, p *place, c runtimenet.Config) (*runtimenet.Link, error) {
	c.ID, c.Record = "bench", "/run/isoperf-network"
	link, err := runtimenet.Connect(ctx, c, runtimenet.Target{PID: p.holder.Pid(), Net: p.net})
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	return link, nil
}

// addBridge makes a bridge with the uplink on it.
func (w *world) addBridge(mtu int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = bridge, mtu
	if err := w.host.netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("make a bridge: %w", err)
	}
	if err := w.onBridge(uplink); err != nil {
		return err
	}
	return w.host.up(bridge, 0)
}

// onBridge puts a link on the bridge.
func (w *world) onBridge(name string) error {
	b, err := w.host.netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("find the bridge: %w", err)
	}
	link, err := w.host.netlink.LinkByName(name)
	if err == nil {
		err = w.host.netlink.LinkSetMaster(link, b)
	}
	if err != nil {
		return fmt.Errorf("put link %q on the bridge: %w", name, err)
	}
	return nil
}

// host and port as an address.
func at(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// needsTap is NotMeasured when there is no device of which taps are made; see
// tuntap.rst in the kernel's documentation.
func needsTap() error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return harness.NotMeasured{Why: fmt.Sprintf("%v; a translator needs it: as root, modprobe tun, and chmod 0666 /dev/net/tun for ordinary users", err)}
	}
	defer f.Close()
	if _, err := unix.IoctlGetUint32(int(f.Fd()), unix.TUNGETFEATURES); err != nil {
		return harness.NotMeasured{Why: fmt.Sprintf("ask /dev/net/tun what it can: %v; it is another device, perhaps since a container hides it: as root, modprobe tun, and mknod /dev/net/tun c 10 200", err)}
	}
	return nil
}
