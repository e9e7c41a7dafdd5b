package page

// mountChapters are those of mounts, roots and control groups.
func mountChapters() []chapter {
	return []chapter{
		{
			family: "Mount", heading: "Mount: the calls by which a container gets its file system", row: "op", more: []string{"propagation", "lower"},
			about: "Each call alone, in a child with a copy of 20 mounts. `op-ns` runs from the first call of the operation entered to its last returned, stamped by the child; the other units are its parts, one call each (`fsopen-ns` with the parameters). " +
				"proc is mounted in a new pid namespace, mqueue in a new IPC namespace, sysfs in a new network namespace, and `sysfs-host-net` in the one that is there. `ro-remount` is a read-only bind by two mount calls, `ro-setattr` by open_tree, mount_setattr and move_mount.",
			full: []string{"op-ns"}, compact: []string{"bind-ns", "remount-ns", "fsopen-ns", "create-ns", "fsmount-ns", "open-tree-ns", "setattr-ns", "move-mount-ns"},
		},
		{
			family: "Pivot", heading: "Pivot: another root", row: "method",
			about: "A process in its new root makes that its `/`. pivot_root is pivot_root(\".\", \".\"), umount2(\".\", MNT_DETACH), chdir(\"/\"); move is mount(\".\", \"/\", MS_MOVE), chroot(\".\"), chdir(\"/\"); chroot is chroot(\".\"), chdir(\"/\"). " +
				"`op-ns` runs from the first entered to the last returned; `pivot-ns`, `detach-ns`, `move-ns` and `chroot-ns` are one call each. Only pivot_root takes the old root away.",
			full: []string{"op-ns"}, compact: []string{"pivot-ns", "detach-ns", "move-ns", "chroot-ns"},
		},
		{
			family: "SweepMountTable", heading: "Sweep: mounts in the namespace", row: "mounts",
			about: "The same calls with so many mounts in the namespace, binds of one directory below the root. `op-ns` as in Mount and Pivot; in make-rprivate all of them are shared.",
			full:  []string{"op-ns"}, compact: []string{"pivot-ns", "detach-ns"},
		},
		{
			family: "SweepMountns", heading: "Sweep: mount namespaces alive", row: "live", rowName: "live namespaces",
			about: "A bind, and the making of one more mount namespace, while others live, each a copy of 20 mounts. `op-ns` is the bind, or clone3 entered to returned.",
		},
		{
			family: "SweepPeers", heading: "Sweep: the namespaces that a bind propagates to", row: "peers",
			about: "A bind below a shared mount appears in every namespace that has the mount; below a private one, beside as many namespaces, it does not. `op-ns` is the bind, `umount-ns` the lazy umount that takes it away again.",
		},
		{
			family: "SweepMounters", heading: "Sweep: threads that mount at the same time", row: "n", rowName: "threads",
			about: "Several threads, each in a mount namespace of its own, start children that make 32 mounts each. `op-ns` is one of those; `wall-ns` the wall time of the run divided by all mounts, with the children's births and ends, which take the mounts down.",
		},
		{
			family: "Attach", heading: "Attach: into a control group", row: "gap", rowName: "pause",
			about: "A process is put into a control group so long after the last one; 0 is behind three others, back to back. write: its id is written to cgroup.procs; write-tasks: to version 1's tasks; write-self: the writer moves itself there; born: a child is cloned into the group; clone: the same without a group. " +
				"`op-ns` is the write, or clone3 entered to returned; in version 1, born is `find-home-ns`, `enter-ns`, `clone-ns` and `leave-ns` of the launching thread together.",
			full: []string{"op-ns"}, compact: []string{"find-home-ns", "enter-ns", "clone-ns", "leave-ns"},
		},
	}
}
