package foreground

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/terminal"
)

// TestTerminal: the command is the leader of a session in front of a terminal
// that has the person's size, follows it, and passes Ctrl-C on.
func TestTerminal(t *testing.T) {
	requireContainers(t)
	master, slave, err := terminal.Pair()
	require(t, err == nil, fmt.Sprintf("no terminal can be had: %v", err))
	defer master.Close()
	size := func(columns, rows uint16) {
		t.Helper()
		if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
			t.Fatal(err)
		}
	}
	size(91, 33)
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "stand", "tty", "--", "size")
	cmd.Env = append(os.Environ(), helperEnv+"=1", noSleep)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out := bufio.NewReader(master)
	line := func(want string) {
		t.Helper()
		if got, err := out.ReadString('\n'); err != nil || strings.TrimSpace(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	line("91 by 33, leader true, in front true")
	size(60, 20)
	line("60 by 20, leader true, in front true")
	if _, err := master.WriteString("\x1c"); err != nil { // Ctrl-backslash: SIGQUIT, from which Go exits with 2
		t.Fatal(err)
	}
	drained := make(chan bool)
	go func() {
		_, _ = io.Copy(io.Discard, out)
		close(drained)
	}()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("it ended with %v", err)
	}
	after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the person's terminal is %+v, and was %+v, %v", after, before, err)
	}
	slave.Close()
	master.Close()
	<-drained
}
