package foreground

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/idmap"
	"isoperf/runtime/program"
	"isoperf/runtime/spec"
)

// helperEnv says that a copy of the test binary is to be a part: a runtime that
// stands for a container, or the command in it.
const helperEnv = "ISOPERF_TEST_HELPER"

// noSleep keeps the race detector from waiting for a second at each exit.
const noSleep = "GORACE=atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	parts := map[string]func([]string) error{"stand": partStand, "signals": partSignals, "stubborn": partStubborn, "size": partSize, "exit": partExit, "again": partAgain, "filtered": partFiltered}
	if name := os.Getenv(helperEnv); name != "" {
		if err := parts[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(ExitCode(err))
		}
		os.Exit(0)
	}
	heed()
	os.Exit(m.Run())
}

// heed ends that SIGHUP is ignored, as by nohup: what is started then ignores it
// too.
func heed() { signal.Notify(make(chan os.Signal, 1), unix.SIGHUP) }

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

// box is a container without a root of its own, whose command is a part.
func box(tty bool, args ...string) *spec.Container {
	binary, err := os.Readlink("/proc/self/exe")
	if err != nil {
		panic(err) // there is always one
	}
	c := &spec.Container{ID: "foreground", HostRoot: true, Spec: &specs.Spec{
		Process: &specs.Process{
			Args: append([]string{binary}, args...), Env: []string{helperEnv + "=1", noSleep}, Cwd: "/", Terminal: tty, NoNewPrivileges: true,
			Capabilities: &specs.LinuxCapabilities{},
		},
		Mounts: []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc"}},
		Linux:  &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}}},
	}}
	if os.Geteuid() != 0 {
		own := idmap.Own(os.Getuid(), os.Getgid())
		c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		c.Linux.UIDMappings, c.Linux.GIDMappings = own.UIDs, own.GIDs
	}
	return c
}

