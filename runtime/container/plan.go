package container

import (
	"errors"
	"fmt"
	"io"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/capability"
	"isoperf/runtime/cgroup"
	"isoperf/runtime/cgroup/systemd"
	"isoperf/runtime/idmap"
	"isoperf/runtime/namespace"
	"isoperf/runtime/program"
	"isoperf/runtime/rootfs"
	"isoperf/runtime/seccomp"
	"isoperf/runtime/spec"
)

// Options are what a plan needs beside the container.
type Options struct {
	// Stdio are the descriptors that become 0, 1 and 2.
	Stdio [3]int
	// Console is a unix socket: the master of a terminal that the container
	// makes in its own /dev/pts is sent there. 0: with process.terminal, Stdio
	// are the slave of a terminal of the host, and become the controlling one.
	Console int
	// Entered is a container that the process enters; nil: it gets one of its own.
	Entered *Entered
	// Preserve is how many descriptors from 3 on the command gets, too.
	Preserve int
	// Hold has the container wait for its start; nil: it does not.
	Hold *Hold
	// Hooking is told the first process's number before a hook runs; nil: nobody is.
	Hooking func(pid int) error
	// Kept says that the control group is to stay when this process ends: there
	// is one also without limits, unless this user may not make any.
	Kept bool
	// GroupName names the control group; empty: the container's ID does.
	GroupName string
	// KeepKeyring leaves the command the launcher's session keyring.
	KeepKeyring bool
	// Parent is a delegated control group; see cgroup.Options.
	Parent string
	// Scope is one of systemd's, which is to be the control group; nil: none.
	Scope *systemd.Scope
	// Record is a directory for what a killed runtime leaves; see
	// cgroup.Options, and rootfs.RecordHost. Empty: none is kept.
	Record string
	// Texts are small files that the container gets; see rootfs.Options.
	Texts []rootfs.Text
	// OldMounts chooses mount(2) where the kernel has the newer calls.
	OldMounts bool
	// Spare says to take namespaces that this process has ready; see
	// program.Spare.
	Spare bool
	// Ahead plans as Start does: the child waits for the rest of its program,
	// part by part.
	Ahead bool
	// OldTime enters a time namespace as kernels before Linux 6.2 need it.
	OldTime bool
	// Look replaces looking at the disk, for plans that are only printed.
	Look func(path string) rootfs.Kind
}

// Plan is a container that can be printed, and started once.
type Plan struct {
	spec     *spec.Container
	options  Options
	host     *cgroup.Host // nil: no control groups are needed
	group    *cgroup.Plan // nil likewise
	goes     bool         // the child may go into its group by itself, when it is there
	spared   bool         // the group is nothing that was asked for
	maps     idmap.Maps
	filter   *seccomp.Filter // nil: none
	program  *program.Program
	spare    *program.Spare
	prepared prepared
	hooks    *hooks // nil: none that run before the command
	reached  bool   // it got as far as hooks would have run
	// proceed lets a child pass a gate with what was added since; nil: there is
	// no child yet.
	proceed func(program.Gate) error
	// makeGroup makes the control group now; nil: there is no child yet.
	makeGroup func() error

	ahead     program.Gate // where the child waits for the next part of its program; 0: nowhere
	done      bool         // the program is complete
	mapped    program.Gate // 0: no user namespace
	entered   program.Tell // 0: no network devices of the host to move
	moved     program.Gate // then: once they are there
	grouped   program.Gate // 0: no control group that is made when there is a child
	mounted   program.Tell // 0: no limits that are written after the birth
	limited   program.Gate // 0: no control group; some limits are written after the birth
	connected program.Gate // 0: no network to wait for
	attached  program.Gate // 0: no terminal; until Confirm, which may set its size
	forked    program.Tell // 0: no init
	confined  program.Tell // by the init
	released  program.Gate // of the command, once the init is confined
	setUp     program.Tell // 0: it does not wait for its start
	loaded    program.Ref  // the op that loads a filter with a listener
	notified  program.Tell // 0: there is no listener; the filter is loaded
	heard     program.Gate // and the listener has its descriptor
	recorded  program.Gate // then: its end is its own from here on
	waiting   program.Tell // and it waits
	info      program.Arg  // where the init's waitid writes
	created   uint64       // namespaces by clone flag
	before    uint64       // the mount that the root is in, when the mounts are made on the host; 0: they are not
	enters    bool         // an op enters the time namespace, and execve need not
	warnings  []func() string
}

