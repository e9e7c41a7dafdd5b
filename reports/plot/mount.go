package plot

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
	"isoperf/reports/table"

	"gonum.org/v1/plot/vg/draw"
)

// opStyle gives an operation the same look in every figure.
func opStyle(op string) style {
	switch op {
	case "bind", "private":
		return style{blue, nil, draw.BoxGlyph{}}
	case "tmpfs":
		return style{orange, nil, draw.PyramidGlyph{}}
	case "umount":
		return style{green, dashed(), draw.TriangleGlyph{}}
	case "make-rprivate":
		return style{purple, nil, draw.SquareGlyph{}}
	case "clone-mnt", "pivot_root", "shared":
		return style{vermillion, nil, draw.CircleGlyph{}}
	}
	return style{grey, dotted(), draw.RingGlyph{}}
}

// mountOps shows what each call costs, burst against paced.
func mountOps(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "mount", Title: "What each mount operation costs", Family: "Mount"}
	var rows []row
	var counts []int
	for _, c := range f.Family("Mount") {
		name, ok := opName(c)
		if !ok || slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			continue
		}
		params := []string{"op", c.Param("op"), "propagation", c.Param("propagation"), "lower", c.Param("lower")}
		r, n := pacedRow(f, "Mount", name, "op-ns", params)
		if len(n) > 0 {
			rows, counts = append(rows, r), append(counts, n...)
		}
	}
	if len(rows) == 0 {
		return fig, false
	}
	bySize(rows, 0)
	fig.sheet = sheet{
		lead:   "Time from the first call of the operation entered to its last returned, in a child with a copy of 20 mounts. proc, sysfs and mqueue are those of a new namespace." + nullWords(f),
		keys:   pacingKeys(f, "Mount"),
		panels: []panel{rowsPanel(rows, logAxis("time (log scale)", extent(rows), durationTick))},
		foot:   []string{mediansNote(counts)},
	}
	fig.Alt = "Dot plot: time of each mount operation. " + rowsAlt(rows)
	return fig, true
}

// nullWords says what the null case costs.
func nullWords(f *sample.File) string {
	values := pick(f, "op-ns", "Mount", "op", "none", "pacing", "burst")
	if len(values) == 0 {
		return ""
	}
	return " The cheapest system call takes " + table.Duration(stats.Summarize(values).Median) + ", measured in the same way."
}

// opName is the row of a case; of the overlays only the first has one, and the
// null case has none.
func opName(c *sample.Case) (string, bool) {
	name := c.Param("op")
	if name == "none" {
		return "", false // far below all others
	}
	if p := c.Param("propagation"); p != "" {
		name += ", " + p
	}
	if n := c.Param("lower"); n != "" {
		return name + ", 1 lower", n == "1"
	}
	return name, true
}

// pacedRow is a row with a mark for each pacing.
func pacedRow(f *sample.File, family, name, unit string, params []string) (row, []int) {
	r := row{name: name}
	var counts []int
	for _, pacing := range pacings(f, family) {
		values := pick(f, unit, family, append([]string{"pacing", pacing}, params...)...)
		r.marks = append(r.marks, median(pacingStyle(pacing), values))
		if len(values) > 0 {
			counts = append(counts, len(values))
		}
	}
	return r, counts
}

// mountOverlay shows what each lower layer adds.
func mountOverlay(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "mount-overlay", Title: "Mounting an overlay, by its lower layers", Family: "Mount"}
	var lines []line
	var counts []int
	for _, pacing := range pacings(f, "Mount") {
		steps := sweepSteps(f, "op-ns", "Mount", "lower", parseCount, "op", "overlay", "pacing", pacing)
		if len(steps) < 2 {
			continue
		}
		lines = append(lines, line{style: pacingStyle(pacing), points: medians(steps), label: []string{pacing}})
		counts = append(counts, stepCounts(steps)...)
	}
	if len(lines) == 0 {
		return fig, false
	}
	fig.sheet = sheet{
		lead:   "mount(2) of an overlay over so many directories, with an empty upper directory on a tmpfs. Medians with their 95 % intervals. Curve: the straight line that fits them best, bent by the log scale, where one does.",
		panels: []panel{grownPanel(lines, "lower layers (log scale)", "layer", numberTick)},
		foot:   []string{samplesOf(counts) + " (samples at one point)."},
	}
	fig.Findings = findings(lines)
	fig.Alt = "Line chart: time of an overlay mount over the number of lower layers. " + strings.Join(fig.Findings, "; ") + "."
	return fig, true
}

