package startup

import (
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
)

// Breakdown is where one runtime's start spends its time.
type Breakdown struct {
	Case   *sample.Case
	Total  stats.Summary
	Phases []Phase // in order of time, the residual last

	// Whole is the sum of the phases' Mean. When Exact it is the mean total
	// of the middle half of the samples; otherwise some samples lack a phase,
	// and Mean is the phase's own median.
	Whole float64
	Exact bool

	// Beside is the total over that of a start beside it that wrote no
	// timeline, pair by pair; N is 0 when there is none.
	Beside stats.Summary

	Ready float64 // when the payload's first instruction is reached, as Mean; NaN when not stamped
}

// Phase is one part of a start.
type Phase struct {
	Name     string // "mounts"; "residual" is what no phase names
	Residual bool
	stats.Summary

	// Mean is over the samples whose total lies between the quartiles, the
	// same ones for every phase: unlike medians, means add up to the whole.
	Mean  float64
	Share float64 // Mean over Breakdown.Whole
}

// Breakdowns are those of a file, in its order.
func Breakdowns(f *sample.File) []Breakdown {
	var all []Breakdown
	for _, k := range f.Family("StartupSpans") {
		if b := breakdown(k); len(b.Phases) > 0 && b.Whole > 0 {
			all = append(all, b)
		}
	}
	return all
}

func breakdown(k *sample.Case) Breakdown {
	totals := k.Values["total-ns"]
	b := Breakdown{Case: k, Total: stats.Summarize(totals), Exact: everySample(k)}
	b.Beside = stats.Summarize(pairwise(totals, k.Values["plain-ns"]))
	half := stats.MiddleHalf(totals)
	b.Ready = stats.Summarize(k.Values["ready-ns"]).Median
	if b.Exact && len(k.Values["ready-ns"]) == len(totals) {
		b.Ready = meanOf(k.Values["ready-ns"], half)
	}
	for _, unit := range k.Units {
		name, ok := phaseName(unit)
		if !ok {
			continue
		}
		values := k.Values[unit]
		p := Phase{Name: name, Residual: name == residual, Summary: stats.Summarize(values)}
		p.Mean = p.Median
		if b.Exact {
			p.Mean = meanOf(values, half)
		}
		if p.N == 0 {
			continue
		}
		b.Whole += p.Mean
		b.Phases = append(b.Phases, p)
	}
	for i := range b.Phases {
		b.Phases[i].Share = b.Phases[i].Mean / b.Whole
	}
	return b
}

const residual = "residual"

// phaseName reads "span.mounts-ns" and "residual-ns". A unit has neither capitals
// nor signs, which the names of some phases have.
func phaseName(unit string) (string, bool) {
	if unit == residual+"-ns" {
		return residual, true
	}
	name, span := strings.CutPrefix(unit, "span.")
	name, ns := strings.CutSuffix(name, "-ns")
	switch name = strings.ReplaceAll(name, "-", " "); name {
	case "start of go":
		name = "start of Go"
	case "dev":
		name = "/dev"
	case "credentials capabilities":
		name = "credentials & capabilities"
	}
	return name, span && ns && name != ""
}

// everySample says whether every sample has every phase.
func everySample(k *sample.Case) bool {
	n := len(k.Values["total-ns"])
	for _, unit := range k.Units {
		if _, ok := phaseName(unit); ok && len(k.Values[unit]) != n {
			return false
		}
	}
	return n > 0
}

func meanOf(values []float64, in []bool) float64 {
	sum, n := 0.0, 0.0
	for i, v := range values {
		if in[i] {
			sum, n = sum+v, n+1
		}
	}
	return sum / n
}

// Label says which start a family's case is: "isorun, usual, burst".
func Label(k *sample.Case) string {
	var parts []string
	for _, key := range []string{"runtime", "with", "pacing"} {
		if v := k.Param(key); v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, ", ")
}

// pairwise divides pair by pair; nil when there are not as many of both.
func pairwise(a, b []float64) []float64 {
	if len(a) != len(b) {
		return nil
	}
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}

// Unnamed is the residual's share of the whole.
func (b Breakdown) Unnamed() float64 {
	for _, p := range b.Phases {
		if p.Residual {
			return p.Share
		}
	}
	return 0
}

// Longest are the n phases that take most, the residual not among them.
func (b Breakdown) Longest(n int) []Phase {
	var top []Phase
	for _, p := range b.Phases {
		if p.Residual {
			continue
		}
		at := len(top)
		for at > 0 && top[at-1].Mean < p.Mean {
			at--
		}
		top = append(top[:at], append([]Phase{p}, top[at:]...)...)
	}
	return top[:min(n, len(top))]
}
