package network

import (
	"strings"
	"testing"
	"time"

	"isoperf/workloads/traffic"
)

// TestProveDistance: a round trip that is not what was asked for is no proof.
func TestProveDistance(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		asked, seen time.Duration
		say         string
	}{
		{0, 0, ""},
		{0, 40 * time.Microsecond, ""},
		{50 * ms, 50*ms + 300*time.Microsecond, ""},
		{50 * ms, 57 * ms, ""},
		{ms, 3 * ms, ""},
		{ms, 4 * ms, "is 4ms, and not 1ms"},
		{50 * ms, 61 * ms, "is 61ms, and not 50ms"},
		{50 * ms, 25 * ms, "is 25ms, and not 50ms"}, // one end only is delayed
		{ms, 90 * time.Microsecond, "is 90µs, and not 1ms"},
		{10 * ms, 0, "no kernel has seen a round trip"},
	} {
		err := proveDistance(c.asked, c.seen)
		if c.say == "" && err != nil || c.say != "" && (err == nil || !strings.Contains(err.Error(), c.say)) {
			t.Errorf("%v for %v: %v; want %q", c.seen, c.asked, err, c.say)
		}
	}
}

// TestRoundTrip: the shortest that was seen, but for the container's behind a
// translator.
func TestRoundTrip(t *testing.T) {
	report := func(least ...int64) (r traffic.Report) {
		for _, ns := range least {
			r.Streams = append(r.Streams, traffic.Stream{TCP: &traffic.TCP{RTTLeast: ns}})
		}
		r.Streams = append(r.Streams, traffic.Stream{}) // a datagrams' end says nothing
		return r
	}
	host, peer, container := &place{name: "host"}, &place{name: "peer"}, &place{name: "container"}
	s := sent{sender: report(100), receiver: report(0, 50_000_000, 51_000_000)}
	for _, c := range []struct {
		client, server      *place
		outward, translated bool
		facing, want        time.Duration
	}{
		{container, peer, true, true, 0, 50 * time.Millisecond}, // the peer receives
		{container, peer, true, true, 40 * time.Millisecond, 40 * time.Millisecond},
		{container, peer, false, true, 0, 100}, // the peer sends
		{peer, container, true, true, 0, 100},
		{peer, container, false, true, 0, 50 * time.Millisecond},
		{container, peer, true, false, 0, 100},
		{host, peer, false, false, 200, 100},
	} {
		w := &world{host: host, peer: peer, route: route{client: c.client, server: c.server}}
		if got := w.roundTrip(s, c.outward, c.translated, c.facing); got != c.want {
			t.Errorf("from the %s to the %s, outward %v: %v, not %v", c.client.name, c.server.name, c.outward, got, c.want)
		}
	}
	if none := (&world{}).roundTrip(sent{}, true, false, 0); none != 0 {
		t.Errorf("of nothing it is %v", none)
	}
}

// TestWarmUp: long enough for a window to open.
func TestWarmUp(t *testing.T) {
	if near := (Cell{}).warmUp(); near != 300*time.Millisecond {
		t.Errorf("without a distance it is %v", near)
	}
	// Slow start by halves: from ten segments of 1448 bytes to 50 MB under way.
	window, trips := 14480.0, 0
	for ; window < 50e6; trips++ {
		window *= 1.5
	}
	if far := (Cell{RTT: 50 * time.Millisecond}).warmUp(); far < time.Duration(trips)*50*time.Millisecond {
		t.Errorf("50 ms away it is %v, less than %d round trips", far, trips)
	}
}

// TestAccounted: what the link carried, against what arrived.
func TestAccounted(t *testing.T) {
	for _, c := range []struct {
		name               string
		dir                string
		arrived            int64
		sent, got          uint64
		extra              float64
		proven             bool
		wantLeast, wantMax float64
	}{
		{"all went over the link", "out", 1000, 1010, 20, 0, true, 1.009, 1.011},
		{"the other direction", "in", 1000, 20, 1010, 0, true, 1.009, 1.011},
		{"another link carried it", "out", 1000, 20, 1010, 0, false, 0, 0},
		{"somebody else sent as well", "out", 1000, 2000, 0, 0, false, 0, 0},
		{"much is under way", "out", 1000, 2000, 0, 1000, true, 2, 2},
		{"another link, though much may be under way", "out", 1000, 20, 1010, 1000, false, 0, 0},
	} {
		ratio, err := accounted(Cell{Dir: c.dir, MTU: 1500}, reading{}, reading{bytes: c.arrived, sent: c.sent, got: c.got}, c.extra, 0)
		if (err == nil) != c.proven || ratio < c.wantLeast || ratio > c.wantMax {
			t.Errorf("%s: %.3f, %v", c.name, ratio, err)
		}
	}
}
