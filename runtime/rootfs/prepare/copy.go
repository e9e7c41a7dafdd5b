package prepare

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// copier copies a tree that is not to be trusted: every name is opened below its
// directory, and no link is followed.
type copier struct {
	top   map[string]bool // what of the topmost directory is not the original's: "mode", "uid", "gid"
	depth int
}

// deepest is how deep a tree may be.
const deepest = 256

// fill copies what is in a directory, and the directory's own attributes.
func (c *copier) fill(from, to int) error {
	if c.depth++; c.depth > deepest {
		return fmt.Errorf("it is deeper than %d directories", deepest)
	}
	defer func() { c.depth-- }()
	names, err := list(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.entry(from, to, name); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	if c.depth > 1 {
		return attributes(from, to, &st)
	}
	uid, gid := int(st.Uid), int(st.Gid)
	if c.top["uid"] {
		uid = -1
	}
	if c.top["gid"] {
		gid = -1
	}
	if err := unix.Fchown(to, uid, gid); err != nil {
		return err
	}
	if c.top["mode"] {
		return nil
	}
	return unix.Fchmod(to, st.Mode&0o7777)
}

// list are the names in a directory.
func list(dir int) ([]string, error) {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "directory")
	defer f.Close()
	return f.Readdirnames(-1)
}

// entry copies one name.
func (c *copier) entry(from, to int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if err := unix.Mkdirat(to, name, 0o700); err != nil {
			return err
		}
		return both(from, to, name, unix.O_RDONLY|unix.O_DIRECTORY, c.fill)
	case unix.S_IFREG:
		fd, err := unix.Openat(to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		unix.Close(fd)
		return both(from, to, name, unix.O_RDWR, content)
	case unix.S_IFLNK:
		target, err := readlink(from, name, int(st.Size))
		if err == nil {
			err = unix.Symlinkat(target, to, name)
		}
		if err != nil {
			return err
		}
		return unix.Fchownat(to, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW)
	case unix.S_IFSOCK:
		return nil // which nobody listens at
	}
	if err := unix.Mknodat(to, name, st.Mode, int(st.Rdev)); err != nil {
		return err
	}
	if err := unix.Fchownat(to, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return unix.Fchmodat(to, name, st.Mode&0o7777, 0)
}

func readlink(dir int, name string, size int) (string, error) {
	buffer := make([]byte, size+1)
	n, err := unix.Readlinkat(dir, name, buffer)
	if err == nil && n > size {
		err = unix.EAGAIN // it has changed
	}
	return string(buffer[:max(0, n)]), err
}

// both opens a name in both directories, the first to read.
func both(from, to int, name string, flags int, f func(from, to int) error) error {
	const same = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	in, err := unix.Openat(from, name, flags&unix.O_DIRECTORY|unix.O_RDONLY|same, 0)
	if err != nil {
		return err
	}
	defer unix.Close(in)
	out, err := unix.Openat(to, name, flags|same, 0)
	if err != nil {
		return err
	}
	defer unix.Close(out)
	return f(in, out)
}

// content copies a file.
func content(from, to int) error {
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return unix.EAGAIN // it has changed
	}
	buffer := make([]byte, 64<<10)
	for {
		n, err := unix.Read(from, buffer)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return attributes(from, to, &st)
		}
		for part := buffer[:n]; len(part) > 0; {
			n, err := unix.Write(to, part)
			if err != nil && err != unix.EINTR {
				return err
			}
			part = part[max(0, n):]
		}
	}
}

// attributes copies owner, mode, extended attributes and times, in this order: a
// change of the owner takes the set-user-ID bit and the capabilities away.
func attributes(from, to int, st *unix.Stat_t) error {
	if err := unix.Fchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(to, st.Mode&0o7777); err != nil {
		return err
	}
	if err := extended(from, to); err != nil {
		return err
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return unix.UtimesNanoAt(to, "", times, unix.AT_EMPTY_PATH)
}

// extended copies the extended attributes, as far as a tmpfs has them.
func extended(from, to int) error {
	size, err := unix.Flistxattr(from, nil)
	if err != nil || size == 0 {
		return nil //nolint:nilerr // a file system without them
	}
	names := make([]byte, size)
	if size, err = unix.Flistxattr(from, names); err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:size]), "\x00"), "\x00") {
		value := make([]byte, 64<<10)
		n, err := unix.Fgetxattr(from, name, value)
		if err == nil {
			err = unix.Fsetxattr(to, name, value[:n], 0)
		}
		if err != nil && err != unix.EOPNOTSUPP && err != unix.EPERM && err != unix.ENODATA {
			return fmt.Errorf("extended attribute %q: %w", name, err)
		}
	}
	return nil
}
