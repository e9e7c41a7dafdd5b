package container

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// memoryModes are the modes of set_mempolicy(2), and whether they need nodes.
func memoryModes() map[specs.MemoryPolicyModeType]struct {
	number int
	nodes  bool
} {
	type mode = struct {
		number int
		nodes  bool
	}
	return map[specs.MemoryPolicyModeType]mode{
		specs.MpolDefault: {0, false}, specs.MpolPreferred: {1, false}, specs.MpolBind: {2, true}, specs.MpolInterleave: {3, true},
		specs.MpolLocal: {4, false}, specs.MpolPreferredMany: {5, true}, specs.MpolWeightedInterleave: {6, true},
	}
}

// memoryFlags are the flags of the modes.
func memoryFlags() map[specs.MemoryPolicyFlagType]int {
	return map[specs.MemoryPolicyFlagType]int{specs.MpolFNumaBalancing: 1 << 13, specs.MpolFRelativeNodes: 1 << 14, specs.MpolFStaticNodes: 1 << 15}
}

// MemoryPolicies are the modes and flags that linux.memoryPolicy can have, sorted.
func MemoryPolicies() (modes, flags []string) {
	for m := range memoryModes() {
		modes = append(modes, string(m))
	}
	for f := range memoryFlags() {
		flags = append(flags, string(f))
	}
	slices.Sort(modes)
	slices.Sort(flags)
	return modes, flags
}

// memoryPolicy is set_mempolicy(2), which a process keeps through execve.
// MPOL_PREFERRED_MANY is of Linux 5.15, MPOL_WEIGHTED_INTERLEAVE of 6.9.
func memoryPolicy(m *specs.LinuxMemoryPolicy) (program.Op, error) {
	mode, ok := memoryModes()[m.Mode]
	if !ok {
		return program.Op{}, fmt.Errorf("linux.memoryPolicy.mode: %q is not supported", m.Mode)
	}
	nodes, err := nodeMask(m.Nodes)
	switch {
	case err != nil:
		return program.Op{}, err
	case mode.nodes && len(nodes) == 0:
		return program.Op{}, fmt.Errorf("linux.memoryPolicy.nodes: %s needs some", m.Mode)
	case (m.Mode == specs.MpolDefault || m.Mode == specs.MpolLocal) && len(nodes) > 0:
		return program.Op{}, fmt.Errorf("linux.memoryPolicy.nodes: %s takes none", m.Mode)
	}
	bits := mode.number
	for i, f := range m.Flags {
		bit, ok := memoryFlags()[f]
		if !ok {
			return program.Op{}, fmt.Errorf("linux.memoryPolicy.flags[%d]: %q is not supported", i, f)
		}
		bits |= bit
	}
	op := program.Op{
		Name: "memory policy", Call: unix.SYS_SET_MEMPOLICY, Args: [6]program.Arg{program.Int(bits)},
		Text: fmt.Sprintf("set_mempolicy(%s, nodes %q, flags %v)", m.Mode, m.Nodes, m.Flags),
	}
	if len(nodes) > 0 {
		words := make([]program.Arg, len(nodes))
		for i, w := range nodes {
			words[i] = program.Int(w)
		}
		// The kernel takes one from the number of bits.
		op.Args[1], op.Args[2] = program.Words(words...), program.Int(64*len(nodes)+1)
	}
	return op, nil
}

// nodeMask reads a list such as "0-3,7" into words of 64 bits.
func nodeMask(list string) (mask []uint64, err error) {
	const most = 1023 // MAX_NUMNODES is 1024 at most
	if list == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		low, high, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			high = low
		}
		first, err1 := strconv.Atoi(low)
		last, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || first < 0 || last < first || last > most {
			return nil, fmt.Errorf("linux.memoryPolicy.nodes: %q is no list of nodes, such as 0-3,7", list)
		}
		for n := first; n <= last; n++ {
			for len(mask) <= n/64 {
				mask = append(mask, 0)
			}
			mask[n/64] |= 1 << (n % 64)
		}
	}
	return mask, nil
}
