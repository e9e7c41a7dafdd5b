package seccomp

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// condition is a comparison with one argument of a system call.
type condition struct {
	op    specs.LinuxSeccompOperator
	index uint32
	value uint64
	mask  uint64 // of the argument, for SCMP_CMP_MASKED_EQ; else all ones
}

// rule is an action and the conditions that must all hold for it; none: it
// always holds.
type rule struct {
	action uint32 // SECCOMP_RET_*
	conds  []condition
	entry  int // its place in linux.seccomp.syscalls
}

// ruleSet is a checked profile.
type ruleSet struct {
	fallback uint32 // the default action
	verdicts []verdict
	unknown  []string
}

// verdict is what a system call gets: its rules, in the order in which they
// are asked. None: the default action.
type verdict struct {
	call  *call
	rules []rule
}

// parse checks a profile. What it returns is the same for every architecture.
func parse(s *specs.LinuxSeccomp) (*ruleSet, error) {
	fallback, err := action(s.DefaultAction, s.DefaultErrnoRet)
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp.defaultAction: %w", err)
	}
	set := &ruleSet{fallback: fallback}
	var rules []rule
	// A use is a name in an entry: the call's place in the table, and the
	// entry's, in one number that sorts by call and then in the profile's order.
	var uses []uint64
	spans := make([][2]int, len(s.Syscalls)) // the rules of each entry
	for i := range s.Syscalls {
		entry := &s.Syscalls[i]
		first := len(rules)
		if rules, err = appendRules(rules, i, entry, fallback); err != nil {
			return nil, err
		}
		spans[i] = [2]int{first, len(rules)}
		for _, name := range entry.Names {
			if at := lookup(name); at >= 0 {
				uses = append(uses, uint64(at)<<32|uint64(i))
			} else if !slices.Contains(set.unknown, name) {
				set.unknown = append(set.unknown, name)
			}
		}
	}
	slices.Sort(uses)
	for len(uses) > 0 {
		v := verdict{call: &calls[uses[0]>>32]}
		n := 0
		for ; n < len(uses) && uses[n]>>32 == uses[0]>>32; n++ {
			span := spans[uint32(uses[n])]
			v.rules = join(v.rules, rules[span[0]:span[1]:span[1]])
		}
		if n > 1 {
			if v.rules, err = settle(v.call.name, v.rules); err != nil {
				return nil, err
			}
		}
		set.verdicts = append(set.verdicts, v)
		uses = uses[n:]
	}
	return set, nil
}

// join is append that shares b when there is nothing before it.
func join(a, b []rule) []rule {
	if len(a) == 0 {
		return b
	}
	return append(a, b...)
}

// appendRules adds the rules of an entry: one; one per condition when two of
// them are about the same argument; none when its action is the default.
func appendRules(rules []rule, i int, entry *specs.LinuxSyscall, fallback uint32) ([]rule, error) {
	if len(entry.Names) == 0 {
		return nil, fmt.Errorf("linux.seccomp.syscalls[%d].names: it is empty; name a system call or remove the entry", i)
	}
	if j := slices.Index(entry.Names, ""); j >= 0 {
		return nil, fmt.Errorf("linux.seccomp.syscalls[%d].names[%d]: it is empty; name a system call or remove it", i, j)
	}
	act, err := action(entry.Action, entry.ErrnoRet)
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp.syscalls[%d].action: %w", i, err)
	}
	conds := make([]condition, 0, len(entry.Args))
	var seen [6]bool
	twice := false
	for j, arg := range entry.Args {
		if arg.Index > 5 {
			return nil, fmt.Errorf("linux.seccomp.syscalls[%d].args[%d].index: there is no argument %d; use 0 to 5", i, j, arg.Index)
		}
		c := condition{op: arg.Op, index: uint32(arg.Index), value: arg.Value, mask: ^uint64(0)}
		switch arg.Op {
		case specs.OpMaskedEqual:
			c.mask, c.value = arg.Value, arg.Value&arg.ValueTwo
		case specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan:
		default:
			return nil, fmt.Errorf("linux.seccomp.syscalls[%d].args[%d].op: unknown operator %q; use names like %q", i, j, arg.Op, specs.OpEqualTo)
		}
		twice = twice || seen[arg.Index]
		seen[arg.Index] = true
		conds = append(conds, c)
	}
	switch {
	case act == fallback:
		return rules, nil
	case twice:
		for j := range conds {
			rules = append(rules, rule{action: act, conds: conds[j : j+1], entry: i})
		}
		return rules, nil
	}
	slices.SortFunc(conds, func(a, b condition) int { return cmp.Compare(a.index, b.index) })
	return append(rules, rule{action: act, conds: conds, entry: i}), nil
}

// maxErrno is MAX_ERRNO of the kernel, the greatest that SECCOMP_RET_ERRNO
// returns.
const maxErrno = 4095

// action is the filter's return value for an OCI action.
func action(name specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	data := uint32(unix.EPERM)
	limit := uint(maxErrno)
	var ret uint32
	switch name {
	case specs.ActErrno:
		ret = unix.SECCOMP_RET_ERRNO
	case specs.ActTrace:
		ret, limit = unix.SECCOMP_RET_TRACE, unix.SECCOMP_RET_DATA
	case specs.ActAllow:
		return plain(unix.SECCOMP_RET_ALLOW, name, errno)
	case specs.ActLog:
		return plain(unix.SECCOMP_RET_LOG, name, errno)
	case specs.ActTrap:
		return plain(unix.SECCOMP_RET_TRAP, name, errno)
	case specs.ActKill, specs.ActKillThread:
		return plain(unix.SECCOMP_RET_KILL_THREAD, name, errno)
	case specs.ActKillProcess:
		return plain(unix.SECCOMP_RET_KILL_PROCESS, name, errno)
	case specs.ActNotify:
		return plain(unix.SECCOMP_RET_USER_NOTIF, name, errno)
	case "":
		return 0, fmt.Errorf("it is not set; use a name like %s", specs.ActErrno)
	default:
		return 0, fmt.Errorf("unknown action %q; use a name like %s", name, specs.ActErrno)
	}
	if errno != nil {
		if *errno > limit {
			return 0, fmt.Errorf("errno %d is too large for %s; use at most %d", *errno, name, limit)
		}
		data = uint32(*errno)
	}
	return ret | data, nil
}

// plain is an action that has no errno.
func plain(ret uint32, name specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	if errno != nil {
		return 0, fmt.Errorf("%s returns no errno, but errnoRet is %d; remove one of them", name, *errno)
	}
	return ret, nil
}
