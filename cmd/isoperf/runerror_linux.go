package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// check finds what contradicts itself in the command line, before anything is
// looked at.
func (f *runFlags) check(cmd *cobra.Command) (err error) {
	// An empty word is a variable of a script that was not set: a root file
	// system that was meant must not become the host's.
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		words := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			words = list.GetSlice()
		}
		if err == nil && (len(words) == 0 || slices.Contains(words, "")) {
			err = fmt.Errorf("--%s: its value is empty; leave it out for the default", flag.Name)
		}
	})
	prints := f.plan || f.explain
	switch {
	case err != nil:
		return err
	case len(f.Args) == 0 && f.Seccomp != "strict":
		return status{exitOwn, errors.New("no command; say what to run in the container"), true}
	case len(f.Args) > 0 && f.Args[0] == "":
		return status{exitOwn, errors.New("the command is empty"), true}
	case len(f.Args) > 0 && f.Seccomp == "strict":
		return errors.New("--seccomp strict: it forbids execve, so no command can run: leave the command away for the built-in one, which copies its input to its output")
	case f.Seccomp == "strict" && f.Init:
		return errors.New("--seccomp strict and --init contradict each other: strict mode lets no process be made, so there are no orphans to reap")
	case f.Seccomp == "strict" && f.TTY:
		return errors.New("--seccomp strict and --tty contradict each other: the built-in command only copies its input to its output, and strict mode forbids the calls of a terminal")
	case f.stopTimeout < 0:
		return fmt.Errorf("--stop-timeout %v: it is negative", f.stopTimeout)
	case f.plan && f.explain:
		return errors.New("--plan and --explain exclude each other: --explain prints the plan with a sentence on each call")
	case prints && (f.profile || f.timeline != ""):
		return errors.New("--plan and --explain run nothing, so that nothing is timed: leave out --profile and --timeline, or run twice")
	}
	return nil
}

// limit is the first flag that asks for a limit.
func (f *runFlags) limit() string {
	for _, l := range []struct {
		set  bool
		flag string
	}{{f.CPU != "", "cpu"}, {f.CPUWeight != "", "cpu-weight"}, {f.CPUs != "", "cpuset"}, {f.Memory != "", "memory"}, {f.Pids != "", "pids"}} {
		if l.set {
			return l.flag
		}
	}
	return "io-max"
}
