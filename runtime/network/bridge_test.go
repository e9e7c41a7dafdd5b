package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// onBridge runs a test in a world, where bridges work.
func onBridge(t *testing.T) bool {
	t.Helper()
	requireProgram(t, restoreProgram)
	return inWorld(t, asRoot)
}

// noBridge checks that nothing of a bridge is there.
func noBridge(t *testing.T, dir string) {
	t.Helper()
	links, err := netlink.LinkList()
	must(t, err)
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, "iso") {
			t.Errorf("link %s is left", l.Attrs().Name)
		}
	}
	rules, err := runIptables("", saveProgram)
	must(t, err)
	if strings.Contains(rules, bridgeLink) {
		t.Errorf("rules are left:\n%s", rules)
	}
	if on, err := readSwitch(forwarding); on || err != nil {
		t.Errorf("forwarding is left on (%v)", err)
	}
	emptyRecord(t, dir)
}

// TestBridge: to the host, beyond it as the host, to another container, by
// published ports from everywhere, but not to the host's loopback.
func TestBridge(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("own user namespace %v", own), func(t *testing.T) {
			if onBridge(t) {
				testBridge(t, own)
			}
		})
	}
}

func testBridge(t *testing.T, own bool) {
	dir := t.TempDir()
	c := Config{Mode: Bridge, ID: "one", Record: dir, Publish: ports(t, "8080:80", machineAddr+":8081:80", "8053:53/udp")}
	one, first := connected(t, c, own)
	two, second := connected(t, Config{Mode: Bridge, ID: "two", Record: dir}, own)
	if a, b := first.Address().String(), second.Address().String(); a != "10.88.0.2" || b != "10.88.0.3" {
		t.Errorf("the addresses are %s and %s", a, b)
	}
	if links := one.must(t, "links", "", ""); links != "lo 65536 true 127.0.0.1/8 ::1/128; eth0 1400 true 10.88.0.2/16; " {
		t.Errorf("the links inside are %s", links)
	}
	must(t, serveEcho("tcp4", ":7001"))
	must(t, serveEcho("tcp4", "127.0.0.1:7002"))
	one.must(t, "serve", "tcp4", ":80")
	one.must(t, "serve", "udp4", ":53")
	for addr, from := range map[string]string{
		"10.88.0.1:7001": "10.88.0.2", machineAddr + ":7001": "10.88.0.2", // the host itself
		neighbourAddr + ":7000": machineAddr, // beyond it
		"10.88.0.2:80":          "10.88.0.2", // itself
		machineAddr + ":8080":   "10.88.0.1", // itself, by its published port
	} {
		if text := one.must(t, "dial", "tcp", addr); !strings.HasPrefix(text, "from "+from+":") {
			t.Errorf("at %s the container is %q, not %s", addr, text, from)
		}
	}
	if text := one.must(t, "dial", "udp", neighbourAddr+":7000"); !strings.Contains(text, "from "+machineAddr) {
		t.Errorf("the neighbour sees the container %q over udp", text)
	}
	for addr, from := range map[string]string{"10.88.0.2:80": "10.88.0.3", machineAddr + ":8081": "10.88.0.1"} {
		if text := two.must(t, "dial", "tcp", addr); !strings.HasPrefix(text, "from "+from+":") {
			t.Errorf("from container to container at %s it is %q, not %s", addr, text, from)
		}
	}
	for _, addr := range []string{"10.88.0.1:7002", "127.0.0.1:7002"} {
		if text, err := one.ask(t, "quick dial", "tcp", addr); err == nil {
			t.Errorf("the host's loopback answers at %s: %q", addr, text)
		}
	}
	for _, addr := range []string{machineAddr + ":8080", "127.0.0.1:8080", machineAddr + ":8081", "10.88.0.2:80"} {
		mustDial(t, "tcp", addr)
	}
	mustDial(t, "udp", machineAddr+":8053")
	mustDial(t, "udp", "127.0.0.1:8053")
	testNeighbour(t)
	logSteps(t, first)
	must(t, first.Close())
	two.must(t, "dial", "tcp", neighbourAddr+":7000") // the bridge stays for the other
	if rules, _ := runIptables("", saveProgram); strings.Contains(rules, `"isoperf0 one"`) {
		t.Errorf("rules of a closed link are left:\n%s", rules)
	}
	// Who gets the address next is known by it at once, whatever the others'
	// neighbour tables say.
	three, third := connected(t, Config{Mode: Bridge, ID: "three", Record: dir}, own)
	three.must(t, "serve", "tcp4", ":80")
	if text, err := two.ask(t, "quick dial", "tcp", "10.88.0.2:80"); err != nil {
		t.Errorf("the next owner of an address: %q, %v", text, err)
	}
	if !own {
		testMartian(t, two)
	}
	must(t, third.Close())
	must(t, second.Close())
	noBridge(t, dir)
}

