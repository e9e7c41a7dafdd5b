package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Lineage is a group that is there already, with its ancestors, in the hierarchy
// that has a controller.
type Lineage struct {
	V2     bool
	Groups []Placed // the group first, then its parent, up to the topmost that can be seen
	// Hidden: the topmost is not the root of its hierarchy, so there are more above
	// it, with limits of theirs: it is so in a container. There may be none at all that
	// can be seen.
	Hidden bool
}

// Placed is a group by its name, as /proc/PID/cgroup has it, and its directory.
type Placed struct{ Name, Dir string }

// Lineage is that of a group in the hierarchy of a controller, which is called as
// in version 1 ("cpuacct", "blkio"). A group that is not there is an error.
func (h *Host) Lineage(controller, group string) (Lineage, error) {
	tree, err := h.treeWith(controller)
	if err != nil {
		return Lineage{}, err
	}
	if outside(group) || outside(tree.root) {
		return Lineage{V2: tree.v2, Hidden: true}, nil
	}
	dir, err := tree.dir(filepath.Clean("/" + group))
	if err != nil {
		return Lineage{}, err
	}
	if !exists(dir + "/cgroup.procs") {
		return Lineage{}, fmt.Errorf("find group %q in the hierarchy of %s: there is no %q; /proc/PID/cgroup has the name of a process's group", group, controller, dir)
	}
	l := Lineage{V2: tree.v2}
	for ; ; dir = filepath.Dir(dir) {
		rest := strings.TrimPrefix(dir, filepath.Clean(tree.mount))
		l.Groups = append(l.Groups, Placed{filepath.Join("/", tree.root, rest), dir})
		if rest == "" {
			break
		}
	}
	// Only a root has release_agent, and only others have cgroup.events: whatever
	// the mount and the namespace call it.
	l.Hidden = tree.v2 && exists(dir+"/cgroup.events") || !tree.v2 && !exists(dir+"/release_agent")
	return l, nil
}

// outside says whether a group's name is that of one outside of this process's
// cgroup namespace; a mount made before the namespace has one too.
func outside(name string) bool { return name == "/.." || strings.HasPrefix(name, "/../") }

func (h *Host) treeWith(name string) (*hierarchy, error) {
	i := slices.IndexFunc(controllers(), func(c *controller) bool { return c.name == name })
	if i < 0 {
		return nil, fmt.Errorf("find the hierarchy of %q: there is no such controller", name)
	}
	tree := h.find(controllers()[i])
	if tree == nil {
		return nil, fmt.Errorf("find the hierarchy of %s: none that is mounted has it; see isoperf doctor", name)
	}
	return tree, nil
}

// GroupOf is the group of a process in the hierarchy of a controller, by the
// text of its /proc/PID/cgroup.
func (h *Host) GroupOf(controller string, procCgroup []byte) (string, error) {
	tree, err := h.treeWith(controller)
	if err != nil {
		return "", err
	}
	group, found := "", false
	eachOwn(procCgroup, func(names, path string) {
		first, _, _ := strings.Cut(names, ",")
		if names == "" && tree.v2 || names != "" && !tree.v2 && tree.has(first) {
			group, found = path, true
		}
	})
	if !found {
		return "", fmt.Errorf("find the group of a process in the hierarchy of %s: it is in none", controller)
	}
	return group, nil
}

// GroupAt is the name of the group whose directory is given, in whichever
// hierarchy. ok is false when it is no group's.
func (h *Host) GroupAt(dir string) (group string, ok bool) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", false
	}
	if dir, err = filepath.Abs(dir); err != nil || !exists(dir+"/cgroup.procs") {
		return "", false
	}
	for _, tree := range h.trees() {
		mount := filepath.Clean(tree.mount)
		if rest, below := strings.CutPrefix(dir, mount); below && (rest == "" || rest[0] == '/') {
			return filepath.Join("/", tree.root, rest), true
		}
	}
	return "", false
}

// Named are the groups whose last name is the given one, in any hierarchy.
func (h *Host) Named(name string) ([]string, error) {
	var list []string
	for _, tree := range h.trees() {
		mount := filepath.Clean(tree.mount)
		err := filepath.WalkDir(mount, func(path string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
				return nil // it has just gone, or is somebody else's
			case err != nil:
				return err
			case d.IsDir() && d.Name() == name && path != mount:
				group := filepath.Join("/", tree.root, strings.TrimPrefix(path, mount))
				if !slices.Contains(list, group) {
					list = append(list, group)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for a group called %q below %q: %w", name, mount, err)
		}
	}
	return list, nil
}
