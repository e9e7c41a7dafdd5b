package traffic

import (
	"net/netip"
	"os"
	"syscall"
	"testing"

	"isoperf/workloads/load"
)

// An ordinary user has all kinds as well. (That of the tests has, when it is not root.)
func TestOrdinaryUser(t *testing.T) {
	var who *syscall.SysProcAttr
	if os.Getuid() == 0 {
		who = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	udp := Options{UDP: true}
	for _, test := range []struct{ listens, connects load.Spec }{
		{with(load.Spec{Kind: Receive}, Options{Listen: true}), load.Spec{Kind: Send}},
		{with(load.Spec{Kind: Receive}, Options{Listen: true, Method: Splice}), with(load.Spec{Kind: Send}, Options{Method: Splice})},
		{with(load.Spec{Kind: Send}, Options{Listen: true, Method: ZeroCopy}), load.Spec{Kind: Receive}},
		{load.Spec{Kind: Answer}, load.Spec{Kind: Ask}},
		{with(load.Spec{Kind: Answer}, udp), with(load.Spec{Kind: Ask}, udp)},
		{load.Spec{Kind: Answer}, load.Spec{Kind: Connect}},
		{load.Spec{Kind: ReceiveUDP}, with(load.Spec{Kind: SendUDP}, Options{Method: Segment})},
	} {
		t.Run(test.listens.Kind+"+"+test.connects.Kind+test.connects.Extra, func(t *testing.T) {
			test.listens.Path = at("::1", 0)
			a := startAs(t, test.listens, who)
			test.connects.Path = at("::1", a.port(t))
			z := startAs(t, test.connects, who)
			a.ready(t)
			z.ready(t)
			a.board.Go()
			z.board.Go()
			awaited(t, "it moves", func() bool { return a.board.Slots[0].Loops.Load() > 3 && z.board.Slots[0].Loops.Load() > 3 })
			z.stop(t)
			a.stop(t)
		})
	}
}

// Buffers and the address to connect from are what was asked for; the kernel
// doubles the buffers (socket(7)).
func TestOptionsTaken(t *testing.T) {
	o := Options{Window: 50_000, Congestion: "reno"}
	l := o
	l.Listen = true
	z := o
	z.Bind = netip.MustParseAddr("127.0.0.9")
	r, s := pair(t, "127.0.0.1", with(load.Spec{Kind: Receive}, l), with(load.Spec{Kind: Send}, z))
	r.ready(t)
	s.ready(t)
	for _, e := range []*end{s, r} {
		got := e.stop(t).Streams[0]
		if got.SendBuffer != 100_000 || got.ReceiveBuffer != 100_000 || got.TCP.Congestion != "reno" {
			t.Errorf("%s: %+v", e.spec.Kind, got)
		}
		if from := map[string]string{Send: got.Local, Receive: got.Remote}[e.spec.Kind]; from[:10] != "127.0.0.9:" {
			t.Errorf("%s: it connected from %s", e.spec.Kind, from)
		}
	}
}
