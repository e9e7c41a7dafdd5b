// Package unpack makes a root file system of a tar archive, with the modes,
// owners and times that it asks for, and keeps such trees by content.
//
//	reader ──sniff──► decompress ──► tar entries ──► tree (by descriptors) ──► modes and times of directories
//	        gz xz zst bz2                            nothing resolves outside       last, deepest first
//
//	tar file ──digest──► cache/KEY? ──yes──► the tree
//	         remembered      └──no──► lock ──► cache/KEY.tmp-… ──unpack, sync, rename──► cache/KEY
//
// # Why nothing leaves the tree
//
// An archive is not trusted. The directory of an entry is resolved by the
// kernel inside the tree (openat2(2), RESOLVE_IN_ROOT: symbolic links mean what
// they will mean in the container), the entry itself is made in that
// directory's descriptor by a call that does not follow its last component and
// fails when the name is taken (O_EXCL, symlinkat, linkat, mknodat, mkdirat).
// What is in the way is removed first, so the last entry of a name wins and
// nothing is ever written through an older one. Mounts below the tree are not
// entered.
//
// # As an ordinary user
//
// Without Options.Owner everything belongs to the caller. In a user namespace
// the ids of the archive are taken as ids of that namespace; one that it does
// not map is an error. Device nodes cannot be made in it: Options.SkipDevices.
//
// Linux 5.10 or newer, with /proc mounted.
package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// Options are what Tar does beside unpacking; the zero value takes everything
// but owners, without limits.
type Options struct {
	// Owner gives entries the archive's numeric user and group (chown(2)).
	// False: everything belongs to the caller.
	Owner bool
	// SkipDevices leaves out block and character devices, which cannot be made
	// in a user namespace, and records each in Report.Skipped. FIFOs are made.
	SkipDevices bool
	// MaxBytes limits the decompressed archive, and apart from it the sum of
	// the files' lengths, holes included. 0: no limit.
	MaxBytes int64
	// MaxEntries limits the number of entries. 0: no limit.
	MaxEntries int
	// Name is what errors call the archive. Empty: the reader's Name method,
	// which *os.File has, or "the archive".
	Name string
}

// Report counts what was unpacked.
type Report struct {
	Files     int // regular files
	Dirs      int // directories that are entries; those only implied are not counted
	Links     int // symbolic links
	HardLinks int
	Devices   int      // block and character devices, and FIFOs
	Bytes     int64    // the files' lengths, holes included
	Skipped   []string // what was left out, each with the reason
}

// Limits of one entry.
const (
	// maxName bounds a path: four times what one system call takes, so that
	// trees deeper than PATH_MAX unpack, and one entry cannot cost minutes.
	maxName = 4 * unix.PathMax
	// chunk is how much of a file is read and written at once, in bytes.
	chunk = 256 << 10
)

// Tar unpacks an archive, plain or compressed with gzip, xz, zstd or bzip2,
// into the directory dir, which is made when missing. Only the archive's
// content says how it is compressed.
//
// It reads r to its end, so that a damaged tail is noticed. After an error the
// tree is incomplete: remove it with Remove. The context ends it between two
// reads or writes, not while r.Read itself waits.
func Tar(ctx context.Context, r io.Reader, dir string, o Options) (Report, error) {
	name := nameOf(r, o.Name)
	t, err := openTree(dir)
	if err != nil {
		return Report{}, fmt.Errorf("unpack %s: %w", name, err)
	}
	defer t.close()
	s, err := open(ctx, r, o.MaxBytes)
	if err != nil {
		return Report{}, badStart(name, err)
	}
	defer s.close()
	u := &unpacker{ctx: ctx, options: o, tree: t, tar: tar.NewReader(s), buf: make([]byte, chunk), late: map[string]meta{}}
	t.implied = func(real string) { u.late[real] = meta{mode: 0o755} }
	if err := u.run(s); err != nil {
		if u.count == 0 && isNotTar(err) {
			return u.report, badStart(name, err)
		}
		return u.report, fmt.Errorf("unpack %s: %w", name, err)
	}
	return u.report, nil
}

// unpacker is one run of Tar.
type unpacker struct {
	ctx     context.Context
	options Options
	tree    *tree
	tar     *tar.Reader
	buf     []byte
	report  Report
	count   int             // entries so far
	last    string          // the last entry's name, as the archive has it
	late    map[string]meta // what directories get at the end, by real path
}

// run unpacks every entry, checks the archive's tail, and finishes the
// directories.
func (u *unpacker) run(s *stream) error {
	for {
		if err := u.ctx.Err(); err != nil {
			return u.stopped(err)
		}
		hdr, err := u.tar.Next()
		if err == io.EOF {
			break
		}
		if err != nil && !(hdr != nil && errors.Is(err, tar.ErrInsecurePath)) {
			return u.stopped(s.blame(err))
		}
		u.count++
		u.last = hdr.Name
		if n := u.options.MaxEntries; n > 0 && u.count > n {
			return fmt.Errorf("entry %q: the archive has more than %d entries; raise the limit if it can be trusted", hdr.Name, n)
		}
		u.tree.trim()
		if err := u.entry(hdr); err != nil {
			return fmt.Errorf("entry %q (number %d): %w", hdr.Name, u.count, explain(err))
		}
	}
	if err := s.finish(); err != nil {
		return u.stopped(err)
	}
	return u.finish()
}

// stopped says where in the archive reading ended.
func (u *unpacker) stopped(err error) error {
	if u.count == 0 {
		return err
	}
	return fmt.Errorf("after entry %q (number %d): %w", u.last, u.count, explain(err))
}

// explain says what a reader's error means and what to do about it.
func explain(err error) error {
	var damage damageError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &damage):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the archive was cut short; fetch or make it again", err)
	case errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("what follows is not a tar header: %w; the archive is damaged, fetch or make it again", err)
	}
	return err
}

// nameOf is what errors call the archive.
func nameOf(r io.Reader, name string) string {
	if named, ok := r.(interface{ Name() string }); ok && name == "" {
		name = named.Name()
	}
	if name == "" {
		return "the archive"
	}
	return name
}

// isNotTar says whether the first block was read and is no tar header.
func isNotTar(err error) bool {
	return errors.Is(err, tar.ErrHeader) || errors.Is(err, errEmpty) || errors.Is(err, errNoEnd) || errors.Is(err, io.ErrUnexpectedEOF)
}

// badStart is the error of an archive without a single entry.
func badStart(name string, err error) error {
	var damage damageError
	switch {
	case errors.Is(err, errEmpty):
		return fmt.Errorf("%s is not a tar archive: %w", name, err)
	case errors.As(err, &damage), errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("%s is not a tar archive: %w; plain tar, gzip, xz, zstd and bzip2 are understood", name, err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errNoEnd):
		return fmt.Errorf("%s is not a tar archive: it ends within the first header: %w", name, err)
	}
	return fmt.Errorf("unpack %s: %w", name, err)
}

// timespec is a time as utimensat(2) takes it; the zero time leaves the file's
// alone.
func timespec(t time.Time) unix.Timespec {
	if t.IsZero() {
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}
