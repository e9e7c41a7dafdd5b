package traffic

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// move is one call, or one turn of them, that moves data; it says how many bytes
// it moved.
type move func() (int, unix.Errno)

// mover is a way to move data by a socket.
type mover struct {
	call  move
	after func(*Stream) // at the end: what there is to say of it; may be nil
	close func()
}

// newMover is a method of a kind.
func newMover(kind, method string, fd, block int) (mover, error) {
	var table map[string]func(int, []byte) (mover, error)
	switch kind {
	case Send:
		table = map[string]func(int, []byte) (mover, error){Write: byWrite, Sendfile: bySendfile, ZeroCopy: byZeroCopy, Splice: bySplice}
	case Receive:
		table = map[string]func(int, []byte) (mover, error){Read: byRead, Truncate: byTruncate, Splice: bySpliceAway}
	}
	buf, err := buffer(block)
	if err != nil {
		return mover{}, err
	}
	m, err := table[method](fd, buf)
	if err != nil {
		_ = unix.Munmap(buf)
		return mover{}, err
	}
	rest := m.close
	m.close = func() {
		if rest != nil {
			rest()
		}
		_ = unix.Munmap(buf)
	}
	return m, nil
}

// method is the one that is asked for, or the ordinary one.
func method(kind, asked string) (string, error) {
	all := Methods(kind)
	if asked == "" && len(all) > 0 {
		return all[0], nil
	}
	if asked != "" && !slices.Contains(all, asked) {
		return "", fmt.Errorf("%s has no method %q; it has %q", kind, asked, all)
	}
	return asked, nil
}

// buffer is memory that is there, outside of Go's.
func buffer(n int) ([]byte, error) {
	buf, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map a buffer of %d bytes: %w", n, err)
	}
	return buf, nil
}

// base is the address of memory that buffer made: it does not move.
func base(buf []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(buf))) }

func byWrite(fd int, buf []byte) (mover, error) {
	return mover{call: func() (int, unix.Errno) {
		return raw(unix.SYS_SENDTO, uintptr(fd), base(buf), uintptr(len(buf)), unix.MSG_NOSIGNAL)
	}}, nil
}

func byRead(fd int, buf []byte) (mover, error) { return byReceive(fd, buf, 0) }

func byTruncate(fd int, buf []byte) (mover, error) { return byReceive(fd, buf, unix.MSG_TRUNC) }

func byReceive(fd int, buf []byte, flags uintptr) (mover, error) {
	return mover{call: func() (int, unix.Errno) {
		return raw(unix.SYS_RECVFROM, uintptr(fd), base(buf), uintptr(len(buf)), flags)
	}}, nil
}

// tardy is how long a receiver waits for what it asked for.
const tardy = 2 * time.Millisecond

// patient has a receiver sleep until a block is there (SO_RCVLOWAT), instead of until
// the next segment. Each time that it wakes is dear, for the sender above all, which
// has to wake it, and in a virtual machine needs the host for that; and one that
// reads less at once acknowledges more often. Of a buffer whose size was asked for it
// waits for half: it is not to be full before that, and the kernel does not have it
// grow.
//
// Where what it asked for is not there within tardy, it asks for a quarter of that
// next time, and for a block again when it was given one: on a path that is slow, or
// far, to read late is to open the window late.
func patient(fd, block, buffer int, call move) (move, error) {
	most := block
	if buffer > 0 {
		most = min(block, buffer/2)
	}
	asked := 0
	ask := func(n int) error {
		asked = n
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, n)
	}
	wait := unix.NsecToTimeval(int64(tardy))
	if err := errors.Join(ask(most), unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait)); err != nil {
		return nil, fmt.Errorf("have a receiver sleep until %d bytes are there: %w", most, err)
	}
	return func() (int, unix.Errno) {
		n, errno := call()
		next := asked
		switch {
		case n >= most:
			next = most
		case 0 < n && n < asked:
			next = max(1, asked/4)
		}
		if next != asked {
			if e, failed := errors.AsType[unix.Errno](ask(next)); failed {
				return n, e
			}
		}
		return n, errno
	}, nil
}

func bySendfile(fd int, buf []byte) (mover, error) {
	f, err := unix.MemfdCreate("traffic", unix.MFD_CLOEXEC)
	if err != nil {
		return mover{}, fmt.Errorf("make a memory file to send: %w", err)
	}
	if _, err := unix.Pwrite(f, buf, 0); err != nil {
		unix.Close(f)
		return mover{}, fmt.Errorf("fill a memory file of %d bytes: %w", len(buf), err)
	}
	at := new(int64)
	return mover{
		call: func() (int, unix.Errno) {
			*at = 0
			return raw(unix.SYS_SENDFILE, uintptr(fd), uintptr(f), uintptr(unsafe.Pointer(at)), uintptr(len(buf)))
		},
		close: func() { unix.Close(f) },
	}, nil
}

// pipe has room for n bytes.
func pipe(n int) ([2]int, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return ends, fmt.Errorf("make a pipe: %w", err)
	}
	if _, err := unix.FcntlInt(uintptr(ends[0]), unix.F_SETPIPE_SZ, n); err != nil {
		unix.Close(ends[0])
		unix.Close(ends[1])
		return ends, fmt.Errorf("have a pipe of %d bytes: %w; /proc/sys/fs/pipe-max-size is the largest", n, err)
	}
	return ends, nil
}

// bySplice puts the buffer's pages into a pipe, and the pipe's into the socket.
func bySplice(fd int, buf []byte) (mover, error) {
	p, err := pipe(len(buf))
	if err != nil {
		return mover{}, err
	}
	inside, v := 0, &unix.Iovec{}
	return mover{
		call: func() (int, unix.Errno) {
			if inside == 0 {
				v.Base = unsafe.SliceData(buf)
				v.SetLen(len(buf))
				n, errno := raw(unix.SYS_VMSPLICE, uintptr(p[1]), uintptr(unsafe.Pointer(v)), 1, 0)
				if errno != 0 {
					return 0, errno
				}
				inside = n
			}
			n, errno := raw(unix.SYS_SPLICE, uintptr(p[0]), 0, uintptr(fd), 0, uintptr(inside), unix.SPLICE_F_MOVE)
			if errno == 0 {
				inside -= n
			}
			return n, errno
		},
		close: func() { unix.Close(p[0]); unix.Close(p[1]) },
	}, nil
}

// bySpliceAway moves the socket's pages into a pipe, and from there to nowhere.
func bySpliceAway(fd int, buf []byte) (mover, error) {
	null, err := unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return mover{}, fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	p, err := pipe(len(buf))
	if err != nil {
		unix.Close(null)
		return mover{}, err
	}
	return mover{
		call: func() (int, unix.Errno) {
			_, errno := raw(unix.SYS_RECVFROM, uintptr(fd), base(buf), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT)
			if errno != 0 && errno != unix.EAGAIN {
				return 0, errno // the socket says it once
			}
			n, errno := raw(unix.SYS_SPLICE, uintptr(fd), 0, uintptr(p[1]), 0, uintptr(len(buf)), unix.SPLICE_F_MOVE)
			for rest := n; errno == 0 && rest > 0; {
				var gone int
				gone, errno = raw(unix.SYS_SPLICE, uintptr(p[0]), 0, uintptr(null), 0, uintptr(rest), unix.SPLICE_F_MOVE)
				rest -= gone
			}
			return n, errno
		},
		close: func() { unix.Close(p[0]); unix.Close(p[1]); unix.Close(null) },
	}, nil
}
