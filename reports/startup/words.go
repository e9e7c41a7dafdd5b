package startup

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// known are the runtimes that a sentence names first, when they are there.
func known() []string { return []string{"runc", "crun", "youki", "podman-crun", "docker"} }

// Most that a sentence names.
const (
	mostPeers = 2
	mostLacks = 3
)

// Headline is the answer: what a start takes, and what it takes elsewhere.
func (c *Comparison) Headline() string {
	text := c.opening()
	better, same, worse := c.sides()
	var clauses []string
	if len(better) > 0 {
		var parts []string
		for _, s := range better {
			parts = append(parts, sooner(s.Times)+" than "+s.Name)
		}
		clauses = append(clauses, strings.Join(parts, ", ")+which(better))
	}
	for _, s := range same {
		if between := Between(inverse(s.Times)); between != "-" {
			clauses = append(clauses, fmt.Sprintf("as fast as %s as far as can be told (%s of its time)", s.Name, between))
		} else {
			clauses = append(clauses, "too few samples to tell it from "+s.Name)
		}
	}
	for _, s := range worse {
		clauses = append(clauses, later(s.Times)+" than "+s.Name+leavesOut(*s))
	}
	if len(clauses) == 0 {
		return text + "."
	}
	return text + ": " + strings.Join(clauses, "; ") + "."
}

// opening says what a start of the base takes.
func (c *Comparison) opening() string {
	what := map[string]string{"usual": "a container", "own": "the container of this bundle"}[c.With]
	if what == "" {
		what = "a container (" + c.With + ")"
	}
	b := c.Base
	switch {
	case c.With == "command":
		return fmt.Sprintf("%s runs the command in %s here", b.Name, Brief(b.Total.Median))
	case b.Name == Floor:
		return fmt.Sprintf("%s runs the payload in %s here, without a container", b.Name, Brief(b.Total.Median))
	case b.Ready.N == 0:
		return fmt.Sprintf("%s has started and ended %s after %s here", b.Name, what, Brief(b.Total.Median))
	}
	return fmt.Sprintf("%s starts %s in %s here and has ended it after %s", b.Name, what, Brief(b.Ready.Median), Brief(b.Total.Median))
}

// sides picks the peers that a sentence names: slower than the base, not to
// be told from it, quicker.
func (c *Comparison) sides() (better, same, worse []*Start) {
	for _, s := range c.peers() {
		switch {
		case !s.Times.Sure():
			same = append(same, s)
		case s.Times.Ratio > 1:
			better = append(better, s)
		default:
			worse = append([]*Start{s}, worse...)
		}
	}
	rank := func(s *Start) int {
		if i := slices.Index(known(), s.Name); i >= 0 {
			return i
		}
		return len(known())
	}
	slices.SortStableFunc(better, func(a, b *Start) int { return cmp.Compare(rank(a), rank(b)) })
	return better[:min(mostPeers, len(better))], same[:min(1, len(same))], worse[:min(mostPeers, len(worse))]
}

// peers are the starts that compare with the base, the quickest first: not
// the floor, nor another way of isorun where isorun is the base.
func (c *Comparison) peers() []*Start {
	var all []*Start
	for i := range c.Starts {
		s := &c.Starts[i]
		if s == c.Base || s.Name == Floor || Ours(s.Name) && Ours(c.Base.Name) || s.Times.N == 0 || s.Times.BaseN == 0 {
			continue
		}
		all = append(all, s)
	}
	return all
}

// which says what the named starts leave out, where it is the same for all.
func which(starts []*Start) string {
	if len(starts) == 1 {
		return leavesOut(*starts[0])
	}
	return ""
}

// leavesOut continues a sentence about s; "" when it lacks nothing.
func leavesOut(s Start) string {
	lacks := s.Seen.Lacks
	switch {
	case len(lacks) == 0:
		return ""
	case len(lacks) <= mostLacks:
		return ", which makes " + And(Without(lacks))
	}
	return fmt.Sprintf(", which leaves out %s and %d more", strings.Join(lacks[:2], ", "), len(lacks)-2)
}

// Verdict is the last sentence: X starts so many times faster than Y here,
// and what X leaves out. It is "" when there are not two to compare.
func (c *Comparison) Verdict() string {
	better, same, worse := c.sides()
	verb, both := "starts", "start"
	if c.With == "command" {
		verb, both = "runs the command", "run the command"
	}
	var winner, loser *Start
	var how string
	switch {
	case len(better) > 0:
		winner, loser, how = c.Base, better[0], sooner(better[0].Times)
	case len(worse) > 0:
		winner, loser, how = worse[0], c.Base, sooner(inverse(worse[0].Times))
	case len(same) > 0:
		if Between(same[0].Times) == "-" {
			return fmt.Sprintf("There are too few samples to tell %s from %s.", c.Base.Name, same[0].Name)
		}
		return fmt.Sprintf("%s and %s %s equally fast here, as far as can be told.", c.Base.Name, same[0].Name, both)
	default:
		return ""
	}
	text := fmt.Sprintf("%s %s %s than %s here", winner.Name, verb, how, loser.Name)
	switch lacks := winner.Seen.Lacks; {
	case !winner.Seen.Looked:
		return text + "; what its container lacks was not observed."
	case len(lacks) == 0:
		return text + "; it leaves out nothing that was asked for."
	default:
		return text + "; it leaves out: " + strings.Join(lacks, ", ") + "."
	}
}

// sooner says how much less than f's values the base takes.
func sooner(f stats.Factor) string {
	if f.Ratio < 1.1 {
		return table.Percent(f.Ratio-1) + " faster"
	}
	return Times(f.Ratio) + " faster"
}

