package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// owner is a process, told apart from others that had or will have its id.
type owner struct {
	namespace uint64 // the pid namespace's inode
	pid       int    // 0: nobody
	start     uint64 // clock ticks from boot to its start
}

const prefix = "isoperf-"

// name is a group's or record's name, with its owner:
// isoperf-<pid namespace>-<pid>-<start>-<id>.
func (o owner) name(id string) string {
	return fmt.Sprintf("%s%d-%d-%d-%s", prefix, o.namespace, o.pid, o.start, id)
}

// parseName reads a name; ok is false for other names.
func parseName(name string) (o owner, id string, ok bool) {
	word := strings.SplitN(strings.TrimPrefix(name, prefix), "-", 4)
	if !strings.HasPrefix(name, prefix) || len(word) != 4 {
		return o, "", false
	}
	var err [3]error
	o.namespace, err[0] = strconv.ParseUint(word[0], 10, 64)
	o.pid, err[1] = strconv.Atoi(word[1])
	o.start, err[2] = strconv.ParseUint(word[2], 10, 64)
	return o, word[3], errors.Join(err[:]...) == nil && o.pid >= 0
}

// self is this process.
func self() (owner, error) { return ownerOf("self") }

func ownerOf(pid string) (owner, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/"+pid+"/ns/pid", &st); err != nil {
		return owner{}, fmt.Errorf("read the pid namespace of process %s: %w; mount /proc", pid, err)
	}
	o := owner{namespace: st.Ino}
	var err error
	o.pid, _, o.start, err = processStart(pid)
	return o, err
}

// processStart reads /proc/PID/stat: the id, the state, and field 22.
func processStart(pid string) (id int, state byte, start uint64, err error) {
	text, err := readText(unix.AT_FDCWD, "/proc/"+pid+"/stat")
	if err != nil {
		return 0, 0, 0, fmt.Errorf("read /proc/%s/stat: %w", pid, err)
	}
	first, _, _ := strings.Cut(text, " ")
	word := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // the name may contain anything
	if len(word) < 20 || word[0] == "" {
		return 0, 0, 0, fmt.Errorf("read /proc/%s/stat: it is cut: %q", pid, text)
	}
	if id, err = strconv.Atoi(first); err == nil {
		start, err = strconv.ParseUint(word[19], 10, 64)
	}
	return id, word[0][0], start, err
}

// gone says that the process has ended, be it that nobody has collected it yet.
func (o owner) gone() bool {
	_, state, start, err := processStart(strconv.Itoa(o.pid))
	if err != nil {
		return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
	}
	return start != o.start || state == 'Z' || state == 'X'
}

// Sweep removes the groups whose runtime is gone, with the processes that are
// still in them: those named as this package names them, in this process's place
// and at the top of each hierarchy, and those that the records in directory
// record (may be "") tell of. It touches only groups of its own pid namespace, in
// which the owner's id means something, and none that this user may not change.
// It returns the directories that it removed.
func Sweep(h *Host, record string) ([]string, error) {
	me, err := self()
	if err != nil {
		return nil, err
	}
	b := broom{host: h, gone: map[owner]bool{}}
	for _, dir := range h.places() {
		if childless(dir) {
			continue
		}
		names, err := b.garbage(dir, me.namespace)
		b.note(err)
		for _, name := range names {
			b.take([]string{dir + "/" + name})
		}
	}
	if record != "" {
		b.records(record, me.namespace)
	}
	return b.removed, b.err
}

// broom is what one sweep has done.
type broom struct {
	host    *Host
	gone    map[owner]bool // asked once: an owner that ends meanwhile is for the next sweep
	removed []string
	err     error
}

func (b *broom) note(err error) {
	if err != nil {
		b.err = errors.Join(b.err, err)
	}
}

// take removes a group, and the directories above that nobody else uses; it
// says whether the group is gone.
func (b *broom) take(dirs []string) bool {
	switch unix.Faccessat(unix.AT_FDCWD, dirs[0], unix.W_OK, unix.AT_EACCESS) {
	case unix.ENOENT:
		return true
	case unix.EACCES:
		return false // another user's
	}
	if err := sweepGroup(b.host, dirs[0]); err != nil {
		b.note(err)
		return false
	}
	b.removed = append(b.removed, dirs[0])
	for _, d := range dirs[1:] {
		if unix.Rmdir(d) == nil {
			b.removed = append(b.removed, d)
		}
	}
	return true
}

