package environment

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/feature"
)

// machine is the root below which everything is read.
type machine struct{ root string }

func (m machine) path(name string) string { return filepath.Join(m.root, name) }

// text is a file on one line, "" when it cannot be read.
func (m machine) text(name string) string {
	data, _ := os.ReadFile(m.path(name))
	return strings.Join(strings.Fields(string(data)), " ")
}

// number is a file that holds one number, 0 when it cannot be read.
func (m machine) number(name string) int {
	n, _ := strconv.Atoi(m.text(name))
	return n
}

// field is the value of "key: value" or "key\t: value" at its first
// appearance in a file, or "".
func (m machine) field(name, key string) string {
	data, _ := os.ReadFile(m.path(name))
	for line := range strings.Lines(string(data)) {
		if k, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Read takes the fingerprint of the machine whose files are below root: "/",
// or a directory that stands for one.
//
// Virt names the virtual machine and the container around this process, with
// a plus between them when there are both, or "none". Privilege is "userns"
// inside a user namespace, "root" with CAP_SYS_ADMIN, else "user".
func Read(root string) (Environment, error) {
	m, e := machine{root}, blank()
	host := feature.New()
	host.Root = root
	if _, err := os.Stat(m.path("/proc/sys/kernel/osrelease")); err != nil {
		return e, fmt.Errorf("read the machine's fingerprint (is /proc mounted?): %w", err)
	}
	cgroups, err := host.Cgroups()
	if err != nil {
		return e, fmt.Errorf("read the machine's fingerprint: %w", err)
	}
	e.Cgroup, e.FavorDynMods = string(cgroups.Mode), cgroups.FavorDynMods
	e.Controllers = append(e.Controllers, cgroups.Controllers()...)
	e.Kernel = known(m.text("/proc/sys/kernel/osrelease"))
	e.Host = known(m.text("/proc/sys/kernel/hostname"))
	// Who built the kernel, and where, is nobody's business.
	if _, version, ok := strings.Cut(m.text("/proc/version"), "#"); ok {
		e.KernelVersion = "#" + version
	}
	e.KernelVersion = known(e.KernelVersion)
	e.CPU, e.CPUs = m.cpu(), m.cpus()
	e.CPUsAllowed = known(m.field("/proc/self/status", "Cpus_allowed_list"))
	e.MemoryBytes, e.SwapBytes = m.memory("MemTotal"), m.memory("SwapTotal")
	e.Virt = m.virt(host.Container().Name)
	e.Privilege = m.privilege(host.InUserNamespace())
	m.timing(&e)
	m.load(&e)
	m.population(&e)
	return e, nil
}

// population fills what makes namespaces and groups dear.
func (m machine) population(e *Environment) {
	e.Mounts = m.mounts()
	e.PIDMax = m.number("/proc/sys/kernel/pid_max")
	e.NetNamespaces = m.column("/proc/slabinfo", "net_namespace", 1)
	e.NetNamespacesMax = m.number("/proc/sys/user/max_net_namespaces")
	e.IPv6 = m.text("/proc/net/if_inet6") != "" && m.number("/proc/sys/net/ipv6/conf/all/disable_ipv6") == 0
	level, _, _ := strings.Cut(m.text("/proc/sys/kernel/printk"), " ")
	e.ConsoleLoglevel, _ = strconv.Atoi(level)
	e.RCUExpedited = m.number("/sys/kernel/rcu_expedited") != 0
	e.RCUNormal = m.number("/sys/kernel/rcu_normal") != 0
	for _, controller := range []string{"cpu", "memory", "pids", "cpuset", "freezer"} {
		e.CgroupCount = max(e.CgroupCount, m.column("/proc/cgroups", controller, 2))
	}
	e.BandwidthSliceUS = m.number("/proc/sys/kernel/sched_cfs_bandwidth_slice_us")
}

// column is a number in the line of a table that starts with key, or 0.
func (m machine) column(name, key string, column int) int {
	data, _ := os.ReadFile(m.path(name))
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > column && f[0] == key {
			n, _ := strconv.Atoi(f[column])
			return n
		}
	}
	return 0
}

// timing fills what moves a time.
func (m machine) timing(e *Environment) {
	config := m.kernelConfig(e.Kernel)
	e.HZ, _ = strconv.Atoi(config["CONFIG_HZ"])
	e.Preempt = m.preempt(e.KernelVersion, config)
	e.Clocksource = known(m.text("/sys/devices/system/clocksource/clocksource0/current_clocksource"))
	e.Governor = m.governor()
	e.SMT = known(m.text("/sys/devices/system/cpu/smt/control"))
	e.Mitigations = append(e.Mitigations, m.mitigations()...)
	e.LSM = known(m.text("/sys/kernel/security/lsm"))
	e.THP = known(chosen(m.text("/sys/kernel/mm/transparent_hugepage/enabled")))
	if levels := []string{"off", "partial", "full"}; m.text("/proc/sys/kernel/randomize_va_space") != "" {
		e.ASLR = levels[min(max(m.number("/proc/sys/kernel/randomize_va_space"), 0), len(levels)-1)]
	}
}

// load fills what else runs.
func (m machine) load(e *Environment) {
	if f := strings.Fields(m.text("/proc/loadavg")); len(f) > 3 {
		e.Load1, _ = strconv.ParseFloat(f[0], 64)
		running, _, _ := strings.Cut(f[3], "/")
		e.Runnable, _ = strconv.Atoi(running)
	}
	e.PSI = m.text("/proc/pressure/cpu") != ""
	e.SchedExt = m.schedExt()
}

func (m machine) schedExt() string {
	const dir = "/sys/kernel/sched_ext"
	if _, err := os.Stat(m.path(dir)); err != nil {
		return "absent"
	}
	state := known(m.text(dir + "/state"))
	if name := m.text(dir + "/root/ops"); name != "" {
		return state + ": " + name
	}
	return state
}

func (m machine) mounts() int {
	data, _ := os.ReadFile(m.path("/proc/self/mountinfo"))
	return bytes.Count(data, []byte("\n"))
}

// memory is a line of /proc/meminfo, which counts in units of 1024 bytes.
func (m machine) memory(key string) int64 {
	text, _, _ := strings.Cut(m.field("/proc/meminfo", key), " ")
	n, _ := strconv.ParseInt(text, 10, 64)
	return n * 1024
}

func (m machine) privilege(userNamespace bool) string {
	set, err := strconv.ParseUint(m.field("/proc/self/status", "CapEff"), 16, 64)
	switch {
	case userNamespace:
		return "userns"
	case err != nil:
		return unknown
	case set&(1<<unix.CAP_SYS_ADMIN) != 0:
		return "root"
	}
	return "user"
}

// kernelConfig is how the kernel was built: nil when nobody says.
func (m machine) kernelConfig(release string) map[string]string {
	data, err := os.ReadFile(m.path("/boot/config-" + release))
	if err != nil {
		data = m.unzip("/proc/config.gz")
	}
	config := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			config[key] = value
		}
	}
	return config
}

