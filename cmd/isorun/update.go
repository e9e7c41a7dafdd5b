package main

import (
	"fmt"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/spec"
)

// limit is a flag of update that stands for a field of linux.resources.
type limit struct {
	long, value, help string
	set               func(r *specs.LinuxResources, text string) error
	text              string
}

// limits are runc's flags.
func limits() []limit {
	return []limit{
		{long: "blkio-weight", value: "N", help: "weight among block devices' users, 10 to 1000", set: whole(func(r *specs.LinuxResources) **uint16 { return &disks(r).Weight })},
		{long: "cpu-period", value: "US", help: "period of the quota, in microseconds", set: whole(func(r *specs.LinuxResources) **uint64 { return &processor(r).Period })},
		{long: "cpu-quota", value: "US", help: "processor time in a period, in microseconds; -1: no limit", set: whole(func(r *specs.LinuxResources) **int64 { return &processor(r).Quota })},
		{long: "cpu-burst", value: "US", help: "processor time that may be saved up, in microseconds", set: whole(func(r *specs.LinuxResources) **uint64 { return &processor(r).Burst })},
		{long: "cpu-share", value: "N", help: "weight among groups", set: whole(func(r *specs.LinuxResources) **uint64 { return &processor(r).Shares })},
		{long: "cpu-rt-period", value: "US", help: "period of real-time tasks, in microseconds", set: whole(func(r *specs.LinuxResources) **uint64 { return &processor(r).RealtimePeriod })},
		{long: "cpu-rt-runtime", value: "US", help: "time of real-time tasks in a period, in microseconds", set: whole(func(r *specs.LinuxResources) **int64 { return &processor(r).RealtimeRuntime })},
		{long: "cpu-idle", value: "N", help: "1: only what others leave; 0: as usual", set: whole(func(r *specs.LinuxResources) **int64 { return &processor(r).Idle })},
		{long: "cpuset-cpus", value: "LIST", help: "processors: 0-3,7", set: func(r *specs.LinuxResources, text string) error { processor(r).Cpus = text; return nil }},
		{long: "cpuset-mems", value: "LIST", help: "memory nodes", set: func(r *specs.LinuxResources, text string) error { processor(r).Mems = text; return nil }},
		{long: "memory", value: "SIZE", help: "memory, in bytes or with k, m, g; -1: no limit", set: size(func(r *specs.LinuxResources) **int64 { return &ram(r).Limit })},
		{long: "memory-reservation", value: "SIZE", help: "memory that is taken last when it runs short", set: size(func(r *specs.LinuxResources) **int64 { return &ram(r).Reservation })},
		{long: "memory-swap", value: "SIZE", help: "memory and swap together; -1: no limit", set: size(func(r *specs.LinuxResources) **int64 { return &ram(r).Swap })},
		{long: "pids-limit", value: "N", help: "tasks; -1: no limit", set: whole(func(r *specs.LinuxResources) **int64 { return &tasks(r).Limit })},
		{long: "kernel-memory", value: "SIZE", help: "refused: the kernel gave it up", set: refuse("the kernel gave it up (Linux 5.11)")},
		{long: "kernel-memory-tcp", value: "SIZE", help: "refused", set: refuse("not supported")},
		{long: "l3-cache-schema", value: "TEXT", help: "refused: no caches are divided", set: refuse("not supported: no caches are divided")},
		{long: "mem-bw-schema", value: "TEXT", help: "refused: no bandwidth is divided", set: refuse("not supported: no bandwidth is divided")},
	}
}

func made[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}

func processor(r *specs.LinuxResources) *specs.LinuxCPU { return made(&r.CPU) }
func ram(r *specs.LinuxResources) *specs.LinuxMemory    { return made(&r.Memory) }
func disks(r *specs.LinuxResources) *specs.LinuxBlockIO { return made(&r.BlockIO) }
func tasks(r *specs.LinuxResources) *specs.LinuxPids    { return made(&r.Pids) }

// whole reads a whole number in the range of the field.
func whole[T int64 | uint64 | uint16](field func(*specs.LinuxResources) **T) func(*specs.LinuxResources, string) error {
	return func(r *specs.LinuxResources, text string) error {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || int64(T(n)) != n || n < 0 && ^T(0) > 0 {
			return fmt.Errorf("%q is no number that it can be; give a whole one", text)
		}
		v := T(n)
		*field(r) = &v
		return nil
	}
}

// size reads bytes, perhaps with a unit that is a power of 1024; -1 is no limit.
func size(field func(*specs.LinuxResources) **int64) func(*specs.LinuxResources, string) error {
	return func(r *specs.LinuxResources, text string) error {
		digits := strings.ToLower(text)
		digits = strings.TrimSuffix(strings.TrimSuffix(digits, "b"), "i")
		shift := 0
		if at := strings.IndexByte("kmgtp", last(digits)); at >= 0 {
			digits, shift = digits[:len(digits)-1], 10*(at+1)
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < -1 || n<<shift>>shift != n || n == -1 && shift != 0 {
			return fmt.Errorf("%q is no size; give bytes, or a number with k, m or g, or -1", text)
		}
		n <<= shift
		*field(r) = &n
		return nil
	}
}

func refuse(why string) func(*specs.LinuxResources, string) error {
	return func(*specs.LinuxResources, string) error { return fmt.Errorf("%s; leave it out", why) }
}

// update changes a container's limits.
func update(g *globals, c *call) error {
	resources, all := "", limits()
	flags := flagSet{{short: "r", long: "resources", value: "FILE", text: &resources, help: "linux.resources as config.json has them, instead of the other flags; -: standard input"}}
	for i := range all {
		flags = append(flags, flagDef{long: all[i].long, value: all[i].value, help: all[i].help, text: &all[i].text})
	}
	if err := c.parse(flags, 1, 1); err != nil {
		return err
	}
	r := &specs.LinuxResources{}
	if resources != "" {
		text, err := readInput(resources)
		if err == nil {
			r, err = spec.ParseResources(text)
		}
		if err != nil {
			return fmt.Errorf("--resources: read %q: %w", resources, err)
		}
	} else {
		given := false
		for _, l := range all {
			if l.text == "" {
				continue
			}
			given = true
			if err := l.set(r, l.text); err != nil {
				return fmt.Errorf("--%s: %w", l.long, err)
			}
		}
		if !given {
			return fmt.Errorf("nothing to change: give a limit, or --resources FILE (isorun update --help)")
		}
	}
	run, err := g.runtime()
	if err != nil {
		return err
	}
	return run.Update(c.args[0], r)
}

// last is a text's last byte; 0: it has none.
func last(text string) byte {
	if text == "" {
		return 0
	}
	return text[len(text)-1]
}
