package plot

import (
	"fmt"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/limits"

	"gonum.org/v1/plot/vg/draw"
)

// groupOps shows what each operation on a control group costs, burst against
// paced.
func groupOps(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "cgroup-op", Title: "What an operation on a control group costs", Family: "CgroupOp"}
	var rows []row
	var counts []int
	for _, hierarchy := range distinct(f, "CgroupOp", "hierarchy") {
		var mine []row
		for _, c := range f.Family("CgroupOp") {
			name := c.Param("op")
			if n := c.Param("threads"); n != "" {
				name = fmt.Sprintf("%s, %s thr.", name, n)
			}
			if c.Param("hierarchy") != hierarchy || slices.ContainsFunc(mine, func(r row) bool { return r.name == name }) {
				continue
			}
			params := []string{"op", c.Param("op"), "threads", c.Param("threads"), "hierarchy", hierarchy}
			r, n := pacedRow(f, "CgroupOp", name, "op-ns", params)
			if r.group = hierarchy; len(n) > 0 {
				mine, counts = append(mine, r), append(counts, n...)
			}
		}
		bySize(mine, 0)
		rows = append(rows, mine...)
	}
	if len(rows) == 0 {
		return fig, false
	}
	fig.sheet = sheet{
		lead:   "create: mkdir. remove: rmdir. configure, read: open, write or read, close. migrate: the id of a process with so many threads to cgroup.procs; attach-…: the same with the option favordynmods, and without. cpu, memory, pids: one hierarchy of version 1; v2: version 2.",
		keys:   pacingKeys(f, "CgroupOp"),
		panels: []panel{rowsPanel(rows, logAxis("time (log scale)", extent(rows), durationTick))},
		foot:   []string{mediansNote(counts)},
	}
	fig.Alt = "Dot plot: time of each operation on a control group. " + rowsAlt(rows)
	return fig, true
}

// groupStyle tells operations by colour and version 1 from 2 by the dash.
func groupStyle(op, hierarchy string) style {
	s := map[string]style{
		"create":           {blue, nil, draw.BoxGlyph{}},
		"remove":           {orange, nil, draw.PyramidGlyph{}},
		"migrate":          {vermillion, nil, draw.CircleGlyph{}},
		"read-memory.stat": {purple, nil, draw.SquareGlyph{}},
	}[op]
	if s.glyph == nil {
		s = style{grey, dotted(), draw.RingGlyph{}}
	}
	if hierarchy != "v2" {
		s.dash = dashed()
	}
	return s
}

// sweepSiblings shows what groups beside each other cost.
func sweepSiblings(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "sweep-siblings", Title: "Operations on a control group, by the groups beside it", Family: "SweepSiblings"}
	return groupSweep(f, fig, "siblings", "group", "groups beside it (log scale)")
}

// sweepDepth shows what groups above each other cost.
func sweepDepth(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "sweep-depth", Title: "Operations on a control group, by the groups above it", Family: "SweepDepth"}
	return groupSweep(f, fig, "depth", "level", "groups from this process's down (log scale)")
}

func groupSweep(f *sample.File, fig Figure, key, per, label string) (Figure, bool) {
	var lines []line
	var counts []int
	for _, hierarchy := range distinct(f, fig.Family, "hierarchy") {
		for _, op := range distinct(f, fig.Family, "op") {
			steps := sweepSteps(f, "op-ns", fig.Family, key, parseCount, "op", op, "hierarchy", hierarchy)
			if len(steps) > 1 {
				lines = append(lines, line{style: groupStyle(op, hierarchy), points: medians(steps), label: []string{op + ", " + hierarchy}})
				counts = append(counts, stepCounts(steps)...)
			}
		}
	}
	return sweepFigure(fig, lines, counts, label, per, "memory: its hierarchy of version 1. v2: version 2.")
}

// limitsIO shows the error of each limit on a disk within its budget.
func limitsIO(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "io-max", Title: "Limits on a block device: what was got against what was asked for", Family: "IoMax"}
	var rows []row
	var judged []limits.Judgement
	var seen []limits.Verdict
	for _, j := range limits.Judge(f, limits.Options{}) {
		if j.Limit != "io.max" {
			continue
		}
		judged = append(judged, j)
		if j.Got == "" {
			continue
		}
		look := verdictStyle(j.Verdict)
		if !slices.Contains(seen, j.Verdict) {
			seen = append(seen, j.Verdict)
			fig.sheet.keys = append(fig.sheet.keys, key{style: look, text: string(j.Verdict)})
		}
		rows = append(rows, row{name: headless(strings.Replace(j.Asked, "requests/s", "req./s", 1)), marks: []mark{{style: look, value: 100 * j.Error,
			lo: -100 * j.Budget, hi: 100 * j.Budget, ok: true, text: fmt.Sprintf("%+.2f %%", 100*j.Error)}}})
	}
	if len(rows) == 0 {
		return fig, false
	}
	x := linearAxis("error of the rate, in % of what was asked for", append(extent(rows), -3, 3), func(v float64) string { return numberTick(v) + " %" })
	fig.sheet.lead = "Dot: the error. Bar: the budget, a slice of a tenth of a second in the time that was measured. A dot within 3 %, and a bar too, is accurate. Requests are handed out whole: 16 a second are 1.6 a slice, of which 1 is given."
	fig.sheet.panels = []panel{rowsPanel(rows, x)}
	fig.Alt = "Dot plot: the error of each limit on a block device within its budget. " + limits.Answer(judged)
	return fig, true
}
