package spec

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Check finds what cannot be honoured, or contradicts itself. The error names
// the field as config.json spells it. It also makes the paths absolute that the
// host is asked for.
func (c *Container) Check() error {
	for _, check := range []func() error{
		c.checkID, c.checkVersion, c.checkRoot, c.checkProcess, c.checkUnsupported, c.checkNamespaces, c.checkMounts, c.checkSysctl,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Container) checkID() error {
	if c.ID == "" || c.ID == "." || c.ID == ".." {
		return fmt.Errorf("check container id %q: it needs letters, digits or one of _+-.", c.ID)
	}
	for _, r := range c.ID {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_+-.", r)) {
			return fmt.Errorf("check container id %q: %q is none of letters, digits and _+-.", c.ID, r)
		}
	}
	if len(c.ID) > 200 {
		return fmt.Errorf("check container id: it has %d characters, the most is 200", len(c.ID))
	}
	return nil
}

func (c *Container) checkVersion() error {
	if c.Version != "" && !strings.HasPrefix(c.Version, "1.") {
		return fmt.Errorf("ociVersion: %q is not known, 1.0 to %s are", c.Version, specs.Version)
	}
	return nil
}

func (c *Container) checkRoot() error {
	switch {
	case c.HostRoot:
		return nil
	case c.Root == nil || c.Root.Path == "":
		return fmt.Errorf("root.path: there is no root file system")
	}
	p := c.RootPath()
	if p == "/" {
		return fmt.Errorf("root.path: %q is the host's root, which cannot be the container's", c.Root.Path)
	}
	info, err := os.Stat(p)
	switch {
	case os.IsNotExist(err):
		return fmt.Errorf("root.path: %q does not exist", p)
	case err != nil:
		return fmt.Errorf("root.path: %w", err)
	case !info.IsDir():
		return fmt.Errorf("root.path: %q is not a directory", p)
	}
	if p, err = filepath.EvalSymlinks(p); err != nil {
		return fmt.Errorf("root.path: %w", err)
	}
	c.Root.Path = p
	return nil
}

func (c *Container) checkProcess() error {
	p := c.Process
	switch {
	case p == nil:
		return fmt.Errorf("process: there is none")
	case len(p.Args) == 0 && !c.Strict:
		return fmt.Errorf("process.args: there is no command")
	case len(p.Args) > 0 && p.Args[0] == "" && !c.Strict:
		return fmt.Errorf("process.args[0]: the command is empty")
	case !path.IsAbs(p.Cwd):
		return fmt.Errorf("process.cwd: %q is not absolute", p.Cwd)
	case p.ApparmorProfile != "":
		return fmt.Errorf("process.apparmorProfile: AppArmor profiles are not supported")
	case p.SelinuxLabel != "":
		return fmt.Errorf("process.selinuxLabel: SELinux labels are not supported")
	case p.CommandLine != "":
		return fmt.Errorf("process.commandLine: it is for Windows")
	case p.User.Username != "":
		return fmt.Errorf("process.user.username: it is for Windows; on Linux give uid and gid")
	}
	for i, e := range p.Env {
		if strings.IndexByte(e, '=') < 1 {
			return fmt.Errorf("process.env[%d]: %q is not NAME=VALUE", i, e)
		}
	}
	for i, text := range append(append([]string{}, p.Args...), p.Env...) {
		if strings.ContainsRune(text, 0) {
			if i < len(p.Args) {
				return fmt.Errorf("process.args[%d]: it contains a NUL", i)
			}
			return fmt.Errorf("process.env[%d]: it contains a NUL", i-len(p.Args))
		}
	}
	for i, l := range p.Rlimits {
		if _, ok := resource(l.Type); !ok {
			return fmt.Errorf("process.rlimits[%d].type: %q is not a limit of this kernel", i, l.Type)
		}
		if l.Soft > l.Hard {
			return fmt.Errorf("process.rlimits[%d]: soft %d is more than hard %d", i, l.Soft, l.Hard)
		}
	}
	return nil
}

// checkUnsupported refuses what would be ignored otherwise.
func (c *Container) checkUnsupported() error {
	l := c.Linux
	if l == nil {
		l = &specs.Linux{}
	}
	hooks := c.Hooks != nil && len(c.Hooks.Prestart)+len(c.Hooks.CreateRuntime)+len(c.Hooks.CreateContainer)+
		len(c.Hooks.StartContainer)+len(c.Hooks.Poststart)+len(c.Hooks.Poststop) > 0 //nolint:staticcheck // prestart is deprecated, and still to be refused
	for _, f := range []struct {
		set  bool
		name string
	}{
		{hooks, "hooks"}, {c.Solaris != nil, "solaris"}, {c.Windows != nil, "windows"}, {c.VM != nil, "vm"}, {c.ZOS != nil, "zos"}, {c.FreeBSD != nil, "freebsd"},
		{l.IntelRdt != nil, "linux.intelRdt"}, {l.MountLabel != "", "linux.mountLabel"}, {len(l.NetDevices) > 0, "linux.netDevices"},
		{l.MemoryPolicy != nil, "linux.memoryPolicy"},
		{c.Process.ExecCPUAffinity != nil, "process.execCPUAffinity"},
		{c.Root != nil && c.Root.Readonly && c.HostRoot, "root.readonly without a root"},
	} {
		if f.set {
			return fmt.Errorf("%s: not supported", f.name)
		}
	}
	return nil
}

