package answer

import (
	"fmt"
	"slices"
	"strings"

	"isoperf/bench/sample"
)

// most is how many items a list names unless everything is asked for.
const most = 5

// notMeasured says what could not be measured, one line for each reason.
func notMeasured(notes []sample.Note, verbose bool) []string {
	var reasons []string
	cases := map[string][]string{}
	for _, n := range notes {
		if !slices.Contains(reasons, n.Why) {
			reasons = append(reasons, n.Why)
		}
		cases[n.Why] = append(cases[n.Why], n.Case)
	}
	var lines []string
	for _, why := range reasons {
		names := cases[why]
		if !verbose {
			names = shorten(grouped(names))
		}
		lines = append(lines, fmt.Sprintf("Not measured: %s: %s", strings.Join(names, ", "), why))
	}
	return lines
}

// grouped folds case names that begin alike: "Clone/flag=time (4 cases)".
func grouped(names []string) []string {
	var heads []string
	members := map[string][]string{}
	for _, name := range names {
		parts := strings.SplitN(name, "/", 3)
		head := strings.Join(parts[:min(2, len(parts))], "/")
		if !slices.Contains(heads, head) {
			heads = append(heads, head)
		}
		members[head] = append(members[head], name)
	}
	var out []string
	for _, head := range heads {
		if m := members[head]; len(m) > 1 {
			out = append(out, fmt.Sprintf("%s (%d cases)", head, len(m)))
		} else {
			out = append(out, m[0])
		}
	}
	return out
}

func shorten(names []string) []string {
	if len(names) <= most+1 {
		return names
	}
	return append(names[:most:most], fmt.Sprintf("and %d more (--verbose names them)", len(names)-most))
}

// failures says which operations failed, how often, and why.
func failures(cases []*sample.Case, verbose bool) []string {
	var lines []string
	for _, c := range cases {
		if len(c.Failures) == 0 {
			continue
		}
		why := reasonsOf(c.Failures)
		if !verbose && len(why) > 1 {
			why = append(why[:1:1], "and others")
		}
		lines = append(lines, fmt.Sprintf("Failed: %s, %d of %d: %s", c.Name, len(c.Failures), len(c.Failures)+c.N(), strings.Join(why, "; ")))
	}
	if verbose || len(lines) <= most+1 {
		return lines
	}
	return append(lines[:most:most], fmt.Sprintf("Failed: %d more cases (--verbose names them)", len(lines)-most))
}

// reasonsOf are the different reasons, the most frequent first, with counts.
func reasonsOf(failures []string) []string {
	count := map[string]int{}
	var reasons []string
	for _, why := range failures {
		if count[why]++; count[why] == 1 {
			reasons = append(reasons, why)
		}
	}
	slices.SortStableFunc(reasons, func(a, b string) int { return count[b] - count[a] })
	for i, why := range reasons {
		if count[why] > 1 {
			reasons[i] = fmt.Sprintf("%s (%d times)", why, count[why])
		}
	}
	return reasons
}
