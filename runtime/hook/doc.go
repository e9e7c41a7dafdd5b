// Package hook runs the programs that a container's configuration names for
// moments of its life, as OCI runtime specification 1.3 has them:
//
//	create  namespaces, mounts ─► prestart ─► createRuntime ─► createContainer ─► pivot_root ─► … ─► waits
//	start   startContainer ─► execve ─► poststart
//	delete  removed ─► poststop
//
// Each gets the container's state as JSON on standard input, and its own
// environment and nothing else.
//
// # Whose
//
// prestart, createRuntime, poststart and poststop are the runtime's: they run in
// its namespaces, beside the container, in the bundle's directory. This package
// runs them:
//
//	launcher ─► guard: a session of its own, takes in orphans ─► copy: execve of the hook
//	   │          └ ends when the hook has ended; kills its group when the launcher is gone
//	   └ waits for the guard; kills all that is below it when time is up, the container
//	     has ended, or somebody asks
//
// createContainer and startContainer are the container's: its first process makes
// a copy of itself that executes them, so they are in all of its namespaces and
// control groups, under its limits, and gone when it is. Those are ops in the one
// list that every container is (program.Program.Aside), and not a launcher that
// goes into its namespaces: at start there is no launcher any more, and an op needs
// no way in that somebody else could find. The first runs before pivot_root, with
// the container's root as its directory, and finds its file in the host's tree; the
// second as the very process that the command will be: its user, capabilities,
// filter and limits, since its file comes from the container.
//
// # When one fails
//
// It fails when it ends with anything but status 0, cannot be executed, or takes
// longer than its timeout; the others of its kind are not run then. The
// container is ended and removed, and the poststop hooks run: for all kinds but
// poststop, of which a failure is a warning, and the rest runs. (Until 1.2 the
// specification had poststart like that too; runc ends the container, and 1.3
// wants that.)
package hook
