package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"isoperf/runtime/foreground"
	"isoperf/runtime/idmap"
	"isoperf/runtime/namespace"
	"isoperf/runtime/program"
	"isoperf/runtime/program/inherit"
)

const unshareUsage = `isorun unshare runs a command in new namespaces.

Usage:
  isorun unshare [flags] [--] CMD [ARG…]

Flags:
%s
Examples:
  isorun unshare --namespaces pid,net,uts -- sh -c 'echo $$'
  isorun unshare --namespaces all,-user --plan -- true
`

// runUnshare is "isorun unshare".
func runUnshare(args []string, stdout, stderr io.Writer) int {
	list, plan, timeline := "mnt,pid,net,uts,ipc,cgroup", false, false
	flags := flagSet{
		{short: "n", long: "namespaces", value: "LIST", text: &list, preset: list, help: "namespaces to create: user pid net mnt uts ipc cgroup time, all, none"},
		{long: "plan", on: &plan, help: "print the program of system calls, run nothing"},
		{long: "timeline", on: &timeline, help: "print on standard error when each op ended"},
	}
	fail := func(code int, err error) int { fmt.Fprintf(stderr, "isorun: %v\n", err); return code }
	args, err := flags.parse(args, true)
	switch {
	case err == errHelp:
		fmt.Fprintf(stdout, unshareUsage, flags.usage())
		return 0
	case err != nil:
		return fail(foreground.ExitOwn, fmt.Errorf("%w (isorun unshare --help)", err))
	case len(args) == 0:
		return fail(foreground.ExitOwn, errors.New("no command (isorun unshare --help)"))
	}
	bits, err := namespace.ParseList(list)
	if err != nil {
		return fail(foreground.ExitOwn, err)
	}
	path, err := exec.LookPath(args[0])
	switch {
	case errors.Is(err, os.ErrPermission):
		return fail(foreground.ExitNotExecutable, err)
	case err != nil:
		return fail(foreground.ExitNotFound, err)
	}
	p, mapped := build(bits, path, args)
	if plan {
		if err := p.Print(stdout); err != nil {
			return fail(foreground.ExitOwn, err)
		}
		return 0
	}
	return start(p, mapped, timeline, stderr)
}

// build is the program. In a new user namespace the command waits until its
// ids are mapped: an execve without a map gives all capabilities up.
func build(bits uint64, path string, argv []string) (*program.Program, program.Gate) {
	p := program.New(program.Stub, bits)
	p.Stdio(0, 1, 2)
	p.DieWithParent()
	var mapped program.Gate
	if bits&unix.CLONE_NEWUSER != 0 {
		mapped = p.Wait("ids mapped")
	}
	p.Exec(path, argv, os.Environ())
	return p, mapped
}

// start runs the program and stands for it.
func start(p *program.Program, mapped program.Gate, timeline bool, stderr io.Writer) int {
	inherit.Restore()
	proc, err := program.Start(p)
	if err != nil {
		fmt.Fprintf(stderr, "isorun: %v\n", err)
		return foreground.ExitOwn
	}
	stop := program.Forward(proc)
	var mapErr error
	if mapped != 0 {
		if mapErr = idmap.Self(proc.Pid()); mapErr != nil {
			fmt.Fprintf(stderr, "isorun: map ids: %v\n", mapErr)
			// It dies here, or has died; either way Wait collects it.
			_ = proc.Signal(syscall.SIGKILL)
		}
		proc.Open(mapped)
	}
	status, err := proc.Wait()
	stop()
	if timeline {
		for _, s := range proc.Timeline().Spans {
			fmt.Fprintf(stderr, "%9.1f us  %-16s %s\n", float64(s.End-s.Start)/1e3, s.Name, s.Text())
		}
	}
	if mapErr != nil {
		return foreground.ExitOwn
	}
	if err != nil {
		fmt.Fprintf(stderr, "isorun: %v\n", err)
		return foreground.ExitCode(err)
	}
	return status.ExitCode()
}
