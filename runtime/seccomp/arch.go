package seccomp

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The columns of the table of system calls.
const (
	columnX8664 = iota
	columnI386
	columnX32
	columnAARCH64
	columnARM
	columns
)

// call is a system call's name and its number per column; -1: the architecture
// does not have it.
type call struct {
	name   string
	number [columns]int32
	// On i386 the call is also behind doors[door-1], when its first argument
	// is behind; 0: it is not.
	door, behind int8
}

// x32Bit marks the calls of the x32 ABI, which have x86_64's audit number;
// see syscall(2).
const x32Bit = 0x40000000

// architecture is a set of system call numbers.
type architecture struct {
	name   specs.Arch
	audit  uint32 // AUDIT_ARCH_*, what seccomp_data.arch holds
	column int
	base   uint32 // added to the table's numbers
	narrow bool   // arguments are 32 bits wide
	// apart are numbers outside the order of age, from the first to before
	// the second: a call there is not newer than those below.
	apart [2]uint32
}

// family is what a kernel can run: its native architecture first. Those with
// one audit number are in a row, by base.
func family(goarch string) []architecture {
	switch goarch {
	case "amd64":
		return []architecture{
			{name: specs.ArchX86_64, audit: unix.AUDIT_ARCH_X86_64, column: columnX8664},
			{name: specs.ArchX32, audit: unix.AUDIT_ARCH_X86_64, column: columnX32, base: x32Bit, apart: [2]uint32{512, 548}},
			{name: specs.ArchX86, audit: unix.AUDIT_ARCH_I386, column: columnI386, narrow: true},
		}
	case "arm64":
		return []architecture{
			{name: specs.ArchAARCH64, audit: unix.AUDIT_ARCH_AARCH64, column: columnAARCH64},
			{name: specs.ArchARM, audit: unix.AUDIT_ARCH_ARM, column: columnARM, narrow: true, apart: [2]uint32{0xf0000, 0xf0100}},
		}
	}
	return nil
}

// specified says whether the OCI specification has the architecture. To list
// one that the kernel does not run changes nothing.
func specified(name specs.Arch) bool {
	switch name {
	case specs.ArchX86, specs.ArchX86_64, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64,
		specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32,
		specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X,
		specs.ArchPARISC, specs.ArchPARISC64, specs.ArchRISCV64, specs.ArchLOONGARCH64,
		specs.ArchM68K, specs.ArchSH, specs.ArchSHEB:
		return true
	}
	return false
}

// listed are the architectures of the family that the profile is for: the
// native one always, as without a list.
func listed(goarch string, names []specs.Arch) ([]architecture, error) {
	all := family(goarch)
	if all == nil {
		return nil, fmt.Errorf("linux.seccomp: no table of system calls for %s; use amd64 or arm64", goarch)
	}
	for i, name := range names {
		if !specified(name) {
			return nil, fmt.Errorf("linux.seccomp.architectures[%d]: unknown architecture %q; use names like %q", i, name, specs.ArchX86_64)
		}
	}
	var chosen []architecture
	for i, a := range all {
		if i == 0 || slices.Contains(names, a.name) {
			chosen = append(chosen, a)
		}
	}
	return chosen, nil
}

// lookup finds a system call's place in the table; -1: this build does not
// know it.
func lookup(name string) int {
	low, high := 0, len(calls)
	for low < high {
		if middle := (low + high) / 2; calls[middle].name < name {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == len(calls) || calls[low].name != name {
		return -1
	}
	return low
}

// callName is the name of a native system call, or its number.
func callName(column int, nr uint32) string {
	for i := range calls {
		if n := calls[i].number[column]; n >= 0 && uint32(n) == nr {
			return calls[i].name
		}
	}
	return fmt.Sprintf("system call %d", nr)
}

// Number is a system call's number on one architecture.
type Number struct {
	Audit  uint32 // AUDIT_ARCH_*
	Number uint32 // with the bit of the x32 ABI where it is one of that
}

// Numbers are those of a system call on every architecture that a kernel of
// this build's runs: what a tracer needs that sees numbers only. Empty: no
// such call is known.
func Numbers(name string) []Number {
	place := lookup(name)
	if place < 0 {
		return nil
	}
	var all []Number
	for _, a := range family(runtime.GOARCH) {
		if n := calls[place].number[a.column]; n >= 0 {
			all = append(all, Number{a.audit, a.base + uint32(n)})
		}
	}
	return all
}

// Architectures are those that a filter can be about on a machine: its native
// one first.
func Architectures(goarch string) (names []specs.Arch) {
	for _, a := range family(goarch) {
		names = append(names, a.name)
	}
	return names
}
