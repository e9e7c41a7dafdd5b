// Command startup answers one question: how fast is a container there, and
// gone, beside the other runtimes and beside the same system calls in C?
//
//	isorun run --plan ──► plan.h ─┐
//	                 c/frame.c ───┴─gcc -O2 -static──► C ─┐
//	isorun, crun, runc, bwrap, an empty Go program ───────┤ a round: one of each,
//	                                                      │ in random order
//	                                                      ▼
//	            ratios by round ──► medians, intervals ──► bars ──► exit status
//
// A sample is a whole process, from before the clone until it is reaped, and
// it must exit with status 0. Every contender is started by the engine's loop:
// clone3 with shared memory, three dup3, execve. Before, each runs once with a
// witness inside that tells its namespaces, mounts, credentials and devices: C
// must make exactly isorun's container, and what a peer makes differently is
// printed.
//
//   - Part 1: the bundle that "runc spec" writes, back to back and with a
//     pause. crun refuses a hybrid cgroup tree, so all of it runs in a private
//     mount namespace in which such a tree has lost its version 2.
//   - Part 2: no limits, all namespaces but user, /proc and a /dev in memory,
//     against bubblewrap, which has no time namespace.
//   - Part 3: the same containers from one long-lived process, by the library
//     and by the C program's loop. The plan is made anew for each start, since
//     it can be started once, and is timed apart.
//
// Exit status 0: all bars are met; 1: one is missed; 2: something could not be
// measured. Root, gcc, a static C library and the Go toolchain are needed;
// scripts/peers installs the other runtimes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/environment"
	"isoperf/bench/startup"
)

// The bars: ours by theirs, at most.
const (
	crunBar    = 0.40
	runcBar    = 0.13
	bwrapBar   = 0.7
	processBar = 1.6  // a whole process, by C
	libraryBar = 1.15 // a start by the library, by C's loop
)

// Contenders that are no runtimes.
const (
	namePayload = "the payload alone"
	nameEmpty   = "an empty Go program"
	nameVersion = "isorun --version"
)

// options are the sizes of a run.
type options struct {
	inside bool          // the mount namespace is private already
	isorun string        // a binary; empty: it is built
	limit  time.Duration // for each table
	rounds int           // 0: as many as fit
	pause  time.Duration // of the paced tables
	parts  string
}

func main() {
	var o options
	flag.BoolVar(&o.inside, "inside", false, "this process has a mount namespace of its own already")
	flag.StringVar(&o.isorun, "isorun", "", "the isorun to measure (default: built from this module)")
	flag.DurationVar(&o.limit, "time", 20*time.Second, "for each table")
	flag.IntVar(&o.rounds, "rounds", 0, "rounds of each table; 0: as many as fit")
	flag.DurationVar(&o.pause, "pause", 200*time.Millisecond, "before each sample of the paced tables")
	flag.StringVar(&o.parts, "parts", "123", "which parts to measure")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 0 || o.limit <= 0 || o.pause <= 0 || strings.Trim(o.parts, "123") != "" {
		fmt.Fprintln(os.Stderr, "startup: it takes no arguments, positive numbers, and parts of 123; see -help")
		os.Exit(2)
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "startup: not measured: containers with control groups take root; run it as root")
		os.Exit(2)
	}
	if !o.inside {
		os.Exit(enter())
	}
	missed, err := run(o)
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "startup: %v\n", err)
		os.Exit(2)
	case missed > 0:
		os.Exit(1)
	}
}

// enter runs this program again in a private mount namespace, all threads of
// it, and returns its exit status.
func enter() int {
	// The other one has the signal too, and cleans up. Ignored, it would be for
	// that one as well, and for all that it starts before it asks for it.
	signal.Notify(make(chan os.Signal, 1), unix.SIGINT)
	runtime.LockOSThread() // for Pdeathsig
	cmd := exec.Command("/proc/self/exe", append([]string{"-inside"}, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGTERM}
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		fmt.Fprintf(os.Stderr, "startup: enter a private mount namespace: %v\n", err)
		return 2
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	return 2
}

// run measures everything, prints, and counts the bars that were missed.
func run(o options) (missed int, err error) {
	machine, err := environment.Read("/")
	if err != nil {
		return 0, err
	}
	if err := startup.HideUnified(); err != nil {
		return 0, err
	}
	s, err := newScratch()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	defer s.removeOnSignal()()
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open /dev/null: %w", err)
	}
	defer unix.Close(null)
	if o.isorun, err = s.build(o.isorun); err != nil {
		return 0, err
	}
	printMachine(os.Stdout, machine)
	r := &runner{options: o, scratch: s, null: null}
	for _, part := range []struct {
		letter string
		bundle func() (*bundle, error)
		title  string
		peers  func(*bundle) []*contender
		paced  bool
	}{
		{"1", s.usualBundle, `1. the bundle of "runc spec"`, r.runtimes, true},
		{"2", s.bareBundle, "2. no limits, all namespaces but user, /proc and /dev", r.bubblewrap, false},
	} {
		n, perr := r.part(part.letter, part.bundle, part.title, part.peers, part.paced)
		missed, err = missed+n, errors.Join(err, perr)
	}
	return missed, err
}
