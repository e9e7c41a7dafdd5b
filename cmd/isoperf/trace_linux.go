package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"isoperf/bench/follow"
	"isoperf/reports/plot"
)

// traceFlags are the flags of isoperf trace.
type traceFlags struct {
	args                      []string
	timeline, picture, output string
	limit                     time.Duration
	files                     bool
	compare                   int
	record                    *traceFile // nil: no --timeline
}

// The bounds of isoperf trace.
const (
	traceGrace   = 2 * time.Second
	compareMost  = time.Minute
	calibrations = 500
)

// trace is the command that profiles another one.
func (c *cli) trace() *cobra.Command {
	f := &traceFlags{}
	cmd := &cobra.Command{
		Use:   "trace [flags] [--] CMD [ARG...]",
		Short: "Profile the isolation calls of any command and its children",
		Long: `Profile a command that isoperf knows nothing about: a container runtime, a
sandbox, a script. Of the command and everything that it starts, the calls stop
that isolate (clone, unshare, setns, the mount family, pivot_root, capset,
prctl, seccomp, execve, writes to control groups and id maps), and waits for
children; all other calls run at full speed. Every nanosecond from the
command's execve to the end of its last process is given to one phase.

The report goes to standard error; standard output is the command's. What the
trace itself cost is measured and stated; --compare repeats the command.

It stays until the whole tree has ended, what went into the background too.
Ctrl-C and --time end the tree: SIGTERM to the command, then SIGKILL to all.

An ordinary user's set-user-ID programs (newuidmap, sudo) lose their privilege
when they are traced. Run the trace as root then.

The exit status is the command's, 128+N after signal N. Own failures exit with
125; a command that cannot be executed with 126, one that is not found with
127. More: isoperf help tracing.`,
		Example: `  isoperf trace -- runc run mycontainer
  isoperf trace --compare 5 -- bwrap --bind / / --unshare-all true
  isoperf trace --picture a.svg --timeline a.json -- podman run alpine true
  isoperf trace --time 10s -- sh -c 'unshare -r sleep 100'`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			f.args = args
			err := f.check()
			if err == nil {
				err = c.profile(f)
			}
			var s status
			if err != nil && !errors.As(err, &s) {
				err = status{code: exitOwn, err: err}
			}
			return err
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return status{exitOwn, nearFlag(cmd, err), true} })
	s := cmd.Flags()
	s.SetInterspersed(false)
	s.SortFlags = false
	s.StringVar(&f.timeline, "timeline", "", "write everything that was seen as a trace to `FILE` (JSON, for Perfetto and Chrome)")
	s.StringVar(&f.picture, "picture", "", "draw the timeline, a lane for each process, to `FILE` (.svg or .png)")
	s.StringVarP(&f.output, "output", "o", "", "write the report to `FILE` instead of standard error")
	s.DurationVar(&f.limit, "time", 0, "end the tree after a `TIME` such as 30s (default: never)")
	s.IntVar(&f.compare, "compare", 0, "run the command `N` times more traced and N times alone, without its output, for the true ratio; only for commands that can be repeated")
	s.BoolVar(&f.files, "files", false, "stop at every file that is opened, too, not only at those of control groups and id maps")
	return cmd
}

// check finds what is wrong with the command line.
func (f *traceFlags) check() error {
	switch {
	case len(f.args) == 0:
		return status{exitOwn, errors.New("no command; say what to profile"), true}
	case f.args[0] == "":
		return status{exitOwn, errors.New("the command is empty"), true}
	case f.limit < 0:
		return fmt.Errorf("--time %v: it is negative", f.limit)
	case f.compare < 0 || f.compare > 1000:
		return fmt.Errorf("--compare %d: give a number from 0 to 1000", f.compare)
	}
	if ext := filepath.Ext(f.picture); f.picture != "" && ext != ".svg" && ext != ".png" {
		return fmt.Errorf("--picture %q: its name says what it becomes: end it in .svg or .png", f.picture)
	}
	return nil
}

