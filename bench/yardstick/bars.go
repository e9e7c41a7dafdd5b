package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"isoperf/runtime/program"
)

// The bars.
const (
	nullRatio  = 1.10    // reap-ns, ours by C
	startRatio = 1.15    // a container start, ours (vm, image reused) by C
	stubMost   = 120_000 // nanoseconds that the stub may add to a start
)

// quantile is the q-quantile of values, between two of them where needed.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

func median(values []float64) float64 { return quantile(values, 0.5) }

// pairwise combines the values that belong together.
func pairwise(a, b []float64, f func(a, b float64) float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = f(a[i], b[i])
	}
	return out
}

func ratio(a, b float64) float64 { return a / b }
func minus(a, b float64) float64 { return a - b }

// column takes one figure out of all cycles.
func column(cycles []cycle, f func(cycle) int64) []float64 {
	out := make([]float64, len(cycles))
	for i, c := range cycles {
		out[i] = float64(f(c))
	}
	return out
}

// bar prints a figure against its limit and says whether it was missed, as 0
// or 1.
func bar[T cmp.Ordered](w io.Writer, what, format string, got, most T) int {
	verdict, missed := "met", 0
	if !(got <= most) {
		verdict, missed = "MISSED", 1
	}
	fmt.Fprintf(w, "  %s\t"+format+"\tat most "+format+"\t%s\n", what, got, most, verdict)
	return missed
}

// table opens a section: a title, and columns that are aligned until flush.
func table(w io.Writer, title string) (out *tabwriter.Writer, flush func()) {
	fmt.Fprintf(w, "%s\n", title)
	out = tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	return out, func() { out.Flush(); fmt.Fprintln(w) }
}

// printNull prints part 1 and counts missed bars.
func printNull(w io.Writer, p nullPairs) (missed int) {
	out, flush := table(w, fmt.Sprintf("1. clone3 of a child that exits, reaped; mode vm, %d pairs, clock %s, ns", len(p.ours), program.ClockSource()))
	fmt.Fprintln(out, "  span\tours p10\tours p50\tours p90\tC p10\tC p50\tC p90\tratio p10\tratio p50\tratio p90")
	spans := []struct {
		name string
		of   func(cycle) int64
	}{
		{"clone3 returned", func(c cycle) int64 { return c.Returned }},
		{"first instruction", func(c cycle) int64 { return c.First }},
		{"reap-ns", func(c cycle) int64 { return c.Reaped }},
		{"first to reaped", func(c cycle) int64 { return c.Reaped - c.First }},
		{"whole cycle", func(c cycle) int64 { return c.Whole }},
	}
	for _, s := range spans {
		a, b := column(p.ours, s.of), column(p.c, s.of)
		r := pairwise(a, b, ratio)
		fmt.Fprintf(out, "  %s", s.name)
		for _, values := range [][]float64{a, b} {
			fmt.Fprintf(out, "\t%.0f\t%.0f\t%.0f", quantile(values, 0.1), median(values), quantile(values, 0.9))
		}
		fmt.Fprintf(out, "\t%.3f\t%.3f\t%.3f\n", quantile(r, 0.1), median(r), quantile(r, 0.9))
	}
	flush()
	ours, c := column(p.ours, spans[2].of), column(p.c, spans[2].of)
	out, flush = table(w, "   reap-ns, ours by C")
	missed += bar(out, "median of paired ratios", "%.3f", median(pairwise(ours, c, ratio)), nullRatio)
	missed += bar(out, "ratio of 10th percentiles", "%.3f", quantile(ours, 0.1)/quantile(c, 0.1), nullRatio)
	flush()
	return missed
}

// printStarts prints part 2 and counts missed bars.
func printStarts(w io.Writer, v []variant) (missed int) {
	out, flush := table(w, fmt.Sprintf("2. container start, the whole call until reaped; %d of each, µs", len(v[startC].samples)))
	fmt.Fprintln(out, "  variant\tp10\tp50\tp90\tratio to C p10\tp50\tp90")
	for _, x := range v {
		r := pairwise(x.samples, v[startC].samples, ratio)
		fmt.Fprintf(out, "  %s\t%.1f\t%.1f\t%.1f\t%.3f\t%.3f\t%.3f\n", x.name,
			quantile(x.samples, 0.1)/1e3, median(x.samples)/1e3, quantile(x.samples, 0.9)/1e3,
			quantile(r, 0.1), median(r), quantile(r, 0.9))
	}
	flush()
	added := pairwise(v[startStub].samples, v[startReused].samples, minus)
	out, flush = table(w, "   container start")
	missed += bar(out, "vm, image reused, by C: median of paired ratios", "%.3f",
		median(pairwise(v[startReused].samples, v[startC].samples, ratio)), startRatio)
	missed += bar(out, "stub minus vm, ns: median of paired differences", "%.0f", median(added), stubMost)
	flush()
	return missed
}

// printPieces prints part 3, which has no bars.
func printPieces(w io.Writer, pieces []piece) {
	out, flush := table(w, fmt.Sprintf("3. what the pieces of a start cost; %d of each, ns", len(pieces[0].samples)))
	fmt.Fprintln(out, "  piece\tp10\tp50\tp90\tspan")
	for _, p := range pieces {
		fmt.Fprintf(out, "  %s\t%.0f\t%.0f\t%.0f\t%s\n", p.name,
			quantile(p.samples, 0.1), median(p.samples), quantile(p.samples, 0.9), p.about)
	}
	flush()
}
