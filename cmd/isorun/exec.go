package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/foreground"
	"isoperf/runtime/lifecycle"
	"isoperf/runtime/spec"
)

// execFlags are what "isorun exec" is told.
type execFlags struct {
	lifecycle.ExecOptions
	file, cwd, user            string // of the process
	apparmor, label            string
	env, gids, caps            []string
	tty, noNewPrivs, privsSaid bool
	preserve                   string
}

func (f *execFlags) flags() flagSet {
	f.preserve = "0"
	return flagSet{
		{long: "console-socket", value: "FILE", text: &f.ConsoleSocket, help: "unix socket that gets the terminal, with -t and -d"},
		{long: "cwd", value: "DIR", text: &f.cwd, help: "directory in the container to start in"},
		{short: "e", long: "env", value: "NAME=VALUE", list: &f.env, help: "an environment variable; may be given several times, like those with a star"},
		{short: "t", long: "tty", on: &f.tty, help: "give it a terminal"},
		{short: "u", long: "user", value: "UID[:GID]", text: &f.user, help: "who it runs as"},
		{short: "g", long: "additional-gids", value: "GID", list: &f.gids, help: "one more group*"},
		{short: "p", long: "process", value: "FILE", text: &f.file, help: "read the process from a file, in place of the container's own and all flags about it"},
		{short: "d", long: "detach", on: &f.Detach, help: "return when the command is executed"},
		{long: "pid-file", value: "FILE", text: &f.PidFile, help: "file that gets the number of the process"},
		{long: "process-label", value: "LABEL", text: &f.label, help: "SELinux label"},
		{long: "apparmor", value: "PROFILE", text: &f.apparmor, help: "AppArmor profile"},
		{long: "no-new-privs", on: &f.noNewPrivs, given: &f.privsSaid, help: "no execve gives privileges"},
		{short: "c", long: "cap", value: "NAME", list: &f.caps, help: "one more capability*"},
		{long: "preserve-fds", value: "N", text: &f.preserve, preset: "0", help: "so many descriptors from 3 on are its own, too"},
		{long: "cgroup", value: "[CONTROLLER:]PATH", list: &f.Cgroups, help: "group below the container's to run in*"},
		{long: "ignore-paused", on: &f.IgnorePaused, help: "let it enter a paused container, where it waits"},
	}
}

// execute is "isorun exec". Its own failures are 255, as runc's are.
func execute(g *globals, c *call) error {
	f := &execFlags{}
	var err error
	c.flags = f.flags()
	c.args, err = c.flags.parse(c.args, true) // what is behind the ID is the command's
	if err == nil && len(c.args) == 0 {
		err = errors.New("a container ID is needed (isorun exec --help)")
	}
	switch {
	case err == errHelp:
		return err
	case err != nil:
		return exitCode(g.fail(255, fmt.Errorf("exec failed: %w", err)))
	}
	status, err := f.run(g, c.args)
	if err != nil {
		return exitCode(g.fail(255, fmt.Errorf("exec failed: %w", err)))
	}
	if status != 0 {
		return exitCode(status)
	}
	return nil
}

func (f *execFlags) run(g *globals, args []string) (status int, err error) {
	if f.Preserve, err = preserved(f.preserve, 0); err != nil {
		return 0, err
	}
	if f.PidFile != "" {
		if f.PidFile, err = filepath.Abs(f.PidFile); err != nil {
			return 0, fmt.Errorf("--pid-file: %w", err)
		}
	}
	f.ID, args = args[0], args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	f.Stdio = [3]int{0, 1, 2}
	f.Process = func(own *specs.Process) (*specs.Process, error) { return f.process(own, args) }
	r, err := g.runtime()
	if err != nil {
		return 0, err
	}
	e, err := r.Exec(f.ExecOptions)
	if err != nil {
		return 0, err
	}
	defer e.Close()
	if f.Detach {
		return 0, e.Detach(context.Background())
	}
	result, err := foreground.Run(e.Spec, foreground.Options{
		Container: e.Options, In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Final: true, Started: e.Started,
		Warn: func(text string) { g.write("warning", text) }, // the caller asked for the container's, not for these
	})
	if err != nil {
		return 0, e.Explain(err)
	}
	return result.Status.ExitCode(), nil
}

// process is the container's own with what the flags say, or that of the file.
func (f *execFlags) process(p *specs.Process, args []string) (*specs.Process, error) {
	if f.file != "" {
		return spec.LoadProcess(f.file)
	}
	if len(args) == 0 {
		return nil, errors.New("exec args cannot be empty: give a command behind the container's ID")
	}
	p.Args, p.Terminal, p.ConsoleSize = args, f.tty, nil
	if f.cwd != "" {
		p.Cwd = f.cwd
	}
	if f.apparmor != "" {
		p.ApparmorProfile = f.apparmor
	}
	if f.label != "" {
		p.SelinuxLabel = f.label
	}
	if f.privsSaid {
		p.NoNewPrivileges = f.noNewPrivs
	}
	p.Env = slices.Clone(p.Env)
	for _, e := range f.env {
		name, _, _ := strings.Cut(e, "=")
		p.Env = slices.DeleteFunc(p.Env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		p.Env = append(p.Env, e)
	}
	if len(f.caps) > 0 {
		addCapabilities(p, f.caps)
	}
	return p, f.identity(p)
}

// addCapabilities adds some to what the container's own process has. They are
// ambient only where some are inheritable, as in runc.
func addCapabilities(p *specs.Process, names []string) {
	c := specs.LinuxCapabilities{}
	if p.Capabilities != nil {
		c = *p.Capabilities
	}
	for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Permitted} {
		*set = append(slices.Clone(*set), names...)
	}
	if c.Inheritable != nil {
		c.Ambient = append(slices.Clone(c.Ambient), names...)
	}
	p.Capabilities = &c
}

// identity is who it runs as.
func (f *execFlags) identity(p *specs.Process) error {
	id := func(flag, text string) (uint32, error) {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("%s: %q is no number of a user or group; names are not looked up", flag, text)
		}
		return uint32(n), nil
	}
	var err error
	if f.user != "" {
		user, group, both := strings.Cut(f.user, ":")
		if p.User.UID, err = id("--user", user); err != nil {
			return err
		}
		if both {
			if p.User.GID, err = id("--user", group); err != nil {
				return err
			}
		}
	}
	for _, text := range f.gids {
		gid, err := id("--additional-gids", text)
		if err != nil {
			return err
		}
		p.User.AdditionalGids = append(slices.Clone(p.User.AdditionalGids), gid)
	}
	return nil
}
