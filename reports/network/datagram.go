package network

import (
	"fmt"
	"strings"

	"isoperf/reports/table"
)

// datagramTables are the capacity for datagrams.
func (v *View) datagramTables() (all []table.Table) {
	cells := v.Of(Datagram)
	for _, ip := range distinct(cells, func(k Key) int { return k.IP }, anyCell) {
		s := newSheet(fmt.Sprintf("UDP at no more than 0.5 %% loss, IPv%d", ip), 2, "path", "MTU, data", "Gbit/s", "a second", "loss", "CPU", "slower", "lo")
		for _, c := range cells {
			if c.IP != ip {
				continue
			}
			if c.N() == 0 {
				s.empty(c, c.Path, c.way())
				continue
			}
			m := c.Median(goodput)
			s.row(c.Path, c.way(), gbits(m), rate(1e9*c.Median("size-B")/m),
				table.Percent(c.Median("loss-ratio")), table.Duration(c.Median("cpu-ns")), times(v.overHost(c)), onlyTimes(v.overLoopback(c)))
			s.note(partly(c))
			if n := many(c, "overflow-count"); n != "-" {
				s.note(fmt.Sprintf("%s: up to %s datagrams were lost in the receiver's own socket, so by the end and not by the path.", c.Label(), n))
			}
		}
		s.dropEmpty()
		if len(all) == 0 {
			s.note("Datagrams as large as the MTU allows, and the highest rate that was found at which no more than 0.5 % of the datagrams were lost. CPU: of both ends and the translator for one datagram. a second: datagrams. slower: than host networking (veth). lo: than the loopback.")
		}
		all = append(all, s.done())
	}
	return all
}

// datagrams answers what UDP carries: out of the container at each path's smallest
// MTU.
func (v *View) datagrams() string {
	for _, dir := range []string{"out", "in"} {
		seen := map[string]bool{}
		var words []string
		for _, c := range v.Of(Datagram) {
			if c.N() == 0 || c.Dir != dir || seen[c.Path] {
				continue
			}
			seen[c.Path] = true
			text := fmt.Sprintf("%s %s", strings.TrimSuffix(c.Label(), ", "+dir), table.Bits(c.Median(goodput)))
			if f := v.overHost(c); isFinite(f.Ratio) {
				text += " (" + inWords(f) + ")"
			}
			words = append(words, text)
		}
		if len(words) > 0 {
			return fmt.Sprintf("UDP with at most 0.5 %% loss, %s: %s.", direction(dir), strings.Join(words, "; "))
		}
	}
	return ""
}
