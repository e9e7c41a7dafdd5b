package cgroup

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Entrances are the files to which a child that was born outside writes "0", to go
// in by itself; nil: it has to be born inside (Group.Within and Group.FD). A single
// thread that moves itself in version 1 does not wait for RCU, so the group can be
// made while the child gets ready. It is as good only where nothing is counted
// from birth: memory, tasks and processor time are.
func (p *Plan) Entrances() []string {
	if !p.options.ChildEnters {
		return nil
	}
	var list []string
	for _, t := range p.parts {
		if t.tree.v2 || slices.ContainsFunc(t.tree.controllers, counts) {
			return nil
		}
		list = append(list, t.dir+"/tasks")
	}
	return list
}

// counts says whether a controller of version 1 keeps an account of its processes.
func counts(controller string) bool {
	return controller != devices.name && controller != freezer.name && controller != netCls.name && controller != netPrio.name
}

// DevicesAlone says, without reading which hierarchies there are, that a group with
// these limits is one into which the child can go by itself: they are rules for
// devices, which version 1 keeps.
func DevicesAlone(r *specs.LinuxResources) bool {
	for _, c := range controllers() {
		if c != &devices && c.asked(r) {
			return false
		}
	}
	var st unix.Statfs_t
	return len(r.Unified) == 0 && unix.Statfs("/sys/fs/cgroup/devices", &st) == nil && st.Type == unix.CGROUP_SUPER_MAGIC
}
