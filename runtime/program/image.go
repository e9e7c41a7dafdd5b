package program

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
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
	again     int64  // what clone3 returned to the first child
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
)

// arena is memory at the same address in the launcher and in the stub.
type arena struct {
	addr, size uintptr
	fd         int // the memfd behind it, or -1
}

// Arenas live in a part of the address space that neither Go, nor the race
// detector, nor the stub uses.
const arenaBase = 0x10_0000_0000 // 64 GiB

var arenas = struct {
	sync.Mutex
	next uintptr
	free map[arenaClass][]arena
}{next: arenaBase, free: map[arenaClass][]arena{}}

type arenaClass struct {
	size uintptr
	file bool
}

// newArena maps at least size bytes, shared, or takes an arena that an image
// gave back.
func newArena(size uintptr, file bool) (arena, error) {
	class := arenaClass{uintptr(os.Getpagesize()), file}
	for class.size < size {
		class.size *= 2
	}
	arenas.Lock()
	defer arenas.Unlock()
	if list := arenas.free[class]; len(list) > 0 {
		a := list[len(list)-1]
		arenas.free[class] = list[:len(list)-1]
		return a, nil
	}
	a := arena{size: class.size, fd: -1}
	flags := uintptr(unix.MAP_SHARED | unix.MAP_FIXED_NOREPLACE)
	if file {
		fd, err := unix.MemfdCreate("isoperf-arena", unix.MFD_CLOEXEC)
		if err != nil {
			return a, fmt.Errorf("create the arena's memfd: %w", err)
		}
		if err := unix.Ftruncate(fd, int64(class.size)); err != nil {
			unix.Close(fd)
			return a, fmt.Errorf("size the arena's memfd to %d bytes: %w", class.size, err)
		}
		a.fd = fd
	} else {
		flags |= unix.MAP_ANONYMOUS
	}
	for {
		addr := arenas.next
		arenas.next += class.size
		got, _, errno := syscall.Syscall6(unix.SYS_MMAP, addr, class.size,
			unix.PROT_READ|unix.PROT_WRITE, flags, uintptr(a.fd), 0)
		switch {
		case errno == unix.EEXIST:
			continue // something else lives there
		case errno != 0:
			if a.fd >= 0 {
				unix.Close(a.fd)
			}
			return a, fmt.Errorf("map an arena of %d bytes: %w", class.size, errno)
		}
		a.addr = got
		return a, nil
	}
}

// release gives the arena back for the next image of its size.
func (a arena) release() {
	class := arenaClass{a.size, a.fd >= 0}
	arenas.Lock()
	arenas.free[class] = append(arenas.free[class], a)
	arenas.Unlock()
}

// at is the memory at an address of the arena, which Go does not manage.
func at[T any](addr uintptr) *T { return *(**T)(unsafe.Pointer(&addr)) }

func (a arena) header() *header { return at[header](a.addr) }

func (a arena) records(n int) []record {
	return unsafe.Slice(at[record](a.addr+headerSize), n)
}

// Image is a program in an arena, ready to be started, any number of times,
// one at a time. It is not safe for concurrent use.
type Image struct {
	program *Program
	arena   arena
	ops     []Op // with those that the mode adds
	offsets map[*block]uintptr
	born    bool // a process of this image has not been reaped
}

