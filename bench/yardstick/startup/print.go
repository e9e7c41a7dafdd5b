package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"isoperf/bench/environment"
)

// table opens a section: a title, and columns that are aligned until flush.
func table(w io.Writer, title string) (out *tabwriter.Writer, flush func()) {
	fmt.Fprintf(w, "%s\n", title)
	out = tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	return out, func() { out.Flush(); fmt.Fprintln(w) }
}

// printMachine says where the numbers are from.
func printMachine(w io.Writer, e environment.Environment) {
	fmt.Fprintf(w, "machine: %s, %d CPUs, %s, Linux %s, cgroup %s, load %.2f, %d mounts, %d groups\n\n",
		e.CPU, e.CPUs, e.Virt, e.Kernel, e.Cgroup, e.Load1, e.Mounts, e.CgroupCount)
}

// verdict says whether a ratio meets its bar, and counts a miss. A ratio that
// is not a number misses.
func verdict(ratio, bar float64, missed *int) string {
	switch {
	case bar == 0:
		return ""
	case ratio <= bar:
		return "met"
	}
	*missed++
	return "MISSED"
}

// printSetting prints a table of whole processes and counts missed bars.
func printSetting(w io.Writer, s *setting) (missed int) {
	ours := s.contenders[0]
	out, flush := table(w, fmt.Sprintf("%s; %d of each, start to reaped, ms", s.title, len(ours.samples)))
	fmt.Fprintln(out, "  contender\tmedian\tp10\tp90\tpeak KiB\tours by it\t95 % interval\tat most\t")
	for i, c := range s.contenders {
		fmt.Fprintf(out, "  %s\t%.3f\t%.3f\t%.3f\t%d", c.name,
			quantile(c.samples, 0.5)/1e6, quantile(c.samples, 0.1)/1e6, quantile(c.samples, 0.9)/1e6, c.peak/1024)
		if i == 0 {
			fmt.Fprintln(out, "\t\t\t\t")
			continue
		}
		e := newEstimate(ratios(ours.samples, c.samples))
		bar := ""
		if c.bar > 0 {
			bar = fmt.Sprintf("%.2f", c.bar)
		}
		fmt.Fprintf(out, "\t%.3f\t%.3f to %.3f\t%s\t%s\n", e.median, e.low, e.high, bar, verdict(e.median, c.bar, &missed))
	}
	flush()
	return missed
}

// printDifferences says what the peers' containers are, beside ours.
func printDifferences(w io.Writer, s *setting) {
	for _, c := range s.contenders[2:] {
		if c.witness != nil {
			fmt.Fprintf(w, "  %s, compared with isorun's container: %s\n", c.name, words(c.differs))
		}
	}
	fmt.Fprintln(w)
}

// printLibrary prints part 3.
func printLibrary(w io.Writer, m *library) (missed int) {
	out, flush := table(w, fmt.Sprintf("%s; %d of each, µs", m.title, len(m.start)))
	e := newEstimate(ratios(m.start, m.c))
	fmt.Fprintln(out, "  start to reaped\tmedian\tp10\tours by it\t95 % interval\tat most\t")
	fmt.Fprintf(out, "  the library, a plan\t%.1f\t%.1f\t\t\t\t\n", quantile(m.start, 0.5)/1e3, quantile(m.start, 0.1)/1e3)
	fmt.Fprintf(out, "  C, in a loop\t%.1f\t%.1f\t%.3f\t%.3f to %.3f\t%.2f\t%s\n", quantile(m.c, 0.5)/1e3, quantile(m.c, 0.1)/1e3,
		e.median, e.low, e.high, libraryBar, verdict(e.median, libraryBar, &missed))
	flush()
	out, flush = table(w, "   where the library's time goes, when it is warm, µs")
	sum := 0.0
	for _, p := range m.phases {
		sum += quantile(p.samples, 0.5)
		fmt.Fprintf(out, "  %s\t%.1f\n", p.name, quantile(p.samples, 0.5)/1e3)
	}
	fmt.Fprintf(out, "  sum\t%.1f\n", sum/1e3)
	flush()
	return missed
}

// printSpans divides the whole process's time into what other contenders and
// the library show, and what is left.
func printSpans(w io.Writer, s *setting, m *library) {
	by := func(name string) float64 {
		for _, c := range s.contenders {
			if strings.HasPrefix(c.name, name) {
				return quantile(c.samples, 0.5)
			}
		}
		return 0
	}
	warm := 0.0
	for _, p := range m.phases {
		warm += quantile(p.samples, 0.5)
	}
	out, flush := table(w, "   where a whole isorun goes, µs")
	whole, floor, idle := by("isorun"), by(namePayload), by(nameVersion)
	for _, line := range []struct {
		name string
		ns   float64
	}{
		{"a static program that exits", floor},
		{"the Go runtime's start, packages, flags", idle - floor},
		{"load, plan, start, wait as the library does when it is warm", warm},
		{"the rest: the same code cold (page faults, caches), signals", whole - idle - warm},
	} {
		fmt.Fprintf(out, "  %s\t%.1f\t%.0f %%\n", line.name, line.ns/1e3, 100*line.ns/whole)
	}
	fmt.Fprintf(out, "  whole\t%.1f\t\n", whole/1e3)
	flush()
}
