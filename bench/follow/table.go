package follow

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/seccomp"
)

// Kind says how a call is followed.
type Kind uint8

// The kinds of calls.
const (
	Isolation Kind = iota // entry and exit
	Wait                  // a wait for children
	Birth                 // clone, fork, vfork
	Exec                  // execve
	File                  // entry; exit too when the file matters
	Write                 // the same
	Refused               // it cannot work here: entry only
)

// entry is a call that is followed. The letters of args say how the arguments
// print, see text.go.
type entry struct {
	name string
	args string
	kind Kind
	when []specs.LinuxSeccompArg // alternatives; nil: always
}

// table are the calls that are followed, by name.
func table(files bool) []entry {
	const equal, masked = specs.OpEqualTo, specs.OpMaskedEqual
	// A file that is opened for reading tells nothing.
	writes := func(argument uint) []specs.LinuxSeccompArg {
		if files {
			return nil
		}
		return []specs.LinuxSeccompArg{
			{Index: argument, Value: unix.O_ACCMODE, ValueTwo: unix.O_WRONLY, Op: masked},
			{Index: argument, Value: unix.O_ACCMODE, ValueTwo: unix.O_RDWR, Op: masked},
		}
	}
	// A thread isolates nothing, and Go's programs make many. (The flags of
	// clone3 are in memory, where no filter sees them.)
	forks := []specs.LinuxSeccompArg{{Index: 0, Value: unix.CLONE_THREAD, Op: masked}}
	modes := []specs.LinuxSeccompArg{
		{Index: 0, Value: unix.SECCOMP_SET_MODE_STRICT, Op: equal}, {Index: 0, Value: unix.SECCOMP_SET_MODE_FILTER, Op: equal},
	}
	var options []specs.LinuxSeccompArg
	for _, o := range prctls() {
		options = append(options, specs.LinuxSeccompArg{Index: 0, Value: o.value, Op: equal})
	}
	return []entry{
		{"clone", "C", Birth, forks}, {"clone3", "3", Birth, nil}, {"fork", "", Birth, nil}, {"vfork", "", Birth, nil},
		{"execve", "sv", Exec, nil}, {"execveat", "fsv", Exec, nil},
		{"wait4", "d", Wait, nil}, {"waitid", "dd", Wait, nil}, {"waitpid", "d", Wait, nil},
		{"unshare", "C", Isolation, nil}, {"setns", "FC", Isolation, nil},
		{"mount", "sssMs", Isolation, nil}, {"umount2", "sU", Isolation, nil}, {"umount", "s", Isolation, nil},
		{"pivot_root", "ss", Isolation, nil}, {"chroot", "s", Isolation, nil},
		{"open_tree", "fsx", Isolation, nil}, {"open_tree_attr", "fsx", Isolation, nil}, {"move_mount", "fsfsx", Isolation, nil},
		{"fsopen", "sx", Isolation, nil}, {"fsconfig", "ddss", Isolation, nil}, {"fsmount", "dxx", Isolation, nil}, {"fspick", "fsx", Isolation, nil},
		{"mount_setattr", "fsx", Isolation, nil}, {"mknod", "sox", Isolation, nil}, {"mknodat", "fsox", Isolation, nil},
		{"mkdir", "so", Isolation, nil}, {"mkdirat", "fso", Isolation, nil}, {"rmdir", "s", Isolation, nil},
		{"unlinkat", "fsx", Isolation, []specs.LinuxSeccompArg{{Index: 2, Value: unix.AT_REMOVEDIR, ValueTwo: unix.AT_REMOVEDIR, Op: masked}}},
		{"sethostname", "s", Isolation, nil}, {"setdomainname", "s", Isolation, nil},
		{"capset", "", Isolation, nil}, {"prctl", "Px", Isolation, options}, {"seccomp", "Sx", Isolation, modes},
		{"setuid", "d", Isolation, nil}, {"setgid", "d", Isolation, nil}, {"setreuid", "dd", Isolation, nil}, {"setregid", "dd", Isolation, nil},
		{"setresuid", "ddd", Isolation, nil}, {"setresgid", "ddd", Isolation, nil}, {"setgroups", "d", Isolation, nil},
		{"setfsuid", "d", Isolation, nil}, {"setfsgid", "d", Isolation, nil}, {"setsid", "", Isolation, nil},
		{"bpf", "d", Isolation, nil}, {"keyctl", "d", Isolation, nil}, {"personality", "x", Isolation, nil},
		{"open", "sx", File, writes(1)}, {"creat", "s", File, nil}, {"openat", "fsx", File, writes(2)}, {"openat2", "fs", File, nil},
		{"write", "dbd", Write, briefWrites()}, {"pwrite64", "dbd", Write, briefWrites()}, {"writev", "d", Write, nil},
		{"ptrace", "ddx", Refused, nil},
	}
}

