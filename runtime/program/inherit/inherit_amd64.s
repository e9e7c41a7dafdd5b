#include "go_asm.h"
#include "textflag.h"
#include "funcdata.h"

#define LARGE 0x200000

// How much of the data, which begins at BX, the file has; the rest is zero.
#define FILED(reg) \
	LEAQ runtime·edata(SB), reg \
	SUBQ BX, reg

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
// The stack holds argc and argv, which the runtime reads: nothing is pushed. The
// record of the birth is made below it, in a page that nobody has touched (R12), and is
// copied to its place at the end. After the clone registers keep what there is to
// note: the first write to a page is a fault then.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0-0
	MOVL $1, DI               // CLOCK_MONOTONIC
	LEAQ -32(SP), SI
	MOVL $228, AX             // clock_gettime
	SYSCALL
	LEAQ -4096(SP), R12
	ANDQ $~4095, R12
	MOVQ R12, DI
	MOVL $(birth__size/8), CX
	XORL AX, AX
	REP
	STOSQ
	MOVL $1, DI
	LEAQ -48(SP), SI
	MOVL $228, AX
	SYSCALL
	MOVQ -32(SP), AX
	MOVQ AX, birth_at(R12)
	MOVQ -24(SP), CX
	MOVQ CX, (birth_at+8)(R12)
	SUBQ -48(SP), AX
	IMULQ $-1000000000, AX
	ADDQ -40(SP), AX
	SUBQ CX, AX
	MOVQ AX, birth_fault(R12)

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

	XORL DI, DI
	MOVL $7, SI               // RLIMIT_NOFILE
	XORL DX, DX
	LEAQ birth_soft(R12), R10
	MOVL $302, AX             // prlimit64
	SYSCALL
	MOVQ $3, birth_few(R12)
	MOVQ birth_hard(R12), AX
	MOVQ AX, (birth_few+8)(R12)

	// The CPU that this runs on, and the others.
	XORL DI, DI
	MOVL $1024, SI
	LEAQ birth_mask(R12), DX
	MOVL $204, AX             // sched_getaffinity
	SYSCALL
	MOVQ AX, birth_masked(R12)
	LEAQ birth_cpu(R12), DI
	XORL SI, SI
	XORL DX, DX
	MOVL $309, AX             // getcpu
	SYSCALL
	MOVQ birth_cpu(R12), BX
	MOVQ BX, CX
	SHRQ $6, CX
	ANDQ $63, BX
	BTSQ BX, birth_one(R12)(CX*8)
	XORL R14, R14             // the maker; 0: none
	MOVQ birth_fault(R12), AX
	CMPQ AX, ·slow(SB)
	JGE  pin
	MOVQ 0(SP), CX            // argc
	LEAQ 16(SP), BX           // argv[1]

argument:
	DECQ CX
	JLE  pin
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
	JLT  pin
	INCQ DI
	CMPQ DI, $3
	JLT  open

	// Memory to share, and a process on another CPU.
	XORL DI, DI
	MOVL $spare__size, SI
	MOVL $3, DX               // PROT_READ|PROT_WRITE
	MOVL $0x21, R10           // MAP_SHARED|MAP_ANONYMOUS
	MOVQ $-1, R8
	XORL R9, R9
	MOVL $9, AX               // mmap
	SYSCALL
	CMPQ AX, $-4095
	JCC  pin
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
	JLT  pin
	MOVQ AX, R14

	// The maker is mostly put behind this process, on the same CPU, and takes its
	// turn soon: move it to the others, at once. Where there are none, the kernel
	// refuses.
	MOVQ birth_cpu(R12), BX
	MOVQ BX, CX
	SHRQ $6, CX
	LEAQ birth_mask(R12)(CX*8), R15
	ANDQ $63, BX
	BTRQ BX, (R15)
	MOVQ R14, DI
	MOVQ birth_masked(R12), SI
	LEAQ birth_mask(R12), DX
	MOVL $203, AX             // sched_setaffinity
	SYSCALL
	BTSQ BX, (R15)

