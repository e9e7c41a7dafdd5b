package startup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"isoperf/workloads/payload"
)

// world is what all cases of a run share.
type world struct {
	config  Config
	dir     string // scratch; gone at the end
	root    string // with the payload and the places to mount on
	payload string
	host    payload.Seen // what the payload sees without a container
	null    *os.File
	empty   *os.File // in the scratch directory
	count   int      // of containers, for their names
	reaper  bool
	known   []int // children of before
	trials  map[string]*found
	begun   map[string]bool   // whether a peer's before has run, by its name
	images  map[string]string // what docker calls its copy of the root, by the peer's name
	podmans map[string]string // where podman keeps its state, by the peer's name
	closers []func() error
	debts   sync.Mutex
	owed    error // what interrupted starts have left and could not be removed
}

// prefix begins the names of scratch directories; the number of the process
// follows.
const prefix = "isoperf-startup-"

// ordinary is the user and group of the rootless starts when root measures:
// nobody's, with one id and no files.
const ordinary = 65534

// newWorld makes the scratch directory, after it has removed those of processes
// that were killed. This process becomes the one to which orphans go, so that
// what a runtime leaves running is seen, and ended.
func newWorld(c Config) (w *world, err error) {
	if err := sweep(); err != nil {
		return nil, err
	}
	w = &world{config: c, trials: map[string]*found{}, begun: map[string]bool{}, images: map[string]string{}, podmans: map[string]string{}}
	if w.known, err = adopted(); err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp("", fmt.Sprintf("%s%d-", prefix, os.Getpid())); err != nil {
		return nil, fmt.Errorf("make a directory for bundles: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
			w = nil
		}
	}()
	if err := os.Chmod(w.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a directory for bundles: %w", err)
	}
	w.root, w.payload = filepath.Join(w.dir, "root"), filepath.Join(w.dir, "root", "payload")
	for _, name := range places {
		if err := os.MkdirAll(filepath.Join(w.root, name), 0o755); err != nil {
			return nil, fmt.Errorf("make a root: %w", err)
		}
	}
	if err := payload.Write(w.payload); err != nil {
		return nil, err
	}
	if w.empty, err = os.OpenFile(filepath.Join(w.dir, "empty"), os.O_RDONLY|os.O_CREATE, 0o666); err != nil {
		return nil, fmt.Errorf("make an empty file: %w", err)
	}
	if w.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return nil, fmt.Errorf("open %q: %w", os.DevNull, err)
	}
	if w.host, err = payload.Host(); err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("have orphans come to this process: %w", err)
	}
	w.reaper = true
	// A start that was killed leaves its control groups with some peers.
	return w, w.leaves(nil, nil)
}

// close ends what is left and removes the scratch directory.
func (w *world) close() error {
	var errs []error
	if w.reaper {
		errs = append(errs, endOrphans(w.known))
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
			errs = append(errs, fmt.Errorf("have orphans go where they went: %w", err))
		}
	}
	for _, f := range slices.Backward(w.closers) {
		errs = append(errs, f())
	}
	w.debts.Lock()
	errs = append(errs, w.owed)
	w.debts.Unlock()
	if w.empty != nil {
		errs = append(errs, w.empty.Close())
	}
	if w.null != nil {
		errs = append(errs, w.null.Close())
	}
	if err := os.RemoveAll(w.dir); err != nil {
		errs = append(errs, fmt.Errorf("remove %q: %w", w.dir, err))
	}
	return errors.Join(errs...)
}

// sweep removes the directories of processes that are gone.
func sweep() error {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return fmt.Errorf("look for what was left behind: %w", err)
	}
	for _, dir := range left {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), "-")
		pid, err := strconv.Atoi(number)
		if err != nil || unix.Kill(pid, 0) != unix.ESRCH {
			continue
		}
		var at unix.Stat_t
		if err := unix.Lstat(dir, &at); err != nil || at.Uid != uint32(os.Geteuid()) && os.Geteuid() != 0 || at.Mode&unix.S_IFMT != unix.S_IFDIR {
			continue // it is gone, or somebody else's
		}
		if err := unmountBelow(dir); err != nil {
			return err
		}
		if err := os.RemoveAll(dir); err != nil && !errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("remove what was left behind, %q: %w", dir, err)
		}
	}
	return nil
}

// context ends what runs.
func (w *world) context() context.Context {
	if w.config.Context == nil {
		return context.Background()
	}
	return w.config.Context
}

// enterable says that an ordinary user may come to a file: each directory above
// it lets everybody in.
func enterable(path string) error {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("look at %q: %w", dir, err)
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("start as an ordinary user: %q lets nobody else in, and %q is below it; move it, or set TMPDIR to a directory that every user may enter", dir, path)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// name is that of the next container.
func (w *world) name(p peer) string {
	w.count++
	return fmt.Sprintf("%s%s-%d", containersOf(os.Getpid()), p.name, w.count)
}

// containersOf begins the names of the containers of a process.
func containersOf(pid int) string { return fmt.Sprintf("isoperf-%d-", pid) }

// rootless says whether a variant is started as an ordinary user.
func (w *world) rootless(v variant) bool { return v.rootless || os.Geteuid() != 0 }

// uid and gid are those that start it.
func (w *world) uid(v variant) int {
	if v.rootless && os.Geteuid() == 0 {
		return ordinary
	}
	return os.Geteuid()
}

func (w *world) gid(v variant) int {
	if v.rootless && os.Geteuid() == 0 {
		return ordinary
	}
	return os.Getegid()
}

// home is a directory that belongs to the user of a variant, for what runtimes
// keep.
func (w *world) home(v variant) (string, error) {
	dir := filepath.Join(w.dir, fmt.Sprintf("home-%d", w.uid(v)))
	err := os.MkdirAll(dir, 0o700)
	if err == nil && os.Geteuid() == 0 {
		err = os.Chown(dir, w.uid(v), w.gid(v))
	}
	if err != nil {
		return "", fmt.Errorf("make a home directory: %w", err)
	}
	return dir, nil
}

// environ is the environment of every runtime.
func (w *world) environ(v variant, more []string) ([]string, error) {
	home, err := w.home(v)
	if err != nil {
		return nil, err
	}
	return append(append(variables(), "HOME="+home, "XDG_RUNTIME_DIR="+home), more...), nil
}
