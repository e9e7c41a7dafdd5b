package program

import (
	"bytes"
	"io"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// strict is seccomp's first mode: from here on read, write, exit and sigreturn.
func strict() Op {
	return Op{Name: "strict", Call: unix.SYS_SECCOMP, Args: [6]Arg{Int(unix.SECCOMP_SET_MODE_STRICT)}}
}

// copyThrough copies standard input to standard output until its end: a loop
// by Zero and Skip, which ends by exit(2), since exit_group is forbidden.
func copyThrough(p *Program) {
	buf := Buffer(4096)
	n := p.Add(Op{Name: "read", Call: unix.SYS_READ, Args: [6]Arg{Int(0), buf, Int(4096)}, Zero: 2})
	p.Add(Op{Name: "write", Call: unix.SYS_WRITE, Args: [6]Arg{Int(1), buf, Result(n)}})
	p.Add(Op{Name: "again", Call: unix.SYS_READ, Args: [6]Arg{Int(-1)}, Accept: []syscall.Errno{unix.EBADF}, Skip: -3})
	p.Add(Op{Name: "exit", Call: unix.SYS_EXIT, Args: [6]Arg{Int(7)}})
}

// TestZero: a program branches on a result of 0, and behind a filter that
// allows nothing but read and write no time stamp is a system call.
func TestZero(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		for _, clock := range []uint64{sourceCounter, sourceSyscall} {
			in, feed, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			w, r := pipe(t, false)
			p := New(mode, 0)
			p.Early(Close(Int(feed.Fd()))) // without an execve the child would keep it
			p.Stdio(int(in.Fd()), w, 2)
			p.Add(strict())
			copyThrough(p)
			img := load(t, p)
			img.arena.header().clock = clock
			proc, err := img.Start()
			if err != nil {
				t.Fatal(err)
			}
			unix.Close(w)
			want := bytes.Repeat([]byte("isolation "), 20_000)
			go func() {
				feed.Write(want)
				feed.Close()
			}()
			got, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			status, err := proc.Wait()
			if err != nil || status.Code != 7 {
				t.Errorf("clock %d: %v, %v", clock, status, err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("clock %d: %d bytes came through, want %d", clock, len(got), len(want))
			}
		}
	})
}

// TestStrictOpen: in strict mode open is the end.
func TestStrictOpen(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		p.Add(strict())
		p.Add(Open("/dev/null", unix.O_RDONLY))
		p.Add(Op{Name: "exit", Call: unix.SYS_EXIT})
		proc, err := load(t, p).Start()
		if err != nil {
			t.Fatal(err)
		}
		if status, err := proc.Wait(); status.Signal != unix.SIGKILL || err != nil {
			t.Errorf("%v, %v; want it killed", status, err)
		}
	})
}
