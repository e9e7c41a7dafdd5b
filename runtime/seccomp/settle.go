package seccomp

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// strictness orders actions as the kernel does between filters; the strictest
// is the least (seccomp(2)).
func strictness(action uint32) int32 { return int32(action & unix.SECCOMP_RET_ACTION_FULL) }

// exact says whether the rule compares for equality only.
func (r *rule) exact() bool {
	return !slices.ContainsFunc(r.conds, func(c condition) bool {
		return c.op != specs.OpEqualTo && c.op != specs.OpMaskedEqual
	})
}

// settle puts the rules of one system call in the order in which they are
// asked. One without conditions is the only one.
func settle(name string, rules []rule) ([]rule, error) {
	for i, r := range rules {
		if len(r.conds) == 0 {
			return rules[i : i+1], nil
		}
	}
	for i, r := range rules {
		for _, earlier := range rules[:i] {
			if r.action != earlier.action && slices.Equal(r.conds, earlier.conds) {
				return nil, fmt.Errorf("linux.seccomp.syscalls[%d]: it gives %q another action for the same conditions as syscalls[%d]; keep one of them", r.entry, name, earlier.entry)
			}
		}
	}
	order(rules)
	return rules, nil
}

// order is the order in which rules with conditions are asked.
func order(rules []rule) {
	slices.SortStableFunc(rules, func(a, b rule) int {
		if exact := a.exact(); exact != b.exact() {
			if exact {
				return -1
			}
			return 1
		}
		return cmp.Compare(strictness(a.action), strictness(b.action))
	})
}

// The calls of i386 behind which others are, by what their first argument
// says; see socketcall(2) and ipc(2). The kernel takes ipc's upper half as a
// version and cuts it off.
var doors = [...]struct {
	name string
	mask uint64
}{{"socketcall", 0xffffffff}, {"ipc", 0xffff}}

// withDoors are the verdicts for i386, where the rules of socket and IPC calls
// hold for socketcall and ipc too. Those cannot see a call's arguments: a rule
// with conditions holds without them when it is stricter than the default, and
// not at all when it is not.
func (set *ruleSet) withDoors() []verdict {
	all := slices.Clone(set.verdicts)
	for kind, door := range doors {
		var rules []rule
		for _, v := range set.verdicts {
			if v.call.door != int8(kind+1) {
				continue
			}
			strictest := slices.MinFunc(append([]rule{{action: unix.SECCOMP_RET_ALLOW}}, v.rules...), func(a, b rule) int {
				return cmp.Compare(strictness(a.action), strictness(b.action))
			})
			switch {
			case len(v.rules) == 0:
			case len(v.rules[0].conds) == 0:
				rules = append(rules, throughDoor(v, v.rules[0].action, door.mask))
			case strictness(strictest.action) < strictness(set.fallback):
				rules = append(rules, throughDoor(v, strictest.action, door.mask))
			}
		}
		if len(rules) == 0 {
			continue
		}
		call := &calls[lookup(door.name)]
		i := slices.IndexFunc(all, func(v verdict) bool { return v.call == call })
		switch {
		case i < 0:
			all = append(all, verdict{call: call, rules: rules})
		case len(all[i].rules) == 0 || len(all[i].rules[0].conds) > 0:
			all[i].rules = append(slices.Clone(all[i].rules), rules...)
			order(all[i].rules)
		}
	}
	return all
}

func throughDoor(v verdict, action uint32, mask uint64) rule {
	return rule{action: action, conds: []condition{{op: specs.OpMaskedEqual, value: uint64(v.call.behind), mask: mask}}}
}
