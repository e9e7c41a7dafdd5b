package main

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"isoperf/bench/harness"
	enforce "isoperf/bench/limits"
	"isoperf/reports/limits"
	"isoperf/runtime/cgroup"
)

// exitNotJudged is the status when nothing is wrong that was seen, and not all
// was seen.
const exitNotJudged = 3

// verifiable is a limit that verify can be asked for.
type verifiable struct {
	name  string // as version 2 calls its file
	cases func(*enforce.Bench, harness.Extent) []harness.Case
	v2    bool // version 1 has nothing like it
}

// verifiables is the table of them, in the order of the answer.
func verifiables() []verifiable {
	return []verifiable{
		{"cpu.max", (*enforce.Bench).CPUMax, false},
		{"cpu.weight", (*enforce.Bench).CPUWeight, false},
		{"cpuset.cpus", (*enforce.Bench).Cpuset, false},
		{"memory.max", func(b *enforce.Bench, e harness.Extent) []harness.Case { return append(b.MemoryMax(e), b.OOM(e)...) }, false},
		{"memory.high", (*enforce.Bench).MemoryHigh, true},
		{"pids.max", (*enforce.Bench).PidsMax, false},
		{"io.max", (*enforce.Bench).IOMax, false},
	}
}

// felt says whether what a request feels under 20 % is measured beside cpu.max:
// where that is the limit that nobody had to ask for, and there is time for it.
func (o verifyFlags) felt(limit string) bool {
	return limit == "cpu.max" && !o.quick && !o.wide && len(o.quotas)+len(o.periods)+o.threads == 0
}

// everything is the word for all of them.
const everything = "all"

func verifiableNames() []string {
	var names []string
	for _, v := range verifiables() {
		names = append(names, v.name)
	}
	return names
}

// verifyFlags are the flags of verify.
type verifyFlags struct {
	quotas, periods []string
	threads         int
	tolerance       string
	out             string
	quick           bool
	wide            bool
	trusted         bool
	notJudged       string
	json            string
	junit           string
	metrics         string
	verbose         bool
	target          enforce.Target
	length          time.Duration
}

func (c *cli) verify() *cobra.Command {
	var o verifyFlags
	cmd := &cobra.Command{
		Use:   "verify [LIMIT…]",
		Short: "Say whether the limits of control groups are kept, and how exactly",
		Long: `Make control groups with limits, have processes of our own press against them,
and say of each limit whether the kernel keeps it: accurate, within budget,
inaccurate, or not judged, and why. Every sample is kept in a file. Limits:
` + strings.Join(verifiableNames(), ", ") + `, or
all that the machine's version of control groups has; without a word cpu.max, of
20 % and 100 %, and what a request feels under the first.

With --cgroup, --pid or --unit nothing is made and nothing is written: the
counters of a group that is there already are read for a while, and those of
every group above it that has a CPU limit. The least of the limits is the one
that counts. A load that never reaches its limit says nothing of the limit.

Exit status: 0 all are accurate or within budget (of a group that was there
already: one at least is kept), 1 something is inaccurate, 2 usage, out of the
kernel's range, or it cannot run, 3 something is not judged (--not-judged=pass
makes that 0, =fail 1), 130 interrupted: what was measured is kept, and every
group that was made is removed. What the verdicts mean: isoperf help limits.`,
		Example: `  isoperf verify                                    20 % and 100 % of a CPU
  isoperf verify cpu.max --quota 5%,150% --period 10ms,100ms
  isoperf verify all --quick                        everything, in a minute
  isoperf verify --max-error 1% --json out.json --junit out.xml    for CI
  isoperf verify --pid 4711 --for 60s               a container that runs
  isoperf verify --unit nginx                       a service, read only`,
		ValidArgs: append(verifiableNames(), everything),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.verifyAsked(cmd, args, o)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.quotas, "quota", nil, "cpu.max: `QUOTAS` of one CPU (default 20%,100%)")
	f.StringSliceVar(&o.periods, "period", nil, "cpu.max: `PERIODS`, 1ms to 1s (default 100ms)")
	f.IntVar(&o.threads, "threads", 0, "cpu.max: `N` threads of load (default as many as the quota takes)")
	f.StringVar(&o.tolerance, "max-error", "2%", "the `ERROR` that is still accurate")
	f.BoolVarP(&o.quick, "quick", "q", false, "shorter measurements, wider budgets: all within a minute")
	f.BoolVar(&o.wide, "wide", false, "cpu.max: 1% to 400%, 1ms to 1s, with 1, CPUs and 2 x CPUs threads; it says for how long")
	f.StringVarP(&o.out, "out", "o", "", "result `FILE` (default ./isoperf-verify-UTC.txt); it must not exist")
	f.StringVar(&o.json, "json", "", "write JSON (schema isoperf.verify/1) to `FILE`; - is standard output, instead of the text")
	f.StringVar(&o.junit, "junit", "", "write the verdicts as JUnit XML to `FILE`")
	f.StringVar(&o.metrics, "metrics", "", "write the verdicts as OpenMetrics text to `FILE`")
	f.StringVar(&o.notJudged, "not-judged", "", "what a limit that is not judged is: `pass|fail` (default exit status 3)")
	f.BoolVar(&o.trusted, "trust-host", false, "an emulated machine's host is quiet, although that cannot be seen")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print every figure that a verdict was made of")
	f.StringVar(&o.target.Cgroup, "cgroup", "", "watch this group: its `PATH`, or its name as in /proc/PID/cgroup")
	f.IntVar(&o.target.PID, "pid", 0, "watch the group of process `N`")
	f.StringVar(&o.target.Unit, "unit", "", "watch the group of systemd's unit `NAME`")
	f.BoolVar(&o.target.User, "user", false, "the unit is one of the user's own systemd")
	f.DurationVar(&o.length, "for", 30*time.Second, "watch for this `TIME`, 1s to 1h")
	return cmd
}

