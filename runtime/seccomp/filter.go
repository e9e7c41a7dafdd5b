package seccomp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
	"isoperf/runtime/program"
)

// Filter is a seccomp filter that is ready to be loaded.
type Filter struct {
	// Code is the BPF program, of at most 4096 instructions.
	Code []unix.SockFilter
	// Flags are SECCOMP_FILTER_FLAG_*; 0: none.
	Flags uint32
	// Unknown are the system calls of the profile that this build has no
	// number of, in the profile's order. They get the default action, or
	// ENOSYS when they are newer than all others: where the default allows,
	// they are not forbidden.
	Unknown []string
	// Listener says that calls are left to a listener: loading the filter gives a
	// descriptor, which has to get to linux.seccomp.listenerPath.
	Listener bool
}

// maxCode is BPF_MAXINSNS, the kernel's limit of instructions.
const maxCode = 4096

// Assemble makes a filter of the linux.seccomp section of an OCI
// configuration, for the architecture this is compiled for and those of the
// section that its kernel runs too. Every field is honoured or an error that
// names it.
func Assemble(s *specs.LinuxSeccomp) (*Filter, error) { return assemble(s, runtime.GOARCH) }

func assemble(s *specs.LinuxSeccomp, goarch string) (*Filter, error) {
	f, err := assembleFor(s, goarch)
	if err != nil {
		return nil, fmt.Errorf("assemble %w", err)
	}
	return f, nil
}

// Check checks the fields of a profile, each by itself: what Assemble would
// refuse whatever else the profile says. The error begins with the field.
func Check(s *specs.LinuxSeccomp) error {
	if _, err := header(s, runtime.GOARCH); err != nil {
		return err
	}
	fallback, err := action(s.DefaultAction, s.DefaultErrnoRet)
	if err != nil {
		return fmt.Errorf("linux.seccomp.defaultAction: %w", err)
	}
	for i := range s.Syscalls {
		if _, err := appendRules(nil, i, &s.Syscalls[i], fallback); err != nil {
			return err
		}
	}
	return nil
}

func assembleFor(s *specs.LinuxSeccomp, goarch string) (*Filter, error) {
	arches, err := header(s, goarch)
	if err != nil {
		return nil, err
	}
	rules, err := parse(s)
	if err != nil {
		return nil, err
	}
	f := &Filter{Unknown: rules.unknown}
	if f.Flags, err = filterFlags(s.Flags); err != nil {
		return nil, err
	}
	if f.Listener = notifies(s); f.Listener {
		f.Flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	} else {
		// It says how a call waits for the listener, without which the kernel
		// refuses it.
		f.Flags &^= waitKillable
	}
	if f.Code, err = rules.assemble(arches); err != nil {
		return nil, err
	}
	return f, nil
}

// header checks what is not about system calls, and returns the
// architectures.
func header(s *specs.LinuxSeccomp, goarch string) ([]architecture, error) {
	if s == nil {
		return nil, errors.New("linux.seccomp: there is none; give a profile or leave the filter out")
	}
	if s.ListenerMetadata != "" && s.ListenerPath == "" {
		return nil, errors.New("linux.seccomp.listenerMetadata: it must not be set without listenerPath; remove it")
	}
	if s.DefaultAction == specs.ActNotify {
		return nil, fmt.Errorf("linux.seccomp.defaultAction: %s cannot be the default: execve, and what follows it, would wait for a listener that may not be there; use %s", specs.ActNotify, specs.ActErrno)
	}
	if s.ListenerPath == "" && notifies(s) {
		return nil, fmt.Errorf("linux.seccomp.listenerPath: it is empty, and %s needs a listener; give one, or use %s", specs.ActNotify, specs.ActErrno)
	}
	if _, err := filterFlags(s.Flags); err != nil {
		return nil, err
	}
	return listed(goarch, s.Architectures)
}

// notifies says whether a rule leaves calls to a listener.
func notifies(s *specs.LinuxSeccomp) bool {
	return slices.ContainsFunc(s.Syscalls, func(c specs.LinuxSyscall) bool { return c.Action == specs.ActNotify })
}

// filterFlags are the flags by their OCI names, without which none is set.
func filterFlags(names []specs.LinuxSeccompFlag) (uint32, error) {
	var flags uint32
	for i, name := range names {
		switch name {
		case specs.LinuxSeccompFlagLog:
			flags |= unix.SECCOMP_FILTER_FLAG_LOG
		case specs.LinuxSeccompFlagSpecAllow:
			flags |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		case "SECCOMP_FILTER_FLAG_TSYNC":
			// Alone it would report a thread that cannot follow as a result
			// that is not an error (TSYNC_ESRCH is of Linux 5.7).
			flags |= unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
		case specs.LinuxSeccompFlagWaitKillableRecv:
			flags |= waitKillable // Linux 5.19
		default:
			return 0, fmt.Errorf("linux.seccomp.flags[%d]: unknown flag %q; remove it", i, name)
		}
	}
	return flags, nil
}

// KernelTakes says whether the kernel knows a flag, by its OCI name. It looks at
// the flags before it misses the filter, with EFAULT; see seccomp(2). A flag that
// only a listener gives a meaning is asked for with one.
func KernelTakes(name specs.LinuxSeccompFlag) bool {
	flags, err := filterFlags([]specs.LinuxSeccompFlag{name})
	if err != nil {
		return false
	}
	if flags&waitKillable != 0 {
		flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), 0)
	return errno == unix.EFAULT
}

// waitKillable is SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV.
const waitKillable = unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

// Op loads the filter. With Listener its result is the listener's descriptor. It takes no_new_privs or CAP_SYS_ADMIN; every op after
// it is judged by it, see Allows.
func (f *Filter) Op() program.Op {
	code := make([]byte, 0, len(f.Code)*8)
	for _, in := range f.Code {
		code = binary.NativeEndian.AppendUint16(code, in.Code)
		code = append(code, in.Jt, in.Jf)
		code = binary.NativeEndian.AppendUint32(code, in.K)
	}
	// struct sock_fprog: a 16-bit length, which is the first half of a
	// little-endian word, and a pointer.
	fprog := program.Words(program.Int(len(f.Code)), program.Bytes(code))
	return program.Op{
		Name: "seccomp", Call: unix.SYS_SECCOMP,
		Args: [6]program.Arg{program.Int(unix.SECCOMP_SET_MODE_FILTER), program.Int(f.Flags), fprog},
		Text: fmt.Sprintf("seccomp(SECCOMP_SET_MODE_FILTER, %s, {%d instructions})", flagString(f.Flags), len(f.Code)),
	}
}

func flagString(flags uint32) string {
	if flags == 0 {
		return "0"
	}
	return namespace.Symbols(uint64(flags), []namespace.Symbol{
		{Bit: unix.SECCOMP_FILTER_FLAG_TSYNC, Name: "TSYNC"}, {Bit: unix.SECCOMP_FILTER_FLAG_LOG, Name: "LOG"},
		{Bit: unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, Name: "SPEC_ALLOW"}, {Bit: unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH, Name: "TSYNC_ESRCH"},
		{Bit: unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, Name: "NEW_LISTENER"}, {Bit: waitKillable, Name: "WAIT_KILLABLE_RECV"},
	})
}
