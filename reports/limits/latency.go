package limits

import (
	"fmt"
	"slices"

	"isoperf/bench/sample"
	"isoperf/reports/table"
)

// worthSaying is how many CPUs others may use while it is measured what a request
// feels, before it is said.
const worthSaying = 0.05

// Feels says what requests feel under a CPU limit, a sentence for each case of
// the family Latency: nothing here is judged, since the kernel owes no latency.
func Feels(f *sample.File) []string {
	var list []string
	for _, c := range f.Family("Latency") {
		list = append(list, feels(f, c))
	}
	for _, n := range f.NotMeasured {
		if c := (&sample.Case{Name: n.Case}); c.Family() == "Latency" && f.Case(n.Case) == nil {
			list = append(list, fmt.Sprintf("What a request feels at %s was not measured: %s.", atLimit(c), n.Why))
		}
	}
	return list
}

func feels(f *sample.File, c *sample.Case) string {
	clear, why := map[int]bool{}, []string{}
	for _, k := range f.Checked {
		if k.Case != c.Name {
			continue
		}
		clear[k.Sample] = len(k.Doubts) == 0
		for _, doubt := range k.Doubts {
			if !slices.Contains(why, doubt) {
				why = append(why, doubt)
			}
		}
	}
	n := 0
	for i := range c.N() {
		if clear[i] {
			n++
		}
	}
	if n == 0 {
		reason := "no sample of it was checked"
		switch {
		case len(why) > 0:
			reason = why[0]
		case len(c.Failures) > 0:
			reason = c.Failures[0]
		}
		return fmt.Sprintf("What a request feels at %s cannot be said: %s.", atLimit(c), reason)
	}
	figures := medians(c, func(i int) bool { return clear[i] })
	value := func(unit string) float64 { return figures[unit] }
	words := func(unit string) string { return table.Duration(value(unit)) }
	var text string
	if c.Param("beside") == "nobody" {
		text = fmt.Sprintf("One that wants less than the limit, and is alone: p99 %s; without the limit p99 %s.", words("p99-ns"), words("control-p99-ns"))
		if held := value("throttled-ratio"); held > 0 {
			text += fmt.Sprintf(" Still it was held back in %s of the periods.", percent(held))
		}
	} else {
		text = fmt.Sprintf("What a request feels at %s: p50 %s, p99 %s, at most %s; without the limit p99 %s. %.0f %% of its delay is the limit's.",
			atLimit(c), words("p50-ns"), words("p99-ns"), words("max-ns"), words("control-p99-ns"), 100*value("attributed-ratio"))
	}
	if others := value("others-ratio"); others > worthSaying {
		text += fmt.Sprintf(" Others used %s of a CPU meanwhile.", percent(others))
	}
	if steal := value("steal-ratio"); steal > mostSteal {
		text += fmt.Sprintf(" The host took %s of the CPU time.", percent(steal))
	}
	return text
}

// atLimit is the limit of a case, and what a request wants where it matters.
func atLimit(c *sample.Case) string {
	text := c.Param("quota")
	if n := len(text); n > 1 && text[n-1] == '%' {
		text = text[:n-1] + " %"
	}
	if p := c.Param("period"); p != "" && p != "100ms" {
		text += " of " + p
	}
	if work := c.Param("work"); c.Param("beside") != "nobody" && work != "" && work != "20us" {
		text += ", with " + work + " of work each " + c.Param("every")
	}
	return text
}
