package program

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// record is one op as the loop reads it, and its result. The loop's assembly
// uses these offsets through go_asm.h.
type record struct {
	call     int32
	indirect uint16 // bit i: argument i is the address of the word to pass
	skip     int16
	accept   [4]uint16 // 0: unused
	zero     int16
	quiet    uint16 // 1: no time stamp
	_        uint32
	args     [6]uint64
	result   int64
	stamp    uint64 // 0: the op did not run
}

// header is the start of an arena. The assembly uses these offsets.
type header struct {
	clock     uint64 // 0: the CPU's counter; 1: clock_gettime
	start     uint64 // the record whose completion is "born"
	resume    uint64 // the record of the stub's execveat
	failed    uint64 // the record that failed unaccepted; 0: none
	again     int32  // the second child, as the launcher sees it; the kernel writes it
	bond      uint32 // launcher to child: the last message it has seen
	forked    uint64 // the copy that Fork made; the kernel writes its first half
	robust    [3]uint64
	entry     uint64
	life      uint32 // thread id and FUTEX_WAITERS; FUTEX_OWNER_DIED after exec or exit
	tell      uint32 // child to launcher
	open      uint32 // launcher to child
	_         uint32
	parent    unix.PollFd
	zero      [2]uint64 // a timespec of zero
	scratch   [2]uint64 // the child's timespec
	clone     cloneArgs
	pidfd     int32
	_         int32
	oldMask   uint64
	fullMask  uint64
	reap      uint64 // 1: wait for the child in the same stretch
	cloned    int64  // what clone3 returned
	reaped    int64  // what waitid returned
	entered   uint64 // stamp: clone3 entered
	returned  uint64 // stamp: clone3 returned in the launcher
	ended     uint64 // stamp: waitid returned
	info      [128]byte
	rusage    unix.Rusage
	scratch2  [2]uint64 // the launcher's timespec
	stopAfter [2]uint64 // timespec: how often a waiting child looks at its parent
}

// cloneArgs is the kernel's struct clone_args; see clone3(2).
type cloneArgs struct {
	flags, pidfd, childTid, parentTid, exitSignal uint64
	stack, stackSize, tls, setTid, setTidSize     uint64
	cgroup                                        uint64
}

const (
	headerSize = unsafe.Sizeof(header{})
	recordSize = unsafe.Sizeof(record{})
	stackSize  = 4096
)

// The fields that ops point to.
const (
	offsetTell      = unsafe.Offsetof(header{}.tell)
	offsetOpen      = unsafe.Offsetof(header{}.open)
	offsetStopAfter = unsafe.Offsetof(header{}.stopAfter)
	offsetOldMask   = unsafe.Offsetof(header{}.oldMask)
	offsetBond      = unsafe.Offsetof(header{}.bond)
	offsetForked    = unsafe.Offsetof(header{}.forked)
	offsetAgain     = unsafe.Offsetof(header{}.again)
)

// Image is a program in an arena, ready to be started, any number of times,
// one at a time. It is not safe for concurrent use.
type Image struct {
	program *Program
	arena   arena
	ops     []Op // with those that the mode adds
	offsets map[*block]uintptr
	end     uintptr // of the data, from the arena's start
	anchor  anchor  // both clocks, read just before the last start
	born    bool    // a process of this image has not been reaped
}

// plan is the list of ops as it runs: the early ones, what the mode needs,
// then the program.
func (p *Program) plan(stub *stubFile) []Op {
	const most = 16 // that a mode adds
	ops := append(make([]Op, 0, len(p.ops)+most+2*len(p.kept)), p.ops[:p.early]...)
	if p.Mode == Stub {
		ops = stub.enter(ops, p.kept)
	} else {
		for _, fd := range p.kept {
			ops = append(ops, setCloexec(fd, strconv.Itoa(fd), true))
		}
	}
	if p.watched {
		ops = append(ops, watch(), setName())
	}
	return append(ops, p.ops[p.early:]...)
}

// extra is how many ops the mode adds, behind the early ones.
func (img *Image) extra() int { return len(img.ops) - len(img.program.ops) }

// index is the place of the program's op in the arena's records, of which the
// first stands for "born".
func (img *Image) index(r Ref) int {
	if int(r) < img.program.early {
		return int(r) + 1
	}
	return int(r) + 1 + img.extra()
}

// Load lays the program out in an arena.
func Load(p *Program) (*Image, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := setUp(); err != nil {
		return nil, err
	}
	stub, err := sealedStub(p.Mode)
	if err != nil {
		return nil, err
	}
	img := &Image{program: p, ops: p.plan(stub), offsets: make(map[*block]uintptr, 2*len(p.ops))}
	img.end = headerSize + uintptr(len(img.ops)+2)*recordSize
	if err := img.layout(img.ops); err != nil {
		return nil, err
	}
	size := img.end + stackSize
	if size > arenaMost {
		return nil, fmt.Errorf("load program: its ops and data take %d bytes, the most is %d", size-stackSize, uintptr(arenaMost)-stackSize)
	}
	a, err := newArena(size, p.Mode == Stub)
	if err != nil {
		return nil, err
	}
	img.arena = a
	if p.Mode == Stub {
		a.settle(img.ops[p.early:])
	}
	if a.used {
		clear(unsafe.Slice(at[byte](a.addr), a.size-stackSize))
	}
	img.write()
	return img, nil
}

// layout places every block of ops behind the header and the records. Beside the records of the ops there are two: the first is
// "born", the last ends the child when the program has not.
func (img *Image) layout(ops []Op) (err error) {
	var place func(op Op, b *block)
	place = func(op Op, b *block) {
		if _, ok := img.offsets[b]; ok || b == nil {
			return
		}
		img.offsets[b] = img.end
		img.end += (b.size() + 7) &^ 7
		if b.form == formString && strings.IndexByte(b.text, 0) >= 0 {
			err = fmt.Errorf("load op %q: the string %s contains a NUL", op.Name, b.show())
		}
		for _, w := range b.words {
			if k := w.kind(); k == argResult || k == argHeld {
				err = fmt.Errorf("load op %q: a vector cannot hold the result of an op", op.Name)
			}
			place(op, w.block())
		}
	}
	for _, op := range ops {
		for _, arg := range op.Args {
			place(op, arg.block())
		}
	}
	return err
}

// write fills the arena.
func (img *Image) write() {
	a, h := img.arena, img.arena.header()
	base := a.addr + headerSize // of records[0], which stands for "born"
	h.clock = clocks.source
	h.start = uint64(base)
	h.fullMask = ^uint64(0)
	h.entry = uint64(a.addr + unsafe.Offsetof(header{}.robust))
	h.robust[0] = uint64(a.addr + unsafe.Offsetof(header{}.entry))
	h.robust[1] = uint64(unsafe.Offsetof(header{}.life) - unsafe.Offsetof(header{}.entry))
	h.parent = unix.PollFd{Fd: int32(parentFd()), Events: unix.POLLIN}
	h.stopAfter[1] = 100e6
	h.clone = cloneArgs{
		flags:     img.program.cloneFlags(),
		pidfd:     uint64(a.addr + unsafe.Offsetof(header{}.pidfd)),
		stack:     uint64(a.addr + a.size - stackSize),
		stackSize: stackSize,
		cgroup:    uint64(img.program.Cgroup),
	}
	img.writeOps()
}

// writeOps writes the records, and what they point to.
func (img *Image) writeOps() {
	h, records := img.arena.header(), img.arena.records(len(img.ops)+2)
	base := img.arena.addr + headerSize
	quiet := uint16(0)
	for i := range img.ops {
		op, r := &img.ops[i], &records[i+1]
		*r = record{}
		if op.Call == unix.SYS_SECCOMP {
			quiet = 1 // a filter may forbid clock_gettime, and strict mode the counter
		}
		r.quiet = quiet
		if op.Name == enterStub {
			h.resume = uint64(base + uintptr(i+1)*recordSize)
		}
		r.call, r.skip, r.zero = int32(op.Call), int16(op.Skip), int16(op.Zero)
		for j, e := range op.Accept {
			r.accept[j] = uint16(e)
		}
		for j, arg := range op.Args {
			if k := arg.kind(); k == argResult || k == argHeld {
				r.indirect |= 1 << j
			}
			r.args[j] = img.word(arg)
			img.fill(arg.block())
		}
	}
	records[len(img.ops)+1] = record{call: unix.SYS_EXIT_GROUP}
}

// word is the argument as the loop reads it.
func (img *Image) word(arg Arg) uint64 {
	switch arg.kind() {
	case argData:
		return uint64(img.arena.addr + img.offsets[arg.data])
	case argResult:
		return uint64(img.arena.addr + headerSize + uintptr(img.index(Ref(arg.word)))*recordSize + unsafe.Offsetof(record{}.result))
	case argHeader, argHeld:
		return uint64(img.arena.addr + arg.word)
	}
	return uint64(arg.word)
}

// fill writes a block and what it points to.
func (img *Image) fill(b *block) {
	if b == nil {
		return
	}
	addr := img.arena.addr + img.offsets[b]
	switch b.form {
	case formString, formBytes:
		copy(unsafe.Slice(at[byte](addr), len(b.text)), b.text) // a NUL is behind it already
		return
	case formBuffer:
		return
	}
	words := unsafe.Slice(at[uint64](addr), len(b.words))
	for i, w := range b.words {
		words[i] = img.word(w)
		img.fill(w.block())
	}
}

// reset makes the arena ready for one more start.
func (img *Image) reset() {
	h := img.arena.header()
	records := img.arena.records(len(img.ops) + 1)
	for i := range records {
		records[i].stamp = 0
	}
	h.failed, h.again, h.bond, h.forked = 0, 0, 0, 0
	atomic.StoreUint32(&h.life, 0)
	atomic.StoreUint32(&h.tell, 0)
	atomic.StoreUint32(&h.open, 0)
	h.pidfd = -1
	h.entered, h.returned, h.ended = 0, 0, 0
}

// Close gives the arena back. A process that was started from the image must
// have been waited for.
func (img *Image) Close() {
	if img.born {
		// The child may still write there: the memory stays its own.
		return
	}
	if img.arena.size != 0 {
		img.arena.release()
		img.arena = arena{}
	}
}
