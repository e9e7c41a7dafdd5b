package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// told is what a listener of seccomp notifications is told.
type told struct {
	OCIVersion, Metadata string
	Fds                  []string
	Pid                  int
	State                struct {
		ID, Status, Bundle string
		Pid                int
		Annotations        map[string]string
	}
}

// notification and response are the kernel's seccomp_notif and
// seccomp_notif_resp.
type notification struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// agent waits at a socket for listeners, and has every call that it is asked for
// fail with EDOM.
func agent(t *testing.T) (path string, heard <-chan told) {
	t.Helper()
	path = t.TempDir() + "/s"
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 8))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	c := make(chan told, 8)
	go func() {
		for {
			conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			if err != nil {
				return // the test is over
			}
			state, listener := receiveListener(t, conn)
			c <- state
			go answer(listener)
		}
	}()
	t.Cleanup(func() { _ = unix.Shutdown(fd, unix.SHUT_RDWR) })
	return path, c
}

// receiveListener reads a connection to its end.
func receiveListener(t *testing.T, conn int) (state told, listener int) {
	defer unix.Close(conn)
	var text []byte
	listener = -1
	for {
		part, room := make([]byte, 4096), make([]byte, 4096)
		n, m, _, _, err := unix.Recvmsg(conn, part, room, unix.MSG_CMSG_CLOEXEC)
		if err != nil || n == 0 {
			break
		}
		text = append(text, part[:n]...)
		messages, err := unix.ParseSocketControlMessage(room[:m])
		if err == nil && len(messages) == 1 {
			if fds, err := unix.ParseUnixRights(&messages[0]); err == nil && len(fds) == 1 {
				listener = fds[0]
			}
		}
	}
	if err := json.Unmarshal(text, &state); err != nil || listener < 0 {
		t.Errorf("the listener is told %q, with descriptor %d: %v", text, listener, err)
	}
	return state, listener
}

func answer(listener int) {
	defer unix.Close(listener)
	const receive, send = 0xc0502100, 0xc0182101 // SECCOMP_IOCTL_NOTIF_RECV, _SEND
	for {
		fds := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err == unix.EINTR {
			continue
		}
		if fds[0].Revents&unix.POLLHUP != 0 {
			return // nobody has the filter any more
		}
		var n notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), receive, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // the caller was killed
		}
		r := response{id: n.id, errno: -int32(unix.EDOM)}
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), send, uintptr(unsafe.Pointer(&r)))
	}
}

// notified leaves mkdir(2) to a listener.
func notified(path string, noNewPrivs bool) func(map[string]any) {
	return func(c map[string]any) {
		part(c, "process")["noNewPrivileges"] = noNewPrivs
		c["annotations"] = map[string]string{"some": "thing"}
		part(c, "linux")["seccomp"] = map[string]any{
			"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "meta",
			"syscalls": []any{map[string]any{"names": []string{"mkdir", "mkdirat"}, "action": "SCMP_ACT_NOTIFY"}},
		}
	}
}

// A listener gets the descriptor and the container's state, before the command
// makes its first call; of a container, and of what enters it.
func TestListener(t *testing.T) {
	for _, noNewPrivs := range []bool{true, false} {
		t.Run(fmt.Sprintf("no new privileges %v", noNewPrivs), func(t *testing.T) {
			path, heard := agent(t)
			l := named(t)
			l.script("/busybox mkdir /made 2>/said; while :; do /busybox sleep 0.01; done")
			l.change(notified(path, noNewPrivs))
			l.create()
			defer l.must("delete", "-f", "life")
			s := l.state()
			tells := func(status string, pid int) {
				t.Helper()
				got := <-heard
				if got.Metadata != "meta" || len(got.Fds) != 1 || got.Fds[0] != "seccompFd" || got.State.ID != l.id || got.State.Status != status ||
					got.State.Pid != s.Pid || got.State.Bundle != l.dir || got.State.Annotations["some"] != "thing" || pid != 0 && got.Pid != pid {
					t.Errorf("the listener is told %+v", got)
				}
			}
			tells("creating", s.Pid)
			l.must("start", "life")
			said := ""
			for range 1000 {
				if text, err := os.ReadFile(l.dir + "/rootfs/said"); err == nil && len(text) > 0 {
					said = string(text)
					break
				}
				_ = exec.Command("sleep", "0.01").Run()
			}
			if !strings.Contains(said, "out of domain") && !strings.Contains(said, "Domain error") {
				t.Errorf("mkdir says %q", said)
			}
			if os.Geteuid() != 0 {
				l.fails("takes root", "exec", "life", "/busybox", "true")
				return
			}
			_, err := l.inside("/busybox mkdir /made")
			if err == nil || !strings.Contains(err.Error(), "omain") {
				t.Errorf("mkdir in what enters says %v", err)
			}
			tells("running", 0)
		})
	}
}

// Without somebody who listens, nothing is started.
func TestListenerMissing(t *testing.T) {
	l := named(t)
	l.change(notified("/nowhere", true))
	l.fails(`linux.seccomp.listenerPath: send the descriptor to "/nowhere"`, "create", "life")
	l.change(notified("", true))
	l.change(func(c map[string]any) { delete(part(part(c, "linux"), "seccomp"), "listenerMetadata") })
	l.fails("linux.seccomp.listenerPath: it is empty", "create", "life")
	// In the foreground it is the same.
	path, heard := agent(t)
	l.script("/busybox mkdir /made")
	l.change(notified(path, true))
	out, err := exec.Command(l.isorun, "run", "-b", l.dir, l.id).CombinedOutput()
	if exitStatus(err) != 1 || !strings.Contains(string(out), "omain") {
		t.Errorf("run: %v, %s", err, out)
	}
	if got := <-heard; got.State.Status != "creating" || got.State.ID != l.id {
		t.Errorf("the listener is told %+v", got)
	}
}
