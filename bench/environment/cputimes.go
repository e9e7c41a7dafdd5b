package environment

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// CPUTimes is where the time of all CPUs went since boot, in ticks of
// USER_HZ (1/100 s on all common architectures): the first line of /proc/stat,
// see proc_stat(5). The times of guests are within User and Nice.
type CPUTimes struct {
	User, Nice, System, Idle, IOWait, IRQ, SoftIRQ uint64
	Steal                                          uint64 // the hypervisor ran something else
}

// ReadCPUTimes reads the times now.
func ReadCPUTimes(root string) (CPUTimes, error) {
	var t CPUTimes
	data, err := os.ReadFile(filepath.Join(root, "/proc/stat"))
	if err != nil {
		return t, fmt.Errorf("read CPU times: %w", err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	f := strings.Fields(line)
	into := []*uint64{&t.User, &t.Nice, &t.System, &t.Idle, &t.IOWait, &t.IRQ, &t.SoftIRQ, &t.Steal}
	if len(f) <= len(into) || f[0] != "cpu" {
		return t, fmt.Errorf("read CPU times: the first line of /proc/stat is %q", line)
	}
	for i, value := range into {
		if *value, err = strconv.ParseUint(f[i+1], 10, 64); err != nil {
			return t, fmt.Errorf("read CPU times: %w", err)
		}
	}
	return t, nil
}

func (t CPUTimes) total() uint64 {
	return t.User + t.Nice + t.System + t.Idle + t.IOWait + t.IRQ + t.SoftIRQ + t.Steal
}

// Steal is the share of all CPU time between a and b that the hypervisor took
// away, from 0 to 1. It is 0 when no tick passed, and when a counter ran
// backwards, which idle and iowait do.
func Steal(a, b CPUTimes) float64 {
	if b.total() <= a.total() || b.Steal <= a.Steal {
		return 0
	}
	return min(1, float64(b.Steal-a.Steal)/float64(b.total()-a.total()))
}

// Busy is the share of all CPU time between a and b in which CPUs did something
// for this machine, from 0 to 1; 0 when no tick passed.
func Busy(a, b CPUTimes) float64 {
	idle := b.Idle + b.IOWait - a.Idle - a.IOWait
	if b.total() <= a.total() || b.Idle < a.Idle || b.IOWait < a.IOWait {
		return 0
	}
	return max(0, 1-float64(idle)/float64(b.total()-a.total())-Steal(a, b))
}