// New plans a container that was checked. It looks at the host and the root
// file system, and changes nothing.
func New(c *spec.Container, o Options) (*Plan, error) {
	pl, err := begin(c, o)
	if err == nil {
		if err = pl.complete(); err != nil {
			pl.spare.Close()
		}
	}
	if err != nil {
		return nil, err
	}
	return pl, nil
}

// begin plans as much as it takes to make the child.
func begin(c *spec.Container, o Options) (*Plan, error) {
	pl := &Plan{spec: c, options: o}
	if err := pl.checkHold(); err != nil {
		return nil, err
	}
	pl.created, _ = c.Flags()
	if o.Entered != nil {
		if err := pl.birth(); err != nil {
			return nil, err
		}
		return pl, nil
	}
	if _, ok := c.Namespace(specs.MountNamespace); !ok && !c.HostRoot {
		var err error
		if pl.before, err = rootfs.MountID(c.RootPath()); err != nil {
			return nil, err
		}
	}
	pl.goes = pl.mayGo()
	if !pl.goes || !o.Ahead {
		if err := pl.planGroup(); err != nil {
			return nil, err
		}
	}
	pl.maps = idmap.Maps{UIDs: c.Linux.UIDMappings, GIDs: c.Linux.GIDMappings}
	if c.Rootless() {
		if err := pl.maps.Check(); err != nil {
			return nil, err
		}
	}
	if err := pl.birth(); err != nil {
		pl.spare.Close()
		return nil, err
	}
	return pl, nil
}

// complete plans the rest, once.
func (pl *Plan) complete() error {
	if pl.done {
		return nil
	}
	pl.done = true
	return pl.build()
}

// Group is the control group that Start makes; ok is false without one.
func (pl *Plan) Group() (s cgroup.State, ok bool) {
	if pl.group == nil || pl.group.Empty() {
		return s, false
	}
	return pl.group.State(), true
}

// Before is the mount that the root was in, for rootfs.Unmount; 0: the container's
// mounts are not the host's.
func (pl *Plan) Before() uint64 { return pl.before }

// Warnings are what the container asks for and no kernel gives, each beginning
// with the field. It runs without.
func (pl *Plan) Warnings() []string {
	texts := make([]string, len(pl.warnings))
	for i, text := range pl.warnings {
		texts[i] = text()
	}
	return texts
}

// warn notes a warning about capabilities. Its text is made when it is asked for: the
// child waits for its plan.
func (pl *Plan) warn(format string, set capability.Set) {
	pl.warnings = append(pl.warnings, func() string { return fmt.Sprintf(format, set) })
}

// Sweep removes the control groups that killed runtimes left, where the
// container uses any itself, and their mounts on the host; it returns the groups.
func (pl *Plan) Sweep() (groups []string, err error) {
	if pl.host != nil {
		groups, err = cgroup.Sweep(pl.host, pl.options.Record)
	}
	if pl.options.Record != "" {
		_, merr := rootfs.SweepHost(pl.options.Record)
		err = errors.Join(err, merr)
	}
	return groups, err
}

// Program is the child's part.
func (pl *Plan) Program() *program.Program { return pl.program }

// Print writes what will be done: the launcher's steps, and the program.
func (pl *Plan) Print(w io.Writer) error {
	if pl.group != nil {
		for _, s := range pl.group.Steps() {
			if _, err := fmt.Fprintf(w, "launcher: %s\n", s.Text); err != nil {
				return err
			}
		}
	}
	if names := pl.spare.Flags(); names != 0 {
		up := ""
		if pl.spare.LoopbackUp() {
			up = ", lo up"
		}
		if _, err := fmt.Fprintf(w, "launcher: unshare(%s)%s, in a process beside the start of Go\n", namespace.FlagString(names), up); err != nil {
			return err
		}
	}
	if pl.mapped != 0 {
		for _, m := range []struct {
			file string
			list []specs.LinuxIDMapping
		}{{"uid_map", pl.maps.UIDs}, {"gid_map", pl.maps.GIDs}} {
			for _, line := range m.list {
				if _, err := fmt.Fprintf(w, "launcher: %s: %d %d %d\n", m.file, line.ContainerID, line.HostID, line.Size); err != nil {
					return err
				}
			}
		}
	}
	return pl.program.Print(w)
}
