package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup/systemd"
)

// writeRecord leaves a record of a group that Sweep would not find by name:
// its directories, deepest first, in a file with the owner in its name. It is
// written before the first directory is made.
func (g *Group) writeRecord(p *Plan) error {
	dir := p.options.Record
	if dir == "" || !slices.ContainsFunc(p.parts, func(t *part) bool {
		return p.options.Path != "" || p.options.Detached || filepath.Dir(t.dir) != t.tree.mount
	}) {
		return nil
	}
	text := []byte(strings.Join(append(p.state(), recordEnd), "\n") + "\n")
	file := dir + "/" + p.name
	err := os.WriteFile(file, text, 0o600)
	if errors.Is(err, unix.ENOENT) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the directory of owner records: %w; choose another, or run as root", err)
		}
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the owner record: %w; choose another directory for records, or run as root", err)
	}
	g.record = file
	return nil
}

// SetOwner makes another process the one whose end makes the group garbage: a
// detached container's first process. The group needs a record.
func (g *Group) SetOwner(pid int) error {
	if g.record == "" {
		return fmt.Errorf("set the owner of control group %q: it has no record; plan it with Detached and Record", g.name)
	}
	_, id, _ := parseName(filepath.Base(g.record))
	o, err := ownerOf(strconv.Itoa(pid))
	if err != nil {
		return fmt.Errorf("set the owner of control group %q: %w", g.name, err)
	}
	me, err := self()
	if err != nil {
		return err
	}
	o.namespace = me.namespace // it is known by the id that it has here
	file := filepath.Join(filepath.Dir(g.record), o.name(id))
	if err := os.Rename(g.record, file); err != nil {
		return fmt.Errorf("set the owner of control group %q: %w", g.name, err)
	}
	g.record = file
	return nil
}

// recordEnd is a record's last line. A record without it was cut short, and its
// last path with it; then no directory had been made yet.
const recordEnd = "end"

// readRecord returns the directories of a record, as in Plan.state.
func readRecord(file string) [][]string {
	text, err := readFile(unix.AT_FDCWD, file)
	lines := strings.Split(string(text), "\n")
	if err != nil || len(lines) < 2 || lines[len(lines)-2] != recordEnd {
		return nil
	}
	var all [][]string
	for _, line := range lines[:len(lines)-2] {
		all = append(all, strings.Split(line, "\t"))
	}
	return all
}

// state is a line for each directory of the group: it, and those above it that
// are made for it, deepest first, with tabs between them.
func (p *Plan) state() []string {
	var lines []string
	for _, t := range p.parts {
		list := []string{t.dir}
		for _, a := range slices.Backward(t.prepare) {
			if a.file == "" && a.dir != t.dir && strings.HasPrefix(t.dir, a.dir+"/") {
				list = append(list, a.dir)
			}
		}
		lines = append(lines, strings.Join(list, "\t"))
	}
	return lines
}

// State describes the group to a later process; see Open.
type State struct {
	Name   string   `json:"name"`
	Dirs   []string `json:"dirs,omitempty"`   // as in a record
	Record string   `json:"record,omitempty"` // the record's file
	Unit   string   `json:"unit,omitempty"`   // systemd's scope that it is; empty: none
	User   bool     `json:"user,omitempty"`   // which is one of the user's own systemd
}

// scope is what systemd knows it as; nil: not at all.
func (s State) scope() *systemd.Scope {
	if s.Unit == "" {
		return nil
	}
	return &systemd.Scope{Name: s.Unit, User: s.User}
}

// State is what Open takes.
func (g *Group) State() State {
	s := State{Name: g.name, Record: g.record}
	if g.scope != nil {
		s.Unit, s.User = g.scope.Name, g.scope.User
	}
	for _, t := range g.parts {
		list := slices.Clone(t.made)
		slices.Reverse(list)
		s.Dirs = append(s.Dirs, strings.Join(list, "\t"))
	}
	return s
}

// State is that of the group which Create would make, as far as it is known
// before: written down first, it leads to whatever a crash leaves of it. A scope has
// no directory yet; Find asks systemd then.
func (p *Plan) State() State {
	if s := p.options.Scope; s != nil {
		return State{Name: p.name, Unit: s.Name, User: s.User}
	}
	return State{Name: p.name, Dirs: p.state()}
}

// Find is Open of a group that may be gone, or be there in part: what is there
// can be killed and removed. Of a directory that is gone, those above it that were
// made for it are removed too.
func Find(h *Host, s State) (*Group, error) {
	if s.Unit != "" && len(s.Dirs) == 0 {
		dir, err := h.scopeDir(s)
		if err != nil {
			return nil, err
		}
		s.Dirs = append(s.Dirs, dir...)
	}
	g := &Group{host: h, name: s.Name, record: s.Record, scope: s.scope()}
	for _, line := range s.Dirs {
		one, err := Open(h, State{Name: s.Name, Dirs: []string{line}})
		switch {
		case err == nil:
			g.parts = append(g.parts, one.parts...)
		case errors.Is(err, unix.ENOENT):
			_, above, _ := strings.Cut(line, "\t")
			g.above = append(g.above, above)
		default:
			g.Close()
			return nil, err
		}
	}
	return g, nil
}

// Open is a group that another process has created, and closed or left. A
// directory of it that is gone is an error.
func Open(h *Host, s State) (*Group, error) {
	g := &Group{host: h, name: s.Name, record: s.Record, scope: s.scope()}
	for _, line := range s.Dirs {
		dirs := strings.Split(line, "\t")
		tree := h.treeOf(dirs[0])
		if tree == nil {
			g.Close()
			return nil, fmt.Errorf("open control group %q: %q is not below a mounted hierarchy", s.Name, dirs[0])
		}
		fd, err := openat(unix.AT_FDCWD, dirs[0], dirFlags)
		if err != nil {
			g.Close()
			return nil, fmt.Errorf("open control group %q: %q: %w; it was removed", s.Name, dirs[0], err)
		}
		slices.Reverse(dirs)
		g.parts = append(g.parts, &part{tree: tree, dir: dirs[len(dirs)-1], made: dirs, fd: fd, prog: -1, opened: true})
	}
	return g, nil
}

// Frozen says whether the group is told to stand still, by its files alone.
func (s State) Frozen() bool {
	for _, line := range s.Dirs {
		dir, _, _ := strings.Cut(line, "\t")
		if text, err := readText(unix.AT_FDCWD, dir+"/cgroup.freeze"); err == nil && text == "1" {
			return true
		}
		if text, err := readText(unix.AT_FDCWD, dir+"/freezer.state"); err == nil && text != "THAWED" {
			return true
		}
	}
	return false
}

// Remove removes the group by its files alone, when it is empty and has none
// below it; otherwise it says that it did not, and what is left Find finds. A scope
// is systemd's to remove.
func (s State) Remove() bool {
	if s.Unit != "" {
		for _, line := range s.Dirs {
			if exists(line) {
				return false
			}
		}
		return len(s.Dirs) > 0
	}
	for _, line := range s.Dirs {
		dir, above, _ := strings.Cut(line, "\t")
		if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
			return false
		}
		for above != "" {
			dir, above, _ = strings.Cut(above, "\t")
			_ = unix.Rmdir(dir) // somebody else may use it by now
		}
	}
	if s.Record != "" {
		if err := unix.Unlink(s.Record); err != nil && err != unix.ENOENT {
			return false
		}
	}
	return true
}
