package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Check finds what cannot be honoured, or contradicts itself. The error names
// the field as config.json spells it. It also makes the paths absolute that the
// host is asked for, and takes LoopbackUp back where there is no network
// namespace of the container's own.
//
// What it leaves to others, which name the field too: linux.resources and
// linux.cgroupsPath to package cgroup, linux.seccomp to package seccomp, the
// ranges of the id maps to package idmap, process.capabilities to package
// capability, process.ioPriority, linux.personality and the words of
// linux.rootfsPropagation to package container.
func (c *Container) Check() error {
	for _, check := range []func() error{
		c.checkID, c.checkVersion, c.checkRoot, c.checkProcess, c.checkForeign, c.checkLimits, c.checkScheduler, c.checkUnsupported, c.checkModes,
		c.checkNamespaces, c.checkIDs, c.checkNames, c.checkMounts, c.checkPaths, c.checkDevices, c.checkSysctl, c.checkTime, c.checkHooks, c.checkNetDevices,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	c.LoopbackUp = c.LoopbackUp && c.own(specs.NetworkNamespace)
	return nil
}

// refusal is one thing that may be wrong.
type refusal struct {
	bad  bool
	text string // the field, and why
}

// first is the first that is.
func first(list []refusal) error {
	for _, f := range list {
		if f.bad {
			return fmt.Errorf("%s", f.text)
		}
	}
	return nil
}

func (c *Container) checkID() error {
	if c.ID == "" || c.ID == "." || c.ID == ".." {
		return fmt.Errorf("check container id %q: it needs letters, digits or some of \"_+-.\"", c.ID)
	}
	for _, r := range c.ID {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_+-.", r)) {
			return fmt.Errorf("check container id %q: invalid ID format: %q is none of letters, digits and \"_+-.\"", c.ID, r)
		}
	}
	if len(c.ID) > 200 {
		return fmt.Errorf("check container id: it has %d characters, the most is 200", len(c.ID))
	}
	return nil
}

// checkVersion takes every version 1: what is new in one of them is optional.
func (c *Container) checkVersion() error {
	if c.Version == "" {
		return nil
	}
	core, _, _ := strings.Cut(c.Version, "+")
	core, _, _ = strings.Cut(core, "-")
	parts := strings.Split(core, ".")
	good := len(parts) == 3 && parts[0] == "1"
	for _, p := range parts {
		good = good && p != "" && strings.Trim(p, "0123456789") == ""
	}
	if !good {
		return fmt.Errorf("ociVersion: %q is not known; 1.0.0 to %s are", c.Version, specs.Version)
	}
	return nil
}

func (c *Container) checkRoot() (err error) {
	if c.Bundle, err = filepath.Abs(c.Bundle); err != nil {
		return fmt.Errorf("find bundle %q: %w", c.Bundle, err)
	}
	switch {
	case c.HostRoot:
		return nil
	case c.Root == nil || c.Root.Path == "":
		return fmt.Errorf("root.path: there is no root file system")
	}
	p, err := filepath.EvalSymlinks(c.RootPath())
	switch {
	case os.IsNotExist(err):
		return fmt.Errorf("root.path: %q does not exist", c.RootPath())
	case err != nil:
		return fmt.Errorf("root.path: %w", err)
	case p == "/":
		return fmt.Errorf("root.path: %q is the host's root, which cannot be the container's", c.Root.Path)
	}
	info, err := os.Stat(p)
	switch {
	case err != nil:
		return fmt.Errorf("root.path: %w", err)
	case !info.IsDir():
		return fmt.Errorf("root.path: %q is not a directory", p)
	}
	c.Root.Path = p
	return nil
}

// checkUnsupported refuses what would be ignored otherwise.
func (c *Container) checkUnsupported() error {
	l := c.Linux
	if l == nil {
		return fmt.Errorf("linux: there is no section of that name")
	}
	list := []refusal{
		{l.MountLabel != "", "linux.mountLabel: SELinux labels are not supported; remove it"},
		{l.IntelRdt != nil, "linux.intelRdt: not supported; remove it"},
	}
	for _, f := range []struct {
		set  bool
		name string
	}{{c.Solaris != nil, "solaris"}, {c.Windows != nil, "windows"}, {c.VM != nil, "vm"}, {c.ZOS != nil, "zos"}, {c.FreeBSD != nil, "freebsd"}} {
		list = append(list, refusal{f.set, f.name + ": not supported; containers here are of Linux"})
	}
	return first(list)
}

// checkModes refuses what the ways to run that OCI has no word for leave out.
func (c *Container) checkModes() error {
	return first([]refusal{
		{c.HostRoot && c.Root != nil && c.Root.Readonly, "root.readonly: it is about a root of the container's own, and there is none"},
		{c.HostRoot && c.Overlay, "overlay: it is about a root of the container's own, and there is none"},
		{c.HostRoot && c.Linux.RootfsPropagation != "", "linux.rootfsPropagation: it is about a root of the container's own, and there is none"},
		{c.Strict && c.Linux.Seccomp != nil, "linux.seccomp: strict mode is the filter; remove one of them"},
		{c.Strict && c.Process.Terminal, "process.terminal: the payload of strict mode has no terminal; remove one of them"},
		{c.Strict && c.Init, "init: strict mode leaves no process that could be one; remove one of them"},
		{c.Strict && c.Hooks != nil && len(c.Hooks.StartContainer) > 0, "hooks.startContainer: strict mode leaves no process that could run them; remove one of them"},
		{c.Init && !c.own(specs.PIDNamespace), "init: it needs a pid namespace of the container's own"},
		{c.Connected && !c.own(specs.NetworkNamespace), "network: to connect it takes a network namespace of the container's own"},
	})
}

// own says whether the container gets a namespace of its own.
func (c *Container) own(kind specs.LinuxNamespaceType) bool {
	n, ok := c.Namespace(kind)
	return ok && n.Path == ""
}

// has says whether the container is in a namespace that it names, its own or one
// that it joins.
func (c *Container) has(kind specs.LinuxNamespaceType) bool {
	_, ok := c.Namespace(kind)
	return ok
}

// isUser says whether the container is in a user namespace that is not the
// caller's.
func (c *Container) isUser() bool {
	return c.has(specs.UserNamespace)
}
