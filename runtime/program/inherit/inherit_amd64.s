#include "go_asm.h"
#include "textflag.h"
#include "funcdata.h"

// func getrlimit(resource uintptr, old unsafe.Pointer) int64
TEXT ·getrlimit(SB), NOSPLIT, $0-24
	XORL DI, DI
	MOVQ resource+0(FP), SI
	XORL DX, DX
	MOVQ old+8(FP), R10
	MOVL $302, AX             // prlimit64
	SYSCALL
	MOVQ AX, ret+16(FP)
	RET

// func setrlimit(resource uintptr, limit unsafe.Pointer) int64
TEXT ·setrlimit(SB), NOSPLIT, $0-24
	XORL DI, DI
	MOVQ resource+0(FP), SI
	MOVQ limit+8(FP), DX
	XORL R10, R10
	MOVL $302, AX             // prlimit64
	SYSCALL
	MOVQ AX, ret+16(FP)
	RET

// func syscall3(call, a, b, c uintptr) int64
TEXT ·syscall3(SB), NOSPLIT, $0-40
	MOVQ call+0(FP), AX
	MOVQ a+8(FP), DI
	MOVQ b+16(FP), SI
	MOVQ c+24(FP), DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL
	MOVQ AX, ret+32(FP)
	RET

// func deep()
TEXT ·deep(SB), 0, $20000-0
	NO_LOCAL_POINTERS
	RET

// func entry()
// The stack holds argc and argv, which the runtime reads: nothing is pushed.
// R12 is the record of the birth; the kernel keeps it.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0-0
	LEAQ ·born(SB), R12
	MOVL $1, DI               // CLOCK_MONOTONIC
	LEAQ birth_at(R12), SI
	MOVL $228, AX             // clock_gettime
	SYSCALL
	MOVQ ·profiled(SB), AX
	MOVQ $0, (AX)
	MOVQ 0(SP), CX            // argc
	LEAQ 16(SP), BX           // argv[1]

argument:
	DECQ CX
	JLE  timer
	MOVQ (BX), AX
	ADDQ $8, BX
	CMPL (AX), $0x006e7572    // "run"
	JEQ  spares
	CMPL (AX), $0x61657263    // "crea"
	JNE  argument
	CMPL 3(AX), $0x00657461   // "ate"
	JNE  argument

	// Not where one of 0, 1 and 2 is closed: the descriptors would be that one.
spares:
	XORL DI, DI

open:
	MOVL $1, SI               // F_GETFD
	MOVL $72, AX              // fcntl
	SYSCALL
	TESTQ AX, AX
	JLT  timer
	INCQ DI
	CMPQ DI, $3
	JLT  open

	// A page to share, and a process on another CPU.
	XORL DI, DI
	MOVL $4096, SI
	MOVL $3, DX               // PROT_READ|PROT_WRITE
	MOVL $0x21, R10           // MAP_SHARED|MAP_ANONYMOUS
	MOVQ $-1, R8
	XORL R9, R9
	MOVL $9, AX               // mmap
	SYSCALL
	CMPQ AX, $-4095
	JCC  timer
	MOVQ AX, birth_spare(R12)
	MOVQ AX, R13
	MOVL $0x400, DI           // CLONE_FILES
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVL $56, AX              // clone
	SYSCALL
	TESTQ AX, AX
	JEQ  maker
	MOVQ AX, birth_maker(R12)

timer:
	MOVL $30, DI              // PR_GET_TIMERSLACK
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVL $157, AX             // prctl
	SYSCALL
	MOVQ AX, birth_timer(R12)
	MOVL $29, DI              // PR_SET_TIMERSLACK
	MOVL $5000000, SI         // 5 ms
	MOVL $157, AX
	SYSCALL

	// The CPU that this runs on, and no other.
	XORL DI, DI
	MOVL $1024, SI
	LEAQ birth_mask(R12), DX
	MOVL $204, AX             // sched_getaffinity
	SYSCALL
	MOVQ AX, birth_masked(R12)
	TESTQ AX, AX
	JLE  files
	LEAQ birth_cpu(R12), DI
	XORL SI, SI
	XORL DX, DX
	MOVL $309, AX             // getcpu
	SYSCALL
	MOVQ birth_cpu(R12), AX
	MOVQ AX, CX
	SHRQ $6, CX
	MOVL $1, BX
	XCHGQ AX, CX              // the shift is taken modulo 64
	SHLQ CX, BX
	MOVQ BX, birth_one(R12)(AX*8)
	XORL DI, DI
	MOVQ birth_masked(R12), SI
	LEAQ birth_one(R12), DX
	MOVL $203, AX             // sched_setaffinity
	SYSCALL

	// The maker is mostly put behind this process, on the same CPU: move it to
	// the others. Where there are none, the kernel refuses.
	MOVQ birth_maker(R12), DI
	TESTQ DI, DI
	JLE  files
	MOVQ birth_cpu(R12), BX
	MOVQ BX, CX
	SHRQ $6, CX
	LEAQ birth_mask(R12)(CX*8), R14
	ANDQ $63, BX
	BTRQ BX, (R14)
	MOVQ birth_masked(R12), SI
	LEAQ birth_mask(R12), DX
	MOVL $203, AX
	SYSCALL
	BTSQ BX, (R14)

