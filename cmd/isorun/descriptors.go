package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// preserved reads --preserve-fds: how many descriptors from 3 on a container
// gets, with those of socket activation, which come first. All must be open.
func preserved(text string, listen int) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("--preserve-fds: %q is no number of descriptors", text)
	}
	total := listen + int(n)
	for fd := 3; fd < 3+total; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			if fd < 3+listen {
				return 0, fmt.Errorf("LISTEN_FDS: descriptor %d of %d is not open: %w", fd, listen, err)
			}
			return 0, fmt.Errorf("--preserve-fds: descriptor %d of %d is not open: %w", fd, total, err)
		}
	}
	return total, nil
}

// listening is how many sockets a service manager has handed to this process, to
// be passed on; see sd_listen_fds(3).
func listening() int {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0
	}
	n, err := strconv.ParseUint(os.Getenv("LISTEN_FDS"), 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}
