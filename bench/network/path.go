package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"

	"isoperf/bench/harness"
	runtimenet "isoperf/runtime/network"
)

const loopbackPath = "loopback"

// published is the port of the host that leads into the container.
const published = 5201

// route is how the two ends of a path meet.
type route struct {
	client, server *place
	listen, dial   string // addresses without port
	port           int    // to listen on, and to dial; 0: any
	// inside: the client is the container's end, so that what it sends goes out.
	inside bool
	// The container's link, which must carry the data: what goes out is what it
	// has sent.
	device     *place
	deviceName string
}

// path is a row of the table of paths.
type path struct {
	name  string
	about string
	mtus  []int // that can be had; 0: the path's own
	make  func(*world, Cell) (route, error)
	// local: there is no uplink on it. published: the client is outside.
	local, published bool
	// To measure how long it takes to set up: what must be there before, and what
	// gives a container its network; nil: that is not asked of this path.
	prepare func(*world, Cell) error
	attach  func(*world, Cell, *place) (connected, error)
}

// usual are the MTUs that are measured: of Ethernet, of jumbo frames, and the
// largest that a translator takes.
func usual() []int { return []int{1500, 9000, 65520} }

// paths is the table.
func paths() []path {
	return []path{
		{name: loopbackPath, local: true, about: "the machine's own loopback", mtus: []int{0}, make: loopback},
		{name: "netns", local: true, about: "loopback in a network namespace of its own", mtus: usual(), make: ownLoopback},
		{name: "veth", about: "host networking: a process of the host, over a veth pair to a peer", mtus: usual(), make: direct},
		{name: "bridge", about: "a container on a bridge with the uplink: a veth pair and a bridge more", mtus: usual(), make: bridged,
			prepare: prepareBridge, attach: pairAttach},
		{name: "nat", about: "a container behind a bridge with NAT, as isoperf run --network bridge", mtus: usual(), make: through(runtimenet.Bridge),
			prepare: prepare(runtimenet.Bridge), attach: runtimeAttach(runtimenet.Bridge)},
		{name: "slirp4netns", about: "a container behind slirp4netns's own TCP/IP", mtus: usual(), make: through(runtimenet.Slirp4netns),
			prepare: prepare(runtimenet.Slirp4netns), attach: runtimeAttach(runtimenet.Slirp4netns)},
		{name: "pasta", about: "a container behind pasta, by its tap device", mtus: usual(), make: through(runtimenet.Pasta),
			prepare: prepare(runtimenet.Pasta), attach: runtimeAttach(runtimenet.Pasta)},
		{name: "nat-port", published: true, about: "into the container by a published port: NAT", mtus: usual(), make: into(runtimenet.Bridge)},
		{name: "slirp4netns-port", published: true, about: "into the container by a published port: slirp4netns", mtus: usual(), make: into(runtimenet.Slirp4netns)},
		{name: "pasta-port", published: true, about: "into the container by a published port: pasta, by its tap device", mtus: usual(), make: into(runtimenet.Pasta)},
		{name: "pasta-local", local: true, published: true, about: "from the host's loopback into the container's: pasta, spliced", mtus: []int{0}, make: spliced},
	}
}

func findPath(name string) (path, error) {
	var names []string
	for _, p := range paths() {
		if p.name == name {
			return p, nil
		}
		names = append(names, p.name)
	}
	return path{}, fmt.Errorf("no path is called %q; there are %s", name, strings.Join(names, ", "))
}

// pick chooses an address by the cell's IP version.
func (c Cell) pick(v4, v6 string) string {
	if c.IP == 6 {
		return v6
	}
	return v4
}

func loopback(w *world, c Cell) (route, error) {
	a := c.pick("127.0.0.1", "::1")
	return route{client: w.host, server: w.host, listen: a, dial: a, inside: true, device: w.host, deviceName: "lo"}, nil
}

func ownLoopback(w *world, c Cell) (route, error) {
	if err := w.host.up("lo", c.MTU); err != nil {
		return route{}, err
	}
	return loopback(w, c)
}

func direct(w *world, c Cell) (route, error) {
	if err := w.addUplink(c.MTU, c.RTT, false); err != nil {
		return route{}, err
	}
	a := c.pick(peerV4, peerV6)
	return route{client: w.host, server: w.peer, listen: a, dial: a, inside: true, device: w.host, deviceName: uplink}, nil
}

func bridged(w *world, c Cell) (route, error) {
	if err := w.addUplink(c.MTU, c.RTT, true); err != nil {
		return route{}, err
	}
	if err := w.addContainer(); err != nil {
		return route{}, err
	}
	if err := w.host.pair("veth0", c.MTU, w.inner); err != nil {
		return route{}, err
	}
	if err := errors.Join(w.addBridge(c.MTU), w.onBridge("veth0")); err != nil {
		return route{}, err
	}
	if err := w.host.up("veth0", 0); err != nil {
		return route{}, err
	}
	if err := w.inner.up(inner, 0, bridgedV4+"/24", bridgedV6+"/64"); err != nil {
		return route{}, err
	}
	a := c.pick(peerV4, peerV6)
	return route{client: w.inner, server: w.peer, listen: a, dial: a, inside: true, device: w.inner, deviceName: inner}, nil
}

