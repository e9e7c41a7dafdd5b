package network

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// translators are the modes that a process translates for, with its name.
func translators() map[Mode]string {
	return map[Mode]string{Slirp4netns: "slirp4netns", Pasta: "pas"} // pasta.avx2 is called passt.avx2
}

// eachTranslator runs a test in a world, for both modes: as root, for a
// container with and without a user namespace of its own, and as an ordinary
// user.
func eachTranslator(t *testing.T, f func(t *testing.T, m Mode, own bool)) {
	for _, m := range []Mode{Slirp4netns, Pasta} {
		for _, c := range []struct {
			user user
			own  bool
		}{{asRoot, true}, {asRoot, false}, {asOrdinary, true}} {
			t.Run(fmt.Sprintf("%s as %s user namespace %v", m, c.user, c.own), func(t *testing.T) {
				requireProgram(t, string(m))
				if inWorld(t, c.user) {
					requireTun(t)
					f(t, m, c.own)
				}
			})
		}
	}
}

func requireTun(t *testing.T) {
	t.Helper()
	err := checkTun("/dev/net/tun")
	require(t, err == nil, fmt.Sprintf("no tap device: %v", err))
}

func nothingLeft(t *testing.T, c Config, m Mode) {
	t.Helper()
	if pids := processes(translators()[m]); len(pids) > 0 {
		t.Errorf("helpers are left: %v", pids)
	}
	if c.Record != "" {
		emptyRecord(t, c.Record)
	}
}

func emptyRecord(t *testing.T, dir string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	list = slices.DeleteFunc(list, func(e os.DirEntry) bool { return e.Name() == lockName })
	if len(list) > 0 {
		t.Errorf("the record directory still holds %v", list)
	}
}

