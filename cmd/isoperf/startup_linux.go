package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/google/shlex"
	"golang.org/x/sys/unix"

	"isoperf/bench/sample"
	"isoperf/bench/startup"
)

// startup is what the flags of bench say of the family startup.
func (o benchFlags) startup(observe func(sample.Observed) error) (startup.Config, error) {
	c := startup.Config{Observe: observe}
	var err error
	if c.Self, err = os.Executable(); err != nil {
		return c, cannot(fmt.Errorf("find this program: %w", err))
	}
	for _, text := range o.runtimes {
		choice, err := startup.ParseChoice(text)
		if err != nil {
			return c, usage("--runtime %v", err)
		}
		for _, other := range c.Runtimes {
			if other.Name == choice.Name {
				return c, usage("--runtime %s is there twice: two of a kind need names of their own, as in old=/usr/bin/%s", choice.Name, choice.Name)
			}
		}
		c.Runtimes = append(c.Runtimes, choice)
	}
	for _, dir := range []struct {
		flag, given, holds string
		to                 *string
	}{{"--bundle", o.bundle, "config.json", &c.Bundle}, {"--rootfs", o.rootfs, ".", &c.Rootfs}} {
		if dir.given == "" {
			continue
		}
		if *dir.to, err = filepath.Abs(dir.given); err != nil {
			return c, usage("%s %q: %v", dir.flag, dir.given, err)
		}
		if _, err := os.Stat(filepath.Join(*dir.to, dir.holds)); err != nil {
			return c, usage("%s %q: %v", dir.flag, dir.given, err)
		}
	}
	if c.Exec, err = shlex.Split(o.exec); err != nil {
		return c, usage("--exec %q: %v", o.exec, err)
	}
	if len(c.Exec) > 0 && c.Bundle == "" && c.Rootfs == "" {
		return c, usage("--exec %q: the usual container has nothing but the payload; say with --bundle or --rootfs where the command is", o.exec)
	}
	return c, nil
}

// isStartup says whether a case is of a family that starts runtimes.
func isStartup(c chosen) bool { return strings.HasPrefix(c.family, "startup") }

// concerns refuses flags of startup when nothing of it was asked for.
func (o benchFlags) concerns(selected []chosen) error {
	for _, what := range o.allow {
		if what != "favordynmods" {
			return usage("--allow %q: there is only favordynmods, an option of the cgroup2 hierarchy", what)
		}
		if !slices.ContainsFunc(selected, func(s chosen) bool { return s.family == "cgroup-op" }) {
			return usage("--allow favordynmods is of the family cgroup-op: isoperf bench cgroup-op --allow favordynmods")
		}
	}
	if o.wide && !slices.ContainsFunc(selected, func(s chosen) bool { return s.family == "cpu-max" }) {
		return usage("--wide is of the family cpu-max: isoperf bench cpu-max --wide")
	}
	for _, c := range selected {
		if isStartup(c) {
			return nil
		}
	}
	if len(o.runtimes) > 0 || o.bundle != "" || o.rootfs != "" || o.exec != "" {
		return usage("--runtime, --bundle, --rootfs and --exec are of the family startup: isoperf bench startup …")
	}
	return nil
}

// insideGuard and insideMounts mark the process that has a guard; the second one
// has mounts of its own besides.
const (
	insideGuard  = "ISOPERF_INSIDE_GUARD"
	insideMounts = "ISOPERF_INSIDE_MOUNT_NAMESPACE"
)

// surroundings brings the run where it can be measured. Namespaces need root or
// a user namespace; runtimes are started as who calls, by a child of this process,
// which guards what they start. Where the control groups are hybrid, which one of
// the peers refuses, all are started in mounts of this run's own, in which they
// are of version 1.
func (c *cli) surroundings(selected []chosen) (done bool, err error) {
	starts, others := 0, 0
	for _, s := range selected {
		if isStartup(s) {
			starts++
		} else {
			others++
		}
	}
	switch {
	case others > 0 && starts > 0 && !sysAdmin():
		return false, usage("as an ordinary user the startup families are measured by themselves: the others need a user namespace, in which a runtime is not what you run; ask for them one after the other")
	case starts == 0:
		return c.enterUserNamespace()
	}
	hybrid := false
	if os.Geteuid() == 0 {
		if hybrid, err = startup.Hybrid(); err != nil {
			return false, cannot(err)
		}
	}
	if hybrid && others > 0 {
		return false, usage("the startup families are measured by themselves here: for them the hybrid control groups are made ones of version 1; ask for them one after the other")
	}
	if done, err := c.guarded(hybrid); done || err != nil || !hybrid {
		return done, err
	}
	if err := startup.HideUnified(); err != nil {
		return false, cannot(err)
	}
	return false, nil
}

// guarded runs this command again, and clears away what is left when it is
// killed. When this process is killed instead, the other ends in order, as after
// Ctrl-C. ownMounts: it gets a mount namespace. In the process that has a guard
// already it does nothing, and done is false.
func (c *cli) guarded(ownMounts bool) (done bool, err error) {
	if os.Getenv(insideMounts) != "" {
		return false, nil
	}
	if os.Getenv(insideGuard) != "" {
		if err := os.Unsetenv(insideGuard); err != nil { // it is not for what runs below
			return false, cannot(fmt.Errorf("forget the guard: %w", err))
		}
		return false, nil
	}
	guard, err := startup.NewGuard()
	if err != nil {
		return false, cannot(err)
	}
	attr, mark := &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}, insideGuard
	if ownMounts {
		attr.Unshareflags, mark = unix.CLONE_NEWNS, insideMounts
	}
	return c.again(mark, "start the process that measures", attr, guard.Clear)
}

// stuck ends a run whose start hangs and may not be killed: what waits for it does
// not come back, and no sample that was taken is lost.
func (c *cli) stuck(w *sample.Writer, err error) {
	c.clearProgress()
	fmt.Fprintf(c.stderr, "isoperf: %v\n", err)
	if werr := w.End(sample.Ending{Why: "failed: " + err.Error()}); werr != nil {
		fmt.Fprintf(c.stderr, "isoperf: %v\n", werr)
	}
	os.Exit(exitFailed)
}
