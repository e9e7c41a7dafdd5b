package seccomp

import (
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Decide is what the kernel would return for a system call: an action with its
// data, SECCOMP_RET_*. arch is AUDIT_ARCH_*; a call of x32 has the bit
// 0x40000000 in nr. The instruction pointer is taken to be 0.
func (f *Filter) Decide(arch, nr uint32, args [6]uint64) uint32 {
	var ret uint32
	m := machine{code: f.Code, number: nr, arch: arch, args: args[:], end: func(r uint32) { ret = r }}
	m.run(0)
	return ret
}

// Call is a native system call that is to come, with its first arguments as far
// as they are known.
type Call struct {
	Number uint32
	Args   []uint64
}

// Allows checks that the filter lets a plan do what comes after its op. The
// error names the calls that it forbids, or, where an argument is not known,
// allows with some arguments only.
func (f *Filter) Allows(calls ...Call) error {
	native := family(runtime.GOARCH)[0]
	var bad []string
	for _, call := range calls {
		never, always := true, true
		m := machine{code: f.Code, number: call.Number, arch: native.audit, args: call.Args, seen: make([]bool, len(f.Code)), end: func(ret uint32) {
			switch ret & unix.SECCOMP_RET_ACTION_FULL {
			case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_USER_NOTIF: // the listener's matter
				never = false
			default:
				always = false
			}
		}}
		m.run(0)
		switch name := callName(native.column, call.Number); {
		case always:
		case never:
			bad = append(bad, name)
		default:
			bad = append(bad, name+" (with some arguments)")
		}
	}
	if bad != nil {
		return fmt.Errorf("check the seccomp filter: it forbids %s, which must run after it is loaded; allow it in linux.seccomp.syscalls", strings.Join(bad, ", "))
	}
	return nil
}

// machine executes a filter of Assemble, which has no other instructions than
// those here, and no loops.
type machine struct {
	code         []unix.SockFilter
	number, arch uint32
	// args are the first arguments; every test of one that is not there, because
	// it is not known, goes both ways.
	args []uint64
	// seen are the tests of an argument that have been gone through.
	seen []bool
	end  func(ret uint32)
}

// run executes the program from pc and calls end with what it returns.
func (m *machine) run(pc int) {
	var acc uint32
	known := false
	for {
		in := m.code[pc]
		pc++
		var yes bool
		switch in.Code {
		case opLoad:
			acc, known = m.load(in.K)
			continue
		case opAnd:
			acc &= in.K
			continue
		case opJump:
			pc += int(in.K)
			continue
		case opRet:
			m.end(in.K)
			return
		case opTest | unix.BPF_JEQ:
			yes = acc == in.K
		case opTest | unix.BPF_JGE:
			yes = acc >= in.K
		case opTest | unix.BPF_JGT:
			yes = acc > in.K
		default:
			panic(fmt.Sprintf("seccomp: instruction %d has code %#x, which Assemble does not write", pc-1, in.Code))
		}
		if !known {
			if m.seen[pc-1] {
				return
			}
			m.seen[pc-1] = true
			m.run(pc + int(in.Jf))
			yes = true
		}
		if yes {
			pc += int(in.Jt)
		} else {
			pc += int(in.Jf)
		}
	}
}

// load reads a word of seccomp_data, if it is known.
func (m *machine) load(offset uint32) (uint32, bool) {
	switch offset {
	case offsetNumber:
		return m.number, true
	case offsetArch:
		return m.arch, true
	}
	half := (offset - offsetArgs) / 4
	if int(half/2) >= len(m.args) {
		return 0, false
	}
	return uint32(m.args[half/2] >> (32 * (half % 2))), true
}
