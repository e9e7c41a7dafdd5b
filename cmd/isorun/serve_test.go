package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Descriptors from outside come in, those of a service manager first.
func TestDescriptors(t *testing.T) {
	l := named(t)
	l.script("/busybox cat <&3; /busybox cat <&4; echo $LISTEN_FDS $LISTEN_PID; echo $(/busybox ls /proc/self/fd)")
	file := func(text string) *os.File {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	out, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	// LISTEN_PID has to be isorun's, which the shell becomes.
	cmd := exec.Command("sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh", l.isorun, "--root", l.root, "create", "-b", l.dir, "--preserve-fds", "1", l.id)
	cmd.ExtraFiles = []*os.File{file("first"), file("second"), file("not passed on")}
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	defer l.must("delete", "-f", "life")
	l.must("start", "life")
	l.stops()
	text, err := os.ReadFile(out.Name())
	if want := "first\nsecond\n1 1\n0 1 2 3 4 5\n"; err != nil || string(text) != want {
		t.Errorf("it prints %q, %v; want %q", text, err, want)
	}
	l.fails("--preserve-fds: descriptor 3 is not open", "create", "--preserve-fds", "1", "other")
	l.fails("is no number", "create", "--preserve-fds", "x", "other")
}

// What the container tells a service manager is passed on, once it is ready.
func TestNotify(t *testing.T) {
	l := named(t)
	l.write(`{"type": "mount"}, {"type": "pid"}`, `echo $NOTIFY_SOCKET >/said; /busybox ls /run/notify >>/said; /busybox touch /run/notify/mine; /busybox sleep 1000`)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	host := t.TempDir() + "/host"
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: host}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", host)
	l.create()
	defer l.must("delete", "-f", "life")
	pid := l.state().Pid
	started := make(chan error, 1)
	go func() {
		_, err := l.run("start", "life")
		started <- err
	}()
	inside := fmt.Sprintf("/proc/%d/root/run/notify/notify.sock", pid)
	send, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(send)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		// More than the fact is not passed on.
		if err = unix.Sendto(send, []byte("MAINPID=1\nSTATUS=x\nREADY=1"), 0, &unix.SockaddrUnix{Name: inside}); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	text, room := make([]byte, 4096), make([]byte, 4096)
	n, _, err := hear(fd, text, nil)
	if want := fmt.Sprintf("READY=1\nMAINPID=%d", pid); err != nil || string(text[:n]) != want {
		t.Errorf("the manager hears %q, %v; want %q", text[:max(0, n)], err, want)
	}
	n, m, err := hear(fd, text, room)
	if err != nil || string(text[:n]) != "BARRIER=1" || m == 0 {
		t.Fatalf("the manager hears %q and %d bytes, %v; want a barrier", text[:max(0, n)], m, err)
	}
	select {
	case err := <-started:
		t.Errorf("start did not wait for the manager: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	closeRights(t, room[:m])
	if err := <-started; err != nil {
		t.Error(err)
	}
	said, err := os.ReadFile(l.dir + "/rootfs/said")
	if want := "/run/notify/notify.sock\nnotify.sock\n"; err != nil || string(said) != want {
		t.Errorf("the container says %q, %v; want %q", said, err, want)
	}
	if _, err := os.Stat(l.root + "/" + l.id + "/notify/mine"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the container can write there: %v", err)
	}
}

// In the foreground isorun is the service's main process, and passes the same on.
func TestServeForeground(t *testing.T) {
	l := named(t)
	l.script("trap 'exit 42' TERM; /busybox cat <&3; echo $LISTEN_FDS $LISTEN_PID; echo $NOTIFY_SOCKET; /busybox ls /run/notify; while :; do /busybox sleep 0.01; done")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	host := t.TempDir() + "/host"
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: host}), unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20})); err != nil {
		t.Fatal(err)
	}
	given, err := os.Open(l.dir + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	defer given.Close()
	temp := t.TempDir()
	cmd := exec.Command("sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh", l.isorun, "run", "-b", l.dir, l.id)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+host, "TMPDIR="+temp)
	cmd.ExtraFiles = []*os.File{given}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, when all is well
	text := ""
	for part := make([]byte, 4096); !strings.Contains(text, "notify.sock\nnotify.sock\n"); {
		n, err := out.Read(part)
		if text += string(part[:n]); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	config, err := os.ReadFile(l.dir + "/config.json")
	if want := string(config) + "1 1\n/run/notify/notify.sock\nnotify.sock\n"; err != nil || text != want {
		t.Errorf("it prints %q, %v; want %q", text, err, want)
	}
	sockets, err := filepath.Glob(temp + "/*/notify/notify.sock")
	if err != nil || len(sockets) != 1 {
		t.Fatalf("sockets: %v, %v", sockets, err)
	}
	dir, err := os.Open(filepath.Dir(sockets[0])) // the whole path may be longer than an address
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.Sendto(fd, []byte("READY=1"), 0, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/notify.sock", dir.Fd())}); err != nil {
		t.Fatal(err)
	}
	heard := make([]byte, 4096)
	n, _, err := hear(fd, heard, nil)
	if want := fmt.Sprintf("READY=1\nMAINPID=%d", cmd.Process.Pid); err != nil || string(heard[:max(0, n)]) != want {
		t.Errorf("the manager hears %q, %v; want %q", heard[:max(0, n)], err, want)
	}
	if n, _, err := hear(fd, heard, nil); err != nil || string(heard[:max(0, n)]) != "BARRIER=1" {
		t.Errorf("the manager hears %q, %v; want a barrier", heard[:max(0, n)], err)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 42 {
		t.Errorf("it ended with %v, want 42", err)
	}
	if left, _ := filepath.Glob(temp + "/*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// hear receives one message. A receive that is bounded (SO_RCVTIMEO) is not begun
// anew by the kernel after a signal; see signal(7).
func hear(fd int, text, room []byte) (n, roomed int, err error) {
	for {
		n, roomed, _, _, err = unix.Recvmsg(fd, text, room, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			return n, roomed, err
		}
	}
}

// closeRights closes the descriptors of a message.
func closeRights(t *testing.T, room []byte) {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(room)
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
}
