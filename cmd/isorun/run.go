package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/pflag"

	"isoperf/runtime/container"
	"isoperf/runtime/foreground"
	"isoperf/runtime/spec"
)

const runUsage = `isorun run starts the container that a bundle describes, and waits for it.

Usage:
  isorun run [flags] ID

Flags:
%s
A field of config.json that cannot be honoured is an error that names it.
Exit status: the command's; 125 when isorun itself failed, 126 when the command
cannot be executed, 127 when it is not found, 128+N when signal N ended it.
`

// record is where the traces of containers lie that a killed isorun leaves.
const record = "/run/isoperf"

// runBundle is "isorun run".
func runBundle(args []string, stdout, stderr io.Writer) int {
	// The process is short-lived: a collection costs more than it gives back.
	debug.SetGCPercent(-1)
	flags := pflag.NewFlagSet("isorun run", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.SetOutput(io.Discard)
	bundle := flags.StringP("bundle", "b", ".", "directory with config.json and the root file system")
	plan := flags.Bool("plan", false, "print the program of system calls, run nothing")
	timeline := flags.Bool("timeline", false, "print on standard error when each op ended")
	fail := func(err error) int { fmt.Fprintf(stderr, "isorun: %v\n", err); return foreground.ExitOwn }
	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprintf(stdout, runUsage, flags.FlagUsages())
		return 0
	case err != nil:
		return fail(fmt.Errorf("%w (isorun run --help)", err))
	case flags.NArg() != 1:
		return fail(fmt.Errorf("one container ID is needed, %d were given (isorun run --help)", flags.NArg()))
	}
	c, err := spec.Load(*bundle)
	if err != nil {
		return fail(err)
	}
	c.ID = flags.Arg(0)
	c.LoopbackUp = true
	if err := c.Check(); err != nil {
		return fail(fmt.Errorf("bundle %q: %w", *bundle, err))
	}
	o := foreground.Options{Container: container.Options{Record: record}, In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Warn: func(text string) { fmt.Fprintf(stderr, "isorun: warning: %s\n", text) }}
	if *plan {
		p, err := foreground.Prepare(c, o)
		if err == nil {
			err = p.Print(stdout)
		}
		if err != nil {
			return fail(err)
		}
		return 0
	}
	return runContainer(c, o, *timeline, stderr)
}

func runContainer(c *spec.Container, o foreground.Options, timeline bool, stderr io.Writer) int {
	runtime.LockOSThread() // the container dies with this thread
	result, err := foreground.Run(c, o)
	if timeline && result.Container != nil {
		for _, s := range result.Container.Timeline().Spans {
			fmt.Fprintf(stderr, "%9.1f us  %-16s %s\n", float64(s.End-s.Start)/1e3, s.Name, s.Text)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "isorun: %v\n", err)
		return foreground.ExitCode(err)
	}
	return result.Status.ExitCode()
}
