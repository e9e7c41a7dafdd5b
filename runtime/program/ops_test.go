package program

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cycle runs a program that must succeed.
func cycle(t *testing.T, p *Program) *Image {
	t.Helper()
	img := load(t, p)
	if _, err := img.Cycle(); err != nil {
		t.Fatal(err)
	}
	return img
}

// TestResults: an op uses what an earlier one returned.
func TestResults(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		path := filepath.Join(t.TempDir(), "file")
		p := New(mode, 0)
		before := p.Early(Op{Name: "getpid", Call: unix.SYS_GETPID})
		file := p.Add(Open(path, unix.O_RDWR|unix.O_CREAT))
		wrote := p.Add(Write(Result(file), "hello"))
		back := Buffer(8)
		read := p.Add(Op{Name: "pread", Call: unix.SYS_PREAD64, Args: [6]Arg{Result(file), back, Result(wrote), Int(1)}})
		p.Add(Close(Result(file)))
		p.Add(Op{Name: "kill", Call: unix.SYS_KILL, Args: [6]Arg{Result(before)}})
		p.Add(Exit(0))
		img := cycle(t, p)
		if n, ran := img.Result(read); !ran || n != 4 || string(img.Buffer(back)) != "ello\x00\x00\x00\x00" {
			t.Errorf("read %d bytes, %q", n, img.Buffer(back))
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "hello" {
			t.Errorf("the file holds %q, %v", text, err)
		}
	})
}

// TestSixArguments: each of the six can be a number, data, or a result.
func TestSixArguments(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		dir := t.TempDir()
		source, target := filepath.Join(dir, "source"), filepath.Join(dir, "target")
		if err := os.WriteFile(source, []byte("0123456789"), 0o644); err != nil {
			t.Fatal(err)
		}
		p := New(mode, 0)
		in := p.Add(Open(source, unix.O_RDONLY))
		out := p.Add(Open(target, unix.O_RDWR|unix.O_CREAT))
		four := p.Add(Op{Name: "ftruncate, then seek", Call: unix.SYS_LSEEK, Args: [6]Arg{Result(in), Int(4), Int(unix.SEEK_SET)}})
		copied := p.Add(Op{Name: "copy", Call: unix.SYS_COPY_FILE_RANGE, Args: [6]Arg{Result(in), Words(Int(2)), Result(out), Words(Int(3)), Result(four), Int(0)}})
		zero := p.Add(Op{Name: "zero", Call: unix.SYS_LSEEK, Args: [6]Arg{Result(in), Int(0), Int(unix.SEEK_SET)}})
		p.Add(Op{Name: "copy", Call: unix.SYS_COPY_FILE_RANGE, Args: [6]Arg{Result(in), Words(Int(0)), Result(out), Words(Int(0)), Result(four), Result(zero)}})
		p.Add(Exit(0))
		img := cycle(t, p)
		if n, _ := img.Result(copied); n != 4 {
			t.Errorf("copied %d bytes of 4", n)
		}
		if text, err := os.ReadFile(target); err != nil || string(text) != "0123345" {
			t.Errorf("the file holds %q, %v", text, err)
		}
	})
}

// TestVectors: strings and words in the memory of the child.
func TestVectors(t *testing.T) {
	requireFile(t, "/bin/sh")
	eachMode(t, func(t *testing.T, mode Mode) {
		w, r := pipe(t, false)
		p := New(mode, 0)
		p.Stdio(0, w, 2)
		vector := Words(String("one "), Int(4), Bytes([]byte("two\n")), Int(4))
		p.Add(Op{Name: "writev", Call: unix.SYS_WRITEV, Args: [6]Arg{Int(1), vector, Int(2)}})
		p.Exec("/bin/sh", []string{"sh", "-c", `printf '%s|' "$@" "$a"`, "", "", "x y", "é"}, []string{"a=b"})
		mustExit(t, start(t, p), 0)
		unix.Close(w)
		if got := all(t, r); got != "one two\n|x y|é|b|" {
			t.Errorf("the child wrote %q", got)
		}
	})
}

// TestAccept: errnos that do not end the program, and where it goes on.
func TestAccept(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		early := p.Early(Op{Name: "early", Call: unix.SYS_CLOSE, Args: [6]Arg{Int(-1)}, Accept: []syscall.Errno{unix.EBADF}, Skip: 1})
		passed := p.Early(Null())
		close := Close(Int(-1))
		close.Accept = []syscall.Errno{unix.EPERM, unix.ENOENT, unix.EIO, unix.EBADF}
		first := p.Add(close)
		close.Skip = 2
		second := p.Add(close)
		skipped, skipped2 := p.Add(Exit(1)), p.Add(Exit(2))
		last := p.Add(Null())
		close.Skip = 1 // past the last op: the end
		p.Add(close)
		p.Add(Exit(3))
		img := cycle(t, p)
		for ref, want := range map[Ref]bool{early: true, passed: false, first: true, second: true, skipped: false, skipped2: false, last: true} {
			if _, ran := img.Result(ref); ran != want {
				t.Errorf("op %d: ran is %v", ref+1, ran)
			}
		}
		if n, _ := img.Result(second); n != -int64(unix.EBADF) {
			t.Errorf("the result of an op that failed is %d", n)
		}
	})
}

// TestPoll: a negative skip goes back until the op succeeds.
func TestPoll(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		path := filepath.Join(t.TempDir(), "later")
		p := New(mode, 0)
		told := p.Tell("polling")
		p.Add(Sleep(1e6))
		open := Open(path, unix.O_RDONLY)
		open.Accept, open.Skip = []syscall.Errno{unix.ENOENT}, -2
		file := p.Add(open)
		p.Add(Exit(4))
		proc := start(t, p)
		if err := proc.Await(told); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		mustExit(t, proc, 4)
		if fd, ran := proc.img.Result(file); !ran || fd < 0 {
			t.Errorf("the poll ended with %d", fd)
		}
	})
}

