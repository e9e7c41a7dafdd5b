package seccomp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	allow  = unix.SECCOMP_RET_ALLOW
	eperm  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	enosys = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	killed = unix.SECCOMP_RET_KILL_PROCESS

	amd64, i386   = uint32(unix.AUDIT_ARCH_X86_64), uint32(unix.AUDIT_ARCH_I386)
	aarch64, arm  = uint32(unix.AUDIT_ARCH_AARCH64), uint32(unix.AUDIT_ARCH_ARM)
	personality   = 135 // x86_64
	personality32 = 136 // i386
)

// entry is a rule for personality(2).
func entry(action specs.LinuxSeccompAction, errno uint, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
	e := specs.LinuxSyscall{Names: []string{"personality"}, Action: action, Args: args}
	if action == specs.ActErrno {
		e.ErrnoRet = &errno
	}
	return e
}

func arg(index uint, op specs.LinuxSeccompOperator, value uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: index, Value: value, Op: op}
}

func masked(mask, value uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Value: mask, ValueTwo: value, Op: specs.OpMaskedEqual}
}

func errno(n uint32) uint32 { return unix.SECCOMP_RET_ERRNO | n }

// TestRules: what profiles mean, by hand. Where libseccomp has a meaning it is
// this one; those marked * differ on purpose, see the package comment.
func TestRules(t *testing.T) {
	list := func(e ...specs.LinuxSyscall) *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86, specs.ArchX32}, Syscalls: e}
	}
	only := func(e ...specs.LinuxSyscall) *specs.LinuxSeccomp {
		s := list(e...)
		s.DefaultAction = specs.ActErrno
		return s
	}
	const e, a = specs.ActErrno, specs.ActAllow
	eq, ne, lt, le, gt, ge := specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpGreaterThan, specs.OpGreaterEqual
	const big = 1<<32 + 5
	for _, c := range []struct {
		name    string
		profile *specs.LinuxSeccomp
		args    []uint64
		want    []uint32 // for args[0] = each of args
	}{
		{"eq", list(entry(e, 2, arg(0, eq, big))), []uint64{big, 5, 1 << 32, big + 1<<33}, []uint32{errno(2), allow, allow, allow}},
		{"ne", list(entry(e, 2, arg(0, ne, big))), []uint64{big, 5, 1 << 32}, []uint32{allow, errno(2), errno(2)}},
		{"lt", list(entry(e, 2, arg(0, lt, big))), []uint64{big - 1, big, big + 1, 6, 1 << 33}, []uint32{errno(2), allow, allow, errno(2), allow}},
		{"le", list(entry(e, 2, arg(0, le, big))), []uint64{big - 1, big, big + 1, 6, 1 << 33}, []uint32{errno(2), errno(2), allow, errno(2), allow}},
		{"gt", list(entry(e, 2, arg(0, gt, big))), []uint64{big - 1, big, big + 1, 6, 1 << 33}, []uint32{allow, allow, errno(2), allow, errno(2)}},
		{"ge", list(entry(e, 2, arg(0, ge, big))), []uint64{big - 1, big, big + 1, 6, 1 << 33}, []uint32{allow, errno(2), errno(2), allow, errno(2)}},
		{"masked", list(entry(e, 2, masked(0x1_0000_00f0, 0x1_0000_0050))), []uint64{0x1_0000_0050, 0xf_ffff_ff5f, 0x50, 0x1_0000_0060}, []uint32{errno(2), errno(2), allow, allow}},
		{"masked, value with other bits", list(entry(e, 2, masked(0xff, 0x105))), []uint64{5, 0x105, 6}, []uint32{errno(2), errno(2), allow}},
		{"two arguments", list(entry(e, 2, arg(0, eq, 5), arg(1, eq, 0))), []uint64{5, 6}, []uint32{errno(2), allow}},
		{"two arguments, one never", list(entry(e, 2, arg(0, eq, 5), arg(1, eq, 1))), []uint64{5, 6}, []uint32{allow, allow}},
		{"one argument twice", list(entry(e, 2, arg(0, lt, 5), arg(0, gt, 8))), []uint64{4, 5, 8, 9}, []uint32{errno(2), allow, allow, errno(2)}},
		{"twice without conditions", list(entry(e, 1), entry(e, 2)), []uint64{0}, []uint32{errno(1)}},
		{"without conditions beats with", list(entry(e, 2, arg(0, eq, 5)), entry(e, 1)), []uint64{0, 5}, []uint32{errno(1), errno(1)}},
		{"equality beats range", only(entry(e, 2, arg(0, le, 8)), entry(a, 0, arg(0, eq, 5))), []uint64{4, 5, 9}, []uint32{errno(2), allow, eperm}},
		{"stricter beats*", list(entry(specs.ActLog, 0, arg(0, ge, 2)), entry(e, 2, arg(0, ge, 5)), entry(specs.ActKillProcess, 0, arg(0, ge, 8))), []uint64{1, 2, 5, 8}, []uint32{allow, unix.SECCOMP_RET_LOG, errno(2), killed}},
		{"the default's action says nothing", only(entry(e, 1), entry(a, 0, arg(0, eq, 5))), []uint64{4, 5}, []uint32{eperm, allow}},
		{"errno 0", list(entry(e, 0)), []uint64{0}, []uint32{errno(0)}},
		{"actions", list(entry(specs.ActKill, 0, arg(0, eq, 1)), entry(specs.ActKillThread, 0, arg(0, eq, 2)), entry(specs.ActTrap, 0, arg(0, eq, 3)), entry(specs.ActTrace, 0, arg(0, eq, 4))), []uint64{1, 2, 3, 4}, []uint32{0, 0, unix.SECCOMP_RET_TRAP, unix.SECCOMP_RET_TRACE | 1}},
	} {
		f, err := assemble(c.profile, "amd64")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for i, v := range c.args {
			if got := f.Decide(amd64, personality, [6]uint64{v}); got != c.want[i] {
				t.Errorf("%s: with %#x it is %#x; want %#x", c.name, v, got, c.want[i])
			}
			if got := f.Decide(amd64, personality|x32Bit, [6]uint64{v}); got != c.want[i] {
				t.Errorf("%s: x32 with %#x it is %#x; want %#x", c.name, v, got, c.want[i])
			}
			if got := f.Decide(i386, personality32, [6]uint64{v}); v < 1<<32 && !strings.Contains(fmt.Sprint(c.profile.Syscalls[0].Args), "4294967") && got != c.want[i] {
				t.Errorf("%s: i386 with %#x it is %#x; want %#x", c.name, v, got, c.want[i])
			}
		}
	}
}

