package startup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// onClose has close run f, the last one that was given first. By then all that
// runtimes have left running was ended; the scratch directory is still there.
func (w *world) onClose(f func() error) { w.closers = append(w.closers, f) }

// removal has a runtime remove a container that a start which failed has left;
// that there is none is no error. When the run is interrupted it has a moment
// more.
func (w *world) removal(env, argv []string) func() error {
	return func() error {
		ctx, cancel := w.bounded(10 * time.Second)
		defer cancel()
		out, err := answerIn(ctx, env, nil, argv...)
		if text := strings.ToLower(string(out)); err == nil || strings.Contains(text, "no such container") || strings.Contains(text, "does not exist") {
			return nil
		}
		return fmt.Errorf("remove what a failed start has left: %w; remove it with %q", err, strings.Join(argv, " "))
	}
}

// bounded is a context that ends after a time, or a moment after the run was
// interrupted; its cause is what became of the command that ran.
func (w *world) bounded(within time.Duration) (context.Context, context.CancelFunc) {
	early, end := context.WithCancelCause(context.Background())
	ctx, cancel := context.WithTimeoutCause(early, within, fmt.Errorf("it did not end within %v and was killed", within))
	stop := context.AfterFunc(w.context(), func() {
		select {
		case <-ctx.Done():
		case <-time.After(grace):
			end(fmt.Errorf("the run was interrupted, and it did not end within %v more and was killed", grace))
		}
	})
	return ctx, func() { stop(); cancel(); end(nil) }
}

// owe has close say what could not be removed. The failure of a start that was
// interrupted is nobody's result, but what it has left is still there.
func (w *world) owe(err error) {
	w.debts.Lock()
	defer w.debts.Unlock()
	w.owed = errors.Join(w.owed, err)
}

// groupsAt is where control groups are mounted; see file-hierarchy(7).
const groupsAt = "/sys/fs/cgroup"

// leaves has close remove what a peer leaves outside of the scratch directory:
// empty directories at the places and below them, and control groups that are,
// or are below, one of these names at the top of a hierarchy, or have a
// container's of this process in their path. What is
// there now stays, and so does what somebody else has put something into.
func (w *world) leaves(places, groups []string) error {
	groups = append(slices.Clone(groups), containersOf(os.Getpid()))
	list := func() ([]string, error) {
		dirs, err := directories(groupsAt)
		dirs = slices.DeleteFunc(dirs, func(dir string) bool {
			return !slices.ContainsFunc(groups, func(name string) bool { return named(dir, name) })
		})
		for _, place := range places {
			more, perr := directories(place)
			dirs, err = append(dirs, more...), errors.Join(err, perr)
		}
		return dirs, err
	}
	before, err := list()
	if err != nil {
		return err
	}
	w.onClose(func() error {
		after, err := list()
		slices.Sort(after)
		slices.Reverse(after) // what is inside comes first
		for _, dir := range after {
			if !slices.Contains(before, dir) {
				err = errors.Join(err, removeEmpty(dir))
			}
		}
		return err
	})
	return nil
}

// removeGroups removes the control groups of a container, which are called after
// it. Some runtimes cannot use what one that was killed has half made.
func removeGroups(id string) error {
	dirs, err := directories(groupsAt)
	slices.Reverse(dirs) // what is inside comes first
	for _, dir := range dirs {
		if strings.Contains(dir+"/", id+"/") {
			err = errors.Join(err, removeEmpty(dir))
		}
	}
	return err
}

// named says whether a control group is of that name, or below one; for one that
// ends in a hyphen, whether its path has it.
func named(path, name string) bool {
	if strings.HasSuffix(name, "-") {
		return strings.Contains(path, name)
	}
	parts := strings.Split(strings.TrimPrefix(path, groupsAt+"/"), "/")
	return len(parts) > 1 && parts[1] == name
}

// directories are a directory and those below it; none, when it is not there.
// What may not be read has none.
func directories(top string) (list []string, err error) {
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission):
			return nil
		case err != nil:
			return err
		case d.IsDir():
			list = append(list, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list what there is below %q: %w", top, err)
	}
	return list, nil
}

// removeEmpty removes a directory in which there is nothing; one with something
// in it is somebody else's by now. A control group whose last process was just
// reaped may be busy for a moment.
func removeEmpty(dir string) error {
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Rmdir(dir)
		if err == unix.ENOTEMPTY && strings.HasPrefix(dir, groupsAt+"/") && unix.Unlink(filepath.Join(dir, "cgroup.procs")) == nil {
			err = unix.Rmdir(dir) // it was no control group: see HideUnified
		}
		switch {
		case err == nil || err == unix.ENOENT || err == unix.ENOTEMPTY:
			return nil
		case err == unix.EBUSY && inUse(dir):
			return nil
		case err == unix.EBUSY && time.Since(start) < time.Second:
		default:
			return fmt.Errorf("remove %q, which a runtime has left: %w", dir, err)
		}
	}
}

// inUse says whether a control group has processes or groups of its own. What
// cannot be read is not in use: its rmdir fails, and says why.
func inUse(dir string) bool {
	pids, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	entries, _ := os.ReadDir(dir)
	return len(pids) > 0 || slices.ContainsFunc(entries, fs.DirEntry.IsDir)
}

// ownRoot is a root like the usual one, for a peer that needs more in it or
// writes into it. A root of the user's is not written to.
func (w *world) ownRoot(s setup, more ...string) (string, error) {
	root := filepath.Join(w.dir, "root-"+s.peer.name)
	if isFile(filepath.Join(root, "payload")) {
		return root, nil
	}
	for _, name := range append(more, places...) {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			return "", fmt.Errorf("make a root for %s: %w", s.peer.name, err)
		}
	}
	text, err := os.ReadFile(w.payload)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "payload"), text, 0o755)
	}
	if err != nil {
		return "", fmt.Errorf("make a root for %s: %w", s.peer.name, err)
	}
	return root, nil
}
