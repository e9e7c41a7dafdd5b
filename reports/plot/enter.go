package plot

import (
	"slices"

	"isoperf/bench/sample"

	"gonum.org/v1/plot/vg/draw"
)

// unshareMedians shows what it costs to leave for a new namespace.
func unshareMedians(f *sample.File) (Figure, bool) {
	return flagMedians(f, Figure{Name: "unshare", Title: "Leaving for a new namespace: unshare", Family: "Unshare"},
		"unshare-ns", "Time from unshare entered to returned, for one flag at a time.")
}

// setnsMedians shows what it costs to join a namespace that exists.
func setnsMedians(f *sample.File) (Figure, bool) {
	return flagMedians(f, Figure{Name: "setns", Title: "Joining a namespace that exists: setns", Family: "Setns"},
		"setns-ns", "Time from setns entered to returned, for one flag at a time.")
}

// flagMedians is a row for each flag and a mark for each pacing.
func flagMedians(f *sample.File, fig Figure, unit, lead string) (Figure, bool) {
	paces := pacings(f, fig.Family)
	if len(paces) == 0 {
		paces = []string{""}
	}
	var series []series
	for _, pacing := range paces {
		series = append(series, paceSeries(fig.Family, pacing, unit))
	}
	rows, counts := medianRows(f, "flag", series)
	bySize(rows, 0)
	if len(rows) == 0 {
		return fig, false
	}
	fig.sheet = sheet{
		lead:   lead,
		keys:   pacingKeys(f, fig.Family),
		panels: []panel{rowsPanel(rows, durations(rows))},
		foot:   []string{mediansNote(counts)},
	}
	fig.Alt = "Dot plot of medians: " + lead + " " + rowsAlt(rows)
	return fig, true
}

// series is what one mark of every row shows.
type series struct {
	style  style
	family string
	unit   string
	params []string // key, value, …; besides that of the row
}

func paceSeries(family, pacing, unit string) series {
	s := series{style: pacingStyle(pacing), family: family, unit: unit}
	if pacing != "" {
		s.params = []string{"pacing", pacing}
	}
	return s
}

// medianRows makes a row for each value of the parameter key.
func medianRows(f *sample.File, key string, all []series) (rows []row, counts []int) {
	for _, name := range distinct(f, all[0].family, key) {
		r := row{name: name}
		for _, s := range all {
			values := pick(f, s.unit, s.family, append([]string{key, name}, s.params...)...)
			r.marks = append(r.marks, median(s.style, values))
			if len(values) > 0 {
				counts = append(counts, len(values))
			}
		}
		if slices.ContainsFunc(r.marks, func(m mark) bool { return m.ok }) {
			rows = append(rows, r)
		}
	}
	return rows, counts
}

// teardown shows the three ends of a namespace.
func teardown(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "teardown", Title: "How long a namespace takes to go", Family: "Teardown"}
	units := []string{"exit-ns", "close-ns", "gone-ns"}
	words := []string{
		"exit: last instruction to reaped",
		"close: entered to returned",
		"gone: close entered to destroyed",
	}
	styles := []style{
		{blue, nil, draw.CircleGlyph{}},
		{green, nil, draw.BoxGlyph{}},
		{vermillion, nil, draw.PyramidGlyph{}},
	}
	var all []series
	for i, unit := range units {
		if slices.ContainsFunc(f.Family("Teardown"), func(c *sample.Case) bool { return len(c.Values[unit]) > 0 }) {
			all = append(all, series{style: styles[i], family: "Teardown", unit: unit})
			fig.sheet.keys = append(fig.sheet.keys, key{style: styles[i], text: words[i]})
		}
	}
	if len(all) == 0 {
		return fig, false
	}
	rows, counts := medianRows(f, "flag", all)
	bySize(rows, len(all)-1)
	if len(rows) == 0 {
		return fig, false
	}
	fig.sheet.lead = "A descriptor holds the namespace while its only process exits. Closing it drops the last reference, and the kernel may finish the destruction later, on its own."
	fig.sheet.panels = []panel{rowsPanel(rows, logAxis("time (log scale)", extent(rows), durationTick))}
	fig.sheet.foot = []string{mediansNote(counts)}
	fig.Alt = "Dot plot: exit, close and gone times for each flag. " + rowsAlt(rows)
	return fig, true
}

// engineParts shows what one start costs the engine.
func engineParts(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "engine", Title: "What the engine itself costs", Family: "Engine"}
	rows, counts := medianRows(f, "part", []series{{style: pacingStyle("burst"), family: "Engine", unit: "op-ns"}})
	bySize(rows, 0)
	if len(rows) < 2 {
		return fig, false
	}
	fig.sheet = sheet{
		lead:   "What one start costs besides the figures of the other pictures: it lies outside of clone-ns, child-ns and reap-ns.",
		panels: []panel{rowsPanel(rows, durations(rows))},
		foot:   []string{mediansNote(counts)},
	}
	fig.Alt = "Dot plot: the cost of each part of the engine. " + rowsAlt(rows)
	return fig, true
}
