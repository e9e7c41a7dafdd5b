package answer

import (
	"fmt"
	"io"
	"math"
	"slices"

	"isoperf/bench/sample"
	"isoperf/reports/startup"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// Preview prints the first look at a run that goes on: one row for each flag
// of the burst cases, what it costs over the null case so far. It has no
// ranges, and says that it is preliminary.
func Preview(w io.Writer, f *sample.File) error {
	const mode, pacing = "vm", "burst"
	base := reaped(f, "none", mode, pacing)
	var flags, figures []string
	samples := 0
	after := func(c *sample.Case) int {
		if c.Param("flag") == "none" {
			return 0
		}
		return 1
	}
	cases := f.Family("Clone")
	slices.SortStableFunc(cases, func(a, b *sample.Case) int { return after(a) - after(b) })
	for _, c := range cases {
		values := c.Values["reap-ns"]
		if c.Param("mode") != mode || c.Param("pacing") != pacing || len(values) == 0 {
			continue
		}
		samples += len(values)
		flag := c.Param("flag")
		text := table.Duration(median(c, "reap-ns"))
		if up := stats.Increment(base, values); flag != "none" && !math.IsNaN(up.Delta) {
			text = table.Increase(up.Delta)
		}
		flags, figures = append(flags, flag), append(figures, text)
	}
	p := newPage(0)
	if s := startup.Main(f); samples == 0 && s != nil {
		firstStarts(p, s)
		return p.writeTo(w)
	}
	if samples == 0 {
		p.line("First look, preliminary: no sample yet.")
		return p.writeTo(w)
	}
	over := "no null case yet"
	if len(base) > 0 {
		over = "each namespace over none"
	}
	p.line(fmt.Sprintf("First look, preliminary (%s so far; %s):", table.Plural(samples, "sample", "samples"), over))
	figures = signed(figures)
	digits := 0
	for _, text := range figures {
		digits = max(digits, len(text))
	}
	for i, flag := range flags {
		p.verbatim(fmt.Sprintf("  %-12s   %*s", flag, digits, figures[i]))
	}
	return p.writeTo(w)
}
