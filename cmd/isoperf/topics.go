package main

import "github.com/spf13/cobra"

// cloneTopic is `isoperf help clone`: what the figures of the clone family
// mean.
func cloneTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "clone",
		Short: "About the clone family: events, modes, pacings, teardown",
		Long: `What the figures of the clone family mean.

Events. clone-ns is from clone3(2) entered to returned in the parent, child-ns
to the first instruction of the child, reap-ns to waitid(2) returned. The child
does nothing but exit. unshare-ns and setns-ns are the call alone, stamped by
the process that makes it. The cost of a namespace is shown as its increment
over the null case (no flag) of the same mode and pacing.

Modes. vm: the child shares the launcher's memory, so nothing is copied: the
cheapest clone there is. fork: the child gets a copy, whose page tables cost
time in proportion to the memory that the launcher has touched. stub: as vm,
then the child executes a static program of a few hundred bytes; containers
start this way.

Pacings. burst: back to back, in short runs that are interleaved. paced: 50 ms
between any two operations. Some calls wait for an RCU grace period only when
the one before was long ago; a tight loop never shows it.

Teardown. A process in the namespace exits while a descriptor holds it
(exit-ns: last instruction to reaped); the descriptor is closed (close-ns); and
the kernel counts the namespace until it is destroyed (gone-ns: from the close
until another one may be made where only one may exist). A mount namespace is
counted away before the close that takes its mounts down has returned; its
destruction is complete with close-ns.

(1) Time namespaces. With shared memory (vm) the child creates one but does not
enter it: /proc/PID/ns/time_for_children is new, /proc/PID/ns/time is not, until
execve. Only a child with memory of its own (fork) enters at once. Linux 6.1 let
both enter; each result file records what its kernel did (time_namespace_vm).`,
	}
}

// tracingTopic is `isoperf help tracing`: what isoperf trace sees and changes.
func tracingTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "tracing",
		Short: "About isoperf trace: what it sees, changes and costs",
		Long: `What isoperf trace sees, changes and costs.

What stops. A seccomp filter in front of the command lets all calls run at full
speed but those that isolate: clone, unshare, setns, the mount family,
pivot_root, chroot, mkdir and rmdir (control groups), mknod, capset, prctl
(the options that isolate), seccomp, the setuid family, bpf, keyctl, execve;
and wait4 and waitid. Files that are opened for writing, and writes of 2 to 255
bytes, stop once for a look; those to control groups (cgroup.procs, cpu.max) and
id maps are kept. --files keeps every file that is opened.

How the time is divided. From the command's execve to the end of its last
process every nanosecond belongs to one phase: to the call that is under way
and was entered last; else to the code of the programs, as far as their CPU
clocks ran ("start": from execve to the first call that isolates); else to the
trace, to a process that the kernel takes down, to a wait for a CPU, for a
child, or for what no followed call explains ("blocked": a read, a lock, a
sleep). Only "blocked" has no name that says why.

What it costs. Each call stops twice, and each stop takes two switches of
context. What that costs is measured on the spot with calls that do nothing,
and printed; nothing is subtracted but in the column that says so. Programs
with many threads or calls are slowed down most: --compare gives the true ratio.

What it changes. For an ordinary user the filter needs no_new_privs, and a
tracer takes set-user-ID and file capabilities from what is executed anyway:
newuidmap, sudo and the like fail, and the report says so. The tree cannot be
traced a second time (strace, gdb). Where a process has a filter of its own
that answers a call with an error, the call is not seen here: the strictest
answer counts. PR_SET_DUMPABLE 0 can hide arguments from an ordinary user.`,
	}
}