// pivotMethods shows the ways to change the root, whole and by their calls.
func pivotMethods(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "pivot", Title: "Three ways to another root", Family: "Pivot"}
	calls := []struct{ unit, name string }{
		{"op-ns", "whole"}, {"pivot-ns", "pivot_root"}, {"detach-ns", "umount2 old root"}, {"move-ns", "mount MS_MOVE"}, {"chroot-ns", "chroot"},
	}
	var rows []row
	var counts []int
	for _, method := range distinct(f, "Pivot", "method") {
		for _, call := range calls {
			r, n := pacedRow(f, "Pivot", call.name, call.unit, []string{"method", method})
			if r.group = method; len(n) > 0 {
				rows, counts = append(rows, r), append(counts, n...)
			}
		}
	}
	if len(rows) == 0 {
		return fig, false
	}
	fig.sheet = sheet{
		lead:   `In the new root: pivot_root(".", "."), umount2(".", MNT_DETACH), chdir("/"); or mount(".", "/", MS_MOVE), chroot("."), chdir("/"); or chroot("."), chdir("/"). Only the first takes the old root away.`,
		keys:   pacingKeys(f, "Pivot"),
		panels: []panel{rowsPanel(rows, logAxis("time (log scale)", extent(rows), durationTick))},
		foot:   []string{mediansNote(counts)},
	}
	fig.Alt = "Dot plot: time of each way to change the root, whole and by calls. " + rowsAlt(rows)
	return fig, true
}

// sweepMountTable shows which calls grow with the mounts in the namespace.
func sweepMountTable(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "sweep-mount-table", Title: "Mount operations, by the mounts in the namespace", Family: "SweepMountTable"}
	return opSweep(f, fig, "mounts", "mount", "mounts in the namespace (log scale)",
		"pivot_root is the whole: the call, and the umount2 of the old root with all of its mounts.")
}

// sweepMountns shows whether mount namespaces that live make calls dearer.
func sweepMountns(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "sweep-mountns", Title: "A bind and a new mount namespace, by those that live already", Family: "SweepMountns"}
	return opSweep(f, fig, "live", "namespace", "mount namespaces alive (log scale)",
		"clone-mnt is clone3 with CLONE_NEWNS, entered to returned. Each namespace has a copy of 20 mounts.")
}

// opSweep is a line for each operation over a number of things.
func opSweep(f *sample.File, fig Figure, key, per, label, lead string) (Figure, bool) {
	var lines []line
	var counts []int
	for _, op := range distinct(f, fig.Family, "op") {
		steps := sweepSteps(f, "op-ns", fig.Family, key, parseCount, "op", op)
		if len(steps) > 1 {
			lines = append(lines, line{style: opStyle(op), points: medians(steps), label: []string{op}})
			counts = append(counts, stepCounts(steps)...)
		}
	}
	return sweepFigure(fig, lines, counts, label, per, lead)
}

// sweepFigure is lines with what was found about their growth.
func sweepFigure(fig Figure, lines []line, counts []int, label, per, lead string) (Figure, bool) {
	if len(lines) == 0 {
		return fig, false
	}
	fig.sheet = sheet{
		lead:   lead + " Medians with their 95 % intervals. Curve: the straight line that fits them best, bent by the log scale, where one does.",
		panels: []panel{grownPanel(lines, label, per, numberTick)},
		foot:   []string{samplesOf(counts) + " (samples at one point)."},
	}
	fig.Findings = findings(lines)
	fig.Alt = "Line chart over " + label + ". " + strings.Join(fig.Findings, "; ") + "."
	return fig, true
}

