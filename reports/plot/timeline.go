package plot

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Lane is a row of a timeline: one process, one thread, one run.
type Lane struct {
	Name     string  // "runc init[1240]"
	From, To float64 // its life, in nanoseconds from the picture's start
	Bars     []Bar
}

// Bar is something that took time in a lane.
type Bar struct {
	From, To float64 // nanoseconds from the picture's start
	Kind     string  // what it belongs to: bars of a kind have one colour
	Level    Level
	Part     float64 // of a slim bar, how much of the time it ran, up to 1: its height
}

// Level says how high a bar stands.
type Level int

// The levels, the lowest first; bars of a higher one hide those of a lower.
const (
	Idle Level = iota // a line: waits, and what is blocked
	Slim              // grey, and as high as its Part: own code
	Full
)

// The timeline, in points.
const (
	laneHeight = 27
	barHeight  = 11
	barFloor   = 4 // below the bar
	thinnest   = 0.35
	lanesMost  = 30
	nameMost   = 150
)

// Timeline draws lanes against time, a bar for everything that took time. The
// kinds that took longest have a colour, and stand beside their bars where
// there is room. Lanes beyond thirty are left out, the shortest first, and the
// foot says so. The same data gives the same picture.
func Timeline(title, lead string, lanes []Lane) Figure {
	shown, hidden := longest(lanes)
	looks, order := kindStyles(shown)
	s := sheet{title: title, lead: lead}
	for _, k := range order {
		s.keys = append(s.keys, key{style: looks[k], text: k})
	}
	if has(shown, Slim) {
		s.keys = append(s.keys, key{style: ownStyle(), text: "own code, as high as its share of a CPU", line: true, plain: true})
	}
	if has(shown, Idle) {
		s.keys = append(s.keys, key{style: idleStyle(), text: "waits, or is blocked", line: true, plain: true})
	}
	if hidden > 0 {
		s.foot = append(s.foot, fmt.Sprintf("%d lanes that are shorter than these are left out.", hidden))
	}
	s.panels = []panel{lanesPanel(shown, looks)}
	return Figure{Name: "timeline", Title: title, Alt: fmt.Sprintf("A timeline of %d lanes. %s", len(shown), lead), Family: "Timeline", sheet: s}
}

// has says whether there is a bar of a level.
func has(lanes []Lane, level Level) bool {
	for _, l := range lanes {
		if slices.ContainsFunc(l.Bars, func(b Bar) bool { return b.Level == level }) {
			return true
		}
	}
	return false
}

// longest are at most lanesMost lanes in their order.
func longest(lanes []Lane) (shown []Lane, hidden int) {
	if len(lanes) <= lanesMost {
		return lanes, 0
	}
	lives := make([]float64, len(lanes))
	for i, l := range lanes {
		lives[i] = l.To - l.From
	}
	slices.Sort(lives)
	least := lives[len(lives)-lanesMost]
	for _, l := range lanes {
		if l.To-l.From >= least && len(shown) < lanesMost {
			shown = append(shown, l)
		}
	}
	return shown, len(lanes) - len(shown)
}

func ownStyle() style  { return style{ink: 0xA8B4BE} }
func idleStyle() style { return style{ink: 0xC9C9C9} }

// kindStyles gives the kinds of full bars that took longest a colour, and the
// others grey.
func kindStyles(lanes []Lane) (looks map[string]style, order []string) {
	total := map[string]float64{}
	for _, l := range lanes {
		for _, b := range l.Bars {
			if b.Level == Full {
				total[b.Kind] += b.To - b.From
			}
		}
	}
	var kinds []string
	for k := range total {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b string) int { return cmp.Or(cmp.Compare(total[b], total[a]), cmp.Compare(a, b)) })
	looks = map[string]style{}
	box := draw.BoxGlyph{}
	palette := []ink{blue, vermillion, green, purple, orange, sky, 0x4B4B9F, 0x8C2D19, 0x6B8E23}
	for i, k := range kinds {
		looks[k] = style{grey, nil, box}
		if i < len(palette) {
			looks[k] = style{palette[i], nil, box}
			order = append(order, k)
		}
	}
	if len(kinds) > len(palette) {
		const others = "other"
		looks[others] = style{grey, nil, box}
		order = append(order, others)
	}
	return looks, order
}