// TestArchitectures: which are killed, which take the default, which get
// ENOSYS.
func TestArchitectures(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"statx", "rt_sigaction", "cacheflush", "no_such_call", "no_such_call", "s390_pci_mmio_read"}, Action: specs.ActAllow},
	}}
	deny := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mount"}, Action: specs.ActErrno}}}
	kill := &specs.LinuxSeccomp{DefaultAction: specs.ActKill, Syscalls: s.Syscalls}
	every := []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32, specs.ArchAARCH64, specs.ArchARM, specs.ArchRISCV64}
	for _, c := range []struct {
		profile *specs.LinuxSeccomp
		goarch  string
		arches  []specs.Arch
		audit   uint32
		nr      uint32
		want    uint32
	}{
		{s, "amd64", nil, amd64, 332, allow},
		{s, "amd64", nil, amd64, 331, eperm},
		{s, "amd64", nil, amd64, 333, enosys}, // newer than statx
		{s, "amd64", nil, amd64, x32Bit - 1, enosys},
		{s, "amd64", nil, amd64, x32Bit | 332, killed},
		{s, "amd64", nil, amd64, 0xfffffffe, killed},
		{s, "amd64", nil, amd64, noCall, eperm},
		{s, "amd64", nil, i386, 383, killed},
		{s, "amd64", nil, i386, noCall, killed},
		{s, "amd64", every, amd64, x32Bit | 332, allow},
		{s, "amd64", every, amd64, x32Bit | 333, enosys},
		{s, "amd64", every, amd64, x32Bit | 13, eperm}, // not rt_sigaction
		{s, "amd64", every, amd64, x32Bit | 512, allow},
		{s, "amd64", every, amd64, x32Bit | 547, eperm},
		{s, "amd64", every, amd64, x32Bit | 548, enosys},
		{s, "amd64", every, i386, 383, allow},
		{s, "amd64", every, i386, 384, enosys},
		{s, "amd64", every, aarch64, 291, killed},
		{deny, "amd64", every, amd64, x32Bit | 165, eperm},
		{deny, "amd64", every, i386, 21, eperm},
		{deny, "amd64", every, i386, 9999, allow},
		{deny, "amd64", nil, i386, 20, killed},
		{deny, "amd64", nil, 12345, 20, killed},
		{kill, "amd64", nil, amd64, 333, unix.SECCOMP_RET_KILL_THREAD},
		{s, "arm64", nil, aarch64, 291, allow},
		{s, "arm64", nil, aarch64, 292, enosys},
		{s, "arm64", nil, arm, 397, killed},
		{s, "arm64", every, arm, 397, allow},
		{s, "arm64", every, arm, 398, enosys},
		{s, "arm64", every, arm, 0xf0002, allow}, // cacheflush
		{s, "arm64", every, arm, 0xf0005, eperm},
		{s, "arm64", every, arm, 0xf0100, enosys},
		{deny, "arm64", every, arm, 21, eperm},
	} {
		profile := *c.profile
		profile.Architectures = c.arches
		f, err := assemble(&profile, c.goarch)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Decide(c.audit, c.nr, [6]uint64{}); got != c.want {
			t.Errorf("%s %v, default %s: call %#x of %#x is %#x; want %#x", c.goarch, c.arches, c.profile.DefaultAction, c.nr, c.audit, got, c.want)
		}
		if want := []string{"no_such_call", "s390_pci_mmio_read"}; c.profile != deny && !slices.Equal(f.Unknown, want) {
			t.Errorf("unknown are %q; want %q", f.Unknown, want)
		}
	}
}

