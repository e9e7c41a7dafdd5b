package network

import (
	"fmt"
	"os"
	"slices"

	"isoperf/bench/sample"
	"isoperf/workloads/load"
	"isoperf/workloads/traffic"
)

// connections measures how long a connection with one request takes, one after
// the other: connected, asked, answered, closed by both.
func (w *world) connections(c Cell) (o outcome, err error) {
	if w.route.client != w.host || c.Path != loopbackPath {
		// Each connection keeps its port for a minute, of which there are 28,000.
		err := w.route.client.within(func() error {
			return os.WriteFile("/proc/sys/net/ipv4/tcp_tw_reuse", []byte("1"), 0)
		})
		if err != nil {
			return o, fmt.Errorf("have the %s use ports again: %w", w.route.client.name, err)
		}
	}
	k, err := w.call(c, load.Spec{Kind: traffic.Answer, Step: 1}, load.Spec{Kind: traffic.Connect, Step: 1})
	if err != nil {
		return o, err
	}
	var connected, whole []float64
	for _, event := range k.events {
		if event.Kind == load.Connection {
			connected = append(connected, float64(event.Value-event.From))
			whole = append(whole, float64(event.To-event.From))
		}
	}
	if o.Checked, err = w.proveCalls(c, k.begin, k.end, len(whole)); err != nil {
		return o, err
	}
	slices.Sort(connected)
	slices.Sort(whole)
	o.Values = []sample.Value{
		{Value: quantile(connected, 0.5), Unit: "connect-ns"},
		{Value: float64(k.end.spent()-k.begin.spent()) / float64(len(whole)), Unit: "cpu-ns"},
		{Value: quantile(whole, 0.99), Unit: "crr-p99-ns"},
		{Value: quantile(whole, 0.5), Unit: "crr-ns"},
	}
	return o, nil
}
