// Isorun is an OCI runtime: it starts containers through the engine's stub, and
// commands in new namespaces. It imports runtime packages only, since its own
// start-up is part of its speed.
//
//	isorun run [-b BUNDLE] ID                     in the foreground: it forwards signals and exits with the command's status
//	isorun exec ID CMD [ARG…]                     one more command in a container; its exit status, 255 when isorun itself failed
//	isorun create, start, kill, delete, state …   one life in several commands, as runc has them
//	isorun unshare [flags] [--] CMD [ARG…]        a command in new namespaces
//
// In the foreground, own failures exit with 125; a command that cannot be executed
// with 126, one that is not found with 127; a command that a signal ended with 128
// plus the signal's number. The other commands fail with 1, as runc's do.
//
// A container in the foreground is not in the state directory: it belongs to the
// isorun that stands for it, dies with it, and is signalled through it. Writing
// down what nobody needs would be a part of every start. "run --detach" is create
// and start.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/program"
	"isoperf/runtime/program/inherit"
)

const usage = `isorun starts containers, and commands in new namespaces.

Usage:
  isorun [global flags] COMMAND [flags] [arguments]

Commands (isorun COMMAND --help):
%s
Global flags:
%s
Exit status of run and unshare: the command's; 125 when isorun itself failed, 126
when the command cannot be executed, 127 when it is not found, 128+N when signal N
ended it. Of exec the same, but 255 when it failed itself, or there is no such
command. Of the others: 1 when they failed.
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
	// The process is short-lived: a collection costs more than it gives back.
	debug.SetGCPercent(-1)
	g := &globals{stdout: stdout, stderr: stderr}
	flags := g.flags()
	args, err := flags.parse(args, true)
	help := func(w io.Writer) { fmt.Fprintf(w, usage, commandList(), flags.usage()) }
	switch {
	case err == errHelp:
		help(stdout)
		return 0
	case err != nil:
		return g.wrong(fmt.Errorf("%w (isorun --help)", err))
	case g.showVersion:
		fmt.Fprintf(stdout, "isorun version %s\nspec: %s\ngo: %s\n", version(), specs.Version, runtime.Version())
		return 0
	case len(args) == 0:
		help(stderr)
		return 1
	}
	if args[0] != "run" && args[0] != "create" {
		program.TakeSpare(0) // some argument may be one of these words
	}
	switch args[0] {
	case "run":
		return runBundle(g, args[1:])
	case "unshare":
		return runUnshare(args[1:], stdout, stderr)
	case "help":
		help(stdout)
		return 0
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return g.do(c, args[1:])
		}
	}
	return g.wrong(fmt.Errorf("unknown command %q: see isorun --help", args[0]))
}

// commandList is the list for the help text.
func commandList() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %-9s %s\n", "run", "create and start a container, and stand for it")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-9s %s\n", c.name, c.about)
	}
	fmt.Fprintf(&b, "  %-9s %s\n", "unshare", "a command in new namespaces")
	return b.String()
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
