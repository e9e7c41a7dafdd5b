package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// ErrStranded is wrapped by the error of a thread that could not go back: it is
// still in the group, so it must not be used again, and the group cannot be
// removed before it has ended.
var ErrStranded = errors.New("the launching thread is still in the group; end it")

// Within runs start with the calling thread inside the group's version 1
// hierarchies, so that a child which start clones is born there, and then writes
// the limits that would have hit the thread. The caller has locked the goroutine
// to its thread (program.Launcher). A group of version 2 alone just runs start;
// see FD. The thread's affinity is given back as well.
//
// The child must not run a command before Within has returned: let it wait at a
// gate, and set Ready.
func (g *Group) Within(start func() error) error {
	if !slices.ContainsFunc(g.parts, func(t *part) bool { return !t.tree.v2 }) {
		if err := start(); err != nil {
			return err
		}
		return g.ready()
	}
	home, err := g.home()
	if err != nil {
		return err
	}
	defer home.close()
	entered, err := home.enter(g)
	if err == nil {
		err = start()
	}
	if back := home.leave(g, entered); back != nil {
		return errors.Join(err, back)
	}
	if err != nil {
		return err
	}
	return g.ready()
}

// ready waits for the child to be on its own, and settles.
func (g *Group) ready() error {
	if g.Later {
		return nil
	}
	if g.fresh && g.Ready != nil {
		begin := program.Now()
		if err := g.Ready(); err != nil {
			return err
		}
		g.timed("child ready", begin)
	}
	return g.settle()
}

// home is where the launching thread is and goes back to: the `tasks` file of
// each of the group's version 1 hierarchies, opened before it moves.
type home struct {
	parts []*part
	dirs  []string
	fds   []int
	cpus  unix.CPUSet
	bound bool // a cpuset is among them, which changes the thread's affinity
}

// home looks up where the calling thread is.
func (g *Group) home() (*home, error) {
	begin := program.Now()
	text, err := readFile(unix.AT_FDCWD, "/proc/thread-self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("read /proc/thread-self/cgroup: %w; mount /proc", err)
	}
	m := &home{}
	for _, t := range g.parts {
		if t.tree.v2 {
			continue
		}
		own := t.tree.own
		eachOwn(text, func(controllers, path string) {
			if first, _, _ := strings.Cut(controllers, ","); t.tree.has(first) {
				own = path
			}
		})
		dir, err := t.tree.dir(own)
		if err == nil {
			var fd int
			if fd, err = openat(unix.AT_FDCWD, dir+"/tasks", writeFlags); err == nil {
				m.parts, m.dirs, m.fds = append(m.parts, t), append(m.dirs, dir), append(m.fds, fd)
			}
		}
		if err != nil {
			m.close()
			return nil, fmt.Errorf("open the launching thread's own group %q of %s: %w", own, t.tree.name(), err)
		}
		m.bound = m.bound || t.tree.has(cpuset.name)
	}
	if m.bound {
		if err := unix.SchedGetaffinity(0, &m.cpus); err != nil {
			m.close()
			return nil, fmt.Errorf("read the launching thread's affinity: %w", err)
		}
	}
	g.timed("find home", begin)
	return m, nil
}

func (m *home) close() {
	for _, fd := range m.fds {
		unix.Close(fd)
	}
}

// enter moves the thread in, and says into how many hierarchies it got. The
// data "0" is the writing thread, which may be moved without waiting.
func (m *home) enter(g *Group) (int, error) {
	for i, t := range m.parts {
		begin := program.Now()
		if err := writeFile(t.fd, "tasks", "0"); err != nil {
			return i, fmt.Errorf("enter control group %q: %w", t.dir, writeError(write{file: "tasks", data: "0"}, t.dir, err))
		}
		g.timed("enter "+t.tree.name(), begin)
	}
	return len(m.parts), nil
}

// leave moves the thread back from the first n hierarchies.
func (m *home) leave(g *Group, n int) error {
	var all error
	for i := n - 1; i >= 0; i-- {
		begin := program.Now()
		if err := writeFD(m.fds[i], "0"); err != nil {
			all = errors.Join(all, fmt.Errorf("go back to control group %q: write \"0\" to tasks: %w; %w", m.dirs[i], err, ErrStranded))
			continue
		}
		g.timed("leave "+m.parts[i].tree.name(), begin)
	}
	var now unix.CPUSet // before Linux 6.2, the kernel forgot what the thread had asked for
	if m.bound && unix.SchedGetaffinity(0, &now) == nil && now != m.cpus {
		if err := unix.SchedSetaffinity(0, &m.cpus); err != nil {
			all = errors.Join(all, fmt.Errorf("give the launching thread its processors back: %w; %w", err, ErrStranded))
		}
	}
	return all
}

// Settle writes the late limits, where Within left them; once.
func (g *Group) Settle() error { return g.settle() }

// settle writes the late limits, once.
func (g *Group) settle() error {
	if !g.fresh {
		return nil
	}
	g.fresh = false
	for _, t := range g.parts {
		if err := g.apply(t, t.late); err != nil {
			return fmt.Errorf("limit control group %q: %w", t.dir, err)
		}
	}
	return nil
}

// Attach moves a process that already runs, with all its threads, and then
// writes the late limits. On version 1 each hierarchy takes some 8 ms.
func (g *Group) Attach(pid int) error {
	if pid < 1 {
		return fmt.Errorf("attach process %d: it is no process id", pid)
	}
	w := write{file: "cgroup.procs", data: strconv.Itoa(pid)}
	for _, t := range g.parts {
		begin := program.Now()
		err := writeFile(t.fd, w.file, w.data)
		switch {
		case err == unix.ESRCH:
			return fmt.Errorf("attach process %d to %q: %w; it has ended", pid, t.dir, err)
		case err == unix.ENOSPC:
			return fmt.Errorf("attach process %d to %q: %w; the cpuset has no processors or no memory nodes", pid, t.dir, err)
		case err == unix.EBUSY:
			return fmt.Errorf("attach process %d to %q: %w; its children have controllers, so attach to one of those", pid, t.dir, err)
		case err != nil:
			return fmt.Errorf("attach process %d to %q: %w", pid, t.dir, writeError(w, t.dir, err))
		}
		g.timed("attach "+t.tree.name(), begin)
	}
	return g.settle()
}
