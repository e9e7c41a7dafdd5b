package cgroup

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// instruction is one of eBPF (Documentation/bpf/standardization/instruction-set.rst).
type instruction struct {
	code uint8
	regs uint8 // source << 4 | destination
	off  int16
	imm  int32
}

// The few that the filter uses, all on 32 bits. Jumps on 32 bits came with
// Linux 5.1.
func loadField(dst uint8, off int16) instruction {
	return instruction{code: 0x61, regs: 1<<4 | dst, off: off} // from the context in r1
}
func andImm(dst uint8, imm int32) instruction { return instruction{code: 0x54, regs: dst, imm: imm} }
func shiftRight(dst uint8, imm int32) instruction {
	return instruction{code: 0x74, regs: dst, imm: imm}
}
func moveImm(dst uint8, imm int32) instruction { return instruction{code: 0xb4, regs: dst, imm: imm} }
func moveReg(dst, src uint8) instruction       { return instruction{code: 0xbc, regs: src<<4 | dst} }
func jumpNotEqual(dst uint8, imm int32) instruction {
	return instruction{code: 0x56, regs: dst, imm: imm}
}
func jumpIfAny(dst uint8, imm int32, off int16) instruction {
	return instruction{code: 0x46, regs: dst, imm: imm, off: off}
}
func jump() instruction    { return instruction{code: 0x05} }
func endProg() instruction { return instruction{code: 0x95} }

// deviceProgram is the rules as a program of type BPF_PROG_TYPE_CGROUP_DEVICE:
// it returns 1 to allow an access and 0 for EPERM. The last rule that speaks of
// a device wins, so they are tried from the last to the first; each allowed kind
// of access is crossed off what was asked for, and when nothing is left the
// answer is yes.
func deviceProgram(rules []deviceRule) []instruction {
	const kind, access, major, minor = 2, 3, 4, 5 // registers
	p := []instruction{
		loadField(kind, 0), moveReg(access, kind), andImm(kind, 0xffff), shiftRight(access, 16),
		loadField(major, 4), loadField(minor, 8),
	}
	for i := len(rules) - 1; i >= 0; i-- {
		r, start := rules[i], len(p)
		if r.kind != 'a' {
			p = append(p, jumpNotEqual(kind, map[byte]int32{'b': 1, 'c': 2}[r.kind]))
		}
		if r.major >= 0 {
			p = append(p, jumpNotEqual(major, int32(r.major)))
		}
		if r.minor >= 0 {
			p = append(p, jumpNotEqual(minor, int32(r.minor)))
		}
		if r.allow {
			p = append(p, andImm(access, int32(accessAll&^r.access)), jumpNotEqual(access, 0), moveImm(0, 1), endProg())
		} else {
			p = append(p, jumpIfAny(access, int32(r.access), 1), jump(), moveImm(0, 0), endProg())
		}
		for j := start; j < len(p); j++ { // the jumps without a target go behind the rule
			if c := p[j].code; (c == 0x56 || c == 0x05) && p[j].off == 0 {
				p[j].off = int16(len(p) - j - 1)
			}
		}
		if r.everything() {
			break
		}
	}
	return append(p, moveImm(0, 0), endProg())
}

const (
	bpfProgLoad        = 5
	bpfProgAttach      = 8
	bpfProgByID        = 13
	bpfProgQuery       = 16 // Linux 4.16
	bpfTypeCgroup      = 15 // BPF_PROG_TYPE_CGROUP_DEVICE, Linux 4.15
	bpfAttachCgroup    = 6  // BPF_CGROUP_DEVICE
	bpfFlagAllowMulti  = 2  // the groups above keep theirs
	bpfFlagReplaceProg = 4  // Linux 5.6
)

// bpfLoad and bpfAttach are the parts of union bpf_attr that are used
// (bpf(2)).
type bpfLoad struct {
	kind, count    uint32
	code, license  uint64
	level, size    uint32
	log            uint64
	version, flags uint32
	name           [16]byte
}

type bpfAttach struct{ target, prog, kind, flags, replace uint32 }

type bpfQuery struct {
	target, kind, query, flags uint32
	ids                        uint64
	count                      uint32
	_                          uint32
}

