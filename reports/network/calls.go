package network

import (
	"fmt"
	"strings"

	"isoperf/reports/table"
)

// requestTables are how long an answer takes.
func (v *View) requestTables() (all []table.Table) {
	cells := v.Of(Request)
	for _, ip := range distinct(cells, func(k Key) int { return k.IP }, anyCell) {
		s := newSheet(fmt.Sprintf("Request and answer, IPv%d", ip), 2, "path", "MTU", "median", "p99", "p99.9", "slower", "lo", "CPU")
		for _, c := range cells {
			if c.IP != ip {
				continue
			}
			if c.N() == 0 {
				s.empty(c, c.Path, c.MTUText())
				continue
			}
			duration := func(unit string) string { return table.Duration(c.Median(unit)) }
			s.row(c.Path, c.MTUText(), duration("rr-ns"), duration("rr-p99-ns"), duration("rr-p999-ns"),
				times(v.overHost(c)), onlyTimes(v.overLoopback(c)), duration("cpu-ns"))
			s.note(partly(c))
			s.note(irregular(c))
		}
		s.dropEmpty()
		if len(all) == 0 {
			s.note("One byte and one byte back, a request every 500 us whether the last was answered or not; from when it was due. Each figure is the median over the samples. CPU: of both ends and the translator for one request. slower: than host networking (veth). lo: than the loopback.")
		}
		all = append(all, s.done())
	}
	return all
}

// irregular says what was not as it should be with a cell's requests.
func irregular(c *Cell) string {
	var words []string
	if n := many(c, "unanswered-count"); n != "-" {
		words = append(words, "up to "+n+" were not answered")
	}
	if n := many(c, "late-count"); n != "-" {
		words = append(words, "up to "+n+" were sent late, and timed from when they were due")
	}
	if len(words) == 0 {
		return ""
	}
	return fmt.Sprintf("%s: of the requests of a sample, %s.", c.Label(), strings.Join(words, "; "))
}

// many is the largest count of a unit; "-" for none.
func many(c *Cell, unit string) string {
	s := c.Of(unit)
	if s.N == 0 || s.Max == 0 {
		return "-"
	}
	return table.Count(int(s.Max))
}

// answers says how long an answer takes, by path, at the smallest MTU of each.
func (v *View) answers() string {
	var words []string
	for _, c := range v.smallest(Request) {
		text := fmt.Sprintf("%s %s, p99 %s", c.Path, table.Duration(c.Median("rr-ns")), table.Duration(c.Median("rr-p99-ns")))
		if f := v.overHost(c); isFinite(f.Ratio) {
			text += " (" + inWords(f) + ")"
		}
		words = append(words, text)
	}
	if len(words) == 0 {
		return ""
	}
	return "An answer of one byte takes (median; against host networking): " + strings.Join(words, "; ") + "."
}

// smallest are the cells of a family that have figures, each path at its smallest
// MTU, over IPv4 if it was measured.
func (v *View) smallest(family string) (some []*Cell) {
	seen := map[string]bool{}
	for _, c := range v.Of(family) { // sorted by IP version, path, MTU
		if c.N() > 0 && !seen[c.Path] {
			seen[c.Path] = true
			some = append(some, c)
		}
	}
	return some
}

// connectTables are connections, one after the other.
func (v *View) connectTables() (all []table.Table) {
	cells := v.Of(Connect)
	for _, ip := range distinct(cells, func(k Key) int { return k.IP }, anyCell) {
		s := newSheet(fmt.Sprintf("Connect, request, answer, close, IPv%d", ip), 2, "path", "MTU", "median", "p99", "connect", "a second", "slower", "lo")
		for _, c := range cells {
			if c.IP != ip {
				continue
			}
			if c.N() == 0 {
				s.empty(c, c.Path, c.MTUText())
				continue
			}
			m := c.Median("crr-ns")
			s.row(c.Path, c.MTUText(), table.Duration(m), table.Duration(c.Median("crr-p99-ns")),
				table.Duration(c.Median("connect-ns")), rate(m), times(v.overHost(c)), onlyTimes(v.overLoopback(c)))
			s.note(partly(c))
		}
		s.dropEmpty()
		if len(all) == 0 {
			s.note("One connection after the other, by one client. connect: connect(2) alone. a second: 1 s divided by the median. slower: than host networking (veth). lo: than the loopback.")
		}
		all = append(all, s.done())
	}
	return all
}

// rate is how many things that take so long one after the other there are in a
// second.
func rate(ns float64) string {
	if !isFinite(ns) || ns <= 0 {
		return "-"
	}
	return table.Count(int(min(1e9/ns, 1e12)))
}

// connections answers how many connections a client makes in a second.
func (v *View) connections() string {
	var words []string
	for _, c := range v.smallest(Connect) {
		text := c.Path + " " + rate(c.Median("crr-ns"))
		if f := v.overHost(c); isFinite(f.Ratio) {
			text += " (" + inWords(f) + ")"
		}
		words = append(words, text)
	}
	if len(words) == 0 {
		return ""
	}
	return "Connections a second of one client, each with a request and an answer: " + strings.Join(words, "; ") + "."
}