func (m machine) unzip(name string) []byte {
	f, err := os.Open(m.path(name))
	if err != nil {
		return nil
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil
	}
	data, _ := io.ReadAll(z)
	return data
}

// preempt is the preemption model. A dynamic kernel (Linux 5.12) is told at
// boot, or through debugfs, which only root sees and few mount.
func (m machine) preempt(version string, config map[string]string) string {
	var built string
	for _, model := range []struct{ option, name string }{
		{"CONFIG_PREEMPT_RT", "rt"}, {"CONFIG_PREEMPT_NONE", "none"}, {"CONFIG_PREEMPT_VOLUNTARY", "voluntary"},
		{"CONFIG_PREEMPT_LAZY", "lazy"}, {"CONFIG_PREEMPT", "full"},
	} {
		if config[model.option] == "y" {
			built = model.name
			break
		}
	}
	switch {
	case strings.Contains(version, "PREEMPT_DYNAMIC"):
		return "dynamic (" + m.dynamic(built) + ")"
	case built != "":
		return built
	case strings.Contains(version, "PREEMPT_RT"):
		return "rt"
	case strings.Contains(version, "PREEMPT"):
		return "full"
	}
	return "none or voluntary"
}

func (m machine) dynamic(built string) string {
	if text := m.text("/sys/kernel/debug/sched/preempt"); text != "" {
		if _, rest, ok := strings.Cut(text, "("); ok {
			model, _, _ := strings.Cut(rest, ")")
			return model
		}
	}
	for _, word := range strings.Fields(m.text("/proc/cmdline")) {
		if model, ok := strings.CutPrefix(word, "preempt="); ok {
			return model
		}
	}
	return known(built)
}

// governor names each governor that some CPU has.
func (m machine) governor() string {
	files, _ := filepath.Glob(m.path("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"))
	var names []string
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil {
			names = append(names, strings.TrimSpace(string(data)))
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " ")
}

func (m machine) mitigations() []string {
	const dir = "/sys/devices/system/cpu/vulnerabilities"
	entries, _ := os.ReadDir(m.path(dir))
	var list []string
	for _, entry := range entries {
		if text := m.text(dir + "/" + entry.Name()); text != "" && text != "Not affected" {
			list = append(list, entry.Name()+": "+text)
		}
	}
	return list
}

// chosen is the word in brackets of "always [madvise] never".
func chosen(text string) string {
	_, rest, _ := strings.Cut(text, "[")
	word, _, _ := strings.Cut(rest, "]")
	return word
}
