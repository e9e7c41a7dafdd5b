package terminal

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helperEnv names the helper that a copy of the test binary is to be.
const helperEnv = "ISOPERF_TEST_HELPER"

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		if err := map[string]func() error{"session": helpSession, "panic": helpPanic}[name](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// require skips the test unless cond holds; where everything must run, that is
// a failure.
func require(t testing.TB, cond bool, why string) {
	t.Helper()
	switch {
	case cond:
	case os.Getenv("ISOPERF_MUST_RUN") == "1":
		t.Fatalf("must run, but: %s", why)
	default:
		t.Skip(why)
	}
}

func requireProgram(t testing.TB, name string) {
	t.Helper()
	_, err := exec.LookPath(name)
	require(t, err == nil, "there is no "+name)
}

func pair(t testing.TB) (master, slave *os.File) {
	t.Helper()
	master, slave, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	return master, slave
}

// person is an outer pty, with someone who types and reads.
type person struct {
	t      testing.TB
	keys   *os.File // the outer master
	window *os.File // its slave, which the session gets
	mu     sync.Mutex
	read   bytes.Buffer
}

func newPerson(t testing.TB) *person {
	p := &person{t: t}
	p.keys, p.window = pair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, err := p.keys.Read(buf)
			p.mu.Lock()
			p.read.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { p.window.Close(); <-done }) // a master without a slave reads EIO
	return p
}

func (p *person) types(text string) {
	p.t.Helper()
	if _, err := p.keys.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) seen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.read.String()
}

// sees waits until the person has read the text after what was seen before,
// and returns all up to its end.
func (p *person) sees(text string) string {
	p.t.Helper()
	var all string
	if !eventually(func() bool { all = p.seen(); return strings.Contains(all, text) }) {
		p.t.Fatalf("the person waits for %q and reads %q", text, all)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.read.Next(strings.Index(all, text) + len(text)))
}

func (p *person) resize(cols, rows uint16) {
	p.t.Helper()
	err := control(p.keys, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func sizeOf(t testing.TB, f *os.File) string {
	t.Helper()
	var size *unix.Winsize
	err := control(f, func(fd int) (err error) {
		size, err = unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%dx%d", size.Col, size.Row)
}

// modes are the terminal's, all bytes of them.
func modes(t testing.TB, f *os.File) unix.Termios {
	t.Helper()
	var all *unix.Termios
	err := control(f, func(fd int) (err error) {
		all, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return *all
}

// strange gives the terminal modes that no default has, to see them again.
func strange(t testing.TB, f *os.File) unix.Termios {
	t.Helper()
	m := modes(t, f)
	m.Cc[unix.VERASE], m.Cc[unix.VMIN], m.Cc[unix.VTIME] = 'x', 3, 7
	m.Iflag ^= unix.IXANY | unix.INLCR
	m.Oflag ^= unix.ONLRET
	m.Lflag ^= unix.ECHOK
	if err := control(f, func(fd int) error { return unix.IoctlSetTermios(fd, unix.TCSETS, &m) }); err != nil {
		t.Fatal(err)
	}
	return modes(t, f)
}

// inside starts a command that has the slave as its controlling terminal, in a
// session of its own, and returns a function that waits for its end.
func inside(t testing.TB, slave *os.File, argv ...string) (wait func() *os.ProcessState) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.Env = append(os.Environ(), "PS1=ready> ", "TERM=dumb", "HISTFILE=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close() // the command has its own
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the state says it
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	})
	return func() *os.ProcessState {
		t.Helper()
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Fatalf("%q does not end", argv)
		}
		return cmd.ProcessState
	}
}

func attach(t testing.TB, master, in, out *os.File) *Session {
	t.Helper()
	s, err := Attach(master, in, out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // closed by the test, with the error looked at
	return s
}

func closeSession(t testing.TB, s *Session) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func files(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// eventually waits up to ten seconds for a condition.
func eventually(cond func() bool) bool {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if cond() {
			return true
		}
	}
	return cond()
}