// testNeighbour connects from beyond the host: published ports answer, and the
// container itself does not, even to who has a route to it.
func testNeighbour(t *testing.T) {
	ns, err := unix.Open("/proc/"+os.Getenv(neighbourEnv)+"/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(ns)
	must(t, inNet(ns, func() error {
		ctx, cancel := contextWithPatience()
		defer cancel()
		// On this thread, so that the socket is made in its namespace.
		d := net.Dialer{FallbackDelay: -1}
		c, err := d.DialContext(ctx, "tcp4", machineAddr+":8080")
		if err != nil {
			return fmt.Errorf("from the neighbour to a published port: %w", err)
		}
		c.Close()
		d.Timeout = time.Second / 2
		if c, err := d.DialContext(ctx, "tcp4", "10.88.0.2:80"); err == nil {
			c.Close()
			return errors.New("the neighbour reaches a port that is not published")
		}
		return nil
	}))
}

// testMartian sends packets for 127.0.0.1 out of a container that has given up
// its own: the host, which routes such packets for the sake of published ports,
// does not take them from there.
func testMartian(t *testing.T, box *container) {
	must(t, inNet(box.target.Net, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		eth, err := netlink.LinkByName(innerLink)
		if err != nil {
			return err
		}
		return errors.Join(netlink.LinkSetDown(lo), writeSwitch("/proc/sys/net/ipv4/conf/eth0/route_localnet", true),
			netlink.RouteAdd(&netlink.Route{
				LinkIndex: eth.Attrs().Index, Gw: net.IPv4(10, 88, 0, 1),
				Dst: &net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: net.CIDRMask(32, 32)},
			}))
	}))
	if text, err := box.ask(t, "quick dial", "tcp", "127.0.0.1:7002"); err == nil {
		t.Errorf("the host's loopback answers a martian packet: %q", text)
	}
}

// TestBridgeKilled: after a kill -9 of the runtime the sweep removes it all,
// and a bridge that is in use stays.
func TestBridgeKilled(t *testing.T) {
	if !onBridge(t) {
		return
	}
	dir := t.TempDir()
	killed := Config{Mode: Bridge, ID: "killed", Record: dir, Publish: ports(t, "8080:80")}
	killedRuntime(t, killed, false, 0)
	if swept, err := Sweep(dir); err != nil || !slices.Contains(swept, "bridge isoperf0 and its rules") {
		t.Errorf("the sweep says %q, %v", swept, err)
	}
	noBridge(t, dir)

	// The next container does not get what the sweep is going to remove.
	killedRuntime(t, killed, false, 0)
	if !eventually(func() bool { names, err := vethNames(); return err == nil && len(names) == 0 }) {
		t.Error("the killed container's link is still there")
	}
	box, l := connected(t, Config{Mode: Bridge, ID: "alive", Record: dir}, false)
	swept, err := Sweep(dir)
	if err != nil || !slices.Contains(swept, "rules of killed") || slices.Contains(swept, "record of alive") {
		t.Errorf("the sweep says %q, %v", swept, err)
	}
	box.must(t, "dial", "tcp", neighbourAddr+":7000")
	must(t, l.Close())
	noBridge(t, dir)
}

// TestBridgeKilledAnywhere: whenever the runtime is killed, a sweep leaves
// nothing.
func TestBridgeKilledAnywhere(t *testing.T) {
	if !onBridge(t) {
		return
	}
	c := Config{Mode: Bridge, ID: "killed", Record: t.TempDir(), Publish: ports(t, "8080:80")}
	for after := 5 * time.Millisecond; after < 120*time.Millisecond; after += 3 * time.Millisecond {
		killedRuntime(t, c, false, after)
		if _, err := Sweep(c.Record); err != nil {
			t.Errorf("after %v: %v", after, err)
		}
		noBridge(t, c.Record)
	}
}

// TestNoteCutShort: a note that was never renamed into place is swept, with or
// without one before it.
func TestNoteCutShort(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, bridgeName+newSuffix), []byte("{"), 0o600))
	_, err := Sweep(dir)
	must(t, err)
	emptyRecord(t, dir)
}

// TestBridgeCutShort: a kill between any two steps of the bridge's making
// leaves what the next container repairs.
func TestBridgeCutShort(t *testing.T) {
	if !onBridge(t) {
		return
	}
	dir := t.TempDir()
	_, l := connected(t, Config{Mode: Bridge, ID: "one", Record: dir}, false)
	n, err := readBridgeNote(dir)
	must(t, err)
	must(t, l.Close())
	for name, undo := range map[string]func() error{
		"only its record": func() error { return nil },
		"only the link": func() error {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = bridgeLink
			return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
		},
		"only rules": func() error { return applyRules(bridgeRules(n.Subnet, true)) },
	} {
		n.Complete = false
		must(t, writeBridgeNote(dir, n))
		must(t, undo())
		box, l := connected(t, Config{Mode: Bridge, ID: "one", Record: dir}, false)
		box.must(t, "dial", "tcp", neighbourAddr+":7000")
		rules, err := runIptables("", saveProgram)
		must(t, err)
		if got, want := strings.Count(rules, bridgeLink+" -j"), len(bridgeRules(n.Subnet, true)); got != want {
			t.Errorf("after %s there are %d rules, not %d:\n%s", name, got, want, rules)
		}
		must(t, l.Close())
		noBridge(t, dir)
	}
}

