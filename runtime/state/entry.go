package state

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/notify"
)

// The files of a container's directory.
const (
	lockFile      = "lock"
	stateFile     = "state.json"
	ConfigFile    = "config.json"
	ResourcesFile = "resources.json"
	StartFile     = "start"
	FailureFile   = "failure"
	NotifyDir     = "notify"
	MountFile     = "mount" // only of a container whose mounts are the host's
	partEnd       = ".part" // of a file that is being written
)

// Entry is a container's directory. It stays that directory: when the container
// is removed, and another one of the same ID made, its files are gone.
type Entry struct {
	ID   string
	path string
	dir  int
	lock int // -1: this process does not hold it
}

// ErrBusy says that somebody else holds the lock.
var ErrBusy = errors.New("another command is changing it")

// patience is how long Lock waits.
const patience = 10 * time.Second

// Lock waits for the lock, for a few seconds. A container that was removed
// meanwhile is an ErrNotExist.
func (e *Entry) Lock() error { return e.lockWith(0) }

// LockAnyway is Lock, also where a crash left no lock to hold. Where none can be
// made, as on a full disk, a directory with nothing in it is removed at once: that
// is an ErrNotExist, too.
func (e *Entry) LockAnyway() error {
	err := e.lockWith(unix.O_CREAT)
	if err == nil || errors.Is(err, ErrBusy) || errors.Is(err, ErrNotExist) {
		return err
	}
	if unix.Rmdir(e.path) == nil {
		return fmt.Errorf("lock container %q: %w any more", e.ID, ErrNotExist)
	}
	return err
}

// openLock opens the lock. While a container is made or removed there is none, for
// a moment.
func (e *Entry) openLock(create int) (fd int, err error) {
	const flags = unix.O_RDWR | unix.O_NOFOLLOW | unix.O_CLOEXEC
	for range 50 {
		if fd, err = unix.Openat(e.dir, lockFile, flags, 0); err != unix.ENOENT || e.Gone() {
			return fd, err
		}
		if create&unix.O_EXCL != 0 {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	return unix.Openat(e.dir, lockFile, flags|create, 0o600)
}

// Gone says whether the directory was removed.
func (e *Entry) Gone() bool {
	var st unix.Stat_t
	return unix.Fstat(e.dir, &st) == nil && st.Nlink == 0
}

// lockWith opens the lock with more flags, and waits for it.
func (e *Entry) lockWith(flags int) error {
	fd, err := e.openLock(flags)
	if err == unix.ENOENT {
		if e.Gone() {
			return fmt.Errorf("lock container %q: %w", e.ID, ErrNotExist)
		}
		return fmt.Errorf("lock container %q: it was not made completely, or not removed completely: delete it with --force", e.ID)
	}
	if err != nil {
		return fmt.Errorf("lock container %q: open %q: %w", e.ID, e.Path(lockFile), err)
	}
	end := time.Now().Add(patience)
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || err != unix.EWOULDBLOCK && err != unix.EINTR || time.Now().After(end) {
			break
		}
		time.Sleep(pause)
	}
	var now, locked unix.Stat_t
	switch {
	case err == unix.EWOULDBLOCK:
		holder := e.holder(fd)
		unix.Close(fd)
		return fmt.Errorf("lock container %q: %w, and has been for %v: process %s; end that, or wait", e.ID, ErrBusy, patience, holder)
	case err != nil:
		unix.Close(fd)
		return fmt.Errorf("lock container %q: %w", e.ID, err)
	case unix.Fstatat(e.dir, lockFile, &now, unix.AT_SYMLINK_NOFOLLOW) != nil, unix.Fstat(fd, &locked) != nil, now.Ino != locked.Ino:
		unix.Close(fd)
		return fmt.Errorf("lock container %q: %w any more", e.ID, ErrNotExist)
	}
	e.lock = fd
	// Who waits is told who holds it; nothing depends on that.
	_, _ = unix.Pwrite(fd, fmt.Appendf(nil, "%-10d\n", os.Getpid()), 0)
	return nil
}

// holder is who wrote itself into the lock.
func (e *Entry) holder(fd int) string {
	text := make([]byte, 32)
	n, err := unix.Pread(fd, text, 0)
	if pid := strings.TrimSpace(string(text[:max(0, n)])); err == nil && pid != "" {
		return pid
	}
	return "unknown"
}

// Unlock gives the lock back.
func (e *Entry) Unlock() {
	if e.lock >= 0 {
		unix.Close(e.lock)
		e.lock = -1
	}
}

// Busy says whether another process holds the lock, by asking for it: a moment
// later it may be otherwise.
func (e *Entry) Busy() bool {
	if e.lock >= 0 {
		return false
	}
	fd, err := unix.Openat(e.dir, lockFile, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) == unix.EWOULDBLOCK
}

// Close gives the descriptors back, and the lock with them.
func (e *Entry) Close() {
	e.Unlock()
	if e.dir >= 0 {
		unix.Close(e.dir)
		e.dir = -1
	}
}

// Dir is the directory's path.
func (e *Entry) Dir() string { return e.path }

// Path is a file's, for messages.
func (e *Entry) Path(name string) string { return e.path + "/" + name }

// Load reads the state. When there is none, the container was not made, or not
// removed, completely: that is an os.ErrNotExist.
func (e *Entry) Load() (*State, error) {
	text, err := e.Read(stateFile)
	if err == nil && text == "" {
		err = &os.PathError{Op: "read", Path: e.Path(stateFile), Err: os.ErrNotExist} // a machine that went down left its name alone
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of container %q: %w; it was not made completely, or not removed completely: delete it with --force", e.ID, err)
	}
	s, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the state of container %q: %q: %w", e.ID, e.Path(stateFile), err)
	}
	if s.ID != e.ID {
		return nil, fmt.Errorf("read the state of container %q: %q is that of container %q", e.ID, e.Path(stateFile), s.ID)
	}
	return s, nil
}

