// Package notify passes on to a service manager that a container is ready, as
// sd_notify(3) says it:
//
//	container ─READY=1─► socket in a directory that it sees, read-only ─► Relay ─READY=1, MAINPID─► the manager's socket
//
// The container is told no more than a place of its own, /run/notify. What it
// sends is not passed on but for the one fact: it could claim anything else of the
// service.
package notify

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	socketFile = "notify.sock"
	inside     = "/run/notify"
)

// Show has a container see the directory, and know it.
func Show(s *specs.Spec, dir string) {
	s.Mounts = append(s.Mounts, specs.Mount{
		Destination: inside, Source: dir, Type: "bind", Options: []string{"bind", "nosuid", "noexec", "nodev", "ro"},
	})
	if s.Process != nil {
		s.Process.Env = append(s.Process.Env, "NOTIFY_SOCKET="+inside+"/"+socketFile)
	}
}

// Make makes the directory, empty; other users of the container may enter it.
func Make(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of the notify socket: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask is
		return fmt.Errorf("make the directory of the notify socket: %w", err)
	}
	return nil
}

// Remove removes the directory.
func Remove(dir string) error {
	for _, name := range []string{dir + "/" + socketFile, dir} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the notify socket: %w", err)
		}
	}
	return nil
}

// Socket is where the container sends to.
type Socket struct{ fd int }

// Bind makes the socket in its directory. A directory that is not there is an
// os.ErrNotExist: the container was made without.
func Bind(dir string) (*Socket, error) {
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(at)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make the notify socket: %w", err)
	}
	// The path itself may be longer than an address.
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(at) + "/" + socketFile})
	if err == nil {
		err = unix.Fchmodat(at, socketFile, 0o777, 0)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind the notify socket in %q: %w", dir, err)
	}
	return &Socket{fd}, nil
}

// Close closes the socket; its file stays.
func (s *Socket) Close() { unix.Close(s.fd) }

// Relay waits until the container says that it is ready, tells the manager at
// the host's address, with main as the service's main process, and returns when
// that has understood. It also returns when the process behind pidfd, the
// container's first, has ended.
func (s *Socket) Relay(host string, pidfd, main int) error {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}, {Fd: int32(pidfd), Events: unix.POLLIN}}
	text := make([]byte, 4096)
	for {
		if _, err := unix.Poll(fds, -1); err != nil {
			if err == unix.EINTR {
				continue
			}
			return fmt.Errorf("wait for the container's notification: %w", err)
		}
		if fds[0].Revents == 0 {
			return nil
		}
		n, _, err := unix.Recvfrom(s.fd, text, 0)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("read the container's notification: %w", err)
		}
		for line := range strings.SplitSeq(string(text[:max(0, n)]), "\n") {
			if line == "READY=1" {
				return tell(host, main)
			}
		}
	}
}

// tell sends what the manager is to know, and a barrier: it is sent before this
// process ends, by which the manager knows whose word it is. See
// sd_notify_barrier(3).
func tell(host string, main int) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrUnix{Name: host} // with @ first it is an abstract one
	if err := unix.Sendto(fd, []byte("READY=1\nMAINPID="+strconv.Itoa(main)), unix.MSG_NOSIGNAL, to); err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: tell %q that the container is ready: %w", host, err)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	defer unix.Close(pipe[0])
	err = unix.Sendmsg(fd, []byte("BARRIER=1"), unix.UnixRights(pipe[1]), to, unix.MSG_NOSIGNAL)
	unix.Close(pipe[1])
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: send a barrier to %q: %w", host, err)
	}
	// Who does not know of barriers may keep the descriptor; then there is no more
	// to be done.
	const patience = 30 * time.Second
	end := time.Now().Add(patience)
	for left := patience; left > 0; left = time.Until(end) {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(pipe[0])}}, int(left.Milliseconds()))
		if err != unix.EINTR {
			break
		}
	}
	return nil
}
