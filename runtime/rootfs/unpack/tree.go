package unpack

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxDirs is how many descriptors of directories a tree keeps.
const maxDirs = 64

// place is a directory of the tree.
type place struct {
	fd   int
	real string // its path in the tree, without symbolic links
}

// tree is the directory that is filled. Paths in it are clean and relative;
// "." is the tree's root.
type tree struct {
	root   place
	host   string           // the root's own path, as /proc/self/fd has it
	dirs   map[string]place // by the path that led there
	masked bool             // the umask takes permissions of the owner
	// implied is told of every directory that no entry had made yet.
	implied func(real string)
}

// openTree opens dir, and makes it when it is missing, with mode 0755.
func openTree(dir string) (*tree, error) {
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	host, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%w; unpacking takes a mounted /proc", err)
	}
	return &tree{root: place{fd, "."}, host: host, dirs: map[string]place{}, masked: ownerMasked()}, nil
}

// ownerMasked says whether the umask takes permissions of a new file's owner,
// so that a new directory could not be filled. See proc_pid_status(5), Linux 4.7.
func ownerMasked() bool {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(text), "\nUmask:\t")
	line, _, _ := strings.Cut(rest, "\n")
	mask, err := strconv.ParseUint(line, 8, 32)
	return err != nil || mask&0o700 != 0
}

func (t *tree) close() {
	t.forget()
	unix.Close(t.root.fd)
}

// forget closes the directories that are kept: the paths that led there may
// lead elsewhere now.
func (t *tree) forget() {
	for _, d := range t.dirs {
		unix.Close(d.fd)
	}
	clear(t.dirs)
}

// trim keeps the number of descriptors bounded. It is called when none is in
// use.
func (t *tree) trim() {
	if len(t.dirs) >= maxDirs {
		t.forget()
	}
}

// dir is the directory that a path leads to inside the tree, through symbolic
// links; missing components are made when create is set. The descriptor stays
// good until the next forget or trim.
func (t *tree) dir(name string, create bool) (place, error) {
	if name == "." {
		return t.root, nil
	}
	if d, ok := t.dirs[name]; ok {
		return d, nil
	}
	d, err := t.resolve(name)
	if err == unix.ENAMETOOLONG || err == unix.ENOENT && create {
		d, err = t.walk(name, create)
	}
	if err != nil {
		return place{}, refused(name, err)
	}
	t.dirs[name] = d
	return d, nil
}

// resolve opens a directory of the tree by its whole path.
func (t *tree) resolve(name string) (place, error) {
	fd, err := beneath(t.root.fd, name)
	if err != unix.ELOOP {
		return place{fd, name}, err
	}
	fd, err = openat2(t.root.fd, name, unix.RESOLVE_IN_ROOT)
	if err != nil {
		return place{}, err
	}
	link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		unix.Close(fd)
		return place{}, err
	}
	real := strings.TrimPrefix(strings.TrimPrefix(link, t.host), "/")
	return place{fd, path.Clean(real)}, nil
}

// walk opens a directory one component after the other, and makes those that
// are missing.
func (t *tree) walk(name string, create bool) (place, error) {
	at := t.root
	for end := 0; end < len(name); end++ {
		if next := strings.IndexByte(name[end:], '/'); next < 0 {
			end = len(name)
		} else {
			end += next
		}
		d, err := t.step(at, name[:end], create)
		if at.fd != t.root.fd {
			unix.Close(at.fd)
		}
		if err != nil {
			return place{}, err
		}
		at = d
	}
	return at, nil
}

// step goes from a directory to the one at name, whose parent it is.
func (t *tree) step(at place, name string, create bool) (place, error) {
	base := path.Base(name)
	d := place{real: path.Join(at.real, base)}
	var err error
	d.fd, err = beneath(at.fd, base)
	if err == unix.ELOOP { // a symbolic link begins at the root again
		if d, err = t.resolve(name); err == unix.ENOENT && create {
			err = fmt.Errorf("%q is a symbolic link that leads nowhere in the tree", name)
		}
		return d, err
	}
	if err != unix.ENOENT || !create {
		return d, err
	}
	if err = t.mkdir(at.fd, base); err != nil {
		return d, err
	}
	if d.fd, err = beneath(at.fd, base); err == nil {
		t.implied(d.real)
	}
	return d, err
}

// mkdir makes a directory that its owner alone can use until it gets its mode.
func (t *tree) mkdir(dirfd int, base string) error {
	if err := unix.Mkdirat(dirfd, base, 0o700); err != nil {
		return err
	}
	if t.masked {
		return chmodNoFollow(dirfd, base, 0o700)
	}
	return nil
}

// beneath opens a directory without any symbolic link on the way.
func beneath(dirfd int, name string) (int, error) {
	return openat2(dirfd, name, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
}

// openat2 opens a directory of the tree (Linux 5.6). EAGAIN means that
// something was renamed or mounted meanwhile, anywhere, and is tried again.
func openat2(dirfd int, name string, resolve uint64) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: resolve | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	for range 1000 {
		fd, err := unix.Openat2(dirfd, name, &how)
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}

// make makes an entry with f, which must fail with EEXIST when the name is
// taken: what has it is then removed, and f called again.
func (t *tree) make(name string, f func(at place, base string) error) error {
	base := path.Base(name)
	for try := 0; ; try++ {
		at, err := t.dir(path.Dir(name), true)
		if err != nil {
			return err
		}
		if err = f(at, base); err != unix.EEXIST || try == 2 {
			return err
		}
		if err := t.remove(at.fd, base); err != nil {
			return fmt.Errorf("replace what an earlier entry made: %w", err)
		}
	}
}

// remove removes what has a name, whatever it is. Files cannot be on the way to
// other paths; everything else can.
func (t *tree) remove(dirfd int, base string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dirfd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if err == unix.ENOENT {
			return nil
		}
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		err := removeTree(dirfd, base)
		t.forget()
		return err
	case unix.S_IFLNK:
		err := unix.Unlinkat(dirfd, base, 0)
		t.forget()
		return err
	}
	return unix.Unlinkat(dirfd, base, 0)
}

// refused says why a directory of the tree cannot be used.
func refused(name string, err error) error {
	switch err {
	case unix.ENOTDIR:
		return fmt.Errorf("open its directory %q: %w: one of its components is no directory", name, err)
	case unix.EXDEV:
		return fmt.Errorf("open its directory %q: %w: something is mounted there; unpack into a directory without mounts", name, err)
	case unix.ENOSYS:
		return fmt.Errorf("open its directory %q: %w: openat2 takes Linux 5.6, and a seccomp filter that knows it", name, err)
	}
	return fmt.Errorf("open its directory %q: %w", name, err)
}
