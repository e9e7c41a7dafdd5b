// Package program is the engine: a program is a flat list of named system
// calls that a freshly cloned child executes, with a time stamp after each.
// It knows nothing of containers; it starts them, and it measures primitives,
// because both are lists of the same ops.
//
//	Program ──Load──► Image (ops, data, results: one arena) ──Start──► Process ──Wait──► Status
//	 pure                                                        │                └────► Timeline
//	                     launch (assembly): mask, clone3, stamp ─┤
//	                                                             ▼
//	                     loop (assembly, in the child): op, stamp, op, stamp, … execve or exit
//
// # Modes
//
// VM: the child shares the launcher's memory and has its own stack in the
// arena. The cheapest clone there is, and a hole: whoever may ptrace the child
// owns the launcher, and an OOM kill in the child's memory cgroup takes the
// launcher along. For measuring only.
//
// Stub: the child's first op is execveat of a static ELF of a few hundred
// bytes in a sealed memfd. It holds the same loop and maps the arena at the
// same address, so the program goes on where it was. Every real container
// starts this way: it shares nothing with the launcher, and its /proc/PID/exe
// is the sealed memfd. The way into the stub takes longer than writing a
// container's ops does, so Start does both at once: the child is made with the
// early ops alone, and behind the stub it waits for the rest. Begin does the same
// with a program that is not even complete.
//
// Fork: the child gets a copy of the launcher's memory, whose page tables
// cost time in proportion to what the launcher has touched; while they are
// copied, no thread of the launcher can map memory, the garbage collector's
// neither. For comparison, and for what refuses shared memory (setns to a time
// namespace).
//
// Two kinds of namespace know the modes apart. A time namespace that is cloned
// is entered at once in mode fork, at the stub's execve in mode stub, and in
// mode vm only at the command's, so its offsets can still be set. A user
// namespace that is cloned gives the child all capabilities in it, which an
// execve takes from a user without a map: in mode stub it has none. Unshare it
// there.
//
// # Why assembly
//
// Go cannot fork: a child of a multi-threaded Go process may not run Go code.
// A few lines of assembly per architecture clone and walk the list with raw
// system calls, in registers; so there is no C, no cgo and no re-execution.
// Around them the scheduler is told, as for a blocking system call, so that a
// clone that waits never holds up the garbage collector.
//
// # Who dies with whom
//
// All signals are blocked across the clone and given back by the last op
// before execve. A program with DieWithParent sets PR_SET_PDEATHSIG, tells the
// launcher, and does not execve before the launcher has seen that: a launcher
// that has seen it was alive after the signal was armed, so there is no moment
// at which a killed launcher leaves an orphan. A change of credentials disarms
// the signal, and a second clone starts without it; Rearm and Again do the same
// once more. A child that waits for a launcher that is gone exits.
//
// PR_SET_PDEATHSIG fires when the launching thread ends, not the process: start
// such programs from a Launcher, whose thread does not end.
//
// # What is trusted
//
// Load checks a program, since the loop trusts what it walks. A child in mode
// stub can write its arena until execve, and so can who may ptrace it; what the
// launcher reads there it checks (the failed op's place, the second child's
// number), or only reports.
//
// Linux 5.10 or newer; amd64 and arm64.
package program
