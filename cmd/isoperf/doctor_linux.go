package main

import (
	"fmt"
	"math"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"isoperf/bench/environment"
	"isoperf/bench/harness"
	"isoperf/reports/checkup"
	"isoperf/reports/table"
	"isoperf/runtime/feature"
	"isoperf/runtime/program"
)

func (c *cli) doctor() *cobra.Command {
	var asJSON, sweep bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what can be measured here, what not, why, and the fix",
		Long: `Look at this machine and say what can be measured on it: kernel features,
privilege, limits on namespaces, cgroup controllers and their delegation,
containers and seccomp filters around this process, devices, subordinate ids,
other runtimes, and the noise floor. Nothing is changed. The family "limits" is
what isoperf verify judges. Exit status 1 when the clone family cannot be
measured.

With --sweep it looks for nothing, but removes what containers left whose
isoperf was killed: control groups with the processes in them, network helpers,
interfaces and rules, and half-unpacked root file systems. What belongs to a
container that still runs stays. (The next isoperf run with limits or a network
sweeps too.)`,
		Example: `  isoperf doctor
  isoperf doctor --json
  isoperf doctor --sweep            clean up after containers that were killed`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("doctor takes no argument, got %q", args[0])
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			if sweep {
				return c.sweepAll()
			}
			return c.examine(feature.New(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON (schema isoperf.doctor/1)")
	cmd.Flags().BoolVar(&sweep, "sweep", false, "remove what killed containers left, and do nothing else")
	cmd.MarkFlagsMutuallyExclusive("json", "sweep")
	return cmd
}

// examine probes a host and prints the findings.
func (c *cli) examine(host *feature.Host, asJSON bool) error {
	results := host.All(c.ctx)
	findings := append(findingsOf(results), noiseFloor())
	env, err := environment.Read(host.Root)
	if err != nil {
		return cannot(fmt.Errorf("read the machine's fingerprint: %w", err))
	}
	summary := checkup.Summary{
		Machine: fmt.Sprintf("Linux %s, %s, %s, %s", env.Kernel, env.CPU, env.Virt, env.Privilege),
		Next:    "isoperf bench | isoperf verify | isoperf list | isoperf doctor --json",
	}
	failed := false
	for _, f := range feature.Families(results) {
		if f.Name == "network" {
			continue // what bench cannot measure yet is not promised
		}
		summary.Families = append(summary.Families, checkup.Family{
			Name: f.Name, Measurable: f.State == feature.Have, Missing: findingsOf(f.Missing),
		})
		// What verify makes is its own to refuse, with a reason.
		failed = failed || f.State != feature.Have && f.Name != "limits"
	}
	write := checkup.Write
	if asJSON {
		write = checkup.JSON
	}
	if err := write(c.stdout, findings, summary); err != nil {
		return cannot(fmt.Errorf("print the findings: %w", err))
	}
	if failed {
		return status{code: exitFailed}
	}
	return nil
}

func findingsOf(results []feature.Result) []checkup.Finding {
	var findings []checkup.Finding
	for _, r := range results {
		findings = append(findings, checkup.Finding{
			Group: r.Group, Name: r.Name, State: r.State.String(), Detail: r.Detail, Why: r.Why, Fix: r.Fix,
		})
	}
	return findings
}

// noiseFloor is how well the smallest case repeats: what is smaller than this
// cannot be told apart in a short run.
func noiseFloor() checkup.Finding {
	const samples = 300
	f := checkup.Finding{Group: "noise", Name: "noise floor", State: checkup.Failed}
	p := program.New(program.VM, 0)
	p.Add(program.Exit(0))
	img, err := program.Load(p)
	if err != nil {
		f.Why = err.Error()
		return f
	}
	defer img.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var ns []float64
	for range samples {
		t, err := img.Cycle()
		if err != nil {
			f.Why = err.Error()
			return f
		}
		ns = append(ns, float64(t.Reaped))
	}
	half := harness.HalfWidth(ns)
	slices.Sort(ns)
	f.State = checkup.OK
	f.Detail = fmt.Sprintf("a clone without namespaces takes %s, repeats within %.0f %%; a stamp %s (%s)",
		table.Duration(ns[samples/2]), math.Ceil(100*half), table.Duration(program.ClockCost(10_000)), program.ClockSource())
	return f
}
