package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup/systemd"
	"isoperf/runtime/program"
)

// Group is a control group: a directory in each hierarchy that it needs. Its
// methods are for one goroutine at a time.
type Group struct {
	host   *Host
	name   string
	parts  []*part
	record string         // the owner record's file; "": none
	scope  *systemd.Scope // systemd made the group; nil: this program did
	spans  []Span
	fresh  bool     // late writes are still to be made
	above  []string // of directories that are gone, those made for them; see Find

	// Ready, when not nil, is called by Within when the thread has left the
	// group, and before the limits on memory and tasks are written. It should
	// return when the child has entered its stub (program.Process.Await): until
	// then it shares the launcher's memory, and running out of it would kill both.
	Ready func() error
	// Later has Within leave those limits to Settle, and Ready alone.
	Later bool
}

// Span is a step that was done, in nanoseconds of CLOCK_MONOTONIC
// (program.Now).
type Span struct {
	Name       string
	Start, End int64
}

// Spans are the steps of Create, Within, Attach and Remove so far, in order.
func (g *Group) Spans() []Span { return g.spans }

// timed notes a step.
func (g *Group) timed(name string, start int64) {
	g.spans = append(g.spans, Span{Name: name, Start: start, End: program.Now()})
}

// Create makes the group. On an error nothing of it is left, except that a
// group of version 2 above it may give its children more controllers than
// before: they may have been taken up by others.
func (p *Plan) Create() (*Group, error) {
	g := &Group{host: p.host, name: p.name, fresh: true, spans: make([]Span, 0, 32)}
	if err := g.writeRecord(p); err != nil {
		return nil, err
	}
	for _, planned := range p.parts {
		t := *planned // a plan may be used again
		g.parts = append(g.parts, &t)
		if err := g.make(&t); err != nil {
			err = fmt.Errorf("create control group %q: %w", t.dir, err)
			if undo := g.Remove(); undo != nil {
				err = errors.Join(err, undo)
			}
			return nil, err
		}
	}
	return g, nil
}

// make makes one directory and writes its limits.
func (g *Group) make(t *part) error {
	for _, a := range t.prepare {
		start := program.Now()
		err := t.do(a)
		if err != nil && !(a.accept != 0 && errors.Is(err, a.accept)) {
			return err
		}
		g.timed(a.name(t), start)
	}
	var err error
	if t.fd, err = openat(unix.AT_FDCWD, t.dir, dirFlags); err != nil {
		return fmt.Errorf("open %q: %w", t.dir, err)
	}
	switch {
	case !slices.Contains(t.made, t.dir):
		err = t.claim()
	case t.elsewhere: // what is above it is not above this process, which runs
		err = t.checkAbove()
	}
	if err != nil {
		return err
	}
	if len(t.filter) > 0 {
		start := program.Now()
		if err := t.attach(); err != nil {
			return err
		}
		g.timed("attach devices", start)
	}
	return g.apply(t, t.writes)
}

// attach puts the device rules in force.
func (t *part) attach() error {
	dir, err := openat(t.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open %q: %w", t.dir, err)
	}
	defer unix.Close(dir)
	if t.opened && t.prog < 0 {
		if t.prog, err = attachedDevices(dir); err != nil {
			return err
		}
	}
	prog, err := attachDevices(dir, t.filter, t.prog)
	if err != nil {
		return err
	}
	if t.prog >= 0 {
		unix.Close(t.prog)
	}
	t.prog = prog
	return nil
}

// do makes a directory or writes a file.
func (t *part) do(a action) error {
	if a.spare != nil {
		return a.enableSpare()
	}
	if a.file != "" {
		if err := writeFile(unix.AT_FDCWD, a.dir+"/"+a.file, a.data); err != nil {
			return writeError(a.write, a.dir, err)
		}
		return nil
	}
	err := unix.Mkdir(a.dir, 0o755)
	switch {
	case err == unix.EEXIST && a.dir != t.dir:
		return nil // somebody made it meanwhile
	case err == unix.EEXIST:
		return fmt.Errorf("mkdir %q: %w; another container has this name: choose another, or remove that one", a.dir, err)
	case err == unix.EACCES || err == unix.EPERM || err == unix.EROFS:
		return fmt.Errorf("mkdir %q: %w; this directory is not delegated to this user: run as root, or in a delegated scope (systemd-run --user --scope -p Delegate=yes)", a.dir, err)
	case err == unix.EAGAIN:
		return fmt.Errorf("mkdir %q: %w; a group above has reached cgroup.max.descendants or cgroup.max.depth", a.dir, err)
	case err != nil:
		return fmt.Errorf("mkdir %q: %w", a.dir, err)
	}
	t.made = append(t.made, a.dir)
	return nil
}