pin:
	MOVQ birth_masked(R12), SI
	TESTQ SI, SI
	JLE  files
	XORL DI, DI
	LEAQ birth_one(R12), DX
	MOVL $203, AX             // sched_setaffinity
	SYSCALL

files:
	XORL DI, DI
	MOVL $7, SI               // RLIMIT_NOFILE
	LEAQ birth_few(R12), DX
	XORL R10, R10
	MOVL $302, AX             // prlimit64
	SYSCALL
	XORL R15, R15             // whether the limit was set
	TESTQ AX, AX
	SETEQ R15

	// Where a fault takes long, data in one large page: it is moved away, and copied
	// into the new page.
	MOVQ birth_fault(R12), AX
	CMPQ AX, ·slow(SB)
	JLT  record
	LEAQ runtime·noptrdata(SB), BX
	ANDQ $~(LARGE-1), BX      // where data begins
	LEAQ runtime·erodata(SB), AX
	CMPQ AX, BX
	JHI  record               // what is read only is in the same page
	LEAQ runtime·end(SB), AX
	LEAQ LARGE(BX), CX
	CMPQ AX, CX
	JHI  record               // it is too small
	LEAQ (32*LARGE)(BX), R13  // beyond where the kernel puts the break
	MOVQ BX, DI
	FILED(SI)
	MOVQ SI, DX
	MOVL $3, R10              // MREMAP_MAYMOVE|MREMAP_FIXED
	MOVQ R13, R8
	MOVL $25, AX              // mremap
	SYSCALL
	CMPQ AX, R13
	JNE  record
	MOVQ BX, DI
	MOVL $LARGE, SI
	MOVL $3, DX               // PROT_READ|PROT_WRITE
	MOVL $0x32, R10           // MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS
	MOVQ $-1, R8
	XORL R9, R9
	MOVL $9, AX               // mmap
	SYSCALL
	CMPQ AX, BX
	JNE  back
	MOVQ BX, DI
	MOVL $LARGE, SI
	MOVL $14, DX              // MADV_HUGEPAGE
	MOVL $28, AX              // madvise
	SYSCALL
	MOVQ R13, SI
	MOVQ BX, DI
	FILED(CX)
	REP
	MOVSB
	MOVQ R13, DI
	FILED(SI)
	MOVL $11, AX              // munmap
	SYSCALL
	LEAQ runtime·end+4095(SB), AX
	ANDQ $~4095, AX
	MOVQ AX, ·pool(SB)
	MOVQ AX, ·poolStart(SB)
	ADDQ $LARGE, BX
	MOVQ BX, ·poolEnd(SB)
	LEAQ ·mapping(SB), AX
	MOVQ AX, _cgo_mmap(SB)

	// The kernel's clock in memory, away from the auxiliary vector.
	MOVQ 0(SP), CX            // argc
	LEAQ 16(SP)(CX*8), BX     // beyond argv

environment:
	ADDQ $8, BX
	CMPQ -8(BX), $0
	JNE  environment

auxiliary:
	MOVQ (BX), AX
	TESTQ AX, AX              // AT_NULL
	JEQ  record
	ADDQ $16, BX
	CMPQ AX, $33              // AT_SYSINFO_EHDR
	JNE  auxiliary
	MOVQ $1, -16(BX)          // AT_IGNORE

record:
	MOVQ R12, SI
	LEAQ ·born(SB), DI
	MOVL $(birth__size/8), CX
	REP
	MOVSQ
	LEAQ ·born(SB), DI
	MOVQ R14, birth_maker(DI)
	MOVQ R15, birth_limited(DI)
	MOVQ 0(SP), CX            // argc
	LEAQ 16(SP)(CX*8), AX     // beyond argv
	MOVQ AX, birth_environ(DI)
	MOVQ ·profiled(SB), AX
	MOVQ $0, (AX)
	JMP  _rt0_amd64_linux(SB)

	// There is no memory for it.
