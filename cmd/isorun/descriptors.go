package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program/inherit"
)

// preserved reads --preserve-fds: how many descriptors from 3 on a container
// gets, with those of socket activation, which come first. All must have been
// there from the beginning: what this process opens itself is closed on exec.
func preserved(text string, listen int) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("--preserve-fds: %q is no number of descriptors", text)
	}
	total := listen + int(n)
	for fd := 3; fd < 3+total; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			continue
		}
		name := "--preserve-fds"
		if fd < 3+listen {
			name = "LISTEN_FDS"
		}
		return 0, fmt.Errorf("%s: descriptor %d is not open, of those from 3 to %d", name, fd, 2+total)
	}
	return total, nil
}

// listening is how many sockets a service manager has handed to this process, to
// be passed on; see sd_listen_fds(3).
func listening() int {
	if getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0
	}
	n, err := strconv.ParseUint(getenv("LISTEN_FDS"), 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// getenv is os.Getenv, which makes a map of the whole environment first, for what
// each start looks at.
func getenv(name string) string {
	if value, known := inherit.Getenv(name); known {
		return value
	}
	return os.Getenv(name)
}
