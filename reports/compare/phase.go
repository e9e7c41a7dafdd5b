package compare

import (
	"slices"
	"strings"

	"isoperf/reports/stats"
)

// Phase is a part of a start that takes longer.
type Phase struct {
	Case     string // of the start that it is a part of
	Name     string
	Old, New float64 // medians, ns
	Shift    stats.Shift
	Whole    float64 // by how much the start itself took longer, in the same samples, ns
}

// Delta is by how much it takes longer, ns.
func (p Phase) Delta() float64 { return p.Shift.Delta }

// phases are those of the starts that got slower: the spans of the same runtime
// in the same files. First comes the one that takes longer by most at least, the lower
// bound of its interval: the estimate of a long phase that is noisy, as the start of
// Go, is often beyond that of a short one that did change.
func phases(base, head Column, rows []Row) []Phase {
	var list []Phase
	for _, r := range rows {
		if r.Verdict != Slower || !r.Main || !isStart(r.Case) {
			continue
		}
		old, next := base.cases[spansOf(r.Case)], head.cases[spansOf(r.Case)]
		if old == nil || next == nil {
			continue
		}
		whole := stats.Increment(old.values[r.Unit], next.values[r.Unit]).Delta
		for _, unit := range old.units {
			if !isSpan(unit) || len(next.values[unit]) == 0 {
				continue
			}
			list = append(list, Phase{
				Case: r.Case, Name: spanName(unit), Whole: whole,
				Old: stats.Summarize(old.values[unit]).Median, New: stats.Summarize(next.values[unit]).Median,
				Shift: stats.Increment(old.values[unit], next.values[unit]),
			})
		}
	}
	slices.SortStableFunc(list, func(a, b Phase) int {
		switch {
		case a.Shift.Lo > b.Shift.Lo:
			return -1
		case a.Shift.Lo < b.Shift.Lo:
			return 1
		}
		return 0
	})
	return list
}

// isStart says whether a case is a start, with or without its spans.
func isStart(name string) bool {
	return strings.HasPrefix(name, startFamily) || strings.HasPrefix(name, spansFamily)
}

// spansOf is the case that has the phases of a start.
func spansOf(name string) string {
	return spansFamily + strings.TrimPrefix(strings.TrimPrefix(name, startFamily), spansFamily)
}

// spansOfStart says whether a case is a start with its spans that both columns have
// without them too: it is there for the phases, and counts once.
func spansOfStart(name string, base, head Column) bool {
	rest, ok := strings.CutPrefix(name, spansFamily)
	return ok && base.cases[startFamily+rest] != nil && head.cases[startFamily+rest] != nil
}

func isSpan(unit string) bool { return strings.HasPrefix(unit, spanPrefix) }

// spanName is a span's name as it is read.
func spanName(unit string) string {
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(unit, spanPrefix), "-ns"), "-", " ")
}
