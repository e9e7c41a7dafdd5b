package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSize: the inner terminal has the window's size, and follows it.
func TestSize(t *testing.T) {
	p := newPerson(t)
	p.resize(101, 37)
	master, slave := pair(t)
	s := attach(t, master, p.window, p.window)
	if got := sizeOf(t, slave); got != "101x37" {
		t.Errorf("the inner terminal has %s, want 101x37", got)
	}
	p.resize(55, 12)
	if err := unix.Kill(os.Getpid(), unix.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return sizeOf(t, slave) == "55x12" }) {
		t.Errorf("after SIGWINCH the inner terminal has %s, want 55x12", sizeOf(t, slave))
	}
	closeSession(t, s)
}

// TestSizeWithoutTerminal: 80x24, or what it had; and that of out when only
// that is a terminal.
func TestSizeWithoutTerminal(t *testing.T) {
	p := newPerson(t)
	p.resize(101, 37)
	r, w := files(t)
	for _, c := range []struct {
		out   *os.File
		given uint16
		want  string
	}{{w, 0, "80x24"}, {w, 7, "7x7"}, {p.window, 7, "101x37"}} {
		master, slave := pair(t)
		err := control(master, func(fd int) error {
			return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: c.given, Col: c.given})
		})
		if err != nil {
			t.Fatal(err)
		}
		s := attach(t, master, r, c.out)
		if got := sizeOf(t, slave); got != c.want {
			t.Errorf("the inner terminal has %s, want %s", got, c.want)
		}
		closeSession(t, s)
	}
}

// TestRestored: the person's terminal is raw during the session, and then as
// it was, byte for byte, after the command's end and after an error.
func TestRestored(t *testing.T) {
	requireProgram(t, "sh")
	for _, name := range []string{"end", "error", "twice", "restore first"} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			before := strange(t, p.window)
			master, slave := pair(t)
			r, out := files(t)
			s := attach(t, master, p.window, out)
			if m := modes(t, p.window); m.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 || m.Oflag&unix.OPOST != 0 {
				t.Errorf("during the session the modes are %+v: not raw", m)
			}
			if name == "error" {
				r.Close()
			}
			wait := inside(t, slave, "sh", "-c", "echo here; exit 3")
			wait()
			if name == "restore first" {
				if err := s.Restore(); err != nil {
					t.Fatal(err)
				}
				if after := modes(t, p.window); after != before {
					t.Errorf("Restore leaves %+v, before it was %+v", after, before)
				}
			}
			err := s.Close()
			if name == "error" && !errors.Is(err, unix.EPIPE) || name != "error" && err != nil {
				t.Errorf("the session ended with %v", err)
			}
			if name == "twice" {
				if again := errors.Join(s.Close(), s.Restore()); again != nil {
					t.Error(again)
				}
			}
			if after := modes(t, p.window); after != before {
				t.Errorf("the modes are\n%+v, before\n%+v", after, before)
			}
		})
	}
}

// TestAttachFails: nothing is changed, and nothing left open.
func TestAttachFails(t *testing.T) {
	p := newPerson(t)
	before, count := strange(t, p.window), openDescriptors(t)
	_, slave := pair(t)
	r, w := files(t)
	closed, _ := files(t)
	closed.Close()
	count += 4
	for _, c := range []struct{ master, in, out *os.File }{{slave, p.window, w}, {r, p.window, w}, {p.keys, closed, w}, {p.keys, p.window, closed}} {
		if s, err := Attach(c.master, c.in, c.out); err == nil {
			t.Errorf("attached to %s, %s, %s", c.master.Name(), c.in.Name(), c.out.Name())
			s.Close()
		}
	}
	if after := modes(t, p.window); after != before {
		t.Errorf("the modes are\n%+v, before\n%+v", after, before)
	}
	if got := openDescriptors(t); got != count+1 {
		t.Errorf("%d descriptors are open, want %d", got, count+1)
	}
}

// helpSession is a runtime: it runs a shell in a pty between its own stdin and
// stdout, restores the terminal at SIGTERM and SIGHUP, and exits with the
// shell's status.
func helpSession() error {
	master, slave, err := Pair()
	if err != nil {
		return err
	}
	s, err := Attach(master, os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	defer s.Close()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP)
	go func() {
		sig := (<-signals).(syscall.Signal)
		_ = s.Restore()
		_ = s.Restore()
		os.Exit(128 + int(sig))
	}()
	cmd := exec.Command("sh", "-c", os.Getenv("INNER"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	slave.Close()
	_ = cmd.Wait() // the state says it
	if err := s.Close(); err != nil {
		return err
	}
	os.Exit(cmd.ProcessState.ExitCode())
	return nil
}

func helpPanic() error {
	master, _, err := Pair()
	if err != nil {
		return err
	}
	s, err := Attach(master, os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Println("attached")
	panic("on purpose")
}

// runtimeOf starts a helper with the person's terminal as its controlling one.
func runtimeOf(t *testing.T, p *person, name, inner string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperEnv+"="+name, "INNER="+inner)
	cmd.Stdin, cmd.Stdout = p.window, p.window
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // it was waited for
	})
	return cmd
}

