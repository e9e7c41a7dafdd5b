package unpack

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fileLock is a lock file that is held (flock(2)); the kernel gives it up when
// its holder ends, however it ends.
type fileLock struct {
	file *os.File
}

// lock waits for a lock, until the context ends.
func lock(ctx context.Context, name string) (fileLock, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		l, err := tryLock(name)
		if err != unix.EWOULDBLOCK {
			return l, err
		}
		select {
		case <-ctx.Done():
			return l, fmt.Errorf("wait for another process that unpacks it: %w", ctx.Err())
		case <-time.After(wait):
		}
	}
}

// tryLock takes a lock, or returns EWOULDBLOCK. A holder removes the file
// before it gives up the lock, so a lock counts only while the name is still
// this file's.
func tryLock(name string) (fileLock, error) {
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return fileLock{}, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		for err == unix.EINTR {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
		if err == unix.EWOULDBLOCK {
			f.Close()
			return fileLock{}, err
		}
		if err != nil {
			f.Close()
			return fileLock{}, fmt.Errorf("lock %q: %w", name, err)
		}
		held, err := f.Stat()
		named, nameErr := os.Lstat(name)
		if err == nil && nameErr == nil && os.SameFile(held, named) {
			return fileLock{f}, nil
		}
		f.Close()
	}
}

// unlock removes the file and gives the lock up.
func (l fileLock) unlock() {
	_ = os.Remove(l.file.Name()) // a file that stays is taken again
	l.file.Close()
}