func (c *Container) checkNamespaces() error {
	seen := map[specs.LinuxNamespaceType]bool{}
	if c.Linux == nil {
		return fmt.Errorf("linux: there is no section of that name")
	}
	for i, n := range c.Linux.Namespaces {
		if _, ok := Flag(n.Type); !ok {
			return fmt.Errorf("linux.namespaces[%d].type: %q is not a namespace of Linux", i, n.Type)
		}
		if seen[n.Type] {
			return fmt.Errorf("linux.namespaces[%d].type: %q is there twice", i, n.Type)
		}
		seen[n.Type] = true
		if n.Path != "" && !filepath.IsAbs(n.Path) {
			return fmt.Errorf("linux.namespaces[%d].path: %q is not absolute", i, n.Path)
		}
	}
	l := c.Linux
	own := func(t specs.LinuxNamespaceType) bool {
		n, ok := c.Namespace(t)
		return ok && n.Path == ""
	}
	maps := len(l.UIDMappings)+len(l.GIDMappings) > 0
	for _, f := range []struct {
		bad  bool
		text string
	}{
		{!seen[specs.MountNamespace] && (!c.HostRoot || len(c.Mounts)+len(c.Linux.MaskedPaths)+len(c.Linux.ReadonlyPaths)+len(c.Linux.Sysctl) > 0), "linux.namespaces: without a mount namespace the container's mounts would be the host's"},
		{maps && !own(specs.UserNamespace), "linux.uidMappings: they need a user namespace of the container's own"},
		{!maps && own(specs.UserNamespace), "linux.uidMappings: a user namespace needs them"},
		{c.Hostname != "" && !own(specs.UTSNamespace), "hostname: it needs a uts namespace of the container's own"},
		{c.Domainname != "" && !own(specs.UTSNamespace), "domainname: it needs a uts namespace of the container's own"},
		{len(l.TimeOffsets) > 0 && !own(specs.TimeNamespace), "linux.timeOffsets: they need a time namespace of the container's own"},
		{c.Init && !own(specs.PIDNamespace), "init: it needs a pid namespace of the container's own"},
	} {
		if f.bad {
			return fmt.Errorf("%s", f.text)
		}
	}
	return nil
}

func (c *Container) checkMounts() error {
	for i := range c.Mounts {
		m := &c.Mounts[i]
		if m.Destination == "" {
			return fmt.Errorf("mounts[%d].destination: it is empty", i)
		}
		bind := m.Type == "bind"
		for _, o := range m.Options {
			bind = bind || o == "bind" || o == "rbind"
		}
		if bind {
			if m.Source == "" {
				return fmt.Errorf("mounts[%d].source: a bind needs one", i)
			}
			m.Source = c.path(m.Source)
		}
	}
	return nil
}

// checkSysctl refuses parameters that are the host's: only those of a
// namespace of the container's own may be set.
func (c *Container) checkSysctl() error {
	for key := range c.Linux.Sysctl {
		dotted := strings.ReplaceAll(key, "/", ".")
		var kind specs.LinuxNamespaceType
		switch {
		case strings.HasPrefix(dotted, "net."):
			kind = specs.NetworkNamespace
		case strings.HasPrefix(dotted, "fs.mqueue."), dotted == "kernel.sem", strings.HasPrefix(dotted, "kernel.shm"), strings.HasPrefix(dotted, "kernel.msg"):
			kind = specs.IPCNamespace
		case dotted == "kernel.domainname", dotted == "kernel.hostname":
			kind = specs.UTSNamespace
		default:
			return fmt.Errorf("linux.sysctl[%q]: it belongs to the host, not to a namespace", key)
		}
		if n, ok := c.Namespace(kind); !ok || n.Path != "" {
			return fmt.Errorf("linux.sysctl[%q]: it needs a %s namespace of the container's own", key, kind)
		}
		if strings.Contains(key, "..") || strings.HasPrefix(key, "/") {
			return fmt.Errorf("linux.sysctl[%q]: not a parameter's name", key)
		}
	}
	return nil
}
