package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup/systemd"
	"isoperf/runtime/program"
)

// Delegate has systemd make a scope, name or name.scope, around process pid, and
// returns its directory, for Options.Parent. It is the user's own systemd that does
// it for an ordinary user. Stop ends the scope, with every process in it; when pid is
// this process it does nothing, and systemd removes it after this process.
func Delegate(ctx context.Context, name string, pid int) (dir string, stop func() error, err error) {
	host, err := Detect()
	if err != nil {
		return "", nil, err
	}
	s := systemd.Scope{Name: strings.TrimSuffix(name, ".scope") + ".scope", User: systemd.Own()}
	group, err := s.Start(ctx, pid)
	if err == nil {
		dir, err = host.Unified(group)
	}
	if err != nil {
		return "", nil, err
	}
	return dir, func() error {
		if pid == os.Getpid() {
			return nil
		}
		return s.Stop(context.WithoutCancel(ctx))
	}, nil
}

// Scoped says whether the group is a scope of systemd's: made by Adopt, around a
// child that there is, and not by Create.
func (p *Plan) Scoped() bool { return p != nil && p.options.Scope != nil }

// checkScope says whether this machine has what a scope is made in.
func (h *Host) checkScope(s *systemd.Scope) error {
	if mode := h.Mode(); s != nil && mode != "v2" {
		return fmt.Errorf("plan scope %q: systemd makes groups of version 2, and this machine has version 1 (%s); leave systemd out, and give a path, or boot with systemd.unified_cgroup_hierarchy=1", s.Name, mode)
	}
	return nil
}

// scoped plans the group in the one hierarchy that it has.
func (p *Plan) scoped(asked []*request) error {
	s := p.options.Scope
	for _, q := range asked {
		p.parts = append(p.parts, &part{tree: q.tree, dir: s.Name, writes: q.writes.list, filter: q.writes.filter, late: q.late, enabled: q.enable, fd: -1, prog: -1})
	}
	_, err := p.properties()
	return err
}

// properties are the limits as systemd has them. It is told them all, also that
// there is none on tasks, for which it has one of its own.
func (p *Plan) properties() ([]systemd.Property, error) {
	list := []systemd.Property{systemd.Number("TasksMax", infinity)}
	for _, t := range p.parts {
		for _, w := range append(slices.Clone(t.writes), t.late...) {
			if w.other != "" {
				continue // which of the files there is, shows when the group is there
			}
			more, err := unitProperties(w.file, w.data)
			if err != nil {
				return nil, refuse(w.field, "%w", err)
			}
			for _, m := range more {
				list = append(slices.DeleteFunc(list, func(old systemd.Property) bool { return old.Name == m.Name }), m)
			}
		}
	}
	return list, nil
}

// Adopt has systemd make the group and move a child there, which waits meanwhile.
// Then it writes all limits itself, like Create: systemd does not know every one, and
// does not say when it could not write one. The late limits are lifted until Settle.
// Beside an error there is a group when systemd has made it: end the child, and
// remove it.
func (p *Plan) Adopt(ctx context.Context, pid int) (*Group, error) {
	list, err := p.properties()
	if err != nil {
		return nil, err
	}
	start := program.Now()
	path, err := p.options.Scope.Start(ctx, pid, list...)
	if err != nil {
		return nil, err
	}
	g := &Group{host: p.host, name: p.name, fresh: true, scope: p.options.Scope}
	g.timed("start scope", start)
	dir, err := p.host.Unified(path)
	if err != nil {
		return g, errors.Join(err, g.scope.Stop(ctx))
	}
	for _, planned := range p.parts {
		t := *planned // a plan may be used again
		t.dir, t.made = dir, []string{dir}
		g.parts = append(g.parts, &t)
		if err := g.adopt(&t); err != nil {
			return g, fmt.Errorf("limit scope %q: %w", p.options.Scope.Name, err)
		}
	}
	return g, nil
}

