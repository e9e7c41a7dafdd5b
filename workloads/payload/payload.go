// Package payload is the program that runs inside whatever is measured: a
// static ELF of less than 1.5 KiB, the same file for every runtime, bundle and
// virtual machine. It needs no library, no image and no /proc, so it shows
// what its surroundings cost, and not what it costs itself.
//
//	payload_ARCH.s (machine code) ─┐
//	the table of `look` ───────────┴► ELF ──Write──► file ──a runtime executes it──► output
//	                                                                                  │
//	          (no argument)  stamp        ──► ParseStamp ──► nanoseconds ◄────────────┤
//	          reboot         stamp, and restart the machine     (for /init) ◄─────────┤
//	          look           what it sees ──► ParseLook ──► Seen ──Against(host)──► Isolation
//	          weigh CMD…     run CMD      ──► Weigh ──► its peak of memory
//
// # Stamp
//
// Its first system call is clock_gettime(CLOCK_MONOTONIC), and the stamp is
// what that returns: 16 hexadecimal digits and a newline on descriptor 1. The
// call goes to the kernel and not to the vDSO, which would have to be found
// first; it takes some 0.3 µs. Then it exits with 0, or with 1 when it cannot
// read the clock or write. A time namespace with offsets shifts the stamp, and
// the clock of a virtual machine is its own.
//
// # Reboot
//
// For a virtual machine whose /init it is: a newline and the stamp go to the
// console, which is drained (TCSBRK) before reboot(2) restarts the machine.
// Without descriptor 1 it exits with 1, and without the privilege to restart,
// too. Boot with `quiet`: a message of the kernel can split the line.
//
// # Look
//
// A stream of sections: a title "== NAME" and what stands below it. A section
// that cannot be had is one line, '!' and the errno in hexadecimal. What is
// known without /proc comes from system calls. Nothing is written for what the
// payload cannot know: Seen keeps "no" and "unknown" apart.
//
// # Weigh
//
// ru_maxrss of a process is the largest peak that its memory had, and also the
// peak of the memory that it had before execve. A child that a launcher starts
// with shared memory (vfork, as os/exec does) so weighs at least what the
// launcher weighs. Here the payload forks, and its own memory is three pages.
// The command's standard output becomes its standard error, for descriptor 1
// is the payload's. The status is that of the command, 128 and the signal that
// ended it, or 127 when it could not be executed. When the payload is killed,
// so is the command (PR_SET_PDEATHSIG), but not what the command started.
//
// amd64 and arm64. Linux 5.10 or newer, as for the engine.
package payload
