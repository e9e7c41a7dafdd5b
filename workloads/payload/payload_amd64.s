#include "go_asm.h"
#include "textflag.h"

// Registers: R15 the buffer, R12 the end of what is in it, R14 what follows a
// write, R13 the kind of the section (look) or the exit status (weigh), BX the
// table. The kernel clobbers AX, CX and R11, and keeps all others.

// The payload. The kernel enters it with argc and argv on the stack. What lies
// below the stack pointer is free: there is no signal handler and no call. It
// uses no address outside itself, except the table in front of it.
TEXT payload<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ  SP, R15
	MOVL  $1, DI              // CLOCK_MONOTONIC
	LEAQ  -16(R15), SI
	MOVL  $228, AX            // clock_gettime
	SYSCALL
	TESTQ AX, AX
	JNE   fail
	MOVL  $const_thenExit, R14
	CMPQ  0(R15), $1
	JGT   argument

stamp:
	MOVQ  -16(R15), AX
	IMULQ $1000000000, AX
	ADDQ  -8(R15), AX
	SUBQ  $48, R15
	MOVQ  R15, R12
	CMPL  R14, $const_thenReboot
	JNE   hex
	MOVB  $0x0a, (R12)        // a console's line may have begun
	INCQ  R12

	// Put AX into the buffer, in hexadecimal, end the line, and write all.
hex:
	MOVL $16, CX

digit:
	ROLQ $4, AX
	MOVL AX, DX
	ANDL $15, DX
	ADDL $0x30, DX
	CMPL DX, $0x39
	JLE  decimal
	ADDL $0x27, DX            // 'a' … 'f'

decimal:
	MOVB DX, (R12)
	INCQ R12
	DECL CX
	JNZ  digit

line:
	MOVQ R15, SI

	// End the line and write from SI on.
end:
	MOVB $0x0a, (R12)
	INCQ R12

write:
	MOVQ  R12, DX
	SUBQ  SI, DX
	JEQ   written
	MOVL  $1, DI
	MOVL  $1, AX              // write
	SYSCALL
	TESTQ AX, AX
	JLE   fail
	ADDQ  AX, SI
	JMP   write

written:
	CMPL R14, $const_thenExit // the first, so that a stamp ends soon
	JEQ  succeed
	CMPL R14, $const_thenNext
	JEQ  next
	CMPL R14, $const_thenSection
	JEQ  section
	CMPL R14, $const_thenRead
	JEQ  read
	CMPL R14, $const_thenReboot
	JEQ  reboot
	MOVL R13, DI              // thenStatus
	JMP  exit

succeed:
	XORL DI, DI
	JMP  exit

unknown:
	MOVL $2, DI
	JMP  exit

fail:
	MOVL $1, DI

exit:
	MOVL $231, AX             // exit_group
	SYSCALL
	JMP  exit

	// The first four characters of argv[1] say what is wanted.
argument:
	MOVQ 16(R15), SI
	MOVL (SI), AX
	CMPL AX, $const_wordLook
	JEQ  look
	CMPL AX, $const_wordWeigh
	JEQ  weigh
	MOVL $const_thenReboot, R14
	CMPL AX, $const_wordReboot
	JEQ  stamp
	JMP  unknown

	// The console may not have sent all yet: tcdrain, whatever it answers.
reboot:
	MOVL $1, DI
	MOVL $0x5409, SI          // TCSBRK
	MOVL $1, DX
	MOVL $16, AX              // ioctl
	SYSCALL
	MOVL $0xfee1dead, DI
	MOVL $0x28121969, SI
	MOVL $0x01234567, DX      // LINUX_REBOOT_CMD_RESTART
	XORL R10, R10
	MOVL $169, AX             // reboot
	SYSCALL
	JMP  fail

look:
	LEAQ payload<>(SB), BX
	SUBQ $const_tableSize, BX
	SUBQ $8192, R15

	// The next row of the table: kind, call, argument, text.
next:
	MOVQ    R15, R12
	MOVBLZX (BX), R13
	TESTL   R13, R13
	JEQ     succeed
	MOVBLZX 1(BX), AX
	MOVBLZX 2(BX), DI
	ADDQ    $3, BX
	MOVQ    BX, R8

