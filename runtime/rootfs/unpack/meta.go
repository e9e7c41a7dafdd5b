package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// xattrPrefix begins the PAX keys of extended attributes, in star and GNU tar.
const xattrPrefix = "SCHILY.xattr."

// meta is what an entry asks for beside its content.
type meta struct {
	name         string // the entry's, for the report
	mode         uint32 // permissions, with setuid, setgid and sticky
	uid, gid     int    // when owner is set
	owner        bool
	mtime, atime time.Time // zero: left alone
	xattrs       []xattr
}

type xattr struct{ name, value string }

// meta reads a header.
func (u *unpacker) meta(hdr *tar.Header) (meta, error) {
	m := meta{
		name: hdr.Name, mode: uint32(hdr.Mode) & 0o7777, uid: hdr.Uid, gid: hdr.Gid,
		owner: u.options.Owner, mtime: hdr.ModTime, atime: hdr.AccessTime,
	}
	// The last number means "leave it alone" to the kernel.
	if m.owner && (!isID(hdr.Uid) || !isID(hdr.Gid)) {
		return m, fmt.Errorf("its owner %d:%d is no user and group; ids end at 4294967294", hdr.Uid, hdr.Gid)
	}
	if len(hdr.PAXRecords) == 0 {
		return m, nil
	}
	for _, key := range slices.Sorted(maps.Keys(hdr.PAXRecords)) {
		if name, ok := strings.CutPrefix(key, xattrPrefix); ok {
			m.xattrs = append(m.xattrs, xattr{name, hdr.PAXRecords[key]})
		} else if strings.HasPrefix(key, "SCHILY.acl.") {
			u.skip(hdr, key+": access lists as text are not understood; make the archive with tar --xattrs")
		}
	}
	return m, nil
}

func isID(id int) bool { return id >= 0 && int64(id) < 1<<32-1 }

// apply gives an open file or directory what it asked for. The order matters:
// chown(2) drops setuid, setgid and capabilities, user attributes take the
// permission to write, and everything moves the times but setting them.
func (u *unpacker) apply(fd int, m meta) error {
	if m.owner {
		if err := unix.Fchown(fd, m.uid, m.gid); err != nil {
			return ownerError(m, err)
		}
	}
	for _, x := range m.xattrs {
		if err := u.xattrResult(m, x, unix.Fsetxattr(fd, x.name, []byte(x.value), 0)); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(fd, m.mode); err != nil {
		return fmt.Errorf("set its mode to %#o: %w", m.mode, err)
	}
	if err := setTimes(fd, "", m); err != nil {
		return fmt.Errorf("set its times: %w", err)
	}
	return nil
}

// applyAt is apply for what cannot be opened: symbolic links and nodes. A
// symbolic link has no mode.
func (u *unpacker) applyAt(dirfd int, base string, m meta) error {
	if m.owner {
		if err := unix.Fchownat(dirfd, base, m.uid, m.gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return ownerError(m, err)
		}
	}
	for _, x := range m.xattrs {
		name := "/proc/self/fd/" + strconv.Itoa(dirfd) + "/" + base
		if err := u.xattrResult(m, x, unix.Lsetxattr(name, x.name, []byte(x.value), 0)); err != nil {
			return err
		}
	}
	if err := chmodNoFollow(dirfd, base, m.mode); err != nil && err != unix.EOPNOTSUPP {
		return fmt.Errorf("set its mode to %#o: %w", m.mode, err)
	}
	if err := setTimes(dirfd, base, m); err != nil {
		return fmt.Errorf("set its times: %w", err)
	}
	return nil
}

func ownerError(m meta, err error) error {
	if err == unix.EINVAL {
		return fmt.Errorf("change its owner to %d:%d: %w: the user namespace does not map these ids; give it ranges (/etc/subuid, /etc/subgid), or unpack without owners", m.uid, m.gid, err)
	}
	return fmt.Errorf("change its owner to %d:%d: %w; it takes CAP_CHOWN, or unpack without owners", m.uid, m.gid, err)
}

// xattrResult records an attribute that the kernel or the file system does not
// let this process set, and passes other errors on.
func (u *unpacker) xattrResult(m meta, x xattr, err error) error {
	switch err {
	case nil:
		return nil
	case unix.EPERM, unix.EACCES, unix.EOPNOTSUPP, unix.EINVAL:
		u.report.Skipped = append(u.report.Skipped, fmt.Sprintf("%q: extended attribute %q: %v", m.name, x.name, err))
		return nil
	}
	return fmt.Errorf("set extended attribute %q of %d bytes: %w", x.name, len(x.value), err)
}

// setTimes is utimensat(2); an empty base means the descriptor itself.
func setTimes(fd int, base string, m meta) error {
	times := [2]unix.Timespec{timespec(m.atime), timespec(m.mtime)}
	if times[0].Nsec == unix.UTIME_OMIT && times[1].Nsec == unix.UTIME_OMIT {
		return nil
	}
	if base == "" { // no name at all; x/sys passes none as an empty one
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	}
	return unix.UtimesNanoAt(fd, base, times[:], unix.AT_SYMLINK_NOFOLLOW)
}

// chmodNoFollow is fchmodat2(2) with AT_SYMLINK_NOFOLLOW (Linux 6.6); before,
// chmod(2) of the descriptor's name. A symbolic link gives EOPNOTSUPP.
func chmodNoFollow(dirfd int, base string, mode uint32) error {
	err := unix.Fchmodat(dirfd, base, mode, unix.AT_SYMLINK_NOFOLLOW)
	if err != unix.EOPNOTSUPP {
		return err
	}
	fd, err := unix.Openat(dirfd, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}

// finish gives the directories their owners, modes and times: those below
// before those above, which may lock an ordinary user out.
func (u *unpacker) finish() error {
	names := slices.Collect(maps.Keys(u.late))
	slices.SortFunc(names, above)
	slices.Reverse(names)
	for i, name := range names {
		if i%256 == 0 && u.ctx.Err() != nil {
			return u.ctx.Err()
		}
		u.tree.trim()
		if err := u.finishDir(name, u.late[name]); err != nil {
			return fmt.Errorf("finish directory %q: %w", name, err)
		}
	}
	return nil
}

// above puts directories before what is below them; "." is above all.
func above(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == ".":
		return -1
	case b == ".":
		return 1
	}
	return strings.Compare(a, b)
}

// finishDir finds a directory again, unless a later entry has removed it.
func (u *unpacker) finishDir(name string, m meta) error {
	if name == "." {
		return u.apply(u.tree.root.fd, m)
	}
	at, err := u.tree.dir(path.Dir(name), false)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || err == nil && at.real != path.Dir(name) {
		return nil
	}
	if err != nil {
		return err
	}
	fd, err := unix.Openat(at.fd, path.Base(name), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
		return nil
	default:
		return err
	}
	defer unix.Close(fd)
	return u.apply(fd, m)
}
