package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"isoperf/bench/clone"
	"isoperf/bench/control"
	"isoperf/bench/environment"
	"isoperf/bench/harness"
	enforce "isoperf/bench/limits"
	"isoperf/bench/network"
	"isoperf/bench/sample"
	"isoperf/bench/startup"
	"isoperf/reports/answer"
	"isoperf/reports/table"
	"isoperf/runtime/program"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	out     string
	quick   bool
	time    time.Duration
	samples int
	labels  []string
	verbose bool
	trusted bool
	wide    bool
	allow   []string

	runtimes       []string
	bundle, rootfs string
	exec           string
}

func (c *cli) bench() *cobra.Command {
	var o benchFlags
	cmd := &cobra.Command{
		Use:   "bench [PATTERN…]",
		Short: "Measure, print the answer, write a result file",
		Long: `Measure the cases that the patterns name (isoperf list shows them), print the
answer in words and as a table, and keep every sample in a file that benchstat
reads. Without a pattern: clone --quick.

Each case is measured back to back ("burst"), and again 50 ms apart ("paced").
Sampling goes on until the 95 % interval of each median is within 2 %, at most
five times the samples; --quick, --samples and --time say otherwise. Ctrl-C ends
the run in order: what was measured is kept, the exit status is 130.

Without CAP_SYS_ADMIN all is measured inside one user namespace; such figures
are marked and are not compared with root's.`,
		Example: `  isoperf bench
  isoperf bench clone/flag=net clone/flag=mnt --time 30s
  isoperf bench sweep-mounts --out mounts.txt --label branch=main
  isoperf bench cpu-max --wide --samples 1            1 to 400 %, 1 ms to 1 s
  isoperf bench startup --quick                       every runtime that is here
  isoperf bench startup -r isorun -r crun -b ./mine   your bundle
  isoperf bench startup -r runc -r new=./runc         two versions of one`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"clone"}
				o.quick = o.quick || o.samples == 0 && o.time == 0
			}
			if cmd.Flags().Changed("samples") && o.samples < 1 {
				return usage("--samples %d: it must be at least 1", o.samples)
			}
			if cmd.Flags().Changed("time") && o.time <= 0 {
				return usage("--time %v: it must be positive", o.time)
			}
			return c.runBench(args, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "", "result `FILE` (default ./isoperf-FAMILY-UTC.txt); it must not exist")
	f.BoolVarP(&o.quick, "quick", "q", false, "few samples: about half a minute for clone")
	f.DurationVarP(&o.time, "time", "t", 0, "stop after this `TIME` (30s, 5m)")
	f.IntVarP(&o.samples, "samples", "n", 0, "take `N` samples of each case")
	f.StringArrayVarP(&o.labels, "label", "l", nil, "add the configuration line `KEY=VALUE` to the file (repeatable)")
	f.StringArrayVarP(&o.runtimes, "runtime", "r", nil, "startup: compare this `NAME[=PATH]` (repeatable; default all that are here)")
	f.StringVarP(&o.bundle, "bundle", "b", "", "startup: the container of this OCI bundle, a `DIR`, instead of the usual one")
	f.StringVar(&o.rootfs, "rootfs", "", "startup: a container with this `DIR` as its root")
	f.StringVar(&o.exec, "exec", "", "startup: run `CMD` in it, which must be there, instead of the payload that stamps its start")
	f.BoolVar(&o.trusted, "trust-host", false, "limits: the host of this emulated machine runs nothing else")
	f.BoolVar(&o.wide, "wide", false, "cpu-max: every quota with every period, and with 1, CPUs and 2 x CPUs threads")
	f.StringSliceVar(&o.allow, "allow", nil, "cgroup-op: `WHAT` may be changed for the whole machine, for some seconds: favordynmods")
	cmd.MarkFlagsMutuallyExclusive("bundle", "rootfs")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print every case and unit")
	return cmd
}

// extent turns the flags into how much is measured, and when it is enough.
func (o benchFlags) extent() (harness.Extent, harness.Options) {
	rule := harness.Options{Time: o.time}
	switch {
	case o.samples > 0:
		return harness.Extent{Burst: o.samples, Paced: o.samples, Teardown: o.samples, Wide: !o.quick}, rule
	case o.quick:
		return harness.Quick(), rule
	}
	rule.Precision, rule.Most = 0.02, 5
	return harness.Full(), rule
}