files:
	XORL DI, DI
	MOVL $7, SI               // RLIMIT_NOFILE
	XORL DX, DX
	LEAQ birth_soft(R12), R10
	MOVL $302, AX             // prlimit64
	SYSCALL
	TESTQ AX, AX
	JNE  runtime
	MOVQ $3, birth_few(R12)
	MOVQ birth_hard(R12), AX
	MOVQ AX, (birth_few+8)(R12)
	LEAQ birth_few(R12), DX
	XORL R10, R10
	MOVL $302, AX
	SYSCALL
	TESTQ AX, AX
	JNE  runtime
	MOVQ $1, birth_limited(R12)

runtime:
	JMP _rt0_amd64_linux(SB)

	// The other process. R13 is the page.
maker:
	MOVL $0x4c000000, DI      // CLONE_NEWUTS|NEWIPC|NEWNET
	MOVL $272, AX             // unshare
	SYSCALL
	TESTQ AX, AX
	JNE  leave
	LEAQ pathNet<>(SB), DI
	MOVL $0x80000, SI         // O_RDONLY|O_CLOEXEC
	MOVL $2, AX               // open
	SYSCALL
	MOVQ AX, spare_net(R13)
	LEAQ pathUTS<>(SB), DI
	MOVL $0x80000, SI
	MOVL $2, AX
	SYSCALL
	MOVQ AX, spare_uts(R13)
	LEAQ pathIPC<>(SB), DI
	MOVL $0x80000, SI
	MOVL $2, AX
	SYSCALL
	MOVQ AX, spare_ipc(R13)
	MOVL $2, DI               // AF_INET
	MOVL $0x80002, SI         // SOCK_DGRAM|SOCK_CLOEXEC
	XORL DX, DX
	MOVL $41, AX              // socket
	SYSCALL
	TESTQ AX, AX
	JLT  finished
	MOVQ AX, R14
	MOVQ AX, DI
	MOVL $0x8914, SI          // SIOCSIFFLAGS
	LEAQ loopbackUp<>(SB), DX
	MOVL $16, AX              // ioctl
	SYSCALL
	XORL BX, BX
	TESTQ AX, AX
	SETEQ BX
	MOVQ BX, spare_up(R13)
	MOVQ R14, DI
	MOVL $3, AX               // close
	SYSCALL

finished:
	MOVQ $1, spare_done(R13)

leave:
	XORL DI, DI
	MOVL $231, AX             // exit_group
	SYSCALL
	JMP  leave

// struct ifreq: the name, and IFF_UP.
DATA loopbackUp<>+0(SB)/8, $"lo\x00\x00\x00\x00\x00\x00"
DATA loopbackUp<>+16(SB)/2, $1
GLOBL loopbackUp<>(SB), RODATA|NOPTR, $40
DATA pathNet<>+0(SB)/8, $"/proc/se"
DATA pathNet<>+8(SB)/8, $"lf/ns/ne"
DATA pathNet<>+16(SB)/8, $"t\x00\x00\x00\x00\x00\x00\x00"
GLOBL pathNet<>(SB), RODATA|NOPTR, $24
DATA pathUTS<>+0(SB)/8, $"/proc/se"
DATA pathUTS<>+8(SB)/8, $"lf/ns/ut"
DATA pathUTS<>+16(SB)/8, $"s\x00\x00\x00\x00\x00\x00\x00"
GLOBL pathUTS<>(SB), RODATA|NOPTR, $24
DATA pathIPC<>+0(SB)/8, $"/proc/se"
DATA pathIPC<>+8(SB)/8, $"lf/ns/ip"
DATA pathIPC<>+16(SB)/8, $"c\x00\x00\x00\x00\x00\x00\x00"
GLOBL pathIPC<>(SB), RODATA|NOPTR, $24
