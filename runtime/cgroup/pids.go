package cgroup

import (
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxPids is the kernel's PID_MAX_LIMIT on 64 bits.
const maxPids = 4 << 20

// pids bounds the number of tasks: fork beyond it is EAGAIN. Linux 4.3. In
// version 1 the launching thread counts while it passes through, so the limit
// is written after it left.
var pids = controller{
	name: "pids", v2: "pids",
	asked: func(r *specs.LinuxResources) bool { return r.Pids != nil && r.Pids.Limit != nil },
	plan1: pidsBoth, plan2: pidsBoth, key1: pidsKey, read1: pidsStat, read2: pidsStat,
}

func pidsBoth(r *specs.LinuxResources, w *writes) error {
	n := *r.Pids.Limit
	switch {
	case n == -1:
		w.add("pids.limit", "pids.max", "max")
	case n < 1 || n > maxPids:
		return refuse("pids.limit", "%d is outside of 1 to %d; -1 is no limit", n, maxPids)
	default:
		w.add("pids.limit", "pids.max", strconv.FormatInt(n, 10))
	}
	return nil
}

func pidsKey(key, value string, w *writes) error {
	if key == "pids.max" {
		if _, err := ParsePids(strings.TrimSpace(value)); err != nil {
			return err
		}
		w.add(key, key, strings.TrimSpace(value))
	}
	return nil
}

func pidsStat(dir int, s *Stats) error {
	current, err := number(dir, "pids.current")
	if err != nil {
		return err
	}
	limit, err := number(dir, "pids.max")
	if err != nil {
		return err
	}
	s.Pids = &PidsStats{Current: current, Limit: limit}
	return counters(dir, "pids.events", map[string]*uint64{"max": &s.Pids.Refused})
}
