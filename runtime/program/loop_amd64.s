#include "go_asm.h"
#include "textflag.h"

// Registers: R12 the arena's header, BX the record, R13 the result.
// The kernel clobbers AX, CX and R11, and keeps all others.

// The loop. It is entered in two ways: by a child that was just cloned, with
// R12 set; and by the kernel as the entry point of the stub, when all
// registers are zero and the stack holds argc and argv. It uses no stack and
// no address outside itself, so that its bytes run anywhere.
TEXT loop<>(SB), NOSPLIT|NOFRAME, $0-0
	TESTQ R12, R12
	JNZ   born

	// The stub: argv[1] is one number, which says where the arena is.
	CMPQ 0(SP), $2
	JNE  quit
	MOVQ 16(SP), SI
	XORL DI, DI

digit:
	MOVBLZX (SI), AX
	TESTL   AX, AX
	JZ      map
	ANDL    $15, AX
	SHLQ    $4, DI
	ORQ     AX, DI
	INCQ    SI
	JMP     digit

map:
	MOVQ DI, R8
	SHRQ $40, R8              // the descriptor
	MOVQ DI, SI
	SHRQ $27, SI
	ANDL $0x1fff, SI
	SHLQ $12, SI              // the length
	ANDL $0x7ffffff, DI
	SHLQ $12, DI              // the address
	MOVQ DI, R12
	MOVQ R8, R13
	MOVL $3, DX               // PROT_READ|PROT_WRITE
	MOVL $0x100001, R10       // MAP_SHARED|MAP_FIXED_NOREPLACE
	XORL R9, R9
	MOVL $9, AX               // mmap
	SYSCALL
	CMPQ AX, R12
	JNE  quit
	MOVQ R13, DI
	MOVL $3, AX               // close
	SYSCALL
	MOVQ header_resume(R12), BX
	XORL AX, AX
	JMP  done

quit:
	MOVL $125, DI
	MOVL $231, AX             // exit_group
	SYSCALL
	JMP  quit

born:
	MOVQ header_start(R12), BX
	XORL AX, AX

	// An op has ended: store its result and the time.
done:
	MOVQ AX, record_result(BX)
	MOVQ AX, R13
	CMPW record_quiet(BX), $0
	JNE  silent
	CMPQ header_clock(R12), $0
	JNE  slow
	LFENCE
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX

stamped:
	MOVQ AX, record_stamp(BX)
	MOVQ AX, header_last(R12)
	CMPQ R13, $-4095
	JCC  failed               // -4095 … -1, as unsigned numbers
	TESTQ R13, R13
	JZ   zero
	ADDQ $record__size, BX

	// The next op: its arguments, some of which are addresses of words.
next:
	MOVLQSX record_call(BX), AX
	MOVWLZX record_indirect(BX), R13
	MOVQ    (record_args+0)(BX), DI
	MOVQ    (record_args+8)(BX), SI
	MOVQ    (record_args+16)(BX), DX
	MOVQ    (record_args+24)(BX), R10
	MOVQ    (record_args+32)(BX), R8
	MOVQ    (record_args+40)(BX), R9
	TESTL   R13, R13
	JNZ     indirect

call:
	TESTQ AX, AX
	JLT   control
	SYSCALL
	JMP   done

indirect:
	TESTL $1, R13
	JZ    second
	MOVQ  (DI), DI

second:
	TESTL $2, R13
	JZ    third
	MOVQ  (SI), SI

third:
	TESTL $4, R13
	JZ    fourth
	MOVQ  (DX), DX

fourth:
	TESTL $8, R13
	JZ    fifth
	MOVQ  (R10), R10

fifth:
	TESTL $16, R13
	JZ    sixth
	MOVQ  (R8), R8

sixth:
	TESTL $32, R13
	JZ    call
	MOVQ  (R9), R9
	JMP   call

zero:
	MOVWQSX record_zero(BX), AX
	JMP  skip

	// An errno that the op accepts passes over some ops, or goes back.
failed:
	NEGL R13
	CMPW record_accept(BX), R13
	JEQ  accepted
	CMPW (record_accept+2)(BX), R13
	JEQ  accepted
	CMPW (record_accept+4)(BX), R13
	JEQ  accepted
	CMPW (record_accept+6)(BX), R13
	JEQ  accepted
	MOVQ BX, header_failed(R12)
	JMP  quit

accepted:
	MOVWQSX record_skip(BX), AX

skip:
	INCQ    AX
	IMULQ   $record__size, AX
	ADDQ    AX, BX
	JMP     next