// apply writes values into the group's directory. Neighbours that go to the
// same file share its descriptor.
func (g *Group) apply(t *part, list []write) error {
	for i := 0; i < len(list); {
		start := program.Now()
		w := list[i]
		fd, err := openat(t.fd, w.file, writeFlags)
		if err == unix.ENOENT && w.other != "" {
			w.file, w.data = w.other, w.otherData
			fd, err = openat(t.fd, w.file, writeFlags)
		}
		if err != nil {
			return writeError(w, t.dir, err)
		}
		for {
			if err = writePatiently(fd, w); err != nil {
				unix.Close(fd)
				return writeError(w, t.dir, err)
			}
			i++
			if i == len(list) || list[i].file != w.file {
				break
			}
			w = list[i]
		}
		unix.Close(fd)
		g.timed("write "+w.file, start)
	}
	return nil
}

// writePatiently writes a value. A memory limit is refused as busy while the
// charges that other processors keep in stock are above it; each attempt has
// them given back, without waiting for it.
func writePatiently(fd int, w write) (err error) {
	const attempts = 200
	for n := 0; ; n++ {
		err = writeFD(fd, w.data)
		if err != unix.EBUSY || n == attempts || !strings.HasPrefix(w.file, "memory.") {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// writeError says what was written, for which field, and what to do.
func writeError(w write, dir string, err error) error {
	what := w.String()
	if w.field != "" {
		what += " for " + w.field
	}
	return fmt.Errorf("%s: %w; %s", what, err, advice(w, dir, err))
}

func advice(w write, dir string, err error) string {
	subtree := w.file == "cgroup.subtree_control"
	switch {
	case errors.Is(err, unix.ENOENT) && subtree:
		return fmt.Sprintf("a controller is not delegated to %q; see its cgroup.controllers", dir)
	case errors.Is(err, unix.ENOENT):
		return fmt.Sprintf("this kernel has no such setting in %q; leave the limit out", dir)
	case errors.Is(err, unix.EBUSY) && subtree:
		return fmt.Sprintf("%q has processes itself, so its children can have no controllers; move them into a child", dir)
	case errors.Is(err, unix.EBUSY) && strings.HasPrefix(w.file, "memory."):
		return "more than that is in use and cannot be reclaimed; give a higher limit"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EROFS):
		if strings.HasPrefix(w.file, "devices.") {
			return "a group above does not allow that device; leave the rule out"
		}
		if subtree {
			return fmt.Sprintf("cgroup.subtree_control of %q is not delegated to this user: run as root, or in a delegated scope (systemd-run --user --scope -p Delegate=yes)", dir)
		}
		return fmt.Sprintf("%q is not delegated to this user: run as root, or in a delegated scope (systemd-run --user --scope -p Delegate=yes)", dir)
	case errors.Is(err, unix.ENODEV):
		return "there is no such device, or it is a partition; give the whole disk"
	case errors.Is(err, unix.EOPNOTSUPP):
		return "the group cannot have this setting here, or is a threaded one; leave the limit out"
	case w.file == "cpu.cfs_quota_us", w.file == "cpu.cfs_period_us", w.file == "cpu.max":
		return "a group above or below may have a limit that it does not fit; see their CPU limits"
	}
	return fmt.Sprintf("the kernel does not take this value in %q; give another", dir)
}

// Dir is the group's directory in the hierarchy that has a controller; "v2" is
// version 2's. Empty: the group is not in it.
func (g *Group) Dir(controller string) string {
	for _, t := range g.parts {
		if (t.tree.v2 && controller == "v2") || t.tree.has(controller) {
			return t.dir
		}
	}
	return ""
}

// FD is the descriptor of the version 2 directory, for CLONE_INTO_CGROUP
// (program.Program.Cgroup); 0: there is none. It belongs to the group.
func (g *Group) FD() int {
	if t := g.unified(); t != nil {
		return t.fd
	}
	return 0
}

func (g *Group) unified() *part {
	for _, t := range g.parts {
		if t.tree.v2 {
			return t
		}
	}
	return nil
}

// Child makes a group below this one, in all of its hierarchies and those that
// the child's own limits need, so that the limits of both hold. In version 2, a
// group whose children have controllers can have no processes of its own.
func (g *Group) Child(name string, r *specs.LinuxResources) (*Group, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("create a child of %q: name %q %w", g.name, name, err)
	}
	if len(g.parts) == 0 {
		return nil, fmt.Errorf("create child %q: the group has no directory; plan it with limits, or with Always", name)
	}
	if err := g.settle(); err != nil {
		return nil, err
	}
	asked, err := g.host.sort(r)
	if err != nil {
		return nil, err
	}
	for _, t := range g.parts {
		asked, _ = requestOf(asked, t.tree)
	}
	p := &Plan{host: g.host, name: g.name + "/" + name}
	for _, q := range asked {
		t := g.partIn(q.tree)
		if t == nil {
			return nil, fmt.Errorf("create child %q: the group is not in the %s hierarchy, which its limits need; give the parent a limit there too", name, q.tree.name())
		}
		if err := p.add(q, t.dir, filepath.Join(t.dir, name), ""); err != nil {
			return nil, err
		}
	}
	return p.Create()
}

func (g *Group) partIn(tree *hierarchy) *part {
	for _, t := range g.parts {
		if t.tree == tree {
			return t
		}
	}
	return nil
}

// Update changes limits; what r does not mention stays. The group has to be in
// the hierarchies that it needs, since processes are not moved.
func (g *Group) Update(r *specs.LinuxResources) error {
	asked, err := g.host.sort(r)
	if err != nil {
		return err
	}
	for _, q := range asked {
		t := g.partIn(q.tree)
		if t == nil {
			return fmt.Errorf("update control group %q: it is not in the %s hierarchy, because it was created without limits there", g.name, q.tree.name())
		}
		if err := g.update(t, q, r); err != nil {
			return fmt.Errorf("update control group %q: %w", t.dir, err)
		}
		if g.scope != nil {
			if err := g.tell(t, append(q.writes.list, q.late...)); err != nil {
				return fmt.Errorf("update control group %q: %w", t.dir, err)
			}
		}
	}
	return nil
}

// update writes one hierarchy's values. Some are bounded by others (memory by
// memory and swap, the quota by the period), and which has to go first depends
// on the old values: one that is refused is tried again after the others.
func (g *Group) update(t *part, q *request, r *specs.LinuxResources) error {
	if err := t.checkUse(r.Memory); err != nil {
		return err
	}
	for _, c := range q.enable {
		if slices.Contains(t.enabled, c) || g.scope != nil { // systemd has enabled what it delegates
			continue
		}
		above := filepath.Dir(t.dir)
		w := write{file: "cgroup.subtree_control", data: "+" + c}
		if err := writeFile(unix.AT_FDCWD, above+"/"+w.file, w.data); err != nil {
			return writeError(w, above, err)
		}
		t.enabled = append(t.enabled, c)
	}
	if len(q.writes.filter) > 0 {
		t.filter = q.writes.filter
		if err := t.attach(); err != nil {
			return err
		}
	}
	list := q.writes.list
	if g.fresh {
		for _, w := range q.late { // they are written later, so the last value is the one
			t.late = append(slices.DeleteFunc(t.late, func(old write) bool { return old.file == w.file }), w)
		}
	} else {
		list = append(list, q.late...)
	}
	var again []write
	for _, w := range list {
		if err := g.apply(t, []write{w}); errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EBUSY) {
			again = append(again, w)
		} else if err != nil {
			return err
		}
	}
	return g.apply(t, again)
}
