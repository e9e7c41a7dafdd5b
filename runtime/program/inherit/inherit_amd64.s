#include "textflag.h"

// func getrlimit(resource uintptr, old unsafe.Pointer) int64
// prlimit64(0, resource, NULL, old)
TEXT ·getrlimit(SB), NOSPLIT, $0-24
	XORL DI, DI
	MOVQ resource+0(FP), SI
	XORL DX, DX
	MOVQ old+8(FP), R10
	MOVL $302, AX
	SYSCALL
	MOVQ AX, ret+16(FP)
	RET
