package seccomp

import (
	"fmt"
	"math"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Actions that no profile asks for.
const (
	// retForeign answers every call of an architecture that is not listed.
	retForeign = unix.SECCOMP_RET_KILL_PROCESS
	retNewer   = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// noCall is the number -1, which a tracer sets to skip a call. It runs nothing
// and takes the default action, on x86_64 too, where it has the bit of x32.
const noCall = math.MaxUint32

// target is where a number leads: to an action, or to rules with conditions.
type target struct {
	action uint32
	rules  []rule
}

// interval is a run of numbers with one target, up to the next interval.
type interval struct {
	start uint32
	target
}

// assemble writes the program: the architecture is looked at first, then the
// number, and the arguments where a rule has conditions.
func (set *ruleSet) assemble(arches []architecture) ([]unix.SockFilter, error) {
	var a assembler
	next := a.ret(retForeign)
	for last := len(arches); last > 0; {
		first := last - 1
		for first > 0 && arches[first-1].audit == arches[last-1].audit {
			first--
		}
		entry := a.load(offsetNumber, a.search(set.intervals(arches[first:last]), set.fallback, arches[first].narrow))
		next = a.jump(unix.BPF_JEQ, arches[first].audit, entry, next)
		last = first
	}
	a.load(offsetArch, next)
	if len(a.code) > maxCode {
		return nil, fmt.Errorf("linux.seccomp.syscalls: the filter has %d instructions and the kernel takes %d; use fewer conditions", len(a.code), maxCode)
	}
	slices.Reverse(a.code)
	return a.code, nil
}

// intervals cuts all numbers of one audit architecture. The architectures are
// those that share it, by base.
func (set *ruleSet) intervals(arches []architecture) []interval {
	list := make([]interval, 0, 256)
	for i, arch := range arches {
		end := uint32(noCall)
		if arch.audit == unix.AUDIT_ARCH_X86_64 && arch.base == 0 {
			end = x32Bit
		}
		list = set.number(list, arch, end)
		if end == x32Bit && i == len(arches)-1 {
			list = add(list, x32Bit, target{action: retForeign})
		}
	}
	return add(list, noCall, target{action: set.fallback})
}

// add begins a new interval unless the target stays the same.
func add(list []interval, start uint32, to target) []interval {
	if n := len(list); n > 0 && to.rules == nil && list[n-1].rules == nil && list[n-1].action == to.action {
		return list
	}
	return append(list, interval{start: start, target: to})
}

// number adds the intervals of one architecture, from its base to before end.
func (set *ruleSet) number(list []interval, arch architecture, end uint32) []interval {
	newest := int64(-1)
	for _, v := range set.verdicts {
		if n := v.call.number[arch.column]; uint32(n) < arch.apart[0] || uint32(n) >= arch.apart[1] {
			newest = max(newest, int64(n))
		}
	}
	verdicts := set.verdicts
	if arch.column == columnI386 {
		verdicts = set.withDoors()
	}
	// A key is a number and the verdict's place, sorted by number.
	keys := make([]uint64, 0, len(verdicts))
	for i, v := range verdicts {
		if n := v.call.number[arch.column]; n >= 0 {
			keys = append(keys, uint64(n)<<32|uint64(i))
		}
	}
	slices.Sort(keys)
	gap := set.gaps(arch, newest)
	at := arch.base
	for _, key := range keys {
		n, v := arch.base+uint32(key>>32), verdicts[uint32(key)]
		list = gap(list, at, n)
		switch {
		case len(v.rules) == 0:
			list = add(list, n, target{action: set.fallback})
		case len(v.rules[0].conds) == 0:
			list = add(list, n, target{action: v.rules[0].action})
		default:
			list = add(list, n, target{rules: v.rules})
		}
		at = n + 1
	}
	return gap(list, at, end)
}

// gaps returns a function that adds the numbers from one to before another
// that no verdict is about: the default action, or ENOSYS for what is newer
// than the profile, when the default is another errno.
func (set *ruleSet) gaps(arch architecture, newest int64) func(list []interval, from, to uint32) []interval {
	type edge struct {
		start uint32
		to    target
	}
	fallback, newer := target{action: set.fallback}, target{action: retNewer}
	edges := []edge{{0, fallback}}
	if newest >= 0 && set.fallback&unix.SECCOMP_RET_ACTION_FULL == unix.SECCOMP_RET_ERRNO {
		edges = append(edges, edge{arch.base + uint32(newest) + 1, newer})
		if arch.apart[1] > 0 {
			edges = append(edges, edge{arch.base + arch.apart[0], fallback}, edge{arch.base + arch.apart[1], newer})
		}
	}
	return func(list []interval, from, to uint32) []interval {
		for i, e := range edges {
			end := to
			if i+1 < len(edges) {
				end = min(end, edges[i+1].start)
			}
			if start := max(from, e.start); start < end {
				list = add(list, start, e.to)
			}
		}
		return list
	}
}

// search writes a search by halves over the intervals, with the number loaded.
func (a *assembler) search(list []interval, fallback uint32, narrow bool) int {
	switch n := len(list); {
	case n == 1:
		return a.target(list[0].target, fallback, narrow)
	case n == 3 && list[2].start == list[1].start+1 && list[0].rules == nil && list[2].rules == nil && list[0].action == list[2].action:
		// One number among others.
		no := a.ret(list[0].action)
		return a.jump(unix.BPF_JEQ, list[1].start, a.target(list[1].target, fallback, narrow), no)
	default:
		high := a.search(list[n/2:], fallback, narrow)
		low := a.search(list[:n/2], fallback, narrow)
		return a.jump(unix.BPF_JGE, list[n/2].start, high, low)
	}
}

// target writes where a number leads.
func (a *assembler) target(t target, fallback uint32, narrow bool) int {
	if t.rules == nil {
		return a.ret(t.action)
	}
	next := a.ret(fallback)
	for _, r := range slices.Backward(t.rules) {
		yes := a.ret(r.action)
		for _, c := range slices.Backward(r.conds) {
			yes = a.condition(c, narrow, yes, next)
		}
		next = yes
	}
	return next
}

// condition writes a comparison of 64 bits in halves.
func (a *assembler) condition(c condition, narrow bool, yes, no int) int {
	switch c.op {
	case specs.OpNotEqual:
		c.op, yes, no = specs.OpEqualTo, no, yes
	case specs.OpLessThan:
		c.op, yes, no = specs.OpGreaterEqual, no, yes
	case specs.OpLessEqual:
		c.op, yes, no = specs.OpGreaterThan, no, yes
	}
	if narrow {
		c = c.narrow()
	}
	low, high := uint32(c.value), uint32(c.value>>32)
	lower, upper := offsetArgs+8*c.index, offsetArgs+8*c.index+4
	var rest int
	switch c.op {
	case specs.OpGreaterEqual:
		rest = a.load(lower, a.jump(unix.BPF_JGE, low, yes, no))
	case specs.OpGreaterThan:
		rest = a.load(lower, a.jump(unix.BPF_JGT, low, yes, no))
	default:
		return a.equal(upper, uint32(c.mask>>32), high, a.equal(lower, uint32(c.mask), low, yes, no), no)
	}
	switch {
	case !narrow:
		return a.load(upper, a.jump(unix.BPF_JGT, high, yes, a.jump(unix.BPF_JEQ, high, rest, no)))
	case high > 0:
		return no
	}
	return rest
}

// narrow is the condition on an architecture of 32 bits. The upper half of
// its arguments is no part of them, and may be anything: a 64-bit program that
// makes a call through int $0x80 chooses it. A negative value loses its own.
func (c condition) narrow() condition {
	if int64(c.value) < 0 && int64(c.value) >= math.MinInt32 {
		c.value &= math.MaxUint32
	}
	c.mask &= math.MaxUint32
	return c
}

// equal compares one half of an argument under a mask. A value with bits
// outside of the mask never comes up.
func (a *assembler) equal(offset, mask, value uint32, yes, no int) int {
	switch {
	case value&^mask != 0:
		return no
	case mask == 0:
		return yes
	}
	return a.load(offset, a.and(mask, a.jump(unix.BPF_JEQ, value, yes, no)))
}
