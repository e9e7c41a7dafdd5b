// Package seccomp turns the seccomp section of an OCI configuration into a BPF
// program, as data: it is assembled before the clone, can be asked what it
// would decide, and is loaded by one op.
//
//	specs.LinuxSeccomp ──Assemble──► Filter ──Op──► seccomp(SECCOMP_SET_MODE_FILTER)
//	                       pure        ├────Decide──► what the kernel would answer to one call
//	                                   └────Allows──► which calls of a plan it may stop
//
// # The program
//
// The kernel runs it at every system call of the container that it cannot
// prove to be always allowed, so it is short: per architecture the verdicts
// are a function of the call's number, which is cut into intervals and searched
// by halves.
//
//	arch ──► x86_64: number ─┬─ < 0x40000000 ──► intervals ──► allow, errno, …
//	     │                   ├─ x32 ───────────► intervals      or conditions on the arguments
//	     │                   └─ -1 ────────────► default
//	     ├─► i386 ──────────────────────────────► intervals
//	     └─► any other ─────────────────────────► kill the process
//
// One program holds for every architecture that the kernel can run here. One
// that the profile does not list is killed whatever the default action is:
// otherwise a profile that lists what is forbidden would not hold for a program
// that makes its calls through int $0x80.
//
// # Why an own assembler
//
// The library github.com/elastic/go-seccomp-bpf assembles for one architecture
// and sends every other one to the default action; it has no errno for the
// default, no general comparison with a mask, and its tables are maps that
// every start of the program would build. libseccomp needs cgo. The table of
// call numbers here is generated from that library (gen_calls.go) into constant
// data, and the assembler is one file.
//
// # What a profile means
//
// The OCI specification leaves much to libseccomp, and this package follows
// it and runc, except where that opens a hole:
//
//   - A rule without conditions beats those with, and the first of them counts.
//   - Two conditions on one argument are alternatives, as two rules would be.
//   - Where several rules with conditions hold, those that compare for equality
//     only are asked first, then the stricter action. The same conditions with
//     different actions are an error. (libseccomp has an order of its own, which
//     depends on the operators and values, and the same error.)
//   - A rule whose action is the default's says nothing.
//   - A call newer than the newest that the profile names is answered ENOSYS
//     where the default is another errno: C libraries try a new call and go back
//     to the old one, but only after ENOSYS. (runc does so where the default
//     kills, too; here it kills.)
//   - The socket and IPC calls of i386 exist twice: by a number of their own, and
//     behind socketcall(2) and ipc(2), where conditions cannot be seen. A rule
//     that forbids more than the default does holds for both, without its
//     conditions; one that permits more holds for both only without conditions.
//   - On a 32-bit architecture an argument is its lower half, whatever the kernel
//     shows above it, and the value -1 is 0xffffffff.
//
// Flags are those that the profile names: without any, runc would add
// SPEC_ALLOW, which switches a mitigation off on kernels before 5.16.
//
// A rule can leave calls to a listener (SCMP_ACT_NOTIFY), but not the default
// can. What the listener answers is its business: Allows takes it to allow.
package seccomp

//go:generate go run gen_calls.go
