// Package namespace is the one table of Linux namespaces. Command-line flags,
// benchmarks, printing and tests are driven by it; adding a namespace is one
// line.
package namespace

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Namespace is one kind of namespace; see namespaces(7).
type Namespace struct {
	Name  string // as flags and result files spell it, and as in /proc/PID/ns
	Flag  uint64 // CLONE_NEW*
	Since string // the Linux version that completed it
	Limit string // the file under /proc/sys/user that bounds how many may exist
}

// All is the table, in the order in which results are shown.
func All() []Namespace {
	return []Namespace{
		{"user", unix.CLONE_NEWUSER, "3.8", "max_user_namespaces"},
		{"pid", unix.CLONE_NEWPID, "2.6.24", "max_pid_namespaces"},
		{"net", unix.CLONE_NEWNET, "2.6.29", "max_net_namespaces"},
		{"mnt", unix.CLONE_NEWNS, "2.4.19", "max_mnt_namespaces"},
		{"uts", unix.CLONE_NEWUTS, "2.6.19", "max_uts_namespaces"},
		{"ipc", unix.CLONE_NEWIPC, "2.6.19", "max_ipc_namespaces"},
		{"cgroup", unix.CLONE_NEWCGROUP, "4.6", "max_cgroup_namespaces"},
		{"time", unix.CLONE_NEWTIME, "5.6", "max_time_namespaces"},
	}
}

// Path is the namespace's file of a process.
func (n Namespace) Path(pid int) string { return fmt.Sprintf("/proc/%d/ns/%s", pid, n.Name) }

// ByName finds a namespace.
func ByName(name string) (Namespace, bool) {
	for _, n := range All() {
		if n.Name == name {
			return n, true
		}
	}
	return Namespace{}, false
}

// Flags is the union of the flags of all namespaces except those named.
func Flags(except ...string) uint64 {
	var flags uint64
next:
	for _, n := range All() {
		for _, name := range except {
			if n.Name == name {
				continue next
			}
		}
		flags |= n.Flag
	}
	return flags
}

// ParseList turns "net,mnt", "all", "none" or "all,-user" into flags.
func ParseList(list string) (uint64, error) {
	var flags uint64
	for word := range strings.SplitSeq(list, ",") {
		name, minus := strings.CutPrefix(strings.TrimSpace(word), "-")
		var bits uint64
		switch n, ok := ByName(name); {
		case ok:
			bits = n.Flag
		case name == "all":
			bits = Flags()
		case name == "none":
		default:
			return 0, fmt.Errorf("parse namespaces %q: %q is not a namespace (user pid net mnt uts ipc cgroup time, all, none; a minus takes one away)", list, name)
		}
		if minus {
			flags &^= bits
		} else {
			flags |= bits
		}
	}
	return flags, nil
}

// Symbol is the name of a bit.
type Symbol struct {
	Bit  uint64
	Name string
}

// Symbols prints flags by name, unknown bits in hexadecimal, 0 as "0".
func Symbols(flags uint64, table []Symbol) string {
	var names []string
	for _, s := range table {
		if flags&s.Bit != 0 {
			names = append(names, s.Name)
			flags &^= s.Bit
		}
	}
	if flags != 0 || len(names) == 0 {
		if flags == 0 {
			return "0"
		}
		names = append(names, fmt.Sprintf("%#x", flags))
	}
	return strings.Join(names, "|")
}

// FlagString prints clone flags by name.
func FlagString(flags uint64) string {
	table := []Symbol{
		{unix.CLONE_VM, "CLONE_VM"}, {unix.CLONE_VFORK, "CLONE_VFORK"}, {unix.CLONE_FS, "CLONE_FS"}, {unix.CLONE_FILES, "CLONE_FILES"},
		{unix.CLONE_PIDFD, "CLONE_PIDFD"}, {unix.CLONE_PARENT, "CLONE_PARENT"}, {unix.CLONE_PARENT_SETTID, "CLONE_PARENT_SETTID"},
		{unix.CLONE_CLEAR_SIGHAND, "CLONE_CLEAR_SIGHAND"}, {unix.CLONE_INTO_CGROUP, "CLONE_INTO_CGROUP"},
		{unix.CLONE_SIGHAND, "CLONE_SIGHAND"}, {unix.CLONE_THREAD, "CLONE_THREAD"}, {unix.CLONE_SYSVSEM, "CLONE_SYSVSEM"}, {unix.CLONE_SETTLS, "CLONE_SETTLS"},
		{unix.CLONE_CHILD_CLEARTID, "CLONE_CHILD_CLEARTID"}, {unix.CLONE_CHILD_SETTID, "CLONE_CHILD_SETTID"}, {unix.CLONE_UNTRACED, "CLONE_UNTRACED"},
	}
	for _, n := range All() {
		table = append(table, Symbol{n.Flag, constant(n.Name)})
	}
	return Symbols(flags, table)
}

func constant(name string) string {
	if name == "mnt" {
		name = "ns"
	}
	return "CLONE_NEW" + strings.ToUpper(name)
}