back:
	MOVQ R13, DI
	FILED(SI)
	MOVQ SI, DX
	MOVL $3, R10
	MOVQ BX, R8
	MOVL $25, AX              // mremap
	SYSCALL
	JMP  record

	// The other process. R13 is the shared memory.
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
	JLT  ahead
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

	// What the launcher reads next. BX is one of the texts, R15 its place, R8 how much
	// of it is there.
ahead:
	LEAQ ·texts(SB), BX

text:
	MOVQ text_name(BX), DI
	TESTQ DI, DI
	JEQ  finished
	MOVQ text_at(BX), R15
	ADDQ R13, R15
	XORL R8, R8
	CMPQ text_link(BX), $0
	JNE  link
	MOVL $0x80000, SI         // O_RDONLY|O_CLOEXEC
	MOVL $2, AX               // open
	SYSCALL
	TESTQ AX, AX
	JLT  next
	MOVQ AX, R14

read:
	MOVQ R14, DI
	LEAQ 8(R15)(R8*1), SI
	MOVQ text_room(BX), DX
	SUBQ R8, DX
	JEQ  shut                 // there may be more
	XORL AX, AX               // read
	SYSCALL
	TESTQ AX, AX
	JLT  shut
	JEQ  whole
	ADDQ AX, R8
	JMP  read

whole:
	MOVQ R8, (R15)

shut:
	MOVQ R14, DI
	MOVL $3, AX               // close
	SYSCALL

next:
	ADDQ $text__size, BX
	JMP  text

link:
	LEAQ 8(R15), SI
	MOVQ text_room(BX), DX
	MOVL $89, AX              // readlink
	SYSCALL
	TESTQ AX, AX
	JLT  next
	CMPQ AX, text_room(BX)
	JEQ  next
	MOVQ AX, (R15)
	JMP  next

finished:
	MOVQ $1, spare_done(R13)

leave:
	XORL DI, DI
	MOVL $231, AX             // exit_group
	SYSCALL
	JMP  leave

// func mapping()
// The runtime's mmap, by the calling convention of C. The kernel keeps all
// registers but AX, CX and R11.
TEXT ·mapping(SB), NOSPLIT|NOFRAME, $0-0
	CMPL CX, $0x22            // MAP_PRIVATE|MAP_ANONYMOUS
	JNE  fixed
	TESTQ DI, DI
	JNE  map                  // it is to be at a certain place
	CMPQ SI, $0x40000
	JHI  map
	LEAQ 4095(SI), R10
	ANDQ $~4095, R10
	MOVQ R10, AX
	LOCK
	XADDQ AX, ·pool(SB)
	ADDQ AX, R10
	CMPQ R10, ·poolEnd(SB)
	JHI  map
	RET

fixed:
	CMPL CX, $0x32            // MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS
	JNE  map
	CMPQ DI, ·poolStart(SB)
	JCS  map
	CMPQ DI, ·poolEnd(SB)
	JCC  map
	MOVQ DI, AX               // it is readable, writable and zero
	RET

map:
	MOVLQZX CX, R10
	CMPL CX, $0x32
	JNE  call
	CMPQ SI, $4096
	JNE  call
	ORL  $0x8000, R10         // MAP_POPULATE: one page of an index, which is written next

call:
	MOVLQSX R8, R8
	MOVL $9, AX               // mmap
	SYSCALL
	CMPQ AX, $-4095
	JCC  failed
	CMPL DX, $3               // PROT_READ|PROT_WRITE
	JNE  mapped
	CMPL R10, $0x32
	JNE  mapped
	CMPQ SI, $LARGE
	JCS  mapped
	MOVQ AX, R9
	MOVQ AX, DI
	MOVL $14, DX              // MADV_HUGEPAGE
	MOVL $28, AX              // madvise
	SYSCALL
	MOVQ R9, AX

mapped:
	RET

failed:
	NEGQ AX
	RET

// How long the first touch of a page takes where it is slow, nanoseconds. Elsewhere it
// is 300 to 2,000. It is here, and not a variable, since data is not there yet.
DATA ·slow+0(SB)/8, $6000
GLOBL ·slow(SB), RODATA|NOPTR, $8

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