func ports(t testing.TB, specs ...string) []Port {
	t.Helper()
	var list []Port
	for _, s := range specs {
		p, err := ParsePort(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// logSteps prints what Connect did, and for how long.
func logSteps(t *testing.T, l *Link) {
	for _, s := range l.Steps() {
		t.Logf("%8.1f us  %s", float64(s.End-s.Start)/1e3, s.Name)
	}
}

// TestTranslator: ready, names, both protocols both ways, and no way to the
// host's loopback.
func TestTranslator(t *testing.T) {
	eachTranslator(t, func(t *testing.T, m Mode, own bool) {
		c := Config{Mode: m, ID: "box", Record: t.TempDir(), Publish: ports(t, "8080:80", machineAddr+":8081:80", "8053:53/udp")}
		must(t, serveEcho("tcp4", "127.0.0.1:7002")) // pasta could find it as it starts
		box, l := connected(t, c, own)
		if want := netip.MustParseAddr("10.0.2.100"); l.Address() != want {
			t.Errorf("the address is %v, not %v", l.Address(), want)
		}
		must(t, serveEcho("tcp4", machineAddr+":7001"))
		links := box.must(t, "links", "", "")
		if !strings.Contains(links, "lo 65536 true 127.0.0.1/8") || !strings.Contains(links, "tap0 65520 true 10.0.2.100/24") {
			t.Errorf("the links inside are %s", links)
		}
		if text := box.must(t, "dial", "tcp", machineAddr+":7001"); !strings.HasPrefix(text, "from "+machineAddr) {
			t.Errorf("the host sees the container %q", text)
		}
		for _, network := range []string{"tcp", "udp"} {
			if text := box.must(t, "dial", network, neighbourAddr+":7000"); !strings.Contains(text, "from "+machineAddr) {
				t.Errorf("the neighbour sees the container %q over %s", text, network)
			}
		}
		if text := box.must(t, "lookup", "10.0.2.3", knownName); text != knownAddr {
			t.Errorf("%s is %q, not %s", knownName, text, knownAddr)
		}
		if m == Slirp4netns {
			confined(t, processes(translators()[m])[0])
		}
		for _, addr := range []string{"10.0.2.2:7002", "127.0.0.1:7002"} {
			if text, err := box.ask(t, "quick dial", "tcp", addr); err == nil {
				t.Errorf("the host's loopback answers at %s: %q", addr, text)
			}
		}
		box.must(t, "serve", "tcp4", ":80")
		box.must(t, "serve", "udp4", ":53")
		for _, addr := range []string{machineAddr + ":8080", "127.0.0.1:8080", machineAddr + ":8081"} {
			if text := mustDial(t, "tcp", addr); !strings.HasPrefix(text, "from ") {
				t.Errorf("the published port %s says %q", addr, text)
			}
		}
		mustDial(t, "udp", machineAddr+":8053")
		logSteps(t, l)
		steps := fmt.Sprint(l.Steps())
		for _, want := range []string{"process started", "link, address and route", "first handshake"} {
			if !strings.Contains(steps, want) {
				t.Errorf("no step %q in %s", want, steps)
			}
		}
		for _, s := range l.Steps() {
			if s.Start <= 0 || s.End < s.Start {
				t.Errorf("step %v is not from an instant to a later one", s)
			}
		}
		if l.Err() != nil {
			t.Error(l.Err())
		}
		must(t, l.Close())
		must(t, l.Close())
		nothingLeft(t, c, m)
	})
}

// confined checks that slirp4netns's sandbox and filter are on.
func confined(t *testing.T, pid int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	for _, want := range []string{"CapBnd:\t0000000000000400", "Seccomp:\t2", "NoNewPrivs:\t1"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("slirp4netns is not confined: no %q in\n%s", want, status)
		}
	}
}

// TestOtherIDs: containers in which whoever runs this is not root.
func TestOtherIDs(t *testing.T) {
	for _, m := range []Mode{Slirp4netns, Pasta} {
		for u, ids := range map[user]string{asRoot: "0 100000 65536", asOrdinary: fmt.Sprintf("1000 %d 1", ordinary)} {
			t.Run(fmt.Sprintf("%s as %s", m, u), func(t *testing.T) {
				requireProgram(t, string(m))
				require(t, os.Geteuid() == 0 || os.Getenv(worldEnv) != "", "it takes root to map other ids")
				if !inWorld(t, u) {
					return
				}
				requireTun(t)
				box, err := newContainer(true, ids)
				must(t, err)
				defer box.end()
				c := Config{Mode: m, Publish: ports(t, "8080:80")}
				l, err := Connect(t.Context(), c, box.target)
				must(t, err)
				must(t, box.run())
				box.must(t, "dial", "tcp", neighbourAddr+":7000")
				must(t, l.Close())
				nothingLeft(t, c, m)
			})
		}
	}
}

// TestPortsRefused: a port that is taken, and one that the host cannot have.
func TestPortsRefused(t *testing.T) {
	eachTranslator(t, func(t *testing.T, m Mode, own bool) {
		must(t, serveEcho("tcp4", ":8080"))
		must(t, serveEcho("udp4", machineAddr+":8081"))
		refused := map[string]string{"8080:80": "something else listen", machineAddr + ":8081:80/udp": "something else listen", "192.0.2.200:80:80": "192.0.2.200"}
		if m == Pasta { // the world has no IPv6
			refused["[::1]:8082:80"] = "::1"
		}
		if os.Geteuid() != 0 {
			delete(refused, "192.0.2.200:80:80") // Check has its own answer
			refused["192.0.2.200:8083:80"] = "192.0.2.200"
		}
		for spec, say := range refused {
			c := Config{Mode: m, ID: "box", Record: t.TempDir(), Publish: ports(t, spec)}
			box := started(t, own)
			if l, err := Connect(t.Context(), c, box.target); err == nil || !strings.Contains(err.Error(), say) {
				t.Errorf("publish %s: %v; want an error with %q", spec, err, say)
				if err == nil {
					must(t, l.Close())
				}
			}
			nothingLeft(t, c, m)
		}
	})
}

// TestSettle: a host that is in 10.0.2.0/24 itself, as virtual machines are.
func TestSettle(t *testing.T) {
	eachTranslator(t, func(t *testing.T, m Mode, own bool) {
		if addr, err := hostAddress(netip.Addr.Is4, netip.MustParsePrefix(machineAddr+"/24")); addr.IsValid() || err != nil {
			t.Errorf("without %s the host still has %v, %v", machineAddr, addr, err)
		}
		resolv, _, err := HostFiles()
		must(t, err)
		c := Config{Mode: m}
		if c, err := c.Settle(resolv); err != nil || c.Subnet.String() != "10.0.2.0/24" {
			t.Errorf("with nothing in the way the subnet is %v, %v", c.Subnet, err)
		}
		if os.Geteuid() == 0 {
			must(t, address("uplink0", "10.0.2.15/24"))
		}
		resolv = append(resolv, "nameserver 10.0.2.3\nnameserver 10.0.3.9\n"...)
		c, err = c.Settle(resolv)
		if err != nil || c.Subnet.String() != "10.0.4.0/24" {
			t.Fatalf("the subnet is %v, %v", c.Subnet, err)
		}
		box, l := connected(t, c, own)
		if text := box.must(t, "lookup", "10.0.4.3", knownName); text != knownAddr {
			t.Errorf("%s is %q, not %s", knownName, text, knownAddr)
		}
		if l.Address().String() != "10.0.4.100" {
			t.Errorf("the address is %v", l.Address())
		}
	})
}

// TestHostLoopback: the gateway is the host's loopback when that is wanted.
func TestHostLoopback(t *testing.T) {
	eachTranslator(t, func(t *testing.T, m Mode, own bool) {
		c := Config{Mode: m, HostLoopback: true, MTU: 1500}
		box, l := connected(t, c, own)
		must(t, serveEcho("tcp4", "127.0.0.1:7002"))
		if text := box.must(t, "dial", "tcp", "10.0.2.2:7002"); !strings.HasPrefix(text, "from 127.0.0.1") {
			t.Errorf("the host's loopback says %q", text)
		}
		if links := box.must(t, "links", "", ""); !strings.Contains(links, "tap0 1500 ") {
			t.Errorf("the links inside are %s", links)
		}
		must(t, l.Close())
		nothingLeft(t, c, m)
	})
}

// TestHelperKilled: the link says so.
func TestHelperKilled(t *testing.T) {
	eachTranslator(t, func(t *testing.T, m Mode, own bool) {
		c := Config{Mode: m, ID: "box", Record: t.TempDir()}
		_, l := connected(t, c, own)
		pids := processes(translators()[m])
		if len(pids) != 1 {
			t.Fatalf("the helpers are %v", pids)
		}
		must(t, syscall.Kill(pids[0], syscall.SIGKILL))
		select {
		case <-l.Done():
		case <-time.After(patience):
			t.Fatal("nobody notices that the helper has ended")
		}
		if err := l.Err(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
			t.Errorf("the link says %v", err)
		}
		must(t, l.Close())
		nothingLeft(t, c, m)
	})
}

// TestNoWayOut: on a machine with loopback addresses only, slirp4netns answers
// all the same, and pasta says what it lacks.
func TestNoWayOut(t *testing.T) {
	t.Setenv(lonelyEnv, "1")
	eachTranslator(t, func(t *testing.T, m Mode, own bool) {
		box := started(t, own)
		l, err := Connect(t.Context(), Config{Mode: m}, box.target)
		switch m {
		case Slirp4netns:
			must(t, err)
			must(t, l.Close())
		case Pasta: // its version in Debian 12
			if err == nil || !strings.Contains(err.Error(), "External interface not usable") {
				t.Errorf("pasta says %v", err)
			}
		}
		nothingLeft(t, Config{}, m)
	})
}

// TestConnectStops: with its context, and nothing is left.
func TestConnectStops(t *testing.T) {
	eachTranslator(t, func(t *testing.T, m Mode, own bool) {
		box := started(t, own)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := fmt.Errorf("changed my mind")
		cancel(why)
		c := Config{Mode: m, ID: "box", Record: t.TempDir()}
		if _, err := Connect(ctx, c, box.target); err == nil || !strings.Contains(err.Error(), why.Error()) {
			t.Errorf("with a context that has ended, Connect says %v", err)
		}
		nothingLeft(t, c, m)
	})
}
