package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"isoperf/runtime/jsontext"
	"isoperf/runtime/lifecycle"
	"isoperf/runtime/state"
)

// globals are the flags before the command, and where it prints.
type globals struct {
	stdout, stderr              io.Writer
	root, log, logFormat        string
	rootless, criu              string
	systemd, debug, showVersion bool
	logged                      *os.File // of --log; nil: there is none
	timelines                   string   // directory for timelines; empty: none are written
	line                        *timeline
}

func (g *globals) flags() flagSet {
	g.logFormat = "text"
	return flagSet{
		{long: "root", value: "DIR", text: &g.root, help: "where containers are kept (default /run/isorun, or $XDG_RUNTIME_DIR/isorun); one in the foreground is not"},
		{long: "log", value: "FILE", text: &g.log, help: "append errors and warnings to a file, too"},
		{long: "log-format", value: "FORMAT", text: &g.logFormat, preset: g.logFormat, help: "of the log: text or json"},
		{long: "timeline", value: "DIR", text: &g.timelines, help: "leave the command's timeline in a file of its own there (isoperf report DIR)"},
		{long: "systemd-cgroup", on: &g.systemd, help: "have systemd make the control groups"},
		{long: "debug", on: &g.debug, help: "accepted: there is nothing more to tell"},
		{long: "rootless", value: "BOOL", text: &g.rootless, help: "true, false or auto, accepted: it is looked for"},
		{long: "criu", value: "FILE", text: &g.criu, help: "accepted: nothing is checkpointed"},
		{short: "v", long: "version", on: &g.showVersion, help: "print the version"},
	}
}

// command is one of the commands that need the state directory.
type command struct {
	name, about string
	args        string // what the usage calls its arguments
	run         func(g *globals, c *call) error
}

// call is a command with its arguments.
type call struct {
	command
	args  []string
	flags flagSet
}

// parse reads a command's flags, and says whether the number of other arguments
// is right; most: -1 is any.
func (c *call) parse(flags flagSet, least, most int) error {
	c.flags = flags
	rest, err := flags.parse(c.args, false)
	if err != nil {
		return err
	}
	c.args = rest
	if len(rest) < least || most >= 0 && len(rest) > most {
		return c.wrongNumber(len(rest))
	}
	return nil
}

// parseCommand is parse of a command whose other arguments begin with the first
// that is no flag, and may look like flags.
func (c *call) parseCommand(flags flagSet, least int) error {
	c.flags = flags
	rest, err := flags.parse(c.args, true)
	if err != nil {
		return err
	}
	c.args = rest
	if len(rest) < least {
		return c.wrongNumber(len(rest))
	}
	return nil
}

func (c *call) wrongNumber(n int) error {
	usage := strings.TrimSpace("isorun " + c.name + " " + c.command.args)
	return fmt.Errorf("arguments given: %d; usage: %s", n, usage)
}

// do runs a command; the result is the exit status.
func (g *globals) do(c command, args []string) int {
	err := g.openLog()
	if err == nil {
		g.line, err = g.beginTimeline()
	}
	if err == nil {
		invoked := &call{command: c, args: args}
		err = c.run(g, invoked)
		if err == errHelp {
			fmt.Fprintf(g.stdout, "isorun %s: %s.\n\nUsage:\n  isorun [global flags] %s [flags] %s\n", c.name, c.about, c.name, c.args)
			if text := invoked.flags.usage(); text != "" {
				fmt.Fprintf(g.stdout, "\nFlags:\n%s", text)
			}
			return 0
		}
		if err == nil {
			g.keepTimeline(invoked)
		}
	}
	if err == nil {
		return 0
	}
	var code exitCode
	if errors.As(err, &code) {
		return int(code)
	}
	return g.fail(1, err)
}

// wrong is the end of what is no command: engines read the log there, too.
func (g *globals) wrong(err error) int {
	if g.openLog() != nil {
		g.logged = nil // it is wrong, too; one error is enough
	}
	return g.fail(1, err)
}

// keepTimeline leaves the timeline of a command that went well. That it cannot is
// no failure of the command, which has been done.
func (g *globals) keepTimeline(c *call) {
	id := ""
	if len(c.args) > 0 {
		id = c.args[0]
	}
	if err := g.line.keep(g.timelines, id, c.name); err != nil {
		g.warn(err.Error())
	}
}

// exitCode is an exit status with nothing more to say.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit status %d", int(c)) }

// fail prints an error, where engines read it.
func (g *globals) fail(code int, err error) int {
	fmt.Fprintf(g.stderr, "isorun: %v\n", err)
	g.write("error", err.Error())
	return code
}

// warn tells what goes on without what was asked for.
func (g *globals) warn(text string) {
	if g.logged == nil {
		fmt.Fprintf(g.stderr, "isorun: warning: %s\n", text)
	}
	g.write("warning", text)
}

func (g *globals) openLog() error {
	if g.logFormat != "text" && g.logFormat != "json" {
		return fmt.Errorf("--log-format: %q is none of text and json", g.logFormat)
	}
	if g.log == "" {
		return nil
	}
	f, err := os.OpenFile(g.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND|os.O_SYNC, 0o644)
	if err != nil {
		return fmt.Errorf("--log: %w", err)
	}
	g.logged = f
	return nil
}

// write adds a line to the log, in the form of the logger that runc uses.
func (g *globals) write(level, text string) {
	if g.logged == nil {
		return
	}
	now := time.Now().Format(time.RFC3339)
	w := jsontext.Writer{}
	if g.logFormat == "json" {
		w.Open('{')
		w.Name("level")
		w.String(level)
		w.Name("msg")
		w.String(text)
		w.Name("time")
		w.String(now)
		w.Close('}')
	} else {
		w.Text = fmt.Appendf(w.Text, "time=%q level=%s msg=", now, level)
		w.String(text)
	}
	// A log that cannot be written is no reason to fail: the error is on standard
	// error, too.
	_, _ = g.logged.Write(append(w.Text, '\n'))
}

// runtime is the runtime that the flags describe.
func (g *globals) runtime() (*lifecycle.Runtime, error) {
	root := state.Root(g.root)
	if root == "" {
		var err error
		if root, err = state.DefaultRoot(); err != nil {
			return nil, err
		}
	}
	r := &lifecycle.Runtime{Root: root, Warn: g.warn, Systemd: g.systemd, Notify: os.Getenv("NOTIFY_SOCKET")}
	if g.line != nil {
		r.Step, r.Ready = g.line.mark, g.line.ready
	}
	return r, nil
}

// open opens a container that is there; it must be closed.
func (g *globals) open(id string) (*lifecycle.Container, error) {
	r, err := g.runtime()
	if err != nil {
		return nil, err
	}
	return r.Open(id)
}
