package cgroup

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var memory = controller{
	name: "memory", v2: "memory",
	asked: func(r *specs.LinuxResources) bool { return r.Memory != nil && *r.Memory != (specs.LinuxMemory{}) },
	plan1: memoryV1, plan2: memoryV2, key1: memoryKey, read1: memoryStatV1, read2: memoryStatV2,
}

// checkMemory refuses what neither version can do. A limit of -1 is none.
func checkMemory(m *specs.LinuxMemory) error {
	for _, f := range [...]struct {
		field string
		n     *int64
	}{{"memory.limit", m.Limit}, {"memory.reservation", m.Reservation}, {"memory.swap", m.Swap}, {"memory.kernelTCP", m.KernelTCP}} {
		if f.n != nil && *f.n < -1 {
			return refuse(f.field, "%d is no size; -1 is no limit", *f.n)
		}
	}
	// memory.kernel is not looked at: the specification advises against it, and the
	// kernel no longer limits its memory apart (Linux 5.16); it is in memory.limit.
	if m.Limit != nil && *m.Limit == 0 {
		return refuse("memory.limit", "with 0 bytes nothing can run; -1 is no limit")
	}
	if m.Swap != nil && *m.Swap > 0 {
		if m.Limit == nil {
			return refuse("memory.swap", "it is the sum of memory and swap, so it takes memory.limit too")
		}
		if *m.Limit > *m.Swap {
			return refuse("memory.swap", "%d is the sum of memory and swap, and less than memory.limit %d", *m.Swap, *m.Limit)
		}
	}
	return nil
}

func memoryV1(r *specs.LinuxResources, w *writes) error {
	m := r.Memory
	if err := checkMemory(m); err != nil {
		return err
	}
	if m.UseHierarchy != nil && !*m.UseHierarchy {
		return refuse("memory.useHierarchy", "memory is always accounted hierarchically (Linux 5.11); leave it out")
	}
	bytes := func(field, file string, n *int64) {
		if n != nil {
			w.add(field, file, strconv.FormatInt(*n, 10))
		}
	}
	bytes("memory.limit", "memory.limit_in_bytes", m.Limit)
	bytes("memory.reservation", "memory.soft_limit_in_bytes", m.Reservation)
	switch {
	case given(m.Swap):
		bytes("memory.swap", "memory.memsw.limit_in_bytes", m.Swap)
	case m.Swap == nil && m.Limit != nil && *m.Limit == -1: // unlimited memory is unlimited swap
		bytes("memory.limit", "memory.memsw.limit_in_bytes", m.Limit)
	}
	bytes("memory.kernelTCP", "memory.kmem.tcp.limit_in_bytes", m.KernelTCP)
	if m.Swappiness != nil {
		if *m.Swappiness > 100 {
			return refuse("memory.swappiness", "%d is above 100", *m.Swappiness)
		}
		w.add("memory.swappiness", "memory.swappiness", strconv.FormatUint(*m.Swappiness, 10))
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		w.add("memory.disableOOMKiller", "memory.oom_control", "1")
	}
	return nil
}

func memoryV2(r *specs.LinuxResources, w *writes) error {
	m := r.Memory
	if err := checkMemory(m); err != nil {
		return err
	}
	switch {
	case m.KernelTCP != nil && *m.KernelTCP != -1:
		return refuse("memory.kernelTCP", notInV2)
	case m.Swappiness != nil:
		return refuse("memory.swappiness", notInV2)
	case m.DisableOOMKiller != nil && *m.DisableOOMKiller:
		return refuse("memory.disableOOMKiller", notInV2)
	case m.UseHierarchy != nil && !*m.UseHierarchy:
		return refuse("memory.useHierarchy", notInV2)
	}
	bytes := func(field, file string, n int64) {
		data := "max"
		if n >= 0 {
			data = strconv.FormatInt(n, 10)
		}
		w.add(field, file, data)
	}
	if m.Reservation != nil {
		bytes("memory.reservation", "memory.low", max(*m.Reservation, 0)) // memory.low "max" would protect all
	}
	if m.Limit != nil {
		bytes("memory.limit", "memory.max", *m.Limit)
	}
	switch {
	case given(m.Swap) && (*m.Swap == -1 || *m.Limit == -1):
		bytes("memory.swap", "memory.swap.max", *m.Swap)
	case given(m.Swap): // OCI counts memory and swap together
		bytes("memory.swap", "memory.swap.max", *m.Swap-*m.Limit)
	case m.Swap == nil && m.Limit != nil && *m.Limit == -1:
		bytes("memory.limit", "memory.swap.max", -1)
	}
	return nil
}

// checkUse refuses a limit below what is in use, where memory.checkBeforeUpdate
// wants that. Version 1's kernel refuses it by itself; that of version 2 takes it,
// and kills.
func (t *part) checkUse(m *specs.LinuxMemory) error {
	if !t.tree.has(memory.name) || m == nil || m.CheckBeforeUpdate == nil || !*m.CheckBeforeUpdate || m.Limit == nil || *m.Limit <= 0 {
		return nil
	}
	file := "memory.usage_in_bytes"
	if t.tree.v2 {
		file = "memory.current"
	}
	used, err := number(t.fd, file)
	switch {
	case err != nil:
		return fmt.Errorf("read %s, for memory.checkBeforeUpdate: %w", file, err)
	case used > *m.Limit:
		return refuse("memory.limit", "%d bytes are in use, more than %d, and memory.checkBeforeUpdate is set; give a higher limit", used, *m.Limit)
	}
	return nil
}

// memoryKey translates memory.max. memory.high, memory.low, memory.min and
// memory.swap.max have no equal: version 1 does not slow down who is above a
// limit, nor limit swap apart.
func memoryKey(key, value string, w *writes) error {
	if key != "memory.max" {
		return nil
	}
	value = strings.TrimSpace(value)
	if value == "max" {
		value = "-1"
	} else if _, err := ParseSize(value); err != nil {
		return err
	}
	w.add(key, "memory.limit_in_bytes", value)
	return nil
}

func memoryStatV1(dir int, s *Stats) error {
	m := &MemoryStats{}
	for _, f := range [...]struct {
		file string
		to   *int64
	}{
		{"memory.usage_in_bytes", &m.Usage}, {"memory.max_usage_in_bytes", &m.Peak},
		{"memory.limit_in_bytes", &m.Limit},
	} {
		n, err := number(dir, f.file)
		if err != nil {
			return fmt.Errorf("read %s: %w", f.file, err)
		}
		*f.to = n
	}
	failed, err := number(dir, "memory.failcnt")
	if err != nil {
		return fmt.Errorf("read memory.failcnt: %w", err)
	}
	m.AtLimit = uint64(failed)
	s.Memory = m
	return counters(dir, "memory.oom_control", map[string]*uint64{"oom_kill": &m.OOMKills}) // Linux 4.13
}

func memoryStatV2(dir int, s *Stats) error {
	m := &MemoryStats{Peak: -1}
	for _, f := range [...]struct {
		file string
		to   *int64
	}{{"memory.current", &m.Usage}, {"memory.max", &m.Limit}} {
		n, err := number(dir, f.file)
		if err != nil {
			return fmt.Errorf("read %s: %w", f.file, err)
		}
		*f.to = n
	}
	if n, err := number(dir, "memory.peak"); err == nil { // Linux 5.19
		m.Peak = n
	}
	s.Memory = m
	return counters(dir, "memory.events", map[string]*uint64{"max": &m.AtLimit, "oom_kill": &m.OOMKills})
}
