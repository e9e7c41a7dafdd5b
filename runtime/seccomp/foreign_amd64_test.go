package seccomp_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// foreignCall is an ELF file that makes one system call, as an i386 or x32
// program does, and exits with its errno (its result, negated).
func foreignCall(t *testing.T, int80 bool, nr uint32, arg uint64) string {
	t.Helper()
	code := []byte{0xb8} // mov $nr, %eax
	code = binary.LittleEndian.AppendUint32(code, nr)
	if int80 {
		code = append(code, 0x48, 0xbb) // movabs $arg, %rbx
		code = binary.LittleEndian.AppendUint64(code, arg)
		code = append(code, 0x31, 0xc9, 0xcd, 0x80) // xor %ecx, %ecx; int $0x80
	} else {
		code = append(code, 0x48, 0xbf) // movabs $arg, %rdi
		code = binary.LittleEndian.AppendUint64(code, arg)
		code = append(code, 0x31, 0xf6, 0x0f, 0x05) // xor %esi, %esi; syscall
	}
	code = append(code, 0xf7, 0xd8, 0x89, 0xc7, 0xb8) // neg %eax; mov %eax, %edi; mov $exit_group, %eax
	code = binary.LittleEndian.AppendUint32(code, unix.SYS_EXIT_GROUP)
	code = append(code, 0x0f, 0x05)

	const base, headers = 0x400000, 64 + 56
	elf := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for _, half := range []uint16{2, 62} { // ET_EXEC, EM_X86_64
		elf = binary.LittleEndian.AppendUint16(elf, half)
	}
	elf = binary.LittleEndian.AppendUint32(elf, 1)
	for _, word := range []uint64{base + headers, 64, 0} { // entry, program headers, section headers
		elf = binary.LittleEndian.AppendUint64(elf, word)
	}
	elf = binary.LittleEndian.AppendUint32(elf, 0)
	for _, half := range []uint16{64, 56, 1, 64, 0, 0} {
		elf = binary.LittleEndian.AppendUint16(elf, half)
	}
	elf = binary.LittleEndian.AppendUint32(elf, 1) // PT_LOAD
	elf = binary.LittleEndian.AppendUint32(elf, 5) // read, execute
	size := uint64(headers + len(code))
	for _, word := range []uint64{0, base, base, size, size, 0x1000} {
		elf = binary.LittleEndian.AppendUint64(elf, word)
	}
	path := filepath.Join(t.TempDir(), "call")
	if err := os.WriteFile(path, append(elf, code...), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestForeignCalls: a list of what is forbidden holds for calls through
// int $0x80 and for those of x32; and where the profile does not list their
// architecture, the process is killed.
func TestForeignCalls(t *testing.T) {
	const (
		x32Bit   = 0x40000000
		garbage  = 0xabcd << 32 // above an argument of 32 bits
		denied   = 77
		sysMount = 21  // i386
		sysPers  = 136 // i386
	)
	list := func(arches ...specs.Arch) *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: arches, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"mount", "socket", "semget"}, Action: specs.ActErrno, ErrnoRet: new(uint(denied))},
			{Names: []string{"personality"}, Action: specs.ActErrno, ErrnoRet: new(uint(denied)), Args: []specs.LinuxSeccompArg{{Value: 8, Op: specs.OpEqualTo}}},
		}}
	}
	all := list(specs.ArchX86, specs.ArchX32)
	for _, c := range []struct {
		name    string
		profile *specs.LinuxSeccomp
		int80   bool
		nr      uint32
		arg     uint64
		code    int // -1: killed by SIGSYS
	}{
		{"i386 mount", all, true, sysMount, 0, denied},
		{"i386 personality(8)", all, true, sysPers, 8, denied},
		{"i386 personality(8) with garbage above", all, true, sysPers, garbage | 8, denied},
		{"i386 personality(0)", all, true, sysPers, 0, 0},
		{"i386 socketcall(SYS_SOCKET)", all, true, 102, 1, denied},
		{"i386 socketcall(SYS_BIND)", all, true, 102, 2, int(unix.EFAULT)},
		{"i386 ipc(SEMGET) of version 1", all, true, 117, 1<<16 | 2, denied},
		{"i386 not listed", list(), true, sysMount, 0, -1},
		{"i386 not listed, a call that is not denied", list(specs.ArchX32), true, sysPers, 0, -1},
		{"x32 mount", all, false, x32Bit | unix.SYS_MOUNT, 0, denied},
		{"x32 personality(8)", all, false, x32Bit | unix.SYS_PERSONALITY, 8, denied},
		{"x32 not listed", list(specs.ArchX86), false, x32Bit | unix.SYS_MOUNT, 0, -1},
		{"x86_64 mount", all, false, unix.SYS_MOUNT, 0, denied},
		{"x86_64 number -1", list(), false, 1<<32 - 1, 0, int(unix.ENOSYS)},
	} {
		t.Run(c.name, func(t *testing.T) {
			requireKernel(t, !c.int80 || hasInt80(t), "this kernel runs no i386 calls")
			path := foreignCall(t, c.int80, c.nr, c.arg)
			eachUser(t, func(t *testing.T, user int) {
				status, _ := runFile(t, assemble(t, c.profile), user, path, []string{"call"}, nil)
				want := program.Status{Code: c.code}
				if c.code == -1 {
					want.Signal = syscall.SIGSYS
				}
				if status.Code != want.Code || status.Signal != want.Signal {
					t.Errorf("it ended with %v; want %v", status, want)
				}
			})
		})
	}
}

// hasInt80 says whether the kernel emulates i386: without a filter, that call
// of getpid succeeds.
func hasInt80(t *testing.T) bool {
	t.Helper()
	status, _ := runFile(t, assemble(t, &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86}}), 0,
		foreignCall(t, true, 136, 0), []string{"call"}, nil) // personality(PER_LINUX)
	return status.Success()
}

// TestGarbageAbove: the kernel does ignore the upper half of an argument of a
// call through int $0x80, and shows it to filters.
func TestGarbageAbove(t *testing.T) {
	requireKernel(t, hasInt80(t), "this kernel runs no i386 calls")
	allow := assemble(t, &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86}})
	// exit(5) through i386 ends the process with 5.
	status, _ := runFile(t, allow, 0, foreignCall(t, true, 1, 0xabcd<<32|5), []string{"call"}, nil)
	if status.Code != 5 {
		t.Errorf("exit(garbage|5) ended with %v; want 5", status)
	}
}
