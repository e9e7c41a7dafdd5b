package compare

import (
	"fmt"
	"math"
	"strings"

	"isoperf/reports/table"
)

// The changes as text, for a comment, which shows no picture of its own:
//
//	-20 %                0                +20 %
//	                .....|.....                   beyond the dots a change counts
//	                     |      [---o---]         Startup/runtime=isorun
const (
	chartHalf = 20 // columns on either side of no change
	mostChart = 20 // rows
)

// chart draws rows that both sides have, the first ones; empty: there are none.
func chart(rows []Row) string {
	var drawn []Row
	reach := math.Log(1.05)
	for _, r := range rows {
		if known := r.Ratio.Lo > 0 && !math.IsInf(r.Ratio.Hi, 0); r.Compared() && known && r.Verdict != Apart && len(drawn) < mostChart {
			drawn = append(drawn, r)
			reach = max(reach, -math.Log(r.Ratio.Lo), math.Log(r.Ratio.Hi))
		}
	}
	if len(drawn) == 0 {
		return ""
	}
	reach = min(reach, math.Log(4)) // what goes further ends at the edge
	column := func(ratio float64) int {
		return chartHalf + int(math.Round(chartHalf*max(-1, min(1, math.Log(ratio)/reach))))
	}
	// A fence ends at no name, and no name is a tag, whatever takes it for one.
	plain := strings.NewReplacer("`", "'", "\n", " ", "\r", " ", "<", "‹", ">", "›")
	var b strings.Builder
	edges := [2]string{table.Percent(math.Exp(-reach) - 1), "+" + table.Percent(math.Exp(reach)-1)}
	fmt.Fprintf(&b, "%-*s0%*s\n", chartHalf, edges[0], chartHalf, edges[1])
	for _, r := range drawn {
		line := []rune(strings.Repeat(" ", 2*chartHalf+1))
		for i := column(1 / (1 + r.Bound)); i <= column(1+r.Bound); i++ {
			line[i] = '.'
		}
		line[chartHalf] = '|'
		lo, hi := column(r.Ratio.Lo), column(r.Ratio.Hi)
		for i := lo; i <= hi; i++ {
			line[i] = '-'
		}
		line[lo], line[hi], line[column(r.Ratio.Ratio)] = '[', ']', 'o'
		fmt.Fprintf(&b, "%s  %s, %s\n", string(line), plain.Replace(r.Case), r.Verdict)
	}
	return b.String()
}
