package cgroup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup/systemd"
)

// Options say what group to make.
type Options struct {
	// ID names the container; it becomes a part of a directory's name.
	ID string
	// Path is OCI's cgroupsPath: absolute, from the top of each hierarchy, or
	// relative to this process's place. Empty: a name that Sweep recognises.
	Path string
	// Resources are the limits; nil: none.
	Resources *specs.LinuxResources
	// Parent is the directory, in the version 2 hierarchy, that was delegated
	// to this user (package systemd); groups are made below it. Empty: this
	// process's place.
	Parent string
	// Scope is one that systemd is to make as the group, instead of a directory of
	// its own; see Plan.Adopt. Path, Parent and Record do not count then. nil: none.
	Scope *systemd.Scope
	// Always makes a group even without limits, to freeze, kill and count its
	// processes.
	Always bool
	// Also are controllers, by version 1's names, in whose hierarchies the group
	// is to be even without limits of them: for their counters, or for limits
	// that come later. Version 2 has "cpuacct" in every group.
	Also []string
	// Usual puts the group into every hierarchy whose limits people change while a
	// container runs (processors, memory, tasks, block devices), as far as the
	// machine has them, since Group.Update moves no processes. A controller of
	// version 2 that this user cannot give to the group is left out.
	Usual bool
	// ChildEnters says that the child is born outside and goes in by itself, where
	// that is as good; see Plan.Entrances.
	ChildEnters bool
	// Detached groups outlive this process: Sweep takes one only when its
	// record has an owner that is gone. See Group.SetOwner.
	Detached bool
	// Record is a directory for owner records, which is made where needed, for
	// groups that Sweep would not find by name. Empty: no records.
	Record string
}

// Plan is what Create will do.
type Plan struct {
	host    *Host
	options Options
	name    string // with its owner, as Sweep reads it
	parts   []*part
}

// part is a group's directory in one hierarchy: planned, and later made.
type part struct {
	tree    *hierarchy
	dir     string
	prepare []action // what has to be there first, from the top down
	writes  []write
	late    []write
	filter  []deviceRule
	enabled []string // version 2: the controllers of the group
	spare   []string // and those that it may get, and need not
	chosen  bool     // the path is the user's, where a group may be already
	// elsewhere says that the group need not be below this process's own.
	elsewhere bool

	fd   int // of dir
	prog int // the device program, or -1
	// opened says that another process made it; see Open.
	opened bool
	made   []string // directories that Create made, from the top down
}

// action is a directory to make, or a value to write.
type action struct {
	dir string
	write
	accept unix.Errno
	spare  []string // controllers to enable as far as that can be done
}

func (a action) text() string {
	if a.file == "" {
		return "mkdir " + a.dir
	}
	text := fmt.Sprintf("write %q to %s", a.data, filepath.Join(a.dir, a.file))
	if a.spare != nil {
		text += " (as far as it is allowed)"
	}
	return text
}

// Late says whether limits are written when the child is on its own.
func (p *Plan) Late() bool {
	return slices.ContainsFunc(p.parts, func(t *part) bool { return len(t.late) > 0 })
}

// Step is one step of a plan, for printing.
type Step struct{ Name, Text string }