func (c *cli) runBench(patterns []string, o benchFlags) error {
	labels, err := parseLabels(o.labels)
	if err != nil {
		return err
	}
	extent, rule := o.extent()
	var writer *sample.Writer
	all, err := c.benches(o, func() *sample.Writer { return writer })
	if err != nil {
		return err
	}
	selected, err := choose(all, extent, patterns)
	if err != nil {
		return err
	}
	if err := o.concerns(selected); err != nil {
		return err
	}
	// As the machine is, before the run may hide a part of it from itself.
	env, err := environment.Read("/")
	if err != nil {
		return cannot(fmt.Errorf("read the machine's fingerprint: %w", err))
	}
	if done, err := c.surroundings(selected); done || err != nil {
		return err
	}
	cases := complete(selected, extent)
	if writer, err = createResult(o.out, env, selected, patterns, labels); err != nil {
		return err
	}
	tally, err := c.measure(writer, cases, rule)
	if cerr := all.starts.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return cannot(err)
	}
	return c.concludeBench(writer.Path(), tally, selected, o.verbose)
}

// benches are those that the flags describe. They write what a sample observed to
// the result file, which is made when it is known which of them are wanted.
func (c *cli) benches(o benchFlags, file func() *sample.Writer) (benches, error) {
	config, err := o.startup(func(seen sample.Observed) error { return file().Observed(seen) })
	if err != nil {
		return benches{}, err
	}
	config.Context = c.ctx
	config.Timeline = func(t sample.Timeline) error { return file().Timeline(t) }
	config.Stuck = func(err error) { c.stuck(file(), err) }
	limits := enforce.Config{
		Context: c.ctx, Trusted: o.trusted, Wide: o.wide, FavorDynMods: len(o.allow) > 0,
		Checked:  func(k sample.Checked) error { return file().Checked(k) },
		Series:   func(s sample.Series) error { return file().Series(s) },
		Timeline: func(t sample.Timeline) error { return file().Timeline(t) },
	}
	wires := network.Config{
		Context: c.ctx,
		Checked: func(k sample.Checked) error { return file().Checked(k) },
		Series:  func(s sample.Series) error { return file().Series(s) },
	}
	return benches{startup.New(config), enforce.New(limits), network.New(wires)}, nil
}

// concludeBench prints the answer of a finished run, and says how it went.
func (c *cli) concludeBench(path string, tally harness.Tally, selected []chosen, verbose bool) error {
	switch {
	case tally.Samples+tally.NotMeasured > 0:
	case tally.Why == "interrupted":
		return status{code: 130}
	default:
		return cannot(fmt.Errorf("nothing that was asked for was measured (%s)", tally.Why))
	}
	f, err := sample.ReadFile(path)
	if err != nil {
		return cannot(err)
	}
	if err := answer.Write(c.stdout, f, answer.Options{Verbose: verbose, Width: width(c.stdout)}); err != nil {
		return cannot(fmt.Errorf("print the answer: %w", err))
	}
	switch {
	case tally.Why == "interrupted":
		return status{code: 130}
	case !measured(f, selected) && len(f.NotMeasured) > 0:
		return cannot(fmt.Errorf("nothing that was asked for could be measured here; isoperf doctor says why"))
	case !measured(f, selected):
		return cannot(fmt.Errorf("nothing that was asked for was measured (%s)", tally.Why))
	}
	return nil
}

// measured says whether a case that was asked for has a sample; the controls
// and the null case are in every file.
func measured(f *sample.File, selected []chosen) bool {
	for _, s := range selected {
		if c := f.Case(s.Name); c != nil && c.N() > 0 {
			return true
		}
	}
	return false
}

// complete adds the null case to what it is the base of, and the controls.
func complete(selected []chosen, e harness.Extent) []harness.Case {
	have := map[string]bool{}
	var cases []harness.Case
	for _, s := range selected {
		have[s.Name] = true
	}
	for _, base := range clone.Cases(e) {
		if !strings.HasPrefix(base.Name, "Clone/flag=none/") || have[base.Name] {
			continue
		}
		suffix := strings.TrimPrefix(base.Name, "Clone/flag=none")
		for name := range have {
			if strings.HasPrefix(name, "Clone/") && strings.HasSuffix(name, suffix) {
				cases = append(cases, base)
				break
			}
		}
	}
	for _, s := range selected {
		cases = append(cases, s.Case)
	}
	return append(cases, control.Cases(max(6, min(30, e.Burst/4)))...)
}

// measure runs the cases into the file and ends it.
func (c *cli) measure(w *sample.Writer, cases []harness.Case, rule harness.Options) (harness.Tally, error) {
	fmt.Fprintf(c.stderr, "%s, about %s; samples go to %s\n", table.Plural(len(cases), "case", "cases"), duration(cases, rule), w.Path())
	h := &harness.Harness{Out: w, Progress: c.progress(w)}
	closeDrain := c.drain(h, cases)
	before, timesErr := environment.ReadCPUTimes("/")
	tally, err := h.Run(c.ctx, cases, rule)
	c.clearProgress()
	end := sample.Ending{Why: tally.Why}
	if after, aerr := environment.ReadCPUTimes("/"); timesErr == nil && aerr == nil {
		steal := environment.Steal(before, after)
		end.Steal = &steal
	}
	for _, f := range []func() error{func() error { return w.End(end) }, w.Close, closeDrain} {
		if ferr := f(); err == nil {
			err = ferr
		}
	}
	return tally, err
}

