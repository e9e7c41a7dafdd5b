package curve

import (
	"fmt"
	"strings"
	"testing"

	"isoperf/bench/sample"
)

// add puts twelve samples within 1 % of a median into a case.
func add(f *sample.File, name, unit string, median float64) {
	c := &sample.Case{Name: name, Units: []string{unit}, Values: map[string][]float64{}}
	for i := range 12 {
		c.Values[unit] = append(c.Values[unit], median*(1+float64(i-6)/600))
	}
	f.Cases = append(f.Cases, c)
}

func TestCurves(t *testing.T) {
	for _, test := range []struct {
		name    string
		fill    func(*sample.File)
		want    string
		appears bool
	}{
		{"grows", func(f *sample.File) {
			for _, n := range []float64{10, 1000, 100, 2000} {
				add(f, fmt.Sprintf("SweepMounts/mounts=%g/flag=mnt", n), "clone-ns", 50e3+300*n)
			}
		}, "Mount-namespace copy grows with the caller's mounts: 53 us with 10 mounts, 649 us with 2,000 mounts; each further mount adds 300 ns.", true},
		{"does not", func(f *sample.File) {
			add(f, "SweepNetns/live=0/flag=net", "clone-ns", 400e3)
			add(f, "SweepNetns/live=500/flag=net", "clone-ns", 410e3)
		}, "Network namespace creation slows with those alive: not seen here, 400 us with 0 live namespaces, 410 us with 500 live namespaces.", false},
		{"hardly", func(f *sample.File) {
			add(f, "SweepNetns/live=0/flag=net", "clone-ns", 404e3)
			add(f, "SweepNetns/live=2000/flag=net", "clone-ns", 442e3)
		}, "Network namespace creation slows with those alive: hardly, 404 us with 0 live namespaces, 442 us with 2,000 live namespaces (1.1x).", false},
		{"those that listen", func(f *sample.File) {
			for _, n := range []float64{0, 500, 1000, 2000} {
				add(f, fmt.Sprintf("SweepNetns/live=%g/flag=net", n), "clone-ns", 400e3)
				add(f, fmt.Sprintf("SweepNetns/live=%g/holds=listener/flag=net", n), "clone-ns", 400e3+300*n)
			}
		}, "Network namespace creation slows with those alive: not seen here, 400 us with 0 live namespaces, 400 us with 2,000 live namespaces; " +
			"with a listener to network changes in each, such as who manages a network has, 400 us with 0 live namespaces, 999 us with 2,000 live namespaces; each further live namespace adds 300 ns.", true},
		{"two points are no law", func(f *sample.File) {
			add(f, "SweepPeers/propagation=shared/peers=1", "op-ns", 10e3)
			add(f, "SweepPeers/propagation=private/peers=9", "op-ns", 10e3)
			add(f, "SweepPeers/propagation=shared/peers=100", "op-ns", 110e3)
		}, "A bind below a shared mount pays for every peer: 10 us with 1 peer, 110 us with 100 peers (11x).", true},
		{"cgroup", func(f *sample.File) {
			for gap, ns := range map[string]float64{"0": 14e3, "10ms": 30e3, "50ms": 8e6, "500ms": 9e6} {
				add(f, "Attach/op=write/hierarchy=v2/gap="+gap, "op-ns", ns)
			}
			add(f, "Attach/op=born/hierarchy=v2/gap=500ms", "op-ns", 100e3)
		}, "cgroup write: lone against burst: a write to cgroup.procs (v2) takes 14 us back to back and 8.99 ms when it comes 500 ms after the last one (643x), " +
			"a wait for RCU that begins at pauses of 50 ms; a child that is born in the group, 500 ms after the last one, takes 100 us in all.", true},
		{"cgroup with favordynmods", func(f *sample.File) {
			add(f, "Attach/op=write/hierarchy=v2/gap=0", "op-ns", 14e3)
			add(f, "Attach/op=write/hierarchy=v2/gap=500ms", "op-ns", 40e3)
		}, "cgroup write: lone against burst: not seen here, a write to cgroup.procs (v2) takes 14 us back to back and 40 us when it comes 500 ms after the last one (2.9x).", false},
		{"within chance", func(f *sample.File) {
			add(f, "SweepNetns/live=0/flag=net", "clone-ns", 400e3)
			add(f, "SweepNetns/live=500/flag=net", "clone-ns", 500e3)
			for i := range 5 {
				f.Cases[1].Values["clone-ns"][i] = 300e3
			}
		}, "Network namespace creation slows with those alive: not seen here, 400 us with 0 live namespaces, 500 us with 500 live namespaces.", false},
		{"nothing", func(*sample.File) {}, "", false},
		{"one point", func(f *sample.File) { add(f, "SweepMounts/mounts=10/flag=mnt", "clone-ns", 1) }, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &sample.File{}
			test.fill(f)
			var texts []string
			for _, c := range All(f) {
				texts = append(texts, c.String())
				if c.Appears != test.appears {
					t.Errorf("appears: %v", c.Appears)
				}
			}
			if got := strings.Join(texts, "\n"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
