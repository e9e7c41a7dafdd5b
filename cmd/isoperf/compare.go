package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"isoperf/reports/compare"
	"isoperf/reports/history"
	"isoperf/reports/html"
)

// Exit statuses of compare and ab, beside exitDone, exitFailed and exitUsage.
const (
	exitCannotTell    = 3
	exitNotComparable = 4
)

type compareFlags struct {
	column        string
	history       string // a store, or ""
	floor         string
	verbose       bool
	inconclusive  string
	notComparable string
	files         map[string]*string // by flag: "json" and what it was given
}

func (c *cli) compare() *cobra.Command {
	var o compareFlags
	cmd := &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "Say what changed between result files, with a status for CI",
		Long: `Compare the cases of two result files. A change counts when it is significant
among all cases, and larger than the floor and the case's own noise. When the
controls in the files moved (the null case, the clock, a fixed computation), or
most cases together, the machine changed, and nothing is said of the code.
'isoperf help comparing' tells more.

With --col KEY, compare the values of a key of the cases' names ("runtime") or
of the files ("kernel", "host", a label) with the first one.

Exit status: 0 nothing got slower, 1 something did, 2 usage, or a file cannot be
read, 3 cannot tell (--inconclusive=pass|fail), 4 not comparable
(--not-comparable=pass|fail).`,
		Example: `  isoperf compare base.txt head.txt
  isoperf compare base.txt head.txt --floor 5% --inconclusive=pass
  isoperf compare base.txt head.txt --markdown summary.md --junit j.xml
  isoperf compare isoperf-startup-*.txt --col runtime`,
		RunE: func(_ *cobra.Command, args []string) error { return c.runCompare(args, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.column, "col", "", "compare the values of this `KEY` with the first")
	f.StringVar(&o.history, "history", "", "take each case's noise from this `FOLDER` (isoperf help history)")
	o.judging(f)
	return cmd
}

// judging are the flags that compare and ab have in common.
func (o *compareFlags) judging(f *pflag.FlagSet) {
	f.StringVar(&o.floor, "floor", "2%", "the least `CHANGE` that counts")
	f.StringVar(&o.inconclusive, "inconclusive", "", "what \"cannot tell\" is: `pass|fail` (default exit status 3)")
	f.StringVar(&o.notComparable, "not-comparable", "", "what \"not comparable\" is: `pass|fail` (default exit status 4)")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "every case and unit, with p, noise and the number of samples")
	o.files = map[string]*string{}
	for _, out := range compareOutputs() {
		o.files[out.flag] = f.String(out.flag, "", out.help)
	}
}

// compareOutput is a file for programs.
type compareOutput struct {
	flag, help string
	write      func(io.Writer, []compare.Comparison, compareFlags) error
}

func compareOutputs() []compareOutput {
	return []compareOutput{
		{"markdown", "write a comment's Markdown to this `FILE` (less than 65,536 characters)", func(w io.Writer, l []compare.Comparison, _ compareFlags) error {
			return compare.Markdown(w, l, compare.CommentLimit)
		}},
		{"html", "write one page that needs nothing else to this `FILE` (--verbose: with every unit)", func(w io.Writer, l []compare.Comparison, _ compareFlags) error {
			return html.Compare(w, "", l)
		}},
		{"junit", "write JUnit's XML to this `FILE`", func(w io.Writer, l []compare.Comparison, o compareFlags) error {
			return compare.JUnit(w, l, compare.Fails{CannotTell: o.inconclusive == "fail", Apart: o.notComparable == "fail"})
		}},
		{"json", "write all that is said to this `FILE` (" + compare.Schema + ")", func(w io.Writer, l []compare.Comparison, o compareFlags) error {
			return compare.JSON(w, l, o.worst(l))
		}},
		{"csv", "write a line for each case to this `FILE`", func(w io.Writer, l []compare.Comparison, _ compareFlags) error {
			return compare.CSV(w, l)
		}},
		{"metrics", "write OpenMetrics to this `FILE`, for a node exporter", func(w io.Writer, l []compare.Comparison, _ compareFlags) error {
			return compare.Metrics(w, l)
		}},
		{"bencher", "write the new medians to this `FILE`, for Bencher", func(w io.Writer, l []compare.Comparison, _ compareFlags) error {
			return compare.Bencher(w, l)
		}},
		{"github-benchmark", "the same for github-action-benchmark's customSmallerIsBetter `FILE`", func(w io.Writer, l []compare.Comparison, _ compareFlags) error {
			return compare.GitHubBenchmark(w, l, false)
		}},
		{"github-benchmark-bigger", "the same for its customBiggerIsBetter `FILE`", func(w io.Writer, l []compare.Comparison, _ compareFlags) error {
			return compare.GitHubBenchmark(w, l, true)
		}},
	}
}

