// Package environment is the fingerprint of a machine: what every result file
// starts with, and what makes two files comparable or not.
//
//	/proc, /sys, /boot ──Read──► Environment ──Config──► the lines above the samples
//	                                         └─JSON────► the one "# isoperf {…}" line
//
// Config holds only what makes results incomparable, because benchstat splits
// its tables at every key that differs. All else is for the reader who asks
// why a figure moved. Nothing is tuned and nothing is judged here.
//
// What cannot be found out is "unknown", 0 or absent, as each field says; only
// a root without /proc is an error. Elsewhere than on Linux nothing but the
// platform is known.
package environment

import (
	"runtime"
	"runtime/debug"
	"strings"

	"isoperf/bench/sample"
)

// unknown stands for every text that could not be found out.
const unknown = "unknown"

// Environment is a machine and what ran on it, at one moment. Texts are
// "unknown" when they cannot be found out.
type Environment struct {
	// What measured. See SetBuild.
	Version string `json:"version"`
	Commit  string `json:"commit"` // with "-dirty" when files were changed since
	Go      string `json:"go"`
	Start   string `json:"start"` // RFC 3339 in UTC; the caller sets it

	// The platform.
	GOOS          string `json:"goos"`
	GOARCH        string `json:"goarch"`
	Host          string `json:"host"`           // host name
	Kernel        string `json:"kernel"`         // uname -r
	KernelVersion string `json:"kernel_version"` // uname -v, the end of /proc/version
	CPU           string `json:"cpu"`            // model
	CPUs          int    `json:"cpus"`           // online
	CPUsAllowed   string `json:"cpus_allowed"`   // that this process may use, as a list: "0-3,8"
	MemoryBytes   int64  `json:"memory_bytes"`   // 0: unknown
	SwapBytes     int64  `json:"swap_bytes"`     // 0: none
	Virt          string `json:"virt"`           // "none", "kvm", "docker", "kvm+docker": see Read
	Privilege     string `json:"privilege"`      // "root", "user", "userns"

	// What moves a time.
	HZ          int      `json:"hz"`      // timer ticks per second, CONFIG_HZ; 0: unknown
	Preempt     string   `json:"preempt"` // "none", "full", "rt", "dynamic (none)", …
	Clocksource string   `json:"clocksource"`
	Governor    string   `json:"governor"`    // of CPU frequencies; "none" without scaling
	SMT         string   `json:"smt"`         // "on", "off", "notsupported", …
	Mitigations []string `json:"mitigations"` // "spectre_v2: …", of those that affect this CPU
	LSM         string   `json:"lsm"`         // security modules, with commas
	THP         string   `json:"thp"`         // transparent huge pages: "always", "madvise", "never"
	ASLR        string   `json:"aslr"`        // "off", "partial", "full"

	// What else ran.
	Load1      float64  `json:"load1"`                 // of the last minute
	Runnable   int      `json:"runnable"`              // tasks, this one included; 0: unknown
	StealRatio *float64 `json:"steal_ratio,omitempty"` // over the run, 0 to 1; the caller sets it, with Steal
	PSI        bool     `json:"psi"`                   // pressure stall information, Linux 4.20
	SchedExt   string   `json:"sched_ext"`             // BPF scheduler, Linux 6.12: "absent", "disabled", "enabled: NAME"

	// What makes namespaces and groups dear.
	Mounts           int      `json:"mounts"`                 // in this mount namespace
	PIDMax           int      `json:"pid_max"`                // 0: unknown
	NetNamespaces    int      `json:"net_namespaces"`         // with those that are dying: objects in the kernel's slab; 0: only root may know
	NetNamespacesMax int      `json:"net_namespaces_max"`     // user.max_net_namespaces; 0: none, or unknown
	IPv6             bool     `json:"ipv6"`                   // each network namespace sets it up too
	ConsoleLoglevel  int      `json:"console_loglevel"`       // a loud console slows whatever the kernel reports
	RCUExpedited     bool     `json:"rcu_expedited"`          // grace periods are hurried, at the price of interrupts
	RCUNormal        bool     `json:"rcu_normal"`             // and never hurried; wins over RCUExpedited
	Cgroup           string   `json:"cgroup"`                 // "v1", "v2", "hybrid", "none"
	Controllers      []string `json:"controllers"`            // those that can be used
	CgroupCount      int      `json:"cgroup_count"`           // groups in the fullest hierarchy
	FavorDynMods     bool     `json:"favordynmods"`           // mount option of cgroup2, Linux 6.0
	BandwidthSliceUS int      `json:"cfs_bandwidth_slice_us"` // quota handed to a CPU at once, in microseconds; 0: unknown
}

// SetBuild says what measured. An empty argument is looked up in what the Go
// linker knows: the module's version, and the commit that go build found.
func (e *Environment) SetBuild(version, commit string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	e.Version, e.Commit = buildOf(info, version, commit)
}

func buildOf(info *debug.BuildInfo, version, commit string) (string, string) {
	if version == "" && info.Main.Version != "(devel)" {
		version = info.Main.Version
	}
	if commit == "" {
		settings := map[string]string{}
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
		commit = settings["vcs.revision"]
		if commit != "" && settings["vcs.modified"] == "true" {
			commit += "-dirty"
		}
	}
	return known(version), known(commit)
}

// Config is what makes results incomparable, in the order in which it is
// written. No value is empty.
func (e Environment) Config() []sample.Pair {
	pairs := []sample.Pair{
		{Key: "goos", Value: e.GOOS},
		{Key: "goarch", Value: e.GOARCH},
		{Key: "kernel", Value: e.Kernel},
		{Key: "cpu", Value: e.CPU},
		{Key: "cgroup", Value: e.Cgroup},
		{Key: "virt", Value: e.Virt},
		{Key: "privilege", Value: e.Privilege},
		{Key: "host", Value: e.Host},
	}
	for i := range pairs {
		pairs[i].Value = known(pairs[i].Value)
	}
	return pairs
}

// known is the text on one line with single spaces, or "unknown".
func known(text string) string {
	if text = strings.Join(strings.Fields(text), " "); text == "" {
		return unknown
	}
	return text
}

// blank is what is known of every machine.
func blank() Environment {
	e := Environment{
		GOOS: runtime.GOOS, GOARCH: runtime.GOARCH, Go: runtime.Version(),
		Mitigations: []string{}, Controllers: []string{},
	}
	for _, text := range []*string{&e.Host, &e.Kernel, &e.KernelVersion, &e.CPU, &e.CPUsAllowed, &e.Virt, &e.Privilege,
		&e.Preempt, &e.Clocksource, &e.Governor, &e.SMT, &e.LSM, &e.THP, &e.ASLR, &e.SchedExt, &e.Cgroup} {
		*text = unknown
	}
	e.SetBuild("", "")
	return e
}
