#include "go_asm.h"
#include "textflag.h"
#include "funcdata.h"

// func getrlimit(resource uintptr, old unsafe.Pointer) int64
TEXT ·getrlimit(SB), NOSPLIT, $0-24
	MOVD $0, R0
	MOVD resource+0(FP), R1
	MOVD $0, R2
	MOVD old+8(FP), R3
	MOVD $261, R8             // prlimit64
	SVC
	MOVD R0, ret+16(FP)
	RET

// func setrlimit(resource uintptr, limit unsafe.Pointer) int64
TEXT ·setrlimit(SB), NOSPLIT, $0-24
	MOVD $0, R0
	MOVD resource+0(FP), R1
	MOVD limit+8(FP), R2
	MOVD $0, R3
	MOVD $261, R8             // prlimit64
	SVC
	MOVD R0, ret+16(FP)
	RET

// func syscall3(call, a, b, c uintptr) int64
TEXT ·syscall3(SB), NOSPLIT, $0-40
	MOVD call+0(FP), R8
	MOVD a+8(FP), R0
	MOVD b+16(FP), R1
	MOVD c+24(FP), R2
	MOVD $0, R3
	MOVD $0, R4
	SVC
	MOVD R0, ret+32(FP)
	RET

// func deep()
TEXT ·deep(SB), 0, $20000-0
	NO_LOCAL_POINTERS
	RET

// func entry()
// The stack holds argc and argv, which the runtime reads: nothing is pushed.
// R20 is the record of the birth; the kernel keeps it.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0-0
	MOVD $·born(SB), R20
	MOVD $1, R0               // CLOCK_MONOTONIC
	ADD  $birth_at, R20, R1
	MOVD $113, R8             // clock_gettime
	SVC
	MOVD ·profiled(SB), R0
	MOVD ZR, (R0)
	MOVD 0(RSP), R23          // argc
	MOVD RSP, R24
	ADD  $16, R24             // argv[1]

	ADD  R23<<3, R24, R0      // beyond argv
	MOVD R0, birth_environ(R20)

argument:
	SUB  $1, R23
	CMP  $1, R23
	BLT  timer
	MOVD 0(R24), R0           // it need not be aligned
	ADD  $8, R24
	// "run"
	MOVBU 0(R0), R1
	CMP  $0x72, R1
	BNE  create
	MOVBU 1(R0), R1
	CMP  $0x75, R1
	BNE  create
	MOVBU 2(R0), R1
	CMP  $0x6e, R1
	BNE  create
	MOVBU 3(R0), R1
	CBNZ R1, create
	B    spares

create:
	// "create"
	MOVBU 0(R0), R1
	CMP  $0x63, R1
	BNE  argument
	MOVBU 1(R0), R1
	CMP  $0x72, R1
	BNE  argument
	MOVBU 2(R0), R1
	CMP  $0x65, R1
	BNE  argument
	MOVBU 3(R0), R1
	CMP  $0x61, R1
	BNE  argument
	MOVBU 4(R0), R1
	CMP  $0x74, R1
	BNE  argument
	MOVBU 5(R0), R1
	CMP  $0x65, R1
	BNE  argument
	MOVBU 6(R0), R1
	CBNZ R1, argument

	// Not where one of 0, 1 and 2 is closed: the descriptors would be that one.
spares:
	MOVD $0, R22

open:
	MOVD R22, R0
	MOVD $1, R1               // F_GETFD
	MOVD $25, R8              // fcntl
	SVC
	CMP  $0, R0
	BLT  timer
	ADD  $1, R22
	CMP  $3, R22
	BLT  open

	// Memory to share, and a process on another CPU.
	MOVD $0, R0
	MOVD $spare__size, R1
	MOVD $3, R2               // PROT_READ|PROT_WRITE
	MOVD $0x21, R3            // MAP_SHARED|MAP_ANONYMOUS
	MOVD $-1, R4
	MOVD $0, R5
	MOVD $222, R8             // mmap
	SVC
	CMN  $4095, R0
	BCS  timer
	MOVD R0, birth_spare(R20)
	MOVD R0, R21
	MOVD $0x400, R0           // CLONE_FILES
	MOVD $0, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	MOVD $220, R8             // clone
	SVC
	CBZ  R0, maker
	MOVD R0, birth_maker(R20)

timer:
	MOVD $30, R0              // PR_GET_TIMERSLACK
	MOVD $0, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	MOVD $167, R8             // prctl
	SVC
	MOVD R0, birth_timer(R20)
	MOVD $29, R0              // PR_SET_TIMERSLACK
	MOVD $5000000, R1         // 5 ms
	MOVD $167, R8
	SVC

	// The CPU that this runs on, and no other.
	MOVD $0, R0
	MOVD $1024, R1
	ADD  $birth_mask, R20, R2
	MOVD $123, R8             // sched_getaffinity
	SVC
	MOVD R0, birth_masked(R20)
	CMP  $0, R0
	BLE  files
	ADD  $birth_cpu, R20, R0
	MOVD $0, R1
	MOVD $0, R2
	MOVD $168, R8             // getcpu
	SVC
	MOVD birth_cpu(R20), R0
	MOVD $1, R1
	LSL  R0, R1               // the shift is taken modulo 64
	LSR  $6, R0
	ADD  $birth_one, R20, R2
	ADD  R0<<3, R2, R3
	MOVD R1, (R3)
	MOVD $0, R0
	MOVD birth_masked(R20), R1
	MOVD $122, R8             // sched_setaffinity
	SVC

	// The maker is mostly put behind this process, on the same CPU: move it to
	// the others. Where there are none, the kernel refuses.
	MOVD birth_maker(R20), R0
	CMP  $0, R0
	BLE  files
	MOVD birth_cpu(R20), R2
	MOVD $1, R22
	LSL  R2, R22
	LSR  $6, R2
	ADD  $birth_mask, R20, R3
	ADD  R2<<3, R3, R23
	MOVD (R23), R1
	BIC  R22, R1
	MOVD R1, (R23)
	MOVD birth_masked(R20), R1
	ADD  $birth_mask, R20, R2
	MOVD $122, R8
	SVC
	MOVD (R23), R1
	ORR  R22, R1
	MOVD R1, (R23)

