package terminal

import (
	"fmt"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Pair opens a pty of the host's /dev/pts; see pty(7). Both files are closed on
// exec. The slave blocks when it is read, as commands expect of a terminal.
func Pair() (master, slave *os.File, err error) {
	master, slave, err = pty.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("open a pty: %w; is /dev/ptmx there, and /dev/pts mounted?", err)
	}
	err = control(slave, func(fd int) error { return unix.SetNonblock(fd, false) })
	if err != nil {
		master.Close()
		slave.Close()
		return nil, nil, fmt.Errorf("make the slave of the pty blocking: %w", err)
	}
	return master, slave, nil
}

// Receive takes the master of a pty from a unix socket: one message with
// exactly one descriptor (SCM_RIGHTS, unix(7)). The message's bytes mean
// nothing. It blocks until the message comes; the descriptor is closed on exec.
func Receive(sock int) (master *os.File, err error) {
	fds, err := receive(sock)
	if err != nil {
		return nil, fmt.Errorf("receive a terminal: %w", err)
	}
	if len(fds) != 1 {
		closeAll(fds)
		return nil, fmt.Errorf("receive a terminal: the message has %d descriptors; it must have one", len(fds))
	}
	number, err := unix.IoctlGetUint32(fds[0], unix.TIOCGPTN)
	if err != nil {
		closeAll(fds)
		return nil, fmt.Errorf("receive a terminal: the descriptor is not the master of a pty: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), fmt.Sprintf("master of pts/%d", number)), nil
}

// receive reads one message and returns its descriptors.
func receive(sock int) ([]int, error) {
	data := make([]byte, 4096)                  // runc sends a path along
	room := make([]byte, unix.CmsgSpace(4*253)) // SCM_MAX_FD
	n, roomed, flags, err := 0, 0, 0, error(unix.EINTR)
	for err == unix.EINTR || err == unix.EAGAIN {
		if err == unix.EAGAIN {
			poll(-1, &unix.PollFd{Fd: int32(sock), Events: unix.POLLIN})
		}
		n, roomed, flags, _, err = unix.Recvmsg(sock, data, room, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(room[:roomed])
	if err != nil {
		return nil, fmt.Errorf("parse the control message: %w", err)
	}
	var fds []int
	for i := range messages {
		if more, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, more...)
		}
	}
	switch {
	case flags&unix.MSG_CTRUNC != 0:
		closeAll(fds)
		return nil, fmt.Errorf("the kernel cut the control message: too many descriptors are open, see RLIMIT_NOFILE in getrlimit(2)")
	case n == 0 && len(fds) == 0:
		return nil, fmt.Errorf("the other end was closed before it sent one")
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// control runs f with a file's descriptor, and leaves its mode as it is.
func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}
