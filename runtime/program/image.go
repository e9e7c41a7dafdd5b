package program

import (
	"fmt"
	"iter"
	"strings"
	"sync"
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
	onward   uint32 // 1: an errno that is not accepted goes on with the next op
	args     [6]uint64
	result   int64
	stamp    uint64 // 0: the op did not run
}

// header is the start of an arena. The assembly uses these offsets.
type header struct {
	clock     uint64 // 0: the CPU's counter; 1: clock_gettime
	start     uint64 // the record whose completion is "born"
	resume    uint64 // the record of the stub's execveat
	last      uint64 // the last stamp
	failed    uint64 // the record that failed unaccepted; 0: none
	again     int32  // the second child, as the launcher sees it; the kernel writes it
	bond      uint32 // launcher to child: the last message it has seen
	forked    uint64 // the copy that Fork made; the kernel writes its first half
	robust    [3]uint64
	entry     uint64
	life      uint32 // thread id and FUTEX_WAITERS; FUTEX_OWNER_DIED after exec or exit
	tell      uint32 // child to launcher
	open      uint32 // launcher to child
	written   uint32 // launcher to child: 1: all ops are there
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
	usage     uint64 // of the same wait: the address of rusage, or 0
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
	offsetWritten   = unsafe.Offsetof(header{}.written)
	offsetStopAfter = unsafe.Offsetof(header{}.stopAfter)
	offsetOldMask   = unsafe.Offsetof(header{}.oldMask)
	offsetBond      = unsafe.Offsetof(header{}.bond)
	offsetForked    = unsafe.Offsetof(header{}.forked)
	offsetParent    = unsafe.Offsetof(header{}.parent)
	offsetAgain     = unsafe.Offsetof(header{}.again)
)

// Image is a program in an arena, ready to be started, any number of times,
// one at a time. It is not safe for concurrent use.
type Image struct {
	program *Program
	arena   arena
	ops     opList
	offsets offsets
	room    int     // for so many ops there are records
	end     uintptr // of the data, from the arena's start
	anchor  anchor  // both clocks, read just before the last start
	armed   Tell    // the last message that the death signal is armed, of the ops that are laid out
	partial bool    // more ops may come; see Begin
	late    bool    // the program's ops behind the early ones are written when there is a child, which waits for them
	written bool    // all are
	born    bool    // a process of this image has not been reaped
	limits  Limits
	cycle   sync.Mutex // of the two below
	running bool       // a cycle does, so its pidfd is open
	turn    int        // the number of the last cycle
}

// opList is the list of ops as it runs: the program's early ones, those that
// the mode adds, the rest of the program. Ops are large, so they stay where the
// program has them.
type opList struct{ early, mode, rest []Op }

func (l *opList) len() int { return len(l.early) + len(l.mode) + len(l.rest) }

func (l *opList) at(i int) *Op {
	for _, part := range [...][]Op{l.early, l.mode} {
		if i < len(part) {
			return &part[i]
		}
		i -= len(part)
	}
	return &l.rest[i]
}

// all are the ops in their order.
func (l *opList) all() iter.Seq2[int, *Op] { return l.from(0) }

// from are the ops from number first on.
func (l *opList) from(first int) iter.Seq2[int, *Op] {
	return func(yield func(int, *Op) bool) {
		for i := first; i < l.len(); i++ {
			if !yield(i, l.at(i)) {
				return
			}
		}
	}
}

// plan is the list of ops as it runs.
func (p *Program) plan(stub *stubFile) opList {
	const most = 17 // that a mode adds
	mode := make([]Op, 0, most+2*len(p.kept))
	if p.Mode == Stub {
		mode = stub.enter(mode, p.kept)
	} else {
		for _, fd := range p.kept {
			mode = append(mode, setCloexec(fd, true))
		}
	}
	if p.watched {
		mode = append(mode, watch(), setName())
	}
	return opList{early: p.ops[:p.early], mode: mode, rest: p.ops[p.early:]}
}

// extra is how many ops the mode adds, behind the early ones.
func (img *Image) extra() int { return len(img.ops.mode) }

// index is the place of the program's op in the arena's records, of which the
// first stands for "born".
func (img *Image) index(r Ref) int {
	if int(r) < img.program.early {
		return int(r) + 1
	}
	return int(r) + 1 + img.extra()
}

// Load lays the program out in an arena.
func Load(p *Program) (*Image, error) { return loadInto(p, 0, 0, false) }

