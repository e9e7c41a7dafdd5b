package traffic

import (
	"cmp"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"isoperf/workloads/load"
)

const ms = int64(time.Millisecond)

// requests are the noted ones, by thread, in the order in which they were due.
func requests(t *testing.T, b *load.Board, kind int32) map[int32][]load.Event {
	t.Helper()
	all := map[int32][]load.Event{}
	for _, e := range b.Since(0) {
		if e.Kind != kind {
			t.Errorf("noted %+v", e)
		}
		all[e.Thread] = append(all[e.Thread], e)
	}
	for _, of := range all { // two that answer may do so in any order
		slices.SortFunc(of, func(a, b load.Event) int { return cmp.Compare(a.Value, b.Value) })
	}
	return all
}

// Each request is answered, and begun when it is due, by TCP and datagrams.
func TestAsk(t *testing.T) {
	for _, test := range []struct {
		host    string
		udp     bool
		step    int64
		threads int
	}{{"127.0.0.1", false, 0, 2}, {"::1", false, 60_000, 1}, {"127.0.0.1", true, 0, 1}, {"::1", true, 1000, 2}} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			o := Options{UDP: test.udp}
			_, a := pair(t, test.host, with(load.Spec{Kind: Answer, Threads: 2}, o), with(load.Spec{Kind: Ask, Threads: test.threads, Step: test.step, Every: 2 * time.Millisecond}, o))
			a.ready(t)
			if a.board.Noted.Load() != 0 {
				t.Error("it asks before it is told to")
			}
			a.board.Go()
			for i := range test.threads {
				awaited(t, "30 answers", func() bool { return a.board.Slots[i].Loops.Load() >= 30 })
			}
			r := a.stop(t)
			noted := requests(t, a.board, load.Request)
			answered := int64(0)
			for i := range test.threads {
				answered += int64(len(noted[int32(i)]))
				for n, e := range noted[int32(i)] {
					if e.From < e.Value || e.To < e.From {
						t.Errorf("due %d, begun %d, done %d", e.Value, e.From, e.To)
					}
					if n > 0 && e.Value-noted[int32(i)][n-1].Value != 2*ms {
						t.Error("the schedule moved")
					}
				}
			}
			if q := r.Asked; q.Answered != answered || q.Due != q.Sent || q.Sent != q.Answered || q.Lost+q.Unanswered+q.Strange != 0 {
				t.Errorf("%d noted: %+v", answered, *q)
			}
		})
	}
}

// An answer that is held up neither moves the schedule nor hides those that are
// due meanwhile; datagrams that wait for more than LostAfter are lost.
func TestAskHeldUp(t *testing.T) {
	for _, udp := range []bool{false, true} {
		t.Run(fmt.Sprint("udp=", udp), func(t *testing.T) {
			t.Parallel()
			o, stop := Options{UDP: udp}, 100*time.Millisecond
			if udp {
				stop = LostAfter + 200*time.Millisecond
			}
			v, a := pair(t, "127.0.0.1", with(load.Spec{Kind: Answer}, o), with(load.Spec{Kind: Ask, Every: time.Millisecond}, o))
			a.ready(t)
			a.board.Go()
			awaited(t, "10 answers", func() bool { return a.board.Slots[0].Loops.Load() >= 10 })
			signal(t, v, syscall.SIGSTOP)
			time.Sleep(stop)
			signal(t, v, syscall.SIGCONT)
			before := a.board.Slots[0].Loops.Load()
			awaited(t, "it goes on", func() bool { return a.board.Slots[0].Loops.Load() > before+150 })
			r := a.stop(t)
			late := 0
			for _, e := range requests(t, a.board, load.Request)[0] {
				if e.To-e.Value > 20*ms {
					late++
				}
			}
			if !udp && late < 50 { // of datagrams, what the socket has room for may all be lost by then
				t.Errorf("%d answers were late", late)
			}
			if q := *r.Asked; udp != (q.Lost > 50) || q.Sent != q.Answered+q.Lost+q.Unanswered {
				t.Errorf("%+v", q)
			}
		})
	}
}

// Connections are made and closed, as many as asked for, and leave nothing open.
func TestConnect(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		v, a := pair(t, host, load.Spec{Kind: Answer, Threads: 2}, load.Spec{Kind: Connect, Threads: 2, Count: 50, Step: 100})
		a.ready(t)
		a.board.Go()
		r, err := a.ended(t)
		if err != nil || r.Asked.Answered != 100 || r.Asked.Failed != 0 || r.Streams[1].TCP == nil {
			t.Errorf("%v %+v", err, r)
		}
		for i, all := range requests(t, a.board, load.Connection) {
			if len(all) != 50 {
				t.Errorf("thread %d noted %d", i, len(all))
			}
			for _, e := range all {
				if e.Value <= e.From || e.To <= e.Value {
					t.Errorf("begun %d, established %d, closed %d", e.From, e.Value, e.To)
				}
			}
		}
		if n := v.stop(t).Streams; n[0].Bytes+n[1].Bytes != 102*100 {
			t.Errorf("answered %+v", n)
		}
	}
}

// A pace is kept: a connection begins no sooner than Every after the one before.
func TestConnectPaced(t *testing.T) {
	_, a := pair(t, "127.0.0.1", load.Spec{Kind: Answer}, load.Spec{Kind: Connect, Count: 10, Every: 5 * time.Millisecond})
	a.ready(t)
	a.board.Go()
	if _, err := a.ended(t); err != nil {
		t.Fatal(err)
	}
	all := requests(t, a.board, load.Connection)[0]
	if n := len(all); n != 10 || all[n-1].From-all[0].From < 9*5*ms*9/10 {
		t.Errorf("%d in %d ns", n, all[n-1].From-all[0].From)
	}
}

func signal(t testing.TB, e *end, s syscall.Signal) {
	t.Helper()
	if err := e.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
