package terminal

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// bell is an eventfd(2) that stays readable once it was rung.
type bell struct{ fd int }

func newBell() (bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return bell{-1}, fmt.Errorf("make an eventfd: %w", err)
	}
	return bell{fd}, nil
}

// ring may be called again; a counter that is full is readable too.
func (b bell) ring() { _, _ = unix.Write(b.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// poll waits until one of the descriptors is ready, or for so many
// milliseconds; -1 is for ever. Afterwards Revents says which are. A failure,
// which only a lack of memory can be, looks like the time's end.
func poll(ms int, fds ...*unix.PollFd) {
	list := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		list[i] = *fd
	}
	for {
		_, err := unix.Poll(list, ms)
		if err == unix.EINTR {
			continue
		}
		for i := range fds {
			fds[i].Revents = list[i].Revents
		}
		return
	}
}

// rest waits for so many milliseconds, and says whether the bell rang.
func (b bell) rest(ms int) bool {
	p := &unix.PollFd{Fd: int32(b.fd), Events: unix.POLLIN}
	poll(ms, p)
	return p.Revents != 0
}

// await waits until the descriptor is ready, or hung up, or the bell rings.
func (b bell) await(fd int, events int16) (revents int16, rang bool) {
	file, own := &unix.PollFd{Fd: int32(fd), Events: events}, &unix.PollFd{Fd: int32(b.fd), Events: unix.POLLIN}
	poll(-1, file, own)
	return file.Revents, own.Revents != 0
}
