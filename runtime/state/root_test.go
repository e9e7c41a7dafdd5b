package state

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup"
)

func TestDefaultRoot(t *testing.T) {
	for _, c := range []struct {
		name   string
		euid   int
		inUser bool
		env    map[string]string
		want   Root
	}{
		{"root", 0, false, map[string]string{"XDG_RUNTIME_DIR": "/run/user/0", "USER": "root"}, "/run/isorun"},
		{"root without a name", 0, false, map[string]string{"XDG_RUNTIME_DIR": "/run/user/0"}, "/run/isorun"},
		{"user", 1000, false, map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000"}, "/run/user/1000/isorun"},
		{"user without a directory", 1000, false, nil, ""},
		{"rootless engine", 0, true, map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000", "USER": "ann"}, "/run/user/1000/isorun"},
		{"rootless engine without a name", 0, true, map[string]string{"XDG_RUNTIME_DIR": "/run/user/1000"}, "/run/user/1000/isorun"},
		{"root of a container", 0, true, map[string]string{"XDG_RUNTIME_DIR": "/run/user/0", "USER": "root"}, "/run/isorun"},
		{"root of a container, alone", 0, true, nil, "/run/isorun"},
	} {
		got, err := defaultRoot(c.euid, c.inUser, func(name string) (string, bool) { v, ok := c.env[name]; return v, ok })
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func TestCheckID(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "A-z_0+9.b": true, "..a": true, "-x": true, strings.Repeat("x", 200): true,
		"": false, ".": false, "..": false, "a/b": false, "a b": false, "a\n": false, "ä": false, "a\x00": false, strings.Repeat("x", 201): false,
	} {
		if err := CheckID(id); (err == nil) != want {
			t.Errorf("%q: %v", id, err)
		}
		if want {
			continue
		}
		r := Root(t.TempDir())
		if _, err := r.Create(id); err == nil {
			t.Errorf("%q was made", id)
		}
		if _, err := r.Open(id); err == nil || errors.Is(err, ErrNotExist) {
			t.Errorf("%q was looked for: %v", id, err)
		}
	}
}

// List has what is broken, and nothing that is no container.
func TestList(t *testing.T) {
	r := Root(t.TempDir() + "/root")
	if ids, err := r.List(); err != nil || ids != nil {
		t.Errorf("without a directory: %v, %v", ids, err)
	}
	e, err := r.Create("whole")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	err = errors.Join(os.Mkdir(string(r)+"/broken", 0o700), os.Mkdir(string(r)+"/no id", 0o700),
		os.WriteFile(string(r)+"/file", nil, 0o600), os.Symlink("whole", string(r)+"/link"))
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := r.List(); err != nil || !slices.Equal(ids, []string{"broken", "whole"}) {
		t.Errorf("%v, %v", ids, err)
	}
	if _, err := r.Open("link"); err == nil {
		t.Error("a link was followed")
	}
	if _, err := r.Open("none"); !errors.Is(err, ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	for id, want := range map[string]string{"whole": "it is being made", "broken": "delete it with --force"} {
		if _, err := r.Create(id); !errors.Is(err, ErrExist) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// open is another command's look at a container.
func open(t *testing.T, r Root, id string) *Entry {
	t.Helper()
	e, err := r.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func TestLocks(t *testing.T) {
	r := Root(t.TempDir())
	mine, err := r.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, r, "x")
	if !other.Busy() || mine.Busy() {
		t.Error("the lock is held by this one, and seen by the other")
	}
	got := make(chan error, 1)
	go func() { got <- other.Lock() }()
	mine.Unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
	if mine = open(t, r, "x"); !mine.Busy() {
		t.Error("the other does not hold it")
	}
	// Who waits for the lock of one that is removed does not get it.
	go func() { got <- mine.Lock() }()
	if err := other.Remove(); err != nil {
		t.Error(err)
	}
	other.Unlock()
	if err := <-got; !errors.Is(err, ErrNotExist) {
		t.Errorf("a lock of what is gone: %v", err)
	}
	if err := mine.LockAnyway(); !errors.Is(err, ErrNotExist) {
		t.Errorf("and anyway: %v", err)
	}
	if err := os.Mkdir(string(r)+"/half", 0o700); err != nil {
		t.Fatal(err)
	}
	half := open(t, r, "half")
	if err := half.Lock(); err == nil || errors.Is(err, ErrNotExist) {
		t.Errorf("without a lock: %v", err)
	}
	if err := half.LockAnyway(); err != nil {
		t.Error(err)
	}
	if err := half.Remove(); err != nil {
		t.Error(err)
	}
}

// On a disk without room nothing is left, and what was left can go.
func TestNoRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		return // it takes a file system of one's own
	}
	r := Root(t.TempDir())
	if err := unix.Mount("isorun-test", string(r), "tmpfs", 0, "nr_inodes=2"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(string(r), unix.MNT_DETACH)
	if _, err := r.Create("x"); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("create: %v", err)
	}
	if ids, err := r.List(); err != nil || len(ids) > 0 {
		t.Errorf("left: %v, %v", ids, err)
	}
	if err := os.Mkdir(string(r)+"/half", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := open(t, r, "half").LockAnyway(); !errors.Is(err, ErrNotExist) {
		t.Errorf("lock: %v", err)
	}
	if ids, err := r.List(); err != nil || len(ids) > 0 {
		t.Errorf("left: %v, %v", ids, err)
	}
}

// What is read is what was written, and no other container's.
func TestLoad(t *testing.T) {
	r := Root(t.TempDir())
	e, err := r.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.Load(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a state: %v", err)
	}
	s := &State{ID: "x", Bundle: "/b", Pid: 7, Start: 9, Created: time.Unix(5, 0).UTC(), Annotations: map[string]string{"k": "v"}, Group: cgroup.State{Name: "g", Dirs: []string{"/a\t/b"}}}
	if err := e.Save(s); err != nil {
		t.Fatal(err)
	}
	if got, err := e.Load(); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%+v, %v; want %+v", got, err, s)
	}
	for text, want := range map[string]string{
		`{"version": 2}`: "version is 2", `{`: "state.json", "": "state.json",
		`{"version": 1, "id": "x", "pid": -1, "created": "1970-01-01T00:00:00Z"}`: "no process",
		`{"version": 1, "id": "x", "created": "then"}`:                            "no time",
		`{"version": 1, "id": "y", "created": "1970-01-01T00:00:00Z"}`:            `container "y"`,
	} {
		if err := e.Write(stateFile, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Load(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
