package network

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"isoperf/reports/table"
)

// choice is the best of the paths that one can have, for one direction, MTU and
// round-trip time.
type choice struct {
	best   *Cell   // nil: nothing was measured
	others []*Cell // that cannot be told from it
	next   *Cell   // the best of those that are surely slower, or nil
	few    bool    // by too few samples for an interval
}

// choose picks among cells. What stalls is chosen only where nothing else is
// there.
func choose(cells []*Cell) (c choice) {
	cells = slices.DeleteFunc(slices.Clone(cells), func(c *Cell) bool { return c.N() == 0 })
	slices.SortStableFunc(cells, func(a, b *Cell) int {
		if x, y := a.Stalled(), b.Stalled(); x != y {
			if x {
				return 1
			}
			return -1
		}
		return int(b.Median(goodput) - a.Median(goodput))
	})
	for i, k := range cells {
		if i == 0 {
			c.best = k
			continue
		}
		_, f, how := lead(c.best, k)
		c.few = c.few || !bounded(f)
		switch {
		case k.Stalled() && !c.best.Stalled(), how == sure, how == likely:
			if c.next == nil {
				c.next = k
			}
		default:
			c.others = append(c.others, k)
		}
	}
	return c
}

// cell writes a choice into a table: "pasta 17.2", "nat or bridge 15.0".
func (c choice) cell() string {
	if c.best == nil {
		return "-"
	}
	names := []string{c.best.Path}
	for _, o := range c.others {
		names = append(names, o.Path)
	}
	text := strings.Join(names, " or ") + " " + gbits(c.best.Median(goodput))
	switch {
	case c.best.Stalled():
		text += " !"
	case c.next == nil && len(c.others) == 0:
		text += " (only)"
	case c.few:
		text += " ?"
	}
	return text
}

// matters says from which link on the choice is felt: the next best does not fill
// that link.
func (c choice) matters() string {
	if c.best == nil || c.next == nil {
		return "-"
	}
	return mattersOn(c.next.Median(goodput))
}

// situation is a row of the table of choices.
type situation struct {
	family string
	mtu    int
	rtt    time.Duration
	dir    string
	port   bool
}

// choiceTable says which driver is the fastest for each MTU and round-trip time:
// of those that an ordinary user can have, and of those that root can. Only where
// there are two drivers to choose from.
func (v *View) choiceTable() []table.Table {
	s := newSheet("Which driver is the fastest, in Gbit/s", 3, "MTU, data", "an ordinary user", "root", "host", "felt")
	few, any := false, false
	for _, at := range v.situations() {
		mine, roots := v.candidates(at)
		if len(mine)+len(roots) == 0 {
			continue
		}
		user, root := choose(mine), choose(append(slices.Clone(mine), roots...))
		any = any || len(mine)+len(roots) > 1
		few = few || user.few || root.few
		data := fmt.Sprintf("%d %s", at.mtu, at.dir)
		if at.port {
			data += ", port"
		}
		if at.rtt > 0 {
			data += ", " + at.rtt.String()
		}
		key := Key{Family: at.family, Path: host, Dir: at.dir, MTU: at.mtu, Streams: 1, IP: 4, RTT: at.rtt}
		felt := root.matters()
		if felt == "-" {
			felt = user.matters()
		}
		best := root.cell()
		if best == user.cell() {
			best = "the same"
		}
		s.row(data, user.cell(), best, gbits(v.find(key).Median(goodput)), felt)
	}
	if !any {
		return nil
	}
	s.dropEmpty()
	s.note("One TCP stream, IPv4; with a time, at that round trip. host: host networking. felt: on links of so many Gbit/s the choice matters, since the next best does not fill them. port: by a published port. or: they cannot be told apart. (only): nothing else was measured. !: it stalls.")
	if few {
		s.note("?: too few samples for an interval; a difference of 1.5 times and more is taken for one.")
	}
	return []table.Table{s.done()}
}

// situations are those that were measured, by MTU, then round trip, then
// direction; published ports last.
func (v *View) situations() (all []situation) {
	for _, family := range []string{Stream, Distance} {
		for _, published := range []bool{false, true} {
			want := func(c *Cell) bool {
				d := driverOf(c.Path)
				again := family == Distance && c.RTT == 0 && v.find(c.undelayed()).N() > 0
				return c.usual() && c.MTU != 0 && c.N() > 0 && !again && d.kind != base && (d.kind == port) == published
			}
			some := distinct(v.Of(family), func(k Key) situation { return situation{family, k.MTU, k.RTT, k.Dir, published} }, want)
			slices.SortStableFunc(some, func(a, b situation) int {
				if a.mtu != b.mtu {
					return a.mtu - b.mtu
				}
				if a.rtt != b.rtt {
					return int(a.rtt - b.rtt)
				}
				return -strings.Compare(a.dir, b.dir)
			})
			all = append(all, some...)
		}
	}
	return all
}

