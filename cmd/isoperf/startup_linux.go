package main

import (
	"fmt"
	"os"
	"path/filepath"
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

// insideMounts marks the process that has mounts of its own.
const insideMounts = "ISOPERF_INSIDE_MOUNT_NAMESPACE"

// surroundings brings the run where it can be measured. Namespaces need root or
// a user namespace; runtimes are started as who calls. Where the control groups
// are hybrid, which one of the peers refuses, all are started in mounts of this
// run's own, in which they are of version 1.
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
	case os.Geteuid() != 0:
		return false, nil
	}
	hybrid, err := startup.Hybrid()
	switch {
	case err != nil:
		return false, cannot(err)
	case !hybrid:
		return false, nil
	case others > 0:
		return false, usage("the startup families are measured by themselves here: for them the hybrid control groups are made ones of version 1; ask for them one after the other")
	}
	if os.Getenv(insideMounts) == "" {
		return c.again(insideMounts, "make a mount namespace", &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS})
	}
	if err := startup.HideUnified(); err != nil {
		return false, cannot(err)
	}
	return false, nil
}
