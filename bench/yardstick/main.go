// Command yardstick answers one question: is our instrument as fast as the
// same thing written in C?
//
//	c/yardstick.c ──gcc -O2 -static──► process ◄─ one byte ─┐
//	                                      └─ one sample ──►  │  alternating,
//	runtime/program ─────────────────────── one sample ──►  │  ABBA
//	                                                         ▼
//	               paired ratios and differences ──► table ──► bars ──► exit status
//
// Both sides make the same system calls in the same order, stamp with the
// same clock (the CPU's counter where the kernel's clock is that counter,
// else clock_gettime) and run the same number of cycles that do not count
// right before the one that does. They calibrate the counter independently.
//
//   - Part 1, the null case: clone3 of a child that exits at once, reaped.
//   - Part 2, a container start: all namespaces but user, private mounts,
//     bind, proc, tmpfs, pivot_root, execve of a static program, reaped.
//     It takes root.
//   - Part 3, listed apart: what the pieces of a start cost.
//
// What remains in part 1 is no code of ours: when a child ends, the kernel
// walks all mappings of the memory that it shares (acct_collect), at some
// 25 ns each, and a Go program has more of them than a static C program.
//
// The bars are in bars.go. Exit status 0: all are met; 1: one is missed; 2:
// something could not be measured. gcc and a static C library are needed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"isoperf/bench/harness"
)

// options are the sizes of a run.
type options struct {
	pairs  int           // samples of each side in part 1
	starts int           // samples of each side in part 2
	costs  int           // samples of each piece in part 3
	pause  time.Duration // before each sample
	warm   int           // cycles between the pause and the sample that do not count
}

// rest lets the machine settle, as the C program does by its own pause.
func (o options) rest() { harness.Rest(o.pause) }

func main() {
	var o options
	flag.IntVar(&o.pairs, "pairs", 4000, "pairs of samples in part 1")
	flag.IntVar(&o.starts, "starts", 600, "samples of each variant in part 2")
	flag.DurationVar(&o.pause, "pause", 500*time.Microsecond, "pause before each sample, less than 1s")
	flag.IntVar(&o.warm, "warm", 2, "cycles between the pause and the sample that do not count")
	flag.IntVar(&o.costs, "costs", 1000, "samples of each piece in part 3")
	flag.Parse()
	if flag.NArg() > 0 || min(o.pairs, o.starts, o.costs) < 10 || o.warm < 0 || o.pause < 0 || o.pause >= time.Second {
		fmt.Fprintln(os.Stderr, "yardstick: it takes no arguments, at least 10 samples of each, and no negative numbers, and a pause below 1s; see -help")
		os.Exit(2)
	}
	missed, err := run(o)
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "yardstick: %v\n", err)
		os.Exit(2)
	case missed > 0:
		os.Exit(1)
	}
}

// errRoot is why part 2 was not measured.
var errRoot = errors.New("part 2 was not measured: creating namespaces and mounts takes root; run it as root")

// run measures everything, prints, and counts the bars that were missed. The
// parts that take no privilege are printed even when part 2 cannot run.
func run(o options) (missed int, err error) {
	scratch, err := newScratch()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, scratch.remove()) }()
	defer scratch.removeOnSignal()()
	c, err := startYardstick(scratch, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()

	null, err := measureNull(c, o)
	if err != nil {
		return 0, err
	}
	missed += printNull(os.Stdout, null)
	if os.Geteuid() == 0 {
		starts, err := measureStarts(c, scratch, o)
		if err != nil {
			return missed, err
		}
		missed += printStarts(os.Stdout, starts)
	} else {
		err = errRoot
	}
	pieces, perr := measurePieces(c, scratch, o)
	if perr != nil {
		return missed, errors.Join(err, perr)
	}
	printPieces(os.Stdout, pieces)
	return missed, err
}
