package plot

import (
	"fmt"
	"math"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/compare"
	"isoperf/reports/history"
	"isoperf/reports/stats"
	"isoperf/reports/table"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// History returns a figure for each series of a history, with its levels and
// change points, in the order in which a reader wants them: first those that are
// slower. most bounds their number (0: all). Series of a machine of the past come
// last.
func History(h history.History, most int) ([]Figure, error) {
	var figures []Figure
	taken := map[string]int{}
	for _, s := range h.Ordered() {
		if most > 0 && len(figures) == most {
			break
		}
		if len(s.Levels) == 0 {
			continue
		}
		fig, ok, err := tryBuild(func(*sample.File) (Figure, bool) { return seriesFigure(h, s) }, h.Runs[s.Points[len(s.Points)-1].Run].File)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		taken[fig.Name]++
		if n := taken[fig.Name]; n > 1 {
			fig.Name = fmt.Sprintf("%s-%d", fig.Name, n)
		}
		figures = append(figures, fig)
	}
	return figures, nil
}

// The looks of a history.
func runStyle() style    { return style{blue, nil, draw.CircleGlyph{}} }
func levelStyle() style  { return style{black, nil, draw.CircleGlyph{}} }
func slowerStyle() style { return style{vermillion, dashed(), draw.CircleGlyph{}} }
func fasterStyle() style { return style{green, dotted(), draw.CircleGlyph{}} }
func vetoStyle() style   { return style{grey, dotted(), draw.CircleGlyph{}} }

// seriesFigure is one series: its runs, levels and changes.
func seriesFigure(h history.History, s history.Series) (Figure, bool) {
	x, y := runAxis(h, s), closeAxis(s)
	runs, beyond := line{style: runStyle(), width: 0.4}, 0
	for i, p := range s.Points {
		runs.points = append(runs.points, point{float64(i), p.Median, p.Lo, p.Hi})
		if p.Median > y.max || p.Median < y.min {
			beyond++
		}
	}
	p := panel{heading: heading(s), x: x, y: y, height: 190, right: smallLetter().width(x.ticks[len(x.ticks)-1].Label) / 2}
	for i, c := range s.Changes {
		p.marks = append(p.marks, changeMark(c, i%3))
	}
	p.marks = append(p.marks, held(runs, x, y))
	for _, l := range s.Levels {
		from, to := float64(l.From)-0.4, float64(l.To-1)+0.4
		level := line{style: levelStyle(), width: 2, bare: true, curve: plotter.XYs{{X: from, Y: l.Median}, {X: to, Y: l.Median}}}
		p.marks = append(p.marks, level.plotter(x, y))
	}
	fig := Figure{
		Name: "history-" + fileWords(s.Case), Title: s.Case, Family: compare.Family(s.Case),
		Alt: alt(h, s),
	}
	fig.sheet = sheet{lead: historyLead(h, s), keys: keysOf(s), panels: []panel{p}}
	fig.sheet.foot = []string{"A line stands at the first run of a new level, and names its commit; the runs' bars are the 95 % ranges of their medians. The vertical axis does not begin at zero."}
	if beyond > 0 {
		fig.sheet.foot = append(fig.sheet.foot, fmt.Sprintf("Beyond the axis, and drawn at its end: %s.", table.Plural(beyond, "run", "runs")))
	}
	return fig, true
}

// fileWords are a case's name as part of that of a file.
func fileWords(name string) string {
	const most = 120
	words := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	return strings.Trim(words[:min(len(words), most)], "-")
}

// heading is the vertical axis in words.
func heading(s history.Series) string {
	switch s.Better {
	case "higher":
		return s.Unit + " of each run (higher is better)"
	case "lower":
		return s.Unit + " of each run (lower is better)"
	}
	return s.Unit + " of each run"
}

// historyLead is what the series says, in a sentence.
func historyLead(h history.History, s history.Series) string {
	first, last := h.Runs[s.Points[0].Run], h.Runs[s.Points[len(s.Points)-1].Run]
	text := fmt.Sprintf("%d runs, from %s (%s) to %s (%s).", len(s.Points), first.Commit, first.Time.UTC().Format("2006-01-02"), last.Commit, last.Time.UTC().Format("2006-01-02"))
	if words := h.Environments[s.Environment].Words; words != "" {
		text += " Measured with " + words + "."
	}
	return text + " " + verdictWords(s)
}

func verdictWords(s history.Series) string {
	if s.Why != "" {
		return strings.ToUpper(string(s.Verdict[:1])) + string(s.Verdict[1:]) + ": " + s.Why + "."
	}
	if len(s.Changes) == 0 {
		return "Nothing changed that could be seen."
	}
	return "Now it is " + string(s.Verdict) + "."
}

// alt is what a reader sees who cannot see the picture.
func alt(h history.History, s history.Series) string {
	text := fmt.Sprintf("%s of %s in %s", s.Unit, s.Case, historyLead(h, s))
	for i, c := range s.Changes {
		text += fmt.Sprintf(" At %s %s, from %s to %s.", c.Commit, history.Signed(c.Ratio), compare.Figure(s.Levels[i].Median, s.Unit), compare.Figure(s.Levels[i+1].Median, s.Unit))
	}
	return text
}

func keysOf(s history.Series) []key {
	keys := []key{{style: runStyle(), text: "a run"}, {style: levelStyle(), text: "level (median of its runs)", line: true, plain: true}}
	seen := map[ink]bool{}
	for _, c := range s.Changes {
		st, text := changeStyle(c)
		if !seen[st.ink] {
			seen[st.ink] = true
			keys = append(keys, key{style: st, text: text, line: true, plain: true})
		}
	}
	return keys
}

func changeStyle(c history.Change) (style, string) {
	switch {
	case c.Machine != "":
		return vetoStyle(), "the machine changed"
	case c.Worse:
		return slowerStyle(), "worse from here on"
	}
	return fasterStyle(), "better from here on"
}

// changeMark is a line before the first run of a new level, with the commit and
// the change; neighbours stand on different heights.
func changeMark(change history.Change, step int) paint {
	return func(c draw.Canvas, g *plot.Plot) {
		toX, _ := g.Transforms(&c)
		st, _ := changeStyle(change)
		at := toX(float64(change.Point) - 0.5)
		c.StrokeLine2(st.line(1.4), at, c.Min.Y, at, c.Max.Y)
		text := change.Commit + " " + history.Signed(change.Ratio)
		if change.Machine != "" {
			text = "machine " + history.Signed(change.Ratio)
		}
		side, offset := right, vg.Length(-4)
		if at-c.Min.X < smallLetter().width(text)+8 {
			side, offset = left, 4
		}
		top := c.Max.Y - 9 - vg.Length(12*step)
		writeOver(c, smallLetter(), st.ink, white, side, at+offset, top, text)
	}
}

// held is a line whose values beyond the axis stand at its end.
func held(l line, x, y axis) paint {
	hold := func(v float64) float64 { return math.Min(math.Max(v, y.min), y.max) }
	for i := range l.points {
		p := &l.points[i]
		p.y = hold(p.y)
		if bounded(p.lo, p.hi) {
			p.lo, p.hi = hold(p.lo), hold(p.hi)
		}
	}
	return l.plotter(x, y)
}

// runAxis has a place for each run, and names some of their commits.
func runAxis(h history.History, s history.Series) axis {
	n := len(s.Points)
	a := axis{label: "runs, the oldest first, by commit", min: -0.7, max: float64(n) - 0.3}
	a.words = func(v float64) string {
		i := min(n-1, max(0, int(math.Round(v))))
		return h.Runs[s.Points[i].Run].Commit
	}
	step := max(1, n/6)
	for i := 0; i < n; i++ {
		t := plot.Tick{Value: float64(i)}
		if i%step == 0 && i+step/2 < n || i == n-1 {
			t.Label = a.words(t.Value)
			if r := []rune(t.Label); len(r) > 10 {
				t.Label = string(r[:10])
			}
		}
		a.ticks = append(a.ticks, t)
	}
	return a
}

// closeAxis shows a series close up: its levels, and six scatters about them; the
// few runs that are farther away stand at its end.
func closeAxis(s history.Series) axis {
	var runs, levels []float64
	for _, p := range s.Points {
		runs = append(runs, p.Median)
	}
	for _, l := range s.Levels {
		levels = append(levels, l.Median)
	}
	all, near := stats.Quantiles(runs, 0, 1), stats.Quantiles(levels, 0, 1)
	lo, hi := all[0], all[1]
	if s.Scatter > 0 {
		room := math.Max(6*s.Scatter, 0.02)
		lo, hi = math.Max(lo, near[0]/(1+room)), math.Min(hi, near[1]*(1+room))
	}
	room := math.Max(hi-lo, math.Abs(hi)*0.02)
	lo, hi = lo-0.2*room, hi+0.35*room
	step := niceStep((hi - lo) / 5)
	a := axis{min: lo, max: hi, words: ticksOf(s.Unit)}
	for i := math.Ceil(lo / step); i*step <= hi; i++ {
		a.ticks = append(a.ticks, plot.Tick{Value: i * step, Label: a.words(i * step)})
	}
	return a
}

// ticksOf writes values of a unit.
func ticksOf(unit string) labeller {
	if strings.HasSuffix(unit, "-ns") {
		return durationTick
	}
	return func(v float64) string { return compare.Figure(v, unit) }
}
