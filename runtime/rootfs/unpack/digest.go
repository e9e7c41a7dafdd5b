package unpack

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errChanged says that an archive is not the one that was hashed.
var errChanged = errors.New("the archive was changed while it was read; wait until it is whole")

// archive is a tar file whose content is known.
type archive struct {
	path   string
	id     identity
	digest string // sha256, in hex
}

// identity changes whenever a file's content does: the kernel sets ctime at
// every write, and nobody else can. See settle for the two gaps in that.
type identity struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
}

func identify(path string) (identity, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return identity{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return identityOf(&st), nil
}

func identifyOpen(f *os.File) (identity, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return identity{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return identityOf(&st), nil
}

func identityOf(st *unix.Stat_t) identity {
	return identity{st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim}
}

func (id identity) String() string {
	return fmt.Sprintf("dev %d ino %d size %d mtime %d.%09d ctime %d.%09d",
		id.dev, id.ino, id.size, id.mtime.Sec, id.mtime.Nsec, id.ctime.Sec, id.ctime.Nsec)
}

// unchanged says whether the archive is still what it was when it was hashed.
func (a archive) unchanged() error {
	if id, err := identify(a.path); err != nil {
		return err
	} else if id != a.id {
		return errChanged
	}
	return nil
}

// digest is the archive's sha256, remembered from an earlier time when the
// file is certain to be unchanged.
func (c Cache) digest(ctx context.Context, path string) (archive, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return archive{}, err
	}
	for range 3 {
		var a archive
		if a, err = c.digestOnce(ctx, path); err != errChanged {
			return a, err
		}
	}
	return archive{}, fmt.Errorf("hash %q: %w", path, err)
}

func (c Cache) digestOnce(ctx context.Context, path string) (archive, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return archive{}, fmt.Errorf("open the archive: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return archive{}, fmt.Errorf("open the archive: %q is not a regular file", path)
	}
	id, err := settle(ctx, f, path)
	if err != nil {
		return archive{}, err
	}
	a := archive{path: path, id: id}
	remember := trusted(f)
	if remember {
		if a.digest = c.recall(a); a.digest != "" {
			return a, nil
		}
	}
	if a.digest, err = hash(ctx, f); err != nil {
		return archive{}, err
	}
	if err = a.unchanged(); err == nil && remember {
		err = c.remember(a)
	}
	return a, err
}

// settle waits until a further change must give the archive another identity.
// Two would not. A write within the same tick of the kernel's clock (10 ms at
// most; a second where the file system keeps no more) leaves ctime as it is:
// so the last one must be older. And a write through a shared mapping sets it
// only when it makes a page dirty: so all pages are written back first, and
// then they are clean.
func settle(ctx context.Context, f *os.File, path string) (identity, error) {
	before, err := identify(path)
	if err != nil {
		return identity{}, err
	}
	tick := 20 * time.Millisecond
	if before.ctime.Nsec == 0 {
		tick = 2 * time.Second
	}
	// A time to come counts as settled: the clock was set back.
	if age := time.Since(time.Unix(before.ctime.Unix())); age >= 0 && age < tick {
		select {
		case <-ctx.Done():
			return identity{}, ctx.Err()
		case <-time.After(tick - age):
		}
	}
	if err := f.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EROFS) {
		return identity{}, fmt.Errorf("write the archive back to disk: %w", err)
	}
	after, err := identify(path)
	if err != nil {
		return identity{}, err
	}
	opened, err := identifyOpen(f)
	if err == nil && (before != after || opened != after) {
		err = errChanged
	}
	return after, err
}

// trusted says whether the file system keeps ctime as settle needs it. The
// others are hashed each time: tmpfs does not set it at writes through a
// mapping, and in network file systems others may write.
func trusted(f *os.File) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false
	}
	switch st.Type {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
		return true
	}
	return false
}

// hash is the sha256 of a file, in hex.
func hash(ctx context.Context, f *os.File) (string, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(onlyWriter{sum}, &interruptible{ctx, f}, make([]byte, chunk)); err != nil {
		return "", fmt.Errorf("hash the archive: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

type onlyWriter struct{ io.Writer }

// note is the index's file for an archive's path.
func (c Cache) note(path string) string {
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(c.Dir, "index", hex.EncodeToString(sum[:16]))
}

// recall is the digest that was remembered for exactly this path and identity,
// or empty. A note is a line of identity, digest and path; one that is damaged
// is no note.
func (c Cache) recall(a archive) string {
	f, err := os.Open(c.note(a.path))
	if err != nil {
		return ""
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 64<<10)).ReadString('\n')
	rest, ok := strings.CutPrefix(line, a.id.String()+" sha256 ")
	digest, path, two := strings.Cut(strings.TrimSuffix(rest, "\n"), " ")
	if raw, hexErr := hex.DecodeString(digest); err != nil || !ok || !two || hexErr != nil || len(raw) != sha256.Size || path != fmt.Sprintf("%q", a.path) {
		return ""
	}
	return digest
}

// remember writes the note of an archive, whole or not at all.
func (c Cache) remember(a archive) error {
	f, err := os.CreateTemp(filepath.Join(c.Dir, "index"), temporary)
	if err != nil {
		return fmt.Errorf("remember the archive's digest: %w", err)
	}
	_, err = fmt.Fprintf(f, "%v sha256 %s %q\n", a.id, a.digest, a.path)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), c.note(a.path))
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error counts
		return fmt.Errorf("remember the archive's digest: %w", err)
	}
	return nil
}
