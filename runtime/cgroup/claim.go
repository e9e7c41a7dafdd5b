package cgroup

import (
	"fmt"
	"path/filepath"
	"slices"
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
// above it. A group that is made below a frozen one is frozen from the beginning.
func (t *part) stands() bool {
	if t.tree.v2 {
		events, err := readFile(t.fd, "cgroup.events")
		return err == nil && strings.Contains(string(events), "frozen 1")
	}
	if !t.tree.has(freezer.name) {
		return false
	}
	text, err := readText(t.fd, "freezer.state")
	return err == nil && text != "THAWED"
}

// checkAbove refuses a new group whose processes would stand still before they
// have begun, and their launcher with them: one above it is frozen.
func (t *part) checkAbove() error {
	if !t.stands() {
		return nil
	}
	file := "freezer.self_freezing"
	if t.tree.v2 {
		file = "cgroup.freeze"
	}
	above := filepath.Dir(t.dir)
	for dir := above; strings.HasPrefix(dir, t.tree.mount+"/"); dir = filepath.Dir(dir) {
		if text, err := readText(unix.AT_FDCWD, dir+"/"+file); err == nil && text == "1" {
			above = dir
			break
		}
	}
	return fmt.Errorf("%w: the group %q above it is frozen, and the container would be before it begins: thaw that one, or choose another path", unix.EBUSY, above)
}

// Stands says whether who comes into the group stands still, since it is frozen or
// one above it.
func (g *Group) Stands() bool { return slices.ContainsFunc(g.parts, (*part).stands) }