// adopt writes what a new scope has to hold.
func (g *Group) adopt(t *part) (err error) {
	if t.fd, err = openat(unix.AT_FDCWD, t.dir, dirFlags); err != nil {
		return fmt.Errorf("open %q: %w", t.dir, err)
	}
	if err := available(t.dir, t.enabled); err != nil {
		return err
	}
	if t.stands() {
		return fmt.Errorf("%w: the slice that it is in is frozen, and the container would be; thaw it (systemctl thaw), or choose another", unix.EBUSY)
	}
	var lifted []write
	either := false
	for _, w := range t.late {
		lifted = append(lifted, write{file: w.file, data: "max"})
	}
	for _, w := range t.writes {
		either = either || w.other != ""
	}
	if len(t.filter) > 0 {
		start := program.Now()
		if err := t.attach(); err != nil {
			return err
		}
		g.timed("attach devices", start)
	}
	if err := g.apply(t, append(lifted, t.writes...)); err != nil || !either {
		return err
	}
	return g.tell(t, t.writes)
}

// tell has systemd know the values that files of its scope have now. It writes them,
// too, some less exactly; those are put back.
func (g *Group) tell(t *part, written []write) error {
	var list []systemd.Property
	values := map[string]string{}
	if slices.ContainsFunc(written, func(w write) bool { return w.file == "cpu.idle" }) {
		// Which is a weight to systemd: once it is off, that counts again.
		written = append([]write{{file: "cpu.weight"}}, written...)
	}
	for _, w := range written {
		for _, file := range []string{w.file, w.other} {
			text, err := readText(t.fd, file)
			if _, seen := values[file]; file == "" || err != nil || seen {
				continue // of two names a file has one
			}
			values[file] = text
			more, err := unitProperties(file, text)
			if err != nil {
				return fmt.Errorf("tell systemd the value %q of %s: %w", text, file, err)
			}
			list = append(list, more...)
		}
	}
	start := program.Now()
	if err := g.scope.Set(context.Background(), list...); err != nil {
		return err
	}
	g.timed("set properties of scope", start)
	for file, text := range values {
		if now, err := readText(t.fd, file); err == nil && now != text && !strings.Contains(text, "\n") {
			if err := g.apply(t, []write{{file: file, data: text}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// scopeDir is the directory of a scope that was to be made; none: it is not there.
func (h *Host) scopeDir(s State) ([]string, error) {
	path, err := systemd.Unit(context.Background(), s.Unit, s.User)
	if errors.Is(err, systemd.ErrNotRunning) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	dir, err := h.Unified(path)
	return []string{dir}, err
}

// Moves says whether this user cannot have a child born in the group, so that
// systemd has to move it there; see Bring.
func (g *Group) Moves() bool { return g != nil && g.scope != nil && g.scope.User }

// Bring has systemd move a process into the group.
func (g *Group) Bring(ctx context.Context, pid int) error {
	t := g.unified()
	if t == nil {
		return fmt.Errorf("move process %d into control group %q: it is gone", pid, g.name)
	}
	_, below, _ := strings.Cut(t.dir+"/", "/"+g.scope.Name+"/")
	return g.scope.Attach(ctx, strings.TrimSuffix("/"+below, "/"), pid)
}

// endScope has systemd end the scope, once it has no processes: those would be
// killed. It mostly sees that by itself.
func (g *Group) endScope() error {
	t := g.unified()
	if t == nil {
		return nil
	}
	empty, err := wait(func() (bool, error) {
		events, err := readFile(unix.AT_FDCWD, t.dir+"/cgroup.events")
		return err != nil || strings.Contains(string(events), "populated 0"), nil
	})
	if err == nil && !empty {
		list, _ := processes(t.dir) // for the message
		return fmt.Errorf("stop scope %q: %w: processes %v are still in it after %v; end them first", g.scope.Name, unix.EBUSY, list, patience)
	}
	gone := func() (bool, error) { return !exists(t.dir), nil }
	if ok, _ := waitFor(20*time.Millisecond, gone); ok {
		return nil
	}
	start := program.Now()
	if err := g.scope.Stop(context.Background()); err != nil {
		return err
	}
	if ok, _ := wait(gone); !ok {
		return fmt.Errorf("stop scope %q: systemd has not removed %q after %v; see systemctl status %s", g.scope.Name, t.dir, patience, g.scope.Name)
	}
	g.timed("stop scope", start)
	return nil
}

// scopeStep is what Adopt begins with, for printing.
func (p *Plan) scopeStep() Step {
	s := p.options.Scope
	text := "ask systemd for " + s.Name
	if s.Slice != "" {
		text += " in " + s.Slice
	}
	list, err := p.properties()
	if err == nil {
		for _, property := range list {
			text += " " + property.Name + "=" + strings.Join(property.Value, ",")
		}
	}
	return Step{"start scope", text + ", and to move the child there, which waits"}
}
