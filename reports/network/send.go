package network

import (
	"fmt"
	"strings"

	"isoperf/reports/table"
)

// sendTables set the ways to send and to receive side by side.
func (v *View) sendTables() []table.Table {
	cells := v.Of(Send)
	s := newSheet("Ways to send and to receive", 4, "path", "MTU", "send", "receive", "Gbit/s", "times", "CPU", "sender", "receiver")
	for _, c := range cells {
		if c.N() == 0 {
			s.empty(c, c.Path, c.MTUText(), c.Send, c.Receive)
			continue
		}
		s.row(c.Path, c.MTUText(), c.Send, c.Receive, gbits(c.Median(goodput)), times(v.overPlain(c)),
			seconds(c.PerGigabit("cpu-ns/B")), seconds(c.PerGigabit("sender-ns/B")), seconds(c.PerGigabit("receiver-ns/B")))
		s.note(partly(c))
	}
	if len(s.Rows) == 0 {
		return nil
	}
	s.dropEmpty()
	if len(distinct(cells, func(k Key) int { return k.MTU }, anyCell)) == 1 {
		s.drop("MTU")
	}
	s.note("times: the goodput over that of write(2) and read(2), by the same run. CPU, sender, receiver: CPU seconds for a gigabit.")
	return []table.Table{s.done()}
}

// overPlain is how many times the goodput of write and read a way has.
func (v *View) overPlain(c *Cell) (f factor) {
	k := c.Key
	k.Send, k.Receive = "write", "read"
	b := v.find(k)
	if b == c {
		b = nil
	}
	return quotient(c, b, goodput, b)
}

// sending answers whether it pays not to copy.
func (v *View) sending() string {
	var words []string
	over := func(k Key) string { return Key{Path: k.Path, MTU: k.MTU}.Label() }
	for _, path := range distinct(v.Of(Send), over, measured) {
		var best *Cell
		var most factor
		for _, c := range v.Of(Send) {
			if f := v.overPlain(c); over(c.Key) == path && isFinite(f.Ratio) && (best == nil || f.Ratio > most.Ratio) {
				best, most = c, f
			}
		}
		switch {
		case best == nil:
		case bounded(most) && (most.Ratio < 1.05 || !most.Sure()):
			words = append(words, fmt.Sprintf("%s: no way is faster than write and read", path))
		case !bounded(most) && most.Ratio < plain:
			words = append(words, fmt.Sprintf("%s: too few samples to say", path))
		case !bounded(most):
			words = append(words, fmt.Sprintf("%s: perhaps, %s and %s %sx as fast as write and read", path, best.Send, best.Receive, multiple(most.Ratio)))
		default:
			words = append(words, fmt.Sprintf("%s: %s and %s %sx as fast as write and read", path, best.Send, best.Receive, multiple(most.Ratio)))
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "Does it pay not to copy? " + strings.Join(words, "; ") + "."
}
