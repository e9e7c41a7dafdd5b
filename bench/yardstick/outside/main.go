// Command outside asks whether a clock outside agrees: for every runtime that is
// here, the total of our own starts beside what hyperfine says of the same
// command, in rounds that take turns.
//
//	round: ours, hyperfine -N, hyperfine -N, ours, … ──► a median each ──► the ratio of the medians of all
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

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/startup"
)

// apart is how far the clocks may be apart.
const apart = 0.03

func main() {
	rounds := flag.Int("rounds", 20, "rounds of each runtime")
	each := flag.Int("each", 20, "starts of a round, by each clock")
	isorun := flag.String("isorun", "bin/isorun", "the isorun to measure")
	inside := flag.Bool("inside", false, "this process has mounts of its own already")
	flag.Parse()
	if flag.NArg() > 0 || *rounds < 1 || *each < 2 {
		fmt.Fprintln(os.Stderr, "outside: it takes no arguments, at least one round, and at least two starts; see -help")
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
		err = compare(*isorun, *rounds, *each)
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

// names are the runtimes that are compared, when they are here.
var names = []string{"fork-exec", "unshare", "bwrap", "isorun", "crun", "runc"}

func compare(isorun string, rounds, each int) (err error) {
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
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "runtime\tours ms\thyperfine ms\tours by it\t\t\n")
	for _, name := range names {
		s, serr := b.Single(name)
		if serr != nil {
			fmt.Fprintf(t, "%s\tnot measured: %v\t\t\t\t\n", name, serr)
			continue
		}
		ours, theirs, rerr := alternate(s, filepath.Join(dir, "out.json"), rounds, each)
		if cerr := s.Close(); rerr == nil {
			rerr = cerr
		}
		if rerr != nil {
			return fmt.Errorf("compare the clocks with %s: %w", name, rerr)
		}
		ratio, verdict := median(ours)/median(theirs), "agrees"
		if ratio < 1-apart || ratio > 1+apart {
			verdict, err = "APART", errApart
		}
		fmt.Fprintf(t, "%s\t%.3f\t%.3f\t%.3f\t%s\t\n", name, median(ours)*1e3, median(theirs)*1e3, ratio, verdict)
	}
	return errors.Join(t.Flush(), err)
}

// alternate takes rounds in turn, ours and theirs first every other time; the
// results are the medians of the rounds, in seconds.
func alternate(s *startup.Single, file string, rounds, each int) (ours, theirs []float64, err error) {
	for round := range rounds {
		for half := range 2 {
			harness.Rest(harness.Settle)
			var m float64
			if (round+half)%2 == 0 {
				if m, err = our(s, each); err == nil {
					ours = append(ours, m)
				}
			} else if m, err = their(s, file, each); err == nil {
				theirs = append(theirs, m)
			}
			if err != nil {
				return nil, nil, err
			}
		}
	}
	return ours, theirs, nil
}

// our starts with one that does not count, as hyperfine is told to.
func our(s *startup.Single, each int) (float64, error) {
	var list []float64
	for i := range each + 1 {
		total, err := s.Total()
		if err != nil {
			return 0, err
		}
		if i > 0 {
			list = append(list, total.Seconds())
		}
	}
	return median(list), nil
}

// their is hyperfine's median of the same command, without a shell.
func their(s *startup.Single, file string, each int) (float64, error) {
	args := []string{"-N", "--style", "none", "--warmup", "1", "--runs", strconv.Itoa(each), "--export-json", file}
	cmd := exec.Command("hyperfine", append(args, quoted(s.Argv))...)
	cmd.Env = s.Env
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("run hyperfine: %w: %s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("read hyperfine's result: %w", err)
	}
	var result struct {
		Results []struct{ Median float64 }
	}
	if err := json.Unmarshal(text, &result); err != nil || len(result.Results) != 1 {
		return 0, fmt.Errorf("read hyperfine's result %q: %w", text, err)
	}
	return result.Results[0].Median, nil
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
