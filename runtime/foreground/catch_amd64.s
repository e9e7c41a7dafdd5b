#include "textflag.h"

// The signal is in DI. The kernel keeps all registers across the handler.
TEXT handler<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVB DI, -8(SP)
	MOVL ·catchFd(SB), DI
	LEAQ -8(SP), SI
	MOVL $1, DX
	MOVL $1, AX               // write
	SYSCALL
	RET

TEXT restorer<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVL $15, AX              // rt_sigreturn
	SYSCALL
	INT  $3

// func handlerEntry() uintptr
TEXT ·handlerEntry(SB), NOSPLIT, $0-8
	LEAQ handler<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func restorerEntry() uintptr
TEXT ·restorerEntry(SB), NOSPLIT, $0-8
	LEAQ restorer<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET
