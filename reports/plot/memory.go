package plot

import (
	"slices"
	"strings"

	"isoperf/bench/sample"

	"gonum.org/v1/plot/vg/draw"
)

// sweepMemory shows what the parent's memory does to each way to start a
// child: with copied memory its page tables are copied too, and os/exec
// copies them as soon as a user namespace is asked for.
func sweepMemory(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "sweep-memory", Title: "The parent's memory and the ways to start a child", Family: "SweepMemory"}
	var lines []line
	var counts []int
	modes := distinct(f, "SweepMemory", "mode")
	slices.SortStableFunc(modes, func(a, b string) int { return modeRank(a) - modeRank(b) })
	for _, mode := range modes {
		for _, flag := range distinct(f, "SweepMemory", "flag") {
			steps := sweepSteps(f, "reap-ns", "SweepMemory", "memory", ParseSize, "mode", mode, "flag", flag)
			if len(steps) < 2 {
				continue
			}
			lines = append(lines, line{style: modeStyle(mode, flag), points: medians(steps), label: []string{mode + ", " + flagWords(flag)}})
			counts = append(counts, stepCounts(steps)...)
		}
	}
	if len(lines) == 0 {
		return fig, false
	}
	fig.sheet = sheet{
		lead:   "Medians from clone entered to child reaped, with 95 % intervals, by the memory the parent has touched. os-exec is Go's own package; a solid line is without flag, a dashed one with a user namespace.",
		panels: []panel{grownPanel(lines, "memory of the parent (log scale)", "MiB", mebibyteTick)},
		foot:   []string{"Curve: the straight line that fits the medians best, where one does. " + samplesOf(counts) + " (samples at one point)."},
	}
	fig.Findings = findings(lines)
	fig.Alt = "Line chart over the parent's memory. " + strings.Join(fig.Findings, "; ") + "."
	return fig, true
}

func flagWords(flag string) string {
	if flag == "none" {
		return "no flag"
	}
	return flag
}

func modeRank(mode string) int {
	if i := slices.Index([]string{"vm", "stub", "fork", "os-exec"}, mode); i >= 0 {
		return i
	}
	return 9
}

// modeStyle has a colour for the mode, and dash and shape for the flag.
func modeStyle(mode, flag string) style {
	s := style{purple, nil, draw.CircleGlyph{}}
	switch mode {
	case "vm":
		s.ink = blue
	case "fork":
		s.ink = green
	case "os-exec":
		s.ink = vermillion
	case "stub":
		s.ink = orange
	}
	if flag != "none" {
		s.dash, s.glyph = dashed(), draw.BoxGlyph{}
	}
	return s
}
