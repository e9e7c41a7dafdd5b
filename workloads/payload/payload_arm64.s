#include "go_asm.h"
#include "textflag.h"

// Registers: R19 the buffer, R20 the end of what is in it, R21 what follows a
// write, R22 the kind of the section (look) or the exit status (weigh), R23
// the table, R24 the title's text, R25 a descriptor. The kernel clobbers R0
// only.

// The payload. The kernel enters it with argc and argv on the stack. What lies
// below the stack pointer is free: there is no signal handler and no call. It
// uses no address outside itself, except the table in front of it, and no
// constant that would need a literal pool.
TEXT payload<>(SB), NOSPLIT|NOFRAME, $0-0
entry:
	MOVD RSP, R19
	MOVD $1, R0                // CLOCK_MONOTONIC
	SUB  $16, R19, R1
	MOVD $113, R8              // clock_gettime
	SVC
	CBNZ R0, fail
	MOVD $const_thenExit, R21
	MOVD 0(R19), R0
	CMP  $1, R0
	BGT  argument

stamp:
	MOVD -16(R19), R0
	MOVZ $(0x3b9a<<16), R1
	MOVK $0xca00, R1           // 1e9
	MUL  R1, R0, R0
	MOVD -8(R19), R1
	ADD  R1, R0, R0
	SUB  $48, R19, R19
	MOVD R19, R20
	CMP  $const_thenReboot, R21
	BNE  hex
	MOVD $0x0a, R2
	MOVB R2, (R20)             // a console's line may have begun
	ADD  $1, R20, R20

	// Put R0 into the buffer, in hexadecimal, end the line, and write all.
hex:
	MOVD $16, R2

digit:
	ROR  $60, R0, R0
	AND  $15, R0, R1
	ADD  $0x30, R1, R1
	CMP  $0x39, R1
	BLE  decimal
	ADD  $0x27, R1, R1         // 'a' … 'f'

decimal:
	MOVB R1, (R20)
	ADD  $1, R20, R20
	SUB  $1, R2, R2
	CBNZ R2, digit

line:
	MOVD R19, R1

	// End the line and write from R1 on.
end:
	MOVD $0x0a, R2
	MOVB R2, (R20)
	ADD  $1, R20, R20

write:
	SUB  R1, R20, R2
	CBZ  R2, written
	MOVD $1, R0
	MOVD $64, R8               // write
	SVC
	CMP  $0, R0
	BLE  fail
	ADD  R0, R1, R1
	B    write

written:
	CMP  $const_thenExit, R21  // the first, so that a stamp ends soon
	BEQ  succeed
	CMP  $const_thenNext, R21
	BEQ  next
	CMP  $const_thenSection, R21
	BEQ  section
	CMP  $const_thenRead, R21
	BEQ  read
	CMP  $const_thenReboot, R21
	BEQ  reboot
	MOVD R22, R0               // thenStatus
	B    exit

succeed:
	MOVD $0, R0
	B    exit

unknown:
	MOVD $2, R0
	B    exit

fail:
	MOVD $1, R0

exit:
	MOVD $94, R8               // exit_group
	SVC
	B    exit

	// The first four characters of argv[1] say what is wanted.
argument:
	MOVD  16(R19), R1
	MOVWU (R1), R0
	MOVZ  $((const_wordLook>>16)<<16), R1
	MOVK  $(const_wordLook&0xffff), R1
	CMP   R0, R1
	BEQ   look
	MOVZ  $((const_wordWeigh>>16)<<16), R1
	MOVK  $(const_wordWeigh&0xffff), R1
	CMP   R0, R1
	BEQ   weigh
	MOVD  $const_thenReboot, R21
	MOVZ  $((const_wordReboot>>16)<<16), R1
	MOVK  $(const_wordReboot&0xffff), R1
	CMP   R0, R1
	BEQ   stamp
	B     unknown

	// The console may not have sent all yet: tcdrain, whatever it answers.
reboot:
	MOVD $1, R0
	MOVD $0x5409, R1           // TCSBRK
	MOVD $1, R2
	MOVD $29, R8               // ioctl
	SVC
	MOVZ $(0xfee1<<16), R0
	MOVK $0xdead, R0
	MOVZ $(0x2812<<16), R1
	MOVK $0x1969, R1
	MOVZ $(0x0123<<16), R2
	MOVK $0x4567, R2           // LINUX_REBOOT_CMD_RESTART
	MOVD $0, R3
	MOVD $142, R8              // reboot
	SVC
	B    fail

