package main

import (
	"fmt"
	"strings"
	"testing"

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
	if want := (said{goodput: s.goodput, bytes: 1000, again: 2896, retransmits: 2}); err != nil || s != want || s.goodput < 3999.9 || s.goodput > 4000.1 {
		t.Errorf("%+v, %v", s, err)
	}
	for name, text := range map[string]string{
		"too short":   tenths(1, 2, 300),
		"nothing":     tenths(1, 2, 0, 0, 0),
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

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		ours    []float64
		verdict string
		slower  string
	}{
		{[]float64{1, 1, 1, 1, 1, 1, 1}, isMet, ""},
		{[]float64{0.98, 0.98, 0.99, 0.99, 1, 1, 0.97}, isMet, ""},
		{[]float64{0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96}, isMissed, ""},
		{[]float64{0.9, 1, 1, 1, 1.1, 1.2, 1.3}, isOpen, ""},
		{[]float64{2, 2, 2, 2, 2, 2, 2}, isMet, "iperf3 is 50 % slower"},
	} {
		r := row{cell: network.Cell{Path: "veth", Dir: "out", MTU: 1500}}
		for _, v := range c.ours {
			r.our, r.their = append(r.our, figure{goodput: v * 1e9}), append(r.their, figure{goodput: 1e9})
		}
		if r.verdict() != c.verdict || r.slower() != c.slower || !strings.Contains(r.String(), c.verdict) {
			t.Errorf("%v: %s, %q", c.ours, r, r.slower())
		}
	}
}