// briefWrites are the sizes of writes that stop: those of numbers and of lines
// that control files take. The byte that wakes a thread does not, nor output of
// any size to speak of. One argument takes one condition of a filter rule, so
// the range is put together of powers of two.
func briefWrites() []specs.LinuxSeccompArg {
	var sizes []specs.LinuxSeccompArg
	for n := uint64(2); n < briefMost; n *= 2 {
		sizes = append(sizes, specs.LinuxSeccompArg{Index: 2, Value: ^(n - 1), ValueTwo: n, Op: specs.OpMaskedEqual})
	}
	return sizes
}

// briefMost is the first size that does not stop.
const briefMost = 256

// option is one of prctl(2).
type option struct {
	value uint64
	name  string
}

// prctls are the options that isolate, and the one that names a process.
func prctls() []option {
	return []option{
		{unix.PR_SET_SECCOMP, "PR_SET_SECCOMP"}, {unix.PR_CAPBSET_DROP, "PR_CAPBSET_DROP"}, {unix.PR_SET_NO_NEW_PRIVS, "PR_SET_NO_NEW_PRIVS"},
		{unix.PR_SET_KEEPCAPS, "PR_SET_KEEPCAPS"}, {unix.PR_SET_DUMPABLE, "PR_SET_DUMPABLE"},
		{unix.PR_SET_SECUREBITS, "PR_SET_SECUREBITS"}, {unix.PR_SET_PDEATHSIG, "PR_SET_PDEATHSIG"},
		{unix.PR_SET_CHILD_SUBREAPER, "PR_SET_CHILD_SUBREAPER"}, {unix.PR_SET_NAME, "PR_SET_NAME"},
	}
}

// assemble makes the filter: the calls of the table are traced, all others
// allowed, on every architecture that the kernel runs.
func assemble(files bool, more ...string) (*seccomp.Filter, error) {
	profile := &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{specs.ArchX86, specs.ArchX32, specs.ArchX86_64, specs.ArchARM, specs.ArchAARCH64},
	}
	trace := func(name string, args ...specs.LinuxSeccompArg) {
		profile.Syscalls = append(profile.Syscalls, specs.LinuxSyscall{Names: []string{name}, Action: specs.ActTrace, Args: args})
	}
	for _, e := range table(files) {
		if len(e.when) == 0 {
			trace(e.name)
		}
		for _, arg := range e.when {
			trace(e.name, arg)
		}
	}
	for _, name := range more {
		trace(name)
	}
	f, err := seccomp.Assemble(profile)
	if err != nil {
		return nil, fmt.Errorf("assemble the tracer's filter: %w", err)
	}
	return f, nil
}

// byNumber finds the entry of a call that stopped.
func byNumber(entries []entry) map[seccomp.Number]entry {
	all := map[seccomp.Number]entry{}
	for _, e := range entries {
		for _, n := range seccomp.Numbers(e.name) {
			all[n] = e
		}
	}
	return all
}
