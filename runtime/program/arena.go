package program

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// arena is memory at the same address in the launcher and in the stub.
type arena struct {
	addr, size uintptr
	fd         int     // the memfd behind it, or -1
	dirty      uintptr // so much of its beginning an image has used; 0: it is new
}

// Arenas live in a part of the address space that neither Go, nor the race
// detector, nor the stub uses. The stub is told size and address in 13 and 27
// bits, in units of 4096 bytes; sizes are powers of two.
const (
	arenaBase  = 0x10_0000_0000 // 64 GiB; the stub is here
	arenaFirst = arenaBase + 1<<16
	arenaLimit = 1 << (27 + 12)
	arenaMost  = 1 << (12 + 12)
)

var arenas = struct {
	sync.Mutex
	next uintptr
	free map[arenaClass][]arena
}{next: arenaFirst, free: map[arenaClass][]arena{}}

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
		if addr+class.size > arenaLimit {
			if a.fd >= 0 {
				unix.Close(a.fd)
			}
			return a, fmt.Errorf("map an arena of %d bytes: the %d GiB for arenas are used up; Close images that are done with", class.size, (arenaLimit-arenaBase)>>30)
		}
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
		if class.size >= large {
			// Little of it will be used; an old kernel has no such pages.
			_, _, _ = syscall.Syscall(unix.SYS_MADVISE, got, class.size, unix.MADV_NOHUGEPAGE)
		}
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

// Of an arena of at least large, only some pages are used. They are kept for the
// next image, up to mostKept: what is mapped already costs it no page faults.
const (
	large    = 1 << 20
	mostKept = 256 << 10
)

// clear makes an arena as new, but for its stack.
func (a *arena) clear() error {
	if a.fd < 0 || a.dirty <= mostKept {
		clear(unsafe.Slice(at[byte](a.addr), a.dirty))
	} else if err := unix.Fallocate(a.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, int64(a.size)); err != nil {
		return fmt.Errorf("clear an arena of %d bytes: %w", a.size, err)
	}
	a.dirty = 0
	return nil
}

func (a arena) header() *header { return at[header](a.addr) }

func (a arena) records(n int) []record {
	return unsafe.Slice(at[record](a.addr+headerSize), n)
}
