package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
	"isoperf/runtime/spec"
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
		if err == nil && slices.Contains(words, "") {
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
	case f.stopTimeout < 0:
		return fmt.Errorf("--stop-timeout %v: it is negative", f.stopTimeout)
	case f.plan && f.explain:
		return errors.New("--plan and --explain exclude each other: --explain prints the plan with a sentence on each call")
	case prints && (f.profile || f.timeline != ""):
		return errors.New("--plan and --explain run nothing, so that nothing is timed: leave out --profile and --timeline, or run twice")
	}
	return nil
}

// failed is the error of a container that did not start, or ended badly, in the
// words of the command line, with the exit status that is due.
func (f *runFlags) failed(ct *spec.Container, err error) error {
	var op *program.OpError
	if !errors.As(err, &op) {
		return status{code: exitOwn, err: err}
	}
	// What else went wrong is not to be lost.
	code, reason := failedExec(f.Args, searchPath(ct), op)
	if strings.Contains(err.Error(), "\n") {
		return status{code: code, err: err}
	}
	switch cwd := ct.Process.Cwd; {
	case reason != "":
		err = fmt.Errorf("execute %q: %w; %s", f.Args[0], op.Errno, reason)
	case op.Op.Name == "open "+cwd && f.Workdir != "":
		err = fmt.Errorf("start in --workdir %q: %w; it has to be a directory inside the container that its user may enter", cwd, op.Errno)
	case op.Op.Name == "open "+cwd:
		err = fmt.Errorf("start in %q, as outside: %w; say where to start with --workdir", cwd, op.Errno)
	}
	return status{code: code, err: err}
}

// searchPath is the value of PATH inside.
func searchPath(ct *spec.Container) string {
	for _, e := range ct.Process.Env {
		if value, ok := strings.CutPrefix(e, "PATH="); ok {
			return value
		}
	}
	return ""
}

// failedExec is the exit status and the reason when it is the command that
// could not be executed (execve(2)); otherwise the reason is "".
func failedExec(args []string, path string, op *program.OpError) (code int, reason string) {
	if op.Op.Call != unix.SYS_EXECVE || len(args) == 0 {
		return exitOwn, ""
	}
	switch op.Errno {
	case unix.ENOENT, unix.ENOTDIR:
		if strings.Contains(args[0], "/") {
			return exitNotFound, "there is no such file inside the container, or the interpreter or loader that it needs is missing there"
		}
		return exitNotFound, "it is not in the container's PATH (" + path + "), or the interpreter or loader that it needs is missing there; give its whole path, or another --env PATH"
	case unix.EACCES, unix.EPERM, unix.EISDIR:
		return exitNotExecutable, "it is not an executable file (chmod +x), or its file system is mounted noexec"
	case unix.ENOEXEC, unix.ELIBBAD:
		return exitNotExecutable, "it is neither a program for this machine (" + runtime.GOARCH + ") nor a script that begins with #!"
	}
	return exitOwn, ""
}