// TestOpFails: the error has the op's number as Print shows it, its text, and
// the errno.
func TestOpFails(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		for _, early := range []bool{false, true} {
			p := New(mode, 0)
			p.Stdio(1, 0, 2)
			bad := Chdir("/no/such/directory")
			if early {
				p.Early(bad)
			}
			p.DieWithParent()
			p.Add(Null())
			if !early {
				p.Add(bad)
			}
			p.Exec("/bin/true", []string{"true"}, nil)
			proc := start(t, p)
			status, err := proc.Wait()
			var op *OpError
			if !errors.As(err, &op) || op.Errno != unix.ENOENT || status.Code != 125 {
				t.Fatalf("the process ended with %v, %v", status, err)
			}
			var text strings.Builder
			if err := p.Print(&text); err != nil {
				t.Fatal(err)
			}
			if line := itoa(op.Index) + "  chdir /no/such/directory"; !strings.Contains(text.String(), line) {
				t.Errorf("%q is not in\n%s", line, text.String())
			}
			if want := "op " + itoa(op.Index) + `, chdir /no/such/directory: chdir("/no/such/directory"): no such file or directory (ENOENT)`; op.Error() != want {
				t.Errorf("error %q, want %q", op, want)
			}
			spans := proc.Timeline().Spans
			if s := spans[len(spans)-1]; s.Result != -int64(unix.ENOENT) || !s.Own {
				t.Errorf("the last span is %+v", s)
			}
		}
	})
	// An op of the mode has no number.
	p := New(VM, 0)
	p.Keep(-1)
	p.Add(Exit(0))
	_, err := load(t, p).Cycle()
	var op *OpError
	if !errors.As(err, &op) || op.Index != 0 || strings.Contains(err.Error(), "op ") {
		t.Errorf("an op of the mode failed with %v", err)
	}
}

// TestFallsOffTheEnd: a program without an end exits with 0.
func TestFallsOffTheEnd(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		p.Add(Chdir("/"))
		cycle(t, p)
		cycle(t, New(mode, 0))
	})
}

// TestHandshakes: several messages and gates, in order.
func TestHandshakes(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		for _, bond := range []bool{false, true} {
			p := New(mode, 0)
			if bond {
				p.DieWithParent()
			}
			var tells []Tell
			var gates []Gate
			var behind []Ref
			for range 5 {
				tells = append(tells, p.Tell("here"))
				gates = append(gates, p.Wait("go"))
				behind = append(behind, p.Add(Null()))
			}
			p.Exec("/bin/true", []string{"true"}, nil)
			proc := start(t, p)
			for i := range 3 {
				if err := proc.Await(tells[i]); err != nil {
					t.Fatal(err)
				}
				if _, ran := proc.img.Result(behind[i]); ran {
					t.Errorf("the child did not wait at gate %d", gates[i])
				}
				proc.Open(gates[i])
			}
			if err := proc.Await(tells[1]); err != nil {
				t.Errorf("an old message: %v", err)
			}
			proc.Open(gates[0]) // open already
			proc.Open(gates[4]) // and the one before it
			if err := proc.Await(tells[4]); err != nil {
				t.Fatal(err)
			}
			mustExit(t, proc, 0)
			if err := proc.Await(tells[4]); err != nil {
				t.Errorf("after the end: %v", err)
			}
		}
	})
}

// TestGateWakes: an open gate wakes the child, which otherwise looks only when
// it looks for its launcher.
func TestGateWakes(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		told := p.Tell("here")
		gate := p.Wait("go")
		p.Add(Exit(0))
		img := load(t, p)
		img.arena.header().stopAfter[0] = 1000 // seconds
		for range 20 {
			proc, err := img.Start()
			if err != nil {
				t.Fatal(err)
			}
			if err := proc.Await(told); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Microsecond) // now it waits, most likely
			proc.Open(gate)
			if !eventually(proc.ended) {
				t.Error("the gate is open, and the child waits")
				_ = proc.Signal(syscall.SIGKILL)
			}
			if _, err := proc.Wait(); err != nil || t.Failed() {
				t.Fatal(err)
			}
		}
	})
}

// TestAwaitFails: a message that does not come, because an op failed.
func TestAwaitFails(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		p.Add(Chdir("/no/such/directory"))
		told := p.Tell("there")
		p.Add(Exit(0))
		proc := start(t, p)
		if err := proc.Await(told); !errors.Is(err, unix.ENOENT) {
			t.Errorf("Await says %v", err)
		}
		if _, err := proc.Wait(); !errors.Is(err, unix.ENOENT) {
			t.Errorf("Wait says %v", err)
		}
	})
}

// TestImageAgain: an image can be started any number of times, with and
// without Cycle, and forgets what was.
func TestImageAgain(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		told := p.Tell("here")
		gate := p.Wait("go")
		p.Exec("/bin/true", []string{"true"}, nil)
		img := load(t, p)
		for range 20 {
			proc, err := img.Start()
			if err != nil {
				t.Fatal(err)
			}
			if err := proc.Await(told); err != nil {
				t.Fatal(err)
			}
			if len(proc.Timeline().Spans) > img.ops.len()-3 {
				t.Fatal("the timeline shows ops that have not run")
			}
			proc.Open(gate)
			if err := proc.WaitExec(); err != nil {
				t.Fatal(err)
			}
			mustExit(t, proc, 0)
			proc.Release() // the image is not the process's
		}
	})
}
