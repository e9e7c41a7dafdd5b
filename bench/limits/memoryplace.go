package limits

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup"
)

// memoryPlace is where a group is, for the memory controller.
type memoryPlace struct {
	dir string
	v2  bool
}

func memoryOf(g *cgroup.Group) memoryPlace {
	if dir := g.Dir("memory"); dir != "" && dir != g.Dir("v2") {
		return memoryPlace{dir, false}
	}
	return memoryPlace{g.Dir("v2"), true}
}

func (p memoryPlace) version() string {
	if p.v2 {
		return "2"
	}
	return "1"
}

// file is a control file by the name that this version has for it.
func (p memoryPlace) file(v2, v1 string) string {
	if p.v2 {
		return p.dir + "/" + v2
	}
	return p.dir + "/" + v1
}

// noLimit is what a limit of "max" is read as.
const noLimit = int64(1) << 62

// bytes reads a file of one number; "max", and version 1's highest, are noLimit.
func (p memoryPlace) bytes(v2, v1 string) (int64, error) {
	text, err := readLine(p.file(v2, v1))
	if err != nil {
		return 0, err
	}
	if text == "max" {
		return noLimit, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %q: %w", p.file(v2, v1), err)
	}
	return min(n, noLimit), nil
}

func (p memoryPlace) limit() (int64, error) { return p.bytes("memory.max", "memory.limit_in_bytes") }

func (p memoryPlace) current() (int64, error) {
	return p.bytes("memory.current", "memory.usage_in_bytes")
}

// peak is the most that was used; ok is false where version 2 does not say
// (before Linux 5.19).
func (p memoryPlace) peak() (n int64, ok bool, err error) {
	n, err = p.bytes("memory.peak", "memory.max_usage_in_bytes")
	if errors.Is(err, errVanished) && p.v2 {
		return 0, false, nil
	}
	return n, err == nil, err
}

// swaps says whether the group may swap: the machine has swap, and the group's
// own limit leaves it some.
func (p memoryPlace) swaps() (bool, error) {
	present, err := swapPresent()
	if err != nil || !present {
		return false, err
	}
	if p.v2 {
		n, err := p.bytes("memory.swap.max", "")
		return n > 0, err
	}
	limit, err := p.limit()
	if err != nil {
		return true, err
	}
	both, err := p.bytes("", "memory.memsw.limit_in_bytes")
	if errors.Is(err, errVanished) {
		return true, nil // swap is not accounted
	}
	return both > limit, err
}

// memoryEvents are a group's counters; -1: this version does not count it.
type memoryEvents struct {
	high, max, oom, kill int64
}

func (p memoryPlace) events() (memoryEvents, error) {
	e := memoryEvents{-1, -1, -1, -1}
	text, err := readLine(p.file("memory.events", "memory.oom_control"))
	if err != nil {
		return e, err
	}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			continue
		}
		switch key {
		case "high":
			e.high = n
		case "max":
			e.max = n
		case "oom":
			e.oom = n
		case "oom_kill":
			e.kill = n
		}
	}
	if !p.v2 {
		e.max, err = p.bytes("", "memory.failcnt")
	}
	return e, err
}

// oomNotice is version 1's own word of an OOM: an eventfd; version 2 counts it.
func (p memoryPlace) oomNotice() (fd int, err error) {
	control, err := os.Open(p.dir + "/memory.oom_control")
	if err != nil {
		return -1, fmt.Errorf("open a group's OOM control: %w", err)
	}
	defer control.Close()
	if fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return -1, fmt.Errorf("make an eventfd: %w", err)
	}
	if err := os.WriteFile(p.dir+"/cgroup.event_control", fmt.Appendf(nil, "%d %d", fd, control.Fd()), 0); err != nil {
		return -1, errors.Join(fmt.Errorf("ask for word of an OOM: %w", err), unix.Close(fd))
	}
	return fd, nil
}

// members are the processes of the group.
func (p memoryPlace) members() ([]int, error) { return numbers(p.dir + "/cgroup.procs") }