// duration is about how long a run takes, in words.
func duration(cases []harness.Case, rule harness.Options) string {
	least := harness.Estimate(cases).Round(time.Second)
	switch {
	case rule.Time > 0 && (rule.Precision > 0 || rule.Time < least):
		return rule.Time.String()
	case rule.Precision > 0:
		return fmt.Sprintf("%v, at most %v, until the intervals are within %.0f %%", least, least*time.Duration(rule.Most), 100*rule.Precision)
	}
	return least.String()
}

// drain gives the harness what waits for dropped network namespaces. Where a
// user namespace cannot be made, it pauses instead, and says so.
func (c *cli) drain(h *harness.Harness, cases []harness.Case) (closing func() error) {
	drops := false
	for i := range cases {
		drops = drops || cases[i].Drops
	}
	if !drops {
		return func() error { return nil }
	}
	d, err := harness.NewDrain()
	if err != nil {
		const pause = 200 * time.Millisecond
		fmt.Fprintf(c.stderr, "isoperf: cannot see when network namespaces are gone (%v); pausing %v after each run instead\n", err, pause)
		h.Drain = func() error { time.Sleep(pause); return nil }
		return func() error { return nil }
	}
	h.Drain = d.Wait
	return d.Close
}

// fingerprint is the JSON line of a result file.
type fingerprint struct {
	environment.Environment
	Clock    string   `json:"clock"` // what stamps are made of
	Patterns []string `json:"patterns"`
	// TimeVM is what a child in mode vm does with a new time namespace.
	TimeVM string `json:"time_namespace_vm"`
	// Hidden: what was measured saw version 1 of the control groups only.
	Hidden bool `json:"cgroup2_hidden,omitempty"`
}

// createResult makes the result file with its header.
func createResult(path string, env environment.Environment, selected []chosen, patterns []string, labels []sample.Pair) (*sample.Writer, error) {
	now := time.Now().UTC()
	env.Start = now.Format(time.RFC3339)
	env.SetBuild(buildVersion, buildCommit)
	if path == "" {
		path = fmt.Sprintf("./isoperf-%s-%s.txt", commonFamily(selected), now.Format("20060102T150405Z"))
	}
	w, err := sample.Create(path, sample.Header{
		Config:      append(env.Config(), labels...),
		Fingerprint: fingerprint{env, program.ClockSource(), patterns, clone.TimeNamespace(), os.Getenv(insideMounts) != ""},
		Units:       units(),
	})
	if err != nil {
		return nil, cannot(fmt.Errorf("%w (choose another with --out)", err))
	}
	if err := giveToUser(path); err != nil {
		return nil, cannot(err)
	}
	return w, nil
}

func units() []sample.Unit {
	var list []sample.Unit
	for _, name := range []string{
		"clone-ns", "child-ns", "reap-ns", "unshare-ns", "setns-ns", "exit-ns", "close-ns", "gone-ns",
		"wall-ns", "op-ns", "clock-ns", "compute-ns",
		"ready-ns", "total-ns", "user-ns", "sys-ns", "peak-B", "plain-ns", "residual-ns", "late-ns", "response-ns",
		"bind-ns", "remount-ns", "open-tree-ns", "setattr-ns", "move-mount-ns", "fsopen-ns", "create-ns", "fsmount-ns",
		"umount-ns", "pivot-ns", "detach-ns", "move-ns", "chroot-ns", "find-home-ns", "enter-ns", "leave-ns",
		"abs-error-ratio", "stall-ns", "mean-stall-ns",
		"abs-share-error-ratio", "freeze-ns", "thaw-ns", "all-run-ns", "kill-ns", "empty-ns", "migrate-ns",
		"p50-ns", "p99-ns", "p999-ns", "max-ns",
	} {
		list = append(list, sample.Unit{Name: name, Better: "lower"})
	}
	return list
}

func commonFamily(selected []chosen) string {
	name := selected[0].family
	for _, s := range selected {
		if s.family != name {
			return "mixed"
		}
	}
	return name
}

var labelKey = regexp.MustCompile(`^[a-z][^\s:A-Z]*$`)

func parseLabels(labels []string) ([]sample.Pair, error) {
	var pairs []sample.Pair
	for _, l := range labels {
		key, value, ok := strings.Cut(l, "=")
		if !ok || value == "" || !labelKey.MatchString(key) || strings.ContainsAny(value, "\n\r") {
			return nil, usage("--label %q: it must be KEY=VALUE, with a key that begins with a lower-case letter and has no capitals, spaces or colons", l)
		}
		pairs = append(pairs, sample.Pair{Key: key, Value: value})
	}
	return pairs, nil
}
