package page

import (
	"isoperf/bench/sample"
	"isoperf/reports/limits"
	"isoperf/reports/table"
)

// limitChapters are those of the limits of control groups. The verdicts stand
// first; what is not judged has the usual tables.
func limitChapters() []chapter {
	judged := func(c chapter) chapter {
		c.own = func(f *sample.File) []table.Table { return limits.Tables(f, c.family, 120) }
		return c
	}
	return []chapter{
		judged(chapter{
			family: "CpuMax", heading: "cpu.max: is a CPU limit kept?",
			about: "A group with a quota and a period, and threads in it that want more. What they got is read at the ends of periods, when the group stands still. " +
				"The error is held against 2 %, and against a budget: by how much the kernel may be off by its own constants (the tick, the slice of quota that a CPU takes) in the time that was measured. " +
				"Not judged is what says nothing of the kernel: a thread that left the group, a limit that somebody else changed, a load that did not reach the limit, CPU time that the host took.",
		}),
		judged(chapter{
			family: "CpuWeight", heading: "cpu.weight: are CPUs shared as asked?",
			about: "Groups beside each other, each with a thread for every CPU. The error is the largest difference between a group's share of the CPU time and its share of the weights, in points of 100.",
		}),
		judged(chapter{
			family: "MemoryMax", heading: "memory.max: does a group stay below its limit?",
			about: "A process touches more memory than its group may have. The peak is held against the limit and the charges that each CPU may keep in stock (64 pages); events are counted exactly.",
		}),
		{
			family: "Oom", heading: "Out of memory: how long a kill takes", row: "limit",
			about: "`event-ns` runs from the first touch beyond the limit to the event that the kernel reports, `kill-ns`, `exit-ns` and `empty-ns` on to the victim's end and the group without processes; `total-ns` is all of it.",
		},
		judged(chapter{
			family: "MemoryHigh", heading: "memory.high: is allocating slowed as the kernel says?",
			about: "The kernel puts a task to sleep that allocates beyond memory.high; its source has a table of how long (mm/memcontrol.c). What was measured stands beside it.",
		}),
		judged(chapter{
			family: "PidsMax", heading: "pids.max: are tasks counted exactly?",
			about: "Processes fork until they are refused. One task too many, or one too few, is an error: there is no tolerance.",
		}),
		judged(chapter{
			family: "IoMax", heading: "io.max: is a disk's limit kept?",
			about: "Direct reads or writes of a block device whose rate is limited. The kernel accounts in slices of a tenth of a second, so a short measurement has a wide budget.",
		}),
		{
			family: "Latency", heading: "What a request feels under a CPU limit",
			about: "Requests of 100 us of work begin every millisecond, whether the one before has ended or not; latency runs from the intended beginning to the end. The same requests without the limit, in turns, are the control.",
		},
		{
			family: "Freeze", heading: "Freezing and killing a group", row: "tasks",
			about: "`freeze-ns` and `thaw-ns` run from the write to the state reached, `kill-ns` to the last process gone.",
		},
		{
			family: "CgroupOp", heading: "What an operation on a control group costs", row: "op", more: []string{"threads", "hierarchy"},
			about: "One operation, from the call entered to the call returned, by a child that is no member. create is mkdir, remove rmdir; configure and read open a file, write or read it, and close it; migrate writes the id of a process with so many threads to `cgroup.procs`. " +
				"Of version 1 each hierarchy has its own groups, and a container pays in each; version 2 (v2) has one with all of its controllers, which are none where version 1 has them. Into a group at birth: see Attach. attach-favordynmods and attach-nofavordynmods: migrate, alone, with that option of the cgroup2 hierarchy and without.",
			full: []string{"op-ns"},
		},
		{
			family: "SweepSiblings", heading: "Sweep: control groups beside each other", row: "siblings",
			about: "The same operations in a group that has so many others. `op-ns` as in CgroupOp.",
		},
		{
			family: "SweepDepth", heading: "Sweep: control groups above each other", row: "depth",
			about: "The same operations so many groups below this process's. `op-ns` as in CgroupOp.",
		},
	}
}
