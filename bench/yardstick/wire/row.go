package main

import (
	"fmt"
	"slices"

	"golang.org/x/perf/benchmath"

	"isoperf/bench/network"
)

// least is what the lower bound of the ratio must reach.
const least = 0.97

// figure is one measurement.
type figure struct {
	goodput     float64 // bytes per second
	sender      float64 // the sender's CPU time in nanoseconds per byte
	retransmits float64 // segments, since the connection was made
}

// row is a path in a direction at an MTU.
type row struct {
	cell       network.Cell
	our, their []figure // by pair
	failed     int      // pairs that were taken again
}

const (
	isMet    = "met"
	isMissed = "missed"
	isOpen   = "open"
)

// ratio is that of our goodput to theirs: the median of the pairs, with its 95 %
// interval by order statistics.
func (r row) ratio() (median, low, high float64) {
	var list []float64
	for i, f := range r.our {
		list = append(list, f.goodput/r.their[i].goodput)
	}
	s := benchmath.AssumeNothing.Summary(benchmath.NewSample(list, &benchmath.DefaultThresholds), 0.95)
	return s.Center, s.Lo, s.Hi
}

func (r row) verdict() string {
	switch _, low, high := r.ratio(); {
	case low >= least:
		return isMet
	case high < least:
		return isMissed
	}
	return isOpen
}

// slower says by how much iperf3 is the slower one; empty: that is not shown.
func (r row) slower() string {
	median, low, _ := r.ratio()
	if low <= 1 {
		return ""
	}
	return fmt.Sprintf("iperf3 is %.0f %% slower", (1-1/median)*100)
}

const heading = "path              MTU  dir  ours MB/s  iperf3 MB/s  ours by it  95 %            verdict   sender's CPU, ns/B: ours, iperf3"

// String is the row under the heading.
func (r row) String() string {
	median, low, high := r.ratio()
	goodput := func(f figure) float64 { return f.goodput / 1e6 }
	sender := func(f figure) float64 { return f.sender }
	s := fmt.Sprintf("%-17s%5s %-3s %10.1f %12.1f %11.3f  %.3f to %.3f  %-7s %14.2f %7.2f", r.cell.Path, bytes(r.cell.MTU), r.cell.Dir,
		of(r.our, goodput), of(r.their, goodput), median, low, high, r.verdict(), of(r.our, sender), of(r.their, sender))
	if slower := r.slower(); slower != "" {
		s += "   " + slower
	}
	again := func(f figure) float64 { return f.retransmits }
	if a, b := of(r.our, again), of(r.their, again); a >= 1 || b >= 1 {
		s += fmt.Sprintf("   retransmissions: %.0f, %.0f", a, b)
	}
	if r.failed > 0 {
		s += fmt.Sprintf("   pairs that failed: %d", r.failed)
	}
	return s
}

// bytes is an MTU, or that there is none to choose.
func bytes(mtu int) string {
	if mtu == 0 {
		return "own"
	}
	return fmt.Sprint(mtu)
}

// of is the median of a part of the figures.
func of(list []figure, part func(figure) float64) float64 {
	var values []float64
	for _, f := range list {
		values = append(values, part(f))
	}
	slices.Sort(values)
	if n := len(values); n%2 == 0 {
		return (values[n/2-1] + values[n/2]) / 2
	}
	return values[len(values)/2]
}