// partStand is a runtime: options by words, then the command.
func partStand(args []string) error {
	runtime.LockOSThread()
	o := Options{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	tty, init, newPrivileges, filter := false, false, false, ""
	for ; args[0] != "--"; args = args[1:] {
		switch word, value, _ := strings.Cut(args[0], "="); word {
		case "timeout":
			d, err := time.ParseDuration(value)
			if err != nil {
				return err
			}
			o.StopTimeout = d
		case "tty":
			tty = true
		case "init":
			init = true
		case "new-privs":
			newPrivileges = true
		case "seccomp":
			filter = value
		}
	}
	c := box(tty, args[1:]...)
	c.Init, c.Process.NoNewPrivileges = init, !newPrivileges
	if err := filtered(c, filter); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	result, err := Run(c, o)
	if err == nil {
		os.Exit(result.Status.ExitCode())
	}
	return err
}

func partExit(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	os.Exit(n)
	return nil
}

// partSignals prints what comes, until SIGTERM.
func partSignals([]string) error {
	c := make(chan os.Signal, 64)
	signal.Notify(c)
	fmt.Println("ready")
	for s := range c {
		if s == unix.SIGURG { // Go's own
			continue
		}
		fmt.Println(s)
		if s == unix.SIGTERM {
			return nil
		}
	}
	return nil
}

// partStubborn never ends by itself, and not when it is asked to.
func partStubborn([]string) error {
	signal.Ignore(unix.SIGINT, unix.SIGTERM)
	fmt.Println("ready")
	for {
		time.Sleep(time.Hour)
	}
}

// partSize prints the size of its terminal, again when it changes.
func partSize([]string) error {
	c := make(chan os.Signal, 4)
	signal.Notify(c, unix.SIGWINCH)
	sid, err := unix.Getsid(0)
	if err != nil {
		return err
	}
	for {
		size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
		if err != nil {
			return err
		}
		group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
		fmt.Printf("%d by %d, leader %v, in front %v\n", size.Col, size.Row, sid == os.Getpid(), err == nil && group == unix.Getpgrp())
		<-c
	}
}

// runtimeProcess is partStand as a process.
type runtimeProcess struct {
	*exec.Cmd
	t   *testing.T
	out *bufio.Reader
	in  io.WriteCloser
}

func standing(t *testing.T, args ...string) *runtimeProcess {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", append([]string{"stand"}, args...)...)
	cmd.Env = append(os.Environ(), helperEnv+"=1", noSleep)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		timer.Stop()
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	return &runtimeProcess{cmd, t, bufio.NewReader(out), in}
}

func (p *runtimeProcess) line(want string) {
	p.t.Helper()
	if got, err := p.out.ReadString('\n'); err != nil || strings.TrimSpace(got) != want {
		p.t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

func (p *runtimeProcess) send(sig syscall.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// status is the exit status.
func (p *runtimeProcess) status() int {
	var exit *exec.ExitError
	if err := p.Wait(); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

func requireContainers(t *testing.T) {
	t.Helper()
	p := program.New(program.Stub, 0)
	flags := uint64(unix.CLONE_NEWNS)
	if os.Geteuid() != 0 {
		flags |= unix.CLONE_NEWUSER
	}
	p.Add(program.Unshare(flags))
	p.Add(program.Exit(0))
	proc, err := program.Start(p)
	if err == nil {
		_, err = proc.Wait()
		proc.Release()
	}
	require(t, err == nil, fmt.Sprintf("no namespaces can be made: %v", err))
}

// TestForward: every signal that can be forwarded reaches the command, and its
// exit status is the runtime's.
func TestForward(t *testing.T) {
	requireContainers(t)
	for _, init := range []string{"none", "init"} {
		p := standing(t, init, "--", "signals")
		p.line("ready")
		for _, s := range program.Forwardable() {
			sig := s.(syscall.Signal)
			switch sig {
			case unix.SIGINT: // the next one would kill; see below
				continue
			case unix.SIGTERM, unix.SIGURG, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGCHLD, unix.SIGPROF, unix.SIGPIPE:
				continue // the end, and what Go or a shell has a meaning of its own for
			}
			p.send(sig)
			p.line(sig.String())
		}
		p.send(unix.SIGTERM)
		p.line("terminated")
		if got := p.status(); got != 0 {
			t.Errorf("exit status %d", got)
		}
		p = standing(t, init, "--", "signals")
		p.line("ready")
		p.send(unix.SIGINT)
		p.line("interrupt")
	}
}

// TestStatusIsTheCommands: exit statuses, and 128 and the number for a signal.
func TestStatusIsTheCommands(t *testing.T) {
	requireContainers(t)
	for _, init := range []string{"none", "init"} {
		for _, code := range []int{0, 1, 42, 255} {
			if got := standing(t, init, "--", "exit", strconv.Itoa(code)).status(); got != code {
				t.Errorf("exit %d is %d", code, got)
			}
		}
	}
}

// TestSecondSignalKills: the second SIGINT or SIGTERM does, and the first with
// a timeout.
func TestSecondSignalKills(t *testing.T) {
	requireContainers(t)
	for _, init := range []string{"none", "init"} {
		p := standing(t, init, "--", "stubborn")
		p.line("ready")
		p.send(unix.SIGINT)
		time.Sleep(50 * time.Millisecond)
		if err := p.Process.Signal(syscall.Signal(0)); err != nil {
			t.Fatalf("the first ended it: %v", err)
		}
		p.send(unix.SIGTERM)
		if got := p.status(); got != 128+9 {
			t.Errorf("exit status %d", got)
		}
		p = standing(t, init, "timeout=100ms", "--", "stubborn")
		p.line("ready")
		p.send(unix.SIGTERM)
		if got := p.status(); got != 128+9 {
			t.Errorf("with a timeout: exit status %d", got)
		}
	}
}

// TestIgnoredStaysIgnored: nohup is for the command too.
func TestIgnoredStaysIgnored(t *testing.T) {
	requireContainers(t)
	signal.Ignore(unix.SIGHUP)
	p := standing(t, "--", "signals")
	heed() // Reset would leave it ignored
	p.line("ready")
	p.send(unix.SIGHUP)
	p.send(unix.SIGUSR1)
	p.line("user defined signal 1")
	p.send(unix.SIGTERM)
	p.line("terminated")
	p.status()
}

// TestExitCode: what failed is told apart as a shell does.
func TestExitCode(t *testing.T) {
	execve := program.Execve("/x", nil, nil)
	for _, c := range []struct {
		err  error
		want int
	}{
		{&program.OpError{Op: execve, Errno: unix.ENOENT}, ExitNotFound}, {&program.OpError{Op: execve, Errno: unix.EACCES}, ExitNotExecutable},
		{&program.OpError{Op: execve, Errno: unix.ENOEXEC}, ExitNotExecutable}, {&program.OpError{Op: execve, Errno: unix.ENOMEM}, ExitOwn},
		{&program.OpError{Op: program.Chdir("/x"), Errno: unix.ENOENT}, ExitOwn}, {errors.New("x"), ExitOwn},
		{fmt.Errorf("run: %w", &program.OpError{Op: execve, Errno: unix.ENOENT}), ExitNotFound},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%v is %d, want %d", c.err, got, c.want)
		}
	}
}