// attachedDevices is a descriptor of the device program that a group has, which
// another process attached; -1: it has none. More than one cannot be replaced.
func attachedDevices(dir int) (int, error) {
	var ids [2]uint32
	query := bpfQuery{target: uint32(dir), kind: bpfAttachCgroup, ids: uint64(uintptr(unsafe.Pointer(&ids[0]))), count: uint32(len(ids))}
	_, _, errno := unix.Syscall(unix.SYS_BPF, bpfProgQuery, uintptr(unsafe.Pointer(&query)), unsafe.Sizeof(query))
	runtime.KeepAlive(&ids)
	switch {
	case errno == unix.ENOSPC || query.count > 1:
		return -1, fmt.Errorf("find the group's device rules: it has %d BPF programs, of others too; detach those", query.count)
	case errno != 0:
		return -1, fmt.Errorf("find the group's device rules: %w; it takes CAP_NET_ADMIN or CAP_SYS_ADMIN", errno)
	case query.count == 0:
		return -1, nil
	}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, bpfProgByID, uintptr(unsafe.Pointer(&ids[0])), 4)
	if errno != 0 {
		return -1, fmt.Errorf("open the group's BPF program %d: %w; it takes CAP_SYS_ADMIN", ids[0], errno)
	}
	unix.CloseOnExec(int(fd))
	return int(fd), nil
}

// attachDevices loads the rules' program and attaches it to the group of
// version 2 whose directory is open as dir. Old is the program that it takes the
// place of, or -1. The group keeps the program; the result is a descriptor of it.
func attachDevices(dir int, rules []deviceRule, old int) (int, error) {
	prog, err := loadDevices(rules)
	if err != nil {
		return -1, err
	}
	attach := bpfAttach{target: uint32(dir), prog: uint32(prog), kind: bpfAttachCgroup, flags: bpfFlagAllowMulti}
	if old >= 0 {
		attach.flags, attach.replace = attach.flags|bpfFlagReplaceProg, uint32(old)
	}
	if _, _, errno := unix.Syscall(unix.SYS_BPF, bpfProgAttach, uintptr(unsafe.Pointer(&attach)), unsafe.Sizeof(attach)); errno != 0 {
		unix.Close(prog)
		return -1, fmt.Errorf("attach the BPF program of %d device rules: %w; a group above may have one that cannot be shared", len(rules), errno)
	}
	return prog, nil
}

var bpfLicense = []byte("Apache-2.0\x00")

// loadDevices gives the rules' program to the kernel; the result is a descriptor
// of it. The kernel's verifier gives up with EAGAIN when a signal is pending
// (do_check, kernel/bpf/verifier.c), and Go sends its own threads signals; then
// it is given once more, and they wait meanwhile.
func loadDevices(rules []deviceRule) (int, error) {
	code := deviceProgram(rules) // on the heap, which does not move
	load := bpfLoad{
		kind: bpfTypeCgroup, count: uint32(len(code)),
		code: uint64(uintptr(unsafe.Pointer(&code[0]))), license: uint64(uintptr(unsafe.Pointer(&bpfLicense[0]))),
	}
	copy(load.name[:], "isoperf_devices")
	prog, errno := load.call()
	if errno == unix.EAGAIN { // a locked thread has Go make one more, so not before
		var err error
		if prog, errno, err = load.undisturbed(); err != nil {
			return -1, err
		}
	}
	runtime.KeepAlive(code)
	if errno != 0 {
		return -1, fmt.Errorf("load the BPF program of %d device rules: %w; it takes CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN, in the initial user namespace", len(rules), errno)
	}
	unix.CloseOnExec(int(prog))
	return int(prog), nil
}

func (l *bpfLoad) call() (prog uintptr, errno syscall.Errno) {
	prog, _, errno = unix.Syscall(unix.SYS_BPF, bpfProgLoad, uintptr(unsafe.Pointer(l)), unsafe.Sizeof(*l))
	return prog, errno
}

// undisturbed is call without signals.
func (l *bpfLoad) undisturbed() (prog uintptr, errno syscall.Errno, err error) {
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &before); err != nil {
		return 0, 0, fmt.Errorf("hold signals back: %w", err)
	}
	prog, errno = l.call()
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil); err != nil {
		return 0, 0, fmt.Errorf("let signals come again: %w", err)
	}
	return prog, errno, nil
}
