package container

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestStatus: exit status and signals of the command come through, with and
// without an init.
func TestStatus(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, init := range []bool{false, true} {
			for _, code := range []int{0, 1, 77, 255} {
				b := newBox(t, k).run("exit", fmt.Sprint(code))
				b.Init = init
				if r := b.start().wait(); r.err != nil || r.status.Code != code || r.status.Signal != 0 {
					t.Errorf("init %v: exit %d is %v, %v", init, code, r.status, r.err)
				}
			}
			for _, sig := range []syscall.Signal{unix.SIGKILL, unix.SIGTERM, unix.SIGHUP, unix.SIGSEGV} {
				if !init {
					continue // the first process of a namespace does not die of its own signals
				}
				b := newBox(t, k).run("kill", fmt.Sprint(int(sig)))
				b.Init = init
				b.Process.Env = append(b.Process.Env, "GOTRACEBACK=none")
				r := b.start().wait()
				if sig == unix.SIGSEGV || sig == unix.SIGTERM && r.status.Code == 2 {
					// Go makes of it what it likes: an end by a signal or status 2.
					if r.err != nil || r.status.Success() {
						t.Errorf("%v is %v, %v", sig, r.status, r.err)
					}
					continue
				}
				if r.err != nil || r.status.Signal != sig {
					t.Errorf("%v is %v, %v", sig, r.status, r.err)
				}
			}
		}
	})
}

// TestInit: there is a first process that reaps what is orphaned, and sends
// signals on.
func TestInit(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k).run("orphans", "20")
		b.Init = true
		if out := b.output(); out != "pid 2, 0 zombies\n" {
			t.Errorf("got %q", out)
		}
		for _, init := range []bool{true, false} {
			b = newBox(t, k).run("signals")
			b.Init = init
			c := b.start()
			line := func(want string) {
				t.Helper()
				if got, err := c.out.ReadString('\n'); err != nil || got != want+"\n" {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
			}
			line("ready")
			for _, sig := range []syscall.Signal{unix.SIGUSR1, unix.SIGHUP, unix.SIGTERM} {
				must(t, c.Signal(sig))
				line(sig.String())
			}
			c.end()
		}
	})
}

// TestInitUntouchable: the command can neither trace its init, nor open its
// memory or files.
func TestInitUntouchable(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k)
		b.Init = true
		c := b.start()
		denied := []syscall.Errno{unix.EPERM, unix.EACCES}
		c.refuse(denied, "call", unix.SYS_PTRACE, unix.PTRACE_SEIZE, 1, 0, 0)
		c.refuse(denied, "memory", 1, stubAddress)
		c.refuse(denied, "read", "/proc/1/mem")
		c.refuse(denied, "link", "/proc/1/exe")
		c.refuse(denied, "link", "/proc/1/root")
		c.refuse(denied, "link", "/proc/1/fd/0")
		c.refuse(denied, "read", "/proc/1/fd/0")
		c.end()
	})
}

// TestInitConfinedFirst: the command is held back until the init is untraceable
// and has its filter, whether that is loaded early or late.
func TestInitConfinedFirst(t *testing.T) {
	for _, nnp := range []bool{true, false} {
		b := newBox(t, plain(t))
		b.Init, b.Process.NoNewPrivileges = true, nnp
		b.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
		pl, err := b.plan()
		must(t, err)
		var names []string
		for _, op := range pl.Program().Ops() {
			switch op.Name {
			case "fork", "untraceable", "close descriptors", "seccomp", "init confined", "reap", "command's process", "confirm", "execve":
				names = append(names, op.Name)
			}
		}
		want := "untraceable, fork, untraceable, close descriptors, seccomp, init confined, reap, init confined, command's process, confirm, seccomp, execve"
		if !nnp {
			want = strings.Replace(strings.ReplaceAll(want, ", seccomp", ""), "untraceable", "untraceable, seccomp", 1)
		}
		if got := strings.Join(names, ", "); got != want {
			t.Errorf("no_new_privs %v: the order is %s, want %s", nnp, got, want)
		}
	}
}

// TestLeftBehindByCommand: when the command ends, what it left ends too.
func TestLeftBehindByCommand(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, init := range []bool{true, false} {
			b := newBox(t, k).withShell()
			b.Init = init
			b.Process.Args = []string{"sh", "-c", "sleep 1000 & sleep 1000 & exit 3"}
			r := b.start().wait() // returns only when the sleepers' standard output is closed
			if r.err != nil || r.status.Code != 3 {
				t.Errorf("init %v: %v, %v", init, r.status, r.err)
			}
		}
	})
}

// TestStrict: the payload copies its input to its output, and has seccomp's
// first mode on.
func TestStrict(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		b := newBox(t, k)
		b.Strict, b.Process.Args = true, nil
		c := b.start()
		for i := range 3 {
			text := fmt.Sprintf("line %d\n", i)
			_, err := c.in.WriteString(text)
			must(t, err)
			if got, err := c.out.ReadString('\n'); err != nil || got != text {
				t.Fatalf("got %q, %v", got, err)
			}
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Pid()))
		if err != nil || !strings.Contains(string(status), "\nSeccomp:\t1\n") {
			t.Errorf("status %s, %v", status, err)
		}
		c.end()
	})
}

// TestStrictForbidsCommands: strict mode with a command is an error.
func TestStrictForbidsCommands(t *testing.T) {
	b := newBox(t, plain(t))
	b.Strict = true
	if _, err := b.plan(); err == nil || !strings.Contains(err.Error(), "execve") {
		t.Errorf("got %v", err)
	}
}

// TestNotFound: what fails at execve is said by its op, and nothing is left.
func TestNotFound(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for command, want := range map[string]syscall.Errno{"/nowhere": unix.ENOENT, "nowhere": unix.ENOENT, "/tmp": unix.EACCES, "/text": unix.EACCES, "/garbage": unix.ENOEXEC} {
			b := newBox(t, k)
			must(t, os.WriteFile(b.root+"/text", []byte("x"), 0o644))
			must(t, os.WriteFile(b.root+"/garbage", []byte("\x7fELF, or not"), 0o755))
			b.Process.Args = []string{command}
			if r := b.start().wait(); !errors.Is(r.err, want) {
				t.Errorf("%s: %v, want %v", command, r.err, want)
			}
		}
	})
}
