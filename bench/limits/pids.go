package limits

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
	"isoperf/workloads/load"
)

// PidsCell is a limit of tasks, and what is tried against it.
type PidsCell struct {
	Max int64
	// Kind: fill, one process forks until it cannot; storm, 64 fork at once, again
	// and again, for a while; nested, the limit is the parent group's; lowered, the
	// limit is set below what runs; attach, a process is moved into the full group.
	Kind string
}

// The storm: how many fork at once, how long a child lives, and for how long it
// all goes on.
const (
	stormWidth = 64
	childLife  = 2 * time.Millisecond
	stormFor   = time.Second
)

// fillFor is how long the load goes on trying when it cannot fork any more.
const fillFor = 20 * time.Millisecond

func pidsKinds() []string { return []string{"fill", "storm", "nested", "lowered", "attach"} }

// Check says what is wrong with the cell; nil: nothing. A load has some ten
// threads of its own.
func (c PidsCell) Check() error {
	least := int64(24)
	if c.Kind == "storm" {
		least += stormWidth
	}
	switch {
	case !slices.Contains(pidsKinds(), c.Kind):
		return fmt.Errorf("nothing called %q is tried against a limit of tasks; there are %s", c.Kind, strings.Join(pidsKinds(), ", "))
	case c.Max < least || c.Max > 4096:
		return fmt.Errorf("a limit of %d tasks: for %s it can be %d to 4096, so that the load has room and the machine too", c.Max, c.Kind, least)
	}
	return nil
}

func (c PidsCell) storm() bool { return c.Kind == "storm" }

// PidsMax are the cells of a report.
func (b *Bench) PidsMax(e harness.Extent) []harness.Case {
	cells := []PidsCell{{32, "fill"}, {100, "storm"}, {32, "nested"}, {48, "lowered"}, {32, "attach"}}
	if e.Wide {
		cells = append(cells, PidsCell{500, "fill"}, PidsCell{90, "storm"}, PidsCell{250, "storm"})
	}
	cases := b.pidsCases(e, cells, b.samplePids)
	if e.Wide {
		cases = append(cases, b.outsidePids(e))
	}
	return cases
}

func (b *Bench) pidsCases(e harness.Extent, cells []PidsCell, one func(*pidsSample) ([]sample.Value, error)) []harness.Case {
	var cases []harness.Case
	for _, c := range cells {
		cost := 200 * time.Millisecond
		if c.storm() {
			cost += stormFor
		}
		cases = append(cases, b.newCase(fmt.Sprintf("PidsMax/max=%d/kind=%s", c.Max, c.Kind), e, cost, func(name string, g *ground) (func() ([]sample.Value, error), error) {
			s, err := openPids(name, c, g)
			if err != nil {
				return nil, err
			}
			return func() ([]sample.Value, error) {
				values, err := one(s)
				if err != nil {
					return nil, err
				}
				return values, b.record(s.checked)
			}, nil
		}))
	}
	return cases
}

// pidsPlace is where a group is, for the pids controller.
type pidsPlace struct {
	dir string
	v2  bool
}

func pidsOf(g *cgroup.Group) pidsPlace {
	if dir := g.Dir("pids"); dir != "" && dir != g.Dir("v2") {
		return pidsPlace{dir, false}
	}
	return pidsPlace{g.Dir("v2"), true}
}

// number reads a file of one number; noLimit where it says "max".
func (p pidsPlace) number(file string) (int64, error) {
	text, err := readLine(p.dir + "/" + file)
	if err != nil || text == "max" {
		return noLimit, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %q: %w", p.dir+"/"+file, err)
	}
	return n, nil
}

// refused is how many forks the group's own pids.events counts.
func (p pidsPlace) refused() (int64, error) {
	text, err := readLine(p.dir + "/pids.events")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(text, "max "), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %q: %w", p.dir+"/pids.events", err)
	}
	return n, nil
}

// peak is the most that there was; -1: the kernel does not say (before 6.1).
func (p pidsPlace) peak() (int64, error) {
	n, err := p.number("pids.peak")
	if errors.Is(err, errVanished) {
		return -1, nil
	}
	return n, err
}

// pidsSample is one measurement of a limit of tasks.
type pidsSample struct {
	name    string
	cell    PidsCell
	ground  *ground
	group   *cgroup.Group // the load's
	place   pidsPlace     // the load's
	owner   pidsPlace     // whose limit it is: the load's group, or its parent
	worker  *worker
	checked sample.Checked
	halfway func() error // tests: is called while the load is at work
}

func (s *pidsSample) doubt(format string, args ...any) {
	s.checked.Doubts = append(s.checked.Doubts, fmt.Sprintf(format, args...))
}

// pidsLimit is a limit of tasks; -1: none.
func pidsLimit(n int64) *specs.LinuxResources {
	return &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &n}}
}

func openPids(name string, c PidsCell, g *ground) (*pidsSample, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	made, err := g.group("pidsmax", pidsLimit(c.Max))
	if err != nil {
		return nil, err
	}
	s := &pidsSample{name: name, cell: c, ground: g, group: made, place: pidsOf(made), owner: pidsOf(made)}
	if c.Kind == "nested" {
		if s.group, err = g.child(made, "inner", pidsLimit(-1)); err != nil {
			return nil, err
		}
		s.place = pidsOf(s.group)
	}
	spec := load.Spec{Kind: "forks", Threads: 1, Count: c.Max, Extra: "hold"} // it cannot make as many, if the limit holds
	switch c.Kind {
	case "storm":
		spec = load.Spec{Kind: "forks", Threads: stormWidth, Work: childLife}
	case "lowered":
		spec.Count = 8
	}
	if s.worker, err = g.start(s.group, spec); err != nil {
		return nil, err
	}
	s.checked = sample.Checked{Case: name, Limit: "pids.max", Asked: strconv.FormatInt(c.Max, 10), Facts: map[string]string{"version": "1"}}
	if s.owner.v2 {
		s.checked.Facts["version"] = "2"
	}
	return s, nil
}
