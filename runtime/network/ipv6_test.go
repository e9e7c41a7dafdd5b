package network

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// TestIPv6: on a host that has it, both protocols out, no way to the host's
// loopback, and published ports of pasta's.
func TestIPv6(t *testing.T) {
	t.Setenv(sixEnv, "1")
	eachTranslator(t, func(t *testing.T, m Mode, own bool) {
		c := Config{Mode: m, ID: "box", Record: t.TempDir()}
		if m == Pasta {
			c.Publish = ports(t, "["+machineAddr6+"]:8080:80", "["+machineAddr6+"]:8053:53/udp")
		}
		c, err := c.Settle(nil)
		if must(t, err); !c.IPv6 {
			t.Fatal("a host with IPv6 has none for the container")
		}
		must(t, serveEcho("tcp6", "[::1]:7002"))
		must(t, serveEcho("tcp6", "["+machineAddr6+"]:7001"))
		box, l := connected(t, c, own)
		for _, network := range []string{"tcp", "udp"} { // at once: it is ready
			if text := box.must(t, "dial", network, "["+neighbour6+"]:7000"); !strings.Contains(text, "from ["+machineAddr6+"]") {
				t.Errorf("the neighbour sees the container %q over %s", text, network)
			}
		}
		if text := box.must(t, "dial", "tcp", "["+machineAddr6+"]:7001"); !strings.HasPrefix(text, "from ["+machineAddr6) {
			t.Errorf("the host sees the container %q", text)
		}
		box.must(t, "dial", "tcp", neighbourAddr+":7000")
		six := 0
		for word := range strings.FieldsSeq(box.must(t, "links", "", "")) {
			if p, err := netip.ParsePrefix(strings.TrimSuffix(word, ";")); err == nil && p.Addr().Is6() && !p.Addr().IsLoopback() {
				if six++; !c.subnet6().Contains(p.Addr()) {
					t.Errorf("%v is not of %v", p, c.subnet6())
				}
			}
		}
		if six != 1 {
			t.Errorf("the container has %d IPv6 addresses: %s", six, box.must(t, "links", "", ""))
		}
		for _, addr := range []string{c.host6(gatewayHost).String(), "::1"} {
			if text, err := box.ask(t, "quick dial", "tcp", "["+addr+"]:7002"); err == nil {
				t.Errorf("the host's loopback answers at %s: %q", addr, text)
			}
		}
		if m == Pasta {
			box.must(t, "serve", "tcp6", ":80")
			box.must(t, "serve", "udp6", ":53")
			mustDial(t, "tcp", "["+machineAddr6+"]:8080")
			mustDial(t, "udp", "["+machineAddr6+"]:8053")
		}
		logSteps(t, l)
		if steps := fmt.Sprint(l.Steps()); !strings.Contains(steps, "IPv6 address and route") || !strings.Contains(steps, "first IPv6 handshake") {
			t.Errorf("no steps of IPv6 in %s", steps)
		}
		must(t, l.Close())
		nothingLeft(t, c, m)
	})
}

// TestWithoutIPv6: a container of a host that has it, where it is not wanted.
func TestWithoutIPv6(t *testing.T) {
	t.Setenv(sixEnv, "1")
	eachTranslator(t, func(t *testing.T, m Mode, own bool) {
		box, _ := connected(t, Config{Mode: m}, own)
		for word := range strings.FieldsSeq(box.must(t, "links", "", "")) {
			if p, err := netip.ParsePrefix(strings.TrimSuffix(word, ";")); err == nil && p.Addr().Is6() && !p.Addr().IsLoopback() {
				t.Errorf("the container has %v", p)
			}
		}
	})
}

// TestSettleIPv6: what the host must have.
func TestSettleIPv6(t *testing.T) {
	if !inWorld(t, asRoot) {
		return
	}
	settled := func(c Config) bool {
		t.Helper()
		c, err := c.Settle(nil)
		must(t, err)
		return c.IPv6
	}
	if settled(Config{Mode: Pasta}) {
		t.Error("a host without IPv6 has it for a container")
	}
	must(t, address("uplink0", "fd00::1/64"))
	if settled(Config{Mode: Pasta}) {
		t.Error("without a default route there is a way out")
	}
	if err := (Config{Mode: Slirp4netns, IPv6: true}).Check(); err == nil {
		if _, err = (Config{Mode: Slirp4netns, IPv6: true}).beyond6(); err == nil || !strings.Contains(err.Error(), "leave IPv6 out") {
			t.Errorf("with no address that can be reached it says %v", err)
		}
	}
	link, err := netlink.LinkByName("uplink0")
	must(t, err)
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: netip.MustParseAddr("fd00::9").AsSlice()}))
	for _, c := range []struct {
		config Config
		want   bool
	}{
		{Config{Mode: Pasta}, true},
		{Config{Mode: Pasta, MTU: 1280}, true},
		{Config{Mode: Pasta, MTU: 1279}, false},
		{Config{Mode: Slirp4netns}, false}, // the host's only address is in its network
		{Config{Mode: Bridge, Record: "/r", ID: "a"}, false},
		{Config{Mode: None}, false},
	} {
		if settled(c.config) != c.want {
			t.Errorf("%+v: IPv6 is %v", c.config, !c.want)
		}
	}
}

// TestTentative: where duplicate addresses are looked for, readiness waits, and
// the container's first connection succeeds all the same.
func TestTentative(t *testing.T) {
	t.Setenv(sixEnv, "1")
	requireProgram(t, "slirp4netns")
	if !inWorld(t, asRoot) {
		return
	}
	requireTun(t)
	const readOnly = "/proc/sys"
	must(t, bindReadOnly(readOnly))
	if err := os.WriteFile(readOnly+"/net/ipv6/conf/default/accept_dad", []byte("0"), 0); err == nil {
		t.Fatal("the world's /proc/sys can be written")
	}
	box, _ := connected(t, Config{Mode: Slirp4netns, IPv6: true}, false)
	box.must(t, "dial", "tcp", "["+neighbour6+"]:7000")
}

// TestSockaddr: both families' bytes.
func TestSockaddr(t *testing.T) {
	four := sockaddr(netip.MustParseAddrPort("192.0.2.1:258"))
	if want := []byte{2, 0, 1, 2, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0}; !bytes.Equal(four, want) {
		t.Errorf("IPv4: %v, not %v", four, want)
	}
	six := sockaddr(netip.MustParseAddrPort("[2001:db8::1]:258"))
	want := append([]byte{10, 0, 1, 2, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8}, make([]byte, 16)...)
	want[23] = 1
	if !bytes.Equal(six, want) {
		t.Errorf("IPv6: %v, not %v", six, want)
	}
}
