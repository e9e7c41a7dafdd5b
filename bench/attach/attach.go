// Package attach measures the price of putting a process into a control group:
// writing it there, and having it born there.
//
//	two groups of one hierarchy, a process that waits
//	write        child: write; pause; mark; write the process into the other; mark   op-ns
//	write-tasks  the same by version 1's tasks file
//	write-self   the child writes itself ("0") into tasks
//	born         pause; a clone into the group                                       op-ns
//	clone        pause; the same clone, no group: what born is to be set against     op-ns
//
// A write waits until no processor can be inside a fork or exit that has not
// seen it (the kernel's cgroup_threadgroup_rwsem is a percpu-rwsem, whose first
// writer waits for an RCU grace period). While writes follow each other the
// semaphore stays with the writers, so only a lone write pays: what a tight loop
// never shows. So the pause between a write and the one before is swept; 0 is back
// to back, behind three writes.
//
// born: version 2 clones into the group (CLONE_INTO_CGROUP, Linux 5.7), and op-ns
// is from clone3 entered to returned. Version 1 has nothing of the kind: the
// launching thread writes itself into tasks, which needs no wait, clones, and goes
// back, as a container is started (runtime/cgroup); op-ns is find-home, enter,
// clone and leave together. Each child says in which group it is; what is not where
// it should be is a failure.
//
// Groups carry this process's name, so those of a measurement that was killed
// are swept by the next one; the process that is moved dies with the launcher.
//
// Sources: cgroups(7); Documentation/admin-guide/cgroup-v2.rst, favordynmods;
// kernel/cgroup/cgroup.c, cgroup_attach_lock.
package attach

import (
	"fmt"
	"time"

	"isoperf/bench/harness"
)

// gaps are the pauses, 0 first.
func gaps() []time.Duration {
	list := []time.Duration{0}
	for _, ms := range []time.Duration{1, 2, 5, 10, 20, 50, 100, 200, 500} {
		list = append(list, ms*time.Millisecond)
	}
	return list
}

// runLength is the number of samples of a visit.
const runLength = 10

// Cases are all operations over the pause for version 2 and one hierarchy of
// version 1, and the write and the birth, back to back and alone, for the others.
func Cases(e harness.Extent) []harness.Case {
	var cases []harness.Case
	add := func(op, hierarchy string, gap time.Duration) {
		cases = append(cases, newCase(op, hierarchy, gap, e))
	}
	for _, gap := range gaps() {
		add("clone", "none", gap)
		for _, op := range []string{"write", "born"} {
			add(op, "v2", gap)
		}
		for _, op := range []string{"write", "write-tasks", "write-self", "born"} {
			add(op, "pids", gap)
		}
	}
	for _, controller := range []string{"cpu", "cpuset", "memory", "freezer", "devices", "blkio"} {
		for _, gap := range []time.Duration{0, 200 * time.Millisecond} {
			add("write", controller, gap)
			add("born", controller, gap)
		}
	}
	return cases
}

// Ends are the write and the birth, back to back and alone, where they differ
// most: what a container's start needs of them.
func Ends(e harness.Extent) []harness.Case {
	var cases []harness.Case
	for _, gap := range []time.Duration{0, 200 * time.Millisecond} {
		for _, hierarchy := range []string{"v2", "pids"} {
			for _, op := range []string{"write", "born"} {
				cases = append(cases, newCase(op, hierarchy, gap, e))
			}
		}
	}
	return cases
}

func newCase(op, hierarchy string, gap time.Duration, e harness.Extent) harness.Case {
	word := "0"
	if gap > 0 {
		word = gap.String()
	}
	return harness.Case{
		Name:    fmt.Sprintf("Attach/op=%s/hierarchy=%s/gap=%s", op, hierarchy, word),
		Samples: max(6, e.Paced/3),
		Run:     runLength,
		Ballast: true, // groups are not left lying beside the other cases
		Cost:    5*time.Millisecond + gap*(runLength+harness.WarmUp+1)/runLength,
		Open: func() (harness.Sampler, error) {
			switch op {
			case "clone", "born":
				return openBorn(hierarchy, gap)
			case "write":
				return openWrite(hierarchy, "cgroup.procs", false, gap)
			}
			return openWrite(hierarchy, "tasks", op == "write-self", gap)
		},
	}
}
