package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// Remove removes the group with all groups below it, and the directories above
// that Create made and nobody else uses. It waits, bounded, for the last process
// to be gone; one that stays is an error that names it. Removing again does
// nothing.
func (g *Group) Remove() error {
	var all error
	left := g.parts[:0]
	for _, t := range g.parts {
		if err := g.remove(t); err != nil {
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
	return all
}

// remove removes what was made in one hierarchy, from below.
func (g *Group) remove(t *part) error {
	for len(t.made) > 0 {
		dir := t.made[len(t.made)-1]
		begin := program.Now()
		if dir == t.dir {
			if err := removeTree(dir); err != nil {
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
		switch err := unix.Rmdir(dir); err {
		case nil, unix.ENOENT:
			return true, nil
		case unix.EBUSY, unix.ENOTEMPTY, unix.EINTR:
		default:
			return false, fmt.Errorf("remove control group %q: %w", dir, err)
		}
		names, err := subdirs(dir)
		for _, name := range names {
			if err := unix.Rmdir(dir + "/" + name); err == unix.EBUSY || err == unix.ENOTEMPTY {
				deeper, err := subdirs(dir + "/" + name)
				if err != nil {
					return false, err
				}
				if len(deeper) > 0 {
					if err := removeTree(dir + "/" + name); err != nil {
						return false, err
					}
				}
			}
		}
		return false, err
	})
	if err != nil || ok {
		return err
	}
	list, err := processes(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return fmt.Errorf("remove control group %q: %w: processes %v are still in it after %v; end them first", dir, unix.EBUSY, list, patience)
}
