package cgroup

import (
	"fmt"
	"slices"
	"strings"
)

// Stats is what a group has used, of the controllers that it has. Times are
// nanoseconds, sizes bytes; a limit of -1 is none.
type Stats struct {
	CPU    *CPUStats    // nil: the group is in no hierarchy that counts it; so below
	Memory *MemoryStats //
	Pids   *PidsStats   //
	IO     []IOStats    // one for each device that was used
	Frozen bool
}

// CPUStats is CPU time. On version 1, the usage is there when the group is in
// cpuacct, and the periods when it is in cpu.
type CPUStats struct {
	UsageNS, UserNS, SystemNS uint64
	Periods                   uint64 // enforcement periods that passed while it ran
	Throttled                 uint64 // those in which it used up its quota
	ThrottledNS               uint64 // time for which it was kept from running, summed over CPUs
}

// MemoryStats is memory, page cache and what the kernel holds for the group.
type MemoryStats struct {
	Usage    int64
	Peak     int64 // -1: version 2 before Linux 5.19
	Limit    int64
	AtLimit  uint64 // how often usage was about to go over the limit; version 1 does not count it for memory and swap together
	OOMKills uint64
}

// PidsStats is tasks.
type PidsStats struct {
	Current, Limit int64
	Refused        uint64 // forks that failed at the limit
}

// IOStats is the traffic with one block device.
type IOStats struct {
	Device                string // "major:minor"
	ReadBytes, WriteBytes uint64
	Reads, Writes         uint64
}

func (s *Stats) cpu() *CPUStats {
	if s.CPU == nil {
		s.CPU = &CPUStats{}
	}
	return s.CPU
}

func (s *Stats) device(name string) *IOStats {
	for i := range s.IO {
		if s.IO[i].Device == name {
			return &s.IO[i]
		}
	}
	s.IO = append(s.IO, IOStats{Device: name})
	return &s.IO[len(s.IO)-1]
}

// Stats reads what the group has used.
func (g *Group) Stats() (Stats, error) {
	var s Stats
	for _, t := range g.parts {
		has := t.tree.controllers
		if t.tree.v2 {
			text, err := readText(t.fd, "cgroup.controllers")
			if err != nil {
				return s, fmt.Errorf("read the controllers of %q: %w", t.dir, err)
			}
			has = strings.Fields(text)
		}
		for _, c := range controllers() {
			read, there := c.read1, slices.Contains(has, c.name)
			if t.tree.v2 {
				// CPU time and freezing are in every group of version 2.
				read, there = c.read2, c == &cpu || c == &freezer || slices.Contains(has, c.v2)
			}
			if read == nil || !there {
				continue
			}
			if err := read(t.fd, &s); err != nil {
				return s, fmt.Errorf("read the %s statistics of %q: %w", c.name, t.dir, err)
			}
		}
	}
	return s, nil
}