// profile runs the command and reports on it.
func (c *cli) profile(f *traceFlags) (err error) {
	if f.compare > 0 {
		// What is traced dies with the tracer. What is not, in turns with it, needs
		// a guard.
		if done, err := c.guarded(false); done || err != nil {
			return err
		}
	}
	path, err := lookCommand(f.args[0])
	if err != nil {
		return err
	}
	out := c.stderr
	if f.output != "" {
		file, err := os.Create(f.output)
		if err != nil {
			return fmt.Errorf("--output: %w", err)
		}
		out = file
		defer func() { err = errors.Join(err, file.Close()) }()
	}
	if f.picture != "" {
		if err := unix.Access(filepath.Dir(f.picture), unix.W_OK); err != nil {
			return fmt.Errorf("--picture %q: its directory cannot be written to: %w", f.picture, err)
		}
	}
	if f.timeline != "" {
		if f.record, err = openTrace(f.timeline); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.record.close()) }()
	}
	cost, err := follow.Calibrate(c.ctx, calibrations)
	if err != nil {
		return err
	}
	o := follow.Options{
		Path: path, Args: f.args, Env: os.Environ(), Files: f.files, Limit: f.limit, Grace: traceGrace,
		Stdio: [3]int{int(file(c.stdin, os.Stdin).Fd()), int(file(c.stdout, os.Stdout).Fd()), int(file(c.stderr, os.Stderr).Fd())},
	}
	r, err := follow.Follow(c.ctx, o)
	if err != nil {
		return failedTrace(err)
	}
	p := newProfile(f.args, r, cost)
	if f.compare > 0 && r.Ended == "" {
		p.compared, p.uncompared = compareRuns(c.ctx, o, f.compare, r)
	}
	if err := c.writeProfile(f, out, p); err != nil {
		return err
	}
	if p.uncompared != nil {
		return p.uncompared
	}
	if code := r.Status.ExitCode(); code != 0 {
		return status{code: code}
	}
	return nil
}

// writeProfile writes all that was asked for.
func (c *cli) writeProfile(f *traceFlags, out io.Writer, p *profile) error {
	if err := p.print(out, width(out)); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if f.record != nil {
		if err := f.record.write(p.record.Events(), p.meta()); err != nil {
			return err
		}
	}
	if f.picture == "" {
		return nil
	}
	fig := plot.Timeline(p.title(), p.lead(), p.lanes())
	draw := fig.SVG
	if filepath.Ext(f.picture) == ".png" {
		draw = fig.PNG
	}
	file, err := os.Create(f.picture)
	if err != nil {
		return fmt.Errorf("--picture: %w", err)
	}
	if err := errors.Join(draw(file), file.Close()); err != nil {
		return fmt.Errorf("--picture: %w", err)
	}
	return nil
}

// compareRuns repeats the command; its input and output are /dev/null.
func compareRuns(ctx context.Context, o follow.Options, pairs int, r *follow.Record) (follow.Comparison, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return follow.Comparison{}, err
	}
	defer null.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*compareMost) // a run that hangs alone
	defer cancel()
	fd := int(null.Fd())
	o.Stdio = [3]int{fd, fd, fd}
	return follow.Compare(ctx, o, pairs, compareMost, r.Status)
}

// lookCommand finds the file to execute, as a shell does.
func lookCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch {
	case errors.Is(err, exec.ErrDot):
		return path, nil // PATH says so, and a shell obeys it
	case errors.Is(err, os.ErrPermission):
		return "", status{code: exitNotExecutable, err: fmt.Errorf("execute %q: %w; it is not an executable file (chmod +x), or its file system is mounted noexec", name, unix.EACCES)}
	case err != nil && strings.Contains(name, "/"):
		return "", status{code: exitNotFound, err: fmt.Errorf("execute %q: %w; there is no such file", name, unix.ENOENT)}
	case err != nil:
		return "", status{code: exitNotFound, err: fmt.Errorf("execute %q: %w; it is not in PATH (%s)", name, unix.ENOENT, os.Getenv("PATH"))}
	}
	return path, nil
}

// failedTrace is an error of Follow with its exit status.
func failedTrace(err error) error {
	var e *follow.ExecError
	if !errors.As(err, &e) {
		return err
	}
	if errors.Is(e, unix.ENOENT) {
		return status{code: exitNotFound, err: fmt.Errorf("%w; the interpreter or loader that it needs is missing", e)}
	}
	return status{code: exitNotExecutable, err: fmt.Errorf("%w; it is neither a program for this machine nor a script with #! at its start", e)}
}
