package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"isoperf/bench/network"
)

// least is what the lower bound of the ratio must reach.
const least = 0.97

// figure is one measurement.
type figure struct {
	goodput     float64 // bytes per second
	sender      float64 // the sender's CPU time in nanoseconds per byte
	retransmits float64 // segments, since the connection was made
	still       time.Duration
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
	isStill  = "stalls"
)

// still is how long nothing arrives where data stands still: a tenth of a second,
// the shortest that iperf3 tells.
const still = 95 * time.Millisecond

// Buffers of the sockets, in bytes, with which a path that stalls is compared again,
// each half of the one before: so little is on the way then that nothing is lost.
const largest, smallest = 128 << 10, 32 << 10

// stalls says whether the path stands still for both, in an eighth of the
// measurements of each at least: then a ratio is one of how long it did.
func (r row) stalls() bool {
	stood := func(list []figure) int {
		n := 0
		for _, f := range list {
			if f.still >= still {
				n++
			}
		}
		return n
	}
	n := len(r.our)
	return 8*stood(r.our) >= n && 8*stood(r.their) >= n
}

// looks are when a row's interval is looked at, and how often it may err then.
func looks() []look { return []look{{first, 0.005}, {40, 0.015}, {most, 0.03}} }

type look struct {
	pairs int
	risk  float64 // two-sided
}

const first, most = 16, 100 // pairs

// looked is the last look that a row has had; false: none.
func (r row) looked() (at look, ok bool) {
	for _, l := range looks() {
		if len(r.our) >= l.pairs {
			at, ok = l, true
		}
	}
	return at, ok
}

// ratio is that of our goodput to theirs, with its interval, of the last look: the
// Hodges–Lehmann estimate of the pairs' logarithms, and the interval of Wilcoxon's
// signed-rank test by its normal approximation (E. L. Lehmann, Nonparametrics,
// 1975, section 4.3). Half of the pairs begin with ours, so what the order does
// cancels. All is NaN before the first look. Pairs after the last look do not count.
func (r row) ratio() (middle, low, high float64) {
	l, ok := r.looked()
	if !ok {
		return math.NaN(), math.NaN(), math.NaN()
	}
	var means []float64 // of any two, and of each with itself
	for i := range l.pairs {
		for j := range i + 1 {
			means = append(means, (r.log(i)+r.log(j))/2)
		}
	}
	slices.Sort(means)
	n, all := float64(l.pairs), len(means)
	z := math.Sqrt2 * math.Erfinv(1-l.risk)
	c := int(float64(all)/2 + 0.5 - z*math.Sqrt(n*(n+1)*(2*n+1)/24))
	return math.Exp((means[(all-1)/2] + means[all/2]) / 2), math.Exp(means[c-1]), math.Exp(means[all-c])
}

// log is the logarithm of a pair's ratio.
func (r row) log(i int) float64 { return math.Log(r.our[i].goodput / r.their[i].goodput) }

func (r row) verdict() string {
	_, looked := r.looked()
	switch _, low, high := r.ratio(); {
	case low >= least:
		return isMet
	case looked && r.stalls():
		return isStill
	case high < least:
		return isMissed
	}
	return isOpen
}

// holds says whether a row is as it must be. One that stalls is held by the one after
// it, with smaller buffers; there is none after the smallest.
func (r row) holds() bool {
	v := r.verdict()
	return v == isMet || v == isStill && r.cell.Buffer != smallest
}

// slower says by how much iperf3 is the slower one; empty: that is not shown.
func (r row) slower() string {
	middle, low, _ := r.ratio()
	if !(low > 1) || r.stalls() { // not yet known, either
		return ""
	}
	return fmt.Sprintf("iperf3 is %.0f %% slower", (1-1/middle)*100)
}

const heading = "path              MTU  dir  ours MB/s  iperf3 MB/s  ours by it  95 %            pairs  verdict   sender's CPU, ns/B: ours, iperf3"

// String is the row under the heading.
func (r row) String() string {
	middle, low, high := r.ratio()
	goodput := func(f figure) float64 { return f.goodput / 1e6 }
	sender := func(f figure) float64 { return f.sender }
	s := fmt.Sprintf("%-17s%5s %-3s %10.1f %12.1f %11.3f  %.3f to %.3f %6d  %-7s %14.2f %7.2f", r.cell.Path, bytes(r.cell.MTU), r.cell.Dir,
		of(r.our, goodput), of(r.their, goodput), middle, low, high, len(r.our), r.verdict(), of(r.our, sender), of(r.their, sender))
	if slower := r.slower(); slower != "" {
		s += "   " + slower
	}
	again := func(f figure) float64 { return f.retransmits }
	if a, b := of(r.our, again), of(r.their, again); a >= 1 || b >= 1 {
		s += fmt.Sprintf("   retransmissions: %.0f, %.0f", a, b)
	}
	if r.stalls() {
		s += "   data stands still, by either program"
	}
	if r.cell.Buffer > 0 {
		s += fmt.Sprintf("   both with socket buffers of %d KiB, since it stalls with more", r.cell.Buffer>>10)
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
