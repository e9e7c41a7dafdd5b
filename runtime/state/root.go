package state

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
)

// ErrNotExist says that there is no container of a name.
var ErrNotExist = errors.New("container does not exist")

// ErrExist says that there is something of that name already.
var ErrExist = errors.New("container with given ID already exists")

// Root is the directory in which each container has one.
type Root string

// DefaultRoot is where containers are kept when nobody says otherwise:
// /run/isorun for root, and the user's own directory below /run for others. Root
// of a user namespace, as rootless engines are, is one of the others.
func DefaultRoot() (Root, error) {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	switch root := os.Geteuid() == 0; {
	case root && (dir == "" || !namespace.InUser()):
		return "/run/isorun", nil
	case dir != "":
		return Root(dir + "/isorun"), nil
	}
	return "", errors.New("find the state directory: XDG_RUNTIME_DIR is not set; set it, or give --root DIR")
}

// CheckID says whether an ID can name a container: letters, digits, "_", "+", "-"
// and ".", as runc wants it.
func CheckID(id string) error {
	good := id != "" && id != "." && id != ".." && len(id) <= 200
	for _, r := range id {
		good = good && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_+-.", r))
	}
	if !good {
		return fmt.Errorf("check container ID %q: invalid ID format: it takes 1 to 200 letters, digits, \"_\", \"+\", \"-\" and \".\"", id)
	}
	return nil
}

// Create makes the directory of a new container, and locks it. What is there
// already under this ID is an ErrExist.
func (r Root) Create(id string) (*Entry, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	dir := string(r) + "/" + id
	err := unix.Mkdir(dir, 0o700)
	if err == unix.ENOENT {
		if err := r.make(); err != nil {
			return nil, err
		}
		err = unix.Mkdir(dir, 0o700)
	}
	switch {
	case err == unix.EEXIST:
		return nil, fmt.Errorf("create container %q: %w in %q: %s", id, ErrExist, string(r), r.what(id))
	case err != nil:
		return nil, fmt.Errorf("create container %q: mkdir %q: %w; give another --root", id, dir, err)
	}
	e, err := r.Open(id)
	if err != nil {
		return nil, err
	}
	if err := e.lockWith(unix.O_CREAT | unix.O_EXCL); err != nil {
		e.Close()
		return nil, fmt.Errorf("create container %q: somebody removed it meanwhile: %w", id, err)
	}
	return e, nil
}

// make makes the root. In a user's own runtime directory the sticky bit keeps it
// from being cleaned away; see the XDG base directory specification.
func (r Root) make() error {
	if err := os.MkdirAll(string(r), 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w; give another with --root", err)
	}
	if run := os.Getenv("XDG_RUNTIME_DIR"); run != "" && strings.HasPrefix(string(r), run+"/") {
		if err := os.Chmod(string(r), 0o700|os.ModeSticky); err != nil {
			return fmt.Errorf("make the state directory: %w; give another with --root", err)
		}
	}
	return nil
}

// what says what an ID stands for, and what to do about it.
func (r Root) what(id string) string {
	e, err := r.Open(id)
	if err == nil {
		defer e.Close()
		var s *State
		if s, err = e.Load(); err == nil && s.Pid != 0 {
			return fmt.Sprintf("process %d, bundle %q; choose another ID, or delete it", s.Pid, s.Bundle)
		}
		if e.Busy() {
			return "it is being made, or removed; choose another ID, or wait"
		}
	}
	if errors.Is(err, ErrNotExist) {
		return "it has been removed meanwhile; try again"
	}
	return "it was not made completely, or not removed completely; delete it with --force"
}

// List names the containers, ordered. What is no container's directory is left
// out; a container that is broken is not.
func (r Root) List() ([]string, error) {
	entries, err := os.ReadDir(string(r))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the containers: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && CheckID(e.Name()) == nil {
			ids = append(ids, e.Name())
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Open finds a container's directory. It does not lock it. When there is none,
// that is an ErrNotExist.
func (r Root) Open(id string) (*Entry, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	path := string(r) + "/" + id
	dir, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil, fmt.Errorf("find container %q: %w in %q", id, ErrNotExist, string(r))
	}
	if err != nil {
		return nil, fmt.Errorf("find container %q: open %q: %w", id, path, err)
	}
	return &Entry{ID: id, path: path, dir: dir, lock: -1}, nil
}