// TestNarrow: an argument of i386 is its lower half, and -1 has one too.
func TestNarrow(t *testing.T) {
	const garbage = 0x1234 << 32
	for _, c := range []struct {
		name string
		arg  specs.LinuxSeccompArg
		yes  []uint64
		no   []uint64
	}{
		{"eq 8", arg(0, specs.OpEqualTo, 8), []uint64{8, garbage | 8}, []uint64{9}},
		{"eq -1", arg(0, specs.OpEqualTo, ^uint64(0)), []uint64{1<<32 - 1, ^uint64(0)}, []uint64{0}},
		{"eq beyond", arg(0, specs.OpEqualTo, 1<<32|8), nil, []uint64{8, 1<<32 | 8}},
		{"lt beyond", arg(0, specs.OpLessThan, 1<<32), []uint64{0, garbage | 8, ^uint64(0)}, nil},
		{"ge beyond", arg(0, specs.OpGreaterEqual, 1<<32), nil, []uint64{0, garbage | 8}},
		{"gt 8", arg(0, specs.OpGreaterThan, 8), []uint64{9, garbage | 9}, []uint64{8, garbage | 8}},
		{"masked", masked(0xf_0000_000f, 3), []uint64{3, garbage | 0x13}, []uint64{4}},
		{"masked beyond", masked(0xf_0000_000f, 0x1_0000_0003), nil, []uint64{3, 0x1_0000_0003}},
	} {
		f, err := assemble(&specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86},
			Syscalls: []specs.LinuxSyscall{entry(specs.ActErrno, 1, c.arg)},
		}, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range c.yes {
			if got := f.Decide(i386, personality32, [6]uint64{v}); got != eperm {
				t.Errorf("%s: %#x is %#x; want EPERM", c.name, v, got)
			}
		}
		for _, v := range c.no {
			if got := f.Decide(i386, personality32, [6]uint64{v}); got != allow {
				t.Errorf("%s: %#x is %#x; want ALLOW", c.name, v, got)
			}
		}
	}
}

