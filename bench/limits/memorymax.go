package limits

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
	"isoperf/workloads/load"
)

// MemoryCell is a memory limit, and what is held to it.
type MemoryCell struct {
	Limit int64   // bytes; a multiple of the page
	Kind  string  // anon, shmem: it cannot be reclaimed; file, dirty: page cache, which can
	Want  float64 // how much the load wants, as a share of Limit
	Tasks int     // processes in the group, one of which wants memory; 0: 1
	Group bool    // the kernel is to kill all of them (memory.oom.group; version 2, Linux 4.19)

	// Limit is the least on the way up, and it may be that of a group of two:
	Child   int64   // the load is in a group below, which has this limit, a larger one; 0: it is not
	Parent  int64   // the group is below another, which has this limit, a larger one; 0: it is not
	Sibling float64 // with Child: another group below holds so much, as a share of Limit
}

const mib = 1 << 20

// leastMemory is the limit in which a load can start at all.
const leastMemory = 16 * mib

// Check says what is wrong with the cell; nil: nothing.
func (c MemoryCell) Check() error {
	switch {
	case c.Limit < leastMemory || c.Limit%int64(os.Getpagesize()) != 0:
		return fmt.Errorf("a limit of %d bytes: it must be at least %d MiB, so that a load can start, and whole pages; give %d", c.Limit, leastMemory/mib, max(leastMemory, c.Limit/mib*mib))
	case !(c.Want > 0) || c.Want > 16:
		return fmt.Errorf("a load of %v times the limit: it must be more than 0 and at most 16", c.Want)
	}
	if err := c.checkNest(); err != nil {
		return err
	}
	switch c.Kind {
	case "anon", "shmem", "file", "dirty":
		return nil
	}
	return fmt.Errorf("no memory load is called %q; there are anon, shmem, file, dirty", c.Kind)
}

// killed says whether the load must be.
func (c MemoryCell) killed() bool {
	return (c.Kind == "anon" || c.Kind == "shmem") && c.Want+c.Sibling > 1
}

func (c MemoryCell) tasks() int { return max(1, c.Tasks) }

func (c MemoryCell) tail() string {
	text := fmt.Sprintf("limit=%s%s/kind=%s/want=%s%%", sizeName(c.Limit), c.nestName(), c.Kind, strconv.FormatFloat(100*c.Want, 'f', -1, 64))
	if c.tasks() > 1 {
		text += fmt.Sprintf("/tasks=%d", c.tasks())
	}
	if c.Group {
		text += "/oomgroup=1"
	}
	return text
}

// sizeName is a size in whole MiB, or in bytes.
func sizeName(n int64) string {
	if n%mib == 0 {
		return strconv.FormatInt(n/mib, 10) + "MiB"
	}
	return strconv.FormatInt(n, 10) + "B"
}

// resources are the limits of the cell.
func (c MemoryCell) resources() *specs.LinuxResources {
	r := memoryLimit(c.Limit)
	if c.Group {
		r.Unified = map[string]string{"memory.oom.group": "1"}
	}
	return r
}

// memoryLimit is a limit of so many bytes. Where the machine has swap, the group
// has none, or what the limit pushes out would be no error.
func memoryLimit(bytes int64) *specs.LinuxResources {
	r := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &bytes}}
	if swap, err := swapPresent(); err == nil && swap {
		r.Memory.Swap = &bytes
	}
	return r
}

// swapPresent says whether the machine has any swap.
func swapPresent() (bool, error) {
	text, err := os.ReadFile("/proc/swaps")
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // a kernel without
	}
	return strings.Count(string(text), "\n") > 1, err
}

// MemoryMax are the cells of a report: what must be killed, what must live, and
// what must be reclaimed.
func (b *Bench) MemoryMax(e harness.Extent) []harness.Case {
	cases := b.memoryCases("MemoryMax", e, memoryGrid(e), b.sampleMemory)
	if e.Wide { // who has no stress-ng is not to miss it in a look
		cases = append(cases, b.outsideMemory(e))
	}
	return cases
}

// OOM are the cells whose load is killed, and how long that takes.
func (b *Bench) OOM(e harness.Extent) []harness.Case {
	cells := []MemoryCell{{Limit: 64 * mib, Kind: "anon", Want: 1.5}}
	if e.Wide {
		cells = append(cells, MemoryCell{Limit: 64 * mib, Kind: "shmem", Want: 1.5}, MemoryCell{Limit: 256 * mib, Kind: "anon", Want: 1.5})
	}
	if m, err := readMachine(); err == nil && m.env.Cgroup == "v2" { // version 1 kills no groups
		cells = append(cells, MemoryCell{Limit: 64 * mib, Kind: "anon", Want: 1.5, Tasks: 3, Group: true})
	}
	return b.memoryCases("Oom", e, cells, b.sampleOOM)
}

