package cgroup

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Whoever may make groups inside a container chooses their names and their depth.
// So groups below others are reached step by step, by descriptors: a path of them
// all may be longer than the kernel takes, and one descriptor for each level more
// than this process may have.

// below calls enter with a descriptor of a group's directory, then of each below
// it, those above first; and, unless it is nil, leave for each below, those below
// first, with a descriptor of the one above, and its name. What is gone is passed
// over.
func below(dir string, enter func(fd int) error, leave func(above int, name string) error) error {
	at, err := openat(unix.AT_FDCWD, dir, dirFlags)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open control group %q: %w", dir, err)
	}
	w := walk{at: at, top: dir, enter: enter, leave: leave}
	defer func() { unix.Close(w.at) }()
	if err := w.look(); err != nil {
		return err
	}
	for {
		last := len(w.left) - 1
		switch n := len(w.left[last]); {
		case n > 0:
			if err := w.down(w.left[last][n-1]); err != nil {
				return err
			}
		case last == 0:
			return nil
		default:
			if err := w.up(); err != nil {
				return err
			}
		}
	}
}

// walk is where below is.
type walk struct {
	at    int
	top   string
	left  [][]string // for each level, the names that are left; the last is where it is
	enter func(fd int) error
	leave func(above int, name string) error
}

// look takes note of what is in the directory.
func (w *walk) look() error {
	if w.enter != nil {
		if err := w.enter(w.at); err != nil {
			return err
		}
	}
	names, err := subdirs(w.at)
	if err != nil {
		return fmt.Errorf("list the groups in %q: %w", w.top, err)
	}
	w.left = append(w.left, names)
	return nil
}

// down goes to a group.
func (w *walk) down(name string) error {
	fd, err := openat(w.at, name, dirFlags|unix.O_NOFOLLOW)
	if err == unix.ENOENT {
		last := len(w.left) - 1
		w.left[last] = w.left[last][:len(w.left[last])-1]
		return nil
	}
	if err != nil {
		return fmt.Errorf("open control group %q in %q: %w", name, w.top, err)
	}
	unix.Close(w.at)
	w.at = fd
	return w.look()
}

// up goes back to the group above, and is done with the one it was in.
func (w *walk) up() error {
	fd, err := openat(w.at, "..", dirFlags)
	if err != nil {
		return fmt.Errorf("open a control group in %q: %w", w.top, err)
	}
	unix.Close(w.at)
	w.at = fd
	w.left = w.left[:len(w.left)-1]
	last := len(w.left) - 1
	n := len(w.left[last]) - 1
	name := w.left[last][n]
	w.left[last] = w.left[last][:n]
	if w.leave == nil {
		return nil
	}
	return w.leave(w.at, name)
}

// subdirs names the directories in a group's directory. One that is gone has
// none.
func subdirs(dir int) ([]string, error) {
	var st unix.Stat_t
	if unix.Fstat(dir, &st) == nil && st.Nlink == 2 { // see childless
		return nil, nil
	}
	fd, err := openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err == unix.ENOENT {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "control group")
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if errors.Is(err, unix.ENOENT) {
		err = nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}