// TestErrors: what cannot be honoured is refused by its field's name.
func TestErrors(t *testing.T) {
	good := func() *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			entry(specs.ActErrno, 1), entry(specs.ActErrno, 1, arg(0, specs.OpEqualTo, 1)),
		}}
	}
	for _, c := range []struct {
		spoil func(s *specs.LinuxSeccomp)
		want  string
	}{
		{func(s *specs.LinuxSeccomp) { s.ListenerMetadata = "x" }, `linux.seccomp.listenerMetadata: `},
		{func(s *specs.LinuxSeccomp) { s.Flags = []specs.LinuxSeccompFlag{"x"} }, `linux.seccomp.flags[0]: unknown flag "x"`},
		{func(s *specs.LinuxSeccomp) { s.Architectures = []specs.Arch{specs.ArchX86, "SCMP_ARCH_VAX"} }, `linux.seccomp.architectures[1]: unknown architecture "SCMP_ARCH_VAX"`},
		{func(s *specs.LinuxSeccomp) { s.DefaultAction = "" }, `linux.seccomp.defaultAction: it is not set`},
		{func(s *specs.LinuxSeccomp) { s.DefaultAction = "allow" }, `linux.seccomp.defaultAction: unknown action "allow"`},
		{func(s *specs.LinuxSeccomp) { s.DefaultAction = specs.ActNotify }, `linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default`},
		{func(s *specs.LinuxSeccomp) { s.DefaultErrnoRet = new(uint(1)) }, `linux.seccomp.defaultAction: SCMP_ACT_ALLOW returns no errno`},
		{func(s *specs.LinuxSeccomp) { s.Syscalls[1].Action = specs.ActNotify }, `linux.seccomp.listenerPath: it is empty, and SCMP_ACT_NOTIFY needs a listener`},
		{func(s *specs.LinuxSeccomp) { s.Syscalls[1].ErrnoRet = new(uint(0x7fff0001)) }, `linux.seccomp.syscalls[1].action: errno 2147418113 is too large`},
		{func(s *specs.LinuxSeccomp) { s.Syscalls[1].ErrnoRet = new(uint(4096)) }, `linux.seccomp.syscalls[1].action: errno 4096 is too large`},
		{func(s *specs.LinuxSeccomp) { s.Syscalls[1].Names = nil }, `linux.seccomp.syscalls[1].names: it is empty`},
		{func(s *specs.LinuxSeccomp) { s.Syscalls[1].Names = []string{"read", ""} }, `linux.seccomp.syscalls[1].names[1]: it is empty`},
		{func(s *specs.LinuxSeccomp) { s.Syscalls[1].Args[0].Index = 6 }, `linux.seccomp.syscalls[1].args[0].index: there is no argument 6`},
		{func(s *specs.LinuxSeccomp) { s.Syscalls[1].Args[0].Op = "EQ" }, `linux.seccomp.syscalls[1].args[0].op: unknown operator "EQ"`},
	} {
		s := good()
		if err := Check(s); err != nil {
			t.Fatal(err)
		}
		c.spoil(s)
		_, err := assemble(s, "amd64")
		if err == nil || !strings.HasPrefix(err.Error(), "assemble "+c.want) || !strings.Contains(err.Error(), "; ") {
			t.Errorf("it is %v; want %q and what to do", err, c.want)
		}
		if err := Check(s); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("Check says %v; want %q", err, c.want)
		}
	}
	s := good()
	s.Syscalls[0] = entry(specs.ActErrno, 2, arg(0, specs.OpEqualTo, 1))
	if _, err := assemble(s, "amd64"); err == nil || !strings.HasPrefix(err.Error(), `assemble linux.seccomp.syscalls[1]: it gives "personality" another action`) {
		t.Errorf("a contradiction is %v", err)
	}
	if _, err := assemble(nil, "amd64"); err == nil {
		t.Error("no profile is no error")
	}
	if _, err := assemble(good(), "s390x"); err == nil || !strings.Contains(err.Error(), "s390x") {
		t.Errorf("s390x is %v", err)
	}
	var many []specs.LinuxSyscall
	for i := range uint64(2000) {
		many = append(many, entry(specs.ActErrno, 1, arg(0, specs.OpEqualTo, i)))
	}
	if _, err := assemble(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: many}, "amd64"); err == nil || !strings.Contains(err.Error(), "the kernel takes 4096") {
		t.Errorf("too many conditions are %v", err)
	}
}

// native are calls of which no argument is known.
func native(numbers ...uint32) []Call {
	var list []Call
	for _, n := range numbers {
		list = append(list, Call{Number: n})
	}
	return list
}

