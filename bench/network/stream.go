package network

import (
	"errors"
	"fmt"
	"time"

	"isoperf/bench/sample"
	"isoperf/workloads/load"
	"isoperf/workloads/traffic"
)

// tick is how often the bytes are looked at for the curve over time.
const tick = 50 * time.Millisecond

// measure takes one sample.
func (w *world) measure(c Cell) (outcome, error) {
	if c.Foreign != nil {
		return w.foreign(c)
	}
	switch c.Family {
	case Stream, Distance, Methods:
		return w.stream(c)
	case Request:
		return w.request(c)
	case Connect:
		return w.connections(c)
	case Datagram:
		return w.datagrams(c)
	case Setup:
		return w.setup(c)
	}
	return outcome{}, fmt.Errorf("measure %q: there is no such family", c.Family)
}

// ends are the two processes of a measurement.
type ends struct{ client, server *endpoint }

func (e ends) close() error {
	var err error
	for _, end := range []*endpoint{e.client, e.server} {
		if end != nil {
			err = errors.Join(err, end.close())
		}
	}
	return err
}

// meet starts a listener and has the client connect to it.
func (w *world) meet(server, client load.Spec) (e ends, err error) {
	server.Path = at(w.route.listen, w.route.port)
	if e.server, err = w.start(w.route.server, server); err != nil {
		return e, err
	}
	port, err := e.server.port()
	if err != nil {
		return e, err
	}
	client.Path = at(w.route.dial, port)
	if e.client, err = w.start(w.route.client, client); err != nil {
		return e, err
	}
	return e, e.client.ready()
}

// stream measures how many bytes per second arrive.
func (w *world) stream(c Cell) (o outcome, err error) {
	outward := (c.Dir == "out") == w.route.inside // the client sends
	sender := load.Spec{Kind: traffic.Send, Threads: c.Streams}
	receiver := load.Spec{Kind: traffic.Receive, Threads: c.Streams}
	sender.Extra = traffic.Options{Method: c.Send, Listen: !outward, Window: c.Buffer}.String()
	receiver.Extra = traffic.Options{Method: c.Receive, Listen: outward, Window: c.Buffer}.String()
	client, server := receiver, sender
	if outward {
		client, server = sender, receiver
	}
	var outset reading
	if err := w.between(&outset); err != nil {
		return o, err
	}
	e, err := w.meet(server, client)
	defer func() { err = errors.Join(err, e.close()) }()
	if err != nil {
		return o, err
	}
	if err := e.server.ready(); err != nil {
		return o, err
	}
	m := meter{w, e.client, e.server, e.client}
	if outward {
		m.receives = e.server
	}
	return w.flow(c, m, outset, outward)
}

// flow lets streams run that are connected, and stops them. outset is what the
// link's counters said before.
func (w *world) flow(c Cell, m meter, outset reading, outward bool) (o outcome, err error) {
	m.server.board.Go()
	m.client.board.Go()
	curve := sample.Series{Name: "bytes per second since the start", X: "ns", Y: "B/s"}
	begin, end, err := w.during(m, c, &curve)
	if err != nil {
		return o, err
	}
	facing := time.Duration(0)
	if c.Family == Distance {
		if facing, err = w.facing(c); err != nil {
			return o, err
		}
	}
	report, err := finish(ends{m.client, m.server}, outward)
	if err != nil {
		return o, err
	}
	o.Checked, err = w.prove(c, outset, begin, end, report)
	trip := w.roundTrip(report, outward, w.translator() != 0, facing)
	if err = errors.Join(err, proveDistance(c.RTT, trip)); err != nil {
		return o, err
	}
	report.note(o.Checked.Facts)
	o.Series = []sample.Series{curve}
	if c.Family == Distance {
		o.Values = []sample.Value{{Value: float64(trip), Unit: "rtt-ns"}}
	}
	o.Values = append(o.Values, sample.Value{Value: float64(longestStill(curve.Points)), Unit: "still-ns"})
	o.Values = append(o.Values, streamValues(begin, end, outward, report)...)
	return o, nil
}

