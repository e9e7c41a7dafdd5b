package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// entry unpacks one entry.
func (u *unpacker) entry(hdr *tar.Header) error {
	if hdr.Typeflag == tar.TypeXGlobalHeader {
		return nil // a default for entries, such as git's comment; none is used
	}
	name, err := clean(hdr.Name)
	if err != nil {
		return err
	}
	kind := hdr.Typeflag
	if strings.HasSuffix(hdr.Name, "/") && kind == tar.TypeReg {
		kind = tar.TypeDir // as tar does, for archives older than POSIX
	}
	if name == "." && kind != tar.TypeDir {
		return errors.New("it would replace the root of the tree; only a directory can be that")
	}
	m, err := u.meta(hdr)
	if err != nil {
		return err
	}
	switch kind {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		if hdr.PAXRecords["SCHILY.filetype"] == "socket" {
			u.skip(hdr, "it is a socket, which exists while a process listens on it")
			return nil
		}
		return u.file(name, hdr, m)
	case tar.TypeDir:
		return u.directory(name, m)
	case tar.TypeSymlink:
		return u.symlink(name, hdr, m)
	case tar.TypeLink:
		return u.hardLink(name, hdr)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return u.node(name, hdr, m)
	}
	u.skip(hdr, fmt.Sprintf("entries of type %q have no file", kind))
	return nil
}

func (u *unpacker) skip(hdr *tar.Header, why string) {
	u.report.Skipped = append(u.report.Skipped, fmt.Sprintf("%q: %s", hdr.Name, why))
}

// clean is a name as a path in the tree: relative, without dots and double
// slashes; "." is the root. A leading slash is the tree's root.
func clean(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("it has no name")
	case len(name) > maxName:
		return "", fmt.Errorf("its name has %d bytes; %d are taken", len(name), maxName)
	case strings.IndexByte(name, 0) >= 0:
		return "", errors.New("its name has a NUL byte, which no file name can have")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("%q has a \"..\" component, which could lead out of the tree; make the archive without it", name)
		}
	}
	return path.Clean(strings.TrimLeft(name, "/")), nil
}

// file makes a regular file. Its content comes first, since a write drops
// privileges that a file has (setuid, capabilities).
func (u *unpacker) file(name string, hdr *tar.Header, m meta) error {
	if n := u.options.MaxBytes; n > 0 && hdr.Size > n-u.report.Bytes {
		return fmt.Errorf("the files are longer than %d bytes together; raise the limit if the archive can be trusted", n)
	}
	fd := -1
	err := u.tree.make(name, func(at place, base string) (err error) {
		fd, err = unix.Openat(at.fd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return fmt.Errorf("create the file: %w", err)
	}
	err = u.fill(fd, isSparse(hdr))
	if err == nil && u.tree.masked { // to set user attributes takes the permission to write
		err = unix.Fchmod(fd, 0o600)
	}
	if err == nil {
		err = u.apply(fd, m)
	}
	if closeErr := unix.Close(fd); err == nil && closeErr != nil {
		err = fmt.Errorf("close the file: %w", closeErr)
	}
	u.report.Files++
	return err
}

// isSparse says whether a file has holes: in GNU tar's old format, or in one
// of the three that it writes with PAX headers.
func isSparse(hdr *tar.Header) bool {
	return hdr.Typeflag == tar.TypeGNUSparse ||
		hdr.PAXRecords["GNU.sparse.major"] != "" || hdr.PAXRecords["GNU.sparse.map"] != ""
}

// symlink makes a symbolic link. Where it leads is not looked at: it means
// something in the container.
func (u *unpacker) symlink(name string, hdr *tar.Header, m meta) error {
	return u.unopened(name, m, &u.report.Links, func(at place, base string) error {
		return unix.Symlinkat(hdr.Linkname, at.fd, base)
	})
}

// node makes a device node or a FIFO; see mknod(2).
func (u *unpacker) node(name string, hdr *tar.Header, m meta) error {
	kind := map[byte]uint32{tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK, tar.TypeFifo: unix.S_IFIFO}[hdr.Typeflag]
	dev := 0
	if kind != unix.S_IFIFO {
		if u.options.SkipDevices {
			u.skip(hdr, fmt.Sprintf("device %d:%d was not asked for; a user namespace cannot make it", hdr.Devmajor, hdr.Devminor))
			return nil
		}
		if hdr.Devmajor < 0 || hdr.Devmajor >= 1<<12 || hdr.Devminor < 0 || hdr.Devminor >= 1<<20 {
			return fmt.Errorf("there is no device %d:%d; numbers end at 4095:1048575", hdr.Devmajor, hdr.Devminor)
		}
		dev = int(unix.Mkdev(uint32(hdr.Devmajor), uint32(hdr.Devminor)))
	}
	err := u.unopened(name, m, &u.report.Devices, func(at place, base string) error {
		return unix.Mknodat(at.fd, base, kind|0o600, dev)
	})
	if errors.Is(err, unix.EPERM) && kind != unix.S_IFIFO {
		return fmt.Errorf("make device %d:%d: %w; it takes CAP_MKNOD outside of any user namespace, or leave devices out (SkipDevices)", hdr.Devmajor, hdr.Devminor, err)
	}
	return err
}

// unopened makes what cannot be opened to be changed, with f, and counts it.
func (u *unpacker) unopened(name string, m meta, count *int, f func(at place, base string) error) error {
	err := u.tree.make(name, func(at place, base string) error {
		if err := f(at, base); err != nil {
			return err
		}
		*count++
		return u.applyAt(at.fd, base, m)
	})
	return err
}

// hardLink gives a file of the tree another name. Its header repeats what the
// file's own says, so it is not applied.
func (u *unpacker) hardLink(name string, hdr *tar.Header) error {
	target, err := clean(hdr.Linkname)
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", hdr.Linkname, err)
	}
	if name == target {
		return fmt.Errorf("hard link to %q: it is the link itself", hdr.Linkname)
	}
	err = u.tree.make(name, func(at place, base string) error {
		from, err := u.tree.dir(path.Dir(target), false)
		if err != nil {
			return err
		}
		err = unix.Linkat(from.fd, path.Base(target), at.fd, base, 0)
		if err == unix.EEXIST && sameFile(from.fd, path.Base(target), at.fd, base) {
			return nil // it would be removed to be linked to itself
		}
		return err
	})
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("hard link to %q: %w: no earlier entry made it", hdr.Linkname, err)
	case err != nil:
		return fmt.Errorf("hard link to %q: %w", hdr.Linkname, err)
	}
	u.report.HardLinks++
	return nil
}

// sameFile says whether two names are links to one file.
func sameFile(dir1 int, base1 string, dir2 int, base2 string) bool {
	var a, b unix.Stat_t
	return unix.Fstatat(dir1, base1, &a, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		unix.Fstatat(dir2, base2, &b, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		a.Dev == b.Dev && a.Ino == b.Ino
}

// directory makes a directory, or takes the one that is there; it gets its
// mode and times at the end, since it may not let itself be filled with them.
func (u *unpacker) directory(name string, m meta) error {
	u.report.Dirs++
	if name == "." {
		u.late["."] = m
		return nil
	}
	err := u.tree.make(name, func(at place, base string) error {
		err := u.tree.mkdir(at.fd, base)
		if err == unix.EEXIST {
			var st unix.Stat_t
			if statErr := unix.Fstatat(at.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); statErr != nil {
				return statErr
			}
			if st.Mode&unix.S_IFMT == unix.S_IFDIR {
				err = nil
			}
		}
		if err == nil {
			u.late[path.Join(at.real, base)] = m
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	return nil
}