// sweepPeers shows what propagation costs.
func sweepPeers(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "sweep-peers", Title: "A bind, by the namespaces that it propagates to", Family: "SweepPeers"}
	var lines []line
	var counts []int
	for _, propagation := range distinct(f, "SweepPeers", "propagation") {
		for _, u := range []struct{ unit, words string }{{"op-ns", "bind"}, {"umount-ns", "umount"}} {
			steps := sweepSteps(f, u.unit, "SweepPeers", "peers", parseCount, "propagation", propagation)
			if len(steps) < 2 {
				continue
			}
			l := line{style: opStyle(propagation), points: medians(steps), label: []string{u.words + ", " + propagation}}
			if u.unit == "umount-ns" {
				l.style.dash = dashed()
			}
			lines = append(lines, l)
			counts = append(counts, stepCounts(steps)...)
		}
	}
	return sweepFigure(fig, lines, counts, "peers of the mount below which is bound (log scale)", "peer",
		"shared: every peer gets the bind. private: as many namespaces, which do not. umount is lazy and takes the bind away from all.")
}

// sweepMounters shows whether more threads get more mounts made.
func sweepMounters(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "sweep-mounters", Title: "Mounting in parallel", Family: "SweepMounters"}
	return atOnce(f, fig, crowd{
		key: "op", unit: "op-ns", style: opStyle, words: func(op string) string { return op },
		lead:  "Each thread has a mount namespace of its own. ",
		rate:  "mounts per second, all threads together (log scale)",
		one:   "one mount: mount entered to returned (log scale)",
		label: "threads that mount at the same time (log scale)",
	})
}

// attachStyle tells operations by colour and version 1 from 2 by the dash.
func attachStyle(op, hierarchy string) style {
	s := map[string]style{
		"write":       {vermillion, nil, draw.CircleGlyph{}},
		"write-tasks": {orange, nil, draw.PyramidGlyph{}},
		"write-self":  {purple, nil, draw.SquareGlyph{}},
		"born":        {blue, nil, draw.BoxGlyph{}},
	}[op]
	if s.glyph == nil {
		s = style{black, dotted(), draw.RingGlyph{}}
	}
	if hierarchy != "v2" && hierarchy != "none" {
		s.dash = dashed()
	}
	return s
}

// attachGap shows the wait that a lone write pays, and that a birth does not.
func attachGap(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "attach", Title: "Into a control group: written there, or born there", Family: "Attach"}
	var lines []line
	var gaps []float64
	var counts []int
	for _, hierarchy := range distinct(f, "Attach", "hierarchy") {
		for _, op := range distinct(f, "Attach", "op") {
			steps := sweepSteps(f, "op-ns", "Attach", "gap", parseGap, "op", op, "hierarchy", hierarchy)
			if len(steps) < 3 {
				continue // the other controllers, of which only the ends are measured
			}
			first, last := steps[0].sum.Median, steps[len(steps)-1].sum.Median
			words := fmt.Sprintf("%s to %s (%s)", table.Duration(first), table.Duration(last), times(last/first))
			lines = append(lines, line{
				style: attachStyle(op, hierarchy), points: medians(steps),
				label: []string{strings.TrimSuffix(op+", "+hierarchy, ", none"), words},
			})
			counts = append(counts, stepCounts(steps)...)
			for _, s := range steps {
				gaps = append(gaps, s.x)
			}
		}
	}
	if len(lines) == 0 {
		return fig, false
	}
	x := sweepAxis("pause since the last one; 0 is back to back (log scale)", gaps, durationTick, float64(inner-50-labelRoom(lines)))
	y := logAxis("", spans(lines), durationTick)
	y.max *= math.Pow(y.max/y.min, 0.04)
	p := linesPanel(lines, nil, x, y, 300)
	p.heading = "time (log scale)"
	fig.sheet = sheet{
		lead:   "write: another process's id to cgroup.procs. write-tasks: to version 1's tasks. write-self: the writer itself. born: a clone into the group; in version 1 the thread enters, clones and leaves. clone: no group. Medians with their 95 % intervals; at the right: from the shortest pause to the longest.",
		panels: []panel{p},
		foot:   []string{samplesOf(counts) + " (samples at one point)."},
	}
	fig.Findings = findings(lines)
	fig.Alt = "Line chart: time to put a process into a control group over the pause before it. " + strings.Join(fig.Findings, "; ") + "."
	return fig, true
}
