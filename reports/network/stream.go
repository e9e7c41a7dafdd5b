package network

import (
	"fmt"
	"slices"
	"strings"

	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// group is what a table of streams has in common.
type group struct{ ip, streams int }

func (g group) title() string {
	text := "TCP"
	if g.streams != 0 {
		text += ", " + plural(g.streams, "stream", "streams")
	}
	if g.ip != 0 {
		text += fmt.Sprintf(", IPv%d", g.ip)
	}
	return text
}

func groupOf(k Key) group { return group{k.IP, k.Streams} }

func anyCell(*Cell) bool { return true }

func measured(c *Cell) bool { return c.N() > 0 }

// streamTables are those of bytes per second: one for each IP version and number
// of streams.
func (v *View) streamTables() (all []table.Table) {
	cells := v.Of(Stream)
	for _, g := range distinct(cells, groupOf, anyCell) {
		s := newSheet(g.title(), 2, "path", "MTU, data", "Gbit/s", "95 % range", "slower", "lo", "fills")
		missing, few := false, false
		for _, c := range cells {
			if groupOf(c.Key) != g {
				continue
			}
			if c.N() == 0 {
				s.empty(c, c.Path, c.way())
				continue
			}
			sum := c.Of(goodput)
			s.row(c.Path, c.way(), gbits(sum.Median), gbitsRange(sum.Lo, sum.Hi),
				times(v.overHost(c)), onlyTimes(v.overLoopback(c)), fills(sum.Median))
			few = few || isFinite(v.overHost(c).Ratio) && !bounded(v.overHost(c))
			missing = missing || c.Path != host && c.MTU != 0 && v.find(c.on(host)).N() == 0
			s.note(partly(c))
		}
		s.dropEmpty()
		if len(s.Rows) == 0 {
			continue
		}
		if len(all) == 0 {
			s.note("Gbit/s: the data that arrived, 1.25e8 bytes to the gigabit. slower: than host networking (veth) by the same run, at the same MTU and in the same direction; below 1 it is faster. " +
				"lo: slower than the loopback. fills: the fastest link (1, 10, 25 or 40 Gbit/s) that so much fills.")
		}
		if few {
			s.note("Where a ratio has no interval there are too few samples for one: four on each side make one.")
		}
		if missing {
			s.note("Host networking (path veth) was not measured for every row, so some have no ratio to it.")
		}
		all = append(all, s.done())
	}
	return all
}

// overHost is how many times slower a cell is than host networking; NaN where
// that is the cell itself, or not there.
func (v *View) overHost(c *Cell) stats.Factor { return v.over(c, host) }

func (v *View) overLoopback(c *Cell) stats.Factor { return v.over(c, loopback) }

func (v *View) over(c *Cell, path string) stats.Factor {
	b := v.find(c.on(path))
	if b == c || c.Path == loopback {
		b = nil
	}
	return slower(c, b, mainUnit(c.Family))
}

// partly says which samples of a cell with figures do not count.
func partly(c *Cell) string {
	n := len(c.Unproven) + len(c.Failed)
	if n == 0 || c.N() == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %d of %d samples do not count: %s", c.Label(), n, n+c.N(), append(slices.Clone(c.Unproven), c.Failed...)[0])
}

// Label is a cell in words: "pasta, MTU 1500, out".
func (k Key) Label() string {
	words := []string{k.Path}
	if k.MTU != 0 {
		words = append(words, fmt.Sprintf("MTU %d", k.MTU))
	}
	if k.Family == Distance {
		words = append(words, "round trip "+rttText(k.RTT))
	}
	if k.Dir != "" {
		words = append(words, k.Dir)
	}
	return strings.Join(words, ", ")
}

// usual says whether a key is of the usual kind: one stream over IPv4, or what has
// no streams.
func (k Key) usual() bool { return k.IP == 4 && k.Streams <= 1 }

// slowdown answers how much slower than host networking the paths are, at the
// smallest and the largest MTU: out of the container, and in where that is all
// there is.
func (v *View) slowdown() string {
	for _, dir := range []string{"out", "in"} {
		want := func(c *Cell) bool {
			return c.usual() && c.Dir == dir && c.MTU != 0 && c.N() > 0 && c.Path != host && c.Path != "netns" && driverOf(c.Path).kind != port
		}
		var sentences []string
		for _, mtu := range ends(distinct(v.Of(Stream), func(k Key) int { return k.MTU }, want)) {
			if text := v.slowdownAt(mtu, want); text != "" {
				sentences = append(sentences, text)
			}
		}
		if len(sentences) > 0 {
			return fmt.Sprintf("TCP %s against host networking: ", direction(dir)) + strings.Join(sentences, "; ") + "."
		}
	}
	return v.unanchored()
}

// ends are the smallest and the largest of a list.
func ends(list []int) []int {
	slices.Sort(list)
	if len(list) > 2 {
		return []int{list[0], list[len(list)-1]}
	}
	return list
}

func (v *View) slowdownAt(mtu int, want func(*Cell) bool) string {
	var words []string
	var anchor *Cell
	for _, c := range v.Of(Stream) {
		if c.MTU != mtu || !want(c) {
			continue
		}
		b := v.find(c.on(host))
		if f := v.overHost(c); isFinite(f.Ratio) {
			anchor = b
			word := c.Path + " " + inWords(f)
			if c.Stalled() {
				word += " (it stalls)"
			}
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return ""
	}
	return fmt.Sprintf("at MTU %d (%s) %s", mtu, table.Bits(anchor.Median(goodput)), strings.Join(words, ", "))
}

// unanchored lists what was measured when there is nothing to compare it with.
func (v *View) unanchored() string {
	var words []string
	proved, all := 0, 0
	why := "host networking was not measured, so how much slower that is cannot be said"
	for _, c := range v.Of(Stream) {
		all++
		if c.N() == 0 {
			continue
		}
		proved++
		if c.Path == host {
			why = "nothing that was proved can be compared with host networking, path veth"
		}
		if c.usual() && len(words) < 6 {
			words = append(words, c.Label()+" "+table.Bits(c.Median(goodput)))
		}
	}
	switch {
	case all == 0:
		return ""
	case proved == 0:
		return fmt.Sprintf("Nothing can be said of TCP: none of %s has a path that was proved.", plural(all, "case", "cases"))
	case len(words) == 0:
		return fmt.Sprintf("TCP was measured in %s, none of them with one stream over IPv4 (%s).", plural(proved, "case", "cases"), why)
	}
	return "TCP (" + why + "): " + strings.Join(words, "; ") + "."
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return table.Count(n) + " " + many
}
