package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"isoperf/runtime/container"
	"isoperf/runtime/foreground"
	"isoperf/runtime/lifecycle"
	"isoperf/runtime/program"
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

// records is where the traces of containers lie that a killed isorun leaves.
const records = "/run/isoperf"

// runBundle is "isorun run".
func runBundle(g *globals, args []string) int {
	defer program.TakeSpare(0) // also when there is no container
	plan, file := false, ""
	var d detached
	flags := append(createFlags(&d.options, &d.noPivot, &d.preserve), flagSet{
		{short: "d", long: "detach", on: &d.on, help: "create and start it, and let it go; it is in the state directory then, and only then"},
		{long: "keep", on: &d.keep, help: "accepted with --detach: a container in the background stays until it is deleted"},
		{long: "no-subreaper", on: &d.noSubreaper, help: "accepted: orphans are never adopted"},
		{long: "plan", on: &plan, help: "print the program of system calls, run nothing"},
		{long: "timeline", value: "FILE", text: &file, help: "write when each step began and ended, in nanoseconds of CLOCK_MONOTONIC; FILE may be the number of an open descriptor"},
	}...)
	fail := func(err error) int { return g.fail(foreground.ExitOwn, err) }
	if err := g.openLog(); err != nil {
		return fail(err)
	}
	args, err := flags.parse(args, false)
	switch {
	case err == errHelp:
		fmt.Fprintf(g.stdout, runUsage, flags.usage())
		return 0
	case err != nil:
		return fail(fmt.Errorf("%w (isorun run --help)", err))
	case len(args) != 1:
		return fail(fmt.Errorf("one container ID is needed, %d were given (isorun run --help)", len(args)))
	}
	if d.on {
		return d.run(g, args[0], plan || file != "")
	}
	if err := d.foreground(); err != nil {
		return fail(err)
	}
	return d.stay(g, args[0], file, plan)
}

// stay runs the container in the foreground, or prints its plan.
func (d *detached) stay(g *globals, id, file string, plan bool) (code int) {
	fail := func(err error) int { return g.fail(foreground.ExitOwn, err) }
	bundle := d.options.Bundle
	line, err := g.runTimeline(file, id, plan)
	if err != nil {
		return fail(err)
	}
	c, err := spec.Load(bundle)
	if err != nil {
		return fail(err)
	}
	line.mark("read config.json")
	c.ID = id
	c.LoopbackUp = true
	o := foreground.Options{Container: container.Options{Record: records, Spare: true, KeepKeyring: d.options.KeepKeyring}, In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Final: true,
		Warn: g.warn}
	served, err := serve(c, &o, d.preserve)
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := served(); err != nil {
			code = fail(err)
		}
	}()
	if err := c.Check(); err != nil {
		return fail(fmt.Errorf("bundle %q: %w", bundle, err))
	}
	line.mark("check config.json")
	if o.Container.Scope, err = (&lifecycle.Runtime{Systemd: g.systemd}).Scope(c.Linux.CgroupsPath, c.ID); err != nil {
		return fail(err)
	}
	if plan {
		if err := printPlan(c, o, g.stdout); err != nil {
			return fail(err)
		}
		return 0
	}
	return g.runContainer(c, o, line)
}

// runTimeline is the timeline of run: of its own --timeline, or else a file in the
// directory for all commands.
func (g *globals) runTimeline(file, id string, plan bool) (*timeline, error) {
	if plan && file != "" {
		return nil, errors.New("--timeline: with --plan nothing runs, so there is nothing to time (isorun run --help)")
	}
	if file == "" && !plan {
		t, err := g.beginTimeline()
		if err != nil {
			return nil, err
		}
		if t != nil {
			file = timelineFile(g.timelines, id, "run")
		}
	}
	return openTimeline(file)
}

func printPlan(c *spec.Container, o foreground.Options, stdout io.Writer) error {
	p, err := foreground.Prepare(c, o)
	if err != nil {
		return err
	}
	return p.Print(stdout)
}

func (g *globals) runContainer(c *spec.Container, o foreground.Options, line *timeline) int {
	if line != nil {
		o.Idle = line.rehearse
	}
	result, err := foreground.Run(c, o)
	if werr := line.write(result.Container); err == nil {
		err = werr
	}
	if err != nil {
		return g.fail(foreground.ExitCode(err), err)
	}
	return result.Status.ExitCode()
}