// follow lets the streams run, and adds to the curve. It waits by the Go runtime's
// timers and not by harness.Rest: with that, this process's monitor thread was seen
// to wake 1,200 times a second while the streams ran.
func (w *world) follow(m meter, d time.Duration, curve *sample.Series) error {
	begin, last := time.Now(), arrived(m.receives)
	for at := begin; time.Since(begin) < d; {
		time.Sleep(min(tick, d-time.Since(begin)))
		now, bytes := time.Now(), arrived(m.receives)
		from := 0.0
		if n := len(curve.Points); n > 0 {
			from = curve.Points[n-1][0]
		}
		took := now.Sub(at)
		curve.Points = append(curve.Points, [2]float64{from + float64(took), float64(bytes-last) / took.Seconds()})
		at, last = now, bytes
		if err := w.alive(m); err != nil {
			return err
		}
	}
	return nil
}

// alive says what has ended that should not have.
func (w *world) alive(m meter) error {
	if err := w.linked(0); err != nil {
		return err
	}
	for _, e := range []*endpoint{m.client, m.server} {
		if e.gone() {
			// When a translator dies, the ends may see it first.
			if err := w.linked(time.Second); err != nil {
				return err
			}
			return fmt.Errorf("an end ended while it was measured: %w", e.failure())
		}
	}
	return nil
}

// linked says that the runtime's part of the path has broken, or does so within a
// time.
func (w *world) linked(within time.Duration) error {
	if w.link == nil || w.link.Helper() == 0 {
		return nil
	}
	late := time.After(within)
	select {
	case <-w.link.Done():
	case <-late:
		select {
		case <-w.link.Done():
		default:
			return nil
		}
	}
	return fmt.Errorf("the path broke while it was measured: %w", w.link.Err())
}

// sent is what the ends say of their connections.
type sent struct{ sender, receiver traffic.Report }

// finish stops both ends, the sender first.
func finish(e ends, outward bool) (s sent, err error) {
	sender, receiver := e.server, e.client
	if outward {
		sender, receiver = e.client, e.server
	}
	sender.board.Stop()
	receiver.board.Stop()
	if s.sender, err = sender.stop(); err != nil {
		return s, err
	}
	s.receiver, err = receiver.stop()
	return s, err
}

// streamValues are a sample's figures. Those of a byte are of a byte that
// arrived.
func streamValues(begin, end reading, outward bool, s sent) []sample.Value {
	bytes := float64(end.bytes - begin.bytes)
	client, server := end.client-begin.client, end.server-begin.server
	sender, receiver := server, client
	if outward {
		sender, receiver = client, server
	}
	translator := end.translator - begin.translator
	values := []sample.Value{
		{Value: float64(sender) / bytes, Unit: "sender-ns/B"},
		{Value: float64(receiver) / bytes, Unit: "receiver-ns/B"},
	}
	if end.translator != 0 {
		values = append(values, sample.Value{Value: float64(translator) / bytes, Unit: "translator-ns/B"})
	}
	return append(values,
		sample.Value{Value: float64(end.softirq-begin.softirq) / bytes, Unit: "softirq-ns/B"},
		sample.Value{Value: float64(sender+receiver+translator) / bytes, Unit: "cpu-ns/B"},
		sample.Value{Value: float64(s.retransmits()), Unit: "retransmits-count"},
		sample.Value{Value: bytes / (float64(end.at-begin.at) / 1e9), Unit: "goodput-B/s"})
}

// headers is the largest share that headers and answers add to the data, by MTU:
// 40 to 74 bytes a packet, and an answer to every second one. Large packets that
// the kernel cuts late (GSO) carry fewer.
func headers(mtu int) float64 {
	if mtu == 0 {
		mtu = 65536 // of the loopback
	}
	return 1.5 * 80 / float64(mtu-80)
}

// prove holds what the path must have done against what it did: a sample of
// which that cannot be said has no number. Where the peer is far away, much is
// under way at any instant, and what is varies: there all that has arrived since
// the outset, before there were streams, is held against all that was carried.
func (w *world) prove(c Cell, outset, begin, end reading, s sent) (*sample.Checked, error) {
	if end.bytes <= begin.bytes {
		return nil, fmt.Errorf("not proven: nothing arrived within %v", time.Duration(end.at-begin.at))
	}
	checked, err := w.checked(c, begin, end)
	if err != nil {
		return nil, err
	}
	again, kept := s.again(), max(held, s.buffers())
	if c.RTT > 0 {
		underWay, err := w.underWay(s)
		if err != nil {
			return nil, err
		}
		begin, again, kept = outset, again+underWay, 0
	}
	ratio, err := accounted(c, begin, end, again, kept)
	if err != nil {
		return nil, fmt.Errorf("%w; link %s of the %s", err, w.route.deviceName, w.route.device.name)
	}
	checked.Facts["carried"] = fmt.Sprintf("%.4f", ratio)
	return checked, nil
}

