package terminal

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const big = 8 << 20

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // it never fails
	return b
}

// TestBinary: 8 MiB of any bytes go in and come out.
func TestBinary(t *testing.T) {
	requireProgram(t, "stty")
	data := randomBytes(big)
	inR, inW := files(t)
	outR, outW := files(t)
	master, slave := pair(t)
	s := attach(t, master, inR, outW)
	wait := inside(t, slave, "sh", "-c", fmt.Sprintf("stty raw -echo; echo go; exec head -c %d", big))
	start := make([]byte, 3)
	if _, err := io.ReadFull(outR, start); err != nil || string(start) != "go\n" {
		t.Fatalf("the start is %q, %v", start, err)
	}
	go func() { _, _ = inW.Write(data) }() // what is missing shows
	got := make([]byte, big)
	if _, err := io.ReadFull(outR, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Error("the bytes differ")
	}
	wait()
	closeSession(t, s)
}

// TestSlowReader: a reader that begins when the command has long ended misses
// nothing; Close waits for it.
func TestSlowReader(t *testing.T) {
	requireProgram(t, "stty")
	path := t.TempDir() + "/data"
	data := randomBytes(1 << 20)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 5000, 70000, 1 << 20} {
		in, _ := files(t)
		outR, outW := files(t)
		master, slave := pair(t)
		s := attach(t, master, in, outW)
		wait := inside(t, slave, "sh", "-c", fmt.Sprintf("stty raw; exec head -c %d %s", size, path))
		if size < 64<<10 {
			wait() // all fits into the pipe and the pty
		}
		closed := make(chan error, 1)
		go func() {
			wait()
			closed <- s.Close()
			outW.Close()
		}()
		got, buf := sha256.New(), make([]byte, 10000)
		for {
			time.Sleep(time.Millisecond)
			n, err := outR.Read(buf)
			got.Write(buf[:n])
			if err != nil {
				break
			}
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if want := sha256.Sum256(data[:size]); !bytes.Equal(got.Sum(nil), want[:]) {
			t.Errorf("of %d bytes something is missing or else", size)
		}
	}
}

// TestHolder: a process that outlives the command and has the terminal open
// does not keep the session; the command's output is whole.
func TestHolder(t *testing.T) {
	requireProgram(t, "sh")
	in, _ := files(t)
	outR, outW := files(t)
	master, slave := pair(t)
	_ = control(slave, func(fd int) error { // a holder that no hang-up of the command reaches
		kept, err := unix.Dup(fd)
		t.Cleanup(func() { unix.Close(kept) })
		return err
	})
	s := attach(t, master, in, outW)
	wait := inside(t, slave, "sh", "-c", "stty raw; exec head -c 3000 /dev/zero")
	wait()
	closeSession(t, s)
	outW.Close()
	if all, err := io.ReadAll(outR); err != nil || len(all) != 3000 {
		t.Errorf("%d bytes came, %v; want 3000", len(all), err)
	}
}

// TestLastWords: what is written just before Close comes through, though the
// terminal stays open.
func TestLastWords(t *testing.T) {
	in, _ := files(t)
	for i := range 300 {
		outR, outW := files(t)
		master, slave := pair(t)
		s := attach(t, master, in, outW)
		time.Sleep(100 * time.Microsecond) // pump waits, most often
		if _, err := slave.WriteString("last words"); err != nil {
			t.Fatal(err)
		}
		closeSession(t, s)
		outW.Close()
		if all, err := io.ReadAll(outR); err != nil || string(all) != "last words" {
			t.Fatalf("session %d: %q came, %v", i, all, err)
		}
		outR.Close()
		slave.Close()
	}
}