files:
	MOVD $0, R0
	MOVD $7, R1               // RLIMIT_NOFILE
	MOVD $0, R2
	ADD  $birth_soft, R20, R3
	MOVD $261, R8             // prlimit64
	SVC
	CBNZ R0, runtime
	ADD  $birth_few, R20, R2
	MOVD $3, R0
	MOVD R0, (R2)
	MOVD birth_hard(R20), R0
	MOVD R0, 8(R2)
	MOVD $0, R0
	MOVD $0, R3
	MOVD $261, R8
	SVC
	CBNZ R0, runtime
	MOVD $1, R0
	MOVD R0, birth_limited(R20)

runtime:
	B _rt0_arm64_linux(SB)

	// The other process. R21 is the shared memory.
maker:
	MOVD $0x4c000000, R0      // CLONE_NEWUTS|NEWIPC|NEWNET
	MOVD $97, R8              // unshare
	SVC
	CBNZ R0, leave
	MOVD $-100, R0            // AT_FDCWD
	MOVD $pathNet<>(SB), R1
	MOVD $0x80000, R2         // O_RDONLY|O_CLOEXEC
	MOVD $0, R3
	MOVD $56, R8              // openat
	SVC
	MOVD R0, spare_net(R21)
	MOVD $-100, R0            // AT_FDCWD
	MOVD $pathUTS<>(SB), R1
	MOVD $0x80000, R2         // O_RDONLY|O_CLOEXEC
	MOVD $0, R3
	MOVD $56, R8              // openat
	SVC
	MOVD R0, spare_uts(R21)
	MOVD $-100, R0            // AT_FDCWD
	MOVD $pathIPC<>(SB), R1
	MOVD $0x80000, R2         // O_RDONLY|O_CLOEXEC
	MOVD $0, R3
	MOVD $56, R8              // openat
	SVC
	MOVD R0, spare_ipc(R21)
	MOVD $2, R0               // AF_INET
	MOVD $0x80002, R1         // SOCK_DGRAM|SOCK_CLOEXEC
	MOVD $0, R2
	MOVD $198, R8             // socket
	SVC
	CMP  $0, R0
	BLT  ahead
	MOVD R0, R22
	MOVD $0x8914, R1          // SIOCSIFFLAGS
	MOVD $loopbackUp<>(SB), R2
	MOVD $29, R8              // ioctl
	SVC
	CMP  $0, R0
	CSET EQ, R1
	MOVD R1, spare_up(R21)
	MOVD R22, R0
	MOVD $57, R8              // close
	SVC

	// What the launcher reads next. R22 is one of the texts, R23 its place, R24 how much
	// of it is there, R25 its file.
ahead:
	MOVD $·texts(SB), R22

text:
	MOVD text_name(R22), R1
	CBZ  R1, finished
	MOVD text_at(R22), R23
	ADD  R21, R23
	MOVD $0, R24
	MOVD $-100, R0            // AT_FDCWD
	MOVD text_link(R22), R3
	CBNZ R3, link
	MOVD $0x80000, R2         // O_RDONLY|O_CLOEXEC
	MOVD $0, R3
	MOVD $56, R8              // openat
	SVC
	CMP  $0, R0
	BLT  next
	MOVD R0, R25

read:
	MOVD R25, R0
	ADD  $8, R23, R1
	ADD  R24, R1
	MOVD text_room(R22), R2
	SUB  R24, R2
	CBZ  R2, shut             // there may be more
	MOVD $63, R8              // read
	SVC
	CMP  $0, R0
	BLT  shut
	BEQ  whole
	ADD  R0, R24
	B    read

whole:
	MOVD R24, (R23)

shut:
	MOVD R25, R0
	MOVD $57, R8              // close
	SVC

next:
	ADD  $text__size, R22
	B    text

link:
	ADD  $8, R23, R2
	MOVD text_room(R22), R3
	MOVD $78, R8              // readlinkat
	SVC
	CMP  $0, R0
	BLT  next
	MOVD text_room(R22), R3
	CMP  R3, R0
	BEQ  next
	MOVD R0, (R23)
	B    next

finished:
	MOVD $1, R0
	STLR R0, (R21)            // spare_done, when all else is there

leave:
	MOVD $0, R0
	MOVD $94, R8              // exit_group
	SVC
	B    leave

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
