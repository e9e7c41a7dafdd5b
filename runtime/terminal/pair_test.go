package terminal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func flagsOf(t *testing.T, f *os.File, command int) int {
	t.Helper()
	flags := 0
	err := control(f, func(fd int) (err error) {
		flags, err = unix.FcntlInt(uintptr(fd), command, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return flags
}

// TestPair: the slave is one that a command can have as it is.
func TestPair(t *testing.T) {
	master, slave := pair(t)
	if flagsOf(t, slave, unix.F_GETFL)&unix.O_NONBLOCK != 0 {
		t.Error("the slave is non-blocking: a command would read EAGAIN")
	}
	for _, f := range []*os.File{master, slave} {
		if flagsOf(t, f, unix.F_GETFD)&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s stays open on exec", f.Name())
		}
	}
	if _, err := master.WriteString("word\n"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	if n, err := slave.Read(buf); err != nil || string(buf[:n]) != "word\n" {
		t.Errorf("the slave reads %q, %v", buf[:n], err)
	}
}

// TestReceive: one descriptor, and a master of a pty, is taken; anything else
// is an error, and leaves no descriptor open.
func TestReceive(t *testing.T) {
	master, slave := pair(t)
	m, s := 0, 0
	_ = control(master, func(fd int) error { m = fd; return nil })
	_ = control(slave, func(fd int) error { s = fd; return nil })
	for _, c := range []struct {
		name string
		send []int
		data string
		want string // in the error; "": none
	}{
		{"a master", []int{m}, "x", ""},
		{"a master with a path", []int{m}, "/dev/ptmx", ""},
		{"a slave", []int{s}, "x", "not the master of a pty"},
		{"two masters", []int{m, m}, "x", "has 2 descriptors"},
		{"no descriptor", nil, "x", "has 0 descriptors"},
		{"the end", nil, "", "closed before"},
	} {
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_STREAM | unix.SOCK_NONBLOCK, unix.SOCK_SEQPACKET} {
			ends, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			before := openDescriptors(t)
			if c.data != "" {
				var rights []byte
				if c.send != nil {
					rights = unix.UnixRights(c.send...)
				}
				if err := unix.Sendmsg(ends[0], []byte(c.data), rights, nil, 0); err != nil {
					t.Fatal(err)
				}
			}
			_ = unix.Shutdown(ends[0], unix.SHUT_WR)
			got, err := Receive(ends[1])
			switch {
			case c.want != "":
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: %v, want %q", c.name, err, c.want)
				}
			case err != nil:
				t.Errorf("%s: %v", c.name, err)
			default:
				if flagsOf(t, got, unix.F_GETFD)&unix.FD_CLOEXEC == 0 {
					t.Errorf("%s: it stays open on exec", c.name)
				}
				got.Close()
			}
			if after := openDescriptors(t); after != before {
				t.Errorf("%s: %d descriptors are open, there were %d", c.name, after, before)
			}
			closeAll(ends[:])
		}
	}
	if _, err := Receive(m); err == nil {
		t.Error("a terminal was received from what is no socket")
	}
}

func openDescriptors(t testing.TB) int {
	t.Helper()
	list, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
