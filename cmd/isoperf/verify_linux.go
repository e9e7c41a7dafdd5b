package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"isoperf/bench/environment"
	"isoperf/bench/harness"
	enforce "isoperf/bench/limits"
	"isoperf/bench/sample"
	"isoperf/reports/limits"
)

// exitNotJudged is the status when nothing is wrong that was seen, and not all
// was seen.
const exitNotJudged = 3

// verifyFlags are the flags of verify.
type verifyFlags struct {
	quotas, periods []string
	threads         int
	tolerance       string
	out             string
	quick           bool
	trusted         bool
	notJudged       string
}

func (c *cli) verify() *cobra.Command {
	var o verifyFlags
	cmd := &cobra.Command{
		Use:   "verify [LIMIT…]",
		Short: "Say whether the limits of control groups are kept, and how exactly",
		RunE: func(_ *cobra.Command, args []string) error {
			return c.runVerify(args, o)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.quotas, "quota", nil, "cpu.max: `QUOTAS` of one CPU (20%,150%)")
	f.StringSliceVar(&o.periods, "period", nil, "cpu.max: `PERIODS` (10ms,100ms)")
	f.IntVar(&o.threads, "threads", 0, "cpu.max: `N` threads of load; 0: as many as the limit takes")
	f.StringVar(&o.tolerance, "max-error", "2%", "the `ERROR` that is still accurate")
	f.StringVarP(&o.out, "out", "o", "", "result `FILE` (default ./isoperf-verify-UTC.txt); it must not exist")
	f.BoolVarP(&o.quick, "quick", "q", false, "shorter measurements, wider budgets")
	f.BoolVar(&o.trusted, "trust-host", false, "an emulated machine's host is quiet")
	f.StringVar(&o.notJudged, "not-judged", "", "exit status when something is not judged: `pass` or fail (default 3)")
	return cmd
}

// parseShare reads "20%" or "0.2" as 0.2.
func parseShare(text string) (float64, error) {
	number, isPercent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v <= 0 {
		return 0, fmt.Errorf("%q is no share; write it as 20%%", text)
	}
	if isPercent {
		v /= 100
	}
	return v, nil
}

// cells are the CPU limits that the flags ask for.
func (o verifyFlags) cells() ([]enforce.Cell, error) {
	quotas, periods := o.quotas, o.periods
	if len(quotas) == 0 {
		quotas = []string{"20%", "100%"}
	}
	if len(periods) == 0 {
		periods = []string{"100ms"}
	}
	var cells []enforce.Cell
	for _, p := range periods {
		period, err := time.ParseDuration(p)
		if err != nil {
			return nil, usage("--period %q: it must be a time, such as 100ms", p)
		}
		for _, q := range quotas {
			share, err := parseShare(q)
			if err != nil {
				return nil, usage("--quota: %v", err)
			}
			cell := enforce.Cell{Quota: share, Period: period, Threads: o.threads}
			if err := cell.Check(); err != nil {
				return nil, usage("%v", err)
			}
			cells = append(cells, cell)
		}
	}
	return cells, nil
}

func (c *cli) runVerify(_ []string, o verifyFlags) error {
	tolerance, err := parseShare(o.tolerance)
	if err != nil {
		return usage("--max-error: %v", err)
	}
	cells, err := o.cells()
	if err != nil {
		return err
	}
	var writer *sample.Writer
	config := enforce.Config{
		Context: c.ctx, Cells: cells, Trusted: o.trusted,
		Checked:  func(k sample.Checked) error { return writer.Checked(k) },
		Series:   func(s sample.Series) error { return writer.Series(s) },
		Timeline: func(t sample.Timeline) error { return writer.Timeline(t) },
	}
	if o.quick {
		config.Window = 2 * time.Second
	}
	cases := enforce.New(config).CPUMax(harness.Extent{Burst: 1})
	selected := make([]chosen, len(cases))
	for i := range cases {
		selected[i] = chosen{cases[i], "verify"}
	}
	env, err := environment.Read("/")
	if err != nil {
		return cannot(fmt.Errorf("read the machine's fingerprint: %w", err))
	}
	if writer, err = createResult(o.out, env, selected, []string{"verify"}, nil); err != nil {
		return err
	}
	tally, err := c.measure(writer, cases, harness.Options{})
	if err != nil {
		return cannot(err)
	}
	f, err := sample.ReadFile(writer.Path())
	if err != nil {
		return cannot(err)
	}
	list := limits.Judge(f, limits.Options{Tolerance: tolerance})
	if err := limits.Write(c.stdout, f, list); err != nil {
		return cannot(err)
	}
	if tally.Why == "interrupted" {
		return status{code: 130}
	}
	return o.verdict(list)
}

// verdict is the exit status.
func (o verifyFlags) verdict(list []limits.Judgement) error {
	code := exitDone
	for _, j := range list {
		switch {
		case j.Verdict == limits.Inaccurate:
			return status{code: exitFailed}
		case j.Verdict == limits.NotJudged && o.notJudged == "fail":
			code = exitFailed
		case j.Verdict == limits.NotJudged && o.notJudged != "pass" && code == exitDone:
			code = exitNotJudged
		}
	}
	if code == exitDone {
		return nil
	}
	return status{code: code}
}
