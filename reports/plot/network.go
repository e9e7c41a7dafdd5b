package plot

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"isoperf/bench/sample"
	"isoperf/reports/network"
	"isoperf/reports/table"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
)

const goodput = "goodput-B/s"

// pathStyle gives a path the same look in every figure: a published port is
// dashed, in the colour of its driver.
func pathStyle(path string) style {
	switch path {
	case "loopback":
		return style{faint, dotted(), draw.RingGlyph{}}
	case "netns":
		return style{sky, dotted(), draw.RingGlyph{}}
	case "veth":
		return style{black, nil, draw.CircleGlyph{}}
	case "bridge":
		return style{grey, nil, draw.PyramidGlyph{}}
	case "nat":
		return style{blue, nil, draw.BoxGlyph{}}
	case "nat-port":
		return style{blue, dashed(), draw.SquareGlyph{}}
	case "slirp4netns":
		return style{vermillion, nil, draw.PyramidGlyph{}}
	case "slirp4netns-port":
		return style{vermillion, dashed(), draw.TriangleGlyph{}}
	case "pasta":
		return style{green, nil, draw.CircleGlyph{}}
	case "pasta-port":
		return style{green, dashed(), draw.RingGlyph{}}
	case "pasta-local":
		return style{purple, dotted(), draw.RingGlyph{}}
	}
	return style{orange, dotted(), draw.SquareGlyph{}}
}

// bitTick writes bits per second.
func bitTick(bits float64) string {
	switch {
	case bits == 0:
		return "0"
	case bits >= 1e9:
		return figures(bits/1e9) + " Gbit/s"
	case bits >= 1e6:
		return figures(bits/1e6) + " Mbit/s"
	}
	return figures(bits/1e3) + " kbit/s"
}

// bitPoint is a cell's goodput in bits per second, over x.
func bitPoint(x float64, c *network.Cell) point {
	s := c.Of(goodput)
	return point{x: x, y: 8 * s.Median, lo: 8 * s.Lo, hi: 8 * s.Hi}
}

// alike are the cells with figures that have the IP version and the number of
// streams of the first of them: IPv4 and one, if that was measured.
func alike(cells []*network.Cell) (some []*network.Cell) {
	for _, c := range cells {
		if c.N() > 0 && (len(some) == 0 || some[0].IP == c.IP && some[0].Streams == c.Streams) {
			some = append(some, c)
		}
	}
	return some
}

// pathsOf are the paths of cells, in order.
func pathsOf(cells []*network.Cell) (names []string) {
	for _, c := range cells {
		if !slices.Contains(names, c.Path) {
			names = append(names, c.Path)
		}
	}
	return names
}

// streamsOf says what the cells have in common.
func streamsOf(c *network.Cell) string {
	text := "one stream"
	if c.Streams != 1 {
		text = fmt.Sprintf("%d streams", c.Streams)
	}
	return fmt.Sprintf("TCP, %s, IPv%d", text, c.IP)
}

// directions are those of cells, with their words.
func directions(cells []*network.Cell) (all [][2]string) {
	for _, d := range [][2]string{{"out", "out of the container"}, {"in", "into the container"}} {
		if slices.ContainsFunc(cells, func(c *network.Cell) bool { return c.Dir == d[0] }) {
			all = append(all, d)
		}
	}
	return all
}

// networkThroughput shows goodput by path over the MTU.
func networkThroughput(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "network-throughput", Title: "What each path carries, by its MTU", Family: network.Stream}
	cells := alike(network.Read(f).Of(network.Stream))
	var mtus []float64
	for _, c := range cells {
		if c.MTU != 0 {
			mtus = append(mtus, float64(c.MTU))
		}
	}
	if len(mtus) == 0 || len(directions(cells)) == 0 {
		return fig, false
	}
	x := sweepAxis("", mtus, func(v float64) string { return fmt.Sprintf("%.0f", v) }, 380)
	var counts []int
	var alts []string
	var values []float64
	for _, c := range cells {
		counts, values = append(counts, c.N()), append(values, 8*c.Median(goodput))
		alts = append(alts, fmt.Sprintf("%s %s %s %s", c.Path, c.Dir, c.MTUText(), table.Bits(c.Median(goodput))))
	}
	var all [][]line
	for _, d := range directions(cells) {
		all = append(all, throughputLines(cells, d[0], slices.Max(mtus), x))
		values = append(values, spans(all[len(all)-1])...)
	}
	y := logAxis("", values, bitTick)
	for i, d := range directions(cells) {
		p := linesPanel(all[i], nil, x, y, 200)
		p.heading = d[1] + " (log scale)"
		fig.sheet.panels = append(fig.sheet.panels, p)
	}
	fig.sheet.panels[len(fig.sheet.panels)-1].x.label = "MTU in bytes (log scale)"
	fig.sheet.lead = streamsOf(cells[0]) + ": the data that arrived, in bits per second (1 Gbit/s is 10^9). veth is host networking. Thin dotted lines: paths without an MTU of their own. Written at the right: the figure at the largest MTU, or at the one in brackets."
	fig.sheet.foot = []string{"Medians" + intervals(counts) + ", " + samplesOf(counts) + ". A path that was not proved is not shown."}
	fig.Alt = "Lines of goodput over the MTU. " + strings.Join(alts, "; ") + "."
	return fig, true
}

