package feature

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Measuring asks for clocks, counters, and what would falsify a figure.
func (h *Host) Measuring() []Result {
	return []Result{h.Clocksource(), h.PerfCounters(), h.PSI(), h.FairScheduler(), h.StealTime()}
}

// Clocksource asks for the counter of the CPU itself. Others are read more
// slowly, some by a system call: the clock's own cost goes up.
func (h *Host) Clocksource() Result {
	const dir = "/sys/devices/system/clocksource/clocksource0/"
	p := probe{groupMeasuring, "clocksource"}
	name, err := h.text(dir + "current_clocksource")
	if errors.Is(err, fs.ErrNotExist) {
		return p.notHere(dir+"current_clocksource is missing", "mount sysfs on /sys, or run it outside the sandbox").with(err)
	}
	if err != nil {
		return p.failed(err)
	}
	fast := []string{"tsc", "arch_sys_counter"}
	if slices.Contains(fast, name) {
		return p.have(name)
	}
	why := dir + "current_clocksource is " + name + ": the slower clock is used"
	for _, other := range h.words(dir + "available_clocksource") {
		if slices.Contains(fast, other) {
			return p.notHere(why, "echo "+other+" | sudo tee "+dir+"current_clocksource")
		}
	}
	return p.notHere(why, "none from here: the machine offers no other; figures include the clock's own cost")
}

// PerfCounters asks for hardware counters; see perf_event_open(2).
func (h *Host) PerfCounters() Result {
	const file = "/proc/sys/kernel/perf_event_paranoid"
	p := probe{groupMeasuring, "perf counters"}
	level, _ := h.text(file)
	err := h.Perf(true)
	if refused(err) {
		if err = h.Perf(false); err == nil {
			return p.have("of user code only (" + file + " is " + level + ")")
		}
	}
	switch {
	case err == nil:
		return p.have("of user code and the kernel")
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV):
		return p.notHere("perf_event_open answers "+errno(err)+": the CPU shows no counters (a virtual machine's often does not)",
			"give the virtual machine a PMU (qemu -cpu host,pmu=on), or measure on hardware").with(err)
	case errors.Is(err, unix.ENOSYS):
		why, fix := h.refusal("perf_event_open", err)
		return p.notHere(why, fix).with(err)
	case refused(err):
		return p.notHere("perf_event_open answers "+errno(err)+", and "+file+" is "+level,
			"sudo sysctl -w kernel.perf_event_paranoid=1").with(err)
	}
	return p.failed(fmt.Errorf("perf_event_open: %w", err))
}

// PSI asks for pressure stall information, Linux 4.20; see
// Documentation/accounting/psi.rst.
func (h *Host) PSI() Result {
	const file = "/proc/pressure/cpu"
	p := probe{groupMeasuring, "PSI"}
	_, err := h.text(file)
	switch {
	case err == nil:
		return p.have("/proc/pressure")
	case errors.Is(err, fs.ErrNotExist):
		return p.notHere(file+" is missing", "boot with psi=1, or a kernel built with CONFIG_PSI").with(err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return p.notHere(file+" answers EOPNOTSUPP: it is built in and switched off", "boot with psi=1").with(err)
	case refused(err):
		why, fix := h.refusal(file, err)
		return p.notHere(why, fix).with(err)
	}
	return p.failed(err)
}

// FairScheduler asks that no BPF scheduler is attached (sched_ext, Linux
// 6.12): while one is, the kernel itself does not enforce cpu.max.
func (h *Host) FairScheduler() Result {
	const file = "/sys/kernel/sched_ext/state"
	p := probe{groupMeasuring, "kernel CPU scheduler"}
	state, err := h.text(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p.have("no sched_ext in this kernel")
	case err != nil:
		return p.failed(err)
	case state != "disabled":
		name, _ := h.text("/sys/kernel/sched_ext/root/ops")
		if name == "" {
			name = "a BPF scheduler"
		}
		return p.notHere(file+" is "+state+" ("+name+"): cpu.max is not enforced by the kernel",
			"stop it: sudo systemctl stop scx scx_loader, or end its process")
	}
	return p.have("sched_ext is off")
}

// StealTime asks whether time that the hypervisor took away is counted: the
// eighth number of the first line of /proc/stat; see proc_stat(5).
func (h *Host) StealTime() Result {
	p := probe{groupMeasuring, "steal time"}
	text, err := h.text("/proc/stat")
	if err != nil {
		return p.failed(err)
	}
	line, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return p.notHere("/proc/stat has no steal column", "boot Linux 2.6.11 or newer, outside the sandbox")
	}
	cpuinfo, _ := h.text("/proc/cpuinfo")
	if f[8] == "0" && strings.Contains(cpuinfo, " hypervisor ") {
		return p.notHere("steal in /proc/stat is 0 on a virtual machine: there was none, or the hypervisor hides it",
			"none from here: compare ratios, not absolute figures")
	}
	return p.have(f[8] + " ticks since boot")
}