// TestRuntimeSignals: a runtime that is told to end restores the terminal; the
// shell inside loses its own.
func TestRuntimeSignals(t *testing.T) {
	requireProgram(t, "sh")
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGHUP} {
		p := newPerson(t)
		before := strange(t, p.window)
		cmd := runtimeOf(t, p, "session", "echo inner $$ here; exec sleep 1000")
		p.sees("inner ")
		var pid int
		if _, err := fmt.Sscan(p.sees("here"), &pid); err != nil {
			t.Fatal(err)
		}
		if m := modes(t, p.window); m == before {
			t.Error("the terminal is not raw: the test proves nothing")
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // the state says it
		if code := cmd.ProcessState.ExitCode(); code != 128+int(sig) {
			t.Errorf("%v: exit status %d", sig, code)
		}
		if after := modes(t, p.window); after != before {
			t.Errorf("after %v the modes are\n%+v, before\n%+v", sig, after, before)
		}
		if !eventually(func() bool { return unix.Kill(pid, 0) == unix.ESRCH }) {
			t.Errorf("after %v the command inside still runs", sig)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

func TestRuntimePanics(t *testing.T) {
	p := newPerson(t)
	before := strange(t, p.window)
	cmd := runtimeOf(t, p, "panic", "")
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("the helper ended with %v, want a panic", err)
	}
	p.sees("attached")
	if after := modes(t, p.window); after != before {
		t.Errorf("after a panic the modes are\n%+v, before\n%+v", after, before)
	}
}

// TestWindowChangeReaches: the kernel tells the runtime, which tells the inner
// terminal, whose command gets SIGWINCH.
func TestWindowChangeReaches(t *testing.T) {
	requireProgram(t, "stty")
	p := newPerson(t)
	p.resize(90, 30)
	cmd := runtimeOf(t, p, "session", `trap 'stty size; exit 7' WINCH; stty size; echo go; while :; do sleep 0.01; done`)
	if got := p.sees("go\r\n"); got != "30 90\r\ngo\r\n" {
		t.Errorf("inside it says %q", got)
	}
	p.resize(44, 33)
	p.sees("33 44\r\n")
	_ = cmd.Wait() // the state says it
	if code := cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("the status is %d, want 7", code)
	}
}

// TestTypedAfterwards: what is typed after the session, and what is typed
// after the command's end, is there for the next reader.
func TestTypedAfterwards(t *testing.T) {
	requireProgram(t, "true")
	for _, when := range []string{"after Close", "after the command", "during Close"} {
		p := newPerson(t)
		master, slave := pair(t)
		s := attach(t, master, p.window, p.window)
		wait := inside(t, slave, "true")
		wait()
		switch when {
		case "after the command":
			p.types("next\n")
		case "during Close":
			go p.types("next\n")
		}
		closeSession(t, s)
		if when == "after Close" {
			p.types("next\n")
		}
		buf := make([]byte, 16)
		n, err := p.window.Read(buf)
		if err != nil || string(buf[:n]) != "next\n" {
			t.Errorf("%s: the next reader reads %q, %v", when, buf[:n], err)
		}
	}
	// A pipe is no different.
	r, w := files(t)
	master, slave := pair(t)
	s := attach(t, master, r, w)
	wait := inside(t, slave, "true")
	wait()
	closeSession(t, s)
	go func() {
		_, _ = w.WriteString("next\n")
		w.Close()
	}()
	if all, err := io.ReadAll(r); err != nil || !strings.HasSuffix(string(all), "next\n") {
		t.Errorf("the next reader of the pipe reads %q, %v", all, err)
	}
}

// TestNothingLeft: sessions leave neither descriptors nor goroutines.
func TestNothingLeft(t *testing.T) {
	p := newPerson(t)
	r, w := files(t)
	cycle := func() {
		master, slave, err := Pair()
		if err != nil {
			t.Fatal(err)
		}
		s, err := Attach(master, p.window, w)
		if err != nil {
			t.Fatal(err)
		}
		slave.Close()
		closeSession(t, s)
	}
	cycle()
	before := openDescriptors(t)
	for range 50 {
		cycle()
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors are open, there were %d", after, before)
	}
	_ = r
}
