// Package container makes a checked spec.Container a program of system calls,
// and runs it: the child's part is one list of ops, walked by the stub; the
// launcher's part are a few steps around it.
//
//	spec.Container ──New──► Plan ──Start──► Container ──Wait──► Status
//	                 pure    │                 │  └────► Events: every step, on both sides, with its time
//	                         │                 │
//	launcher   create group ─┼─► clone ─► write id maps ─► connect network ─► forward signals ─► wait ─► remove group
//	child                    └── armed ─► wait ─► mounts, pivot ─► wait ─► limits, ids, capabilities, filter ─► execve
//
// Start, which the commands use, does not plan all of it first: the child is made
// as soon as it is clear how, and waits at a gate for its next ops, which are
// planned while it enters the stub. Each mount is handed to it when it is planned,
// behind a gate of its own, so that it is made while the next one is planned; not
// where the child first has to wait for its id maps, since gates open in their
// order. What turns out to be wrong then is found after some mounts were made,
// which are gone with the child.
//
// # The order of the child's ops, and why
//
// Descriptors of the launcher are closed first, so that nothing after it can
// lead to the host. The control groups are entered by being born there, so the
// cgroup namespace, which is unshared next, has them as its root. Kernel
// parameters are written before /proc/sys becomes read-only. Everything that
// takes a name on the host happens before the pivot. The bounding set is
// dropped while CAP_SETPCAP is there; then groups, group, user; then the other
// capability sets. After each change of credentials the death signal is armed
// again. The working directory is entered as the user who will work in it, except
// behind a filter that does not know openat2: then before that is loaded. The
// seccomp filter is the last op before execve, except without no_new_privs,
// where loading it takes a capability: then it comes before they are dropped,
// and the plan checks that it lets the rest through.
//
// A group of version 1 that only has rules for devices is not there yet when the child
// is born: the launcher looks for it and makes it meanwhile, and the child enters it
// before the mounts that show it (groups.go).
//
// A group that is a scope of systemd's cannot be there before a process that it is
// made around: then the child is born beside the launcher, and waits at the gate
// until systemd has moved it (place.go). One more process is moved likewise, where an
// ordinary user may not have it born there.
//
// With an init, the first process becomes it and forks the command off, after
// the credentials: both have the same. A filter that is loaded early is in force
// in both from then on; otherwise each loads it as its last op. The init also
// makes itself untraceable, and the command is held back until it has done both:
// it would escape its filter through an init that has none.
//
// The program is executed in mode stub: see package program for what that
// protects.
//
// # What only some containers have
//
// Mounts that the child cannot make are made by the launcher before the clone
// (package rootfs/prepare). Network devices of the host are moved once the child is
// in its namespaces, before its mounts (package network/device). Hooks come when
// all is mounted, before the pivot, and just before execve (package hook). Each has
// gates of its own, which containers without do not have.
//
// Mounts of a container without a mount namespace are the host's, and outlive a
// launcher that is killed: it leaves a record of them, by which the Sweep of the
// next one removes them (rootfs.RecordHost). A container that is kept has them in
// its state instead.
//
// One more process can enter a container that there is; see Entered.
//
// # What a memory limit counts
//
// A container starts under 512 KiB. The limit is complete before the command is
// executed, but not before the launching thread has left the group (on version
// 1), which must not be killed for what its child takes. Charged to the group is
// what is first touched, or made, from inside: the network namespace and the
// other namespaces, since the clone takes place there; the child's kernel stack,
// page tables and mounts; the tmpfs pages of its /dev. What isorun had ready
// (program.Spare) is the launcher's. The stub's text and the
// arena with the program are the launcher's: it wrote them. While another
// processor still has charges in stock (up to 256 KiB each), the kernel refuses
// so small a limit as busy; it is written again until they are given back.
package container
