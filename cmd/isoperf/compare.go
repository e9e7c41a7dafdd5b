package main

import (
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
	gate
	column  string
	history string // a store, or ""
	floor   string
	verbose bool
	files   map[string]*string // by flag: "json" and what it was given
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

// outputs are the files that were asked for.
func (o compareFlags) outputs(list []compare.Comparison) (asked []outputFile) {
	for _, out := range compareOutputs() {
		if path := *o.files[out.flag]; path != "" {
			asked = append(asked, outputFile{out.flag, path, func(w io.Writer) error { return out.write(w, list, o) }})
		}
	}
	return asked
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
	var read []string
	for _, path := range paths {
		read = append(read, fullName(path))
	}
	return distinctOutputs(o.outputs(nil), read)
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
		c.warn(o.gate, result.Verdict)
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

// writeCompared writes the files that were asked for; true: one of them to standard
// output, where nothing else is printed then.
func (c *cli) writeCompared(list []compare.Comparison, o compareFlags) (silent bool, err error) {
	if silent, err = c.writeOutputs(o.outputs(list)); err != nil {
		return false, err
	}
	if *o.files["github-benchmark"] != "" && *o.files["github-benchmark-bigger"] == "" && compare.HasBigger(list) {
		fmt.Fprintln(c.stderr, "isoperf: some figures are better when bigger, and are not in that file: --github-benchmark-bigger FILE")
	}
	return silent, nil
}

// nextAfter is what a reader would do next.
func nextAfter(c compare.Comparison, o compareFlags) string {
	switch {
	case c.Machine.Hosts:
		return "isoperf report FILE… --html FILE shows every host on one page"
	case c.Interleaved && c.Verdict == compare.CannotTell:
		return "isoperf ab with more time, or a higher --floor"
	case c.Interleaved: // there is nothing that tells more
	case c.Verdict == compare.Slower || c.Verdict == compare.CannotTell || c.Verdict == compare.Apart && len(c.Machine.Differs) == 0:
		return "isoperf ab --base … --head … (both in turns, which tells more)"
	}
	if o.verbose {
		return ""
	}
	return "--verbose shows every case, with p and n"
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
