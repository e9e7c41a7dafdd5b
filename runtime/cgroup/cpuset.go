package cgroup

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// cpuset says on which processors and memory nodes a group runs. A group of
// version 1 can hold no process before both are set, so they are copied from
// the group above; see Plan.
var cpuset = controller{
	name: "cpuset", v2: "cpuset",
	asked: func(r *specs.LinuxResources) bool { return r.CPU != nil && (r.CPU.Cpus != "" || r.CPU.Mems != "") },
	plan1: cpusetBoth, plan2: cpusetBoth, key1: cpusetKey,
}

func cpusetBoth(r *specs.LinuxResources, w *writes) error {
	for _, f := range [...]struct{ field, file, list string }{
		{"cpu.cpus", "cpuset.cpus", r.CPU.Cpus}, {"cpu.mems", "cpuset.mems", r.CPU.Mems},
	} {
		if f.list == "" {
			continue
		}
		list, err := ParseCPUs(f.list)
		if err != nil {
			return refuse(f.field, "%w", err)
		}
		w.add(f.field, f.file, list)
	}
	return nil
}

func cpusetKey(key, value string, w *writes) error {
	if key == "cpuset.cpus" || key == "cpuset.mems" {
		list, err := ParseCPUs(strings.TrimSpace(value))
		if err != nil {
			return err
		}
		w.add(key, key, list)
	}
	return nil
}