// verifyAsked checks the command line and does what it asks for.
func (c *cli) verifyAsked(cmd *cobra.Command, args []string, o verifyFlags) error {
	given := func(names ...string) (list []string) {
		for _, n := range names {
			if cmd.Flags().Changed(n) {
				list = append(list, "--"+n)
			}
		}
		return list
	}
	targets, measuring := given("cgroup", "pid", "unit"), given("quota", "period", "threads", "quick", "wide", "trust-host")
	wanted, err := wantedLimits(args)
	switch {
	case err != nil:
		return err
	case len(targets) > 1:
		return usage("%s: only one group can be watched at a time", strings.Join(targets, " and "))
	case len(targets) == 1 && len(args) > 0:
		return usage("%s reads every limit that is there; %q cannot be chosen", targets[0], args[0])
	case len(targets) == 1 && len(measuring) > 0:
		return usage("%s only reads; %s is for limits that isoperf makes", targets[0], measuring[0])
	case len(targets) == 0 && len(given("for", "user")) > 0:
		return usage("%s needs --cgroup, --pid or --unit", given("for", "user")[0])
	case len(given("user")) > 0 && o.target.Unit == "":
		return usage("--user needs --unit")
	case len(given("pid")) > 0 && o.target.PID < 1:
		return usage("--pid %d: it must be the number of a process", o.target.PID)
	case o.wide && len(given("quota", "period", "threads", "quick")) > 0:
		return usage("--wide has its own quotas, periods, threads and times; leave %s out", given("quota", "period", "threads", "quick")[0])
	case len(targets) == 1 && o.target == (enforce.Target{}):
		return usage("%s needs a name", targets[0])
	case o.length < time.Second || o.length > time.Hour:
		return usage("--for %v: it must be 1s to 1h", o.length)
	case !slices.Contains([]string{"", "pass", "fail"}, o.notJudged):
		return usage("--not-judged=%s: it must be pass or fail", o.notJudged)
	}
	if cpu := given("quota", "period", "threads", "wide"); len(cpu) > 0 && !slices.ContainsFunc(wanted, func(v verifiable) bool { return v.name == "cpu.max" }) {
		return usage("%s is for cpu.max, which is not asked for", cpu[0])
	}
	tolerance, err := parseShare(o.tolerance)
	if err != nil {
		return usage("--max-error: %v", err)
	}
	if tolerance >= 1 {
		return usage("--max-error %s: an error of 100 %% is no limit; it must be less", o.tolerance)
	}
	v := verification{cli: c, flags: o, options: limits.Options{Tolerance: tolerance}}
	if len(targets) == 1 {
		return v.watch()
	}
	cells, err := o.cells()
	if err != nil {
		return err
	}
	return v.measure(wanted, cells)
}

// wantedLimits are the rows of the table that the words name.
func wantedLimits(words []string) ([]verifiable, error) {
	all, names := verifiables(), verifiableNames()
	if len(words) == 0 {
		words = names[:1]
	}
	var list []verifiable
	for _, w := range words {
		i := slices.Index(names, w)
		switch {
		case w == everything:
			return slices.DeleteFunc(all, func(v verifiable) bool { return v.v2 && !onlyV2() }), nil
		case i < 0:
			text := fmt.Sprintf("no limit that can be verified is called %q", w)
			if near := nearest(w, append(names, everything)); near != "" {
				return nil, usage("%s (did you mean %q?)", text, near)
			}
			return nil, usage("%s; there are %s, %s", text, strings.Join(names, ", "), everything)
		case !slices.ContainsFunc(list, func(v verifiable) bool { return v.name == w }):
			list = append(list, all[i])
		}
	}
	return list, nil
}

// onlyV2 says whether the controllers are those of version 2. Where that cannot
// be told, each limit says why it cannot be measured.
func onlyV2() bool {
	h, err := cgroup.Detect()
	return err != nil || h.Mode() == "v2"
}

// parseShare reads "20%" or "0.2" as 0.2.
func parseShare(text string) (float64, error) {
	number, isPercent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	switch {
	case err != nil || math.IsNaN(v) || math.IsInf(v, 0):
		return 0, fmt.Errorf("%q is no share; write it as 20%%", text)
	case v <= 0:
		return 0, fmt.Errorf("%q: it must be more than 0%%", text)
	}
	if !isPercent && v > 1 { // 20 may be 20 % or 20 CPUs
		return 0, fmt.Errorf("%q is more than 1; write it as %s%% or %s%%", text, number, strconv.FormatFloat(100*v, 'f', -1, 64))
	}
	if isPercent {
		v /= 100
	}
	return v, nil
}

// cells are the CPU limits that the flags ask for; none: those of --wide.
func (o verifyFlags) cells() ([]enforce.Cell, error) {
	if o.wide {
		return nil, nil // they are bench/limits' own
	}
	quotas, periods := o.quotas, o.periods
	if len(quotas) == 0 {
		quotas = []string{"20%", "100%"}
		if runtime.NumCPU() == 1 { // of which no load can use more
			quotas[1] = "50%"
		}
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
		if period <= 0 {
			return nil, usage("--period %v: the kernel takes 1 ms to 1 s; the nearest is 1ms", period)
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
			if !slices.Contains(cells, cell) {
				cells = append(cells, cell)
			}
		}
	}
	return cells, nil
}
