package answer

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"isoperf/bench/sample"
	"isoperf/reports/limits"
	"isoperf/reports/stats"
	"isoperf/reports/table"
)

// grade is how far the figures of a file can be trusted: the worst of all
// that was looked at.
type grade int

const (
	good grade = iota
	fair
	poor
)

func (g grade) String() string { return [...]string{"good", "fair", "poor"}[g] }

// thresholds are those of one quantity: above warn it is mentioned, from
// fair and poor on it lowers the grade.
type thresholds struct{ warn, fair, poor float64 }

var (
	// Half the width of the null case's 95 % interval, over its median. What
	// is smaller than this cannot be told from no cost.
	repeatLimits = thresholds{warn: math.Inf(1), fair: 0.05, poor: 0.15}

	// How far the null case moved from the first half of the run to the
	// second, over its median.
	driftLimits = thresholds{warn: 0.05, fair: 0.10, poor: 0.30}

	// Failed operations over all operations.
	failureLimits = thresholds{warn: math.Inf(1), fair: 0, poor: 0.05}

	// Steal time over CPU time: the hypervisor ran somebody else.
	stealLimits = thresholds{warn: 0.01, fair: 0.05, poor: 0.20}

	// Load average over one minute at the start, per CPU.
	loadLimits = thresholds{warn: 0.50, fair: 0.50, poor: 1.50}
)

// grade of a value; equal to a limit is still on the better side.
func (l thresholds) grade(v float64) grade {
	switch {
	case v > l.poor:
		return poor
	case v > l.fair:
		return fair
	}
	return good
}

// trust is the second line of the answer and the warnings at its end.
type trust struct {
	grade    grade
	reasons  []string // why it is not good
	facts    []string
	warnings []string
}

func (t *trust) lower(g grade, reason string) {
	if g == good {
		return
	}
	t.grade = max(t.grade, g)
	t.reasons = append(t.reasons, reason)
}

func (t *trust) line() string {
	text := "Trust: " + t.grade.String()
	if len(t.reasons) > 0 {
		text += ", because " + strings.Join(t.reasons, "; ")
	}
	warnings := table.Plural(len(t.warnings), "warning", "warnings")
	return text + ". " + strings.Join(append(t.facts, warnings), ", ") + "."
}

// judge looks at the instrument, the null case and the machine.
func judge(f *sample.File, c *cloneView) *trust {
	t := &trust{}
	if !slices.ContainsFunc(f.Cases, func(c *sample.Case) bool { return c.N() > 0 }) {
		t.failures(f)
		return t
	}
	clock := math.NaN()
	if k := f.Case("Control/what=clock"); k != nil {
		clock = median(k, "clock-ns")
	}
	if math.IsNaN(clock) {
		t.facts = append(t.facts, "Clock cost not measured")
	} else {
		t.facts = append(t.facts, "Clock "+table.Duration(clock))
	}
	if !onlyJudged(f) {
		t.null(nullCase(f, c))
	}
	t.failures(f)
	t.machine(f)
	if len(f.Notes) > 0 {
		t.lower(fair, "the file is incomplete")
	}
	return t
}

// onlyJudged says whether a file has nothing but limits, as verify writes it: they
// are held against an absolute measure, so there is no null case to compare with.
func onlyJudged(f *sample.File) bool {
	return !slices.ContainsFunc(f.Cases, func(c *sample.Case) bool {
		return !limits.Judged(c.Family()) && c.Family() != "WatchState" && c.Family() != "Latency"
	})
}

// nullCase is what should always cost the same: a clone without any flag or,
// in a file without one, the fixed computation of the control.
func nullCase(f *sample.File, c *cloneView) (name string, values []float64) {
	if c != nil {
		return "null case", reaped(f, "none", c.mode, c.pacing)
	}
	if k := f.Case("Control/what=compute"); k != nil {
		return "control", k.Values["compute-ns"]
	}
	return "", nil
}

// null judges repeatability and drift of the null case.
func (t *trust) null(name string, values []float64) {
	s := stats.Summarize(values)
	half := (s.Hi - s.Lo) / 2 / s.Median
	switch {
	case s.N == 0:
		t.facts = append(t.facts, "no null case")
		t.lower(fair, "there is no null case to compare with")
		return
	case math.IsInf(half, 0) || math.IsNaN(half):
		t.facts = append(t.facts, fmt.Sprintf("%s has %s", name, table.Plural(s.N, "sample", "samples")))
		t.lower(poor, fmt.Sprintf("fewer than 6 samples of the %s give no range", name))
		return
	}
	t.facts = append(t.facts, fmt.Sprintf("%s repeats within %s", name, table.Percent(math.Ceil(100*half)/100)))
	t.lower(repeatLimits.grade(half), "the "+name+" repeats badly")

	const enough = 20 // samples, for two halves with an interval
	if s.N < enough {
		return
	}
	moved := stats.Increment(values[:len(values)/2], values[len(values)/2:])
	drift := moved.Delta / s.Median
	if math.Abs(drift) > driftLimits.warn && (moved.Lo > 0 || moved.Hi < 0) {
		direction := "slower"
		if drift < 0 {
			direction = "faster"
		}
		t.warnings = append(t.warnings, fmt.Sprintf("the %s became %s %s during the run; the machine changed meanwhile.", name, table.Percent(math.Abs(drift)), direction))
		t.lower(driftLimits.grade(math.Abs(drift)), "the "+name+" drifted")
	}
}

func (t *trust) failures(f *sample.File) {
	failed, done := 0, 0
	for _, c := range f.Cases {
		failed += len(c.Failures)
		done += c.N()
	}
	t.facts = append(t.facts, table.Plural(failed, "failure", "failures"))
	switch {
	case done == 0:
		t.lower(poor, "there is no sample")
	case failed > 0:
		t.lower(failureLimits.grade(float64(failed)/float64(failed+done)),
			fmt.Sprintf("%s of %s operations failed", table.Count(failed), table.Count(failed+done)))
	}
}

// machine judges what the fingerprint says of the host.
func (t *trust) machine(f *sample.File) {
	host := "this machine"
	if virt := f.Key("virt"); virt != "" && virt != "none" {
		host = "this VM"
	}
	steal := recorded(f, "steal_ratio")
	if f.End.Steal != nil {
		steal = *f.End.Steal
	}
	if steal > stealLimits.warn {
		t.warnings = append(t.warnings, fmt.Sprintf("%s steal time, %s shares its CPU; use ratios, not absolute figures.", table.Percent(steal), host))
		t.lower(stealLimits.grade(steal), "much CPU time was stolen")
	}
	load, cpus := recorded(f, "load1"), recorded(f, "cpus")
	if perCPU := load / cpus; cpus > 0 && perCPU > loadLimits.warn {
		t.warnings = append(t.warnings, fmt.Sprintf("load %.1f on %s when the run started; other work was on the CPU.", load, table.Plural(int(cpus), "CPU", "CPUs")))
		t.lower(loadLimits.grade(perCPU), "the machine was busy")
	}
	if f.Key("privilege") == "userns" {
		t.warnings = append(t.warnings, "measured inside a user namespace (no CAP_SYS_ADMIN); not comparable with a run as root.")
	}
}

// recorded is a number of the fingerprint, NaN when it is not there.
func recorded(f *sample.File, key string) float64 {
	var all map[string]json.RawMessage
	var v *float64
	if json.Unmarshal(f.Fingerprint, &all) != nil || json.Unmarshal(all[key], &v) != nil || v == nil {
		return math.NaN()
	}
	return *v
}
