package main

import "github.com/spf13/cobra"

// mountTopic is `isoperf help mount`: what the figures of the mount, pivot and
// attach families mean.
func mountTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "mount",
		Short: "About mount, pivot and attach: events, stage, parts",
		Long: `What the figures of the mount, pivot and attach families mean.

Mount. op-ns is from the entry of the first call of an operation to the return
of its last, stamped by the child that makes them. The child is cloned with a
copy of 20 mounts, the same on every machine, and executes the static program
that containers start with; what the operation needs is made before the first
stamp, and checked behind the last. Other units are its parts: bind-ns and
remount-ns of a read-only bind by mount(2) (op=ro-remount); open-tree-ns,
setattr-ns, move-mount-ns of the same by the newer calls (op=ro-setattr);
fsopen-ns, create-ns, fsmount-ns, move-mount-ns of a file system
(op=fsmount-…). A paced operation follows its child's birth at once: the 50 ms
lie between two children. op=none is the null case: getppid between the same
stamps.

proc is mounted in a new pid namespace, mqueue in a new IPC namespace, sysfs in
a new network namespace, as in a container; sysfs-host-net in the one that is
there, which takes root. A bind with propagation=shared lies below a mount that
one other namespace has, too.

Pivot. pivot_root: pivot_root(".", "."), umount2(".", MNT_DETACH), chdir("/").
move: mount(".", "/", MS_MOVE), chroot("."), chdir("/"). chroot: chroot("."),
chdir("/"). All begin in the new root. Only the first takes the old root away.

Sweeps. sweep-mount-table: mounts in the namespace, 10 to 2,000. sweep-mountns:
mount namespaces that are alive. sweep-peers: how many namespaces have the
shared mount below which is bound (umount-ns takes it away again).
sweep-mounters: how many threads mount at once, each in a namespace of its own.

Attach. write: a process is moved by writing its id to cgroup.procs, after a
pause (gap; 0 is behind three other writes); write-tasks: by the tasks file of
version 1; write-self: the writer moves itself there. born: a child is cloned
into the group; in version 1 the launching thread enters, clones and leaves
(find-home-ns, enter-ns, clone-ns, leave-ns). clone: the same without a group.
Control groups take root; without it they are not measured.`,
	}
}
