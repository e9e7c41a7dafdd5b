package cgroup

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Join is Open of a group for one more process. Below says in which groups below
// it the process is to be, by controller; "" means every hierarchy. They have to
// be there.
//
// A group of version 2 whose own children have controllers takes no process, as
// when the container has an init that makes groups. Then it is the one that pid,
// a process of the container, is in.
func Join(h *Host, s State, below map[string]string, pid int) (*Group, error) {
	dirs := make([]string, len(s.Dirs))
	for i, line := range s.Dirs {
		dirs[i], _, _ = strings.Cut(line, "\t")
	}
	for controller, path := range below {
		found := false
		for i, dir := range dirs {
			tree := h.treeOf(dir)
			if tree == nil || controller != "" && !tree.has(controller) {
				continue
			}
			found = true
			dirs[i] = filepath.Join(dir, filepath.Clean("/"+path))
		}
		if !found {
			return nil, fmt.Errorf("join control group %q: the container has none of the controller %q", s.Name, controller)
		}
	}
	for i, dir := range dirs {
		if tree := h.treeOf(dir); len(below) == 0 && tree != nil && tree.v2 {
			dirs[i] = innerGroup(tree, dir, pid)
		}
	}
	return Open(h, State{Name: s.Name, Dirs: dirs, Unit: s.Unit, User: s.User})
}

// innerGroup is the group of version 2 for one more process: dir, unless that
// cannot have any.
func innerGroup(tree *hierarchy, dir string, pid int) string {
	if text, err := readText(unix.AT_FDCWD, dir+"/cgroup.subtree_control"); err != nil || text == "" {
		return dir
	}
	text, err := readFile(unix.AT_FDCWD, "/proc/"+strconv.Itoa(pid)+"/cgroup")
	if err != nil {
		return dir // it has ended; to open it says so
	}
	inner := dir
	eachOwn(text, func(controllers, path string) {
		if controllers != "" {
			return
		}
		if own, err := tree.dir(path); err == nil && strings.HasPrefix(own, dir+"/") {
			inner = own
		}
	})
	return inner
}

// ParseBelow reads what "runc exec --cgroup" takes: one path for all
// hierarchies, or any number of CONTROLLER[,CONTROLLER…]:PATH.
func ParseBelow(list []string) (map[string]string, error) {
	below := map[string]string{}
	for _, item := range list {
		controllers, path, ok := strings.Cut(item, ":")
		if !ok {
			if len(list) != 1 {
				return nil, fmt.Errorf("parse %q: of several paths each needs a controller before it: cpu:PATH", item)
			}
			return map[string]string{"": item}, nil
		}
		for controller := range strings.SplitSeq(controllers, ",") {
			if _, twice := below[controller]; twice || controller == "" {
				return nil, fmt.Errorf("parse %q: the controller %q is empty, or there twice", item, controller)
			}
			below[controller] = path
		}
	}
	return below, nil
}
