#include "go_asm.h"
#include "textflag.h"

// Registers: R19 the arena's header, R20 the record, R21 the result.
// The kernel clobbers R0 only.

// The loop. It is entered in two ways: by a child that was just cloned, with
// R19 set; and by the kernel as the entry point of the stub, when all
// registers are zero and the stack holds argc and argv. It uses no stack and
// no address outside itself (and no constant that would need a literal pool),
// so that its bytes run anywhere.
TEXT loop<>(SB), NOSPLIT|NOFRAME, $0-0
	CBNZ R19, born

	// The stub: argv[1] is one number, which says where the arena is.
	MOVD 0(RSP), R0
	CMP  $2, R0
	BNE  quit
	MOVD 16(RSP), R1
	MOVD $0, R2

digit:
	MOVBU (R1), R0
	CBZ   R0, map
	AND   $15, R0, R0
	LSL   $4, R2, R2
	ORR   R0, R2, R2
	ADD   $1, R1, R1
	B     digit

map:
	LSR  $40, R2, R4           // the descriptor
	LSR  $27, R2, R1
	AND  $0x1fff, R1, R1
	LSL  $12, R1, R1           // the length
	AND  $0x7ffffff, R2, R0
	LSL  $12, R0, R0           // the address
	MOVD R0, R19
	MOVD R4, R21
	MOVD $3, R2                // PROT_READ|PROT_WRITE
	MOVD $0x100000, R3         // MAP_FIXED_NOREPLACE
	ORR  $1, R3, R3            // MAP_SHARED
	MOVD $0, R5
	MOVD $222, R8              // mmap
	SVC
	CMP  R0, R19
	BNE  quit
	MOVD R21, R0
	MOVD $57, R8               // close
	SVC
	MOVD header_resume(R19), R20
	MOVD $0, R0
	B    done

quit:
	MOVD $125, R0
	MOVD $94, R8               // exit_group
	SVC
	B    quit

born:
	MOVD header_start(R19), R20
	MOVD $0, R0

	// An op has ended: store its result and the time.
done:
	MOVD R0, record_result(R20)
	MOVD R0, R21
	MOVHU record_quiet(R20), R0
	CBNZ R0, silent
	MOVD header_clock(R19), R0
	CBNZ R0, slow
	ISB  $15
	MRS  CNTVCT_EL0, R0

stamped:
	MOVD R0, record_stamp(R20)
	MOVD R0, header_last(R19)
	CMN  $4095, R21
	BCS  failed                // -4095 … -1, as unsigned numbers
	CBZ  R21, zero
	ADD  $record__size, R20, R20

	// The next op: its arguments, some of which are addresses of words.
next:
	MOVW  record_call(R20), R8
	MOVHU record_indirect(R20), R9
	MOVD  (record_args+0)(R20), R0
	MOVD  (record_args+8)(R20), R1
	MOVD  (record_args+16)(R20), R2
	MOVD  (record_args+24)(R20), R3
	MOVD  (record_args+32)(R20), R4
	MOVD  (record_args+40)(R20), R5
	CBNZ  R9, indirect

call:
	TBNZ $63, R8, control
	SVC
	B    done

indirect:
	TBZ  $0, R9, second
	MOVD (R0), R0

second:
	TBZ  $1, R9, third
	MOVD (R1), R1

third:
	TBZ  $2, R9, fourth
	MOVD (R2), R2

fourth:
	TBZ  $3, R9, fifth
	MOVD (R3), R3

fifth:
	TBZ  $4, R9, sixth
	MOVD (R4), R4

sixth:
	TBZ  $5, R9, call
	MOVD (R5), R5
	B    call

zero:
	MOVH record_zero(R20), R0
	B    skip

	// An errno that the op accepts passes over some ops, or goes back.
failed:
	NEG   R21, R21
	MOVHU (record_accept+0)(R20), R0
	CMP   R0, R21
	BEQ   accepted
	MOVHU (record_accept+2)(R20), R0
	CMP   R0, R21
	BEQ   accepted
	MOVHU (record_accept+4)(R20), R0
	CMP   R0, R21
	BEQ   accepted
	MOVHU (record_accept+6)(R20), R0
	CMP   R0, R21
	BEQ   accepted
	MOVD  R20, header_failed(R19)
	B     quit

accepted:
	MOVH record_skip(R20), R0

skip:
	ADD  $1, R0, R0
	MOVD $record__size, R1
	MADD R1, R20, R0, R20      // R20 += R0 * R1
	B    next

