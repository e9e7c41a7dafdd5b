package traffic

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"testing"

	"isoperf/workloads/load"
)

// at is a port of an address of this machine.
func at(host string, port int64) string {
	return netip.AddrPortFrom(netip.MustParseAddr(host), uint16(port)).String()
}

// pair is both ends of a path, the first of which listens.
func pair(t testing.TB, host string, listens, connects load.Spec) (*end, *end) {
	t.Helper()
	listens.Path = at(host, 0)
	a := start(t, listens)
	connects.Path = at(host, a.port(t))
	return a, start(t, connects)
}

func with(s load.Spec, o Options) load.Spec {
	s.Extra = o.String()
	return s
}

// Bytes arrive, whichever end connects, by every method, and both ends say how many.
func TestStreams(t *testing.T) {
	type test struct {
		host          string
		senderListens bool
		send, receive string
		threads       int
	}
	tests := []test{{"127.0.0.1", false, "", "", 1}, {"::1", true, "", "", 3}, {"::1", false, Write, Truncate, 2}}
	for _, m := range Methods(Send) {
		tests = append(tests, test{"127.0.0.1", true, m, Read, 1})
	}
	for _, m := range Methods(Receive) {
		tests = append(tests, test{"127.0.0.1", false, Write, m, 1})
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			sender := with(load.Spec{Kind: Send, Threads: test.threads}, Options{Listen: test.senderListens, Method: test.send})
			receiver := with(load.Spec{Kind: Receive, Threads: test.threads}, Options{Listen: !test.senderListens, Method: test.receive})
			var s, r *end
			if test.senderListens {
				s, r = pair(t, test.host, sender, receiver)
			} else {
				r, s = pair(t, test.host, receiver, sender)
			}
			s.ready(t)
			r.ready(t)
			if s.board.Slots[0].Count.Load() != 0 {
				t.Error("it sends before it is told to")
			}
			r.board.Go()
			s.board.Go()
			for i := range test.threads {
				awaited(t, "megabytes arrive", func() bool { return r.board.Slots[i].Count.Load() > 4<<20 })
			}
			sent, got := s.stop(t), r.stop(t)
			moved := func(r Report) (n int64) {
				for i, s := range r.Streams {
					n += s.Bytes
					if s.TCP == nil || s.TCP.Congestion == "" || s.TCP.MSS == 0 || s.SendBuffer == 0 || s.ReceiveBuffer == 0 || s.PathMTU == 0 ||
						netip.MustParseAddrPort(s.Local).Addr() != netip.MustParseAddr(test.host) || s.Remote == "" || s.Calls == 0 {
						t.Errorf("stream %d: %+v", i, s)
					}
				}
				return n
			}
			if from, to := moved(sent), moved(got); from < to {
				t.Errorf("%d bytes were sent, %d came", from, to)
			}
			if want := cmp.Or(test.send, Write); sent.Method != want {
				t.Errorf("sent by %q", sent.Method)
			}
			if z := sent.Streams[0]; test.send == ZeroCopy && (z.ZeroCopyDone == 0 || z.ZeroCopyCopied == 0) {
				t.Errorf("loopback copies, but: %+v", z)
			}
		})
	}
}

// All that was to be sent arrives, to the byte, and the noted steps add up.
func TestBytes(t *testing.T) {
	const all = 10_000_000
	r, s := pair(t, "127.0.0.1", with(load.Spec{Kind: Receive}, Options{Listen: true}), load.Spec{Kind: Send, Bytes: all, Step: 1000})
	r.ready(t)
	s.ready(t)
	s.board.Go()
	r.board.Go()
	got, err := r.ended(t)
	if err != nil || got.Streams[0].Bytes != all || got.Streams[0].End != Closed {
		t.Errorf("%+v, %v", got.Streams[0], err)
	}
	sent, err := s.ended(t)
	if err != nil || sent.Streams[0].Bytes != all || sent.Streams[0].End != Done || sent.Streams[0].Calls != all/1000 {
		t.Errorf("%+v, %v", sent.Streams[0], err)
	}
	sum := int64(0)
	for _, e := range r.board.Since(0) {
		if e.Kind != load.Step || e.To < e.From {
			t.Errorf("%+v", e)
		}
		sum += e.Value
	}
	if sum != all || r.board.Slots[0].Count.Load() != all {
		t.Errorf("noted %s bytes", strconv.FormatInt(sum, 10))
	}
}
