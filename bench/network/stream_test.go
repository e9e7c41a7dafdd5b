package network

import (
	"fmt"
	"math"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

func TestStream(t *testing.T) {
	for _, p := range paths() {
		t.Run(p.name, func(t *testing.T) {
			s := open(t, short(p.name, "out"))
			for _, dir := range []string{"out", "in"} {
				o, err := s.ask(short(p.name, dir))
				// Somebody else may use the loopback, and pasta may come to a stop.
				for n := 0; err == nil && strings.HasPrefix(o.Failed, "not proven: ") && n < 3; n++ {
					t.Log(o.Failed)
					o, err = s.ask(short(p.name, dir))
				}
				must(t, err)
				must(t, o.err())
				if o.Checked == nil || o.Checked.Read == "" || o.Checked.Facts["mtu"] == "" || o.Checked.Facts["carried"] == "" {
					t.Errorf("%s: the proof is %+v", dir, o.Checked)
				}
				if c := short(p.name, dir); c.MTU != 0 && o.Checked.Facts["mtu"] != fmt.Sprint(c.MTU) {
					t.Errorf("%s: the MTU was read as %s", dir, o.Checked.Facts["mtu"])
				}
				units := map[string]float64{}
				for _, v := range o.Values {
					units[v.Unit] = v.Value
					if math.IsNaN(v.Value) || math.IsInf(v.Value, 0) || v.Value < 0 {
						t.Errorf("%s: %s is %v", dir, v.Unit, v.Value)
					}
				}
				for _, unit := range []string{"goodput-B/s", "cpu-ns/B", "sender-ns/B", "receiver-ns/B"} {
					if units[unit] <= 0 {
						t.Errorf("%s: %s is %v", dir, unit, units[unit])
					}
				}
				_, translated := units["translator-ns/B"]
				if want := strings.HasPrefix(p.name, "pasta") || strings.HasPrefix(p.name, "slirp"); want != translated {
					t.Errorf("%s: the values are %v, but a translator is there: %v", dir, units, want)
				}
			}
		})
	}
}

func TestCarried(t *testing.T) {
	const much = 1e9
	for _, c := range []struct {
		mtu                  int
		link, arrived, again float64
		proved               bool
	}{
		{1500, much, much, 0, true},
		{1500, 1.06 * much, much, 0, true},         // headers
		{1500, 1.3 * much, much, 0, false},         // somebody else's bytes
		{1500, 1.3 * much, much, 0.3 * much, true}, // that were sent again
		{65520, 1.12 * much, much, 0, false},       // large packets have few headers
		{1500, 0.9 * much, much, 0, false},         // some went another way
		{1500, 0, much, 0, false},                  // all did
		{1500, 0, 1e6, 0, false},                   // however few
		{1500, 4e6, 1e6, 0, true},                  // sockets hold some MiB
		{1500, 40e6, 1e6, 0, false},                // not so many
		{0, much, much, 0, true}, {1500, 0, 0, 0, false},
	} {
		if _, err := (Cell{MTU: c.mtu}).carried(c.link, c.arrived, c.again, held); (err == nil) != c.proved {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// reach is a handle on the namespace of a process below a stage that has an
// address, and the process.
func reach(t *testing.T, s *stage, address string) (*netlink.Handle, int) {
	t.Helper()
	require(t, os.Geteuid() == 0, "it takes root to reach into the namespaces of a host")
	for _, pid := range append(below(s.cmd.Process.Pid), s.cmd.Process.Pid) {
		ns, err := netns.GetFromPid(pid)
		if err != nil {
			continue
		}
		h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
		ns.Close()
		must(t, err)
		list, err := h.AddrList(nil, netlink.FAMILY_V4)
		must(t, err)
		for _, a := range list {
			if a.IP.String() == address {
				t.Cleanup(h.Close)
				return h, pid
			}
		}
		h.Close()
	}
	t.Fatalf("no process of the host has the address %s", address)
	return nil, 0
}

// notProven asks for a sample, which must fail so.
func notProven(t *testing.T, s *stage, c Cell, wanted ...string) {
	t.Helper()
	o, err := s.ask(c)
	must(t, err)
	said := slices.ContainsFunc(wanted, func(say string) bool { return strings.Contains(o.Failed, say) })
	if len(o.Values) != 0 || !strings.Contains(o.Failed, "not proven") || !said {
		t.Errorf("values %v, failed with %q, wanted one of %q", o.Values, o.Failed, wanted)
	}
}

// containers are the addresses of the container's end.
func containers() map[string]string {
	return map[string]string{"slirp4netns": "10.0.2.100", "pasta": "10.0.2.100", "bridge": bridgedV4}
}

// Bytes that go past the path do not count.
func TestBypass(t *testing.T) {
	for _, name := range []string{"slirp4netns", "bridge"} {
		t.Run(name, func(t *testing.T) {
			s := open(t, short(name, "out"))
			peer, pid := reach(t, s, peerV4)
			inside, _ := reach(t, s, containers()[name])
			ns, err := netns.GetFromPid(pid)
			must(t, err)
			defer ns.Close()
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "past0"
			must(t, inside.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "past1", PeerNamespace: netlink.NsFd(ns)}))
			for _, end := range []struct {
				h         *netlink.Handle
				name, own string
				to        string
			}{{inside, "past0", "203.0.113.1/32", peerV4 + "/32"}, {peer, "past1", "203.0.113.2/32", "203.0.113.1/32"}} {
				link, err := end.h.LinkByName(end.name)
				must(t, err)
				own, err := netlink.ParseAddr(end.own)
				must(t, err)
				must(t, end.h.AddrAdd(link, own))
				must(t, end.h.LinkSetUp(link))
				_, to, err := net.ParseCIDR(end.to)
				must(t, err)
				must(t, end.h.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: to, Scope: netlink.SCOPE_LINK, Src: own.IP}))
			}
			// slirp4netns may still be at work on the connection before.
			notProven(t, s, short(name, "out"), "used no CPU time", "carried")
		})
	}
}

