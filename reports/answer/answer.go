// Package answer is what a person reads when a run has ended: the answer in
// words, how far to trust it, the figures, what is missing and why.
//
//	result file ──► clone table ──► headline
//	            ├─► trust (clock, null case, failures, steal, load) ──► warnings
//	            ├─► runtimes side by side ──► headline, last sentence
//	            ├─► limits: verdicts ──► headline
//	            ├─► network: how much slower, which driver ──► headline, tables, sentences
//	            ├─► one table for every other family
//	            └─► not measured, failed, where the samples are
//
// It is a pure function of the file, in plain ASCII, without colour. Write is
// for the end of a run, Preview for its first second.
package answer

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/curve"
	"isoperf/reports/limits"
	"isoperf/reports/network"
	"isoperf/reports/startup"
	"isoperf/reports/table"
)

// Options choose how much is printed.
type Options struct {
	Verbose bool // every case and unit, the machine, every failure
	Width   int  // columns of the terminal, for text and tables; 0 is 80
}

// next is the last line: where to go from here.
const next = "Next: isoperf report FILE --dir DIR   |   isoperf list   |   isoperf doctor"

// Write prints the answer that f holds.
func Write(w io.Writer, f *sample.File, o Options) error {
	p := newPage(o.Width)
	c, s := newCloneView(f), startup.Main(f)
	t := judge(f, c)

	for _, note := range f.Notes {
		p.line("Incomplete file: " + note)
	}
	p.lines(headlines(f, c, s))
	for _, known := range curve.All(f) {
		p.line(known.String())
	}
	p.line(t.line())
	if o.Verbose {
		p.line(machine(f))
	}
	if c != nil {
		p.tables([]table.Table{c.table()})
		p.gap()
		p.lines(c.footnotes())
		p.tables(modes(f, c.pacing))
	}
	if s != nil {
		startTable(p, s)
	}
	families(p, f, c, o.Verbose)
	networkWords(p, f)

	p.gap()
	for _, warning := range t.warnings {
		p.line("Warning: " + warning)
	}
	p.lines(notMeasured(untold(f.NotMeasured, s), o.Verbose))
	p.lines(failures(unexplained(f.Cases, o.Verbose), o.Verbose))
	verdict(p, s)
	p.samples(f)
	p.verbatim(next)
	return p.writeTo(w)
}

// families prints a table for everything that the clone table does not show.
// What the control measured is in the line of trust already.
func families(p *page, f *sample.File, c *cloneView, verbose bool) {
	for _, family := range familyNames(f) {
		cases := f.Family(family)
		switch {
		case family == "Clone" && c != nil:
		case family == "Control" && c != nil && !verbose:
		case family == "Unshare":
			p.tables(joining(f))
		case family == "Setns":
			if len(f.Family("Unshare")) == 0 {
				p.tables(joining(f))
			}
		case family == "Teardown":
			p.tables(teardown(f))
		case strings.HasPrefix(family, "Startup"):
			startFamily(p, f, family)
		case family == "Mount":
			p.tables(mountTable(f))
		case family == "Pivot":
			p.tables(pivotTable(f))
		case family == "CgroupOp":
			p.tables(groupTable(f))
		case family == "Attach":
			p.tables(attachTables(f))
		case limits.Judged(family):
			p.tables(limits.Tables(f, family, p.width))
		case network.Told(family):
			p.tables(network.Tables(f, family))
		case strings.HasPrefix(family, "Sweep"):
			p.tables(sweep(family, cases, p.width))
		default:
			p.table(detail(family, cases, p.width))
			continue // nothing more to tell
		}
		if verbose {
			p.table(detail(family, cases, p.width))
		}
	}
}

// familyNames are the families in order of appearance, the instrument's own
// at the end.
func familyNames(f *sample.File) []string {
	var names, last []string
	for _, c := range f.Cases {
		family := c.Family()
		if family == "Control" || family == "Engine" {
			if !slices.Contains(last, family) {
				last = append(last, family)
			}
		} else if !slices.Contains(names, family) {
			names = append(names, family)
		}
	}
	return append(names, last...)
}

// headline is the answer in words.
func headline(f *sample.File, c *cloneView) string {
	if c != nil {
		return c.headline()
	}
	if text := mountHeadline(f); text != "" {
		return text
	}
	if text := groupHeadline(f); text != "" {
		return text
	}
	if text := networkHeadline(f); text != "" {
		return text
	}
	if found := limits.Findings(f); len(found) > 0 {
		return strings.Join(found, " ")
	}
	measured := 0
	var slowest *sample.Case
	var most float64
	var of string
	for _, k := range f.Cases {
		if k.N() == 0 {
			continue
		}
		measured++
		for _, unit := range k.Units {
			m := median(k, unit)
			if strings.HasSuffix(unit, "-ns") && m > most && k.Family() != "Control" && k.Family() != "Engine" {
				slowest, most, of = k, m, unit
			}
		}
	}
	if measured == 0 {
		return "Nothing was measured."
	}
	text := fmt.Sprintf("Measured %s", table.Plural(measured, "case", "cases"))
	if slowest == nil {
		return text + "."
	}
	return fmt.Sprintf("%s; the slowest is %s with %s (median %s).", text, slowest.Name, brief(most), of)
}

// machine lists what makes results comparable or not.
func machine(f *sample.File) string {
	if len(f.Config) == 0 {
		return "Machine: not recorded in this file."
	}
	var parts []string
	for _, pair := range f.Config {
		parts = append(parts, pair.Key+" "+pair.Value)
	}
	return "Machine: " + strings.Join(parts, ", ") + "."
}
