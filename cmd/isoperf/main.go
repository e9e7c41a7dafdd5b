// Isoperf measures what Linux isolation costs: it is the profiler's command
// line, a thin layer over the packages that measure and report.
//
//	args ─► run ─► run      a container, and what its start cost (Linux)
//	             ─► trace    any command, and where its time goes (Linux)
//	             ─► doctor   what can be measured here          (Linux)
//	             ─► list     the cases, by name                 (Linux)
//	             ─► bench    cases ─► samples ─► result file    (Linux)
//	             ─► ab       two things in turns ─► verdict     (Linux)
//	             ─► verify   limits ─► samples ─► verdicts      (Linux)
//	             ─► report   result files ─► tables and plots   (anywhere)
//	             ─► compare  result files ─► what changed       (anywhere)
//	             └► history  those of many commits ─► since when (anywhere)
//
// One file a subcommand, all over run(ctx, args, stdin, stdout, stderr) int.
// The answer goes to standard output, progress and warnings to standard
// error. Exit status: 0 done, 1 a check failed, 2 usage or cannot run at all;
// verify: 3 something is not judged; compare, history: 3 cannot tell; compare: 4
// not comparable.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	roles()
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// endings are the signals at which a run removes what it has made, and ends. That
// the terminal was closed is one, unless the run is to outlive it (nohup).
func endings() []os.Signal {
	list := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// status is an error that carries an exit status; a nil error inside prints
// nothing.
type status struct {
	code int
	err  error
	help bool // the command line is at fault: name --help
}

func (s status) Error() string { return s.err.Error() }
func (s status) Unwrap() error { return s.err }

// cannot is an error that leaves nothing to do.
func cannot(err error) error { return status{code: exitUsage, err: err} }

// usage is an error of the command line.
func usage(format string, args ...any) error {
	return status{exitUsage, fmt.Errorf(format, args...), true}
}

// cli is what the subcommands share.
type cli struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// run is the whole program; it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{ctx, stdin, stdout, stderr}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	var s status
	if !errors.As(err, &s) {
		// What cobra itself refuses: an unknown command or flag.
		s = status{exitUsage, err, true}
	}
	if s.err != nil {
		fmt.Fprintf(stderr, "isoperf: %s\n", strings.TrimSpace(err.Error()))
		if s.help {
			fmt.Fprintf(stderr, "Try '%s --help'.\n", cmd.CommandPath())
		}
	}
	return s.code
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "isoperf",
		Short: "Measure what Linux isolation costs, and whether it holds",
		Long: `Isoperf measures what Linux isolation costs: clone with each namespace flag,
joining and destroying namespaces, and how the costs grow. It says how far the
figures can be trusted, and keeps every sample in a file that benchstat reads.
It also runs commands in containers, and shows each step of their start.`,
		Example: `  isoperf bench                     what a namespace costs, in half a minute
  isoperf run -- bash               a shell in namespaces of its own
  isoperf run --profile -- true     where the time of a container's start goes
  isoperf trace -- runc run x       where the time of any runtime goes
  isoperf verify                    are CPU limits kept, and how exactly
  isoperf doctor                    what can be measured here, and what not
  isoperf list sweep                the cases whose names begin with sweep
  isoperf report FILE --dir out     tables and pictures of a result file
  isoperf compare OLD NEW           what changed between two result files
  isoperf history DIR               since which commit what is slower`,
		Version:                    version(),
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		Args:                       cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			text := fmt.Sprintf("unknown command %q", args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				text += fmt.Sprintf(" (did you mean %q?)", near[0])
			}
			return usage("%s", text)
		},
	}
	// The library spells every switch "--quick[=true|false]"; the name is enough.
	const spelled = "[=true|false]"
	cobra.AddTemplateFunc("plain", func(flags string) string {
		return strings.ReplaceAll(flags, spelled, strings.Repeat(" ", len(spelled)))
	})
	// Most terminals are 80 columns wide.
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages |", ".FlagUsagesWrapped 80 | plain |"))
	root.SetVersionTemplate("isoperf {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return status{exitUsage, nearFlag(cmd, err), true} })
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(c.doctor(), c.run(), c.list(), c.bench(), c.report(), c.compare(), c.history(), c.ab(), c.trace(), c.verify(), c.man(), c.unpack(), cloneTopic(), startupTopic(), mountTopic(), tracingTopic(), limitsTopic(), networkTopic(), comparingTopic(), historiesTopic())
	checkTopics(root)
	return root
}

// checkTopics makes an error of "help X" when there is no X. The library shows
// the help of the root, which takes any argument.
func checkTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		return // then "help" itself is an unknown command
	}
	show := help.Run
	help.Run, help.RunE = nil, func(cmd *cobra.Command, args []string) error {
		if found, rest, err := root.Find(args); err != nil || found == root && len(rest) > 0 {
			return cannot(fmt.Errorf("%w; isoperf help lists all", root.RunE(root, args)))
		}
		show(cmd, args)
		return nil
	}
}

// nearFlag adds "did you mean" to an unknown flag.
func nearFlag(cmd *cobra.Command, err error) error {
	_, name, ok := strings.Cut(err.Error(), "unknown flag: --")
	if !ok {
		return err
	}
	probe := &cobra.Command{SuggestionsMinimumDistance: 2}
	cmd.Flags().VisitAll(flagNames(probe))
	if near := probe.SuggestionsFor(name); len(near) > 0 {
		return fmt.Errorf("%w (did you mean --%s?)", err, near[0])
	}
	return err
}

// buildVersion and buildCommit are set by the linker; empty: what the Go
// toolchain knows.
var buildVersion, buildCommit string

func version() string {
	v, commit := buildVersion, buildCommit
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	if v == "" {
		v = "devel"
	}
	if commit != "" {
		v += " (" + commit + ")"
	}
	return v
}