// undelayed is the same without a round-trip time, as the family Stream has it.
func (k Key) undelayed() Key {
	k.Family, k.RTT = Stream, 0
	return k
}

// candidates are the cells of a situation: those of an ordinary user, and those
// that take root.
func (v *View) candidates(at situation) (mine, roots []*Cell) {
	for _, c := range v.Of(at.family) {
		if !c.usual() || c.MTU != at.mtu || c.RTT != at.rtt || c.Dir != at.dir || c.N() == 0 {
			continue
		}
		d := driverOf(c.Path)
		k := d.kind
		if k == port {
			k = driverOf(d.of).kind
		}
		switch {
		case (d.kind == port) != at.port:
		case k == rootless:
			mine = append(mine, c)
		case k == rootful:
			roots = append(roots, c)
		}
	}
	return mine, roots
}

// flip answers whether pasta and slirp4netns change places between the smallest
// and the largest MTU that both were measured at, in each direction.
func (v *View) flip() string {
	const one, other = "pasta", "slirp4netns"
	var sentences []string
	for _, dir := range []string{"out", "in"} {
		of := func(path string, mtu int) *Cell {
			return v.find(Key{Family: Stream, Path: path, Dir: dir, MTU: mtu, Streams: 1, IP: 4})
		}
		asked := func(c *Cell) bool {
			return c.usual() && c.Dir == dir && c.MTU != 0 && (c.Path == one || c.Path == other)
		}
		mtus := distinct(v.Of(Stream), func(k Key) int { return k.MTU }, asked)
		slices.Sort(mtus)
		mtus = slices.DeleteFunc(mtus, func(m int) bool { return of(one, m) == nil || of(other, m) == nil })
		if len(mtus) < 2 {
			continue
		}
		low, high := mtus[0], mtus[len(mtus)-1]
		sentences = append(sentences, flipWords(dir, [2]*Cell{of(one, low), of(other, low)}, [2]*Cell{of(one, high), of(other, high)}))
	}
	if len(sentences) == 0 {
		return ""
	}
	return strings.Join(sentences, " ")
}

// flipWords says whether two paths, first at one MTU and then at another, change
// places.
func flipWords(dir string, low, high [2]*Cell) string {
	begin := fmt.Sprintf("pasta against slirp4netns, %s: ", dir)
	for _, pair := range [][2]*Cell{low, high} {
		for _, c := range pair {
			if word, _ := c.why(); word != "" {
				return begin + fmt.Sprintf("whether they change places cannot be said, %s at MTU %d is %s.", c.Path, c.MTU, word)
			}
		}
	}
	first, _, a := lead(low[0], low[1])
	second, _, b := lead(high[0], high[1])
	word := "does not flip here"
	switch {
	case a == unknown || b == unknown:
		return begin + "whether they change places cannot be said, they were not measured in the same run."
	case a == equal || b == equal:
		word = "too near to say whether it flips"
	case first.Path != second.Path:
		word = "flips"
	}
	if word == "flips" && (a == likely || b == likely) {
		word += ", as far as so few samples say"
	}
	text := fmt.Sprintf("%s%s: %s; %s", begin, word, versus(low), versus(high))
	var still []string
	for _, c := range []*Cell{low[0], low[1], high[0], high[1]} {
		if c.Stalled() {
			still = append(still, fmt.Sprintf("%s at MTU %d", c.Path, c.MTU))
		}
	}
	if len(still) > 0 {
		text += fmt.Sprintf(" (stalled: %s)", strings.Join(still, ", "))
	}
	if first.Path == second.Path || a == equal || b == equal {
		return text + "."
	}
	slowest := max(min(low[0].Median(goodput), low[1].Median(goodput)), min(high[0].Median(goodput), high[1].Median(goodput)))
	return text + ". Felt on links of " + mattersOn(slowest) + " Gbit/s."
}

func versus(pair [2]*Cell) string {
	return fmt.Sprintf("MTU %d %s against %s", pair[0].MTU, table.Bits(pair[0].Median(goodput)), table.Bits(pair[1].Median(goodput)))
}

// joined lists some, and says how many more there are.
func joined(list []string, most int) string {
	if len(list) > most {
		list = append(slices.Clone(list[:most]), fmt.Sprintf("and %d more", len(list)-most))
	}
	return strings.Join(list, "; ")
}
