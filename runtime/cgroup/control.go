package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// patience bounds the waits of Freeze, Kill and Remove.
const patience = 5 * time.Second

// wait calls done until it says true, first every 20 µs and then less often.
func wait(done func() (bool, error)) (bool, error) { return waitFor(patience, done) }

func waitFor(most time.Duration, done func() (bool, error)) (bool, error) {
	end := time.Now().Add(most)
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		ok, err := done()
		if ok || err != nil || time.Now().After(end) {
			return ok, err
		}
		time.Sleep(pause)
	}
}

// home of freezing: version 2's group, or the one in the freezer hierarchy.
func (g *Group) freezing() (*part, error) {
	t := g.unified()
	for _, v1 := range g.parts {
		if t == nil && v1.tree.has(freezer.name) {
			t = v1
		}
	}
	if t == nil {
		return nil, errors.New("the group is in no hierarchy that can; plan it with Always")
	}
	return t, nil
}

// Freeze stops the group's processes where they are, and those of groups below,
// and returns when all have stopped.
func (g *Group) Freeze() error { return g.freeze(true) }

// Thaw lets frozen processes go on.
func (g *Group) Thaw() error { return g.freeze(false) }

func (g *Group) freeze(on bool) error {
	verb, w := "thaw", write{file: "cgroup.freeze", data: "0"}
	if on {
		verb, w.data = "freeze", "1"
	}
	t, err := g.freezing()
	if err != nil {
		return fmt.Errorf("%s control group %q: %w", verb, g.name, err)
	}
	if !t.tree.v2 {
		w = write{file: "freezer.state", data: "THAWED"}
		if on {
			w.data = "FROZEN"
		}
	}
	begin := program.Now()
	ok, err := wait(func() (bool, error) {
		// Version 1 counts a process that forks meanwhile only when told again.
		if err := writeFile(t.fd, w.file, w.data); err != nil {
			return false, writeError(w, t.dir, err)
		}
		if t.tree.v2 {
			var s Stats
			err := freezerStatV2(t.fd, &s)
			return s.Frozen == on, err
		}
		state, err := readText(t.fd, w.file)
		return state == w.data, err
	})
	switch {
	case err != nil:
		return fmt.Errorf("%s control group %q: %w", verb, t.dir, err)
	case !ok:
		return fmt.Errorf("%s control group %q: some processes did not within %v; one may be in an uninterruptible sleep, or a group above is frozen", verb, t.dir, patience)
	}
	g.timed(verb, begin)
	return nil
}

// Processes are the ids of the processes in the group and in those below, as
// this process sees them, sorted. One in a foreign pid namespace has none.
func (g *Group) Processes() ([]int, error) {
	if len(g.parts) == 0 {
		return nil, nil
	}
	t := g.parts[0]
	if u := g.unified(); u != nil {
		t = u
	}
	return processes(t.dir)
}

func processes(dir string) ([]int, error) {
	var list []int
	err := below(dir, func(fd int) error {
		text, err := readFile(fd, "cgroup.procs")
		if err == unix.ENOENT || err == unix.ENODEV { // removed meanwhile
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the processes of a group in %q: %w", dir, err)
		}
		for word := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
				list = append(list, pid)
			}
		}
		return nil
	}, nil)
	slices.Sort(list)
	return slices.Compact(list), err
}

// Signal sends a signal to every process that is in the group and in those below
// while it looks.
func (g *Group) Signal(sig unix.Signal) error {
	list, err := g.Processes()
	if err != nil {
		return fmt.Errorf("signal control group %q: %w", g.name, err)
	}
	for some := range slices.Chunk(list, 200) { // of the descriptors that this process may have
		if err := g.signal(some, sig); err != nil {
			return err
		}
	}
	return nil
}

// signal sends a signal to some processes. A number may be another's by now: one
// that is in the group when a descriptor is fixed to its process is not.
func (g *Group) signal(list []int, sig unix.Signal) error {
	fds := map[int]int{}
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for _, pid := range list {
		fd, err := unix.PidfdOpen(pid, 0)
		switch err {
		case nil:
			fds[pid] = fd
		case unix.ESRCH, unix.EINVAL, unix.ENOENT: // it has ended; or a thread has its number
		default:
			return fmt.Errorf("signal control group %q: open process %d: %w", g.name, pid, err)
		}
	}
	still, err := g.Processes()
	if err != nil {
		return fmt.Errorf("signal control group %q: %w", g.name, err)
	}
	for _, pid := range still {
		fd, ok := fds[pid]
		if !ok {
			continue
		}
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && err != unix.ESRCH {
			return fmt.Errorf("signal control group %q: send signal %d to process %d: %w; run as the user that started it, or as root", g.name, sig, pid, err)
		}
	}
	return nil
}

// Kill ends every process in the group and in those below with SIGKILL. It
// does not wait for them; Remove does. Version 2 does it at once (cgroup.kill,
// Linux 5.14). On version 1 they are frozen first, if the group is in the
// freezer hierarchy, so that none can fork meanwhile, and otherwise signalled
// until there is no new one.
func (g *Group) Kill() error {
	if len(g.parts) == 0 {
		return nil
	}
	begin := program.Now()
	defer func() { g.timed("kill", begin) }()
	if t := g.unified(); t != nil {
		err := writeFile(t.fd, "cgroup.kill", "1")
		if err == nil {
			return nil
		}
		if err != unix.ENOENT {
			return fmt.Errorf("kill control group %q: %w", t.dir, writeError(write{file: "cgroup.kill", data: "1"}, t.dir, err))
		}
	}
	if t, err := g.freezing(); err == nil && !t.tree.v2 {
		// A process that cannot be frozen does not fork either.
		if writeFile(t.fd, "freezer.state", "FROZEN") == nil {
			defer t.thawAll()
		}
	}
	return g.signalAll()
}

// thawAll lets go a group of version 1 and those below, each of which can have been
// frozen by itself, from inside: what has had its SIGKILL dies then.
func (t *part) thawAll() {
	_ = below(t.dir, func(fd int) error { // what stays frozen, Remove names
		_ = writeFile(fd, "freezer.state", "THAWED")
		return nil
	}, nil)
}

// signalAll sends SIGKILL until a look finds no process that has not had it: who
// has had it does not fork any more. It does not pause, since the others do not.
func (g *Group) signalAll() error {
	had := map[int]bool{}
	for end := time.Now().Add(patience); ; {
		list, err := g.Processes()
		if err != nil {
			return fmt.Errorf("kill control group %q: %w", g.name, err)
		}
		fresh := false
		for _, pid := range list {
			if had[pid] {
				continue
			}
			fresh, had[pid] = true, true
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
				return fmt.Errorf("kill control group %q: process %d: %w; run as the user that started it, or as root", g.name, pid, err)
			}
		}
		if !fresh {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("kill control group %q: its processes fork faster than they can be killed; set pids.max, or freeze the group", g.name)
		}
	}
}
