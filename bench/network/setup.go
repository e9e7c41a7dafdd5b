package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"isoperf/bench/sample"
	runtimenet "isoperf/runtime/network"
	"isoperf/runtime/program"
)

// connected is a container that has been given a network.
type connected struct {
	link *runtimenet.Link // nil: no runtime did it
	undo func() error
}

// setup measures how long it takes until a container has a network, by the
// first handshake of TCP with the peer, and until the network is gone again.
func (w *world) setup(c Cell) (o outcome, err error) {
	p, err := findPath(c.Path)
	if err != nil {
		return o, err
	}
	container, err := newPlace("container")
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, container.close()) }()
	listener, err := w.listen()
	if err != nil {
		return o, err
	}
	defer listener.Close()
	seen, err := container.watch()
	if err != nil {
		return o, err
	}
	defer seen.close()
	begin := program.Now()
	made, err := p.attach(w, c, container)
	if err != nil {
		return o, err
	}
	said := program.Now()
	err = container.within(func() error { return handshake(listener.Addr().String()) })
	ready := program.Now()
	if made.link != nil && made.link.Config().IPv6 && err == nil {
		err = seen.await6() // it works before, from the link's own address
	}
	memory := int64(0)
	if made.link != nil && made.link.Helper() != 0 && err == nil {
		memory, err = resident(made.link.Helper())
	}
	closing := program.Now()
	err = errors.Join(err, made.undo())
	closed := program.Now()
	if err != nil {
		return o, err
	}
	o.Checked = &sample.Checked{Limit: "path", Asked: c.Path, Read: "handshake with " + listener.Addr().String(), Facts: map[string]string{}}
	o.Values = seen.values(begin)
	if made.link != nil {
		o.Values = append(o.Values, steps(made.link, begin)...)
	}
	if memory != 0 {
		o.Values = append(o.Values, sample.Value{Value: float64(memory), Unit: "translator-B"})
	}
	o.Values = append(o.Values,
		sample.Value{Value: float64(closed - closing), Unit: "teardown-ns"},
		sample.Value{Value: float64(said - begin), Unit: "said-ns"},
		sample.Value{Value: float64(ready - begin), Unit: "setup-ns"})
	return o, nil
}

// steps are the instants, from the beginning, at which the runtime's own steps
// ended that a report knows.
func steps(l *runtimenet.Link, begin int64) (values []sample.Value) {
	for _, s := range l.Steps() {
		if s.Name == "process started" {
			values = append(values, sample.Value{Value: float64(s.End - begin), Unit: "process-ns"})
		}
	}
	return values
}

