package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"isoperf/runtime/lifecycle"
	"isoperf/runtime/program"
)

// commands are all that use the state directory. In a function, since their
// functions use it.
func commands() []command {
	return []command{
		{name: "create", about: "make a container that waits for its start", args: "ID", run: create},
		{name: "start", about: "let a created container execute its command", args: "ID", run: startContainer},
		{name: "state", about: "print where a container is in its life", args: "ID", run: printState},
		{name: "kill", about: "send a signal to a container", args: "ID [SIGNAL]", run: kill},
		{name: "delete", about: "remove a container that has stopped", args: "ID", run: remove},
		{name: "exec", about: "execute one more command in a container", args: "ID [--] COMMAND [ARG…]", run: execute},
		{name: "list", about: "print the containers", args: "", run: list},
		{name: "ps", about: "print the processes of a container", args: "ID [PS-ARG…]", run: listProcesses},
		{name: "pause", about: "have all processes of a container stand still", args: "ID", run: pause},
		{name: "resume", about: "let the processes of a paused container go on", args: "ID", run: resume},
		{name: "update", about: "change the limits of a container", args: "ID", run: update},
		{name: "events", about: "print what a container uses, and when its memory ran out", args: "ID", run: events},
		{name: "features", about: "print what this runtime knows of the specification", args: "", run: printFeatures},
		{name: "spec", about: "write a config.json to begin with", args: "", run: writeSpec},
	}
}

// createFlags are the flags of create, which run has, too.
func createFlags(o *lifecycle.CreateOptions, noPivot *bool, preserve *string) flagSet {
	o.Bundle, *preserve = ".", "0"
	return flagSet{
		{short: "b", long: "bundle", value: "DIR", text: &o.Bundle, preset: o.Bundle, help: "directory with config.json and the root file system"},
		{long: "console-socket", value: "FILE", text: &o.ConsoleSocket, help: "unix socket that gets the terminal, when the process has one"},
		{long: "pid-file", value: "FILE", text: &o.PidFile, help: "file that gets the number of the container's process"},
		{long: "no-pivot", on: noPivot, help: "refused: the root is always pivoted"},
		{long: "no-new-keyring", on: &o.KeepKeyring, help: "the container has the caller's session keyring"},
		{long: "preserve-fds", value: "N", text: preserve, preset: "0", help: "so many descriptors from 3 on are the container's, too"},
	}
}

// settleCreate looks at what the flags of create say.
func settleCreate(o *lifecycle.CreateOptions, noPivot bool, preserve string) error {
	switch {
	case noPivot:
		return fmt.Errorf("--no-pivot: not supported: the root is always pivoted, which also works on a ramdisk here; leave it out")
	}
	o.Stdio, o.Listen = [3]int{0, 1, 2}, listening()
	var err error
	o.Preserve, err = preserved(preserve, o.Listen)
	return err
}

func create(g *globals, c *call) error {
	defer program.TakeSpare(0) // also when there is no container
	var o lifecycle.CreateOptions
	var noPivot bool
	var preserve string
	if err := c.parse(createFlags(&o, &noPivot, &preserve), 1, 1); err != nil {
		return err
	}
	if err := settleCreate(&o, noPivot, preserve); err != nil {
		return err
	}
	r, err := g.runtime()
	if err != nil {
		return err
	}
	o.ID = c.args[0]
	return r.Create(context.Background(), o)
}

func startContainer(g *globals, c *call) error {
	if err := c.parse(nil, 1, 1); err != nil {
		return err
	}
	r, err := g.runtime()
	if err != nil {
		return err
	}
	return r.Start(c.args[0])
}

func kill(g *globals, c *call) error {
	all := false
	if err := c.parse(flagSet{{short: "a", long: "all", on: &all, help: "send it to all processes of the container"}}, 1, 2); err != nil {
		return err
	}
	name := "SIGTERM"
	if len(c.args) == 2 {
		name = c.args[1]
	}
	sig, err := parseSignal(name)
	if err != nil {
		return err
	}
	r, err := g.runtime()
	if err != nil {
		return err
	}
	return r.Kill(c.args[0], sig, all)
}

// parseSignal reads a number, or a name with or without SIG.
func parseSignal(name string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && n <= 64 { // 0 only asks whether it could be sent
		return syscall.Signal(n), nil
	}
	upper := "SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")
	if sig := unix.SignalNum(upper); sig != 0 {
		return sig, nil
	}
	for _, real := range []struct {
		name string
		base int
		sign byte
	}{{"SIGRTMIN", 34, '+'}, {"SIGRTMAX", 64, '-'}} {
		rest, ok := strings.CutPrefix(upper, real.name)
		if !ok {
			continue
		}
		n, err := 0, error(nil)
		if rest != "" && rest[0] == real.sign {
			n, err = strconv.Atoi(rest)
		} else if rest != "" {
			break
		}
		if n += real.base; err == nil && n >= 34 && n <= 64 {
			return syscall.Signal(n), nil
		}
	}
	return 0, fmt.Errorf("unknown signal %q: give a number from 0 to 64, or a name such as SIGTERM or TERM", name)
}

func remove(g *globals, c *call) error {
	force := false
	if err := c.parse(flagSet{{short: "f", long: "force", on: &force, help: "kill it when it still runs; remove also what is left of one"}}, 1, 1); err != nil {
		return err
	}
	r, err := g.runtime()
	if err != nil {
		return err
	}
	return r.Delete(c.args[0], force)
}
