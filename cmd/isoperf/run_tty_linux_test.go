package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// keyboard is a person before a terminal in which isoperf runs.
type keyboard struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	slave  *os.File
	before unix.Termios // the terminal's modes before isoperf was started

	mu   sync.Mutex
	seen bytes.Buffer
}

// sit starts isoperf on a terminal of 101 columns and 33 rows.
func (s *stage) sit(t *testing.T, args ...string) *keyboard {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	k := &keyboard{t: t, master: master, slave: slave}
	if err := pty.Setsize(master, &pty.Winsize{Cols: 101, Rows: 33}); err != nil {
		t.Fatal(err)
	}
	k.before = k.modes()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	k.cmd = exec.CommandContext(ctx, s.bin, args...)
	k.cmd.Stdin, k.cmd.Stdout, k.cmd.Stderr = slave, slave, slave
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.note(k.cmd)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			k.mu.Lock()
			k.seen.Write(buf[:n])
			k.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		if k.cmd.ProcessState == nil {
			_ = k.cmd.Wait() // it was killed
		}
		slave.Close()
		<-done
		master.Close()
	})
	return k
}

func (k *keyboard) types(text string) {
	k.t.Helper()
	if _, err := k.master.WriteString(text); err != nil {
		k.t.Fatal(err)
	}
}

// sees waits for a text on the screen; what is before it is forgotten then.
func (k *keyboard) sees(text string) {
	k.t.Helper()
	if !eventually(func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		i := bytes.Index(k.seen.Bytes(), []byte(text))
		if i >= 0 {
			k.seen.Next(i + len(text))
		}
		return i >= 0
	}) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.t.Fatalf("%q is not on the screen: %q", text, k.seen.String())
	}
}

// asks types a line, and waits for what it prints, which must not be in the
// line itself: that is echoed.
func (k *keyboard) asks(line, want string) {
	k.t.Helper()
	k.types(line + "\r")
	k.sees(want)
}

// sleeping waits until a sleep below isoperf runs.
func (k *keyboard) sleeping() {
	k.t.Helper()
	if !eventually(func() bool {
		return slices.ContainsFunc(descendants(k.cmd.Process.Pid), func(pid int) bool {
			return statusLine(pid, "Name") == "sleep" && strings.HasPrefix(statusLine(pid, "State"), "S")
		})
	}) {
		k.t.Fatal("sleep does not run")
	}
}

func (k *keyboard) ends(code int) {
	k.t.Helper()
	var exit *exec.ExitError
	if err := k.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		k.t.Fatal(err)
	}
	if got := k.cmd.ProcessState.ExitCode(); got != code {
		k.t.Errorf("exit status %d, want %d; on the screen: %q", got, code, k.seen.String())
	}
}

func (k *keyboard) modes() unix.Termios {
	k.t.Helper()
	modes, err := unix.IoctlGetTermios(int(k.slave.Fd()), unix.TCGETS)
	if err != nil {
		k.t.Fatal(err)
	}
	return *modes
}

// With --tty a shell has all that it has on a person's terminal: its size, and
// changes of it, Ctrl-C, job control; and afterwards the terminal is as before.
func TestRunTerminal(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		root := s.small(t)
		kinds := map[string][]string{"rootfs": {"run", "-r", root, "-t", "--"}, "init": {"run", "-r", root, "--tty", "--init", "--"}}
		if _, err := os.Stat("/bin/bash"); err == nil {
			kinds["host"] = []string{"run", "-t", "--"}
		}
		for name, args := range kinds {
			t.Run(name, func(t *testing.T) {
				shell := []string{"sh", "-i"}
				if name == "host" {
					shell = []string{"bash", "--norc", "-i"}
				}
				k := s.sit(t, append(args, shell...)...)
				k.sees("# ")
				k.asks(`stty size; echo "siz""ed"`, "33 101\r\nsized")
				if raw := k.modes(); raw.Lflag&unix.ICANON != 0 {
					t.Error("the person's terminal is not raw meanwhile")
				}
				if err := pty.Setsize(k.master, &pty.Winsize{Cols: 90, Rows: 40}); err != nil {
					t.Fatal(err)
				}
				k.asks(`until test "$(stty size)" = "40 90"; do :; done; echo "resiz""ed"`, "resized")
				k.asks("tty | { read t; echo tty=${t%[0-9]}; }", "tty=/dev/") // its own
				for _, line := range []string{"sleep 100", "fg"} {
					k.types(line + "\r")
					k.sleeping()
					if line == "sleep 100" {
						k.types("\x1a")
						k.sees("Stopped")
						k.asks("jobs", "Stopped")
						continue
					}
					k.types("\x03")
					k.asks("echo status=$?", "status=130")
				}
				k.types("exit 9\r")
				k.ends(9)
				if after := k.modes(); after != k.before {
					t.Errorf("the terminal was %+v, and is %+v", k.before, after)
				}
			})
		}
	})
}

// The terminal is restored when the container is killed, and when it fails to
// start; without a terminal outside, the command has one all the same.
func TestRunTerminalRestored(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		root := s.small(t)
		k := s.sit(t, "run", "-r", root, "-t", "--", "sh", "-c", "trap '' INT TERM; echo re\"\"ady; while :; do sleep 1; done")
		k.sees("ready")
		for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
			if err := k.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
		}
		k.ends(128 + 9)
		if after := k.modes(); after != k.before {
			t.Errorf("killed: the terminal was %+v, and is %+v", k.before, after)
		}
		k = s.sit(t, "run", "-r", root, "-t", "--", "no-such")
		k.ends(127)
		if after := k.modes(); after != k.before {
			t.Errorf("not started: the terminal was %+v, and is %+v", k.before, after)
		}
		s.matches(t, `^/dev/(pts/\d+|console)\r?\n$`, "run", "-r", root, "-t", "--", "readlink", "/proc/self/fd/1")
		s.matches(t, `^pipe:`, "run", "-r", root, "--", "readlink", "/proc/self/fd/1")
	})
}

// The terminal of --tty is one of the container's own /dev/pts, none of the
// host's.
func TestRunTerminalOwn(t *testing.T) {
	everyone(t, func(t *testing.T, s *stage) {
		root := s.small(t)
		count := func() int {
			list, _ := filepath.Glob("/dev/pts/[0-9]*")
			return len(list)
		}
		if !eventually(func() bool { // others on the machine may open and close some meanwhile
			before := count()
			k := s.sit(t, "run", "-r", root, "-t", "--", "sh", "-c", "ls /dev/pts /dev/console; echo re\"\"ady; read x")
			during := count() - 1 // the person's
			k.sees("/dev/console")
			k.sees("0")
			k.sees("ptmx")
			k.sees("ready")
			during = max(during, count()-1)
			k.types("\r")
			k.ends(0)
			return during <= before && count()-1 <= before
		}) {
			t.Error("a container with a terminal has one of the host's")
		}
	})
}
