package program

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
)

// OpError is an op that failed with an errno that it does not accept.
type OpError struct {
	Index int // the op's number in the program, from 1, as Print shows it; 0: an op that the mode adds
	Op    Op
	Errno syscall.Errno
	Hint  string // what to do about it; may be empty
}

// Error names the op, the call and the errno, and says what to do.
func (e *OpError) Error() string {
	text := fmt.Sprintf("%s: %s: %v (%s)", e.Op.Name, e.Op, e.Errno, errnoName(e.Errno))
	if e.Index != 0 {
		text = fmt.Sprintf("op %d, %s", e.Index, text)
	}
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Unwrap gives the errno.
func (e *OpError) Unwrap() error { return e.Errno }

// CloneError is a clone3 that failed.
type CloneError struct {
	Flags uint64
	Errno syscall.Errno
	Hint  string
}

// Error names the flags and the errno, and says what to do.
func (e *CloneError) Error() string {
	return fmt.Sprintf("clone3({%s}): %v (%s); %s", namespace.FlagString(e.Flags), e.Errno, errnoName(e.Errno), e.Hint)
}

// Unwrap gives the errno.
func (e *CloneError) Unwrap() error { return e.Errno }

func cloneError(flags uint64, errno syscall.Errno) error {
	return &CloneError{Flags: flags, Errno: errno, Hint: cloneHint(flags, errno)}
}

// cloneHint says what to do about a clone that failed; see clone(2), user_namespaces(7).
func cloneHint(flags uint64, errno syscall.Errno) string {
	privileged := flags & namespace.Flags("user")
	switch errno {
	case unix.EPERM:
		if flags&unix.CLONE_NEWUSER != 0 {
			return "this user may not create a user namespace: see kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns (isoperf doctor)"
		}
		if privileged != 0 {
			return "creating these namespaces takes CAP_SYS_ADMIN: run as root, or add a user namespace"
		}
		return "a seccomp filter or a security module refuses it (isoperf doctor)"
	case unix.ENOSPC, unix.EUSERS:
		return "a limit on namespaces is reached: see /proc/sys/user/max_*_namespaces, and end what holds namespaces open"
	case unix.EAGAIN:
		return "the limit on processes is reached: see ulimit -u, pids.max of the cgroup, and kernel.pid_max"
	case unix.ENOMEM:
		return "the kernel has no memory for another process, or the pid namespace's init has ended"
	case unix.EINVAL:
		return "this kernel does not know one of the flags, or they exclude each other: Linux 5.10 or newer is needed (isoperf doctor)"
	case unix.ENOSYS:
		return "clone3 is hidden, usually by a container's seccomp filter: run outside it, or with --security-opt seccomp=unconfined"
	case unix.EBADF, unix.ENODEV:
		return "the descriptor to be born into is not one of a cgroup v2 directory, or the cgroup was removed"
	case unix.EACCES:
		return "this user may not move processes into the cgroup: it has to be delegated (isoperf doctor)"
	case unix.EBUSY, unix.EOPNOTSUPP:
		return "the cgroup cannot take the process: it is not a leaf, or its type is domain invalid"
	}
	return "see clone(2)"
}

// opHint says what to do about the failures that people meet.
func opHint(op Op, errno syscall.Errno) string {
	switch {
	case op.Call == unix.SYS_EXECVE && errno == unix.ENOENT:
		return "no such file, or its interpreter is missing (inside the new root, if there is one)"
	case op.Call == unix.SYS_EXECVE && errno == unix.EACCES:
		return "it is not an executable file, or its file system is mounted noexec"
	case op.Call == unix.SYS_EXECVE && errno == unix.ENOEXEC:
		return "it is not a program for this machine, and has no #! line"
	case op.Name == enterStub && errno == unix.EACCES:
		return "executing a memfd is refused: see vm.memfd_noexec"
	case op.Name == "process.apparmorProfile" && errno == unix.ENOENT:
		return "the kernel has no profile of that name: load it (apparmor_parser), or remove the field"
	case errno == unix.ENOSPC && op.Call == unix.SYS_UNSHARE:
		return "a limit on namespaces is reached: see /proc/sys/user/max_*_namespaces"
	case errno == unix.EPERM && (op.Call == unix.SYS_UNSHARE || op.Call == unix.SYS_SETNS || op.Call == unix.SYS_MOUNT):
		return "it takes CAP_SYS_ADMIN: run as root, or inside a user namespace"
	}
	return ""
}
