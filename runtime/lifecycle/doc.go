// Package lifecycle takes containers through their lives, one command at a time:
// each is a process of its own, and finds what the one before left in the state
// directory.
//
//	create  directory ─► config.json, fifo ─► state.json ─► group, child ─► set up ─► state.json with its process ─► left alone
//	start   lock ─► one byte into the fifo ─► the fifo's reader is gone: executed, or ended
//	exec    namespaces and groups of the first process ─► child enters ─► left alone, or stood for
//	kill    signal to the first process, or to the group's
//	delete  lock ─► kill ─► wait ─► group removed ─► directory removed
//
// Hooks have their places in between: see package hook. Before the first one runs,
// state.json gets the process, so that whoever deletes the container with --force can
// kill it, whereupon Create ends the hook and removes everything. A container of
// which a hook fails is removed, by create or by start.
//
// # Status
//
// It is looked for each time, in things that only the kernel changes:
//
//	creating  state.json has no process, and somebody holds the lock
//	created   the process waits: it has the name from before its execve, and the fifo
//	          has a reader. That is closed by execve, and nobody inside the container
//	          can open it: while it waits it is closed to ptrace
//	running   the process is there, with the start time it had
//	paused    and its group is frozen
//	stopped   it is not, or has not been collected; or there has never been one, and
//	          whoever was making it is gone
//
// # A crash
//
// Until Create lets it go, the child dies with its launcher. So what a killed
// create leaves is a directory and perhaps control groups, which state.json names
// before they are made. Delete removes both, for a container without a process
// like for one that has stopped; a directory without state.json takes --force. Of a
// scope of systemd's state.json has the name before it is made; it is ended when it
// turns out to be empty.
package lifecycle
