package unpack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Remove removes a tree, also one with directories that even their owner may
// not write. It follows no symbolic link, enters no mount, and needs the same
// few descriptors however deep the tree is. A tree that is not there is no
// error. Files of other users are removed by who unpacked them: as root, or
// within the same user namespace.
func Remove(dir string) error {
	dir = filepath.Clean(dir)
	at, err := unix.Open(filepath.Dir(dir), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %q: %w", dir, err)
	}
	defer unix.Close(at)
	if err := removeTree(at, filepath.Base(dir)); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove %q: %w; files of other users are removed as root, or in the user namespace that unpacked them", dir, err)
	}
	return nil
}

// removeTree removes the directory base, flat: directories below that are not
// empty are moved up into it first.
func removeTree(dirfd int, base string) error {
	top, err := openToEmpty(dirfd, base)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	moved := 0
	for {
		names, err := list(top)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			break
		}
		for _, name := range names {
			if err := removeOne(top, name, &moved); err != nil {
				return err
			}
		}
	}
	return unix.Unlinkat(dirfd, base, unix.AT_REMOVEDIR)
}

// removeOne removes a name of the top directory; directories in it that are
// not empty become names of the top directory.
func removeOne(top int, name string, moved *int) error {
	if err := unlink(top, name); err != unix.ENOTEMPTY {
		return err
	}
	fd, err := openToEmpty(top, name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	names, err := list(fd)
	if err != nil {
		return err
	}
	for _, child := range names {
		err := unlink(fd, child)
		if err == unix.ENOTEMPTY {
			err = moveUp(fd, child, top, moved)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", child, err)
		}
	}
	return unlink(top, name)
}

// moveUp moves a directory into the top one, under a name that is free there.
func moveUp(fd int, child string, top int, moved *int) error {
	// It may have to be writable to get another "..".
	_ = chmodNoFollow(fd, child, 0o700) // the rename tells
	for {
		*moved++
		err := unix.Renameat2(fd, child, top, ".removed-"+strconv.Itoa(*moved), unix.RENAME_NOREPLACE)
		if err != unix.EEXIST {
			return err
		}
	}
}

// unlink removes a file or an empty directory; ENOTEMPTY means a directory
// that is not empty, or may not be.
func unlink(dirfd int, name string) error {
	err := unix.Unlinkat(dirfd, name, 0)
	if err == unix.EISDIR {
		err = unix.Unlinkat(dirfd, name, unix.AT_REMOVEDIR)
	}
	if err == unix.ENOENT {
		return nil
	}
	return err
}

// openToEmpty opens a directory on the same mount, and makes it one that its
// owner can empty.
func openToEmpty(dirfd int, name string) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	}
	_ = chmodNoFollow(dirfd, name, 0o700) // what follows tells
	return unix.Openat2(dirfd, name, &how)
}

// list is the names in a directory.
func list(fd int) ([]string, error) {
	own, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(own), "directory")
	defer f.Close()
	return f.Readdirnames(-1)
}
