package container

import (
	"errors"
	"slices"
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

// findGroups finds the machine's control groups, when the container needs any, once.
func (pl *Plan) findGroups() (err error) {
	l := pl.spec.Linux
	shown := slices.ContainsFunc(pl.spec.Mounts, func(m specs.Mount) bool { return strings.HasPrefix(m.Type, "cgroup") })
	must := pl.limits() || pl.options.Scope != nil
	if pl.host != nil || !shown && !must && !pl.options.Kept && l.CgroupsPath == "" {
		return nil
	}
	if pl.host, err = cgroup.Detect(); err != nil && !must {
		return nil // the mount says what is missing
	}
	return err
}

// limits says whether the container has any.
func (pl *Plan) limits() bool {
	r := pl.spec.Linux.Resources
	return r != nil && !empty(r)
}

// planGroup plans the container's own, where there are any.
func (pl *Plan) planGroup() error {
	if err := pl.findGroups(); err != nil || pl.host == nil {
		return err
	}
	kept, scope, path := pl.options.Kept, pl.options.Scope, pl.spec.Linux.CgroupsPath
	if scope != nil {
		path = "" // it is the scope's, in systemd's form
	}
	name := pl.options.GroupName
	if name == "" {
		name = pl.spec.ID
	}
	var err error
	pl.group, err = pl.host.Plan(cgroup.Options{
		ID: name, Path: path, Scope: scope, Resources: pl.spec.Linux.Resources,
		Parent: pl.options.Parent, Record: pl.options.Record, Always: path != "" || kept || scope != nil, Usual: kept, Detached: kept,
		ChildEnters: pl.goes,
	})
	pl.spared = kept && !pl.limits() && path == "" && scope == nil
	return err
}

// groups gives the hierarchies that the container may see.
func (pl *Plan) groups() ([]rootfs.Hierarchy, error) {
	var mounted []cgroup.Mounted
	switch {
	case pl.goes:
		if err := pl.findGroups(); err != nil || pl.host == nil {
			return nil, err
		}
		mounted = pl.host.Mounted()
	case pl.group != nil:
		mounted = pl.group.Mounted()
	}
	var list []rootfs.Hierarchy
	for _, m := range mounted {
		h := rootfs.Hierarchy{
			Name: strings.TrimPrefix(strings.TrimPrefix(m.Mount, "/sys/fs/cgroup"), "/"), V2: m.V2, Options: m.Options, Group: m.Group,
		}
		if pl.goes && pl.limits() && ofDevices(m) {
			h.Group = "" // enterGroup knows
		}
		list = append(list, h)
	}
	return list, nil
}

// ofDevices says whether a hierarchy is the one with the rules for devices.
func ofDevices(m cgroup.Mounted) bool {
	if m.V2 {
		return false
	}
	for option := range strings.SplitSeq(m.Options, ",") {
		if option == "devices" {
			return true
		}
	}
	return false
}

// enterGroup has a child that is to go into its group do so, and gives the group's
// directory.
func (pl *Plan) enterGroup() (dir string, err error) {
	if pl.group == nil {
		if err := pl.planGroup(); err != nil {
			return "", err
		}
	}
	if pl.group == nil || pl.group.Empty() {
		return "", nil
	}
	switch {
	case pl.makeGroup != nil: // the child waits for what follows
		if err := pl.makeGroup(); err != nil {
			return "", err
		}
	case pl.ahead == 0:
		pl.grouped = pl.program.Wait("control group made")
	}
	for _, file := range pl.group.Entrances() {
		fd := program.Result(pl.program.Add(named("open control group", program.Open(file, unix.O_WRONLY))))
		pl.program.Add(named("enter control group", program.Write(fd, "0")))
		pl.program.Add(program.Close(fd))
	}
	for _, m := range pl.group.Mounted() {
		if ofDevices(m) {
			dir = m.Group
		}
	}
	return dir, nil
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