// loadInto leaves room for more ops, in an arena of at least size bytes; 0: as many
// and as large as there are. Late is the image's.
func loadInto(p *Program, room int, size uintptr, late bool) (*Image, error) {
	if err := p.check(0); err != nil {
		return nil, err
	}
	if err := setUp(); err != nil {
		return nil, err
	}
	stub, err := sealedStub(p.Mode)
	if err != nil {
		return nil, err
	}
	img := &Image{program: p, ops: p.plan(stub), late: late}
	if late {
		img.ops.mode = append(img.ops.mode, awaitOps())
	}
	img.room, img.armed = max(room, img.ops.len()), p.armed
	img.offsets.grow(img.ops.len() / 2)
	img.end = headerSize + uintptr(img.room+2)*recordSize
	if err := img.layout(0); err != nil {
		return nil, err
	}
	if err := img.fits(arenaMost); err != nil {
		return nil, err
	}
	a, err := newArena(max(size, img.end+stackSize), p.Mode == Stub)
	if err != nil {
		return nil, err
	}
	if err := a.clear(); err != nil {
		a.release()
		return nil, err
	}
	img.arena = a
	if p.Mode == Stub {
		a.settle(img.ops.mode)
	}
	img.write()
	return img, nil
}

// fits says whether ops and data fit into an arena.
func (img *Image) fits(size uintptr) error {
	if img.end+stackSize > size {
		return fmt.Errorf("load program: its ops and data take %d bytes, the most is %d", img.end, size-stackSize)
	}
	return nil
}

// layout places every block of the ops from number from on behind what is placed
// already: the header and the records, at first. Beside the records of the ops there are two: the first is "born", the last
// ends the child when the program has not.
func (img *Image) layout(from int) (err error) {
	var place func(op *Op, b *block)
	place = func(op *Op, b *block) {
		if b == nil || !img.offsets.add(b, img.end) {
			return
		}
		img.end += (b.size() + 7) &^ 7
		if b.form == formString && strings.IndexByte(b.text, 0) >= 0 {
			err = fmt.Errorf("load op %q: the string %s contains a NUL", op.Name, b.show())
		}
		for _, w := range b.words {
			if k := w.kind(); k == argResult || k == argHeld || k == argPlace {
				err = fmt.Errorf("load op %q: a vector cannot hold the result of an op", op.Name)
			}
			place(op, w.block())
		}
	}
	for _, op := range img.ops.from(from) {
		for i := range op.Args {
			if op.Args[i].data != nil {
				place(op, op.Args[i].block())
			}
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
	first := img.ops.len()
	if img.written = !img.late; img.late {
		first -= len(img.ops.rest)
	}
	img.writeOps(0, first)
}

// writeOps writes the records of the ops from number from up to another, and what
// they point to.
func (img *Image) writeOps(from, to int) {
	h, records := img.arena.header(), img.arena.records(img.ops.len()+2)
	base := img.arena.addr + headerSize
	quiet := records[from].quiet // of the op before
	for i, op := range img.ops.from(from) {
		if i == to {
			break
		}
		r := &records[i+1]
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
		if op.Onward {
			r.onward = 1
		}
		for j := range op.Args {
			arg := &op.Args[j]
			if arg.data == nil { // a number, as most
				r.args[j] = uint64(arg.word)
				continue
			}
			if k := arg.kind(); k == argResult || k == argHeld {
				r.indirect |= 1 << j
			}
			r.args[j] = img.place(*arg)
		}
	}
	records[to+1] = record{call: unix.SYS_EXIT_GROUP}
}

// place is the argument as the loop reads it; what it points to is written.
func (img *Image) place(arg Arg) uint64 {
	switch arg.kind() {
	case argData:
		addr := img.arena.addr + img.offsets.of(arg.data)
		img.fill(arg.data, addr)
		return uint64(addr)
	case argResult, argPlace:
		return uint64(img.arena.addr + headerSize + uintptr(img.index(Ref(arg.word)))*recordSize + unsafe.Offsetof(record{}.result))
	case argHeader, argHeld:
		return uint64(img.arena.addr + arg.word)
	}
	return uint64(arg.word)
}

// fill writes a block to its address, and what it points to.
func (img *Image) fill(b *block, addr uintptr) {
	switch b.form {
	case formString, formBytes:
		copy(unsafe.Slice(at[byte](addr), len(b.text)), b.text) // a NUL is behind it already
		return
	case formBuffer:
		return
	}
	words := unsafe.Slice(at[uint64](addr), len(b.words))
	for i, w := range b.words {
		words[i] = img.place(w)
	}
}

// reset makes the arena ready for one more start.
func (img *Image) reset() {
	h := img.arena.header()
	records := img.arena.records(img.ops.len() + 1)
	for i := range records {
		records[i].stamp = 0
	}
	h.failed, h.again, h.bond, h.forked = 0, 0, 0, 0
	atomic.StoreUint32(&h.life, 0)
	atomic.StoreUint32(&h.tell, 0)
	atomic.StoreUint32(&h.open, 0)
	atomic.StoreUint32(&h.written, 0)
	if img.written {
		atomic.StoreUint32(&h.written, 1)
	}
	h.pidfd = -1
	h.entered, h.returned, h.ended = 0, 0, 0
	h.rusage = unix.Rusage{}
}

// Close gives the arena back. A process that was started from the image must
// have been waited for.
func (img *Image) Close() {
	if img.born {
		// The child may still write there: the memory stays its own.
		return
	}
	if img.arena.size != 0 {
		img.arena.dirty = img.end
		img.arena.release()
		img.arena = arena{}
	}
}