slow:
	MOVD $1, R0                // CLOCK_MONOTONIC
	ADD  $header_scratch, R19, R1
	MOVD $113, R8              // clock_gettime
	SVC
	MOVD header_scratch(R19), R0
	MOVZ $(0x3b9a<<16), R1
	MOVK $0xca00, R1           // 1e9
	MUL  R1, R0, R0
	MOVD (header_scratch+8)(R19), R1
	ADD  R1, R0, R0
	B    stamped

	// Behind a seccomp filter: the last stamp says the time.
silent:
	MOVD header_last(R19), R0
	B    stamped

control:
	CMP $const_callTell, R8
	BEQ tell
	CMP $const_callAgain, R8
	BEQ again
	CMP $const_callWatch, R8
	BEQ watch
	MOVD R0, R22
	MOVD R3, R23

	// Wait until the word at R22 is at least R5.
wait:
	LDARW (R22), R2
	MOVD  $0, R0
	CMPW  R5, R2
	BHS   done
	MOVD  R22, R0
	MOVD  $0, R1               // FUTEX_WAIT
	MOVD  R23, R3
	MOVD  $98, R8              // futex
	SVC
	CMN   $110, R0             // ETIMEDOUT: is the launcher there?
	BNE   wait
	ADD   $header_parent, R19, R0
	MOVD  $1, R1
	ADD   $header_zero, R19, R2
	MOVD  $0, R3
	MOVD  $73, R8              // ppoll
	SVC
	CBNZ  R0, quit             // its end is readable, or there is no such descriptor
	B     wait

tell:
	STLRW R5, (R0)
	MOVD  $98, R8              // futex(R0, FUTEX_WAKE, R2)
	SVC
	B     done

again:
	MOVD R5, R8                // clone3, or clone
	SVC
	CMP  $0, R0
	BLE  done                  // the second child, or an error
	MOVD $0, R0
	MOVD $94, R8
	SVC
	B    quit

watch:
	MOVD $178, R8              // gettid
	SVC
	ORR  $0x80000000, R0, R0   // FUTEX_WAITERS
	MOVW R0, header_life(R19)
	ADD  $header_robust, R19, R0
	MOVD $24, R1
	MOVD $99, R8               // set_robust_list
	SVC
	B    done

	// The mark behind the loop: "ISOPERF\0".
	WORD $0x504f5349
	WORD $0x00465245

// func loopEntry() uintptr
TEXT ·loopEntry(SB), NOSPLIT, $0-8
	MOVD $loop<>(SB), R0
	MOVD R0, ret+0(FP)
	RET

// func counter() uint64
TEXT ·counter(SB), NOSPLIT, $0-8
	ISB  $15
	MRS  CNTVCT_EL0, R0
	MOVD R0, ret+0(FP)
	RET

// stamp returns the time in R0. R19 is the header.
TEXT stamp<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVD header_clock(R19), R0
	CBNZ R0, slow
	ISB  $15
	MRS  CNTVCT_EL0, R0
	RET

slow:
	MOVD $1, R0
	ADD  $header_scratch2, R19, R1
	MOVD $113, R8
	SVC
	MOVD header_scratch2(R19), R0
	MOVZ $(0x3b9a<<16), R1
	MOVK $0xca00, R1
	MUL  R1, R0, R0
	MOVD (header_scratch2+8)(R19), R1
	ADD  R1, R0, R0
	RET

// func launch(h uintptr)
TEXT ·launch(SB), NOSPLIT, $0-8
	MOVD h+0(FP), R19
	MOVD $2, R0                // SIG_SETMASK
	ADD  $header_fullMask, R19, R1
	ADD  $header_oldMask, R19, R2
	MOVD $8, R3
	MOVD $135, R8              // rt_sigprocmask
	SVC
	BL   stamp<>(SB)
	MOVD R0, header_entered(R19)
	ADD  $header_clone, R19, R0
	MOVD $cloneArgs__size, R1
	MOVD $435, R8              // clone3
	SVC
	CBZ  R0, child
	MOVD R0, header_cloned(R19)
	TBNZ $63, R0, unmask
	BL   stamp<>(SB)
	MOVD R0, header_returned(R19)
	MOVD header_reap(R19), R0
	CBZ  R0, unmask

reap:
	MOVD $3, R0                // P_PIDFD
	MOVW header_pidfd(R19), R1
	ADD  $header_info, R19, R2
	MOVZ $(0x4000<<16), R3
	ORR  $4, R3, R3            // WEXITED|__WALL
	MOVD header_usage(R19), R4
	MOVD $95, R8               // waitid
	SVC
	CMN  $4, R0                // EINTR
	BEQ  reap
	MOVD R0, header_reaped(R19)
	BL   stamp<>(SB)
	MOVD R0, header_ended(R19)

unmask:
	MOVD $2, R0
	ADD  $header_oldMask, R19, R1
	MOVD $0, R2
	MOVD $8, R3
	MOVD $135, R8
	SVC
	RET

child:
	B loop<>(SB)
