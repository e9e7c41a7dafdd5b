package cgroup

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// Remove removes the group with all groups below it, and the directories above
// that Create made and nobody else uses. It waits, bounded, for the last process
// to be gone; one that stays is an error that names it. Removing again does
// nothing. What could not be removed is a LeftError.
func (g *Group) Remove() error { return g.removeWith(removeTree) }

// RemoveEmpty is Remove of what nobody uses: for a group that may be another's. One
// with processes, or with groups below it, is an EBUSY.
func (g *Group) RemoveEmpty() error { return g.removeWith(removeEmpty) }

// LeftError says that a group is still there.
type LeftError struct{ Err error }

func (e *LeftError) Error() string { return e.Err.Error() }
func (e *LeftError) Unwrap() error { return e.Err }

func (g *Group) removeWith(rmdir func(dir string) error) error {
	if g.scope != nil {
		if err := g.endScope(); err != nil {
			return &LeftError{err}
		}
	}
	var all error
	left := g.parts[:0]
	for _, t := range g.parts {
		if err := g.remove(t, rmdir); err != nil {
			all = errors.Join(all, err)
			left = append(left, t)
		}
	}
	g.parts = left
	for _, line := range g.above {
		for dir := range strings.SplitSeq(line, "\t") {
			if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT && err != unix.EBUSY && err != unix.ENOTEMPTY {
				all = errors.Join(all, fmt.Errorf("remove directory %q: %w", dir, err))
			}
		}
	}
	g.above = nil
	if all == nil && g.record != "" {
		if err := unix.Unlink(g.record); err != nil && err != unix.ENOENT {
			return fmt.Errorf("remove the owner record %q: %w", g.record, err)
		}
		g.record = ""
	}
	if all != nil {
		return &LeftError{all}
	}
	return nil
}

// remove removes what was made in one hierarchy, from below.
func (g *Group) remove(t *part, rmdir func(dir string) error) error {
	for len(t.made) > 0 {
		dir := t.made[len(t.made)-1]
		begin := program.Now()
		if dir == t.dir {
			if err := rmdir(dir); err != nil {
				return err
			}
		} else if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT && err != unix.EBUSY && err != unix.ENOTEMPTY {
			return fmt.Errorf("remove directory %q: %w", dir, err)
		}
		t.made = t.made[:len(t.made)-1]
		g.timed("rmdir "+t.tree.name(), begin)
	}
	t.closeAll()
	return nil
}

func (t *part) closeAll() {
	for _, fd := range [...]*int{&t.fd, &t.prog} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// Close gives the group's descriptors back and leaves the group as it is.
func (g *Group) Close() {
	for _, t := range g.parts {
		t.closeAll()
	}
	g.parts = nil
}

// removeTree removes a group and those below it. EBUSY is a process that is
// about to be gone, or one that is not.
func removeTree(dir string) error {
	ok, err := wait(func() (bool, error) {
		if ok, err := removeOne(unix.AT_FDCWD, dir); ok || err != nil {
			return ok, err
		}
		return false, below(dir, nil, func(above int, name string) error {
			_, err := removeOne(above, name)
			return err
		})
	})
	if err != nil || ok {
		return err
	}
	list, err := processes(dir)
	if err != nil {
		return err
	}
	return fmt.Errorf("remove control group %q: %w: processes %v are still in it after %v; end them first", dir, unix.EBUSY, list, patience)
}

// removeOne removes a group, and says whether it is gone.
func removeOne(at int, name string) (bool, error) {
	switch err := unix.Unlinkat(at, name, unix.AT_REMOVEDIR); err {
	case nil, unix.ENOENT:
		return true, nil
	case unix.EBUSY, unix.ENOTEMPTY, unix.EINTR:
		return false, nil
	default:
		return false, fmt.Errorf("remove control group %q: %w", name, err)
	}
}

// removeEmpty removes a group that is empty, or is about to be: a child that dies
// with its launcher takes milliseconds.
func removeEmpty(dir string) error {
	ok, err := waitFor(patience/20, func() (bool, error) { return removeOne(unix.AT_FDCWD, dir) })
	if err == nil && !ok {
		err = fmt.Errorf("remove control group %q: %w: it has processes, or groups below it, which may be another container's", dir, unix.EBUSY)
	}
	return err
}
