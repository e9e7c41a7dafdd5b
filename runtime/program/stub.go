package program

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

const enterStub = "enter stub"

// stubFile is the stub in a sealed memfd.
type stubFile struct{ fd int }

// sealed is made once in a process.
var sealed struct {
	sync.Once
	file stubFile
	err  error
}

func sealedStub(mode Mode) (*stubFile, error) {
	if mode != Stub {
		return nil, nil
	}
	sealed.Do(func() { sealed.file.fd, sealed.err = sealStub(StubELF()) })
	return &sealed.file, sealed.err
}

// sealStub writes the stub into a memfd that nobody can change any more.
func sealStub(elf []byte) (int, error) {
	const mfdExec = 0x10 // Linux 6.3; before, every memfd was executable
	fd, err := unix.MemfdCreate("isoperf-stub", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|mfdExec)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("isoperf-stub", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return -1, fmt.Errorf("create the stub's memfd: %w (see vm.memfd_noexec)", err)
	}
	if _, err = unix.Write(fd, elf); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS,
			unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("write and seal the stub: %w", err)
	}
	return fd, nil
}

// enter appends the ops that take the child into the stub. The descriptors of
// the arena, the launcher and those that ops need survive this execve, and
// only this one. Which arena it is, settle says.
func (s *stubFile) enter(ops []Op, kept []int) []Op {
	ops = append(ops, setCloexec(-1, false).called("fcntl(arena, F_SETFD, 0)"), setCloexec(parentFd(), false).called("fcntl(launcher, F_SETFD, 0)"))
	for _, fd := range kept {
		ops = append(ops, setCloexec(fd, false))
	}
	argv := Words(String(initName), String("0123456789abcdef"), Int(0))
	ops = append(ops, Op{
		Name: enterStub, Call: sysExecveat, Text: `execveat(stub, "", …, AT_EMPTY_PATH): the rest runs in the stub`,
		Args: [6]Arg{Int(s.fd), String(""), argv, Words(Int(0)), Int(unix.AT_EMPTY_PATH)},
	})
	ops = append(ops, setCloexec(parentFd(), true).called("fcntl(launcher, F_SETFD, FD_CLOEXEC)"))
	for _, fd := range kept {
		ops = append(ops, setCloexec(fd, true))
	}
	return ops
}

// settle tells the ops of enter which arena it is. Its size must be known
// before there is one, so the ops are made first.
func (a arena) settle(ops []Op) {
	ops[0].Args[0] = Int(a.fd)
	for i := range ops {
		if ops[i].Name != enterStub {
			continue
		}
		// One number: descriptor, pages, address; hexadecimal digits from the
		// row of characters that begins with '0'.
		var code [16]byte
		n := uint64(a.fd)<<40 | uint64(a.size>>12)<<27 | uint64(a.addr>>12)
		for digit := range 16 {
			code[digit] = '0' + byte(n>>(60-4*digit))&15
		}
		ops[i].Args[2].data.words[1].data.text = string(code[:])
		return
	}
}

// loopCode is the machine code of the loop: everything from its entry to the
// mark behind it. It has no relocations.
func loopCode() []byte {
	const most = 4096
	text := unsafe.Slice(at[byte](loopEntry()), most)
	end := bytes.Index(text, []byte("ISOPERF\x00"))
	if end < 0 {
		return nil
	}
	return text[:end:end]
}

// StubELF is the stub: a static ELF whose text is the loop. It has no data,
// no sections and no interpreter, and does nothing when it is executed
// without an arena.
func StubELF() []byte {
	const (
		vaddr  = arenaBase // beside the arenas it shares their page tables
		header = 64 + 2*56
	)
	code := loopCode()
	machine := uint16(62) // EM_X86_64
	if runtime.GOARCH == "arm64" {
		machine = 183 // EM_AARCH64
	}
	size := uint64(header + len(code))
	b := make([]byte, 0, size)
	half := func(n uint16) { b = binary.LittleEndian.AppendUint16(b, n) }
	word := func(n uint32) { b = binary.LittleEndian.AppendUint32(b, n) }
	long := func(list ...uint64) {
		for _, n := range list {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
	}
	b = append(b, 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	half(2)
	half(machine)
	word(1)
	long(vaddr+header, 64, 0)
	word(0)
	for _, n := range []uint16{64, 56, 2, 0, 0, 0} {
		half(n)
	}
	word(1) // PT_LOAD
	word(5) // r-x
	long(0, vaddr, vaddr, size, size, 0x10000)
	word(0x6474e551) // PT_GNU_STACK
	word(6)          // rw-
	long(0, 0, 0, 0, 0, 16)
	return append(b, code...)
}
