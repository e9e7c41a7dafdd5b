// Package limits asks whether the kernel keeps the limits of control groups, how
// exactly, and what they cost.
//
//	ground: groups made here ─► load, born inside ─► meter: counters, read at period edges ─► measure (pure)
//	                                   │ board                                                      │
//	                                   └──────── what it had, and when it stood still ──────────────┤
//	                                                                                                ▼
//	                                            sample (figures), Checked (limit read back, who was in the
//	                                            group, what makes it doubtful), Series (curves)
//
// Nothing is judged here: reports/limits reads the figures and says accurate,
// within budget, inaccurate, or not judged. What a judge needs is recorded: the
// limit as it was asked for and as the kernel gives it back, the budget by which
// the kernel may be off by its own constants, and every reason to doubt.
//
// A figure counts only if all threads of the load were in the group when it
// began and when it ended, and if the group's counter agrees with the CPU clock of
// the load's process, which no group has a say in.
//
// A group that something else made is only read: Find ─► Existing ─► Watch, which
// follows the counters of every limit on the way up to the root.
//
// Sources: Documentation/scheduler/sched-bwc.rst, admin-guide/cgroup-v2.rst,
// cgroup-v1; kernel/sched/fair.c, mm/memcontrol.c.
package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/environment"
	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

// Config is what the cases of a run share. The zero value records nothing beside
// the samples.
type Config struct {
	Context  context.Context            // ends a measurement; nil: nothing does
	Checked  func(sample.Checked) error // takes what was checked; nil: nobody
	Series   func(sample.Series) error
	Timeline func(sample.Timeline) error
	// Trusted: the user vouches that nothing else runs on an emulated machine,
	// where the time that the host takes cannot be seen.
	Trusted bool
	// Cells are the CPU limits to measure; none: those of CPUMax.
	Cells []Cell
	// Wide: without Cells, CPUMax has every quota with every period, and with
	// 1, CPUs and 2×CPUs threads, whether a load can reach it here or not.
	Wide bool
	// FavorDynMods: this option of the whole cgroup2 hierarchy may be changed for
	// some seconds.
	FavorDynMods bool
	// Window is how long one is measured; 0: as long as it takes, see Cell.
	Window time.Duration
}

// Bench makes the cases.
type Bench struct {
	Config
	taken map[string]int // samples of each case
}

// New is a bench. It holds nothing that has to be closed.
func New(c Config) *Bench {
	if c.Context == nil {
		c.Context = context.Background()
	}
	return &Bench{c, map[string]int{}}
}

// machine is what a measurement has to know of where it runs.
type machine struct {
	env  environment.Environment
	cpus int
	tick time.Duration
}

func readMachine() (machine, error) {
	env, err := environment.Read("/")
	if err != nil {
		return machine{}, fmt.Errorf("read the machine's fingerprint: %w", err)
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return machine{}, fmt.Errorf("count the CPUs: %w", err)
	}
	m := machine{env: env, cpus: set.Count(), tick: 10 * time.Millisecond} // the slowest tick there is
	if env.HZ > 0 {
		m.tick = time.Second / time.Duration(env.HZ)
	}
	return m, nil
}

// slice is the quota that a CPU takes at once.
func (m machine) slice() time.Duration {
	if m.env.BandwidthSliceUS > 0 {
		return time.Duration(m.env.BandwidthSliceUS) * time.Microsecond
	}
	return 5 * time.Millisecond // the kernel's default
}

// doubts are reasons why nothing that is measured here says anything of the
// kernel.
func (b *Bench) doubts(m machine) []string {
	var list []string
	if strings.HasPrefix(m.env.SchedExt, "enabled") {
		list = append(list, "a BPF scheduler runs ("+m.env.SchedExt+"), which enforces CPU limits as it likes")
	}
	if !b.Trusted && emulated(m.env) {
		list = append(list, "this machine is emulated, so the time that its host takes cannot be seen; --trust-host says that the host is quiet")
	}
	return list
}

// emulated says whether a program plays this machine's processor: QEMU's TCG
// calls itself so in CPUID (leaf 0x40000000), and systemd calls it "qemu".
func emulated(e environment.Environment) bool {
	return strings.Contains(e.Virt, "qemu") || strings.Contains(e.CPU, "QEMU TCG") || strings.Contains(e.CPU, "TCG CPU")
}

// sampler is one measurement after another.
type sampler struct {
	ground *ground
	one    func() ([]sample.Value, error)
}

// Sample implements harness.Sampler.
func (s *sampler) Sample(n int, emit func([]sample.Value, error)) {
	for range n {
		values, err := s.one()
		if errors.Is(err, context.Canceled) {
			return // it was interrupted, and did not fail
		}
		emit(values, err)
	}
}

// Close implements harness.Sampler.
func (s *sampler) Close() error { return s.ground.close() }

// newCase is a case whose ground is made for each visit. The measurement is
// prepared by open, which is given a fresh ground and the case's name.
func (b *Bench) newCase(name string, e harness.Extent, cost time.Duration, open func(name string, g *ground) (func() ([]sample.Value, error), error)) harness.Case {
	return harness.Case{
		Name: name, Samples: windows(e), Run: 1, Ballast: true, Long: true, Cost: cost,
		Open: func() (harness.Sampler, error) {
			g, err := newGround(b.Context)
			if err != nil {
				return nil, err
			}
			one, err := open(name, g)
			if err != nil {
				return nil, errors.Join(err, g.close())
			}
			return &sampler{g, one}, nil
		},
	}
}

// windows is how many samples a case gets: a look has one, a report five.
func windows(e harness.Extent) int { return min(5, max(1, e.Burst/40)) }

// record hands on what was checked, with the number of the sample.
func (b *Bench) record(c sample.Checked, series ...sample.Series) error {
	n := b.taken[c.Case]
	b.taken[c.Case]++
	c.Sample = n
	var all error
	if b.Checked != nil {
		all = b.Checked(c)
	}
	for _, s := range series {
		if b.Series != nil {
			s.Case, s.Sample = c.Case, n
			all = errors.Join(all, b.Series(s))
		}
	}
	return all
}

// readLine is a control file's text without its end.
func readLine(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, unix.ENODEV) || errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read %q: %w", path, errVanished)
	}
	if err != nil {
		return "", fmt.Errorf("read a limit back: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
