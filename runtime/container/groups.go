package container

import (
	"errors"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/program"
	"isoperf/runtime/rootfs"
)

// A child is born in its control group, which so has to be there first, and the
// launching thread goes in and out of it. With rules for devices alone it goes in
// by itself: nothing is counted, and all of that can be done while it gets ready.
//
//	born inside:  plan ─► make ─► launcher enters, clone, leaves ─► stub, mounts, …
//	goes in:      clone ─► stub, mounts ──────────────────────────► enter, the rest
//	                └─► plan ─► make ─► open the gate

// mayGo says whether the child may go into its group by itself, as far as that can
// be known before the machine's groups are looked at: it is nothing that is counted,
// it is there for no one else, and the child is the host's root.
func (pl *Plan) mayGo() bool {
	c, l := pl.spec, pl.spec.Linux
	_, join := c.Flags()
	return !pl.options.Kept && pl.options.Scope == nil && l.CgroupsPath == "" && pl.options.Parent == "" && !c.HostRoot &&
		!c.Rootless() && !joins(join, specs.UserNamespace) && !joins(join, specs.PIDNamespace) &&
		pl.created&unix.CLONE_NEWCGROUP == 0 && len(l.NetDevices) == 0 &&
		(l.Resources == nil || empty(l.Resources) || cgroup.DevicesAlone(l.Resources))
}

// planGroup finds the control groups, when the container needs any.
func (pl *Plan) planGroup() error {
	l := pl.spec.Linux
	shown := false
	for _, m := range pl.spec.Mounts {
		shown = shown || strings.HasPrefix(m.Type, "cgroup")
	}
	limits := l.Resources != nil && !empty(l.Resources)
	kept, scope, path := pl.options.Kept, pl.options.Scope, l.CgroupsPath
	if scope != nil {
		path = "" // it is the scope's, in systemd's form
	}
	if !shown && !limits && !kept && path == "" && scope == nil {
		return nil
	}
	host, err := cgroup.Detect()
	if err != nil {
		if limits || scope != nil {
			return err
		}
		return nil // the mount says what is missing
	}
	pl.host = host
	name := pl.options.GroupName
	if name == "" {
		name = pl.spec.ID
	}
	pl.group, err = host.Plan(cgroup.Options{
		ID: name, Path: path, Scope: scope, Resources: l.Resources,
		Parent: pl.options.Parent, Record: pl.options.Record, Always: path != "" || kept || scope != nil, Usual: kept, Detached: kept,
		ChildEnters: pl.goes,
	})
	pl.spared = kept && !limits && path == "" && scope == nil
	return err
}

// groups plans what there are of control groups, has the child go into its own, and
// gives the hierarchies that it may see.
func (pl *Plan) groups() ([]rootfs.Hierarchy, error) {
	if pl.goes && pl.group == nil {
		if err := pl.planGroup(); err != nil {
			return nil, err
		}
	}
	if pl.group == nil {
		return nil, nil
	}
	if pl.goes && !pl.group.Empty() {
		switch {
		case pl.makeGroup != nil: // the child waits for what follows
			if err := pl.makeGroup(); err != nil {
				return nil, err
			}
		case pl.ahead == 0:
			pl.grouped = pl.program.Wait("control group made")
		}
		for _, file := range pl.group.Entrances() {
			fd := program.Result(pl.program.Add(named("open control group", program.Open(file, unix.O_WRONLY))))
			pl.program.Add(named("enter control group", program.Write(fd, "0")))
			pl.program.Add(program.Close(fd))
		}
	}
	var list []rootfs.Hierarchy
	for _, m := range pl.group.Mounted() {
		list = append(list, rootfs.Hierarchy{
			Name: strings.TrimPrefix(strings.TrimPrefix(m.Mount, "/sys/fs/cgroup"), "/"), V2: m.V2, Options: m.Options, Group: m.Group,
		})
	}
	return list, nil
}

// makeGroup makes the control group.
func (c *Container) makeGroup() error {
	pl := c.plan
	start := program.Now()
	group, err := pl.group.Create()
	if err == nil {
		c.event("create control group", start)
		c.group = group
		if pl.goes && pl.group.Entrances() == nil { // the machine's groups are arranged in no usual way
			return group.Attach(c.process.Pid())
		}
		return nil
	}
	if pl.spared && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS)) {
		// This user has none: what the container sees of the others stays.
		pl.group, err = pl.host.Plan(cgroup.Options{ID: pl.spec.ID})
	}
	return err
}

// empty says whether nothing is limited.
func empty(r *specs.LinuxResources) bool {
	return len(r.Devices) == 0 && r.Memory == nil && r.CPU == nil && r.Pids == nil && r.BlockIO == nil &&
		len(r.HugepageLimits) == 0 && r.Network == nil && len(r.Rdma) == 0 && len(r.Unified) == 0
}