// TestReopened: a terminal that no one has open for a while goes on when
// someone opens it again.
func TestReopened(t *testing.T) {
	in, _ := files(t)
	outR, outW := files(t)
	master, slave := pair(t)
	s := attach(t, master, in, outW)
	slave.Close()
	time.Sleep(20 * time.Millisecond) // pump has read EIO, most often
	again, err := os.OpenFile(slave.Name(), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.WriteString("again"); err != nil {
		t.Fatal(err)
	}
	closeSession(t, s)
	outW.Close()
	if all, err := io.ReadAll(outR); err != nil || string(all) != "again" {
		t.Errorf("%q came, %v", all, err)
	}
}

// TestReaderGone: when no one reads the output, the command is hung up.
func TestReaderGone(t *testing.T) {
	requireProgram(t, "yes")
	in, _ := files(t)
	outR, outW := files(t)
	master, slave := pair(t)
	s := attach(t, master, in, outW)
	wait := inside(t, slave, "yes")
	outR.Close()
	state := wait()
	if ws := state.Sys().(syscall.WaitStatus); ws.Signal() != unix.SIGHUP && state.ExitCode() != 1 {
		t.Errorf("the command ended with %v, want a hang-up", state)
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "broken pipe") {
		t.Errorf("the session ended with %v, want a broken pipe", err)
	}
}

// TestCloseHangsUp: the end of the session is the end of a command that runs.
func TestCloseHangsUp(t *testing.T) {
	requireProgram(t, "sleep")
	p := newPerson(t)
	master, slave := pair(t)
	s := attach(t, master, p.window, p.window)
	wait := inside(t, slave, "sleep", "1000")
	closeSession(t, s)
	if ws := wait().Sys().(syscall.WaitStatus); ws.Signal() != unix.SIGHUP {
		t.Errorf("the command ended with %v, want SIGHUP", ws)
	}
}

// TestNoReaderInside: input that no one takes does not keep Close waiting.
func TestNoReaderInside(t *testing.T) {
	requireProgram(t, "sleep")
	inR, inW := files(t)
	_, outW := files(t)
	master, slave := pair(t)
	s := attach(t, master, inR, outW)
	inside(t, slave, "sh", "-c", "stty raw -echo; exec sleep 1000")
	go func() { _, _ = inW.Write(randomBytes(big)) }() // it never ends
	time.Sleep(50 * time.Millisecond)                  // it is in the middle, most often
	closeSession(t, s)
	inR.Close()
}

// TestEndOfInput: the end of a pipe or a file is the end inside, after a whole
// line and after half of one, and for each one who reads.
func TestEndOfInput(t *testing.T) {
	requireProgram(t, "cat")
	for _, c := range []struct{ name, input, script, want string }{
		{"nothing", "", "cat; echo over", "over\r\n"},
		{"a line", "word\n", "cat; echo over", "word\r\nover\r\n"},
		{"half a line", "word", "cat; echo over", "wordover\r\n"},
		{"two readers", "word\n", "cat; cat; echo over", "word\r\nover\r\n"},
		{"late", "word\n", "sleep 0.2; cat; echo over", "word\r\nover\r\n"},
		{"many lines", strings.Repeat("0123456789\n", 3000), "cat; echo over", strings.Repeat("0123456789\r\n", 3000) + "over\r\n"},
		{"another character", "word\n", "stty eof x; cat; echo over", "word\r\nover\r\n"},
		{"characters", "word\n", "stty -icanon; head -c 6 | od -An -tx1", " 77 6f 72 64 0a 04\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inR, inW := files(t)
			outR, outW := files(t)
			master, slave := pair(t)
			// Silent before anything is read, so that no echo is in between.
			m := modes(t, slave)
			m.Lflag &^= unix.ECHO
			if err := control(slave, func(fd int) error { return unix.IoctlSetTermios(fd, unix.TCSETS, &m) }); err != nil {
				t.Fatal(err)
			}
			wait := inside(t, slave, "sh", "-c", c.script)
			s := attach(t, master, inR, outW)
			go func() {
				if c.name == "characters" || c.name == "another character" {
					time.Sleep(300 * time.Millisecond) // until stty has run
				}
				_, _ = inW.WriteString(c.input) // what is missing shows
				inW.Close()
			}()
			go func() {
				wait()
				_ = s.Close() // once more below
				outW.Close()
			}()
			if all, err := io.ReadAll(outR); err != nil || string(all) != c.want {
				t.Errorf("it says %q, %v; want %q", all, err, c.want)
			}
			closeSession(t, s)
		})
	}
}

// TestInterrupt: Ctrl-C that is typed is SIGINT inside, and nowhere else.
func TestInterrupt(t *testing.T) {
	requireProgram(t, "sleep")
	p := newPerson(t)
	master, slave := pair(t)
	s := attach(t, master, p.window, p.window)
	wait := inside(t, slave, "sh", "-c", "echo go; exec sleep 1000")
	p.sees("go\r\n")
	p.types("\x03")
	if ws := wait().Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != unix.SIGINT {
		t.Errorf("the command ended with %v, want SIGINT", ws)
	}
	closeSession(t, s)
}

// TestJobControl: a shell inside has jobs.
func TestJobControl(t *testing.T) {
	shells := [][]string{{"sh", "-i"}, {"bash", "--norc", "--noprofile", "-i"}, {"busybox", "ash", "-i"}}
	for _, shell := range shells {
		t.Run(shell[0], func(t *testing.T) {
			requireProgram(t, shell[0])
			p := newPerson(t)
			master, slave := pair(t)
			s := attach(t, master, p.window, p.window)
			wait := inside(t, slave, shell...)
			p.sees("ready> ")
			p.types("sleep 100 &\n")
			p.sees("ready> ")
			p.types("jobs\n")
			if all := p.sees("sleep 100"); !strings.Contains(all, "Running") {
				p.sees("ready> ")
				t.Errorf("jobs says %q", all)
			}
			p.types("fg\n")
			p.sees("sleep 100") // the echo of fg
			eventually(func() bool { return foregroundIs(t, master, "sleep") })
			p.types("\x1a")
			p.sees("Stopped")
			p.types("echo $((6*7))\n")
			p.sees("42\r\n")
			p.types("fg\n")
			eventually(func() bool { return foregroundIs(t, master, "sleep") })
			p.types("\x03")
			p.types("echo $((6*8))\n")
			p.sees("48\r\n")
			p.sees("ready> ")
			p.types("\x04")
			if state := wait(); state.ExitCode() < 0 {
				t.Errorf("the shell ended with %v", state)
			}
			closeSession(t, s)
		})
	}
}

// foregroundIs says whether the terminal's foreground group is led by a
// command of this name.
func foregroundIs(t testing.TB, master *os.File, name string) bool {
	t.Helper()
	group := 0
	err := control(master, func(fd int) (err error) {
		group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", group)) // it may be gone
	return strings.TrimSpace(string(comm)) == name
}

// BenchmarkOutput is the way of the command's output.
func BenchmarkOutput(b *testing.B) {
	in, _ := files(b)
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	const size = 1 << 20
	b.SetBytes(size)
	for b.Loop() {
		master, slave := pair(b)
		s := attach(b, master, in, null)
		wait := inside(b, slave, "head", "-c", "1048576", "/dev/zero")
		wait()
		closeSession(b, s)
	}
}
