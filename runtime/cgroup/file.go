package cgroup

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Control files are read and written with plain system calls: os.File would
// register each with the poller first.

const (
	dirFlags   = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	writeFlags = unix.O_WRONLY | unix.O_CLOEXEC
)

func openat(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// readFile reads a file whole. Most are small, and read where no memory has to be
// faulted in.
func readFile(dir int, name string) ([]byte, error) {
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var page [4096]byte
	buf := page[:0]
	for {
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case n == 0:
			return bytes.Clone(buf), nil
		}
		buf = buf[:len(buf)+n]
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, len(buf))...)[:len(buf)]
		}
	}
}

// readText is a file of one line, without its end.
func readText(dir int, name string) (string, error) {
	text, err := readFile(dir, name)
	return strings.TrimSpace(string(text)), err
}

// writeFile writes data with one write, as control files want it.
func writeFile(dir int, name, data string) error {
	fd, err := openat(dir, name, writeFlags)
	if err != nil {
		return err
	}
	err = writeFD(fd, data)
	unix.Close(fd)
	return err
}

func writeFD(fd int, data string) error {
	for {
		_, err := unix.Write(fd, []byte(data))
		if err != unix.EINTR {
			return err
		}
	}
}

func exists(path string) bool { return unix.Access(path, unix.F_OK) == nil }

// number is a file's single number; "max", and version 1's largest, are -1.
func number(dir int, name string) (int64, error) {
	text, err := readText(dir, name)
	if err != nil {
		return 0, err
	}
	return toNumber(text)
}

func toNumber(text string) (int64, error) {
	if text == "max" {
		return -1, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if n >= 1<<63-1<<16 { // version 1's "unlimited", whatever the page size
		return -1, err
	}
	return int64(n), err
}

// counters reads, of a file of "key value" lines, those that are wanted. A key
// that this kernel does not have leaves its number as it is.
func counters(dir int, name string, wanted map[string]*uint64) error {
	text, err := readFile(dir, name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if to := wanted[key]; to != nil {
			if *to, err = strconv.ParseUint(value, 10, 64); err != nil {
				return fmt.Errorf("read %s: %s: %w", name, key, err)
			}
		}
	}
	return nil
}