// choices refuses values that the flags do not have.
func (o compareFlags) choices() error {
	for _, f := range []struct{ name, value string }{{"inconclusive", o.inconclusive}, {"not-comparable", o.notComparable}} {
		if f.value != "" && f.value != "pass" && f.value != "fail" {
			return usage("--%s %q: it must be pass or fail", f.name, f.value)
		}
	}
	return nil
}

// check refuses what cannot be meant.
func (o compareFlags) check(paths []string) error {
	if err := o.choices(); err != nil {
		return err
	}
	switch {
	case o.column == "" && len(paths) != 2:
		return usage("compare needs two result files, the old one and the new one (or --col KEY)")
	case len(paths) == 0:
		return usage("compare needs result files (isoperf bench writes them)")
	}
	taken := map[string]string{}
	for _, path := range paths {
		taken[fullName(path)] = "a file that is read"
	}
	for _, out := range compareOutputs() {
		path := *o.files[out.flag]
		if path == "" || path == "-" {
			continue
		}
		if other := taken[fullName(path)]; other != "" {
			return usage("--%s %s: that is %s already; give another name", out.flag, path, other)
		}
		taken[fullName(path)] = "the file of --" + out.flag
	}
	return nil
}

func (c *cli) runCompare(paths []string, o compareFlags) error {
	if err := o.check(paths); err != nil {
		return err
	}
	floor, err := parsePercent(o.floor)
	if err != nil {
		return usage("--floor: %v", err)
	}
	columns, err := readColumns(paths, o.column)
	if err != nil {
		return cannot(err)
	}
	noise, note, err := c.historyNoise(o.history, columns[0])
	if err != nil {
		return cannot(err)
	}
	var list []compare.Comparison
	for _, column := range columns[1:] {
		result := compare.Compare(columns[0], column, compare.Known(columns[0], column, compare.Options{Floor: floor, All: o.verbose, Noise: noise}))
		if note != "" {
			result.Notes = append(result.Notes, note)
		}
		list = append(list, result)
	}
	silent, err := c.writeCompared(list, o)
	if err != nil {
		return cannot(err)
	}
	for i, result := range list {
		if silent {
			break
		}
		if i > 0 {
			fmt.Fprintln(c.stdout)
		}
		if err := compare.Write(c.stdout, result, compare.Printing{Width: width(c.stdout), Verbose: o.verbose, Next: nextAfter(result, o)}); err != nil {
			return cannot(err)
		}
	}
	for _, result := range list {
		if v := result.Verdict; o.status(v) == exitDone && (v == compare.CannotTell || v == compare.Apart) {
			fmt.Fprintf(c.stderr, "isoperf: warning: %q passes, as was asked for; nothing was shown\n", v)
		}
	}
	if worst := o.worst(list); worst != exitDone {
		return status{code: worst}
	}
	return nil
}