// throughputLines are those of one direction, a path each; a path without an MTU
// of its own is a level.
func throughputLines(cells []*network.Cell, dir string, most float64, x axis) (lines []line) {
	for _, path := range pathsOf(cells) {
		l := line{style: pathStyle(path)}
		for _, c := range cells {
			if c.Path != path || c.Dir != dir {
				continue
			}
			l.label = []string{path + ", " + table.Bits(c.Median(goodput))}
			switch {
			case c.MTU == 0:
				y := 8 * c.Median(goodput)
				l.bare, l.width, l.curve = true, 1, plotter.XYs{{X: x.min, Y: y}, {X: x.max, Y: y}}
				continue
			case float64(c.MTU) != most:
				l.label[0] += fmt.Sprintf(" (%d)", c.MTU)
			}
			l.points = append(l.points, bitPoint(float64(c.MTU), c))
		}
		if len(l.label) > 0 {
			lines = append(lines, l)
		}
	}
	return lines
}

// intervals says whether the figures have any.
func intervals(counts []int) string {
	if slices.Max(counts) >= 6 {
		return " with their 95 % intervals, where there are six samples"
	}
	return ""
}

// networkDistance shows goodput over the round-trip time.
func networkDistance(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "network-rtt", Title: "What distance does to each path", Family: network.Distance}
	cells := alike(network.Read(f).Of(network.Distance))
	var rtts []float64
	for _, c := range cells {
		rtts = append(rtts, float64(c.RTT))
	}
	if len(rtts) == 0 || slices.Max(rtts) <= 0 || len(directions(cells)) == 0 {
		return fig, false
	}
	x := sweepAxis("", rtts, durationTick, 380)
	type set struct {
		mtu     int
		dir     string
		heading string
	}
	var sets []set
	for _, d := range directions(cells) {
		for _, c := range cells {
			s := set{c.MTU, d[0], fmt.Sprintf("MTU %d, %s (log scale)", c.MTU, d[1])}
			if c.Dir == d[0] && !slices.Contains(sets, s) && len(sets) < mostPanels {
				sets = append(sets, s)
			}
		}
	}
	var counts []int
	var alts []string
	for _, s := range sets {
		var lines []line
		for _, path := range pathsOf(cells) {
			l := line{style: pathStyle(path), label: []string{path}}
			for _, c := range cells {
				if c.Path == path && c.Dir == s.dir && c.MTU == s.mtu {
					l.points, counts = append(l.points, bitPoint(float64(c.RTT), c)), append(counts, c.N())
					alts = append(alts, fmt.Sprintf("%s %s %s: %s", path, s.dir, durationTick(float64(c.RTT)), table.Bits(c.Median(goodput))))
				}
			}
			if len(l.points) > 0 {
				slices.SortFunc(l.points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
				lines = append(lines, l)
			}
		}
		top := ceiling(rtts)
		y := logAxis("", append(spans(lines), top[0].Y, top[len(top)-1].Y), bitTick)
		lines = append(lines, line{style: style{faint, nil, draw.RingGlyph{}}, bare: true, width: 0.8, curve: top, label: []string{"65535 bytes", "a round trip"}})
		p := linesPanel(lines, nil, x, y, 190)
		p.heading = s.heading
		fig.sheet.panels = append(fig.sheet.panels, p)
	}
	fig.sheet.panels[len(fig.sheet.panels)-1].x.label = "round-trip time added (log scale)"
	fig.sheet.lead = streamsOf(cells[0]) + ": the data that arrived, in bits per second. The thin line is what a window of 65535 bytes allows, the largest that TCP has without window scaling."
	fig.sheet.foot = []string{"Medians" + intervals(counts) + ", " + samplesOf(counts) + "."}
	fig.Alt = "Lines of goodput over the round-trip time. " + strings.Join(alts, "; ") + "."
	return fig, true
}

