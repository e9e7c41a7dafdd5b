#include "textflag.h"

// func getrlimit(resource uintptr, old unsafe.Pointer) int64
// prlimit64(0, resource, NULL, old)
TEXT ·getrlimit(SB), NOSPLIT, $0-24
	MOVD $0, R0
	MOVD resource+0(FP), R1
	MOVD $0, R2
	MOVD old+8(FP), R3
	MOVD $261, R8
	SVC
	MOVD R0, ret+16(FP)
	RET
