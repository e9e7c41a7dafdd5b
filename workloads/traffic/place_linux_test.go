package traffic

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"isoperf/workloads/load"
)

// missing skips a test that cannot run here, and says why; with ISOPERF_MUST_RUN=1
// it fails.
func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("ISOPERF_MUST_RUN") == "1" && os.Getuid() == 0 {
		t.Fatalf("must run, but: %s", why)
	}
	t.Skip(why)
}

// place is where an end runs: a network namespace, as the thread that has it.
type place struct{ calls chan func() }

// newPlace makes a network namespace. Whatever is run there is its own.
func newPlace(t testing.TB) *place {
	t.Helper()
	p := &place{make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		ns, err := netns.New()
		if err == nil {
			err = ns.Close()
		}
		made <- err
		for call := range p.calls {
			call()
		}
	}()
	if err := <-made; err != nil {
		missing(t, fmt.Sprintf("make a network namespace: %v; run as root", err))
	}
	t.Cleanup(func() { close(p.calls) })
	return p
}

func (p *place) do(call func()) {
	if p == nil { // here
		call()
		return
	}
	done := make(chan struct{})
	p.calls <- func() { defer close(done); call() }
	<-done
}

// When all local ports wait out their end, connect says what to do.
func TestPortsRunOut(t *testing.T) {
	p := newPlace(t)
	var err error
	p.do(func() {
		var lo netlink.Link
		if lo, err = netlink.LinkByName("lo"); err == nil {
			err = errors.Join(netlink.LinkSetUp(lo),
				os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40015"), 0),
				os.WriteFile("/proc/sys/net/ipv4/tcp_tw_reuse", []byte("0"), 0))
		}
	})
	if err != nil {
		missing(t, fmt.Sprintf("have few ports in a network namespace: %v", err))
	}
	var v, a *end
	p.do(func() { v = start(t, load.Spec{Kind: Answer, Path: at("127.0.0.1", 30000)}) })
	v.port(t)
	p.do(func() { a = start(t, load.Spec{Kind: Connect, Path: at("127.0.0.1", 30000)}) })
	a.ready(t)
	a.board.Go()
	r, err := a.ended(t)
	complains(t, a, err, "127.0.0.1:30000", "tcp_tw_reuse")
	if r.Asked.Answered == 0 || r.Asked.Answered > 16 || r.Asked.Failed != 1 {
		t.Errorf("%+v", *r.Asked)
	}
}
