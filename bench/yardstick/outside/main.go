// Command outside asks whether a clock outside agrees: for every runtime that is
// here, the total of our own starts beside what hyperfine says of the same
// command, in rounds that take turns.
//
//	round: ours, hyperfine -N, hyperfine -N, ours, … ──► a median each, their ratio ──► the median of the ratios
//	       the same with a payload that does nothing ──────────────────► hyperfine's own spawn, in µs
//
// A round has several turns of about half a second, so that both clocks see the same
// seconds: a shared machine is a fifth slower for some, and as quick again, which
// sets hyperfine's medians of 20 rounds 5 % apart from hyperfine's. For the same
// reason the ratio is that of a round's two medians, and the median of those, with
// its 95 % interval.
//
// The two do not count the same events. Ours begins when clone3 is entered.
// hyperfine's begins when its library is asked for a process: within its time,
// /dev/null is opened three times, and posix_spawn maps a stack and asks for the
// disposition of each signal, about 150 system calls in all (strace shows them).
// A payload that does nothing shows what that costs, in the rounds of every
// runtime. It is named, and the ratio without it stands beside; the verdict is of
// the ratio as it is.
//
// Arguments are the runtimes to compare, which must be here; none: all that are.
//
// Exit status 0: they agree within 3 %; 1: one does not; 2: something could not
// be measured. scripts/peers installs hyperfine and the runtimes.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/perf/benchmath"
	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/startup"
)

// within is how far the clocks may be apart.
const within = 0.03

func main() {
	rounds := flag.Int("rounds", 20, "rounds of each runtime")
	turn := flag.Duration("turn", 500*time.Millisecond, "how long a turn is to take, of which a round has four by each clock")
	isorun := flag.String("isorun", "bin/isorun", "the isorun to measure")
	inside := flag.Bool("inside", false, "this process has mounts of its own already")
	flag.Parse()
	if *rounds < 1 || *turn < 0 {
		fmt.Fprintln(os.Stderr, "outside: it takes at least one round, and a turn of no less than no time; see -help")
		os.Exit(2)
	}
	hybrid, err := startup.Hybrid()
	if err == nil && hybrid && os.Geteuid() == 0 {
		if !*inside {
			os.Exit(again())
		}
		err = startup.HideUnified()
	}
	if err == nil {
		err = compare(*isorun, *rounds, *turn, flag.Args())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "outside: %v\n", err)
		if errors.Is(err, errApart) {
			os.Exit(1)
		}
		os.Exit(2)
	}
}