// listen has somebody answer at the peer.
func (w *world) listen() (l net.Listener, err error) {
	err = w.peer.within(func() error {
		l, err = net.Listen("tcp4", at(peerV4, 0))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen at the peer: %w", err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return l, nil
}

// handshake connects; a route that is not there yet is waited for.
func handshake(address string) error {
	d := net.Dialer{Timeout: patience}
	for begin := time.Now(); ; time.Sleep(100 * time.Microsecond) {
		c, err := d.Dial("tcp4", address)
		if err == nil {
			return c.Close()
		}
		early := errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ECONNREFUSED)
		if !early || time.Since(begin) > patience {
			return fmt.Errorf("connect from the container to the peer: %w", err)
		}
	}
}

// sightings are the instants at which a namespace's link and addresses were
// first seen to be there.
type sightings struct {
	mu           sync.Mutex
	link, v4, v6 int64
	done         chan struct{}
	links        chan netlink.LinkUpdate
	addresses    chan netlink.AddrUpdate
	all          sync.WaitGroup
}

// watch begins to look at a place, by the kernel's own notes (rtnetlink(7)).
func (p *place) watch() (*sightings, error) {
	s := &sightings{done: make(chan struct{}), links: make(chan netlink.LinkUpdate, 64), addresses: make(chan netlink.AddrUpdate, 64)}
	ns := netns.NsHandle(p.net)
	if err := netlink.LinkSubscribeAt(ns, s.links, s.done); err != nil {
		return nil, fmt.Errorf("watch the links of the %s: %w", p.name, err)
	}
	if err := netlink.AddrSubscribeAt(ns, s.addresses, s.done); err != nil {
		close(s.done)
		return nil, fmt.Errorf("watch the addresses of the %s: %w", p.name, err)
	}
	s.all.Go(func() {
		for u := range s.links {
			now := program.Now()
			if u.Link.Attrs().Name != "lo" && u.Flags&unix.IFF_RUNNING != 0 {
				s.first(&s.link, now)
			}
		}
	})
	s.all.Go(func() {
		for u := range s.addresses {
			now := program.Now()
			switch {
			case !u.NewAddr || u.LinkAddress.IP.IsLoopback():
			case u.LinkAddress.IP.To4() != nil:
				s.first(&s.v4, now)
			case u.LinkAddress.IP.IsLinkLocalUnicast() || u.Flags&unix.IFA_F_TENTATIVE != 0:
			default:
				s.first(&s.v6, now)
			}
		}
	})
	return s, nil
}

func (s *sightings) first(at *int64, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *at == 0 {
		*at = now
	}
}

// await6 waits until an IPv6 address has been seen.
func (s *sightings) await6() error {
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		at := s.v6
		s.mu.Unlock()
		if at != 0 {
			return nil
		}
	}
	return fmt.Errorf("wait for the container's IPv6 address: none is to be seen within %v", patience)
}

func (s *sightings) close() { close(s.done) }

// values are what has been seen, from the beginning.
func (s *sightings) values(begin int64) (values []sample.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range []struct {
		at   int64
		unit string
	}{{s.link, "link-ns"}, {s.v4, "address-ns"}, {s.v6, "address6-ns"}} {
		if v.at != 0 {
			values = append(values, sample.Value{Value: float64(v.at - begin), Unit: v.unit})
		}
	}
	return values
}

// resident is a process's memory: VmRSS of proc(5), in bytes.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	_, rest, found := strings.Cut(string(text), "VmRSS:")
	word := strings.Fields(rest)
	if !found || len(word) == 0 {
		return 0, fmt.Errorf("read the memory of process %d: /proc/%[1]d/status has no VmRSS", pid)
	}
	kib, err := strconv.ParseInt(word[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	return kib * 1024, nil
}

// runtimeAttach has the runtime connect a container, as it does on a host that
// has IPv6: through a translator the container gets that, too.
func runtimeAttach(mode runtimenet.Mode) func(*world, Cell, *place) (connected, error) {
	return func(w *world, c Cell, container *place) (connected, error) {
		link, err := w.join(context.Background(), container, runtimenet.Config{Mode: mode, MTU: c.MTU, IPv6: mode != runtimenet.Bridge})
		if err != nil {
			return connected{}, err
		}
		return connected{link, link.Close}, nil
	}
}

// pairAttach gives a container one end of a veth pair, of which the other is the
// host's, and on the bridge with the uplink when there is one.
func pairAttach(w *world, c Cell, container *place) (connected, error) {
	const name = "veth1"
	undo := func() error {
		link, err := w.host.netlink.LinkByName(name)
		if err == nil {
			err = w.host.netlink.LinkDel(link)
		}
		if err != nil {
			return fmt.Errorf("remove the veth pair: %w", err)
		}
		return nil
	}
	if err := w.host.pair(name, c.MTU, container); err != nil {
		return connected{}, err
	}
	err := w.onBridge(name)
	if err == nil {
		err = errors.Join(w.host.up(name, 0), container.up(inner, 0, bridgedV4+"/24", bridgedV6+"/64"))
	}
	if err != nil {
		return connected{}, errors.Join(err, undo())
	}
	return connected{undo: undo}, nil
}