// historyNoise is by how much the cases of a history differ when nothing does, in
// the base's environment, and what is to be said of it; "" is no history.
func (c *cli) historyNoise(dir string, base compare.Column) (map[string]float64, string, error) {
	if dir == "" {
		return nil, "", nil
	}
	runs, broken, err := c.readStore(dir)
	if err != nil {
		return nil, "", err
	}
	noise, count := history.Of(runs, history.Options{}).Noise(base.Config())
	note := fmt.Sprintf("the noise of %d cases is that of %d runs in %s", len(noise), count, dir)
	if len(noise) == 0 {
		note = fmt.Sprintf("%s has too few runs of this environment, so noise is taken from the files", dir)
	}
	if broken > 0 {
		note += fmt.Sprintf("; %d files there cannot be read", broken)
	}
	return noise, note, nil
}

// readColumns reads result files as the sides of comparisons, the base first.
func readColumns(paths []string, key string) ([]compare.Column, error) {
	files, err := readFiles(paths)
	if err != nil {
		return nil, err
	}
	if key == "" {
		return compare.ByFile(files)
	}
	columns, err := compare.ByKey(files, key)
	if err != nil {
		return nil, err
	}
	if len(columns) < 2 {
		return nil, fmt.Errorf("compare by %q: there is only one value, %q; give files or cases with another one", key, columns[0].Name)
	}
	return columns, nil
}

// writeCompared writes the files that were asked for; "-" is standard output, and
// then nothing else is printed there (true).
func (c *cli) writeCompared(list []compare.Comparison, o compareFlags) (silent bool, err error) {
	for _, out := range compareOutputs() {
		path := *o.files[out.flag]
		if path == "" {
			continue
		}
		var text bytes.Buffer
		if err := out.write(&text, list, o); err != nil {
			return false, err
		}
		if path == "-" {
			if silent {
				return false, fmt.Errorf("write --%s to standard output: another output is there already; give it a file", out.flag)
			}
			silent = true
			if _, err := c.stdout.Write(text.Bytes()); err != nil {
				return false, fmt.Errorf("print --%s: %w", out.flag, err)
			}
			continue
		}
		if err := writeWhole(path, text.Bytes()); err != nil {
			return false, fmt.Errorf("write the file of --%s: %w", out.flag, err)
		}
		if out.flag == "github-benchmark" && compare.HasBigger(list) && *o.files["github-benchmark-bigger"] == "" {
			fmt.Fprintln(c.stderr, "isoperf: some figures are better when bigger, and are not in that file: --github-benchmark-bigger FILE")
		}
	}
	return silent, nil
}

// nextAfter is what a reader would do next.
func nextAfter(c compare.Comparison, o compareFlags) string {
	switch {
	case c.Machine.Hosts:
		return "isoperf report FILE… --html FILE shows every host on one page"
	case c.Verdict == compare.Slower || c.Verdict == compare.CannotTell || c.Verdict == compare.Apart && len(c.Machine.Differs) == 0:
		return "isoperf ab --base … --head … (both in turns, which tells more)"
	case !o.verbose:
		return "--verbose shows every case, with p and n"
	}
	return ""
}

// worst is the exit status of all.
func (o compareFlags) worst(list []compare.Comparison) int {
	worst := exitDone
	for _, v := range []compare.Verdict{compare.Slower, compare.Apart, compare.CannotTell} {
		for _, c := range list {
			if c.Verdict == v && worst == exitDone {
				worst = o.status(v)
			}
		}
	}
	return worst
}

// status is the exit status of a verdict.
func (o compareFlags) status(v compare.Verdict) int {
	choose := func(choice string, code int) int {
		switch choice {
		case "pass":
			return exitDone
		case "fail":
			return exitFailed
		}
		return code
	}
	switch v {
	case compare.Slower:
		return exitFailed
	case compare.CannotTell:
		return choose(o.inconclusive, exitCannotTell)
	case compare.Apart:
		return choose(o.notComparable, exitNotComparable)
	}
	return exitDone
}

// parsePercent reads "2%" or "0.02".
func parsePercent(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || math.IsNaN(v) || v <= 0 || v >= 1 {
		return 0, fmt.Errorf("%q is not a share between 0 and 100 %%: 2%% or 0.02", text)
	}
	return v, nil
}
