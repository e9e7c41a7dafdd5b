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
