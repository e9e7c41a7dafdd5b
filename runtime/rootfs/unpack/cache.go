package unpack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Cache keeps unpacked trees by the content of their archives. A tree in it is
// shared by everyone who asks for it: mount it read-only, or under an overlay.
//
//	DIR/KEY            a tree: sha256 of the archive, and of How
//	DIR/KEY.tmp-…      one that is being made, or was when its maker was killed
//	DIR/KEY.lock       held (flock(2)) while it is made
//	DIR/index/…        digests of archives that have not changed since
type Cache struct {
	// Dir is the cache's directory, made when it is missing, for its owner
	// alone: what setuid files a tree has is nobody else's business. It must
	// belong to the caller, and nobody else may write it.
	Dir string
	// How says in what way trees are unpacked, as far as it changes them: the
	// options, and whose ids the owners are. Trees that were
	// unpacked otherwise are other trees.
	How string
	// Remove removes a tree that this process may not; nil: Remove. Owners
	// from a user namespace take a process in it.
	Remove func(dir string) error
}

const (
	temporary = ".tmp-"
	// version changes when Tar makes other trees of the same archive.
	version = "unpack 1\n"
)

// Tree returns the tree of an archive. When the cache has none, fill unpacks
// the archive into the empty directory that it is given, and fresh is true. Of
// several that ask at once, in any number of processes, one fills and the
// others wait for it. When fill fails or is killed nothing looks like a tree,
// and what it left is removed: at once, or by the next Tree or Sweep.
//
// The new tree is written to disk (syncfs(2)) before it gets its name, since
// what a crash of the machine leaves of it would be believed for ever.
func (c Cache) Tree(ctx context.Context, tarPath string, fill func(dir string) error) (dir string, fresh bool, err error) {
	if err := c.prepare(); err != nil {
		return "", false, err
	}
	for try := 0; ; try++ {
		archive, err := c.digest(ctx, tarPath)
		if err != nil {
			return "", false, err
		}
		key := c.key(archive.digest)
		dir := filepath.Join(c.Dir, key)
		if isDir(dir) {
			return dir, false, nil
		}
		fresh, err := c.make(ctx, key, archive, fill)
		if errors.Is(err, errChanged) && try < 2 {
			continue
		}
		if err != nil {
			return "", false, fmt.Errorf("unpack %q into the cache: %w", tarPath, err)
		}
		return dir, fresh, nil
	}
}

// key is the name of a tree.
func (c Cache) key(digest string) string {
	how := sha256.Sum256([]byte(version + c.How))
	return digest + "-" + hex.EncodeToString(how[:8])
}

// prepare makes the cache's directory, and refuses one in which another user
// could put a tree.
func (c Cache) prepare() error {
	if err := os.MkdirAll(filepath.Join(c.Dir, "index"), 0o700); err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Stat(c.Dir, &st); err != nil {
		return &os.PathError{Op: "stat", Path: c.Dir, Err: err}
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return fmt.Errorf("use cache %q: it belongs to user %d and has mode %#o, so that others could put trees into it; chmod 700 it, or use another directory", c.Dir, st.Uid, st.Mode&0o7777)
	}
	return nil
}

// make fills a tree under the lock, unless another process just has.
func (c Cache) make(ctx context.Context, key string, archive archive, fill func(dir string) error) (fresh bool, err error) {
	l, err := lock(ctx, filepath.Join(c.Dir, key+".lock"))
	if err != nil {
		return false, err
	}
	defer l.unlock()
	dir := filepath.Join(c.Dir, key)
	if isDir(dir) {
		return false, nil
	}
	if _, err := c.removeTemporaries(key); err != nil {
		return false, err
	}
	temp, err := os.MkdirTemp(c.Dir, key+temporary)
	if err != nil {
		return false, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.remove(temp))
		}
	}()
	// The archive may not say what mode its root has.
	if err := os.Chmod(temp, 0o755); err != nil {
		return false, err
	}
	if err := fill(temp); err != nil {
		return false, err
	}
	if err := archive.unchanged(); err != nil {
		return false, err
	}
	if err := syncTree(temp); err != nil {
		return false, err
	}
	return true, os.Rename(temp, dir)
}

// syncTree writes the file system of a directory to disk.
func syncTree(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.EACCES { // a root directory that its owner may not read
		fd, err = unix.Open(filepath.Dir(dir), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	if err := unix.Syncfs(fd); err != nil {
		return fmt.Errorf("write the tree to disk: %w", err)
	}
	return nil
}

func (c Cache) remove(dir string) error {
	if c.Remove != nil {
		return c.Remove(dir)
	}
	return Remove(dir)
}

// removeTemporaries removes what killed unpacks of a tree have left. The lock
// is held.
func (c Cache) removeTemporaries(key string) (removed []string, err error) {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), key+temporary) {
			continue
		}
		left := filepath.Join(c.Dir, e.Name())
		if err := c.remove(left); err != nil {
			return removed, fmt.Errorf("remove what a killed unpack left: %w", err)
		}
		removed = append(removed, left)
	}
	return removed, nil
}

// Sweep removes what killed unpacks have left in a cache, of every How, and
// returns the paths. What is being made now is left alone.
func (c Cache) Sweep() ([]string, error) {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("sweep the cache: %w", err)
	}
	keys := map[string]bool{}
	for _, e := range entries {
		key, _, isTemporary := strings.Cut(e.Name(), temporary)
		key, isLock := strings.CutSuffix(key, ".lock")
		if isTemporary || isLock {
			keys[key] = true
		}
	}
	var removed []string
	var failed []error
	for key := range keys {
		l, err := tryLock(filepath.Join(c.Dir, key+".lock"))
		if err == unix.EWOULDBLOCK {
			continue
		}
		if err == nil {
			var some []string
			some, err = c.removeTemporaries(key)
			removed = append(removed, some...)
			l.unlock()
		}
		failed = append(failed, err)
	}
	return removed, errors.Join(failed...)
}

func isDir(name string) bool {
	st, err := os.Lstat(name)
	return err == nil && st.IsDir()
}