// TestBridgeChoices: a subnet that the host does not use, forwarding as it was,
// a taken port, and somebody else's bridge.
func TestBridgeChoices(t *testing.T) {
	if !onBridge(t) {
		return
	}
	dir := t.TempDir()
	must(t, address("uplink0", "10.88.7.1/24"))
	must(t, writeSwitch(forwarding, true))
	_, l := connected(t, Config{Mode: Bridge, ID: "one", Record: dir, MTU: 1280}, false)
	if want := netip.MustParseAddr("10.89.0.2"); l.Address() != want {
		t.Errorf("the address is %v, not %v", l.Address(), want)
	}
	other := started(t, false)
	if _, err := Connect(t.Context(), Config{Mode: Bridge, ID: "two", Record: t.TempDir()}, other.target); err == nil || !strings.Contains(err.Error(), "another record directory") {
		t.Errorf("a second record directory says %v", err)
	}
	must(t, serveEcho("tcp4", ":8080"))
	if _, err := Connect(t.Context(), Config{Mode: Bridge, ID: "three", Record: dir, Publish: ports(t, "8080:80")}, other.target); err == nil || !strings.Contains(err.Error(), "something else listen") {
		t.Errorf("a port that is taken says %v", err)
	}
	must(t, l.Close())
	if on, err := readSwitch(forwarding); !on || err != nil {
		t.Errorf("forwarding was on before, and is not (%v)", err)
	}
	must(t, writeSwitch(forwarding, false))
	noBridge(t, dir)
}

// TestBridgeAtOnce: containers that come and go at once get addresses of their
// own, and the last takes the bridge along.
func TestBridgeAtOnce(t *testing.T) {
	if !onBridge(t) {
		return
	}
	dir := t.TempDir()
	const n = 16
	failed := make(chan error, n)
	for i := range n {
		go func() { failed <- comeAndGo(Config{Mode: Bridge, ID: fmt.Sprint("box", i), Record: dir}) }()
	}
	for range n {
		must(t, <-failed)
	}
	noBridge(t, dir)
}

func comeAndGo(c Config) error {
	for range 4 {
		box, err := newContainer(false, "")
		if err != nil {
			return err
		}
		defer box.end()
		ctx, cancel := contextWithPatience()
		defer cancel()
		l, err := Connect(ctx, c, box.target)
		if err != nil {
			return err
		}
		if err := box.run(); err != nil {
			return err
		}
		var r reply
		if err := box.talk.ask(request{"dial", "tcp", neighbourAddr + ":7000"}, &r); err != nil {
			return fmt.Errorf("ask %v: %w", l.Address(), err)
		}
		if r.Error != "" {
			return fmt.Errorf("%v says %s", l.Address(), r.Error)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// TestNoneAndHost: lo and nothing else; and nothing at all to do.
func TestNoneAndHost(t *testing.T) {
	if !inWorld(t, asRoot) {
		return
	}
	box, l := connected(t, Config{Mode: None}, true)
	if links := box.must(t, "links", "", ""); links != "lo 65536 true 127.0.0.1/8 ::1/128; " {
		t.Errorf("the links inside are %s", links)
	}
	box.must(t, "serve", "tcp4", "127.0.0.1:80")
	box.must(t, "dial", "tcp", "127.0.0.1:80")
	if _, err := box.ask(t, "quick dial", "tcp", neighbourAddr+":7000"); err == nil {
		t.Error("there is a way out")
	}
	must(t, l.Close())
	l, err := Connect(t.Context(), Config{Mode: Host}, Target{})
	must(t, err)
	if l.Address().IsValid() || len(l.Steps()) > 0 {
		t.Errorf("mode host did %v", l.Steps())
	}
	must(t, l.Close())
}

// TestNoteSurvives: what a record says is read as it was written.
func TestNoteSurvives(t *testing.T) {
	want := note{ID: "a", Mode: Bridge, Target: process{1, 2}, Veth: "isop0a580002", Address: netip.MustParseAddr("10.88.0.2"), Rules: true}
	text, err := json.Marshal(want)
	must(t, err)
	path := t.TempDir() + "/a" + recordSuffix
	must(t, os.WriteFile(path, text, 0o600))
	if got, err := readNote(path); err != nil || got != want {
		t.Errorf("read %v, %v; want %v", got, err, want)
	}
}
