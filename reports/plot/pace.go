package plot

import (
	"fmt"
	"math"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/table"

	"gonum.org/v1/plot/vg/draw"
)

// pacedGap is the gap that "paced" means in the cases of the other families,
// in nanoseconds.
const pacedGap = 50e6

// sweepGap shows from which gap on a tight loop no longer hides what an
// operation costs.
func sweepGap(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "sweep-gap", Title: "How long a clone takes after a pause", Family: "SweepGap"}
	var lines []line
	var gaps []float64
	var counts []int
	for _, flag := range distinct(f, "SweepGap", "flag") {
		steps := sweepSteps(f, "reap-ns", "SweepGap", "gap", parseGap, "flag", flag)
		if len(steps) < 2 {
			continue
		}
		first, last := steps[0].sum.Median, steps[len(steps)-1].sum.Median
		words := fmt.Sprintf("%s to %s (%s)", table.Duration(first), table.Duration(last), times(last/first))
		lines = append(lines, line{style: flagStyle(flag), points: medians(steps), label: []string{flagWords(flag), words}})
		counts = append(counts, stepCounts(steps)...)
		for _, s := range steps {
			gaps = append(gaps, s.x)
		}
	}
	if len(lines) == 0 {
		return fig, false
	}
	x := sweepAxis("pause between two clones (log scale)", gaps, durationTick, float64(inner-50-labelRoom(lines)))
	var rules []rule
	if pacedGap >= x.min && pacedGap <= x.max {
		rules = append(rules, rule{pacedGap, `50 ms: "paced"`})
	}
	y := logAxis("", spans(lines), durationTick)
	y.max *= math.Pow(y.max/y.min, 0.08) // room for the words of the rule
	p := linesPanel(lines, rules, x, y, 270)
	p.heading = "clone3 entered to child reaped (log scale)"
	fig.sheet = sheet{
		lead:   "Medians with their 95 % intervals, mode vm. At the right: from the shortest pause to the longest.",
		panels: []panel{p},
		foot:   []string{samplesOf(counts) + " (samples at one point)."},
	}
	fig.Findings = findings(lines)
	fig.Alt = "Line chart: time from clone3 to reaped over the pause between clones. " + strings.Join(fig.Findings, "; ") + "."
	return fig, true
}

// sweepCreators shows whether more creators get more namespaces made, and
// what each creation then takes.
func sweepCreators(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "sweep-creators", Title: "Creating in parallel", Family: "SweepCreators"}
	return atOnce(f, fig, crowd{
		key: "flag", unit: "reap-ns", style: flagStyle, words: flagWords,
		rate:  "creations per second, all creators together (log scale)",
		one:   "one creation: clone3 entered to child reaped (log scale)",
		label: "creators at the same time (log scale)",
	})
}

// crowd is a sweep over the number of threads that do something at once.
type crowd struct {
	key, unit        string // the parameter that makes a line; the unit of one operation
	style            func(string) style
	words            func(string) string
	lead             string // comes first; may be empty
	rate, one, label string // the headings, and the axis
}

// atOnce has two panels: throughput, and what one operation takes.
func atOnce(f *sample.File, fig Figure, c crowd) (Figure, bool) {
	var rate, latency []line
	var ns []float64
	var counts []int
	for _, name := range distinct(f, fig.Family, c.key) {
		walls := sweepSteps(f, "wall-ns", fig.Family, "n", parseCount, c.key, name)
		if len(walls) > 1 {
			rate = append(rate, throughput(walls, c.style(name), c.words(name), c.actors()))
		}
		ones := sweepSteps(f, c.unit, fig.Family, "n", parseCount, c.key, name)
		if len(ones) > 1 {
			latency = append(latency, latencies(ones, c.style(name), c.words(name))...)
		}
		for _, s := range append(walls, ones...) {
			ns, counts = append(ns, s.x), append(counts, s.sum.N)
		}
	}
	if len(rate)+len(latency) == 0 {
		return fig, false
	}
	room := max(labelRoom(rate), labelRoom(latency))
	x := sweepAxis("", ns, numberTick, float64(inner-50-room))
	var rules []rule
	if n := cpus(f); n >= x.min && n <= x.max {
		rules = append(rules, rule{n, fmt.Sprintf("%s CPUs", numberTick(n))})
	}
	fig.sheet = sheet{
		lead: c.lead + "Throughput is one over the median wall time per " + c.thing() + ". Latency: a solid line is the median, a dotted one the 99th percentile.",
		foot: []string{samplesOf(counts) + " (samples at one point)."},
	}
	add := func(heading string, lines []line, ticks labeller) {
		if len(lines) > 0 {
			p := linesPanel(lines, rules, x, headroom(logAxis("", spans(lines), ticks)), 175)
			p.heading, p.right = heading, room
			fig.sheet.panels = append(fig.sheet.panels, p)
		}
	}
	add(c.rate, rate, numberTick)
	add(c.one, latency, durationTick)
	fig.sheet.panels[len(fig.sheet.panels)-1].x.label = c.label
	fig.Findings = findings(rate)
	fig.Alt = "Two line charts over the number of " + c.actors() + ": throughput, and the latency of one " + c.thing() + ". " + strings.Join(fig.Findings, "; ") + "."
	return fig, true
}

// thing is what is done: the word before the heading's colon.
func (c crowd) thing() string {
	thing, _, _ := strings.Cut(strings.TrimPrefix(c.one, "one "), ":")
	return thing
}

// actors are who does it: the first word of the axis.
func (c crowd) actors() string {
	actors, _, _ := strings.Cut(c.label, " ")
	return actors
}

// headroom leaves place for the words of a rule above the lines.
func headroom(a axis) axis {
	a.max *= math.Pow(a.max/a.min, 0.1)
	return a
}

// throughput is one over the wall time of one creation, per second.
func throughput(steps []step, look style, name, actors string) line {
	l := line{style: look}
	best := point{}
	for _, s := range steps {
		p := point{s.x, 1e9 / s.sum.Median, 1e9 / s.sum.Hi, 1e9 / s.sum.Lo}
		if !bounded(s.sum.Lo, s.sum.Hi) || s.sum.Lo <= 0 {
			p.lo, p.hi = math.Inf(-1), math.Inf(1)
		}
		l.points = append(l.points, p)
		if p.y > 1.03*best.y { // what noise adds on a plateau is no peak
			best = p
		}
	}
	l.label = []string{name, fmt.Sprintf("at most %s/s, with %s", table.Count(roundTo(best.y, 3)), many(best.x, actors))}
	return l
}

// many counts those who act: "one creator", "4 creators".
func many(n float64, actors string) string {
	if n == 1 {
		return "one " + strings.TrimSuffix(actors, "s")
	}
	return numberTick(n) + " " + actors
}

// roundTo keeps the first figures of v.
func roundTo(v float64, figures int) int {
	size := math.Pow(10, math.Floor(math.Log10(v))-float64(figures)+1)
	return int(math.Round(math.Round(v/size) * size))
}

// latencies are the median and the 99th percentile of one creation.
func latencies(steps []step, look style, name string) []line {
	half := line{style: look, points: medians(steps), label: []string{name + ", median"}}
	tail := line{style: look, label: []string{name + ", p99"}}
	tail.style.dash, tail.style.glyph = dotted(), draw.RingGlyph{}
	for _, s := range steps {
		tail.points = append(tail.points, point{s.x, s.sum.P99, math.Inf(-1), math.Inf(1)})
	}
	return []line{half, tail}
}
