package traffic

import (
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/workloads/load"
)

// A receiver looks as often as it should, and takes what it is told at once.
func TestLinger(t *testing.T) {
	for name, test := range map[string]struct {
		errors []unix.Errno // of the looks; the last for ever
		looks  int
		want   unix.Errno
	}{
		"nothing":  {[]unix.Errno{unix.EAGAIN}, 1 + looks, unix.EAGAIN},
		"at once":  {[]unix.Errno{0}, 1, 0},
		"later":    {[]unix.Errno{unix.EAGAIN, 0}, 2, 0},
		"an error": {[]unix.Errno{unix.EAGAIN, unix.ECONNRESET}, 2, unix.ECONNRESET},
	} {
		n := 0
		begin := time.Now()
		got, errno := linger(func() (int, unix.Errno) {
			n++
			return n, test.errors[min(n, len(test.errors))-1]
		})
		if n != test.looks || got != n || errno != test.want {
			t.Errorf("%s: %d looks, the last of which gave %d, %v; want %d, %v", name, n, got, errno, test.looks, test.want)
		}
		if took := time.Since(begin); took < time.Duration(test.looks-1)*pause {
			t.Errorf("%s: it looked %d times within %v", name, n, took)
		}
	}
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
