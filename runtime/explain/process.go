package explain

import "golang.org/x/sys/unix"

// kind is a kind of namespace, by its flag in a call's text.
type kind struct{ flag, text string }

// kinds says what each kind of namespace separates; see namespaces(7).
func kinds() []kind {
	return []kind{
		{"CLONE_NEWUSER", "user and group ids, and capabilities, that count only inside: root in here is nobody special outside. user_namespaces(7)."},
		{"CLONE_NEWPID", "process numbers of its own, from 1; nothing outside can be seen or signalled. pid_namespaces(7)."},
		{"CLONE_NEWNET", "network interfaces, addresses, routes and ports of its own; at first only a loopback that is down. network_namespaces(7)."},
		{"CLONE_NEWNS", "a list of mounts of its own, at first a copy. mount_namespaces(7)."},
		{"CLONE_NEWUTS", "a host name of its own. uts_namespaces(7)."},
		{"CLONE_NEWIPC", "System V IPC objects and POSIX message queues of its own. ipc_namespaces(7)."},
		{"CLONE_NEWCGROUP", "its own cgroup looks like the root of the tree. cgroup_namespaces(7)."},
		{"CLONE_NEWTIME", "monotonic and boot-time clocks that may be shifted. time_namespaces(7)."},
	}
}

// processCalls are about processes: their birth, end, limits, signals, and the
// hand-shake with the launcher.
func processCalls() []entry {
	return []entry{
		{unix.SYS_CLONE3, "clone3", ", mode ", "clone(2)", "Makes the container's first process, already in the new namespaces of its flags."},
		{unix.SYS_CLONE, "clone", "the copy goes on", "clone(2)", "Makes a copy of this process. The original stays behind as process 1: it collects orphans until the command has ended. The copy goes on behind it and becomes the command."},
		{-3, "clone3", "", "clone(2)", "Makes a second child, which goes on in place of the first: a process is born into the pid namespace that was joined or made, it cannot move there itself."},
		{-4, "gettid", "", "get_robust_list(2)", "Has the kernel mark a word when this process executes the command or ends, so the launcher knows the moment without a descriptor that could be inherited."},
		{unix.SYS_GETTID, "gettid", "", "gettid(2)", "Asks for the process's own number."},
		{unix.SYS_GETPPID, "getppid", "", "getppid(2)", "Asks for the parent's number: the cheapest system call, to measure what a call costs at least."},
		{unix.SYS_SET_ROBUST_LIST, "set_robust_list", "", "get_robust_list(2)", "Takes the mark back, so that the end of this first child is not taken for the end of the second."},
		{-2, "tell", "", "futex(2)", "Sets a word that the launcher can see and wakes it: all ops so far are done, and the launcher may do its part from outside."},
		{-1, "wait", "until the launcher has seen", "futex(2)", "Waits until the launcher has shown that it was alive after the death signal was armed, so that no killed launcher leaves an orphan."},
		{-1, "wait", "init confined", "futex(2)", "Waits until the init has made itself untraceable and has loaded its filter: before that, the command could get out of its own through it."},
		{-1, "wait", "", "futex(2)", "Waits for the launcher, which now does what can only be done from outside, such as id maps, cgroups or the network, or has no order to go on yet."},
		{unix.SYS_FUTEX, "futex", "", "futex(2)", "Waits for a word in memory to change, or wakes who waits for it; the launcher and the container agree on their turns so."},
		{unix.SYS_EXECVE, "execve", "", "execve(2)", "Replaces this program by the container's command, which keeps the process, its namespaces, its root and its limits. Nothing of the runtime is left in it."},
		{unix.SYS_EXECVEAT, "execveat", "stub", "execveat(2)", "Goes on in a tiny program in sealed memory: from here on the container shares the list of its ops with the runtime, but neither other memory nor the binary, which it cannot change through /proc/PID/exe."},
		{unix.SYS_EXECVEAT, "execveat", "", "execveat(2)", "Replaces this program by the file behind a descriptor, which was found before the container could put another in its place."},
		{unix.SYS_EXIT_GROUP, "exit_group", "", "exit_group(2)", "Ends the process with a status, without running a command."},
		{unix.SYS_EXIT, "exit", "", "_exit(2)", "Ends the thread, which is the whole process here."},
		{unix.SYS_UNSHARE, "unshare", "|CLONE_NEW", "unshare(2)", "Moves this process, and of pid and time namespaces only its children, into new namespaces of the named kinds."},
		{unix.SYS_UNSHARE, "unshare", "CLONE_NEWUSER", "unshare(2)", "Moves this process into a new user namespace, in which it has every capability and outside none; this is how an ordinary user may make the other namespaces."},
		{unix.SYS_UNSHARE, "unshare", "CLONE_NEWCGROUP", "unshare(2)", "Moves this process into a new cgroup namespace: the cgroup it is in now looks like the root. It comes after the last move, or the container would see its path on the host."},
		{unix.SYS_UNSHARE, "unshare", "CLONE_NEWTIME", "unshare(2)", "Makes a new time namespace for what this process starts: its children, and in newer kernels the program that it executes."},
		{unix.SYS_UNSHARE, "unshare", "CLONE_NEWPID", "unshare(2)", "Makes a new pid namespace for the children of this process, of which the first is process 1; the process itself stays where it is."},
		{unix.SYS_UNSHARE, "unshare", "CLONE_NEWNET", "unshare(2)", "Moves this process into a new network namespace, with no interface but a loopback that is down."},
		{unix.SYS_UNSHARE, "unshare", "", "unshare(2)", "Moves this process into new namespaces of the named kinds, away from the host's."},
		{unix.SYS_SETNS, "setns", "CLONE_NEWPID", "setns(2)", "Joins an existing pid namespace, for the children only: the next process that is made is in it."},
		{unix.SYS_SETNS, "setns", "CLONE_NEWUSER", "setns(2)", "Joins an existing user namespace and has every capability in it; it comes first, as it gives the right to join the others."},
		{unix.SYS_SETNS, "setns", "", "setns(2)", "Joins an existing namespace, as a process that enters a running container must, or one that shares a network."},
		{unix.SYS_SETSID, "setsid", "", "setsid(2)", "Begins a session without a controlling terminal: keys in the runtime's terminal send no signals here, and a terminal of its own can follow."},
		{unix.SYS_SETPGID, "setpgid", "", "setpgid(2)", "Puts the process into a process group, to which a terminal's signals go."},
		{unix.SYS_SETHOSTNAME, "sethostname", "", "sethostname(2)", "Gives the container its host name; the host keeps its own, since the UTS namespace is the container's."},
		{unix.SYS_SETDOMAINNAME, "setdomainname", "", "setdomainname(2)", "Gives the container its NIS domain name, in its own UTS namespace."},
		{unix.SYS_PRLIMIT64, "prlimit64", "", "prlimit(2)", "Sets a resource limit for the command, such as how many files it may have open; a Go program like the runtime raises that one for itself, which no command expects."},
		{unix.SYS_PERSONALITY, "personality", "", "personality(2)", "Sets the execution domain: how old programs see the kernel, for example a 32-bit machine, or addresses that are not random."},
		{unix.SYS_SCHED_SETAFFINITY, "sched_setaffinity", "", "sched_setaffinity(2)", "Says on which CPUs the process may run; its children inherit it."},
		{unix.SYS_SCHED_SETATTR, "sched_setattr", "", "sched_setattr(2)", "Sets the scheduling policy and its priority, nice value or deadline."},
		{unix.SYS_SETPRIORITY, "setpriority", "", "setpriority(2)", "Sets the nice value: how much CPU time it gets when others want it too."},
		{unix.SYS_IOPRIO_SET, "ioprio_set", "", "ioprio_set(2)", "Sets the priority of its disk I/O, for the I/O schedulers that have one."},
		{unix.SYS_RT_SIGPROCMASK, "rt_sigprocmask", "", "sigprocmask(2)", "Gives back the signal mask of before the start: all signals were blocked, so that none could disturb a half-made container."},
		{unix.SYS_RT_SIGACTION, "rt_sigaction", "", "sigaction(2)", "Sets what a signal does; what is ignored here stays ignored in the command, since execve resets only handlers."},
		{unix.SYS_PPOLL, "ppoll", "", "ppoll(2)", "Waits until a descriptor is ready, a time is over, or a signal comes."},
		{unix.SYS_NANOSLEEP, "nanosleep", "", "nanosleep(2)", "Sleeps for a while, before it looks again whether something is ready."},
		{unix.SYS_WAITID, "waitid", "", "waitid(2)", "Waits for the end of a child and collects it; process 1 must do so for every orphan of its namespace, or they stay as zombies."},
		{unix.SYS_WAIT4, "wait4", "", "wait4(2)", "Waits for the end of a child and collects it."},
		{unix.SYS_KILL, "kill", "", "kill(2)", "Sends a signal to a process or a group of them."},
		{unix.SYS_GETPID, "getpid", "", "getpid(2)", "Asks for the process's own number."},
	}
}
