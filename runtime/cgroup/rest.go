package cgroup

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// hugetlb bounds huge pages, by size: those in use, and the reservations too
// where the kernel counts them (Linux 5.7).
var hugetlb = controller{
	name: "hugetlb", v2: "hugetlb",
	asked: func(r *specs.LinuxResources) bool { return len(r.HugepageLimits) > 0 },
	plan1: func(r *specs.LinuxResources, w *writes) error { return hugetlbPlan(r, w, "limit_in_bytes") },
	plan2: func(r *specs.LinuxResources, w *writes) error { return hugetlbPlan(r, w, "max") },
	key1:  hugetlbKey,
}

func hugetlbPlan(r *specs.LinuxResources, w *writes, suffix string) error {
	for i, l := range r.HugepageLimits {
		if l.Pagesize == "" || strings.Trim(l.Pagesize, "0123456789KMGB") != "" {
			return refuse(fmt.Sprintf("hugepageLimits[%d].pageSize", i), "%q is no page size, such as 2MB", l.Pagesize)
		}
		data := strconv.FormatUint(l.Limit, 10)
		usage := "hugetlb." + l.Pagesize + "." + suffix
		w.add("hugepageLimits", usage, data)
		w.list = append(w.list, write{
			field: "hugepageLimits", file: "hugetlb." + l.Pagesize + ".rsvd." + suffix, data: data,
			other: usage, otherData: data,
		})
	}
	return nil
}

// hugetlbKey translates hugetlb.SIZE.max and hugetlb.SIZE.rsvd.max.
func hugetlbKey(key, value string, w *writes) error {
	if file, ok := strings.CutSuffix(key, ".max"); ok {
		value = strings.TrimSpace(value)
		if value == "max" {
			value = "-1"
		}
		w.add(key, file+".limit_in_bytes", value)
	}
	return nil
}

// rdma bounds what is held of remote memory adapters. Linux 4.11; both
// versions are alike.
var rdma = controller{
	name: "rdma", v2: "rdma",
	asked: func(r *specs.LinuxResources) bool { return len(r.Rdma) > 0 },
	plan1: rdmaPlan, plan2: rdmaPlan, key1: rdmaKey,
}

func rdmaPlan(r *specs.LinuxResources, w *writes) error {
	names := make([]string, 0, len(r.Rdma))
	for name := range r.Rdma {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		data, l := name, r.Rdma[name]
		if l.HcaHandles != nil {
			data += fmt.Sprintf(" hca_handle=%d", *l.HcaHandles)
		}
		if l.HcaObjects != nil {
			data += fmt.Sprintf(" hca_object=%d", *l.HcaObjects)
		}
		if data == name {
			return refuse(fmt.Sprintf("rdma[%q]", name), "it limits neither hcaHandles nor hcaObjects; leave it out")
		}
		w.add("rdma", "rdma.max", data)
	}
	return nil
}

func rdmaKey(key, value string, w *writes) error {
	if key == "rdma.max" {
		w.add(key, key, value)
	}
	return nil
}

// misc bounds what a machine has a fixed number of, such as the keys of encrypted
// virtual machines. Linux 5.13; both versions are alike, and OCI has no fields
// for it but the unified keys.
var misc = controller{
	name: "misc", v2: "misc", asked: never,
	plan1: nothing, plan2: nothing,
	key1: func(key, value string, w *writes) error {
		if key == "misc.max" {
			w.add(key, key, value)
		}
		return nil
	},
}

func nothing(*specs.LinuxResources, *writes) error { return nil }

// netCls and netPrio mark a group's packets. Version 2 has neither.
var netCls = controller{
	name: "net_cls", v2: "net_cls",
	asked: func(r *specs.LinuxResources) bool { return r.Network != nil && r.Network.ClassID != nil },
	plan1: func(r *specs.LinuxResources, w *writes) error {
		w.add("network.classID", "net_cls.classid", strconv.FormatUint(uint64(*r.Network.ClassID), 10))
		return nil
	},
	plan2: func(*specs.LinuxResources, *writes) error { return refuse("network.classID", notInV2) },
}

var netPrio = controller{
	name: "net_prio", v2: "net_prio",
	asked: func(r *specs.LinuxResources) bool { return r.Network != nil && len(r.Network.Priorities) > 0 },
	plan1: func(r *specs.LinuxResources, w *writes) error {
		for _, p := range r.Network.Priorities {
			w.add("network.priorities", "net_prio.ifpriomap", fmt.Sprintf("%s %d", p.Name, p.Priority))
		}
		return nil
	},
	plan2: func(*specs.LinuxResources, *writes) error { return refuse("network.priorities", notInV2) },
}

// freezer stops a group's processes; version 2 has it in every group.
var freezer = controller{name: "freezer", v2: "", asked: never, read1: freezerStatV1, read2: freezerStatV2}

func freezerStatV1(dir int, s *Stats) error {
	state, err := readText(dir, "freezer.state")
	s.Frozen = state == "FROZEN"
	return err
}

func freezerStatV2(dir int, s *Stats) error {
	frozen := uint64(0)
	err := counters(dir, "cgroup.events", map[string]*uint64{"frozen": &frozen})
	s.Frozen = frozen == 1
	return err
}
