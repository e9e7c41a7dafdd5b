// Package capability is the sets of capabilities(7) as data, and the ops that
// give a process the ones it is to have.
//
//	names, config.json ──Parse, FromOCI, Adjust──► Set, Sets ──Check──► DropBounding, Apply ──► ops of a program
//
// # Order
//
// Each step needs what a later one takes away, and the order is the caller's:
//
//  1. DropBounding, which takes CAP_SETPCAP.
//  2. With another user: Keep, then setgroups, setresgid, setresuid
//     (which take CAP_SETGID and CAP_SETUID). Leaving user 0 clears the
//     effective and the ambient set, and without Keep the permitted.
//  3. Apply: capset, then the ambient set, which can hold only what is already
//     permitted and inheritable. capset takes no capability to give some up.
//  4. A seccomp filter and execve. What the command has is decided there, from
//     the sets, the bounding set, its user and its file; a user other than root
//     keeps the ambient set alone.
package capability

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Set is a set of capabilities; bit n stands for the capability with number n
// in linux/capability.h. The zero value is the empty set.
type Set uint64

// names are the capabilities by number, as Linux 5.9 and newer have them.
var names = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
	"CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
	"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
	"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// The most that the kernel's interface has room for: two words of 32 bits.
const most = 63

// Of is the set of the capabilities with these numbers (unix.CAP_CHOWN, …),
// each from 0 to 63.
func Of(numbers ...int) Set {
	var s Set
	for _, n := range numbers {
		s |= 1 << n
	}
	return s
}

// UpTo is every capability whose number is at most last; see Last. Below 0 it
// is the empty set.
func UpTo(last int) Set {
	return Set(1)<<(min(last, most)+1) - 1
}

// All is every capability that has a name here, which is what "ALL" means.
// A newer kernel may have more.
func All() Set { return UpTo(len(names) - 1) }

// Default is what a container has when nothing else is asked for: the usual
// fourteen of Docker and containerd.
func Default() Set {
	return Of(unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FSETID, unix.CAP_FOWNER, unix.CAP_MKNOD,
		unix.CAP_NET_RAW, unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_SETFCAP, unix.CAP_SETPCAP,
		unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_CHROOT, unix.CAP_KILL, unix.CAP_AUDIT_WRITE)
}

// Last is the number of the kernel's highest capability. It asks prctl(2) with
// PR_CAPBSET_READ, which knows without /proc (proc_sys_kernel(5),
// cap_last_cap); on a kernel of today that is two system calls.
func Last() (int, error) {
	last := len(names) - 1
	for known := true; ; {
		err := unix.Prctl(unix.PR_CAPBSET_READ, uintptr(last), 0, 0, 0)
		switch {
		case err != nil && err != unix.EINVAL:
			return 0, fmt.Errorf("ask the kernel for capability %d (PR_CAPBSET_READ): %w; a seccomp filter may forbid prctl", last, err)
		case err == nil && last < most && known:
			last++
		case err == nil:
			return last, nil
		case last == 0:
			return 0, fmt.Errorf("ask the kernel for capability 0 (PR_CAPBSET_READ): %w; it has none", err)
		default:
			last, known = last-1, false
		}
	}
}

// Has says whether all of t is in s.
func (s Set) Has(t Set) bool { return s&t == t }

// numbers are the capabilities of the set, from the lowest.
func (s Set) numbers() []int {
	list := make([]int, 0, bits.OnesCount64(uint64(s)))
	for rest := uint64(s); rest != 0; rest &= rest - 1 {
		list = append(list, bits.TrailingZeros64(rest))
	}
	return list
}

// name is the capability's name; CAP_ and its number when it has none here.
func name(n int) string {
	if n < len(names) {
		return names[n]
	}
	return "CAP_" + strconv.Itoa(n)
}

// Names are the capabilities' names by number: "CAP_CHOWN". One without a name
// is "CAP_" and its number, which Parse understands. It is never nil, so that
// an empty set is written as an empty list.
func (s Set) Names() []string {
	list := []string{}
	for _, n := range s.numbers() {
		list = append(list, name(n))
	}
	return list
}

// String is "chown,kill"; "none", "all", or "all but sys_admin" where that is
// shorter.
func (s Set) String() string {
	missing := All() &^ s
	switch {
	case s == 0:
		return "none"
	case s == All():
		return "all"
	case s&^All() == 0 && bits.OnesCount64(uint64(missing)) <= 8:
		return "all but " + missing.list()
	}
	return s.list()
}

// list is the names in lower case, without "CAP_", with commas between.
func (s Set) list() string {
	var b strings.Builder
	b.Grow(16 * bits.OnesCount64(uint64(s)))
	for i, n := range s.numbers() {
		if i > 0 {
			b.WriteByte(',')
		}
		for _, letter := range []byte(name(n)[len("CAP_"):]) {
			if 'A' <= letter && letter <= 'Z' {
				letter += 'a' - 'A'
			}
			b.WriteByte(letter)
		}
	}
	return b.String()
}
