package traffic

import (
	"fmt"
	"testing"
	"time"

	"isoperf/workloads/load"
)

// All datagrams arrive at a rate that is no burden, by each method, and are told
// apart by sender.
func TestDatagrams(t *testing.T) {
	for _, test := range []struct {
		host, method string
		every        time.Duration
		threads      int
	}{{"127.0.0.1", Write, time.Millisecond, 2}, {"::1", Write, 20 * time.Microsecond, 1}, {"127.0.0.1", Segment, 20 * time.Microsecond, 1}, {"::1", Segment, 0, 1}} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			r, s := pair(t, test.host, with(load.Spec{Kind: ReceiveUDP}, Options{Window: 1 << 22}),
				with(load.Spec{Kind: SendUDP, Threads: test.threads, Every: test.every, Count: 100}, Options{Method: test.method}))
			r.ready(t)
			s.ready(t)
			s.board.Go()
			sent, err := s.ended(t)
			n := 100 * int64(test.threads)
			if err != nil || sent.Offered.Sent != n || sent.Offered.Due != n || sent.Method != test.method {
				t.Errorf("%v %+v", err, sent)
			}
			got := r.stop(t).Arrived
			if len(got.Senders) != test.threads || got.Reordered+got.Duplicates+got.Strange+got.Overflowed != 0 {
				t.Fatalf("%+v", got)
			}
			for _, of := range got.Senders {
				if of.Count != 100 || of.Next != 100 || of.Bytes != 100*int64(sent.Block) {
					t.Errorf("%+v", of)
				}
			}
			for _, e := range requests(t, r.board, load.Request)[0] {
				if e.From < e.Value || e.To < e.From {
					t.Errorf("due %d, begun %d, done %d", e.Value, e.From, e.To)
				}
			}
		})
	}
}

// What the receiver's socket has no room for is counted, to the datagram.
func TestOverflow(t *testing.T) {
	r, s := pair(t, "127.0.0.1", with(load.Spec{Kind: ReceiveUDP}, Options{Window: 1}), load.Spec{Kind: SendUDP, Count: 20_000})
	r.ready(t)
	s.ready(t)
	s.board.Go()
	if _, err := s.ended(t); err != nil {
		t.Fatal(err)
	}
	got := r.stop(t)
	if a := got.Arrived; a.Overflowed == 0 || a.Senders[0].Count+a.Overflowed != 20_000 || got.Streams[0].ReceiveBuffer > 1<<16 {
		t.Errorf("%+v %+v", a, got.Streams[0])
	}
}

// Datagrams that the path cannot carry in one piece are refused.
func TestTooLarge(t *testing.T) {
	s := start(t, load.Spec{Kind: SendUDP, Step: 65527, Path: "[::1]:9"})
	s.ready(t)
	s.board.Go()
	_, err := s.ended(t)
	complains(t, s, err, "[::1]:9", "MTU")
}

// Numbers that are missing, late and twice there are told apart.
func TestNumbers(t *testing.T) {
	var a Arrived
	var n numbers
	for _, number := range []uint64{0, 1, 3, 2, 3, 5, 200_000, 199_999, 4, 200_000} {
		n.take(number, 10, &a)
	}
	want := Arrived{Reordered: 2, Duplicates: 2, Strange: 1}
	if fmt.Sprint(a) != fmt.Sprint(want) || n.Count != 7 || n.Next != 200_001 || n.Bytes != 70 {
		t.Errorf("%+v %+v", a, n.Sender)
	}
	h := Header{Stream: 3, Number: 1 << 40, Due: 5, Begun: 6}
	text := make([]byte, HeaderBytes)
	h.put(text)
	if got, ok := header(text); !ok || got != h {
		t.Errorf("%+v, %v", got, ok)
	}
	for _, bad := range [][]byte{nil, text[1:], make([]byte, HeaderBytes)} {
		if _, ok := header(bad); ok {
			t.Errorf("%v is a header", bad)
		}
	}
}
