package network

import (
	"fmt"
	"strings"

	"isoperf/reports/table"
)

// ports answers what a published port costs: into the container, at the smallest
// and the largest MTU of each, against host networking.
func (v *View) ports() string {
	want := func(c *Cell) bool { return c.usual() && c.Dir == "in" && driverOf(c.Path).kind == port }
	var words []string
	for _, path := range distinct(v.Of(Stream), func(k Key) string { return k.Path }, want) {
		mine := func(c *Cell) bool { return want(c) && c.Path == path }
		var parts []string
		for _, mtu := range ends(distinct(v.Of(Stream), func(k Key) int { return k.MTU }, mine)) {
			for _, c := range v.Of(Stream) {
				if mine(c) && c.MTU == mtu {
					parts = append(parts, v.portWords(c))
				}
			}
		}
		words = append(words, path+" "+strings.Join(parts, ", "))
	}
	if len(words) == 0 {
		return ""
	}
	return "Into the container by a published port, against host networking: " + strings.Join(words, "; ") + "."
}

// portWords is one figure of a published port.
func (v *View) portWords(c *Cell) string {
	at := ""
	if c.MTU != 0 {
		at = fmt.Sprintf(" at MTU %d", c.MTU)
	}
	if word, _ := c.why(); word != "" {
		return word + at
	}
	text := table.Bits(c.Median(goodput)) + at
	f, than := v.overHost(c), ""
	if c.MTU == 0 {
		f, than = v.overLoopback(c), " against the loopback"
	}
	if isFinite(f.Ratio) {
		text += " (" + inWords(f) + than + ")"
	}
	if c.Stalled() {
		text += " (it stalls)"
	}
	return text
}