// records removes what the records of gone owners tell of. A path that a living
// owner has taken since is that owner's.
func (b *broom) records(dir string, namespace uint64) {
	dead, err := b.garbage(dir, namespace)
	b.note(err)
	if len(dead) == 0 {
		return
	}
	inUse := map[string]bool{}
	entries, err := os.ReadDir(dir)
	b.note(err)
	for _, e := range entries {
		if slices.Contains(dead, e.Name()) {
			continue
		}
		for _, dirs := range readRecord(dir + "/" + e.Name()) {
			inUse[dirs[0]] = true
		}
	}
	for _, name := range dead {
		done := true
		groups := readRecord(dir + "/" + name)
		slices.SortStableFunc(groups, func(x, y []string) int {
			return freezerFirst(b.host.treeOf(x[0]), b.host.treeOf(y[0]))
		})
		for _, dirs := range groups {
			switch {
			case inUse[dirs[0]]:
			case b.host.treeOf(dirs[0]) == nil:
				done = false
				b.note(fmt.Errorf("sweep record %q: %q is not below a mounted hierarchy; remove the record", dir+"/"+name, dirs[0]))
			default:
				done = b.take(dirs) && done
			}
		}
		if done {
			_ = unix.Unlink(dir + "/" + name) // another sweep may have been faster
		}
	}
}

// places are the directories in which groups are made by default: this
// process's in each hierarchy, and the hierarchies' tops.
func (h *Host) places() []string {
	var list []string
	trees := h.trees()
	slices.SortStableFunc(trees, freezerFirst)
	for _, tree := range trees {
		if !tree.v2 && !slices.ContainsFunc(controllers(), func(c *controller) bool { return tree.has(c.name) }) {
			continue // "name=systemd", and what has no limits
		}
		list = append(list, tree.mount)
		if dir, err := tree.place(); err == nil && dir != tree.mount {
			list = append(list, dir)
		}
	}
	return list
}

// freezerFirst orders hierarchies for a sweep: that of version 1's freezer before
// the others, which lets go what is frozen there: a frozen process does not die,
// and the groups of the other hierarchies could not be removed.
func freezerFirst(x, y *hierarchy) int {
	last := func(tree *hierarchy) int {
		if tree != nil && !tree.v2 && tree.has(freezer.name) {
			return 0
		}
		return 1
	}
	return cmp.Compare(last(x), last(y))
}

func (h *Host) trees() []*hierarchy {
	var list []*hierarchy
	for i := range h.v1 {
		list = append(list, &h.v1[i])
	}
	if h.v2 != nil {
		list = append(list, h.v2)
	}
	return list
}

func (h *Host) treeOf(dir string) *hierarchy {
	for _, tree := range h.trees() {
		if strings.HasPrefix(dir, tree.mount+"/") {
			return tree
		}
	}
	return nil
}

// childless says, without reading it, that a group's directory has no others in
// it: in kernfs the links are itself, its entry above, and one for each.
func childless(dir string) bool {
	var st unix.Stat_t
	return unix.Stat(dir, &st) == nil && st.Nlink == 2
}

// garbage names the entries of a directory whose owner, of this pid namespace,
// is gone.
func (b *broom) garbage(dir string, namespace uint64) ([]string, error) {
	f, err := os.Open(dir)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for groups that were left behind: %w", err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("look for groups that were left behind: %w", err)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		o, _, ok := parseName(name)
		if !ok || o.namespace != namespace || o.pid == 0 {
			return true
		}
		gone, asked := b.gone[o]
		if !asked {
			gone = o.gone()
			b.gone[o] = gone
		}
		return !gone
	}), nil
}

// sweepGroup kills what is in a directory's group, and removes it.
func sweepGroup(h *Host, dir string) error {
	fd, err := openat(unix.AT_FDCWD, dir, dirFlags)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep control group %q: %w", dir, err)
	}
	g := &Group{host: h, name: filepath.Base(dir), parts: []*part{{tree: h.treeOf(dir), dir: dir, fd: fd, prog: -1, made: []string{dir}}}}
	defer g.Close()
	if err := g.Kill(); err != nil {
		return err
	}
	return g.Remove()
}
