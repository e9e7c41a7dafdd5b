package seccomp

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// random makes profiles and calls of few names, values and numbers, so that
// they meet.
type random struct{ *rand.Rand }

func pick[T any](r random, list ...T) T { return list[r.IntN(len(list))] }

func (r random) profile(family []specs.Arch) *specs.LinuxSeccomp {
	s := &specs.LinuxSeccomp{DefaultAction: r.action()}
	s.DefaultErrnoRet = r.errno(s.DefaultAction)
	for _, a := range family {
		if r.IntN(2) == 0 {
			s.Architectures = append(s.Architectures, a)
		}
	}
	s.Architectures = append(s.Architectures, specs.ArchS390X)
	for range r.IntN(8) {
		e := specs.LinuxSyscall{Action: r.action()}
		e.ErrnoRet = r.errno(e.Action)
		for range 1 + r.IntN(12) {
			e.Names = append(e.Names, r.name())
		}
		for range r.IntN(3) * r.IntN(2) {
			e.Args = append(e.Args, specs.LinuxSeccompArg{Index: uint(r.IntN(3)), Value: r.value(), ValueTwo: r.value(), Op: pick(r,
				specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual)})
		}
		s.Syscalls = append(s.Syscalls, e)
	}
	return s
}

func (r random) action() specs.LinuxSeccompAction {
	return pick(r, specs.ActAllow, specs.ActErrno, specs.ActErrno, specs.ActLog, specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap, specs.ActTrace)
}

// errno is the same for one action, since the order of rules that differ in it
// only is the profile's.
func (r random) errno(a specs.LinuxSeccompAction) *uint {
	if a != specs.ActErrno && a != specs.ActTrace {
		return nil
	}
	return pick(r, nil, new(uint(1)), new(uint(1)))
}

func (r random) name() string {
	if r.IntN(3) == 0 {
		return pick(r, "socket", "socketcall", "ipc", "semop", "accept", "execve", "rt_sigaction", "set_tls", "no_such_call", "file_getattr", "clone3")
	}
	return calls[r.IntN(len(calls))].name
}

func (r random) value() uint64 {
	return pick[uint64](r, 0, 1, 2, 3, 5, 0xff, 0x10001, 1<<31, 1<<32-1, 1<<32, 1<<32+1, 1<<40, ^uint64(0), ^uint64(0)-1, 1<<63, uint64(r.Uint32()))
}

func (r random) number() uint32 {
	n := pick(r, uint32(r.IntN(600)), uint32(r.IntN(600)), uint32(102), uint32(117), uint32(0xf0000+r.IntN(8)), uint32(0xf0100), noCall, r.Uint32())
	return n | pick[uint32](r, 0, 0, x32Bit)
}

// TestReference compares what the filter answers with what the rules say, for
// random profiles and calls.
func TestReference(t *testing.T) {
	profiles := 4000
	if testing.Short() {
		profiles = 400
	}
	for _, native := range []struct {
		goarch string
		info   *arch.Info
		family []specs.Arch
	}{
		{"amd64", arch.X86_64, []specs.Arch{specs.ArchX86, specs.ArchX32, specs.ArchX86_64, specs.ArchARM}},
		{"arm64", arch.AARCH64, []specs.Arch{specs.ArchARM, specs.ArchAARCH64, specs.ArchX86}},
	} {
		t.Run(native.goarch, func(t *testing.T) {
			conflicts := 0
			for seed := range uint64(profiles) {
				r := random{rand.New(rand.NewPCG(seed, 7))}
				s := r.profile(native.family)
				f, err := assemble(s, native.goarch)
				if err != nil {
					conflicts++
					continue
				}
				ref := reference{native: native.info, s: s}
				for range 100 {
					compare(t, f, ref, r.call())
				}
				for _, e := range s.Syscalls {
					for _, name := range e.Names {
						for _, c := range r.callsOf(name) {
							compare(t, f, ref, c)
						}
					}
				}
				if t.Failed() {
					t.Fatalf("seed %d: %s", seed, describe(s))
				}
			}
			if conflicts > profiles/10 {
				t.Errorf("%d of %d profiles were refused; the test sees too little", conflicts, profiles)
			}
		})
	}
}

// probe is a system call as the kernel shows it to a filter.
type probe struct {
	audit, nr uint32
	args      [6]uint64
}

func (r random) call() probe {
	c := probe{audit: pick(r, uint32(unix.AUDIT_ARCH_X86_64), unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_S390X), nr: r.number()}
	for i := range c.args {
		c.args[i] = r.value()
	}
	return c
}

// callsOf are calls of one name through every architecture.
func (r random) callsOf(name string) (list []probe) {
	for info, bit := range map[*arch.Info]uint32{arch.X86_64: 0, arch.X32: x32Bit, arch.I386: 0, arch.AARCH64: 0, arch.ARM: 0} {
		if n := nameNumber(info, name); n >= 0 {
			for range 4 {
				c := r.call()
				c.audit, c.nr = refAudit(info), uint32(n)|bit
				list = append(list, c)
			}
		}
	}
	return list
}

func compare(t *testing.T, f *Filter, ref reference, c probe) {
	t.Helper()
	if got, want := f.Decide(c.audit, c.nr, c.args), ref.decide(c.audit, c.nr, c.args); got != want {
		t.Errorf("audit %#x call %#x %#x: the filter says %#x, the rules %#x", c.audit, c.nr, c.args, got, want)
	}
}

func describe(s *specs.LinuxSeccomp) string {
	text := fmt.Sprintf("default %s, architectures %v", s.DefaultAction, s.Architectures)
	for _, e := range s.Syscalls {
		text += fmt.Sprintf("\n  %s %v %+v", e.Action, e.Names, e.Args)
	}
	return text
}
