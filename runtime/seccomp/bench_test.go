package seccomp_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/runtime/seccomp"
	"isoperf/runtime/seccomp/profile"
)

// BenchmarkAssemble is what a start pays for the whole default profile.
func BenchmarkAssemble(b *testing.B) {
	s, err := profile.Default(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var f *seccomp.Filter
	for b.Loop() {
		if f, err = seccomp.Assemble(s); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(f.Code)), "instructions")
}

// BenchmarkOp is what the op adds to it.
func BenchmarkOp(b *testing.B) {
	f := defaultFilter(b)
	b.ReportAllocs()
	for b.Loop() {
		_ = f.Op()
	}
}

// BenchmarkAllows is the plan check of ten calls.
func BenchmarkAllows(b *testing.B) {
	f := defaultFilter(b)
	var list []seccomp.Call
	for _, n := range []uint32{unix.SYS_EXECVE, unix.SYS_PRCTL, unix.SYS_CAPSET, unix.SYS_CLOSE, unix.SYS_READ, unix.SYS_WRITE, unix.SYS_CLONE, unix.SYS_SOCKET, unix.SYS_SETRESUID, unix.SYS_EXIT_GROUP} {
		list = append(list, seccomp.Call{Number: n})
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = f.Allows(list...)
	}
}