// ceiling is what a window of 65535 bytes allows between the shortest and the
// longest round trip, in bits per second.
func ceiling(rtts []float64) (xys plotter.XYs) {
	lo, hi := bounds(rtts, true)
	for _, d := range []float64{lo, math.Max(hi, lo*1.001)} {
		xys = append(xys, plotter.XY{X: d, Y: 8 * network.Ceiling(time.Duration(d))})
	}
	return xys
}

// networkLatency shows the distributions of answers, by path: a panel for each
// MTU, and in all of them the paths that have none of their own.
func networkLatency(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "network-latency", Title: "How long an answer takes, by path", Family: network.Request}
	var xs []float64
	var mtus []int
	var paths, alts []string
	by := map[int][]line{}
	for _, c := range alike(network.Read(f).Of(network.Request)) {
		curves := c.Curves("latency")
		if len(curves) == 0 {
			continue
		}
		l := line{style: pathStyle(c.Path), bare: true, width: 1.2}
		for _, p := range curves[0].Points {
			l.points, xs = append(l.points, point{x: p[0], y: p[1], lo: math.Inf(-1), hi: math.Inf(1)}), append(xs, p[0])
		}
		if by[c.MTU] == nil && c.MTU != 0 {
			mtus = append(mtus, c.MTU)
		}
		by[c.MTU] = append(by[c.MTU], l)
		if !slices.Contains(paths, c.Path) {
			paths = append(paths, c.Path)
			fig.sheet.keys = append(fig.sheet.keys, key{style: l.style, text: c.Path, line: true, plain: true})
		}
		alts = append(alts, fmt.Sprintf("%s, MTU %s: median %s, p99 %s", c.Path, c.MTUText(), table.Duration(c.Median("rr-ns")), table.Duration(c.Median("rr-p99-ns"))))
	}
	if len(alts) == 0 {
		return fig, false
	}
	if len(mtus) == 0 {
		mtus = []int{0}
	}
	slices.Sort(mtus)
	x := logAxis("", xs, durationTick)
	y := linearAxis("", []float64{0, 1}, func(v float64) string { return numberTick(100*v) + " %" })
	for _, mtu := range mtus[:min(mostPanels, len(mtus))] {
		lines := by[mtu]
		if mtu != 0 {
			lines = append(slices.Clone(by[0]), lines...)
		}
		p := linesPanel(lines, nil, x, y, 190)
		if mtu != 0 {
			p.heading = fmt.Sprintf("MTU %d", mtu)
		}
		fig.sheet.panels = append(fig.sheet.panels, p)
	}
	fig.sheet.panels[len(fig.sheet.panels)-1].x.label = "from when a request was due to its answer (log scale)"
	fig.sheet.lead = "Share of the requests whose answer took at most this long. A byte is sent every 500 us, whether the one before was answered or not."
	fig.sheet.foot = []string{"Of each path the first sample that counts."}
	fig.Alt = "Cumulative distributions of the time to an answer. " + strings.Join(alts, "; ") + "."
	return fig, true
}

// networkSetup shows when each event of the set-up comes.
func networkSetup(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "network-setup", Title: "How long until a container has its network", Family: network.Setup}
	var rows []row
	var counts []int
	seen := map[string]bool{}
	for _, c := range network.Read(f).Of(network.Setup) {
		if c.N() == 0 || seen[c.Path] {
			continue
		}
		seen[c.Path] = true
		add := func(name, unit string, look style) {
			s := c.Of(unit)
			if s.N > 0 && s.Median > 0 {
				counts = append(counts, s.N)
				rows = append(rows, row{group: c.Path, name: name, marks: []mark{{style: look, value: s.Median, lo: s.Lo, hi: s.Hi, text: table.Duration(s.Median), ok: true}}})
			}
		}
		for _, e := range c.Steps() {
			look := style{blue, nil, draw.CircleGlyph{}}
			if e.Unit == "setup-ns" {
				look = style{vermillion, nil, draw.BoxGlyph{}}
			}
			add(e.Name, e.Unit, look)
		}
		add("removed (alone)", "teardown-ns", style{grey, nil, draw.RingGlyph{}})
	}
	if len(rows) == 0 {
		return fig, false
	}
	x := logAxis("time since the beginning (log scale)", extent(rows), durationTick)
	fig.sheet.lead = "When each event is seen, from the moment at which the container is to be given a network. The first TCP handshake with the peer is what counts; the removal has a beginning of its own."
	fig.sheet.panels = []panel{rowsPanel(rows, x)}
	fig.sheet.foot = []string{"Medians" + intervals(counts) + ", " + samplesOf(counts) + ", each path at its smallest MTU."}
	fig.Alt = "Dot plot: the events of the set-up of each path. " + rowsAlt(rows)
	return fig, true
}
