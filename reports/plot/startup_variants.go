package plot

import (
	"fmt"

	"isoperf/bench/sample"
	"isoperf/reports/startup"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// startupVariants shows what a variant makes of the time of the usual start
// that was measured among the variants, as a ratio.
func startupVariants(f *sample.File) (Figure, bool) {
	fig := Figure{Name: "startup-variants", Title: "What a variant makes of the start", Family: startup.Varied}
	c := startup.Of(f, startup.Varied)
	if c == nil {
		return fig, false
	}
	var rows []row
	var counts []int
	for _, name := range c.Runtimes() {
		base := c.Total(name, c.With, c.Pacing)
		for _, with := range c.Others() {
			values := c.Total(name, with, c.Pacing)
			r := stats.Ratio(base, values)
			if r.N == 0 || r.BaseN == 0 {
				continue
			}
			m := mark{style: violinStyle(name, c), value: r.Ratio, lo: r.Lo, hi: r.Hi, text: change(r.Ratio), ok: true}
			rows = append(rows, row{group: headLetter().cut(name, 130), name: with, marks: []mark{m}})
			counts = append(counts, len(values))
		}
	}
	if len(rows) == 0 {
		return fig, false
	}
	x := logAxis("total time, as a multiple of "+c.With+" (log scale)", append(extent(rows), 1), func(v float64) string { return numberTick(v) + "x" })
	fig.sheet = sheet{
		lead:   fmt.Sprintf("Total time of each variant over that of the same runtime with=%s, measured in turns with it; %s. At 1x nothing changes.", c.With, pacingWords(c.Pacing)),
		panels: []panel{rowsPanel(rows, x)},
		foot:   []string{"Mark: Hodges-Lehmann ratio. Bar: its 95 % interval. " + samplesOf(counts) + "."},
	}
	fig.Alt = "Dot plot: total time of each variant as a multiple of " + c.With + ". " + rowsAlt(rows)
	return fig, true
}

// change writes a ratio near 1 as what is added: "+ 4.4 %", "- 25 %", "4.1x".
func change(ratio float64) string {
	switch {
	case ratio >= 2 || ratio <= 0.5:
		return startup.Times(ratio)
	case ratio < 1:
		return "- " + table.Percent(1-ratio)
	}
	return "+ " + table.Percent(ratio-1)
}
