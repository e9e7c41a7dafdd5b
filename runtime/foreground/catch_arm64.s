#include "textflag.h"

// The signal is in R0. The kernel keeps all registers across the handler, and
// returns from it by the vDSO's trampoline when there is no restorer; this one
// is for kernels that are asked to use it.
TEXT handler<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVB R0, -8(RSP)
	MOVW ·catchFd(SB), R0
	SUB  $8, RSP, R1
	MOVD $1, R2
	MOVD $64, R8              // write
	SVC
	RET  (R30)

TEXT restorer<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVD $139, R8             // rt_sigreturn
	SVC
	BRK

// func handlerEntry() uintptr
TEXT ·handlerEntry(SB), NOSPLIT, $0-8
	MOVD $handler<>(SB), R0
	MOVD R0, ret+0(FP)
	RET

// func restorerEntry() uintptr
TEXT ·restorerEntry(SB), NOSPLIT, $0-8
	MOVD $restorer<>(SB), R0
	MOVD R0, ret+0(FP)
	RET