// lanesPanel is the panel of the lanes, the first on top.
func lanesPanel(lanes []Lane, looks map[string]style) panel {
	end := 1.0
	names := vg.Length(0)
	for _, l := range lanes {
		end = max(end, l.To)
		names = max(names, min(bodyLetter().width(l.Name), nameMost))
	}
	x := linearAxis("time", []float64{0, end}, durationTick)
	x.min, x.max = 0, end*1.01
	p := panel{rows: true, x: x, y: axis{max: 1}, right: 12, left: names + 17, height: vg.Length(len(lanes)) * laneHeight}
	p.marks = []plot.Plotter{paint(func(c draw.Canvas, g *plot.Plot) {
		top := c.Max.Y
		for i, l := range lanes {
			ground := white
			if i%2 == 0 {
				ground = band
				shade(c, g, top, laneHeight, x)
			}
			l.draw(c, g, top, ground, looks)
			top -= laneHeight
		}
	})}
	return p
}

// draw draws one lane, whose upper edge is at top.
func (l Lane) draw(c draw.Canvas, g *plot.Plot, top vg.Length, ground ink, looks map[string]style) {
	x, _ := g.Transforms(&c)
	low := top - laneHeight + barFloor
	write(c, bodyLetter(), black, right, c.Min.X-11, bodyLetter().middle(low+barHeight/2), fit(bodyLetter(), l.Name, nameMost))
	line := func(from, to float64, height vg.Length, i ink) {
		a, b := max(x(from), c.Min.X), min(x(to), c.Max.X)
		c.SetColor(i.rgb())
		middle := low + barHeight/2
		c.Fill(vg.Rectangle{Min: vg.Point{X: a, Y: middle - height/2}, Max: vg.Point{X: max(b, a+thinnest), Y: middle + height/2}}.Path())
	}
	line(l.From, l.To, 1, idleStyle().ink)
	for level := Idle; level <= Full; level++ {
		for _, b := range l.Bars {
			switch {
			case b.Level != level:
			case level == Idle:
				line(b.From, b.To, 1.6, idleStyle().ink)
			case level == Slim:
				line(b.From, b.To, max(1.6, barHeight*vg.Length(min(b.Part, 1))), ownStyle().ink)
			default:
				line(b.From, b.To, barHeight, looks[b.Kind].ink)
				from, to := max(x(b.From), c.Min.X), min(x(b.To), c.Max.X)
				text := fmt.Sprintf("%s: %s, from %s", b.Kind, durationTick(b.To-b.From), durationTick(b.From))
				explainBox(c, looks[b.Kind], hint{x: (from + to) / 2, y: low + barHeight/2, width: max(to-from, 1), height: barHeight, text: text})
			}
		}
	}
	l.label(c, func(v float64) vg.Length { return x(v) }, low+barHeight+3, ground, looks)
}

// stretch is where bars of a kind follow each other closely.
type stretch struct {
	from, to vg.Length
	kind     string
	level    Level
	took     vg.Length // the bars alone
}

// label writes above the longest stretches what they are.
func (l Lane) label(c draw.Canvas, x func(float64) vg.Length, y vg.Length, ground ink, looks map[string]style) {
	const near, least = 3, 6 // points
	var all []stretch
	open := map[string]int{}
	for _, b := range l.Bars {
		if b.Level == Idle {
			continue
		}
		from, to := x(b.From), x(b.To)
		took := to - from
		if b.Level == Slim {
			took *= vg.Length(min(b.Part, 1))
		}
		if i, ok := open[b.Kind]; ok && from-all[i].to < near {
			all[i].to, all[i].took = max(all[i].to, to), all[i].took+took
			continue
		}
		open[b.Kind] = len(all)
		all = append(all, stretch{from, to, b.Kind, b.Level, took})
	}
	slices.SortStableFunc(all, func(a, b stretch) int { return cmp.Compare(b.took, a.took) })
	var taken []stretch
	for _, s := range all {
		width := smallLetter().width(s.kind)
		from := min(max((s.from+s.to)/2-width/2, c.Min.X), c.Max.X-width)
		place := stretch{from: from - 4, to: from + width + 4}
		if s.took < least || from < c.Min.X || slices.ContainsFunc(taken, func(o stretch) bool { return place.from < o.to && o.from < place.to }) {
			continue
		}
		taken = append(taken, place)
		colour := grey
		if look, ok := looks[s.kind]; ok && s.level == Full {
			colour = look.ink
		}
		writeOver(c, smallLetter(), colour, ground, left, from, y, s.kind)
	}
}

// fit shortens a name in its middle, where it says least.
func fit(l letter, name string, most vg.Length) string {
	runes := []rune(name)
	for keep := len(runes); l.width(name) > most && keep > 4; keep-- {
		half := int(math.Ceil(float64(keep-1) / 2))
		name = string(runes[:half]) + "…" + string(runes[len(runes)-(keep-1-half):])
	}
	return name
}