copy:
	MOVBLZX (BX), CX
	INCQ    BX
	TESTL   CX, CX
	JEQ     copied
	MOVB    CX, (R12)
	INCQ    R12
	JMP     copy

copied:
	MOVL $const_thenSection, R14
	CMPL R13, $const_kindCall
	JNE  line
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL
	MOVL $const_thenNext, R14
	JMP  hex

	// Below the title; R8 is its text, "== " and the path.
section:
	MOVL $const_thenNext, R14
	CMPL R13, $const_kindTitle
	JEQ  next
	CMPL R13, $const_kindName
	JEQ  name
	MOVQ $-100, DI            // AT_FDCWD
	LEAQ 3(R8), SI
	CMPL R13, $const_kindLink
	JEQ  link
	MOVL $0x80000, DX         // O_CLOEXEC
	XORL R10, R10
	MOVL $257, AX             // openat
	SYSCALL
	TESTQ AX, AX
	JLT  refused
	MOVQ AX, R9

read:
	MOVQ  R9, DI
	MOVQ  R15, SI
	MOVL  $4096, DX
	XORL  AX, AX              // read
	SYSCALL
	TESTQ AX, AX
	JLT   refused
	JEQ   close
	LEAQ  (R15)(AX*1), R12
	MOVL  $const_thenRead, R14
	JMP   write

close:
	MOVQ R9, DI
	MOVL $3, AX               // close
	SYSCALL
	JMP  next

link:
	MOVQ  R15, DX
	MOVL  $4096, R10
	MOVL  $267, AX            // readlinkat
	SYSCALL
	TESTQ AX, AX
	JLT   refused
	LEAQ  (R15)(AX*1), R12
	JMP   line

name:
	MOVQ  R15, DI
	MOVL  $63, AX             // uname
	SYSCALL
	TESTQ AX, AX
	JLT   refused
	LEAQ  65(R15), SI         // nodename
	MOVQ  SI, R12

length:
	CMPB (R12), $0
	JEQ  end
	INCQ R12
	JMP  length

	// A section that cannot be had: '!' and the errno.
refused:
	MOVB $0x21, (R15)
	LEAQ 1(R15), R12
	MOVL $const_thenNext, R14
	NEGQ AX
	JMP  hex

weigh:
	CMPQ 0(R15), $3
	JLT  unknown
	MOVL $17, DI              // SIGCHLD
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVL $56, AX              // clone
	SYSCALL
	TESTQ AX, AX
	JLT  fail
	JEQ  child
	MOVQ AX, DI
	SUBQ $256, R15
	LEAQ 160(R15), SI         // the status
	XORL DX, DX
	MOVQ R15, R10             // struct rusage
	MOVL $61, AX              // wait4
	SYSCALL
	TESTQ AX, AX
	JLT  fail
	MOVL 160(R15), R13
	MOVL R13, CX
	SHRL $8, R13
	ANDL $0x7f, CX
	JEQ  ended
	LEAL 128(CX), R13         // killed by this signal

ended:
	MOVQ 32(R15), AX          // ru_maxrss
	MOVQ R15, R12
	MOVL $const_thenStatus, R14
	JMP  hex

child:
	MOVL $1, DI               // PR_SET_PDEATHSIG
	MOVL $9, SI
	MOVL $157, AX             // prctl
	SYSCALL
	MOVL $2, DI
	MOVL $1, SI
	XORL DX, DX
	MOVL $292, AX             // dup3
	SYSCALL
	TESTQ AX, AX
	JLT  lost
	MOVQ 24(R15), DI
	LEAQ 24(R15), SI
	MOVQ 0(R15), DX
	LEAQ 16(R15)(DX*8), DX    // envp
	MOVL $59, AX              // execve
	SYSCALL

lost:
	MOVL $127, DI
	JMP  exit

	// The mark behind the payload: "ISOPERF\0".
	BYTE $0x49; BYTE $0x53; BYTE $0x4f; BYTE $0x50
	BYTE $0x45; BYTE $0x52; BYTE $0x46; BYTE $0x00

// func text() string
TEXT ·text(SB), NOSPLIT, $0-16
	LEAQ payload<>(SB), AX
	MOVQ AX, ret_base+0(FP)
	MOVQ $2048, ret_len+8(FP)
	RET
