package network

import (
	"errors"
	"fmt"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/workloads/load"
	"isoperf/workloads/traffic"
)

// The search for how many datagrams a path carries.
const (
	lossBound = 0.005                  // of a rate that counts as carried: 0.5 %
	lowest    = 1000.0                 // datagrams per second
	highest   = 4e6                    // beyond what one thread can send
	closeTo   = 1.06                   // how close the search goes: a rate is known to 6 %
	trial     = 200 * time.Millisecond // of one rate
	chances   = 2                      // that a rate has in the search
	drained   = 100 * time.Millisecond // after which what is still under way is lost
)

// attempt is what became of one offered rate.
type attempt struct {
	offered, sent, arrived, overflowed int64
	bytes                              int64
	begin, end                         reading
	took                               time.Duration
	behind                             bool // the sender could not offer that much
}

func (a attempt) loss() float64 {
	if a.sent == 0 {
		return 1
	}
	return 1 - float64(a.arrived)/float64(a.sent)
}

func (a attempt) carried() bool { return a.sent > 0 && a.loss() <= lossBound && !a.behind }

// datagramSize is what fits the MTU, without being cut.
func datagramSize(c Cell) int64 {
	head, mtu := 28, c.MTU
	if c.IP == 6 {
		head = 48
	}
	if mtu == 0 {
		mtu = 65535 // the largest that there is, on loopback
	}
	return int64(min(mtu-head, 65507))
}

// datagrams measures the highest rate that the path carries with a loss of no
// more than 0.5 %: upwards by doubling, then between what was carried and what
// was not. The rate that is found is sent again for as long as a sample takes,
// and lowered until it is carried for so long.
func (w *world) datagrams(c Cell) (o outcome, err error) {
	low, high := 0.0, 0.0
	for rate := lowest; high == 0 && rate < highest; rate *= 2 {
		carried, err := w.carries(c, rate)
		switch {
		case err != nil:
			return o, err
		case carried:
			low = rate
		default:
			high = rate
		}
	}
	if low == 0 {
		return o, fmt.Errorf("not even %.0f datagrams per second arrive with a loss of at most %v", lowest, lossBound)
	}
	for high > low*closeTo {
		carried, err := w.carries(c, (low+high)/2)
		if err != nil {
			return o, err
		}
		if carried {
			low = (low + high) / 2
		} else {
			high = (low + high) / 2
		}
	}
	for ; low > lowest/2; low /= closeTo {
		a, err := w.offer(c, low, c.Window)
		if err != nil {
			return o, err
		}
		if a.carried() {
			return w.datagramOutcome(c, a)
		}
	}
	return o, errors.New("no rate was carried for as long as a sample takes: the loss comes and goes")
}

// carries offers a rate for a trial, and once more when that fails: a thread that the
// machine kept waiting for a millisecond spoils a trial of 0.2 s, and one rate that
// seems not to be carried bounds the search from above.
func (w *world) carries(c Cell, rate float64) (bool, error) {
	for range chances {
		if a, err := w.offer(c, rate, trial); err != nil || a.carried() {
			return err == nil, err
		}
	}
	return false, nil
}

func (w *world) datagramOutcome(c Cell, a attempt) (o outcome, err error) {
	a.begin.bytes, a.end.bytes = 0, a.bytes
	if o.Checked, err = w.prove(c, a.begin, a.begin, a.end, sent{}); err != nil {
		return o, err
	}
	o.Checked.Facts["datagrams"] = fmt.Sprintf("%d of %d arrived", a.arrived, a.sent)
	o.Values = []sample.Value{
		{Value: float64(datagramSize(c)), Unit: "size-B"},
		{Value: max(0, a.loss()), Unit: "loss-ratio"},
		{Value: float64(a.overflowed), Unit: "overflow-count"},
		{Value: float64(a.end.spent()-a.begin.spent()) / float64(a.arrived), Unit: "cpu-ns"},
		{Value: float64(a.bytes) / a.took.Seconds(), Unit: "goodput-B/s"},
	}
	return o, nil
}

// offer sends datagrams at a rate for a while, and counts those that arrive.
func (w *world) offer(c Cell, rate float64, d time.Duration) (a attempt, err error) {
	size := datagramSize(c)
	server := load.Spec{Kind: traffic.ReceiveUDP, Step: size}
	client := load.Spec{Kind: traffic.SendUDP, Step: size, Every: time.Duration(1e9 / rate)}
	e, err := w.meet(server, client)
	defer func() { err = errors.Join(err, e.close()) }()
	if err != nil {
		return a, err
	}
	m := meter{w, e.client, e.server, e.server}
	if a.begin, err = m.read(); err != nil {
		return a, err
	}
	e.server.board.Go()
	e.client.board.Go()
	begin := time.Now()
	if err := w.let(m, d); err != nil {
		return a, err
	}
	a.took = time.Since(begin)
	e.client.board.Stop()
	harness.Rest(drained)
	if a.end, err = m.read(); err != nil { // of the client too: it has not been collected
		return a, err
	}
	sent, err := e.client.stop()
	if err != nil {
		return a, err
	}
	got, err := e.server.stop()
	if err != nil {
		return a, err
	}
	if sent.Offered == nil || got.Arrived == nil {
		return a, errors.New("count datagrams: the ends do not say how many there were")
	}
	a.offered, a.sent, a.overflowed = sent.Offered.Due, sent.Offered.Sent, got.Arrived.Overflowed
	for _, s := range got.Arrived.Senders {
		a.arrived += s.Count
		a.bytes += s.Bytes
	}
	a.behind = float64(a.sent) < (1-lossBound)*float64(a.offered)
	return a, nil
}
