// Isorun starts a container, or a command in new namespaces, through the
// engine's stub, and stands for it: it forwards signals and exits with the
// command's status. It imports runtime packages only, since its own start-up is
// part of its speed.
//
//	isorun run [-b BUNDLE] ID
//	isorun unshare [--namespaces LIST] [--plan] [--timeline] [--] CMD [ARG…]
//
// Own failures exit with 125; a command that cannot be executed with 126, one
// that is not found with 127; a command that a signal ended with 128 plus the
// signal's number.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"isoperf/runtime/foreground"
	"isoperf/runtime/idmap"
	"isoperf/runtime/namespace"
	"isoperf/runtime/program"
	"isoperf/runtime/program/inherit"
)

const usage = `isorun starts containers, and commands in new namespaces.

Usage:
  isorun run [-b BUNDLE] [flags] ID         the container of a bundle (isorun run --help)
  isorun unshare [flags] [--] CMD [ARG…]    a command in new namespaces

Flags of unshare:
%s
Examples:
  isorun unshare --namespaces pid,net,uts -- sh -c 'echo $$'
  isorun unshare --namespaces all,-user --plan -- true

Exit status: the command's; 125 when isorun itself failed, 126 when CMD cannot
be executed, 127 when it is not found, 128+N when signal N ended it.
`

// begun is when this package was initialised, which is about when main begins.
var begun = program.Now()

// What is started dies with its thread. Every init function runs on the first
// thread of the process, which stays (see runtime.LockOSThread), so nothing is
// locked here: for that the runtime makes one more thread. A test is not entered.
func init() {
	if inherit.Entered() {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
}

func main() {
	runtime.LockOSThread() // what is started dies with this thread
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "run" {
		return runBundle(args[1:], stdout, stderr)
	}
	list, plan, timeline, showVersion := "mnt,pid,net,uts,ipc,cgroup", false, false, false
	flags := flagSet{
		{short: "n", long: "namespaces", value: "LIST", text: &list, preset: list, help: "namespaces to create: user pid net mnt uts ipc cgroup time, all, none"},
		{long: "plan", on: &plan, help: "print the program of system calls, run nothing"},
		{long: "timeline", on: &timeline, help: "print on standard error when each op ended"},
		{long: "version", on: &showVersion, help: "print the version"},
	}
	help := func(w io.Writer) { fmt.Fprintf(w, usage, flags.usage()) }
	fail := func(code int, err error) int { fmt.Fprintf(stderr, "isorun: %v\n", err); return code }
	if len(args) > 0 && args[0] == "unshare" {
		args = args[1:]
	} else if len(args) == 0 {
		help(stderr)
		return foreground.ExitOwn
	} else if args[0] == "help" {
		help(stdout)
		return 0
	} else if !strings.HasPrefix(args[0], "-") {
		return fail(foreground.ExitOwn, fmt.Errorf("unknown command %q: there are run and unshare (isorun --help)", args[0]))
	}
	args, err := flags.parse(args, true)
	switch {
	case err == errHelp:
		help(stdout)
		return 0
	case err != nil:
		return fail(foreground.ExitOwn, fmt.Errorf("%w (isorun --help)", err))
	case showVersion:
		fmt.Fprintln(stdout, "isorun", version())
		return 0
	case len(args) == 0:
		return fail(foreground.ExitOwn, errors.New("no command (isorun --help)"))
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

// buildVersion is set by the linker; empty: what the Go toolchain knows.
var buildVersion string

func version() string {
	if buildVersion != "" {
		return buildVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}