// accounted is how many bytes the container's link carried for each that
// arrived; see carried.
func accounted(c Cell, begin, end reading, again, held float64) (float64, error) {
	bytes := float64(end.bytes - begin.bytes)
	carried := float64(end.got - begin.got)
	if c.Dir == "out" {
		carried = float64(end.sent - begin.sent)
	}
	return c.carried(carried, bytes, again, held)
}

// held are the bytes that sockets may hold between the container's link and a
// receiver: those of pasta have buffers of 8 MiB, and those of slirp4netns grow to
// some MiB. A receiver's grows to what the kernel allows (net.ipv4.tcp_rmem). On a
// slow path, or in a short window, that is more than a share of what arrives.
const held = 8 << 20

// buffers are what the receiver's sockets may hold, in bytes.
func (s sent) buffers() (sum float64) {
	for _, t := range s.receiver.Streams {
		sum += float64(t.ReceiveBuffer)
	}
	return sum
}

// carried holds the bytes that the container's link has carried against those
// that arrived: their ratio. again were sent more than once, held may be in
// sockets.
func (c Cell) carried(link, arrived, again, held float64) (float64, error) {
	if arrived <= 0 {
		return 0, errors.New("not proven: nothing arrived")
	}
	ratio, least := link/arrived, max(0.5, 0.95-held/arrived)
	most := 1.05 + headers(c.MTU) + (again+held)/arrived
	if ratio < least || ratio > most {
		return 0, fmt.Errorf("not proven: the container's link carried %.0f bytes while %.0f arrived (%.3f; %.3f to %.3f would prove the path)", link, arrived, ratio, least, most)
	}
	return ratio, nil
}

// checked says what every proof needs: the route, the MTU as it is read back,
// and that the translator worked.
func (w *world) checked(c Cell, begin, end reading) (*sample.Checked, error) {
	mtu, err := w.mtu()
	if err != nil {
		return nil, err
	}
	if c.MTU != 0 && mtu != c.MTU {
		return nil, fmt.Errorf("not proven: the MTU of %s is %d, and not %d", w.route.deviceName, mtu, c.MTU)
	}
	checked := &sample.Checked{Limit: "path", Asked: c.Path, Read: w.way(), Facts: map[string]string{
		"link": w.route.device.name + " " + w.route.deviceName, "mtu": fmt.Sprint(mtu),
	}}
	if pid := w.translator(); pid != 0 {
		spent := end.translator - begin.translator
		checked.Facts["translator"] = fmt.Sprintf("%.0f ms of CPU time", float64(spent)/1e6)
		if spent <= 0 {
			return nil, fmt.Errorf("not proven: the translator (process %d) used no CPU time, so the bytes went another way", pid)
		}
	}
	return checked, nil
}

// retransmits of all streams of the sender, since they were made.
func (s sent) retransmits() (sum int) {
	for _, t := range s.sender.Streams {
		if t.TCP != nil {
			sum += t.TCP.Retransmits
		}
	}
	return sum
}

// again are about the bytes that were sent again, since the streams were made.
func (s sent) again() float64 {
	sum := 0
	for _, t := range s.sender.Streams {
		if t.TCP != nil {
			sum += t.TCP.Retransmits * t.TCP.MSS
		}
	}
	return float64(sum)
}

// note records how the connections were set.
func (s sent) note(facts map[string]string) {
	facts["methods"] = s.sender.Method + " and " + s.receiver.Method
	if len(s.sender.Streams) == 0 || len(s.receiver.Streams) == 0 {
		return
	}
	from, to := s.sender.Streams[0], s.receiver.Streams[0]
	facts["buffers"] = fmt.Sprintf("sender %d, receiver %d bytes", from.SendBuffer, to.ReceiveBuffer)
	if from.TCP != nil {
		facts["congestion"], facts["mss"] = from.TCP.Congestion, fmt.Sprint(from.TCP.MSS)
	}
}