// TestAllows: a call is allowed when it is with every argument that is not
// known.
func TestAllows(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"execve", "capset"}, Action: specs.ActAllow},
		{Names: []string{"close"}, Action: specs.ActLog},
		{Names: []string{"prctl"}, Action: specs.ActTrace},
		{Names: []string{"read"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{arg(0, specs.OpEqualTo, 0)}},
	}}
	for i := range uint64(60) { // paths through these double with each
		s.Syscalls = append(s.Syscalls, specs.LinuxSyscall{Names: []string{"write"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{arg(0, specs.OpEqualTo, i)}})
	}
	f, err := Assemble(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Allows(); err != nil {
		t.Error(err)
	}
	if err := f.Allows(native(unix.SYS_EXECVE, unix.SYS_CAPSET, unix.SYS_CLOSE)...); err != nil {
		t.Error(err)
	}
	err = f.Allows(native(unix.SYS_EXECVE, unix.SYS_MOUNT, unix.SYS_READ, unix.SYS_PRCTL, unix.SYS_WRITE, 9999)...)
	if want := "it forbids mount, read (with some arguments), prctl, write (with some arguments), system call 9999, which"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("it says %v; want %q", err, want)
	}
	if err := f.Allows(Call{unix.SYS_READ, []uint64{0}}, Call{unix.SYS_READ, []uint64{0, 1}}, Call{unix.SYS_WRITE, []uint64{59}}); err != nil {
		t.Error(err)
	}
	err = f.Allows(Call{unix.SYS_READ, []uint64{1}})
	if want := "it forbids read, which"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("it says %v; want %q", err, want)
	}
}

// TestOp: it prints as what it is.
func TestOp(t *testing.T) {
	f, err := assemble(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, "SECCOMP_FILTER_FLAG_TSYNC"}}, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	op := f.Op()
	if got, want := op.String(), fmt.Sprintf("seccomp(SECCOMP_SET_MODE_FILTER, TSYNC|LOG|TSYNC_ESRCH, {%d instructions})", len(f.Code)); op.Name != "seccomp" || got != want {
		t.Errorf("it is %q, %q; want %q", op.Name, got, want)
	}
	f.Flags = 0
	if got := f.Op().String(); !strings.Contains(got, "FILTER, 0, {") {
		t.Errorf("without flags: %q", got)
	}
}

// TestTable: the table is sorted, and is the library's and x/sys's.
func TestTable(t *testing.T) {
	columnOf := map[int]*arch.Info{columnX8664: arch.X86_64, columnI386: arch.I386, columnX32: arch.X32, columnAARCH64: arch.AARCH64, columnARM: arch.ARM}
	for i, c := range calls {
		if i > 0 && calls[i-1].name >= c.name {
			t.Errorf("%q comes after %q", c.name, calls[i-1].name)
		}
		for column, info := range columnOf {
			if want := nameNumber(info, c.name); int(c.number[column]) != want {
				t.Errorf("%s of %s is %d; the library says %d", c.name, info.Name, c.number[column], want)
			}
		}
	}
	for column, info := range columnOf {
		for name := range numbers()[info] {
			if lookup(name) < 0 {
				t.Errorf("%s of %s is missing", name, info.Name)
			}
		}
		if column == columnX32 && calls[lookup("execve")].number[column] != 520 {
			t.Error("execve of x32 is not 520")
		}
	}
	for _, name := range []string{"", "a", "zzz", "Read", "read "} {
		if lookup(name) >= 0 {
			t.Errorf("%q was found", name)
		}
	}
}

// TestNumbers: a call's number on each architecture that a kernel runs.
func TestNumbers(t *testing.T) {
	if got := Numbers("no such call"); got != nil {
		t.Errorf("an unknown call has the numbers %v", got)
	}
	native := Numbers("getppid")
	if len(native) == 0 || native[0].Number != unix.SYS_GETPPID {
		t.Errorf("getppid has the numbers %v", native)
	}
	seen := map[Number]bool{}
	for _, n := range native {
		if seen[n] {
			t.Errorf("getppid has %v twice", n)
		}
		seen[n] = true
	}
}