// needs says what is missing for a mode.
func needs(mode runtimenet.Mode, c Cell) error {
	if c.IP == 6 && mode == runtimenet.Bridge {
		return harness.NotMeasured{Why: "the runtime's bridge carries IPv4 only"}
	}
	if mode == runtimenet.Bridge {
		if _, err := exec.LookPath("iptables"); err != nil {
			return harness.NotMeasured{Why: "there is no iptables, which makes the NAT (apt-get install iptables)"}
		}
		return nil
	}
	if _, err := exec.LookPath(string(mode)); err != nil {
		return harness.NotMeasured{Why: fmt.Sprintf("there is no %s (Debian: apt-get install slirp4netns passt)", mode)}
	}
	return needsTap()
}

// link is the name of the container's interface.
func linkOf(mode runtimenet.Mode) string {
	if mode == runtimenet.Bridge {
		return inner
	}
	return "tap0"
}

// through is the path out of a container that the runtime connects.
func through(mode runtimenet.Mode) func(*world, Cell) (route, error) {
	return func(w *world, c Cell) (route, error) {
		if err := needs(mode, c); err != nil {
			return route{}, err
		}
		if err := w.connect(c, mode); err != nil {
			return route{}, err
		}
		a := c.pick(peerV4, peerV6)
		return route{client: w.inner, server: w.peer, listen: a, dial: a, inside: true, device: w.inner, deviceName: linkOf(mode)}, nil
	}
}

// into is the path through a published port: the peer is the client.
func into(mode runtimenet.Mode) func(*world, Cell) (route, error) {
	return func(w *world, c Cell) (route, error) {
		if err := needs(mode, c); err != nil {
			return route{}, err
		}
		if c.IP == 6 && mode == runtimenet.Slirp4netns {
			return route{}, harness.NotMeasured{Why: "slirp4netns publishes ports on IPv4 addresses only"}
		}
		host := c.pick(hostV4, hostV6)
		if err := w.connect(c, mode, ports(host)...); err != nil {
			return route{}, err
		}
		return route{client: w.peer, server: w.inner, listen: c.pick("0.0.0.0", "::"), dial: host, port: published, device: w.inner, deviceName: linkOf(mode)}, nil
	}
}

func ports(address string) []runtimenet.Port {
	host := netip.MustParseAddr(address)
	return []runtimenet.Port{
		{Host: host, HostPort: published, Container: published, Protocol: "tcp"},
		{Host: host, HostPort: published, Container: published, Protocol: "udp"},
	}
}

// What goes out through pasta at MTU 1500 comes to a stop, in Debian 12's pasta
// (March 2023) on Linux 6.18: after some tenths of a second at 50 to 290 MB/s it
// carries under 3 MB/s, iperf3's streams as ours. strace and ss -ti show why. pasta
// tells the container's TCP a window of 6 MB and more, reads what comes from its
// device in batches (of 187,000 bytes and more a call), and hands them to its own
// socket to the peer without waiting. When that takes only a part (in one case
// 58,424 bytes of 186,880), pasta drops the rest of what it has read, and says so
// by repeated acknowledgements. Its connections have no SACK: the sender waits for
// its timer, sends again what it had already sent (1,000 segments and more), and
// doubles the timer when that is dropped in turn (0.2, 0.4, 0.8, 1.6 s). It is so
// with bbr, cubic and reno. A sender whose socket's buffer is 128 KiB (iperf3 -w 128K)
// never has that much on the way: no retransmissions, and 190 MB/s; with 256 KiB it
// stops again; on another machine it does with 128 KiB, and with 64 KiB it does not.
// At MTU 65520 the same happens, later, and on that machine with 32 KiB as well. Into
// the container, where the host's TCP sends to a window that the container keeps, it
// does not.

// spliced is the path from the host's loopback to the container's, for which
// pasta makes no packets: it moves bytes between two sockets.
func spliced(w *world, c Cell) (route, error) {
	if err := needs(runtimenet.Pasta, c); err != nil {
		return route{}, err
	}
	a := c.pick("127.0.0.1", "::1")
	if err := w.connect(c, runtimenet.Pasta, ports(a)...); err != nil {
		return route{}, err
	}
	return route{client: w.host, server: w.inner, listen: a, dial: a, port: published, device: w.inner, deviceName: "lo"}, nil
}

// prepare is what must be there before a container is connected in a mode.
func prepare(mode runtimenet.Mode) func(*world, Cell) error {
	return func(w *world, c Cell) error {
		if err := needs(mode, c); err != nil {
			return err
		}
		return w.addUplink(c.MTU, c.RTT, false)
	}
}

func prepareBridge(w *world, c Cell) error {
	if err := w.addUplink(c.MTU, c.RTT, true); err != nil {
		return err
	}
	return w.addBridge(c.MTU)
}
