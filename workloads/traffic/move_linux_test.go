package traffic

import (
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/workloads/load"
)

// A receiver is woken for a block, and has what there is where no more comes.
func TestPatient(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := l.(*net.TCPListener).AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := r.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd()) // which has it wait
	m, err := newMover(Receive, Read, fd, block)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	woken := func(when string, want int) {
		t.Helper()
		if n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT); err != nil || n != want {
			t.Errorf("%s it is woken for %d, %v; want %d", when, n, err, want)
		}
	}
	if _, err := patient(fd, block, 64<<10, m.call); err != nil {
		t.Fatal(err)
	}
	woken("with a buffer of 64 KiB", 32<<10)
	waits, err := patient(fd, block, 0, m.call)
	if err != nil {
		t.Fatal(err)
	}
	call := func() (n int, errno unix.Errno) {
		for n, errno = waits(); errno == unix.EINTR; n, errno = waits() { // Go's signals
		}
		return n, errno
	}
	woken("at first", block)
	if n, errno := call(); n > 0 || errno != unix.EAGAIN {
		t.Errorf("where nothing came, it has %d bytes, %v", n, errno)
	}
	if _, err := c.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if n, errno := call(); n != 1000 || errno != 0 {
		t.Errorf("of 1000 bytes it has %d, %v", n, errno)
	}
	woken("after little came", block/4)
	go func() { _, _ = c.Write(make([]byte, 64*block)) }()
	for n := 0; n < block; {
		var errno unix.Errno
		if n, errno = call(); errno != 0 && errno != unix.EAGAIN {
			t.Fatal(errno)
		}
	}
	woken("after a block came", block)
}

// However it receives, an end says that the connection was reset, also when that
// is known before all that came was taken.
func TestReset(t *testing.T) {
	for _, method := range Methods(Receive) {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			e := start(t, with(load.Spec{Kind: Receive, Path: "127.0.0.1:0"}, Options{Listen: true, Method: method}))
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", e.port(t)))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte{'\n'}); err != nil {
				t.Fatal(err)
			}
			e.ready(t)
			e.board.Go()
			if _, err := c.Write(make([]byte, 4<<20)); err != nil {
				t.Fatal(err)
			}
			if err := c.(*net.TCPConn).SetLinger(0); err != nil {
				t.Fatal(err)
			}
			c.Close()
			_, err = e.ended(t)
			complains(t, e, err, method, "reset", "did the other end fail?")
		})
	}
}