look:
	ADR entry, R23
	SUB $const_tableSize, R23, R23
	SUB $8192, R19, R19

	// The next row of the table: kind, call, argument, text.
next:
	MOVD  R19, R20
	MOVBU (R23), R22
	CBZ   R22, succeed
	MOVBU 1(R23), R8
	MOVBU 2(R23), R0
	ADD   $3, R23, R23
	MOVD  R23, R24

copy:
	MOVBU (R23), R2
	ADD   $1, R23, R23
	CBZ   R2, copied
	MOVB  R2, (R20)
	ADD   $1, R20, R20
	B     copy

copied:
	MOVD $const_thenSection, R21
	CMP  $const_kindCall, R22
	BNE  line
	MOVD $0, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	SVC
	MOVD $const_thenNext, R21
	B    hex

	// Below the title; R24 is its text, "== " and the path.
section:
	MOVD $const_thenNext, R21
	CMP  $const_kindTitle, R22
	BEQ  next
	CMP  $const_kindName, R22
	BEQ  name
	MOVD $-100, R0             // AT_FDCWD
	ADD  $3, R24, R1
	CMP  $const_kindLink, R22
	BEQ  link
	MOVD $0x80000, R2          // O_CLOEXEC
	MOVD $0, R3
	MOVD $56, R8               // openat
	SVC
	TBNZ $63, R0, refused
	MOVD R0, R25

read:
	MOVD R25, R0
	MOVD R19, R1
	MOVD $4096, R2
	MOVD $63, R8               // read
	SVC
	TBNZ $63, R0, refused
	CBZ  R0, close
	ADD  R0, R19, R20
	MOVD $const_thenRead, R21
	B    write

close:
	MOVD R25, R0
	MOVD $57, R8               // close
	SVC
	B    next

link:
	MOVD R19, R2
	MOVD $4096, R3
	MOVD $78, R8               // readlinkat
	SVC
	TBNZ $63, R0, refused
	ADD  R0, R19, R20
	B    line

name:
	MOVD R19, R0
	MOVD $160, R8              // uname
	SVC
	TBNZ $63, R0, refused
	ADD  $65, R19, R1          // nodename
	MOVD R1, R20

length:
	MOVBU (R20), R2
	CBZ   R2, end
	ADD   $1, R20, R20
	B     length

	// A section that cannot be had: '!' and the errno.
refused:
	MOVD $0x21, R1
	MOVB R1, (R19)
	ADD  $1, R19, R20
	MOVD $const_thenNext, R21
	NEG  R0, R0
	B    hex

weigh:
	MOVD 0(R19), R0
	CMP  $3, R0
	BLT  unknown
	MOVD $17, R0               // SIGCHLD
	MOVD $0, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	MOVD $220, R8              // clone
	SVC
	TBNZ $63, R0, fail
	CBZ  R0, child
	SUB  $256, R19, R19
	ADD  $160, R19, R1         // the status
	MOVD $0, R2
	MOVD R19, R3               // struct rusage
	MOVD $260, R8              // wait4
	SVC
	TBNZ $63, R0, fail
	MOVWU 160(R19), R22
	AND  $0x7f, R22, R2
	LSR  $8, R22, R22
	CBZ  R2, ended
	ADD  $128, R2, R22         // killed by this signal

ended:
	MOVD 32(R19), R0           // ru_maxrss
	MOVD R19, R20
	MOVD $const_thenStatus, R21
	B    hex

child:
	MOVD $1, R0                // PR_SET_PDEATHSIG
	MOVD $9, R1
	MOVD $167, R8              // prctl
	SVC
	MOVD $2, R0
	MOVD $1, R1
	MOVD $0, R2
	MOVD $24, R8               // dup3
	SVC
	TBNZ $63, R0, lost
	MOVD 24(R19), R0
	ADD  $24, R19, R1
	MOVD 0(R19), R2
	LSL  $3, R2, R2
	ADD  R19, R2, R2
	ADD  $16, R2, R2           // envp
	MOVD $221, R8              // execve
	SVC

lost:
	MOVD $127, R0
	B    exit

	// The mark behind the payload: "ISOPERF\0".
	WORD $0x504f5349
	WORD $0x00465245

// func text() string
TEXT ·text(SB), NOSPLIT, $0-16
	MOVD $payload<>(SB), R0
	MOVD R0, ret_base+0(FP)
	MOVD $2048, R0
	MOVD R0, ret_len+8(FP)
	RET
