package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/cgroup/systemd"
)

// Target names a group that something else has made, by one of its fields.
type Target struct {
	Cgroup string // its directory, or its name as in /proc/PID/cgroup
	PID    int    // a process in it
	Unit   string // a unit of systemd's
	User   bool   // the unit is one of the user's own systemd
}

// Existing is a group that something else has made, and all above it. It is only
// read.
type Existing struct {
	Name   string // what a person calls it: "web-7f9c", "stress (4711)"
	Hidden string // why there may be limits that cannot be seen; empty: there are none
	Levels []Level
	Able   bool // the group or one above it has the CPU controller, so that it could have a limit
	host   *cgroup.Host
	group  string
	pid    int // of the process that it was found by; 0: none
}

// Level is the limit of the CPU bandwidth that a group or an ancestor has.
type Level struct {
	Group         string // by its name in the hierarchy
	Quota, Period time.Duration
	Burst         time.Duration
	place         place
	text          string // the limit as cpu.max has it
}

// Find finds the group, and the limits of the CPU on the way up to the root.
func Find(ctx context.Context, t Target) (*Existing, error) {
	h, err := cgroup.Detect()
	if err != nil {
		return nil, err
	}
	e := &Existing{host: h}
	switch {
	case t.PID != 0:
		err = e.ofProcess(t.PID)
	case t.Unit != "":
		err = e.ofUnit(ctx, t)
	default:
		e.at(t.Cgroup)
	}
	if err != nil {
		return nil, err
	}
	return e, e.climb()
}

func (e *Existing) ofProcess(pid int) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("find the group of process %d: there is no such process here", pid)
	}
	if err != nil {
		return fmt.Errorf("find the group of process %d: %w", pid, err)
	}
	if e.group, err = e.host.GroupOf("cpu", text); err != nil {
		return err
	}
	e.pid = pid
	name, err := readLine(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return err
	}
	e.Name = fmt.Sprintf("%s (%d)", name, pid)
	return nil
}

// ofUnit asks systemd and, where none answers, looks for a group of that name.
func (e *Existing) ofUnit(ctx context.Context, t Target) error {
	name := t.Unit
	if !strings.Contains(name, ".") {
		name += ".service"
	}
	e.Name = name
	group, err := systemd.Unit(ctx, name, t.User)
	if err == nil {
		e.group = group
		return nil
	}
	if errors.Is(err, systemd.ErrNotRunning) {
		return err
	}
	list, lerr := e.host.Named(name)
	switch {
	case lerr != nil:
		return lerr
	case len(list) == 0:
		return fmt.Errorf("find unit %q: no group is called so, and systemd does not say: %w", name, err)
	case len(list) > 1:
		return fmt.Errorf("find unit %q: %d groups are called so (%q, %q): say which with --cgroup", name, len(list), list[0], list[1])
	}
	e.group = list[0]
	return nil
}

func (e *Existing) at(given string) {
	group, ok := e.host.GroupAt(given)
	if !ok {
		group = path.Clean("/" + given)
	}
	e.group, e.Name = group, path.Base(group)
}

// climb collects the limits. A group without one is passed over.
func (e *Existing) climb() error {
	cpu, err := e.host.Lineage("cpu", e.group)
	if err != nil {
		return err
	}
	if cpu.Hidden {
		e.Hidden = "ancestors are hidden: this is a container, whose root is not the machine's; run it on the host"
	}
	usage := cpu
	if !cpu.V2 && len(cpu.Groups) > 0 {
		if usage, err = e.host.Lineage("cpuacct", e.group); err != nil {
			return fmt.Errorf("find what group %q uses: it is in the hierarchy of cpu, and version 1 counts CPU time in that of cpuacct, where it is not; make a group of the same name there and move its processes into it: %w", e.group, err)
		}
		if len(usage.Groups) != len(cpu.Groups) {
			return fmt.Errorf("find group %q: the hierarchies of cpu and cpuacct are mounted from different groups", e.group)
		}
	}
	for i, g := range cpu.Groups {
		level := Level{Group: g.Name, place: place{g.Dir, usage.Groups[i].Dir, cpu.V2}}
		if err := level.read(); err != nil {
			return err
		}
		e.Able = e.Able || level.Period > 0
		if level.Quota > 0 {
			e.Levels = append(e.Levels, level)
		}
	}
	return nil
}

// read reads the limit. The root of version 2 has none, nor has a group to which
// its parent does not give the controller.
func (l *Level) read() error {
	text, err := l.place.cpuMax()
	if errors.Is(err, errVanished) {
		if _, serr := os.Stat(l.place.cpu); serr == nil {
			return nil
		}
	}
	if err != nil {
		return err
	}
	l.text = text
	quota, period, ok := strings.Cut(text, " ")
	micro, err := strconv.ParseInt(period, 10, 64)
	if !ok || err != nil {
		return fmt.Errorf("read the limit of %q: %q is no quota and period", l.Group, text)
	}
	l.Period = time.Duration(micro) * time.Microsecond
	if quota == "max" {
		return nil
	}
	if micro, err = strconv.ParseInt(quota, 10, 64); err != nil {
		return fmt.Errorf("read the limit of %q: %q is no quota and period", l.Group, text)
	}
	l.Quota = time.Duration(micro) * time.Microsecond
	for _, file := range []string{"cpu.max.burst", "cpu.cfs_burst_us"} { // Linux 5.14
		if text, err := os.ReadFile(filepath.Join(l.place.cpu, file)); err == nil {
			if micro, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err != nil {
				return fmt.Errorf("read the burst of %q: %w", l.Group, err)
			}
			l.Burst = time.Duration(micro) * time.Microsecond
		}
	}
	return nil
}

// State is what a group's other limits and their counters are: read once, not
// watched.
type State struct {
	Limit        string // "memory.max", "pids.max"
	Group        string
	Max, Current float64 // bytes, or tasks
	Peak, Events float64 // -1: the kernel does not tell
}

// States are the limits of memory and tasks nearest to the group.
func (e *Existing) States() ([]State, error) {
	var list []State
	for _, kind := range []struct {
		controller, limit string
		v1, v2            [4]string // max, current, peak, events
	}{
		{"memory", "memory.max", [4]string{"memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt"}, [4]string{"memory.max", "memory.current", "memory.peak", "memory.events"}},
		{"pids", "pids.max", [4]string{"pids.max", "pids.current", "pids.peak", "pids.events"}, [4]string{"pids.max", "pids.current", "pids.peak", "pids.events"}},
	} {
		l, err := e.host.Lineage(kind.controller, e.group)
		if err != nil {
			continue // the group is not in that hierarchy, so it has no such limit
		}
		files := kind.v1
		if l.V2 {
			files = kind.v2
		}
		for _, g := range l.Groups {
			s := State{Limit: kind.limit, Group: g.Name}
			if s.Max = figure(g.Dir, files[0]); s.Max < 0 || s.Max >= unlimited {
				continue
			}
			s.Current, s.Peak, s.Events = figure(g.Dir, files[1]), figure(g.Dir, files[2]), figure(g.Dir, files[3])
			list = append(list, s)
			break
		}
	}
	return list, nil
}

// unlimited is more than any limit: version 1 says so with the largest number of
// pages (PAGE_COUNTER_MAX).
const unlimited = float64(1 << 60)

// figure is the number in a file, or behind "max" in one that has several; -1:
// there is none.
func figure(dir, file string) float64 {
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 2 && words[0] == "max" {
			words = words[1:]
		}
		if len(words) == 1 {
			if v, err := strconv.ParseFloat(words[0], 64); err == nil {
				return v
			}
		}
	}
	return -1
}