func TestWrongMTU(t *testing.T) {
	s := open(t, short("bridge", "out"))
	inside, _ := reach(t, s, bridgedV4)
	link, err := inside.LinkByName(inner)
	must(t, err)
	must(t, inside.LinkSetMTU(link, 1400))
	notProven(t, s, short("bridge", "out"), "is 1400, and not 65520")
}

// A path that is cut is no figure.
func TestCut(t *testing.T) {
	s := open(t, short("veth", "out"))
	host, _ := reach(t, s, hostV4)
	link, err := host.LinkByName(uplink)
	must(t, err)
	must(t, host.LinkSetDown(link))
	o, err := s.ask(short("veth", "out"))
	must(t, err)
	if len(o.Values) != 0 || !strings.Contains(o.Failed, "there is no route") {
		t.Errorf("values %v, failed with %q", o.Values, o.Failed)
	}
}

// Somebody else has the port that is published.
func TestPortTaken(t *testing.T) {
	s := open(t, short("pasta-port", "in"))
	_, pid := reach(t, s, "10.0.2.100")
	done, listening := make(chan struct{}), make(chan error)
	defer close(done)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		ns, err := netns.GetFromPid(pid)
		if err == nil {
			err = netns.Set(ns)
			ns.Close()
		}
		var l net.Listener
		if err == nil {
			l, err = net.Listen("tcp4", at("0.0.0.0", published))
		}
		listening <- err
		if err == nil {
			<-done
			l.Close()
		}
	}()
	must(t, <-listening)
	o, err := s.ask(short("pasta-port", "in"))
	must(t, err)
	if len(o.Values) != 0 || !strings.Contains(o.Failed, "another process has the port") {
		t.Errorf("values %v, failed with %q", o.Values, o.Failed)
	}
}