func memoryGrid(e harness.Extent) []MemoryCell {
	limits := []int64{64 * mib}
	if e.Wide {
		limits = []int64{16 * mib, 64 * mib, 256 * mib}
	}
	var cells []MemoryCell
	for _, l := range limits {
		cells = append(cells,
			MemoryCell{Limit: l, Kind: "anon", Want: 1.5},
			MemoryCell{Limit: l, Kind: "anon", Want: 0.5},
			MemoryCell{Limit: l, Kind: "shmem", Want: 1.5},
			MemoryCell{Limit: l, Kind: "file", Want: 3})
	}
	if e.Wide {
		cells = append(cells, MemoryCell{Limit: 64 * mib, Kind: "dirty", Want: 2})
	}
	return append(cells, memoryNests(e)...)
}

// memoryCases makes a group for every sample, since a load that is killed
// leaves counters behind.
func (b *Bench) memoryCases(family string, e harness.Extent, cells []MemoryCell, one func(*memorySample) ([]sample.Value, error)) []harness.Case {
	var cases []harness.Case
	for _, c := range cells {
		cases = append(cases, b.newCase(family+"/"+c.tail(), e, 500*time.Millisecond, func(name string, g *ground) (func() ([]sample.Value, error), error) {
			return b.openMemory(name, c, g, one)
		}))
	}
	return cases
}

// memorySample is one measurement of a memory limit.
type memorySample struct {
	name    string
	cell    MemoryCell
	place   memoryPlace   // of the group whose limit is the least
	homes   []memoryPlace // of groups with processes, that of the load first
	wider   []memoryPlace // of groups whose limits are not to count
	ground  *ground
	group   *cgroup.Group // that of the load
	worker  *worker       // the one that wants memory
	others  []*worker     // idle, in the same group or beside it
	checked sample.Checked
	cpus    int
	halfway func() error // tests: is called while the load is at work
}

func (s *memorySample) doubt(format string, args ...any) {
	s.checked.Doubts = append(s.checked.Doubts, fmt.Sprintf(format, args...))
}

func (b *Bench) openMemory(name string, c MemoryCell, g *ground, one func(*memorySample) ([]sample.Value, error)) (func() ([]sample.Value, error), error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Group && g.host.Mode() != "v2" {
		return nil, harness.NotMeasured{Why: "version 1 cannot kill a group as a whole (memory.oom.group); boot with control groups of version 2"}
	}
	m, err := readMachine()
	if err != nil {
		return nil, err
	}
	spec, err := c.spec(g)
	if err != nil {
		return nil, err
	}
	s := &memorySample{name: name, cell: c, ground: g, cpus: m.env.CPUs}
	if err := s.groups(); err != nil {
		return nil, err
	}
	if s.worker, err = g.start(s.group, spec); err != nil {
		return nil, err
	}
	for range c.tasks() - 1 {
		w, err := g.start(s.group, load.Spec{Kind: "anon", Bytes: mib})
		if err != nil {
			return nil, err
		}
		s.others = append(s.others, w)
	}
	s.checked = sample.Checked{Case: name, Limit: "memory.max", Asked: strconv.FormatInt(c.Limit, 10), Facts: map[string]string{"version": s.place.version(), "page": strconv.Itoa(os.Getpagesize())}}
	return func() ([]sample.Value, error) {
		values, err := one(s)
		if err != nil {
			return nil, err
		}
		return values, b.record(s.checked)
	}, nil
}

// spec is the load of the cell.
func (c MemoryCell) spec(g *ground) (load.Spec, error) {
	want := int64(c.Want*float64(c.Limit)) / mib * mib
	s := load.Spec{Kind: c.Kind, Bytes: want, Step: mib}
	if c.Kind != "file" && c.Kind != "dirty" {
		return s, nil
	}
	// A file of holes: reading it makes clean pages, without a device's share.
	f, err := os.CreateTemp("", "isoperf-pagecache-")
	if err != nil {
		return s, fmt.Errorf("make a file to read: %w; set TMPDIR", err)
	}
	defer f.Close()
	g.onClose(func() error { return os.Remove(f.Name()) })
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return s, fmt.Errorf("look at the file system of %q: %w", f.Name(), err)
	}
	if fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC {
		return s, harness.NotMeasured{Why: fmt.Sprintf("%q is memory itself, which cannot be reclaimed; set TMPDIR to a directory on a disk", os.TempDir())}
	}
	if err := f.Truncate(want); err != nil {
		return s, fmt.Errorf("make a file to read: %w", err)
	}
	s.Kind, s.Path = "file", f.Name()
	if c.Kind == "dirty" {
		s.Extra = "write"
	}
	return s, nil
}
