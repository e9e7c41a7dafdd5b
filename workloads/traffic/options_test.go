package traffic

import (
	"net/netip"
	"reflect"
	"testing"
)

func TestOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"":                              {},
		"listen,method=trunc":           {Listen: true, Method: Truncate},
		"udp,window=4096":               {UDP: true, Window: 4096},
		"congestion=cubic,bind=fd00::1": {Congestion: "cubic", Bind: netip.MustParseAddr("fd00::1")},
	} {
		if o.String() != want {
			t.Errorf("%q, want %q", o, want)
		}
		if got, err := ParseOptions(want); err != nil || got != o {
			t.Errorf("%q: %+v, %v", want, got, err)
		}
	}
	for _, bad := range []string{"listen,", "window=-1", "window=x", "bind=host", "nothing"} {
		if o, err := ParseOptions(bad); err == nil {
			t.Errorf("%q is taken: %+v", bad, o)
		}
	}
}

// A report is found among what else a load says, and is what it was.
func TestReport(t *testing.T) {
	r := Report{
		Kind: Ask, Block: 1, Options: "udp", Error: "a \"b\"\nc", Asked: &Asked{Due: 3, Sent: 2, Lost: 1},
		Streams: []Stream{{Local: "[::1]:1", Remote: "[::1]:2", End: Stopped, Bytes: 1 << 50, TCP: &TCP{Congestion: "cubic", RTT: 7}}},
	}
	got, err := ParseReport("first\n" + r.String() + "\nlast\n")
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "nothing\n", r.String()[:40]} {
		if _, err := ParseReport(bad); err == nil {
			t.Errorf("%q has a report", bad)
		}
	}
}