// later says how much more than f's values the base takes.
func later(f stats.Factor) string {
	return strings.Replace(sooner(inverse(f)), "faster", "slower", 1)
}

// inverse is the base over the values.
func inverse(f stats.Factor) stats.Factor {
	return stats.Factor{Ratio: 1 / f.Ratio, Lo: 1 / f.Hi, Hi: 1 / f.Lo, Confidence: f.Confidence, N: f.BaseN, BaseN: f.N}
}

// Times writes a ratio: "0.83x", "2.4x", "12x", "3,920x".
func Times(x float64) string {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return "-"
	case x >= 9.95:
		return whole(min(x, 1e12)) + "x"
	case x < 0.995:
		return fmt.Sprintf("%.2fx", x)
	}
	return fmt.Sprintf("%.1fx", x)
}

// Between writes the interval of a ratio: "11.8 .. 12.3x"; "-" when it is not
// known.
func Between(f stats.Factor) string {
	if !(f.Lo > 0) || math.IsInf(f.Hi, 1) {
		return "-"
	}
	places := 2
	switch {
	case f.Hi >= 100:
		return whole(f.Lo) + " .. " + whole(f.Hi) + "x"
	case f.Hi >= 10:
		places = 1
	}
	return fmt.Sprintf("%.*f .. %.*fx", places, f.Lo, places, f.Hi)
}

// Brief is a duration as a sentence states it: "1.7 ms" for "1.72 ms".
func Brief(ns float64) string {
	figure, unit, _ := strings.Cut(table.Duration(ns), " ")
	if i := strings.Index(figure, "."); i >= 0 && len(figure)-i > 2 {
		scale := map[string]float64{"us": 1e3, "ms": 1e6, "s": 1e9}[unit]
		figure = fmt.Sprintf("%.1f", ns/scale)
	}
	return figure + " " + unit
}

// And joins parts with commas and a last "and".
func And(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}

// Without puts "no" before each: "no cgroup", "not the host's kernel".
func Without(things []string) []string {
	out := make([]string, len(things))
	for i, t := range things {
		out[i] = "no " + t
		if strings.HasPrefix(t, "the ") {
			out[i] = "not " + t
		}
	}
	return out
}

// Differs says what sets the container of s apart from what was asked for:
// what it lacks, what it adds, what a reader must know; "" when nothing does.
func (s Start) Differs() string {
	var parts []string
	if s.Name == Floor {
		parts = append(parts, "the floor: fork and exec of the payload, without a container")
	} else if len(s.Seen.Lacks) > 0 {
		parts = append(parts, strings.Join(Without(s.Seen.Lacks), ", "))
	}
	if len(s.Seen.Adds) > 0 {
		parts = append(parts, "adds "+And(s.Seen.Adds))
	}
	return strings.Join(append(parts, s.Seen.Notes...), "; ")
}

// Sentence says where a start's time goes.
func (b Breakdown) Sentence() string {
	var parts []string
	for _, p := range b.Longest(3) {
		parts = append(parts, fmt.Sprintf("%s %s (%s)", p.Name, table.Percent(p.Share), Brief(p.Mean)))
	}
	text := fmt.Sprintf("%s: most of %s goes to %s", Label(b.Case), Brief(b.Total.Median), And(parts))
	if !b.Exact {
		return text + "; some samples lack a phase, so the parts need not add up."
	}
	return text + fmt.Sprintf("; no phase names %s.", table.Percent(b.Unnamed())) + b.instrument()
}

// instrument says what it costs to write the timeline.
func (b Breakdown) instrument() string {
	if b.Beside.N == 0 {
		return ""
	}
	return fmt.Sprintf(" To write its timeline takes a start %.3f times as long (%.3f .. %.3f, %s pairs).", b.Beside.Median, b.Beside.Lo, b.Beside.Hi, table.Count(b.Beside.N))
}

// Sentence says how many starts per second there are, and from where on more
// at once only wait for each other.
func (c Crowd) Sentence() string {
	best := c.Best()
	text := fmt.Sprintf("%s: %s/s at best, with %s at once", c.Runtime, PerSecond(best.PerSecond), table.Count(int(best.Workers)))
	switch {
	case !c.Known:
		return text + "; too few samples to state a knee."
	case c.Rising():
		return text + "; it still rises there."
	case c.Knee.Workers == 1:
		return text + "; the knee is at 1: more at once make no more starts."
	case c.Knee.Workers == best.Workers:
		return text + "; that is the knee."
	}
	return text + fmt.Sprintf("; the knee is at %s: beyond it no rate is higher by more than its range.", table.Count(int(c.Knee.Workers)))
}

// PerSecond writes a rate with three figures.
func PerSecond(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	}
	return whole(v)
}

// whole writes a number of things with three figures, none of them behind the
// point.
func whole(v float64) string {
	size := math.Pow(10, max(0, math.Floor(math.Log10(max(v, 1)))-2))
	return table.Count(int(math.Round(v/size) * size))
}

// Sentence says what waiting for a turn makes of the service alone; "" when
// the samples bear out no far percentile.
func (l Load) Sentence() string {
	share := l.Farthest(0.9, 0.99, 0.999)
	if share == 0 {
		return ""
	}
	response, service := l.Response.At(share), l.Service.At(share)
	text := fmt.Sprintf("%s at %g %% load: %g %% of the starts end within %s of their intended start", l.Runtime, l.Percent, 100*share, Brief(response))
	if response < 1.1*service {
		return text + ", as a closed loop would have shown."
	}
	return text + fmt.Sprintf("; a closed loop would have shown %s (%s less).", Brief(service), Times(response/service))
}
