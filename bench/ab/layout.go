package ab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Layout is how the kernel's page cache holds the programs of both sides: in small
// pages or in large ones (folios). That depends on how a file was written, or read
// in again after it was dropped, and not on what is in it; yet a start of the same
// bytes takes up to 8 % longer with small pages, of which more must be mapped. So a
// comparison has the files of both sides dropped and read in again, in the same
// way, and again while it runs.
type Layout struct {
	files  []*os.File
	buffer []byte
}

// readAtOnce is how much of a program one read asks for, in bytes.
const readAtOnce = 1 << 20

// NewLayout opens the programs, of which some may be the same file. The error names
// those that cannot be read, as a program that may only be executed; the others are
// laid out nevertheless. Close ends it.
func NewLayout(paths ...string) (*Layout, error) {
	l := &Layout{buffer: make([]byte, readAtOnce)}
	var errs []error
	var seen []os.FileInfo
	for _, path := range paths {
		f, info, err := openProgram(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("lay out %q in the page cache anew: %w", path, err))
			continue
		}
		if slices.ContainsFunc(seen, func(o os.FileInfo) bool { return os.SameFile(o, info) }) {
			f.Close()
			continue
		}
		l.files, seen = append(l.files, f), append(seen, info)
	}
	return l, errors.Join(errs...)
}

func openProgram(path string) (*os.File, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Renew drops the programs from the page cache, and reads them in again. What a
// process has mapped just now stays as it is.
func (l *Layout) Renew() error {
	for _, f := range l.files {
		if err := l.renew(f); err != nil {
			return fmt.Errorf("lay out %q in the page cache anew: %w", f.Name(), err)
		}
	}
	return nil
}

func (l *Layout) renew(f *os.File) error {
	if err := drop(f); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for {
		if _, err := f.Read(l.buffer); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// drop drops a file from the page cache, of which only what is on the disk can go
// (posix_fadvise(2), POSIX_FADV_DONTNEED). EINVAL: it is on a file system that is
// never written, such as squashfs (fsync(2)).
func drop(f *os.File) error {
	if err := unix.Fdatasync(int(f.Fd())); err != nil && err != unix.EINVAL {
		return fmt.Errorf("fdatasync: %w", err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("posix_fadvise: %w", err)
	}
	return nil
}

// Close closes the programs.
func (l *Layout) Close() error {
	var err error
	for _, f := range l.files {
		err = errors.Join(err, f.Close())
	}
	return err
}
