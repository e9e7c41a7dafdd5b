package network

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"isoperf/reports/table"
)

// Window is the largest window of TCP without window scaling, in bytes (RFC 9293,
// section 3.1): so much is on the way at most, so that no more arrives in a round
// trip. slirp4netns's own TCP does not scale.
const Window = 65535

// Ceiling is how many bytes per second that allows at a round-trip time.
func Ceiling(rtt time.Duration) float64 { return Window / rtt.Seconds() }

func rttText(d time.Duration) string {
	if d == 0 {
		return "none added"
	}
	return d.String()
}

// distanceTables are goodput by round-trip time: a row a path, a column a time.
func (v *View) distanceTables() (all []table.Table) {
	type group struct {
		mtu, ip, streams int
		dir              string
	}
	of := func(k Key) group { return group{k.MTU, k.IP, k.Streams, k.Dir} }
	cells := v.Of(Distance)
	rtts := distinct(cells, func(k Key) time.Duration { return k.RTT }, anyCell)
	slices.Sort(rtts)
	for _, g := range distinct(cells, of, anyCell) {
		header := []string{"path"}
		for _, d := range rtts {
			header = append(header, rttText(d))
		}
		title := fmt.Sprintf("Gbit/s by round-trip time: MTU %d, %s, TCP, %s, IPv%d", g.mtu, direction(g.dir), plural(g.streams, "stream", "streams"), g.ip)
		s := newSheet(title, 1, header...)
		for _, path := range distinct(cells, func(k Key) string { return k.Path }, func(c *Cell) bool { return of(c.Key) == g }) {
			row := []string{path}
			for _, d := range rtts {
				c := v.find(Key{Family: Distance, Path: path, Dir: g.dir, MTU: g.mtu, Streams: g.streams, IP: g.ip, RTT: d})
				switch {
				case c == nil:
					row = append(row, "-")
				case c.N() == 0:
					row = append(row, s.short(c))
				default:
					text := gbits(c.Median(goodput))
					if f := v.overHost(c); isFinite(f.Ratio) {
						text += " (" + multiple(f.Ratio) + "x)"
					}
					row = append(row, text)
					s.note(partly(c))
				}
			}
			s.row(row...)
		}
		if len(all) == 0 {
			s.note("The time is added by netem, half each way. In brackets: how many times slower than host networking (veth) with the same round trip, by the same run.")
		}
		all = append(all, s.done())
	}
	return all
}

// falls answers who falls with the round-trip time more than host networking does,
// and whether a window of 65535 bytes is the reason.
func (v *View) falls() string {
	var words []string
	for _, c := range v.Of(Distance) {
		if c.N() == 0 || c.Path == host || c.RTT == 0 || !v.longest(c) {
			continue
		}
		f := v.overHost(c)
		text := fmt.Sprintf("%s %s", c.Label(), table.Bits(c.Median(goodput)))
		if isFinite(f.Ratio) {
			text += ", " + inWords(f)
		}
		if top := Ceiling(c.RTT); c.Median(goodput) <= top && c.Median(goodput) > top/3 {
			text += fmt.Sprintf(" (a window of 65535 bytes allows %s)", table.Bits(top))
		}
		words = append(words, text)
	}
	if len(words) == 0 {
		return ""
	}
	return "At the longest round trip, against host networking at the same: " + strings.Join(words, "; ") + "."
}

// longest says whether no cell of the same path was measured with a longer round
// trip.
func (v *View) longest(c *Cell) bool {
	for _, o := range v.Of(Distance) {
		k := o.Key
		k.RTT = c.RTT
		if k == c.Key && o.RTT > c.RTT && o.N() > 0 {
			return false
		}
	}
	return true
}