// plan is the list of ops as it runs: the early ones, what the mode needs,
// then the program.
func (p *Program) plan(a arena, stub *stubFile) []Op {
	ops := append([]Op(nil), p.ops[:p.early]...)
	if p.Mode == Stub {
		ops = stub.enter(ops, a, p.kept)
	}
	if p.watched {
		ops = append(ops, watch())
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
	if p.err != nil {
		return nil, p.err
	}
	if err := setUp(); err != nil {
		return nil, err
	}
	stub, err := sealedStub(p.Mode)
	if err != nil {
		return nil, err
	}
	// The size is known without the addresses; the ops of the mode need them.
	draft := p.plan(arena{}, stub)
	_, end, err := layout(draft)
	if err != nil {
		return nil, err
	}
	if most := uintptr(8191 * 4096); p.Mode == Stub && end+stackSize > most/2 {
		return nil, fmt.Errorf("load program: its ops and data take %d bytes, the most is %d", end, most/2-stackSize)
	}
	a, err := newArena(end+stackSize, p.Mode == Stub)
	if err != nil {
		return nil, err
	}
	img := &Image{program: p, arena: a}
	img.ops = p.plan(a, stub)
	img.offsets, end, err = layout(img.ops)
	if err == nil {
		clear(unsafe.Slice(at[byte](a.addr), end))
		err = img.write()
	}
	if err != nil {
		a.release()
		return nil, err
	}
	return img, nil
}

// layout places every block behind the header and the records.
func layout(ops []Op) (offsets map[*block]uintptr, end uintptr, err error) {
	offsets = map[*block]uintptr{}
	end = headerSize + uintptr(len(ops)+1)*recordSize
	var place func(op Op, b *block)
	place = func(op Op, b *block) {
		if _, ok := offsets[b]; ok || b == nil {
			return
		}
		offsets[b] = end
		end += (b.size() + 7) &^ 7
		for _, w := range b.words {
			if w.kind == argResult {
				err = fmt.Errorf("load op %q: a vector cannot hold the result of an op", op.Name)
			}
			place(op, w.data)
		}
	}
	for _, op := range ops {
		for _, arg := range op.Args {
			place(op, arg.data)
		}
	}
	return offsets, end, err
}

// write fills the arena.
func (img *Image) write() error {
	a, h := img.arena, img.arena.header()
	records := a.records(len(img.ops) + 1)
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
		flags:     img.program.Flags | modeFlags[img.program.Mode] | unix.CLONE_PIDFD | unix.CLONE_CLEAR_SIGHAND,
		pidfd:     uint64(a.addr + unsafe.Offsetof(header{}.pidfd)),
		stack:     uint64(a.addr + a.size - stackSize),
		stackSize: stackSize,
		cgroup:    uint64(img.program.Cgroup),
	}
	if img.program.Cgroup != 0 {
		h.clone.flags |= unix.CLONE_INTO_CGROUP
	}
	for i, op := range img.ops {
		r := &records[i+1]
		if op.Name == enterStub {
			h.resume = uint64(base + uintptr(i+1)*recordSize)
		}
		if len(op.Accept) > len(r.accept) {
			return fmt.Errorf("load op %d (%s): it accepts %d errnos, the most is %d", i+1, op.Name, len(op.Accept), len(r.accept))
		}
		r.call, r.skip = int32(op.Call), int16(op.Skip)
		for j, e := range op.Accept {
			r.accept[j] = uint16(e)
		}
		for j, arg := range op.Args {
			if arg.kind == argResult {
				r.indirect |= 1 << j
			}
			r.args[j] = img.word(arg)
			img.fill(arg.data)
		}
	}
	return nil
}

// word is the argument as the loop reads it.
func (img *Image) word(arg Arg) uint64 {
	switch arg.kind {
	case argData:
		return uint64(img.arena.addr + img.offsets[arg.data])
	case argResult:
		return uint64(img.arena.addr + headerSize + uintptr(img.index(arg.ref))*recordSize + unsafe.Offsetof(record{}.result))
	case argHeader:
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
	if b.words == nil {
		copy(unsafe.Slice(at[byte](addr), len(b.bytes)), b.bytes)
		return
	}
	words := unsafe.Slice(at[uint64](addr), len(b.words))
	for i, w := range b.words {
		words[i] = img.word(w)
		img.fill(w.data)
	}
}

// reset makes the arena ready for one more start.
func (img *Image) reset() {
	h := img.arena.header()
	records := img.arena.records(len(img.ops) + 1)
	for i := range records {
		records[i].stamp = 0
	}
	h.failed, h.again = 0, 0
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
