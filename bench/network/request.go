package network

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/workloads/load"
	"isoperf/workloads/traffic"
)

// every is the time between two requests: few enough for the slowest path, so
// that what is measured is the way and not a queue.
const every = 500 * time.Microsecond

// request measures how long an answer of one byte takes, from when the request
// was due.
func (w *world) request(c Cell) (o outcome, err error) {
	server := load.Spec{Kind: traffic.Answer, Step: 1}
	client := load.Spec{Kind: traffic.Ask, Step: 1, Every: every}
	k, err := w.call(c, server, client)
	if err != nil {
		return o, err
	}
	begin, end, report := k.begin, k.end, k.report
	var took []float64
	for _, event := range k.events {
		if event.Kind == load.Request {
			took = append(took, float64(event.To-event.Value))
		}
	}
	if o.Checked, err = w.proveCalls(c, begin, end, len(took)); err != nil {
		return o, err
	}
	slices.Sort(took)
	o.Series = []sample.Series{{Name: "latency", X: "ns", Y: "ratio", Points: distribution(took)}}
	if report.Asked != nil {
		o.Values = append(o.Values,
			sample.Value{Value: float64(report.Asked.Due), Unit: "requests-count"},
			sample.Value{Value: float64(report.Asked.Late), Unit: "late-count"},
			sample.Value{Value: float64(report.Asked.Unanswered + report.Asked.Lost), Unit: "unanswered-count"})
	}
	o.Values = append(o.Values,
		sample.Value{Value: float64(end.spent()-begin.spent()) / float64(len(took)), Unit: "cpu-ns"},
		sample.Value{Value: quantile(took, 0.999), Unit: "rr-p999-ns"},
		sample.Value{Value: quantile(took, 0.99), Unit: "rr-p99-ns"},
		sample.Value{Value: quantile(took, 0.9), Unit: "rr-p90-ns"},
		sample.Value{Value: quantile(took, 0.5), Unit: "rr-ns"})
	return o, nil
}

// calls are what a client that asks has noted in a window.
type calls struct {
	begin, end reading
	events     []load.Event
	report     traffic.Report // the client's, of its whole life
}

// call has a client ask a server for as long as a window takes, once both are
// warm.
func (w *world) call(c Cell, server, client load.Spec) (k calls, err error) {
	e, err := w.meet(server, client)
	defer func() { err = errors.Join(err, e.close()) }()
	if err != nil {
		return k, err
	}
	m := meter{w, e.client, e.server, e.client}
	e.server.board.Go()
	e.client.board.Go()
	if err := w.let(m, c.warmUp()); err != nil {
		return k, err
	}
	if k.begin, err = m.read(); err != nil {
		return k, err
	}
	first := int(e.client.board.Noted.Load())
	if err := w.let(m, c.Window); err != nil {
		return k, err
	}
	// The board goes with its end.
	k.events = slices.Clone(e.client.board.Since(first))
	if k.end, err = m.read(); err != nil {
		return k, err
	}
	k.report, err = e.client.stop()
	return k, err
}

// spent is the CPU time of the ends and the translator.
func (r reading) spent() time.Duration { return r.client + r.server + r.translator }

// let has the ends run for a while.
func (w *world) let(m meter, d time.Duration) error {
	for begin := time.Now(); time.Since(begin) < d; {
		harness.Rest(min(tick, d-time.Since(begin)))
		if err := w.alive(m); err != nil {
			return err
		}
	}
	return nil
}

// crowded is how many calls may share a packet: those that are late are sent
// together.
const crowded = 10

// proveCalls proves the path of calls, which are counted by packets that went each
// way.
func (w *world) proveCalls(c Cell, begin, end reading, calls int) (*sample.Checked, error) {
	if calls == 0 {
		return nil, fmt.Errorf("not proven: nothing was answered within %v", time.Duration(end.at-begin.at))
	}
	packets := min(end.sentPackets-begin.sentPackets, end.gotPackets-begin.gotPackets)
	if packets*crowded < uint64(calls) {
		return nil, fmt.Errorf("not proven: link %s of the %s carried %d packets while %d calls were answered", w.route.deviceName, w.route.device.name, packets, calls)
	}
	checked, err := w.checked(c, begin, end)
	if err == nil {
		checked.Facts["carried"] = fmt.Sprintf("%.2f packets a call", float64(packets)/float64(calls))
	}
	return checked, err
}

// quantile of a sorted list: the smallest value that a share of q does not exceed.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// distribution is a sorted list as a curve: 200 points, closer together at the
// slow end.
func distribution(sorted []float64) [][2]float64 {
	var points [][2]float64
	add := func(q float64) { points = append(points, [2]float64{quantile(sorted, q), q}) }
	for i := range 100 {
		add(float64(i) / 100)
	}
	for i := range 90 {
		add(0.99 + float64(i)/9000)
	}
	for i := range 10 {
		if q := 0.999 + float64(i)/10000; (1-q)*float64(len(sorted)) >= 1 {
			add(q)
		}
	}
	return points
}
