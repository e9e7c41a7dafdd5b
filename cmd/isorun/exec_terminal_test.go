package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/runtime/terminal"
)

// consoleSocket listens for a terminal; the function returns it.
func consoleSocket(t *testing.T) (path string, receive func() *os.File) {
	t.Helper()
	path = t.TempDir() + "/s"
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err == nil {
			err = unix.Listen(fd, 1)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return path, func() *os.File {
		t.Helper()
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(conn)
		master, err := terminal.Receive(conn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { master.Close() })
		return master
	}
}

// withTerminal lets the container make some.
func withTerminal(c map[string]any) {
	c["mounts"] = append(c["mounts"].([]any),
		map[string]any{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"mode=755"}},
		map[string]any{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": []string{"newinstance", "ptmxmode=0666", "mode=0620"}})
}

// The terminal is the container's own, and its other end comes over the socket.
func TestExecTerminal(t *testing.T) {
	l := running(t, withTerminal)
	uid := 0
	if os.Geteuid() == 0 {
		uid = 1000
	}
	file := t.TempDir() + "/process.json"
	process := fmt.Sprintf(`{"terminal": true, "consoleSize": {"height": 33, "width": 91}, "user": {"uid": %d, "gid": 0}, "cwd": "/",
		"args": ["/busybox", "sh", "-c", "/busybox tty; /busybox stty size; /busybox stat -c %%u $(/busybox tty); [ $(/busybox ps -o stat= | /busybox wc -l) -gt 0 ]; read x; echo got $x"], "env": ["PATH=/"]}`, uid)
	if err := os.WriteFile(file, []byte(process), 0o644); err != nil {
		t.Fatal(err)
	}
	socket, receive := consoleSocket(t)
	if out, err := exec.Command(l.isorun, "--root", l.root, "exec", "-d", "--console-socket", socket, "-p", file, l.id).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	master := receive()
	if _, err := master.WriteString("word\n"); err != nil {
		t.Fatal(err)
	}
	out := readAll(master)
	for _, want := range []string{"/dev/pts/0\r\n", "33 91\r\n", fmt.Sprintf("\n%d\r\n", uid), "got word\r\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("the terminal shows %q, without %q", out, want)
		}
	}
	// In the foreground it is passed on.
	got, err := l.inside("/busybox tty; /busybox stty size", "-t")
	if err != nil || !strings.HasPrefix(got, "/dev/pts/") || !strings.HasSuffix(got, "\r\n24 80\r") {
		t.Errorf("it prints %q, %v", got, err)
	}
}

// readAll reads a terminal until it is hung up.
func readAll(f *os.File) string {
	var out bytes.Buffer
	_, _ = out.ReadFrom(f) // EIO is its end
	return out.String()
}

// The same of a container's own process.
func TestCreateTerminal(t *testing.T) {
	l := named(t)
	l.script("/busybox tty; /busybox stty size; read x; echo got $x")
	l.change(withTerminal)
	l.change(func(c map[string]any) {
		p := part(c, "process")
		p["terminal"], p["consoleSize"] = true, map[string]any{"height": 34, "width": 92}
	})
	l.fails("cannot allocate tty if runc will detach without setting console socket", "create", "life")
	socket, receive := consoleSocket(t)
	l.must("create", "--console-socket", socket, "life")
	defer l.must("delete", "-f", "life")
	master := receive()
	l.must("start", "life")
	if _, err := master.WriteString("word\n"); err != nil {
		t.Fatal(err)
	}
	out := readAll(master)
	for _, want := range []string{"/dev/pts/0\r\n", "34 92\r\n", "got word\r\n"} { // the echo is somewhere between
		if !strings.Contains(out, want) {
			t.Errorf("the terminal shows %q, without %q", out, want)
		}
	}
}
