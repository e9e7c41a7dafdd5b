package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"isoperf/bench/environment"
	"isoperf/bench/harness"
	enforce "isoperf/bench/limits"
	"isoperf/bench/sample"
	"isoperf/reports/limits"
	"isoperf/reports/table"
)

// A look: what --quick measures for, and when it ends at the latest.
const (
	quickWindow = 2 * time.Second
	quickTime   = 55 * time.Second
)

// verification is one run of verify.
type verification struct {
	*cli
	flags   verifyFlags
	options limits.Options
	writer  *sample.Writer
	outputs []listing
}

// silent says whether standard output is for a program.
func (v *verification) silent() bool {
	return slices.ContainsFunc(v.outputs, func(o listing) bool { return o.file == nil })
}

// measure makes limits and measures them.
func (v *verification) measure(wanted []verifiable, cells []enforce.Cell) error {
	bench := enforce.New(v.config(cells))
	var cases []harness.Case
	patterns := []string{"verify"}
	for _, w := range wanted {
		cases = append(cases, w.cases(bench, harness.Extent{Burst: 1})...)
		if v.flags.felt(w.name) {
			cases = append(cases, bench.Latency(harness.Extent{Burst: 1})[:1]...)
		}
		patterns = append(patterns, w.name)
	}
	if err := v.open("verify", patterns); err != nil {
		return err
	}
	defer v.discard()
	var rule harness.Options
	if v.flags.quick {
		rule.Time = quickTime
	}
	tally, err := v.take(cases, rule)
	if err != nil {
		return cannot(err)
	}
	next := "--quota 5%,20% --period 10ms,100ms | --json FILE | --pid N | --unit NAME"
	return v.conclude(tally.Why, func(w io.Writer, f *sample.File, list []limits.Judgement) error {
		return limits.Write(w, f, list, limits.Printing{Width: width(w), Verbose: v.flags.verbose, Clean: true, Next: next})
	})
}

func (v *verification) config(cells []enforce.Cell) enforce.Config {
	c := enforce.Config{
		Context: v.ctx, Cells: cells, Wide: v.flags.wide, Trusted: v.flags.trusted,
		Checked:  func(k sample.Checked) error { return v.writer.Checked(k) },
		Series:   func(s sample.Series) error { return v.writer.Series(s) },
		Timeline: func(t sample.Timeline) error { return v.writer.Timeline(t) },
	}
	if v.flags.quick {
		c.Window = quickWindow
	}
	return c
}

// take measures the cases into the file and ends it. A case for which there was
// no time is noted.
func (v *verification) take(cases []harness.Case, rule harness.Options) (harness.Tally, error) {
	fmt.Fprintf(v.stderr, "%s, about %s; samples go to %s\n", table.Plural(len(cases), "limit", "limits"), duration(cases, rule), v.writer.Path())
	bar := v.startProgress(harness.Estimate(cases))
	seen := map[string]bool{}
	h := &harness.Harness{Out: v.writer, Progress: func(s harness.State) {
		if !s.FirstLook {
			seen[s.Case] = true
			bar.measures(listName(s.Case))
		}
	}}
	before, timesErr := environment.ReadCPUTimes("/")
	tally, err := h.Run(v.ctx, cases, rule)
	bar.stop()
	for _, c := range cases {
		if !seen[c.Name] && err == nil && tally.Why == "the time was up" {
			err = v.writer.NotMeasured(c.Name, "there was no time left; leave --quick out, or ask for fewer limits")
		}
	}
	if eerr := v.end(tally.Why, before, timesErr); err == nil {
		err = eerr // a file that takes no more says the same again
	}
	return tally, err
}

// end writes the last line of the file.
func (v *verification) end(why string, before environment.CPUTimes, timesErr error) error {
	end := sample.Ending{Why: why}
	if after, err := environment.ReadCPUTimes("/"); timesErr == nil && err == nil {
		steal := environment.Steal(before, after)
		end.Steal = &steal
	}
	return errors.Join(v.writer.End(end), v.writer.Close())
}

// conclude judges the file, prints what write does, and the files for programs.
// The error that it returns is the exit status.
func (v *verification) conclude(why string, write func(io.Writer, *sample.File, []limits.Judgement) error) error {
	f, err := sample.ReadFile(v.writer.Path())
	if err != nil && why == "interrupted" { // before anything was measured
		f, err = &sample.File{Path: v.writer.Path(), End: sample.Ending{Why: why}}, nil
	}
	if err != nil {
		return cannot(err)
	}
	list := limits.Judge(f, v.options)
	exit := limits.Exit{Status: v.status(list), Why: why}
	switch why {
	case "interrupted":
		exit.Status = exitInterrupted
	case vanished:
		exit.Status = exitUsage
	}
	if !v.silent() {
		err = write(v.stdout, f, list)
	}
	for _, o := range v.outputs {
		err = errors.Join(err, o.finish(f, list, exit))
	}
	v.outputs = nil
	switch {
	case err != nil:
		return cannot(err)
	case exit.Status == exitDone:
		return nil
	}
	return status{code: exit.Status}
}

// vanished is why a watch ended whose group was removed meanwhile.
const vanished = "the group has vanished"

// exitInterrupted is the shell's status of what SIGINT ended.
const exitInterrupted = 130

// status is the exit status of the judgements.
func (v *verification) status(list []limits.Judgement) int {
	switch verdict := limits.Overall(list); {
	case verdict == limits.Inaccurate || verdict == limits.NotJudged && v.flags.notJudged == "fail":
		return exitFailed
	case verdict == limits.NotJudged && v.flags.notJudged == "":
		return exitNotJudged
	}
	return exitDone
}
