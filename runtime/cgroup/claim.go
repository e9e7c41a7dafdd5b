package cgroup

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// enableSpare enables controllers that no limit needs. The directory may be
// another user's, or have processes of its own, as below a rootless engine and in
// a container; a controller that is not there keeps the kernel from enabling the
// others with it, so then each is tried alone.
func (a action) enableSpare() error {
	try := func(w write) error {
		err := writeFile(unix.AT_FDCWD, a.dir+"/"+w.file, w.data)
		if err == nil || withheld(err) {
			return err
		}
		return writeError(w, a.dir, err)
	}
	err := try(a.write)
	if err == unix.ENOENT {
		for _, c := range a.spare {
			if err = try(enabling([]string{c})); err != nil && !withheld(err) {
				return err
			}
		}
	}
	if withheld(err) {
		return nil
	}
	return err
}

// withheld says that the kernel does not give a controller here, or not to this
// user.
func withheld(err error) bool {
	switch err {
	case unix.EACCES, unix.EPERM, unix.EBUSY, unix.ENOENT, unix.EROFS:
		return true
	}
	return false
}

// claim takes a group that was there before: at a path of the user's choice,
// without processes or groups below it, which would be another's.
func (t *part) claim() error {
	if !t.chosen {
		return fmt.Errorf("mkdir %q: %w; another container has this name: choose another, or remove that one", t.dir, unix.EEXIST)
	}
	text, err := readText(t.fd, "cgroup.procs")
	if err != nil {
		return fmt.Errorf("read the processes of %q: %w", t.dir, err)
	}
	if text != "" {
		return fmt.Errorf("use the existing group %q: %w: it has processes %s; end them, or choose another path", t.dir, unix.EBUSY, strings.Join(strings.Fields(text), " "))
	}
	names, err := subdirs(t.fd)
	if err != nil {
		return fmt.Errorf("list the groups in %q: %w", t.dir, err)
	}
	if len(names) > 0 {
		return fmt.Errorf("use the existing group %q: %w: it has groups below it, such as %q; remove them, or choose another path", t.dir, unix.EBUSY, names[0])
	}
	if t.stands() {
		return fmt.Errorf("use the existing group %q: %w: it is frozen, and the container would be; thaw it, or choose another path", t.dir, unix.EBUSY)
	}
	t.made = append(t.made, t.dir)
	return nil
}

// stands says whether who comes into the group stands still: it is frozen, or one
// above it.
func (t *part) stands() bool {
	if text, err := readText(t.fd, "cgroup.freeze"); err == nil && text == "1" {
		return true
	}
	events, err := readFile(t.fd, "cgroup.events")
	if err == nil && strings.Contains(string(events), "frozen 1") {
		return true
	}
	text, err := readText(t.fd, "freezer.state")
	return err == nil && text != "THAWED"
}
