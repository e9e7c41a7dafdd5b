package traffic

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"isoperf/workloads/load"
)

// complains checks that an end failed, and what it says of it.
func complains(t *testing.T, e *end, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s is content", e.spec.Kind)
	}
	for _, w := range words {
		if !strings.Contains(e.text.String(), w) {
			t.Errorf("%s says %q, without %q", e.spec.Kind, &e.text, w)
		}
	}
}

// What cannot begin says why, and what to do.
func TestCannotBegin(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	port := taken.Addr().String()
	datagrams, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { datagrams.Close() })
	for name, test := range map[string]struct {
		spec  load.Spec
		words []string
	}{
		"taken":        {with(load.Spec{Kind: Receive, Path: port}, Options{Listen: true}), []string{port, "in use", "give 0"}},
		"taken answer": {load.Spec{Kind: Answer, Path: port}, []string{port, "give 0"}},
		"taken udp":    {load.Spec{Kind: ReceiveUDP, Path: datagrams.LocalAddr().String()}, []string{"[::1]:", "give 0"}},
		"nobody":       {load.Spec{Kind: Send, Path: "127.0.0.1:1"}, []string{"127.0.0.1:1", "refused", "start the other end"}},
		"nobody ask":   {load.Spec{Kind: Ask, Path: "[::1]:1"}, []string{"[::1]:1", "refused"}},
		"nobody udp":   {with(load.Spec{Kind: Ask, Path: "127.0.0.1:1"}, Options{UDP: true}), []string{"127.0.0.1:1", "refused"}},
		"nobody crr":   {load.Spec{Kind: Connect, Path: "127.0.0.1:1"}, []string{"127.0.0.1:1", "refused"}},
		"not here":     {with(load.Spec{Kind: Send, Path: "192.0.2.1:1"}, Options{Listen: true}), []string{"192.0.2.1:1", "no interface"}},
		"bind":         {load.Spec{Kind: Send, Path: "127.0.0.1:1", Extra: "bind=192.0.2.1"}, []string{"192.0.2.1", "interface"}},
		"address":      {load.Spec{Kind: Send, Path: "localhost:1"}, []string{"localhost:1", "number"}},
		"method":       {load.Spec{Kind: Send, Path: "127.0.0.1:1", Extra: "method=read"}, []string{`"read"`, Sendfile}},
		"congestion":   {load.Spec{Kind: Send, Path: "127.0.0.1:1", Extra: "congestion=nosuch"}, []string{"nosuch", "tcp_allowed"}},
		"option":       {load.Spec{Kind: Send, Path: "127.0.0.1:1", Extra: "widow=1"}, []string{"widow=1", "window="}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, test.spec)
			_, err := e.ended(t)
			complains(t, e, err, test.words...)
		})
	}
}

// An end whose other end dies says so; all of its streams end.
func TestPeerDies(t *testing.T) {
	for _, dies := range []string{Send, Receive, Answer} {
		t.Run(dies, func(t *testing.T) {
			t.Parallel()
			listens, connects := load.Spec{Kind: Receive, Threads: 2}, load.Spec{Kind: Send, Threads: 2}
			if dies == Answer {
				listens, connects = load.Spec{Kind: Answer}, load.Spec{Kind: Ask, Threads: 2}
			}
			r, s := pair(t, "127.0.0.1", with(listens, Options{Listen: true}), connects)
			r.ready(t)
			s.ready(t)
			r.board.Go()
			s.board.Go()
			awaited(t, "bytes move", func() bool { return r.board.Slots[0].Count.Load() > 10 && s.board.Slots[1].Count.Load() > 10 })
			if dies == Send {
				signal(t, s, syscall.SIGKILL)
				got, err := r.ended(t)
				if err != nil || got.Streams[0].End != Closed || got.Streams[1].End != Closed {
					t.Errorf("%v %+v", err, got.Streams)
				}
				return
			}
			signal(t, r, syscall.SIGKILL)
			got, err := s.ended(t)
			complains(t, s, err, "127.0.0.1:", "other end")
			if got.Error == "" || got.Streams[0].End != Failed && got.Streams[1].End != Failed {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Whatever an end waits for, it ends when it is told to.
func TestStopWhileItWaits(t *testing.T) {
	stuck := func(t *testing.T, e *end) {
		t.Helper()
		last := int64(-1)
		awaited(t, "it is stuck", func() bool {
			time.Sleep(50 * time.Millisecond)
			n := e.board.Slots[0].Count.Load()
			was := last
			last = n
			return n == was
		})
	}
	for _, m := range Methods(Send) {
		t.Run("receiver stands still, "+m, func(t *testing.T) {
			t.Parallel()
			r, s := pair(t, "127.0.0.1", with(load.Spec{Kind: Receive}, Options{Listen: true}), with(load.Spec{Kind: Send}, Options{Method: m}))
			r.ready(t)
			s.ready(t)
			s.board.Go()
			signal(t, r, syscall.SIGSTOP)
			stuck(t, s)
			s.stop(t)
		})
	}
	for _, m := range Methods(Receive) {
		t.Run("sender stands still, "+m, func(t *testing.T) {
			t.Parallel()
			r, s := pair(t, "127.0.0.1", with(load.Spec{Kind: Receive}, Options{Listen: true, Method: m}), load.Spec{Kind: Send})
			r.ready(t)
			s.ready(t)
			r.board.Go()
			stuck(t, r)
			r.stop(t)
		})
	}
	t.Run("nobody connects", func(t *testing.T) {
		t.Parallel()
		r := start(t, with(load.Spec{Kind: Receive, Threads: 2, Path: "127.0.0.1:0"}, Options{Listen: true}))
		r.port(t)
		r.stop(t)
	})
	t.Run("nobody answers", func(t *testing.T) {
		t.Parallel()
		v, a := pair(t, "127.0.0.1", load.Spec{Kind: Answer}, load.Spec{Kind: Ask})
		a.ready(t)
		signal(t, v, syscall.SIGSTOP)
		a.board.Go()
		awaited(t, "it asks", func() bool { return a.board.Started.Load() == 1 })
		time.Sleep(20 * time.Millisecond)
		if r := a.stop(t); r.Asked.Unanswered == 0 || r.Asked.Unanswered != r.Asked.Sent-r.Asked.Answered {
			t.Errorf("%+v", *r.Asked)
		}
	})
}