slow:
	MOVL  $1, DI              // CLOCK_MONOTONIC
	LEAQ  header_scratch(R12), SI
	MOVL  $228, AX            // clock_gettime
	SYSCALL
	MOVQ  header_scratch(R12), AX
	IMULQ $1000000000, AX
	ADDQ  (header_scratch+8)(R12), AX
	JMP   stamped

	// Behind a seccomp filter: the last stamp says the time.
silent:
	MOVQ header_last(R12), AX
	JMP  stamped

control:
	CMPL AX, $const_callTell
	JEQ  tell
	CMPL AX, $const_callAgain
	JEQ  again
	CMPL AX, $const_callWatch
	JEQ  watch

	// Wait until the word at DI is at least R9.
wait:
	MOVL (DI), DX
	XORL AX, AX
	CMPL DX, R9
	JCC  done
	MOVL $202, AX             // futex(DI, FUTEX_WAIT, DX, R10)
	SYSCALL
	CMPQ AX, $-110            // ETIMEDOUT: is the launcher there?
	JNE  wait
	MOVQ DI, R14
	LEAQ header_parent(R12), DI
	MOVL $1, SI
	XORL DX, DX
	MOVL $7, AX               // poll
	SYSCALL
	TESTQ AX, AX
	JNZ  quit                 // its end is readable, or there is no such descriptor
	MOVQ R14, DI
	XORL SI, SI
	JMP  wait

tell:
	MOVL R9, (DI)
	MOVL $202, AX             // futex(DI, FUTEX_WAKE, DX)
	SYSCALL
	JMP  done

again:
	MOVL  R9, AX              // clone3, or clone
	SYSCALL
	TESTQ AX, AX
	JLE   done                // the second child, or an error
	XORL  DI, DI
	MOVL  $231, AX
	SYSCALL
	JMP   quit

watch:
	MOVL $186, AX             // gettid
	SYSCALL
	ORL  $0x80000000, AX      // FUTEX_WAITERS
	MOVL AX, header_life(R12)
	LEAQ header_robust(R12), DI
	MOVL $24, SI
	MOVL $273, AX             // set_robust_list
	SYSCALL
	JMP  done

	// The mark behind the loop: "ISOPERF\0".
	BYTE $0x49; BYTE $0x53; BYTE $0x4f; BYTE $0x50
	BYTE $0x45; BYTE $0x52; BYTE $0x46; BYTE $0x00

// func loopEntry() uintptr
TEXT ·loopEntry(SB), NOSPLIT, $0-8
	LEAQ loop<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func counter() uint64
TEXT ·counter(SB), NOSPLIT, $0-8
	LFENCE
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ret+0(FP)
	RET

// stamp returns the time in AX. R12 is the header.
TEXT stamp<>(SB), NOSPLIT|NOFRAME, $0-0
	CMPQ  header_clock(R12), $0
	JNE   slow
	LFENCE
	RDTSC
	SHLQ  $32, DX
	ORQ   DX, AX
	RET

slow:
	MOVL  $1, DI
	LEAQ  header_scratch2(R12), SI
	MOVL  $228, AX
	SYSCALL
	MOVQ  header_scratch2(R12), AX
	IMULQ $1000000000, AX
	ADDQ  (header_scratch2+8)(R12), AX
	RET

// func launch(h uintptr)
TEXT ·launch(SB), NOSPLIT, $0-8
	MOVQ h+0(FP), R12
	MOVL $2, DI               // SIG_SETMASK
	LEAQ header_fullMask(R12), SI
	LEAQ header_oldMask(R12), DX
	MOVL $8, R10
	MOVL $14, AX              // rt_sigprocmask
	SYSCALL
	CALL stamp<>(SB)
	MOVQ AX, header_entered(R12)
	LEAQ header_clone(R12), DI
	MOVL $cloneArgs__size, SI
	MOVL $435, AX             // clone3
	SYSCALL
	TESTQ AX, AX
	JZ   child
	MOVQ AX, header_cloned(R12)
	JLT  unmask
	CALL stamp<>(SB)
	MOVQ AX, header_returned(R12)
	CMPQ header_reap(R12), $0
	JEQ  unmask

reap:
	MOVL $3, DI               // P_PIDFD
	MOVLQSX header_pidfd(R12), SI
	LEAQ header_info(R12), DX
	MOVL $0x40000004, R10     // WEXITED|__WALL
	MOVQ header_usage(R12), R8
	MOVL $247, AX             // waitid
	SYSCALL
	CMPQ AX, $-4              // EINTR
	JEQ  reap
	MOVQ AX, header_reaped(R12)
	CALL stamp<>(SB)
	MOVQ AX, header_ended(R12)

unmask:
	MOVL $2, DI
	LEAQ header_oldMask(R12), SI
	XORL DX, DX
	MOVL $8, R10
	MOVL $14, AX
	SYSCALL
	RET

child:
	JMP loop<>(SB)
