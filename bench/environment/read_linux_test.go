package environment

import (
	"bytes"
	"compress/gzip"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const v2Mounts = "27 1 254:0 / / rw - ext4 /dev/vda rw\n31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,favordynmods\n"

// server is a root with a value for everything.
func server() map[string]string {
	return map[string]string{
		"/proc/sys/kernel/osrelease":                    "6.12.48-amd64\n",
		"/proc/sys/kernel/hostname":                     "lab7\n",
		"/proc/version":                                 "Linux version 6.12.48-amd64 (gcc) #1 SMP PREEMPT_DYNAMIC Debian\n",
		"/proc/cpuinfo":                                 "processor\t: 0\nmodel name\t: Xeon  9\nflags\t\t: fpu vme\n\nprocessor\t: 1\nmodel name\t: Xeon 9\n",
		"/proc/meminfo":                                 "MemTotal:       16 kB\nSwapTotal:       2 kB\n",
		"/proc/self/status":                             "CapEff:\t000001ffffffffff\nCpus_allowed_list:\t0-1\n",
		"/proc/self/uid_map":                            "0 0 4294967295\n",
		"/proc/self/mountinfo":                          v2Mounts,
		"/proc/self/cgroup":                             "0::/\n",
		"/proc/loadavg":                                 "0.42 0.3 0.2 3/456 789\n",
		"/proc/pressure/cpu":                            "some avg10=0.00\n",
		"/proc/cmdline":                                 "quiet preempt=full\n",
		"/proc/slabinfo":                                "# name\nnet_namespace 7 35 4288\n",
		"/proc/cgroups":                                 "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t88\t1\nmemory\t0\t90\t1\n",
		"/proc/net/if_inet6":                            "0 01 80 10 80 lo\n",
		"/proc/sys/kernel/printk":                       "4\t4\t1\t7\n",
		"/proc/sys/kernel/pid_max":                      "4194304\n",
		"/proc/sys/kernel/randomize_va_space":           "2\n",
		"/proc/sys/kernel/sched_cfs_bandwidth_slice_us": "5000\n",
		"/proc/sys/user/max_net_namespaces":             "63000\n",
		"/boot/config-6.12.48-amd64":                    "# CONFIG_X is not set\nCONFIG_HZ_250=y\nCONFIG_HZ=250\nCONFIG_PREEMPT_VOLUNTARY=y\n",
		"/sys/fs/cgroup/cgroup.controllers":             "cpu memory pids\n",
		"/sys/fs/cgroup/cgroup.subtree_control":         "cpu memory\n",
		"/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
		"/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor":            "powersave\n",
		"/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor":            "performance\n",
		"/sys/devices/system/cpu/smt/control":                              "on\n",
		"/sys/devices/system/cpu/vulnerabilities/mds":                      "Not affected\n",
		"/sys/devices/system/cpu/vulnerabilities/spectre_v1":               "Mitigation: barriers\n",
		"/sys/kernel/mm/transparent_hugepage/enabled":                      "always [madvise] never\n",
		"/sys/kernel/rcu_expedited":                                        "1\n",
		"/sys/kernel/rcu_normal":                                           "0\n",
		"/sys/kernel/sched_ext/root/ops":                                   "lavd\n",
		"/sys/kernel/sched_ext/state":                                      "enabled\n",
		"/sys/kernel/security/lsm":                                         "lockdown,capability,apparmor",
	}
}

func TestReadServer(t *testing.T) {
	got, err := Read(plant(t, server()))
	if err != nil {
		t.Fatal(err)
	}
	want := Environment{
		GOOS: "linux", Host: "lab7", Kernel: "6.12.48-amd64",
		KernelVersion: "#1 SMP PREEMPT_DYNAMIC Debian",
		CPU:           "Xeon 9", CPUs: 2, CPUsAllowed: "0-1", MemoryBytes: 16384, SwapBytes: 2048,
		Virt: "none", Privilege: "root",
		HZ: 250, Preempt: "dynamic (full)", Clocksource: "tsc", Governor: "performance powersave", SMT: "on",
		Mitigations: []string{"spectre_v1: Mitigation: barriers"},
		LSM:         "lockdown,capability,apparmor", THP: "madvise", ASLR: "full",
		Load1: 0.42, Runnable: 3, PSI: true, SchedExt: "enabled: lavd",
		Mounts: 2, PIDMax: 4194304, NetNamespaces: 7, NetNamespacesMax: 63000, IPv6: true, ConsoleLoglevel: 4,
		RCUExpedited: true, Cgroup: "v2", Controllers: []string{"cpu", "memory"}, CgroupCount: 90,
		FavorDynMods: true, BandwidthSliceUS: 5000,
	}
	build := cmpopts.IgnoreFields(Environment{}, "Version", "Commit", "Go", "GOARCH")
	if diff := cmp.Diff(want, got, build); diff != "" {
		t.Error(diff)
	}
}

type readTest struct {
	name    string
	changes map[string]string // a value of "-" takes the file away
	of      func(Environment) string
	want    string
}

func readTests() []readTest {
	const product, vendor = "/sys/class/dmi/id/product_name", "/sys/class/dmi/id/sys_vendor"
	const clocks = "/sys/devices/system/clocksource/clocksource0/available_clocksource"
	guest := "model name\t: X\nflags\t\t: fpu hypervisor lahf_lm\n"
	virt := func(e Environment) string { return e.Virt }
	cpu := func(e Environment) string { return e.CPU }
	privilege := func(e Environment) string { return e.Privilege }
	preempt := func(e Environment) string { return e.Preempt }
	return []readTest{
		{"hardware", nil, virt, "none"},
		{"kvm by its clock", map[string]string{"/proc/cpuinfo": guest, clocks: "tsc kvm-clock\n"}, virt, "kvm"},
		{"VirtualBox shows KVM's clock", map[string]string{"/proc/cpuinfo": guest, clocks: "kvm-clock\n", vendor: "innotek GmbH\n"}, virt, "virtualbox"},
		{"QEMU without KVM", map[string]string{"/proc/cpuinfo": guest, clocks: "tsc\n", vendor: "QEMU\n", product: "Standard PC\n"}, virt, "qemu"},
		{"VMware", map[string]string{"/proc/cpuinfo": guest, vendor: "VMware, Inc.\n", product: "VMware20,1\n"}, virt, "vmware"},
		{"Hyper-V", map[string]string{"/proc/cpuinfo": guest, vendor: "Microsoft Corporation\n", product: "Virtual Machine\n"}, virt, "hyperv"},
		{"a Surface is no Hyper-V", map[string]string{vendor: "Microsoft Corporation\n", product: "Surface\n"}, virt, "none"},
		{"Xen", map[string]string{"/sys/hypervisor/type": "xen\n"}, virt, "xen"},
		{"WSL", map[string]string{"/proc/cpuinfo": guest, "/proc/sys/kernel/osrelease": "5.15.1-microsoft-standard-WSL2\n"}, virt, "wsl"},
		{"Amazon's whole machine", map[string]string{"/proc/cpuinfo": "CPU part\t: 0xd0c\n", vendor: "Amazon EC2\n", product: "c7g.metal\n"}, virt, "none"},
		{"Amazon's ARM guest", map[string]string{"/proc/cpuinfo": "CPU part\t: 0xd0c\n", vendor: "Amazon EC2\n", product: "c7g.large\n"}, virt, "kvm"},
		{"an unknown hypervisor", map[string]string{"/proc/cpuinfo": guest}, virt, "vm"},
		{"docker on hardware", map[string]string{"/.dockerenv": ""}, virt, "docker"},
		{"docker in kvm", map[string]string{"/.dockerenv": "", "/proc/cpuinfo": guest, product: "KVM\n"}, virt, "kvm+docker"},

		{"a known ARM core", map[string]string{"/proc/cpuinfo": "CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"}, cpu, "Neoverse-N1"},
		{"another ARM core", map[string]string{"/proc/cpuinfo": "CPU implementer\t: 0x61\nCPU part\t: 0x022\n"}, cpu, "ARM 0x61/0x022"},
		{"POWER", map[string]string{"/proc/cpuinfo": "processor\t: 0\ncpu\t\t: POWER9\n"}, cpu, "POWER9"},
		{"no cpuinfo", map[string]string{"/proc/cpuinfo": "-"}, cpu, "unknown"},

		{"inside a user namespace", map[string]string{"/proc/self/uid_map": "0 1000 1\n"}, privilege, "userns"},
		{"root of a container", map[string]string{"/proc/self/status": "CapEff:\t00000000a80425fb\n"}, privilege, "user"},
		{"no status", map[string]string{"/proc/self/status": "-"}, privilege, "unknown"},

		{"by debugfs", map[string]string{"/sys/kernel/debug/sched/preempt": "none voluntary (lazy) full\n"}, preempt, "dynamic (lazy)"},
		{"as built", map[string]string{"/proc/cmdline": "quiet\n"}, preempt, "dynamic (voluntary)"},
		{"nobody says", map[string]string{"/proc/cmdline": "-", "/boot/config-6.12.48-amd64": "-"}, preempt, "dynamic (unknown)"},
		{"real time", map[string]string{"/proc/version": "#1 SMP PREEMPT_RT x\n", "/boot/config-6.12.48-amd64": "-"}, preempt, "rt"},
		{"old server", map[string]string{"/proc/version": "#1 SMP x\n"}, preempt, "voluntary"},

		{"no cgroups", map[string]string{"/proc/self/mountinfo": "27 1 254:0 / / rw - ext4 /dev/vda rw\n"}, func(e Environment) string { return e.Cgroup }, "none"},
		{"sched_ext is off", map[string]string{"/sys/kernel/sched_ext/root/ops": "-", "/sys/kernel/sched_ext/state": "disabled\n"}, func(e Environment) string { return e.SchedExt }, "disabled"},
		{"no ASLR", map[string]string{"/proc/sys/kernel/randomize_va_space": "0\n"}, func(e Environment) string { return e.ASLR }, "off"},
	}
}

func TestRead(t *testing.T) {
	for _, test := range readTests() {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			files := server()
			maps.Copy(files, test.changes)
			maps.DeleteFunc(files, func(_, text string) bool { return text == "-" })
			e, err := Read(plant(t, files))
			if err != nil {
				t.Fatal(err)
			}
			if got := test.of(e); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestKernelConfigInProc(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte("CONFIG_HZ=1000\nCONFIG_PREEMPT_RT=y\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	files := server()
	delete(files, "/boot/config-6.12.48-amd64")
	files["/proc/config.gz"] = packed.String()
	if e, err := Read(plant(t, files)); err != nil || e.HZ != 1000 {
		t.Errorf("HZ %d, %v", e.HZ, err)
	}
	files["/proc/config.gz"] = "not packed"
	if e, err := Read(plant(t, files)); err != nil || e.HZ != 0 {
		t.Errorf("HZ %d, %v", e.HZ, err)
	}
}

func TestReadNeedsProc(t *testing.T) {
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("a root without /proc was accepted")
	}
	files := server()
	delete(files, "/proc/self/mountinfo")
	if _, err := Read(plant(t, files)); err == nil {
		t.Error("a root without mounts was accepted")
	}
}

func TestReadThisMachine(t *testing.T) {
	e, err := Read("/")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range e.Config() {
		if p.Value == "" || p.Value == unknown {
			t.Errorf("%s is %q", p.Key, p.Value)
		}
	}
	if e.CPUs < 1 || e.MemoryBytes <= 0 || e.Mounts < 1 || e.PIDMax < 1 {
		t.Errorf("a machine without CPUs, memory, mounts or processes: %+v", e)
	}
	a, err := ReadCPUTimes("/")
	if err != nil {
		t.Fatal(err)
	}
	b, err := ReadCPUTimes("/")
	if err != nil {
		t.Fatal(err)
	}
	if s := Steal(a, b); s < 0 || s > 1 {
		t.Errorf("steal is %v", s)
	}
}