// again runs this program in mounts of its own, for crun's sake.
func again() int {
	// The other one has the signal too, and ends; what it leaves in the temporary
	// directory the next run removes.
	signal.Notify(make(chan os.Signal, 1), unix.SIGINT)
	runtime.LockOSThread() // for Pdeathsig
	cmd := exec.Command("/proc/self/exe", append([]string{"-inside"}, os.Args[1:]...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		fmt.Fprintf(os.Stderr, "outside: make a mount namespace: %v\n", err)
		return 2
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	return 2 // a signal has ended it
}

var errApart = errors.New("the clocks do not agree")

// nullCase is a process without a container: the payload alone.
const nullCase = "fork-exec"

// usual are the runtimes that are compared, when they are here.
var usual = []string{"unshare", "bwrap", "isorun", "crun", "runc"}

// compare takes the runtimes that are asked for, or the usual ones.
func compare(isorun string, rounds int, turn time.Duration, asked []string) (err error) {
	if _, err := exec.LookPath("hyperfine"); err != nil {
		return fmt.Errorf("%w (scripts/peers installs it)", err)
	}
	b := startup.New(startup.Config{Isorun: isorun})
	defer func() { err = errors.Join(err, b.Close()) }()
	dir, err := os.MkdirTemp("", "outside-")
	if err != nil {
		return fmt.Errorf("make a directory for results: %w", err)
	}
	defer os.RemoveAll(dir)
	m := meter{file: filepath.Join(dir, "out.json"), rounds: rounds, turn: turn}
	if m.null, err = b.Single(nullCase); err != nil {
		return fmt.Errorf("start a payload that does nothing: %w", err)
	}
	defer m.null.Close()
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "runtime\tours ms\thyperfine ms\tours by it\t95 %%\t\tits spawn µs\tours by it without\t\n")
	null, err := m.alternate(m.null)
	if err != nil {
		return fmt.Errorf("compare the clocks with %s: %w", nullCase, err)
	}
	fmt.Fprintf(t, "%s\t%.3f\t%.3f\t%.3f\t%s\tthe constant\t%.0f\t\t\n", nullCase, null[0].ours()*1e3, null[0].theirs()*1e3, null[0].ratio(0), null[0].interval(), null[0].apart()*1e6)
	apart, names := false, asked
	if len(asked) == 0 {
		names = usual
	}
	for _, name := range names {
		s, serr := b.Single(name)
		if serr != nil && len(asked) > 0 {
			return serr
		}
		if serr != nil {
			fmt.Fprintf(t, "%s\tnot measured: %v\t\t\t\t\t\t\t\n", name, serr)
			continue
		}
		c, rerr := m.alternate(s, m.null)
		if rerr = errors.Join(rerr, s.Close()); rerr != nil {
			return fmt.Errorf("compare the clocks with %s: %w", name, rerr)
		}
		row, spawn, verdict := c[0], c[1].apart(), "agrees"
		if !row.agrees() {
			verdict, apart = "APART", true
		}
		fmt.Fprintf(t, "%s\t%.3f\t%.3f\t%.3f\t%s\t%s\t%.0f\t%.3f\t\n", name, row.ours()*1e3, row.theirs()*1e3, row.ratio(0), row.interval(), verdict, spawn*1e6, row.ratio(spawn))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	fmt.Printf("hyperfine's own spawn: %.0f µs of its time of each start, by the difference of the clocks for a payload that does nothing\n", null[0].apart()*1e6)
	if apart {
		return errApart
	}
	return nil
}

// clocks are the medians of the rounds by either clock, in seconds.
type clocks struct{ our, their []float64 }

func (c clocks) ours() float64   { return median(c.our) }
func (c clocks) theirs() float64 { return median(c.their) }

// apart is how much more hyperfine counts, in seconds.
func (c clocks) apart() float64 { return c.theirs() - c.ours() }

// ratio is that of our time to hyperfine's without its spawn, in seconds: the
// median of the rounds.
func (c clocks) ratio(spawn float64) float64 { return median(c.ratios(spawn)) }

func (c clocks) ratios(spawn float64) (list []float64) {
	for i, v := range c.our {
		list = append(list, v/(c.their[i]-spawn))
	}
	return list
}

// interval is that of the ratio, 95 % by order statistics.
func (c clocks) interval() string {
	r := benchmath.AssumeNothing.Summary(benchmath.NewSample(c.ratios(0), &benchmath.DefaultThresholds), 0.95)
	return fmt.Sprintf("%.3f to %.3f", r.Lo, r.Hi)
}

func (c clocks) agrees() bool { r := c.ratio(0); return 1-within <= r && r <= 1+within }

// meter takes the rounds.
type meter struct {
	null   *startup.Single
	file   string // for hyperfine's results
	rounds int
	turn   time.Duration
}

// few and many bound the starts of a turn. A turn of ten of crun's leaves the ratio
// of 20 rounds open by 4 %, one of forty by 1.2 %.
const few, many = 10, 100

// each is how many starts a turn has.
func (m meter) each(s *startup.Single) (int, error) {
	list, err := m.our(s, few)
	if err != nil {
		return 0, err
	}
	return min(max(few, int(m.turn.Seconds()/median(list))), many), nil
}

// order is that of the turns of a round: each clock comes first as often as the
// other, and neither always after the other.
var order = []bool{true, false, false, true, false, true, true, false}

// alternate takes rounds of the starts, one start after the other. The results
// have the median of each round.
func (m meter) alternate(starts ...*startup.Single) ([]clocks, error) {
	all, each := make([]clocks, len(starts)), make([]int, len(starts))
	for i, s := range starts {
		var err error
		if each[i], err = m.each(s); err != nil {
			return nil, err
		}
	}
	for range m.rounds {
		round := make([]clocks, len(starts))
		for _, ours := range order {
			for i, s := range starts {
				harness.Rest(harness.Settle)
				c, list, err := &round[i], []float64(nil), error(nil)
				if ours {
					list, err = m.our(s, each[i])
					c.our = append(c.our, list...)
				} else {
					list, err = m.their(s, each[i])
					c.their = append(c.their, list...)
				}
				if err != nil {
					return nil, err
				}
			}
		}
		for i, c := range round {
			all[i].our, all[i].their = append(all[i].our, c.ours()), append(all[i].their, c.theirs())
		}
	}
	return all, nil
}

// our starts with one that does not count, as hyperfine is told to.
func (m meter) our(s *startup.Single, each int) (list []float64, err error) {
	for i := range each + 1 {
		total, err := s.Total()
		if err != nil {
			return nil, err
		}
		if i > 0 {
			list = append(list, total.Seconds())
		}
	}
	return list, nil
}

// their is what hyperfine says of the same command, without a shell.
func (m meter) their(s *startup.Single, each int) ([]float64, error) {
	args := []string{"-N", "--style", "none", "--warmup", "1", "--runs", strconv.Itoa(each), "--export-json", m.file}
	cmd := exec.Command("hyperfine", append(args, quoted(s.Argv))...)
	cmd.Env = s.Env
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("run hyperfine: %w: %s", err, out)
	}
	text, err := os.ReadFile(m.file)
	if err != nil {
		return nil, fmt.Errorf("read hyperfine's result: %w", err)
	}
	var result struct {
		Results []struct{ Times []float64 }
	}
	if err := json.Unmarshal(text, &result); err != nil {
		return nil, fmt.Errorf("read hyperfine's result %q: %w", text, err)
	}
	if len(result.Results) != 1 || len(result.Results[0].Times) != each {
		return nil, fmt.Errorf("read hyperfine's result %q: it does not have the %d times of one command", text, each)
	}
	return result.Results[0].Times, nil
}

// quoted is a command as hyperfine splits it.
func quoted(argv []string) string {
	text := ""
	for _, a := range argv {
		text += strconv.Quote(a) + " "
	}
	return text
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
