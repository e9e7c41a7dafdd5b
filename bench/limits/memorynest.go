package limits

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"isoperf/bench/harness"
	"isoperf/runtime/cgroup"
	"isoperf/workloads/load"
)

// Nested limits of memory: the least on the way up counts, whose use is that of
// all groups below.
//
//	child=128MiB    64 MiB ─► 128 MiB ─► load     the parent's limit kills
//	parent=128MiB   128 MiB ─► 64 MiB ─► load     its own does
//	sibling=25%     64 MiB ─┬─► 128 MiB ─► load   what the group beside holds is not to be had
//	                        └─► 128 MiB ─► holds 25 % of 64 MiB
//
// A kill for the parent's limit is counted where the victim was: version 2 counts
// it in all groups above too, version 1 does not (memcg_memory_event, Linux 6.1).

func memoryNests(e harness.Extent) []MemoryCell {
	const limit, large = 64 * mib, 128 * mib
	cells := []MemoryCell{
		{Limit: limit, Child: large, Kind: "anon", Want: 1.5},
		{Limit: limit, Child: large, Sibling: 0.25, Kind: "anon", Want: 0.9},
	}
	if e.Wide {
		cells = append(cells,
			MemoryCell{Limit: limit, Parent: large, Kind: "anon", Want: 1.5},
			MemoryCell{Limit: limit, Child: large, Kind: "file", Want: 3},
			MemoryCell{Limit: limit, Child: large, Sibling: 0.25, Kind: "anon", Want: 0.25})
	}
	return cells
}

func (c MemoryCell) checkNest() error {
	switch {
	case c.Child != 0 && c.Parent != 0:
		return errors.New("a limit above and one below: choose one")
	case c.Child != 0 && c.Child < c.Limit, c.Parent != 0 && c.Parent < c.Limit:
		return fmt.Errorf("a limit of %d bytes beside a smaller one: the smaller one is the limit of the cell", c.Limit)
	case c.Sibling < 0 || c.Sibling >= 1 || c.Sibling > 0 && c.Child == 0:
		return fmt.Errorf("a group beside the load's that holds %v of the limit: it needs a child's limit, and must leave some", c.Sibling)
	case c.Sibling > 0 && int64(c.Sibling*float64(c.Limit)) > c.Child:
		return errors.New("a group beside the load's wants more than its own limit")
	}
	return nil
}

// nestName is the nesting as a case's name has it.
func (c MemoryCell) nestName() (text string) {
	if c.Child > 0 {
		text += "/child=" + sizeName(c.Child)
	}
	if c.Parent > 0 {
		text += "/parent=" + sizeName(c.Parent)
	}
	if c.Sibling > 0 {
		text += "/sibling=" + strconv.FormatFloat(100*c.Sibling, 'f', -1, 64) + "%"
	}
	return text
}

// groups makes the groups of the cell, and what is beside the load.
func (s *memorySample) groups() error {
	c, top := s.cell, s.cell.resources()
	if c.Parent > 0 {
		top = memoryLimit(c.Parent)
	}
	outer, err := s.ground.group("memorymax", top)
	if err != nil {
		return err
	}
	s.group, s.place = outer, memoryOf(outer)
	s.homes = []memoryPlace{s.place}
	if c.Child == 0 && c.Parent == 0 {
		return nil
	}
	if text, err := os.ReadFile(s.place.dir + "/memory.use_hierarchy"); err == nil && !s.place.v2 && string(text) == "0\n" {
		return harness.NotMeasured{Why: "version 1 does not count the memory of groups below here (memory.use_hierarchy is 0; always 1 since Linux 5.11)"}
	}
	below := memoryLimit(c.Child)
	if c.Parent > 0 {
		below = c.resources()
	}
	if s.group, err = s.ground.child(outer, "child", below); err != nil {
		return err
	}
	s.homes[0] = memoryOf(s.group)
	s.wider = []memoryPlace{s.homes[0]}
	if c.Parent > 0 {
		s.place, s.wider[0] = s.homes[0], s.place
	}
	if c.Sibling == 0 {
		return nil
	}
	beside, err := s.ground.child(outer, "sibling", memoryLimit(c.Child))
	if err != nil {
		return err
	}
	s.homes, s.wider = append(s.homes, memoryOf(beside)), append(s.wider, memoryOf(beside))
	return s.hold(beside)
}

// hold has a load in the group beside take what it is to hold, and keep it.
func (s *memorySample) hold(beside *cgroup.Group) error {
	want := int64(s.cell.Sibling*float64(s.cell.Limit)) / mib * mib
	w, err := s.ground.start(beside, load.Spec{Kind: "anon", Bytes: want})
	if err != nil {
		return err
	}
	s.others = append(s.others, w)
	w.board.Go()
	for begin := time.Now(); w.board.Phase.Load() == 0; doze(100_000) {
		switch {
		case w.gone():
			return errors.New("start what is beside the load: it ended before it had its memory")
		case time.Since(begin) > patience:
			return fmt.Errorf("start what is beside the load: it does not have its memory after %v", patience)
		}
	}
	return nil
}

// events are the counters of the limit, and of the kills in the groups that have
// processes.
func (s *memorySample) events() (memoryEvents, error) {
	all, err := s.place.events()
	if err != nil || len(s.homes) == 1 && s.homes[0] == s.place {
		return all, err
	}
	all.kill = 0
	for _, home := range s.homes {
		e, err := home.events()
		if err != nil {
			return all, err
		}
		all.kill += e.kill
	}
	return all, nil
}

// members are the processes of the groups that have some.
func (s *memorySample) members() (all []int, err error) {
	for _, home := range s.homes {
		some, err := home.members()
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// around notes what is doubtful of the groups around: a limit that is less than
// the one that is to count, and a kill of what only holds memory.
func (s *memorySample) around() error {
	for _, p := range s.wider {
		if n, err := p.limit(); err != nil {
			return err
		} else if n < s.cell.Limit {
			s.doubt("a group beside or around has a limit of %d bytes, less than the one that is to count: something else has changed it", n)
		}
	}
	if s.besideGone() {
		s.doubt("the process beside the load was killed, which only holds memory")
	}
	return nil
}

// besideGone says whether what is beside the load has ended. Nobody tells it to.
func (s *memorySample) besideGone() bool {
	return s.cell.Sibling > 0 && slices.ContainsFunc(s.others, (*worker).gone)
}
