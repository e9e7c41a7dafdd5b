package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data, little-endian; see seccomp(2).
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16 // six of 8 bytes, the lower half first
)

// The instructions that are written.
const (
	opLoad = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opAnd  = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opJump = unix.BPF_JMP | unix.BPF_JA
	opTest = unix.BPF_JMP | unix.BPF_K // | BPF_JEQ, BPF_JGE, BPF_JGT
	opRet  = unix.BPF_RET | unix.BPF_K
)

// assembler writes a program from its end to its start, since BPF jumps only
// forward: where a jump leads is known when it is written. A place is an
// instruction's index from the end; each method returns the place at which
// execution has to begin.
type assembler struct {
	code []unix.SockFilter // the last instruction first
	rets []int             // the latest place of each return
}

func (a *assembler) emit(code uint16, jt, jf uint8, k uint32) int {
	a.code = append(a.code, unix.SockFilter{Code: code, Jt: jt, Jf: jf, K: k})
	return len(a.code) - 1
}

// ret is a place that returns the action; jump copies it when it is too far.
func (a *assembler) ret(action uint32) int {
	for _, place := range a.rets {
		if a.code[place].K == action {
			return place
		}
	}
	place := a.emit(opRet, 0, 0, action)
	a.rets = append(a.rets, place)
	return place
}

// reach is the place or, when a test that is written two instructions from
// now could not jump there, a copy or a jump that it can reach.
func (a *assembler) reach(place int) int {
	const near = 254
	if len(a.code)-place < near {
		return place
	}
	in := a.code[place]
	if in.Code != opRet {
		return a.emit(opJump, 0, 0, uint32(len(a.code)-place-1))
	}
	i := slices.IndexFunc(a.rets, func(latest int) bool { return a.code[latest].K == in.K })
	if len(a.code)-a.rets[i] >= near {
		a.rets[i] = a.emit(opRet, 0, 0, in.K)
	}
	return a.rets[i]
}

// jump tests the loaded word against k; test is BPF_JEQ, BPF_JGE or BPF_JGT.
func (a *assembler) jump(test uint16, k uint32, yes, no int) int {
	if yes == no {
		return yes
	}
	yes, no = a.reach(yes), a.reach(no)
	here := len(a.code)
	return a.emit(opTest|test, uint8(here-yes-1), uint8(here-no-1), k)
}

// follow makes a place the next instruction.
func (a *assembler) follow(place int) {
	if place != len(a.code)-1 {
		a.emit(opJump, 0, 0, uint32(len(a.code)-place-1))
	}
}

// load loads a word of seccomp_data and goes on at the place.
func (a *assembler) load(offset uint32, place int) int {
	a.follow(place)
	return a.emit(opLoad, 0, 0, offset)
}

// and masks the loaded word and goes on at the place.
func (a *assembler) and(mask uint32, place int) int {
	if mask == 1<<32-1 {
		return place
	}
	a.follow(place)
	return a.emit(opAnd, 0, 0, mask)
}
