package cgroup

import (
	"fmt"
	"sort"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// controller is one row of the kernel's vocabulary.
type controller struct {
	name string // as version 1 calls it
	v2   string // as version 2 calls it; "": version 2 needs no controller for it
	// asked says whether the resources have a field of the controller.
	asked func(*specs.LinuxResources) bool
	// plan1 and plan2 add the writes of version 1 and 2.
	plan1, plan2 func(*specs.LinuxResources, *writes) error
	// key1 adds the writes of version 1 that equal a key of the unified map;
	// nil: none has an equal.
	key1 func(key, value string, w *writes) error
	// read1 and read2 read what the group in directory dir has used.
	read1, read2 func(dir int, s *Stats) error
}

// controllers are all, in the order in which their hierarchies are planned.
// In a function, since the rows name functions that use it.
func controllers() []*controller {
	return []*controller{&cpu, &cpuacct, &cpuset, &memory, &pids, &blockIO, &devices, &hugetlb, &rdma, &misc, &netCls, &netPrio, &freezer}
}

// write is one value for one file.
type write struct {
	file, data string
	field      string // what asked for it, "memory.limit"
	// other is a second name of the file, which some kernels have instead,
	// and its data.
	other, otherData string
	// late writes would hit the launcher while the child is not yet on its own;
	// see Group.Within.
	late bool
}

func (w write) String() string { return fmt.Sprintf("write %q to %s", w.data, w.file) }

// writes are what a plan collects for one hierarchy.
type writes struct {
	list   []write
	filter []deviceRule // version 2's device rules, which are no file
}

func (w *writes) add(field, file, data string) {
	w.list = append(w.list, write{file: file, data: data, field: field})
}

// refuse is the error of a field that cannot be honoured.
func refuse(field, why string, args ...any) error {
	return fmt.Errorf("limit resources: %s: "+why, append([]any{field}, args...)...)
}

const notInV2 = "control groups version 2 have no such setting; leave it out"

// split sorts the unified map by controller: "cpu.max" is cpu's. Keys "cgroup.x"
// have the controller "cgroup".
func split(unified map[string]string) (map[string][]string, error) {
	if len(unified) == 0 {
		return nil, nil
	}
	by := make(map[string][]string, len(unified))
	for key := range unified {
		name, _, ok := strings.Cut(key, ".")
		if !ok || name == "" || strings.ContainsAny(key, "/\x00\n") {
			return nil, refuse(fmt.Sprintf("unified[%q]", key), "it is not the name of a control file, such as memory.high")
		}
		switch key {
		case "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "cgroup.kill", "cgroup.type":
			return nil, refuse(fmt.Sprintf("unified[%q]", key), "it moves processes or changes the tree, and is no limit; leave it out")
		}
		by[name] = append(by[name], key)
	}
	for _, keys := range by {
		sort.Strings(keys)
	}
	return by, nil
}

// planKeys adds a controller's keys of the unified map, as they are on version
// 2, translated on version 1.
func planKeys(c *controller, v2 bool, keys []string, unified map[string]string, w *writes) error {
	for _, key := range keys {
		field, value := fmt.Sprintf("unified[%q]", key), unified[key]
		if v2 {
			w.add(field, key, value)
			continue
		}
		if c.key1 == nil {
			return refuse(field, "%s is a version 1 controller on this machine, which has no equal of it", c.name)
		}
		n := len(w.list)
		if err := c.key1(key, value, w); err != nil {
			return refuse(field, "%w", err)
		}
		if len(w.list) == n {
			return refuse(field, "%s is a version 1 controller on this machine, which has no equal of it", c.name)
		}
		for i := range w.list[n:] {
			w.list[n+i].field = field
		}
	}
	return nil
}
