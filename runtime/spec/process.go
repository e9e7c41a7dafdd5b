package spec

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/jsontext"
)

// LoadProcess reads a file that holds what config.json has under "process".
func LoadProcess(name string) (*specs.Process, error) {
	text, err := read(name)
	if err != nil {
		return nil, fmt.Errorf("read process: %w", err)
	}
	p := &specs.Process{}
	if err := jsontext.Parse(text, p, readProcess); err != nil {
		return nil, fmt.Errorf("parse %q: %w", name, err)
	}
	return p, nil
}

// With is the container with another process, as it enters a container that
// there is: its namespaces, whose clone flags are given, are joined rather than
// made, and nothing but the process and what confines it is looked at.
//
// What the process leaves out it has from the container's own, as in runc:
// capabilities, limits, labels, scheduling, umask and the OOM score; but not
// no_new_privs.
func (c *Container) With(p *specs.Process, join uint64) (*Container, error) {
	process := *p
	inherit(&process, c.Process)
	own, whole := *c, *c.Spec
	own.Spec, whole.Process = &whole, &process
	for _, check := range []func() error{own.checkProcess, own.checkForeign, own.checkLimits, own.checkScheduler, own.checkIDs} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	linux := specs.Linux{Seccomp: c.Linux.Seccomp, Personality: c.Linux.Personality}
	for _, kind := range allTypes() {
		if flag, _ := Flag(kind); join&flag != 0 {
			linux.Namespaces = append(linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: "/proc/PID/ns"})
		}
	}
	return &Container{
		Spec: &specs.Spec{Version: c.Version, Process: &process, Annotations: c.Annotations, Linux: &linux},
		ID:   c.ID, Bundle: c.Bundle, HostRoot: true,
	}, nil
}

// inherit fills what a process leaves out.
func inherit(p, from *specs.Process) {
	if p.Capabilities == nil {
		p.Capabilities = from.Capabilities
	}
	if len(p.Rlimits) == 0 {
		p.Rlimits = from.Rlimits
	}
	if p.ApparmorProfile == "" {
		p.ApparmorProfile = from.ApparmorProfile
	}
	if p.SelinuxLabel == "" {
		p.SelinuxLabel = from.SelinuxLabel
	}
	if p.OOMScoreAdj == nil {
		p.OOMScoreAdj = from.OOMScoreAdj
	}
	if p.Scheduler == nil {
		p.Scheduler = from.Scheduler
	}
	if p.IOPriority == nil {
		p.IOPriority = from.IOPriority
	}
	if p.ExecCPUAffinity == nil {
		p.ExecCPUAffinity = from.ExecCPUAffinity
	}
	if p.User.Umask == nil {
		p.User.Umask = from.User.Umask
	}
	if p.Env == nil {
		p.Env = []string{}
	}
}

// checkForeign checks what a process has that is of another system, or that not
// every kernel has.
func (c *Container) checkForeign() error {
	p := c.Process
	if err := first([]refusal{
		{p.CommandLine != "", "process.commandLine: it is for Windows; give process.args"},
		{p.User.Username != "", "process.user.username: it is for Windows; give uid and gid"},
		{strings.IndexByte(p.ApparmorProfile, 0) >= 0, "process.apparmorProfile: it contains a NUL"},
		{strings.IndexByte(p.SelinuxLabel, 0) >= 0, "process.selinuxLabel: it contains a NUL"},
		{p.ApparmorProfile != "" && !hasAppArmor(), "process.apparmorProfile: AppArmor is not there, or not enabled; remove it"},
		{p.SelinuxLabel != "" && !hasSELinux(), "process.selinuxLabel: SELinux is not there, or not enabled; remove it"},
	}); err != nil {
		return err
	}
	if b := p.ConsoleSize; p.Terminal && b != nil {
		const most = 1<<16 - 1 // struct winsize
		if b.Height > most || b.Width > most {
			return fmt.Errorf("process.consoleSize: %d by %d is more than %d", b.Width, b.Height, most)
		}
	}
	if a := p.ExecCPUAffinity; a != nil {
		for _, f := range []struct{ name, list string }{{"initial", a.Initial}, {"final", a.Final}} {
			if _, err := CPUs(f.list); err != nil {
				return fmt.Errorf("process.execCPUAffinity.%s: %w", f.name, err)
			}
		}
	}
	return nil
}

// hasAppArmor says whether the kernel has AppArmor, and it is enabled.
func hasAppArmor() bool {
	text, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	return err == nil && strings.HasPrefix(string(text), "Y")
}

// hasSELinux says whether the kernel has SELinux, and it is enabled: then its
// file system is mounted.
func hasSELinux() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/selinux", &st) == nil && st.Type == unix.SELINUX_MAGIC
}

// CPUs reads a list of processors such as "0-3,7"; nil for an empty one.
func CPUs(list string) (*unix.CPUSet, error) {
	if list == "" {
		return nil, nil
	}
	set := &unix.CPUSet{}
	for item := range strings.SplitSeq(list, ",") {
		low, high, ok := strings.Cut(strings.TrimSpace(item), "-")
		if !ok {
			high = low
		}
		most := uint64(len(set) * 64)
		from, err1 := strconv.ParseUint(low, 10, 16)
		to, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || from > to || to >= most {
			return nil, fmt.Errorf("%q is no list of processors below %d, such as 0-3,7", list, most)
		}
		for n := from; n <= to; n++ {
			set.Set(int(n))
		}
	}
	return set, nil
}
