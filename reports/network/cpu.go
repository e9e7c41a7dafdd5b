package network

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/reports/table"
)

// Part is a part of the CPU time that a byte takes.
type Part struct {
	Name string
	Unit string // in the result file
}

// Parts are those that add up to cpu-ns/B.
func Parts() []Part {
	return []Part{{"sender", "sender-ns/B"}, {"receiver", "receiver-ns/B"}, {"translator", "translator-ns/B"}}
}

// Softirq is the time in soft interrupts, of the whole machine. What of it was
// accounted to the ends is in their time as well, so it is no part of the sum.
const Softirq = "softirq-ns/B"

// perGigabit makes CPU seconds for a gigabit (1.25e8 bytes) of nanoseconds for a
// byte.
const perGigabit = 1.25e8 / 1e9

// PerGigabit is a unit of nanoseconds per byte in CPU nanoseconds per gigabit, the
// median of the samples that count; NaN where there is none.
func (c *Cell) PerGigabit(unit string) float64 { return 1e9 * perGigabit * c.Median(unit) }

// cpuTables say where the CPU time goes.
func (v *View) cpuTables() (all []table.Table) {
	cells := v.Of(Stream)
	known := func(c *Cell) bool { return isFinite(c.PerGigabit("cpu-ns/B")) }
	for _, g := range distinct(cells, groupOf, known) {
		s := newSheet("CPU seconds per gigabit, "+g.title(), 2, "path", "MTU, data", "sender", "receiver", "translator", "all", "softirq", "busy")
		for _, c := range cells {
			if groupOf(c.Key) != g || !known(c) {
				continue
			}
			row := []string{c.Path, c.way()}
			for _, p := range Parts() {
				row = append(row, seconds(c.PerGigabit(p.Unit)))
			}
			s.row(append(row, seconds(c.PerGigabit("cpu-ns/B")), seconds(c.PerGigabit(Softirq)), busy(c))...)
		}
		s.dropEmpty()
		if len(all) == 0 {
			s.note("CPU time of the processes at both ends and of the translator for 1.25e8 bytes that arrived.")
			if slices.Contains(s.Header, "softirq") {
				s.note("softirq is that of the whole machine and overlaps the ends, so it is not added.")
			}
			if slices.Contains(s.Header, "busy") {
				s.note("busy: how much of one CPU the translator used; it has one thread, so near 100 % it is what limits.")
			}
		}
		all = append(all, s.done())
	}
	return all
}

// seconds writes nanoseconds as seconds, without the unit.
func seconds(ns float64) string { return significant(ns/1e9, 3) }

// busy is the share of one CPU that the translator used.
func busy(c *Cell) string { return table.Percent(occupied(c)) }

// occupied is that share, 0 to 1; NaN without a translator.
func occupied(c *Cell) float64 {
	return c.Median("translator-ns/B") * c.Median(goodput) / 1e9
}

// cpuFinding answers where the CPU time goes: out of the container at the smallest
// MTU that was measured, or in.
func (v *View) cpuFinding() string {
	for _, dir := range []string{"out", "in"} {
		least := math.MaxInt
		for _, c := range v.Of(Stream) {
			if c.usual() && c.Dir == dir && c.MTU != 0 && c.N() > 0 {
				least = min(least, c.MTU)
			}
		}
		var words []string
		for _, c := range v.Of(Stream) {
			if !c.usual() || c.Dir != dir || c.MTU != least || c.Path == "netns" || driverOf(c.Path).kind == port {
				continue
			}
			if all := c.PerGigabit("cpu-ns/B"); isFinite(all) && !c.Stalled() {
				words = append(words, c.Path+" "+table.Duration(all)+shares(c, all))
			}
		}
		if len(words) > 0 {
			return fmt.Sprintf("CPU time for one gigabit at MTU %d, %s: %s. (softirq: of the whole machine, and partly in the ends' own time as well.)", least, direction(dir), strings.Join(words, "; "))
		}
	}
	return ""
}

// shares are the parts of a cell's CPU time.
func shares(c *Cell, all float64) string {
	var words []string
	for _, p := range Parts() {
		if t := c.PerGigabit(p.Unit); isFinite(t) && all > 0 {
			words = append(words, p.Name+" "+table.Percent(t/all))
		}
	}
	if s := c.PerGigabit(Softirq); isFinite(s) {
		words = append(words, "softirq "+table.Duration(s))
	}
	return " (" + strings.Join(words, ", ") + ")"
}
