package network

import (
	"fmt"
	"strings"
)

// links are the rates of links that people have, in Gbit/s.
func links() []float64 { return []float64{1, 10, 25, 40} }

// carried is the part of a link's rate that is data: of a packet of 1500 bytes
// 1448 are, and on an Ethernet it takes the time of 1538.
const carried = 1448.0 / 1538

// full is how many bytes per second of data a link carries at most.
func full(gbit float64) float64 { return gbit * 1e9 / 8 * carried }

// fills is the rate in Gbit/s of the fastest of the links that so many bytes per
// second fill.
func fills(rate float64) string {
	best := "none"
	for _, l := range links() {
		if rate >= full(l) {
			best = fmt.Sprintf("%.0f", l)
		}
	}
	return best
}

// mattersFrom is the slowest link on which a path of that rate is slower than the
// link; 0: it fills them all.
func mattersFrom(rate float64) float64 {
	for _, l := range links() {
		if rate < full(l) {
			return l
		}
	}
	return 0
}

// mattersOn says on links of how many Gbit/s a difference is felt, of which the
// slower side has that rate.
func mattersOn(rate float64) string {
	switch l := mattersFrom(rate); l {
	case 0:
		return "> 40"
	default:
		return fmt.Sprintf(">= %.0f", l)
	}
}

// onLinks answers for links of each rate which paths are slower than the link: a
// path that is faster than the link does not matter there.
func (v *View) onLinks() string {
	var all []*Cell
	for _, c := range v.Of(Stream) {
		if c.usual() && c.N() > 0 && c.MTU != 0 && c.Path != "netns" {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return ""
	}
	var sentences []string
	for _, l := range links() {
		var slow []string
		for _, c := range all {
			if c.Median(goodput) < full(l) {
				slow = append(slow, c.Label())
			}
		}
		text := fmt.Sprintf("%.0f Gbit/s, ", l)
		switch {
		case len(slow) == 0:
			text += "none"
		case len(slow) == len(all):
			text += fmt.Sprintf("%d of %[1]d", len(all))
		case len(slow) > 4:
			text += fmt.Sprintf("%d of %d", len(slow), len(all))
		default:
			text += fmt.Sprintf("%d of %d (%s)", len(slow), len(all), strings.Join(slow, "; "))
		}
		sentences = append(sentences, text)
		if len(slow) == len(all) {
			break
		}
	}
	return "A path that is faster than the link does not matter. Slower than the link are, at " + strings.Join(sentences, "; at ") + ". " +
		"(Both ends shared this machine's CPUs. A link with packets of 1500 bytes carries 94 % of its rate as data.)"
}
