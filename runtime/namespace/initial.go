package namespace

import (
	"golang.org/x/sys/unix"

	"isoperf/runtime/program/inherit"
)

// InUser says whether this process is in another user namespace than the
// machine's first, as root of a rootless engine is: it may make no device nodes,
// and its root is no root of the machine. Without /proc it is taken to be in the
// first.
func InUser() bool {
	const first = 0xEFFFFFFD // PROC_USER_INIT_INO, the number that the kernel gives it (Linux 3.8)
	if link := inherit.UserNamespace.Take(); link != nil {
		return string(link) != "user:[4026531837]" // the same number
	}
	var st unix.Stat_t
	return unix.Stat("/proc/self/ns/user", &st) == nil && st.Ino != first
}