// Plan decides which hierarchies the limits need and what is written there. It
// reads the existing groups and changes nothing. A limit that this machine
// cannot hold is an error that names its field.
func (h *Host) Plan(o Options) (*Plan, error) {
	if err := checkName(o.ID); err != nil {
		return nil, fmt.Errorf("plan a control group: ID %q %w", o.ID, err)
	}
	if err := checkPath(o.Path); err != nil {
		return nil, err
	}
	if err := h.checkScope(o.Scope); err != nil {
		return nil, err
	}
	p := &Plan{host: h, options: o}
	asked, err := h.sort(o.Resources)
	if err != nil {
		return nil, err
	}
	if o.Always {
		asked = h.addUsual(asked)
	}
	if asked, err = h.addAlso(asked, o.Also); err != nil {
		return nil, err
	}
	if o.Usual {
		asked = h.addChanged(asked)
	}
	if len(asked) == 0 {
		return p, nil
	}
	owner, err := self()
	if err != nil {
		return nil, err
	}
	nobody := owner
	nobody.pid, nobody.start = 0, 0
	p.name = owner.name(o.ID)
	if o.Scope != nil {
		return p, p.scoped(asked)
	}
	group := p.name
	if o.Detached {
		group = nobody.name(o.ID)
	}
	for _, a := range asked {
		top, base, err := h.where(a.tree, o)
		if err != nil {
			return nil, err
		}
		if o.Path != "" {
			group = o.Path
		}
		if err := p.add(a, top, filepath.Join(base, group), o.Parent); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// where is the top of what this process may change in a hierarchy, and the
// directory in which the group is made.
func (h *Host) where(tree *hierarchy, o Options) (top, base string, err error) {
	switch {
	case o.Parent != "" && !tree.v2:
		return "", "", fmt.Errorf("plan a control group: the %s hierarchy is of version 1, which cannot be delegated to a user; run as root, or leave its limits out", tree.name())
	case o.Parent != "":
		if o.Parent != tree.mount && !strings.HasPrefix(o.Parent, tree.mount+"/") {
			return "", "", fmt.Errorf("plan a control group: the parent %q is not below %q", o.Parent, tree.mount)
		}
		return o.Parent, o.Parent, nil
	case strings.HasPrefix(o.Path, "/"):
		return tree.mount, tree.mount, nil
	}
	base, err = tree.place()
	return tree.mount, base, err
}

func checkName(s string) error {
	switch {
	case s == "" || s == "." || s == "..":
		return fmt.Errorf("is no name; give it one")
	case len(s) > 128:
		return fmt.Errorf("is longer than 128 bytes; shorten it")
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f || r == '\\' }):
		return fmt.Errorf(`has a character that a directory's name should not have; use letters, digits, ".", "_" and "-"`)
	}
	return nil
}

func checkPath(path string) error {
	if path == "" {
		return nil
	}
	if strings.Count(path, ":") == 2 && !strings.Contains(path, "/") {
		return fmt.Errorf("plan a control group: cgroupsPath %q is systemd's form, slice:prefix:name; give a path", path)
	}
	if filepath.Clean("/"+path) == "/" || strings.ContainsFunc(path, unicode.IsControl) || slices.Contains(strings.Split(path, "/"), "..") {
		return fmt.Errorf("plan a control group: cgroupsPath %q is not the path of a group; it cannot be the top, nor contain \"..\" or control characters", path)
	}
	return nil
}

// add plans a directory below top, which exists. A delegated parent's own
// processes have to move out of the way of controllers.
func (p *Plan) add(q *request, top, dir, parent string) error {
	t := &part{tree: q.tree, dir: dir, writes: q.writes.list, filter: q.writes.filter, late: q.late, enabled: q.enable, spare: q.spare, fd: -1, prog: -1}
	t.chosen = p.options.Path != ""
	t.elsewhere = t.chosen || p.options.Parent != ""
	var cpus, mems string // the nearest that are set, for version 1's cpuset
	for _, level := range levels(top, dir) {
		// A name of our own is taken to be new; if it is not, mkdir says so.
		there := level == top || ((level != dir || t.chosen) && exists(level))
		if !there {
			t.prepare = append(t.prepare, action{dir: level})
		}
		if q.tree.v2 {
			if level != dir {
				if err := t.enable(level, level == top, parent, there); err != nil {
					return err
				}
			}
			continue
		}
		if q.tree.has(cpuset.name) {
			t.fill(level, there, &cpus, &mems)
		}
	}
	p.parts = append(p.parts, t)
	return nil
}

// levels are the directories from top down to dir, both included.
func levels(top, dir string) []string {
	list := []string{top}
	rest := strings.Trim(strings.TrimPrefix(dir, top), "/")
	for name := range strings.SplitSeq(rest, "/") {
		if name != "" {
			list = append(list, list[len(list)-1]+"/"+name)
		}
	}
	return list
}

