// Package cgroup makes, enters, limits, freezes, kills and removes control
// groups: version 1, version 2, and machines that have both (hybrid). A start
// pays for each hierarchy that it touches, so a group exists only in those that
// its limits need, and every step of it is timed.
//
//	/proc/self/mountinfo, cgroup ──Detect──► Host ──Plan──► Plan ──Create──► Group ──► Within, Attach, Child
//	                                               pure      │ Steps           │        Update, Freeze, Kill, Stats
//	OCI resources, flags ──────────────────────────┘         ▼                 ▼ Spans
//	                                                      printed           Remove, or Sweep at the next start
//
// # Born inside
//
// With version 2 a child is born in a group by CLONE_INTO_CGROUP (Linux 5.7);
// FD is the descriptor for it. Version 1 has nothing of the kind, and a write of
// another process's id to cgroup.procs waits for an RCU grace period, some 8 ms.
// A thread that moves itself does not wait: so Within lets the launching thread
// write itself into the `tasks` files, start the child, and go back. Limits that
// would hit the launcher meanwhile (tasks, and memory, which the child shares with
// it at first) are written after it left, in both versions; so the child has to
// wait at a gate until Within has returned.
//
// Where a controller of version 1 counts nothing (rules for devices), the child may
// as well write itself into `tasks` (Plan.Entrances): then the group need not be there
// before the child, and is made while that gets ready.
//
// # Which hierarchy
//
// A controller belongs to one hierarchy of the machine, version 1 or 2. OCI
// resources are in terms of version 1 and their `unified` map is in those of
// version 2; both are translated to what the machine has when there is an exact
// equivalent, and are an error that names the field when there is none.
//
// # Whose tree
//
// Where systemd runs, the version 2 tree is its own: when it reloads it takes
// controllers away that it has not given, and the limits of groups made beside its
// own go with them. They stay below a delegated scope (Delegate, Options.Parent), or
// in a scope that is the group itself (Options.Scope): systemd makes it around a
// child that waits, is told the limits, and writes the same ones when it reloads.
//
//	Plan ──Adopt──► systemd: scope with the limits, child inside ──► all limits once more, exactly ──► Group
//	                             Group.Update: files, then the unit's properties │ Group.Remove: once it is empty, stop
//
// Package systemd asks it. Scopes are of version 2 alone.
//
// # What is left behind
//
// Groups carry their owner in their name: the pid namespace's inode, the process
// and its start time. So a killed runtime's groups are recognised by the next
// one's Sweep, among siblings, with one readdir a hierarchy. A group at a path
// of the user's choice has a record file instead.
//
// Sources: Documentation/admin-guide/cgroup-v1, cgroup-v2.rst; cgroups(7).
package cgroup
