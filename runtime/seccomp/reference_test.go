package seccomp

import (
	"maps"
	"slices"
	"sync"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// reference evaluates a profile for one call, straight from the rules in the
// package comment and from the library's maps: no tables, no order, no BPF.
type reference struct {
	native *arch.Info
	s      *specs.LinuxSeccomp
}

// abi is what a call is made through.
type abi struct {
	info   *arch.Info
	name   specs.Arch
	narrow bool
}

func (r reference) abi(audit, nr uint32) (abi, uint32) {
	switch {
	case audit == unix.AUDIT_ARCH_X86_64 && nr >= x32Bit:
		return abi{info: arch.X32, name: specs.ArchX32}, nr - x32Bit
	case audit == unix.AUDIT_ARCH_X86_64:
		return abi{info: arch.X86_64, name: specs.ArchX86_64}, nr
	case audit == unix.AUDIT_ARCH_I386:
		return abi{info: arch.I386, name: specs.ArchX86, narrow: true}, nr
	case audit == unix.AUDIT_ARCH_AARCH64:
		return abi{info: arch.AARCH64, name: specs.ArchAARCH64}, nr
	case audit == unix.AUDIT_ARCH_ARM:
		return abi{info: arch.ARM, name: specs.ArchARM, narrow: true}, nr
	}
	return abi{}, nr
}

func (r reference) decide(audit, nr uint32, args [6]uint64) uint32 {
	fallback := refAction(r.s.DefaultAction, r.s.DefaultErrnoRet)
	if nr == noCall && audit == refAudit(r.native) {
		return fallback
	}
	a, number := r.abi(audit, nr)
	family := map[*arch.Info][]specs.Arch{
		arch.X86_64: {specs.ArchX86_64, specs.ArchX32, specs.ArchX86}, arch.AARCH64: {specs.ArchAARCH64, specs.ArchARM},
	}[r.native]
	if a.info == nil || !slices.Contains(family, a.name) || a.info != r.native && !slices.Contains(r.s.Architectures, a.name) {
		return unix.SECCOMP_RET_KILL_PROCESS
	}
	if nr == noCall {
		return fallback
	}
	name := numberName(a.info, number)
	if a.narrow {
		for i := range args {
			args[i] = uint64(uint32(args[i]))
		}
	}
	mentioned := func(name string) bool {
		return slices.ContainsFunc(r.s.Syscalls, func(e specs.LinuxSyscall) bool { return slices.Contains(e.Names, name) })
	}
	rules := r.rulesOf(name, fallback)
	behind := false
	if a.info == arch.I386 && (len(rules) == 0 || len(rules[0].args) > 0) {
		// What the socket or IPC calls behind the number would get.
		for door, other := range refDoors(name) {
			rule := r.through(other, fallback)
			behind = behind || rule != nil
			if rule != nil && (name == "ipc" && args[0]&0xffff == door || name == "socketcall" && args[0] == door) {
				rules = append(rules, *rule)
			}
		}
	}
	if !mentioned(name) && !behind {
		return r.gap(a.info, number, fallback)
	}
	return best(rules, args, a.narrow, fallback)
}

// gap is the answer for a number without a name.
func (r reference) gap(info *arch.Info, number, fallback uint32) uint32 {
	if fallback>>16 != 5 || special(info, number) {
		return fallback
	}
	newest := -1
	for _, e := range r.s.Syscalls {
		for _, name := range e.Names {
			if n := nameNumber(info, name); n >= 0 && !special(info, uint32(n)) {
				newest = max(newest, n)
			}
		}
	}
	if newest >= 0 && int64(number) > int64(newest) {
		return 0x50000 | uint32(unix.ENOSYS)
	}
	return fallback
}

func special(info *arch.Info, n uint32) bool {
	return info == arch.X32 && n >= 512 && n <= 547 || info == arch.ARM && n>>8 == 0xf00
}

// plainRule is a rule as the profile means it.
type plainRule struct {
	action uint32
	args   []specs.LinuxSeccompArg
}

func (r reference) rulesOf(name string, fallback uint32) (rules []plainRule) {
	for _, e := range r.s.Syscalls {
		if !slices.Contains(e.Names, name) {
			continue
		}
		act := refAction(e.Action, e.ErrnoRet)
		if act == fallback {
			continue
		}
		count := map[uint]int{}
		for _, arg := range e.Args {
			count[arg.Index]++
		}
		if slices.ContainsFunc(slices.Collect(maps.Values(count)), func(n int) bool { return n > 1 }) {
			for _, arg := range e.Args {
				rules = append(rules, plainRule{act, []specs.LinuxSeccompArg{arg}})
			}
		} else {
			rules = append(rules, plainRule{act, e.Args})
		}
	}
	for _, rule := range rules {
		if len(rule.args) == 0 {
			return []plainRule{rule}
		}
	}
	return rules
}

// through is the rule that holds for a call that is made through socketcall or
// ipc; nil: none.
func (r reference) through(name string, fallback uint32) (strictest *plainRule) {
	for _, rule := range r.rulesOf(name, fallback) {
		stricter := int32(rule.action&0xffff0000) < int32(fallback&0xffff0000)
		if (len(rule.args) == 0 || stricter) && (strictest == nil || int32(rule.action&0xffff0000) < int32(strictest.action&0xffff0000)) {
			strictest = &plainRule{rule.action, []specs.LinuxSeccompArg{{Op: specs.OpMaskedEqual}}}
		}
	}
	return strictest
}

func best(rules []plainRule, args [6]uint64, narrow bool, fallback uint32) uint32 {
	best, bestRank := fallback, int64(1)<<40
	for _, rule := range rules {
		holds, exact := true, true
		for _, arg := range rule.args {
			holds = holds && refHolds(arg, args[arg.Index], narrow)
			exact = exact && (arg.Op == specs.OpEqualTo || arg.Op == specs.OpMaskedEqual)
		}
		rank := int64(int32(rule.action & 0xffff0000))
		if !exact {
			rank += 1 << 33
		}
		if holds && rank < bestRank {
			best, bestRank = rule.action, rank
		}
	}
	return best
}

func refDoors(name string) map[uint64]string {
	switch name {
	case "socketcall":
		doors := map[uint64]string{}
		for i, other := range []string{"socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername", "socketpair", "send", "recv", "sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg"} {
			doors[uint64(i+1)] = other
		}
		return doors
	case "ipc":
		return map[uint64]string{1: "semop", 2: "semget", 3: "semctl", 4: "semtimedop", 11: "msgsnd", 12: "msgrcv", 13: "msgget", 14: "msgctl", 21: "shmat", 22: "shmdt", 23: "shmget", 24: "shmctl"}
	}
	return nil
}

func refHolds(arg specs.LinuxSeccompArg, v uint64, narrow bool) bool {
	want, mask := arg.Value, ^uint64(0)
	if arg.Op == specs.OpMaskedEqual {
		mask, want = arg.Value, arg.Value&arg.ValueTwo
	}
	if narrow && int64(want) < 0 && int64(want) == int64(int32(want)) {
		want &= 0xffffffff
	}
	switch arg.Op {
	case specs.OpEqualTo:
		return v == want
	case specs.OpNotEqual:
		return v != want
	case specs.OpLessThan:
		return v < want
	case specs.OpLessEqual:
		return v <= want
	case specs.OpGreaterThan:
		return v > want
	case specs.OpGreaterEqual:
		return v >= want
	}
	return v&mask == want
}

func refAction(act specs.LinuxSeccompAction, errno *uint) uint32 {
	data := uint32(1)
	if errno != nil {
		data = uint32(*errno)
	}
	return map[specs.LinuxSeccompAction]uint32{
		specs.ActAllow: 0x7fff0000, specs.ActLog: 0x7ffc0000, specs.ActTrap: 0x30000, specs.ActKill: 0, specs.ActKillThread: 0,
		specs.ActKillProcess: 0x80000000, specs.ActErrno: 0x50000 | data, specs.ActTrace: 0x7ff00000 | data,
	}[act]
}

func refAudit(info *arch.Info) uint32 { return uint32(info.ID) }

// numberName is the name of a number; x32 has 36 calls at 512 and later only.
func numberName(info *arch.Info, n uint32) string {
	name := info.SyscallNumbers[int(n)]
	if name != "" && nameNumber(info, name) == int(n) {
		return name
	}
	for name, nr := range later() {
		if nr == n {
			return name
		}
	}
	return ""
}

func nameNumber(info *arch.Info, name string) int {
	if n, ok := numbers()[info][name]; ok {
		return n
	}
	return -1
}

// numbers are the greatest numbers of each name.
var numbers = sync.OnceValue(func() map[*arch.Info]map[string]int {
	all := map[*arch.Info]map[string]int{}
	for _, info := range []*arch.Info{arch.X86_64, arch.X32, arch.I386, arch.AARCH64, arch.ARM} {
		all[info] = map[string]int{}
		for name, n := range later() {
			all[info][name] = int(n)
		}
		for n, name := range info.SyscallNumbers {
			if other, ok := all[info][name]; !ok || n > other {
				all[info][name] = n
			}
		}
	}
	return all
})

// later are the calls that the library does not have.
func later() map[string]uint32 {
	return map[string]uint32{
		"file_getattr": unix.SYS_FILE_GETATTR, "file_setattr": unix.SYS_FILE_SETATTR,
		"listns": unix.SYS_LISTNS, "rseq_slice_yield": unix.SYS_RSEQ_SLICE_YIELD,
	}
}