// enable plans to give the children of a directory the part's controllers. The
// top has to have them; the others have them from above, once that is done.
func (t *part) enable(level string, top bool, parent string, there bool) error {
	missing, spare := t.enabled, t.spare
	if there && len(missing)+len(spare) > 0 {
		text, err := readText(unix.AT_FDCWD, level+"/cgroup.subtree_control")
		if err != nil {
			return fmt.Errorf("read the controllers of %q: %w", level, err)
		}
		has := strings.Fields(text)
		enabled := func(c string) bool { return slices.Contains(has, c) }
		missing, spare = slices.DeleteFunc(slices.Clone(missing), enabled), slices.DeleteFunc(slices.Clone(spare), enabled)
		if len(missing) > 0 && top {
			if err := available(level, missing); err != nil {
				return err
			}
		}
	}
	if len(missing) > 0 {
		if there && level == parent {
			if err := t.clear(level); err != nil {
				return err
			}
		}
		t.prepare = append(t.prepare, action{dir: level, write: enabling(missing)})
	}
	if len(spare) > 0 {
		t.prepare = append(t.prepare, action{dir: level, write: enabling(spare), spare: spare})
	}
	return nil
}

// enabling is what gives controllers to a directory's children.
func enabling(controllers []string) write {
	return write{file: "cgroup.subtree_control", data: "+" + strings.Join(controllers, " +")}
}

// available says which of the controllers a directory cannot give.
func available(level string, missing []string) error {
	text, err := readText(unix.AT_FDCWD, level+"/cgroup.controllers")
	if err != nil {
		return fmt.Errorf("read the controllers of %q: %w", level, err)
	}
	for _, c := range missing {
		if !slices.Contains(strings.Fields(text), c) {
			return fmt.Errorf("plan a control group: the %s controller is not delegated to %q, which has %q; enable it above (systemd: Delegate=%s), or leave the limit out", c, level, text, c)
		}
	}
	return nil
}

// launcherDir is where the processes of a delegated parent move: a group of
// version 2 whose children have controllers can have no processes.
const launcherDir = "isoperf-launcher"

func (t *part) clear(parent string) error {
	text, err := readText(unix.AT_FDCWD, parent+"/cgroup.procs")
	if err != nil {
		return fmt.Errorf("read the processes of %q: %w", parent, err)
	}
	dir := parent + "/" + launcherDir
	for i, pid := range strings.Fields(text) {
		if i == 0 && !exists(dir) {
			t.prepare = append(t.prepare, action{dir: dir, accept: unix.EEXIST})
		}
		t.prepare = append(t.prepare, action{dir: dir, write: write{file: "cgroup.procs", data: pid}, accept: unix.ESRCH})
	}
	return nil
}

// fill plans what a group of version 1's cpuset needs before it can hold
// processes: processors and memory nodes, those of the group above.
func (t *part) fill(level string, there bool, cpus, mems *string) {
	for _, f := range [...]struct {
		file string
		near *string
	}{{"cpuset.cpus", cpus}, {"cpuset.mems", mems}} {
		if there {
			if text, err := readText(unix.AT_FDCWD, level+"/"+f.file); err == nil && text != "" {
				*f.near = text
				continue
			}
		}
		if level == t.dir && slices.ContainsFunc(t.writes, func(w write) bool { return w.file == f.file }) {
			continue
		}
		t.prepare = append(t.prepare, action{dir: level, write: write{file: f.file, data: *f.near}})
	}
}

// Empty says that nothing has to be made: there are no limits.
func (p *Plan) Empty() bool { return len(p.parts) == 0 }

// Steps are what Create and Within will do, in order.
func (p *Plan) Steps() []Step {
	var list []Step
	if p.Scoped() {
		list = append(list, p.scopeStep())
	}
	for _, t := range p.parts {
		for _, a := range t.prepare {
			list = append(list, Step{Name: a.name(t), Text: a.text()})
		}
		if len(t.filter) > 0 {
			list = append(list, Step{"attach devices", "attach a BPF program of " + strconv.Itoa(len(t.filter)) + " device rules to " + t.dir})
		}
		for _, w := range t.writes {
			list = append(list, Step{"write " + w.file, w.String()})
		}
	}
	for _, t := range p.parts {
		if !t.tree.v2 && p.Entrances() == nil {
			list = append(list, Step{"enter " + t.tree.name(), "the launching thread writes itself to " + t.dir + "/tasks, and goes back once the child is born"})
		}
	}
	for _, t := range p.parts {
		for _, w := range t.late {
			list = append(list, Step{"write " + w.file, w.String() + " (once the child is on its own)"})
		}
	}
	return list
}

func (a action) name(t *part) string {
	if a.file == "" {
		return "mkdir " + t.tree.name()
	}
	return "write " + a.file
}
