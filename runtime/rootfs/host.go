package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// MountID is the number of the mount that a path is in, with which Unmount knows
// what was there before. statx(2), STATX_MNT_ID: Linux 5.8.
func MountID(path string) (uint64, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &st)
	if err == nil && st.Mask&unix.STATX_MNT_ID == 0 {
		err = unix.ENOSYS
	}
	if err != nil {
		return 0, fmt.Errorf("find the mount of %q: %w; it takes Linux 5.8, or a mount namespace of the container's own", path, err)
	}
	return st.Mnt_id, nil
}

// bindRootOnHost binds the root on itself where the host may see it: twice, so that
// Unmount finds nothing of the host's to take along.
//
// A mount on a shared one is made on all its peers. When the root is a bind mount of
// the user's on a shared "/", these two are peers, and the kernel puts a copy of what
// is mounted on the root onto "/" too, beneath the user's mount. As a plain bind it
// would be a peer of both as well: its end would be that of what is mounted on its
// peers, and so of the user's mount, which is on the copy. So the first bind is
// private before it is put there: the copy is then its only peer, and goes with it.
// It goes only when nothing is below it; what is mounted below the root is therefore
// in the second bind, which is on the first, private by then, and has no copies.
func (b *builder) bindRootOnHost() {
	root := b.dir(b.o.Root)
	at := program.Place{Dir: root}
	tree := program.Result(b.addNamed("copy root", program.OpenTree(at, true)))
	b.addNamed("mounts private", program.MountSetattr(tree, 0, 0, unix.MS_PRIVATE, true))
	first := program.Result(b.addNamed("copy root alone", program.OpenTree(at, false)))
	b.addNamed("root alone private", program.MountSetattr(first, 0, 0, unix.MS_PRIVATE, false))
	b.addNamed("bind root alone", program.MoveMount(first, at))
	b.addNamed("root alone private", program.MountSetattr(first, 0, 0, unix.MS_PRIVATE, false))
	b.addNamed("bind root", program.MoveMount(tree, at))
	b.done(root, tree, first)
}

// hostBinds is how many mounts there are at most on the root: see bindRootOnHost.
const hostBinds = 2

// Unmount removes what Build has mounted on the host, for a container without a
// mount namespace: the root on itself, with all below it. Before is the mount
// that the root was in. Where that is what is there now, nothing is done.
func Unmount(root string, before uint64) error {
	for range hostBinds {
		now, err := MountID(root)
		if err != nil || now == before {
			return err
		}
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %q: %w", root, err)
		}
	}
	return nil
}

// HostRecord tells later processes of mounts on the host, which outlive a runtime
// that is killed. Its file is locked for as long as the runtime lives.
type HostRecord struct {
	file *os.File
	name string
}

// hostRecords is the directory of the records, below that for all records.
const hostRecords = "mounts"

// RecordHost leaves a record in a directory of what Unmount would have to be told,
// and of which directory the root is: a bind on itself is the same one, and what
// somebody else mounts there later is not. It is complete and locked when it gets
// its name.
func RecordHost(dir, root string, before uint64) (_ *HostRecord, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("record the mounts of %q: %w; give the container a mount namespace, or run as root", root, err)
		}
	}()
	own, err := ownMounts()
	if err != nil {
		return nil, err
	}
	var what unix.Stat_t
	if err := unix.Stat(root, &what); err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, hostRecords)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(dir, os.O_RDWR|unix.O_TMPFILE, 0o600)
	if err != nil {
		return nil, err
	}
	r := &HostRecord{file: f, name: filepath.Join(dir, strconv.Itoa(os.Getpid())+"-"+strconv.FormatUint(before, 10))}
	fd := int(f.Fd())
	err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		_, err = fmt.Fprintf(f, "%d %d %d %d %q\n", own, before, what.Dev, what.Ino, root)
	}
	if err == nil {
		_ = os.Remove(r.name) // of a process that had this number
		err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), unix.AT_FDCWD, r.name, unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return r, nil
}

// Close removes the record when the mounts are gone, and leaves it to SweepHost
// otherwise. A nil one is none.
func (r *HostRecord) Close(gone bool) (err error) {
	if r == nil {
		return nil
	}
	if gone {
		err = os.Remove(r.name)
	}
	return errors.Join(err, r.file.Close())
}

// SweepHost removes the mounts on the host whose runtime was killed, as far as the
// records in a directory tell of them. Those of other mount namespaces it leaves.
// It returns the roots that they were in.
func SweepHost(dir string) (roots []string, err error) {
	dir = filepath.Join(dir, hostRecords)
	list, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) { // there is none of this user's
		return nil, nil
	}
	if err != nil || len(list) == 0 {
		return nil, err
	}
	own, err := ownMounts()
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		name := filepath.Join(dir, e.Name())
		root, serr := sweepRecord(name, own)
		if serr != nil {
			err = errors.Join(err, fmt.Errorf("remove what the record %q tells of: %w", name, serr))
		} else if root != "" {
			roots = append(roots, root)
		}
	}
	return roots, err
}

// sweepRecord does what one record asks for; root is empty where there was nothing
// to do.
func sweepRecord(name string, own uint64) (root string, err error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return "", nil // its runtime lives
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Nlink == 0 { // another sweep was here
		return "", err
	}
	var where, before, dev, ino uint64
	if _, err := fmt.Fscanf(f, "%d %d %d %d %q\n", &where, &before, &dev, &ino, &root); err != nil {
		return "", fmt.Errorf("read it: %w; unmount what is there, and remove the file", err)
	}
	if where != own {
		return "", nil
	}
	now, err := MountID(root)
	var what unix.Stat_t
	if err == nil {
		err = unix.Stat(root, &what)
	}
	switch {
	// Killed before it mounted, or they are gone, and something else is there.
	case errors.Is(err, os.ErrNotExist) || err == nil && (now == before || what.Dev != dev || what.Ino != ino):
		return "", os.Remove(name)
	case err != nil:
		return "", err
	}
	if err := Unmount(root, before); err != nil {
		return "", err
	}
	return root, os.Remove(name)
}

// ownMounts is the number of this process's mount namespace.
func ownMounts() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/mnt", &st); err != nil {
		return 0, fmt.Errorf("find this process's mount namespace: %w; mount /proc", err)
	}
	return st.Ino, nil
}