// Save replaces the state. The lock must be held.
func (e *Entry) Save(s *State) error {
	if err := e.Write(stateFile, s.text()); err != nil {
		return fmt.Errorf("write the state of container %q: %w", e.ID, err)
	}
	return nil
}

// Read reads a file whole.
func (e *Entry) Read(name string) (string, error) {
	fd, err := unix.Openat(e.dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: e.Path(name), Err: err}
	}
	defer unix.Close(fd)
	text := make([]byte, 0, 8<<10)
	for {
		if len(text) == cap(text) {
			text = append(text, make([]byte, cap(text))...)[:len(text)]
		}
		n, err := unix.Read(fd, text[len(text):cap(text)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return "", &os.PathError{Op: "read", Path: e.Path(name), Err: err}
		case n == 0:
			return string(text), nil
		}
		text = text[:len(text)+n]
	}
}

// Write replaces a file: whoever reads sees the old text or the new one, also
// after a crash of whoever writes. It is not synced to the disk; see the package's
// comment.
func (e *Entry) Write(name string, text []byte) error {
	part := name + partEnd
	fd, err := unix.Openat(e.dir, part, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "create", Path: e.Path(part), Err: err}
	}
	err = writeAll(fd, text)
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err == nil {
		err = unix.Renameat(e.dir, part, e.dir, name)
	}
	if err != nil {
		_ = unix.Unlinkat(e.dir, part, 0) // of the two errors the other matters
		return &os.PathError{Op: "write", Path: e.Path(name), Err: err}
	}
	return nil
}

func writeAll(fd int, text []byte) error {
	for len(text) > 0 {
		n, err := unix.Write(fd, text)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

// Hold makes what a container waits with: the fifo, open on both ends, and the
// file of failures, open for writing. The caller closes them.
func (e *Entry) Hold() (start, failure int, err error) {
	if err := unix.Mkfifoat(e.dir, StartFile, 0o600); err != nil {
		return -1, -1, &os.PathError{Op: "mkfifo", Path: e.Path(StartFile), Err: err}
	}
	start, err = unix.Openat(e.dir, StartFile, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, -1, &os.PathError{Op: "open", Path: e.Path(StartFile), Err: err}
	}
	failure, err = unix.Openat(e.dir, FailureFile, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		unix.Close(start)
		return -1, -1, &os.PathError{Op: "create", Path: e.Path(FailureFile), Err: err}
	}
	return start, failure, nil
}

// Starter opens the fifo to write to it. Nobody who waits there is unix.ENXIO.
// Nothing but a container that waits for its start has the fifo open to read, and
// its execve closes that.
func (e *Entry) Starter() (int, error) {
	return unix.Openat(e.dir, StartFile, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// Waiter opens the fifo to read from it, as a container that waits does.
func (e *Entry) Waiter() (int, error) {
	return unix.Openat(e.dir, StartFile, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// Remove removes the directory with all that is in it, state.json last but the
// lock, which must be held.
func (e *Entry) Remove() error {
	names, err := e.names()
	if err != nil {
		return fmt.Errorf("remove container %q: %w", e.ID, err)
	}
	if slices.Contains(names, NotifyDir) {
		if err := notify.Remove(e.Path(NotifyDir)); err != nil {
			return fmt.Errorf("remove container %q: %w", e.ID, err)
		}
		names = slices.DeleteFunc(names, func(name string) bool { return name == NotifyDir })
	}
	for _, name := range append(names, stateFile, lockFile) {
		if err := unix.Unlinkat(e.dir, name, 0); err != nil && err != unix.ENOENT {
			return fmt.Errorf("remove container %q: unlink %q: %w", e.ID, e.Path(name), err)
		}
	}
	for range 50 { // somebody may be making a lock, who then finds it gone
		if err = unix.Rmdir(e.path); err != unix.ENOTEMPTY {
			break
		}
		_ = unix.Unlinkat(e.dir, lockFile, 0) // the rmdir tells
	}
	if err != nil && err != unix.ENOENT {
		return fmt.Errorf("remove container %q: rmdir %q: %w", e.ID, e.path, err)
	}
	return nil
}

// names are the files of the directory but state.json and lock.
func (e *Entry) names() (names []string, err error) {
	// Of its own: others may have read in the one that is open.
	fd, err := unix.Openat(e.dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: e.path, Err: err}
	}
	defer unix.Close(fd)
	for buffer := make([]byte, 4<<10); ; {
		n, err := unix.ReadDirent(fd, buffer)
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: e.path, Err: err}
		}
		if n == 0 {
			break
		}
		_, _, names = unix.ParseDirent(buffer[:n], -1, names)
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == stateFile || name == lockFile }), nil
}
