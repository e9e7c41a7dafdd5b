package explain

import "golang.org/x/sys/unix"

// privilegeCalls are about what the command may do.
func privilegeCalls() []entry {
	return []entry{
		{unix.SYS_PRCTL, "prctl", "PR_SET_PDEATHSIG, 0", "prctl(2)", "Takes the death signal back: this container is to live on without the runtime."},
		{unix.SYS_PRCTL, "prctl", "PR_SET_PDEATHSIG", "prctl(2)", "Has the kernel kill this process when the runtime that started it ends, so that no half-made container is left. A change of credentials takes the signal back, so it is armed again after one."},
		{unix.SYS_PRCTL, "prctl", "PR_SET_NAME", "prctl(2)", "Gives the process a name for ps and top, until the command's own replaces it."},
		{unix.SYS_PRCTL, "prctl", "PR_CAPBSET_DROP", "capabilities(7)", "Takes a capability out of the bounding set, for good: neither a set-user-ID program nor a file's own capabilities can add it again."},
		{unix.SYS_PRCTL, "prctl", "PR_CAPBSET_READ", "capabilities(7)", "Asks whether a capability is in the bounding set."},
		{unix.SYS_PRCTL, "prctl", "PR_SET_NO_NEW_PRIVS", "prctl(2)", "Forbids for good that an execve gives more privileges: set-user-ID bits and file capabilities have no effect. An ordinary user needs it to load a seccomp filter."},
		{unix.SYS_PRCTL, "prctl", "PR_SET_KEEPCAPS", "prctl(2)", "Keeps the permitted capabilities when the user changes from root to another, which would take them away; the next capset then chooses."},
		{unix.SYS_PRCTL, "prctl", "PR_CAP_AMBIENT_CLEAR_ALL", "capabilities(7)", "Empties the ambient set, whose capabilities a user who is not root keeps across execve."},
		{unix.SYS_PRCTL, "prctl", "PR_CAP_AMBIENT_RAISE", "capabilities(7)", "Adds a capability to the ambient set: a user who is not root keeps it across execve."},
		{unix.SYS_PRCTL, "prctl", "PR_SET_DUMPABLE", "prctl(2)", "Says whether others of the same user may trace this process and read its /proc files; one that is not dumpable is out of their reach."},
		{unix.SYS_PRCTL, "prctl", "PR_SET_SECUREBITS", "capabilities(7)", "Says whether user id 0 still means all capabilities."},
		{unix.SYS_PRCTL, "prctl", "PR_SET_SECCOMP", "seccomp(2)", "Restricts the process to read, write, _exit and sigreturn (strict mode), or loads a filter of system calls."},
		{unix.SYS_PRCTL, "prctl", "PR_SET_CHILD_SUBREAPER", "prctl(2)", "Has orphans below this process become its children, so that it can collect them."},
		{unix.SYS_PRCTL, "prctl", "PR_SET_MM", "prctl(2)", "Changes what /proc says of this process's memory."},
		{unix.SYS_PRCTL, "prctl", "", "prctl(2)", "Sets a property of this process."},
		{unix.SYS_CAPSET, "capset", "", "capset(2)", "Sets the effective, permitted and inheritable capabilities: what is left of root's power is split into some forty pieces, of which a container gets few."},
		{unix.SYS_CAPGET, "capget", "", "capset(2)", "Asks for the capabilities of this process."},
		{unix.SYS_SETRESUID, "setresuid", "", "setresuid(2)", "Becomes the container's user, in all of real, effective and saved id, so there is no way back; the group ids were set before, as this takes the right to."},
		{unix.SYS_SETRESGID, "setresgid", "", "setresgid(2)", "Becomes a member of the container's group, in all of real, effective and saved id; it must come before the change of the user, which takes the right to."},
		{unix.SYS_SETGROUPS, "setgroups", "", "setgroups(2)", "Replaces the supplementary groups, so that none of the runtime's is left, which could open files of the host."},
		{unix.SYS_SECCOMP, "seccomp", "SECCOMP_SET_MODE_STRICT", "seccomp(2)", "Allows only read, write, _exit and sigreturn from here on; any other call kills."},
		{unix.SYS_SECCOMP, "seccomp", "", "seccomp(2)", "Loads a filter that the kernel asks at each system call, for good: calls that containers do not need, and that have had holes, are refused. It is among the last ops, since it would hold for them too."},
		{unix.SYS_KEYCTL, "keyctl", "KEYCTL_JOIN_SESSION_KEYRING", "keyctl(2)", "Begins a session keyring of its own; keys are not part of any namespace, and the runtime's would be inherited."},
		{unix.SYS_KEYCTL, "keyctl", "", "keyctl(2)", "Reads or changes a kernel keyring."},
		{unix.SYS_LANDLOCK_RESTRICT_SELF, "landlock_restrict_self", "", "landlock(7)", "Restricts for good which files this process may use."},
	}
}
