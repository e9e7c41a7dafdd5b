package network

import (
	"fmt"
	"strings"

	"isoperf/reports/table"
)

// Event is an instant of the set-up, from its beginning.
type Event struct {
	Name string
	Unit string // in the result file
}

// Events are those of the set-up, in the order in which they are usually seen.
func Events() []Event {
	return []Event{
		{"process started", "process-ns"}, {"link up", "link-ns"}, {"IPv4 address", "address-ns"}, {"said to be ready", "said-ns"},
		{"first handshake", "setup-ns"}, {"IPv6 address", "address6-ns"},
	}
}

// setupTables are the set-up of each path, the removal, and the translator's
// memory.
func (v *View) setupTables() []table.Table {
	s := newSheet("Set-up: from the beginning to each event", 2, "path", "MTU", "handshake", "process", "link", "IPv4", "IPv6", "ready", "removed", "memory", "slower")
	for _, c := range v.Of(Setup) {
		if c.N() == 0 {
			s.empty(c, c.Path, c.MTUText())
			continue
		}
		d := func(unit string) string { return table.Duration(c.Median(unit)) }
		s.row(c.Path, c.MTUText(), d("setup-ns"), d("process-ns"), d("link-ns"), d("address-ns"), d("address6-ns"), d("said-ns"),
			d("teardown-ns"), table.Bytes(c.Median("translator-B")), times(v.overBridge(c)))
		s.note(partly(c))
		s.note(c.resent())
	}
	if len(s.Rows) == 0 {
		return nil
	}
	s.dropEmpty()
	if len(distinct(v.Of(Setup), func(k Key) int { return k.MTU }, anyCell)) == 1 {
		s.drop("MTU")
	}
	s.note("process: what sets it up has been started. link, IPv4, IPv6: first seen to be there (IPv6 after the search for duplicates). ready: what sets it up says so. handshake: of TCP with the peer. All from the same beginning, so they do not add up. " +
		"removed: how long that takes alone. memory: what is resident of the translator after one handshake. slower: than a bridge without NAT, to the handshake.")
	return []table.Table{s.done()}
}

// again is when TCP (RFC 6298, section 2.1) and ARP (arp(7), retrans_time_ms) send
// again what was not answered: a second; a little less, since the measured part of
// the wait begins later.
const again = 0.9e9

// resent says in how many set-ups the first handshake came that late after the path
// was said to be ready. On a bridge that is a lost search for the peer's address: a
// pair's ends are up before the kernel has told the bridge so (linkwatch), and until
// then its new port forwards nothing.
func (c *Cell) resent() string {
	late := 0
	for _, ns := range c.waited {
		if ns >= again {
			late++
		}
	}
	if late == 0 {
		return ""
	}
	why := ""
	if c.Path == "bridge" {
		why = "; the bridge's new port forwards nothing for a moment after it is up"
	}
	return fmt.Sprintf("%s: in %d of %d set-ups the first handshake came a second or more after \"ready\", as when a first packet is lost and sent again%s.", c.Label(), late, c.N(), why)
}

// overBridge is how many times longer a path's set-up takes than that of the
// simplest, a veth pair on a bridge.
func (v *View) overBridge(c *Cell) factor {
	b := v.find(c.on("bridge"))
	if b == c {
		b = nil
	}
	return slower(c, b, "setup-ns")
}

// wide is by how much the ends of a set-up's interval differ when its median alone
// would mislead: a handshake whose first packet was lost takes a second.
const wide = 5

// settingUp answers how long it takes until a container has a network, and what
// it waits for.
func (v *View) settingUp() string {
	var words []string
	for _, c := range v.smallest(Setup) {
		text := fmt.Sprintf("%s %s", c.Path, table.Duration(c.Median("setup-ns")))
		if s := c.Of("setup-ns"); isFinite(s.Hi) && s.Hi > wide*s.Lo {
			text += fmt.Sprintf(" (but anything from %s)", table.Range(s.Lo, s.Hi))
		} else if name, took := c.slowestStep(); name != "" {
			text += fmt.Sprintf(" (most of it, %s, up to: %s)", table.Duration(took), name)
		}
		words = append(words, text)
	}
	if len(words) == 0 {
		return ""
	}
	return "From nothing to the first handshake: " + strings.Join(words, "; ") + "."
}

// slowestStep is the longest gap between two events on the way to the first
// handshake, by the event that ends it; "" where there is but one.
func (c *Cell) slowestStep() (name string, took float64) {
	end := c.Median("setup-ns")
	steps := c.Steps()
	from, known := 0.0, 0
	for _, s := range steps {
		if s.At > end {
			break
		}
		known++
		if s.At-from > took {
			name, took = s.Name, s.At-from
		}
		from = s.At
	}
	if known < 2 || took < end/2 {
		return "", 0
	}
	return name, took
}

// Step is an event of the set-up of one cell.
type Step struct {
	Event
	At float64 // nanoseconds from the beginning, the median
}

// Steps are the events of a cell that were seen, in order of time.
func (c *Cell) Steps() (steps []Step) {
	for _, e := range Events() {
		if at := c.Median(e.Unit); isFinite(at) {
			steps = append(steps, Step{e, at})
		}
	}
	sortBy(steps, func(s Step) float64 { return s.At })
	return steps
}

// weights answers what the translators weigh.
func (v *View) weights() string {
	var words []string
	for _, c := range v.smallest(Setup) {
		if m := c.Median("translator-B"); isFinite(m) {
			words = append(words, c.Path+" "+table.Bytes(m))
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "Memory of the translator beside each container: " + strings.Join(words, ", ") + "; a bridge has none."
}
