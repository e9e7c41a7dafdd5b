package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"isoperf/bench/network"
)

// said by iperf3 3.12, shortened.
const (
	sender   = `{"start":{"tcp_mss_default":1448},"intervals":[{"sum":{"start":0,"end":1,"seconds":1,"bytes":9}}],"end":{"sum_sent":{"bytes":1100,"retransmits":2},"sum_received":{"bytes":1000}}}`
	receiver = `{"start":{},"intervals":[%s],"end":{"sum_received":{"bytes":7}}}`
)

// tenths are intervals of a tenth of a second.
func tenths(bytes ...int) string {
	var list []string
	for i, b := range bytes {
		list = append(list, fmt.Sprintf(`{"sum":{"start":%g,"end":%g,"seconds":0.1,"bytes":%d}}`, float64(i)/10-0.0001, float64(i+1)/10, b))
	}
	return fmt.Sprintf(receiver, strings.Join(list, ","))
}

func TestRead(t *testing.T) {
	s, err := read(sender, tenths(1, 2, 300, 500, 4), true)
	if err == nil && s.still != 0 {
		t.Errorf("it stood still for %v", s.still)
	}
	if still, err := read(sender, tenths(0, 2, 0, 0, 4, 0), true); err != nil || still.still != 200*time.Millisecond {
		t.Errorf("it stood still for %v, %v; want 200 ms", still.still, err)
	}
	if want := (said{goodput: s.goodput, bytes: 1000, again: 2896, retransmits: 2}); err != nil || s != want || s.goodput < 3999.9 || s.goodput > 4000.1 {
		t.Errorf("%+v, %v", s, err)
	}
	if stood, err := read(sender, tenths(4, 2, 0, 0, 0), true); err != nil || stood.goodput < 14.9 || stood.goodput > 15.1 {
		t.Errorf("what stood still moved %v bytes/s, %v; want the 15 of the whole", stood.goodput, err)
	}
	for name, text := range map[string]string{
		"too short":   tenths(1, 2, 300),
		"nothing":     tenths(0, 0, 0, 0, 9),
		"no interval": tenths(),
		"no JSON":     "iperf3: error",
		"an error":    `{"error":"unable to connect"}`,
	} {
		if s, err := read(sender, text, true); err == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// The receiver is the client when the data comes in.
func TestReadReverse(t *testing.T) {
	client := strings.Replace(tenths(1, 2, 3, 4), `"sum_received":{"bytes":7}`, `"sum_sent":{"retransmits":3},"sum_received":{"bytes":70}`, 1)
	s, err := read(client, sender, false)
	if err != nil || s.bytes != 70 || s.retransmits != 3 || s.goodput < 29 || s.goodput > 31 {
		t.Errorf("%+v, %v", s, err)
	}
}

// pairs are n pairs of which our goodput is theirs by a ratio, with a scatter about
// it that is as often above as below.
func pairs(n int, ratio, scatter float64) row {
	r := row{cell: network.Cell{Path: "veth", Dir: "out", MTU: 1500}}
	for i := range n {
		away := scatter * (float64(i%8) - 3.5) / 3.5
		r.our = append(r.our, figure{goodput: ratio * math.Exp(away) * 1e9})
		r.their = append(r.their, figure{goodput: 1e9})
	}
	return r
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		n              int
		ratio, scatter float64
		verdict        string
		slower         string
	}{
		{first - 1, 2, 0.01, isOpen, ""}, // nobody looks yet
		{first, 1, 0, isMet, ""},
		{first, 0.97 + 1e-9, 0, isMet, ""},
		{first, 0.96, 0, isMissed, ""},
		{first, 0.96, 0.1, isOpen, ""},
		{first, 1, 0.1, isOpen, ""},
		{39, 1, 0.1, isOpen, ""},
		{most, 1, 0.1, isMet, ""},
		{most, 1, 0.3, isOpen, ""},
		{most, 0.93, 0.1, isMissed, ""},
		{first, 2, 0.01, isMet, "iperf3 is 50 % slower"},
	} {
		r := pairs(c.n, c.ratio, c.scatter)
		if r.verdict() != c.verdict || r.slower() != c.slower || !strings.Contains(r.String(), c.verdict) {
			t.Errorf("%+v: %s, %q", c, r, r.slower())
		}
	}
}

// Where the data stands still by both in an eighth of the measurements, what would stay
// open is asked again with smaller buffers; where one of them carries on, it is not, nor
// where it is met as it is.
func TestStalls(t *testing.T) {
	for _, c := range []struct {
		n, our, their  int // pairs, and of how many each stood still
		ratio, scatter float64
		verdict        string
		still          bool // is told
	}{
		{first, first / 8, first / 8, 1, 0.1, isStill, true},
		{first, first, first / 8, 0.9, 0, isStill, true},
		{first, first, first / 8, 2, 0.01, isMet, true},
		{first, first/8 - 1, first, 1, 0.1, isOpen, false},
		{first, first, first/8 - 1, 0.9, 0, isMissed, false},
		{first - 1, first - 1, first - 1, 1, 0.1, isOpen, true},
	} {
		r := pairs(c.n, c.ratio, c.scatter)
		for i := range c.our {
			r.our[i].still = still
		}
		for i := range c.their {
			r.their[i].still = time.Second
		}
		if r.verdict() != c.verdict || strings.Contains(r.String(), "stands still") != c.still || r.holds() != (c.verdict == isMet || c.verdict == isStill) {
			t.Errorf("%+v: %s, %v, %q", c, r.verdict(), r.holds(), r)
		}
		r.cell.Buffer = smallest
		if r.holds() != (c.verdict == isMet) || !strings.Contains(r.String(), "32 KiB") {
			t.Errorf("%+v, with its own buffers: %v, %q", c, r.holds(), r)
		}
	}
}

// Whatever the looks have in common, all of them err in no more than 5 % of the
// paths: as many as that of those whose true ratio is the bound itself may be
// decided.
func TestLooksErrRarely(t *testing.T) {
	const paths = 400
	random := rand.New(rand.NewPCG(1, 2))
	decided := 0
	for range paths {
		r := pairs(most, 1, 0)
		for i := range r.our {
			r.our[i].goodput *= least * math.Exp(0.15*random.NormFloat64())
		}
		all := r
		for _, l := range looks() {
			if r.our, r.their = all.our[:l.pairs], all.their[:l.pairs]; r.verdict() != isOpen {
				decided++
				break
			}
		}
	}
	if decided == 0 || decided > paths/20 {
		t.Errorf("%d of %d are decided", decided, paths)
	}
}
