package feature

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// refusalWant is a result that must not be Have, and words of its reason and
// remedy.
type refusalWant struct{ name, why, fix string }

// machineTest is a machine and what the probes must say about it.
type machineTest struct {
	name    string
	change  func(m *machine)
	want    []refusalWant
	here    map[string]string // these must be Have, and the detail contain this
	refused string            // families that cannot be measured at all
}

var machines = []machineTest{
	{
		name:   "Debian desktop, ordinary user",
		change: func(*machine) {},
		here: map[string]string{
			"privilege": "privilege: userns", "net namespace": "inside a user namespace",
			"cgroup delegation": "through systemd", "memory controller": "active", "cpu controller": "not active yet",
			"subuid": "100000..165535", "newuidmap": "setuid", "crun": "1.21", "outside containers": "no mark",
			"new mount API": "present", "cgroups": "v2", "clocksource": "tsc",
		},
		want: []refusalWant{
			{"cpuset controller", "does not have cpuset: it is not delegated", "Delegate=cpu cpuset io memory pids"},
			{"CAP_SYS_RESOURCE", "CapEff in /proc/self/status is 0000000000000000", "run as root"},
			{"runc", "not on PATH", "apt install runc"},
		},
	},
	{
		name:   "Debian desktop, root",
		change: (*machine).asRoot,
		here: map[string]string{
			"privilege": "privilege: root", "cgroup delegation": "groups can be made in /sys/fs/cgroup",
			"cpuset controller": "can be switched on", "session bus": "not needed", "CAP_SYS_RESOURCE": "held",
		},
	},
	{
		name: "Ubuntu 24.04, AppArmor restricts user namespaces",
		change: func(m *machine) {
			m.files["/proc/sys/kernel/apparmor_restrict_unprivileged_userns"] = "1\n"
			m.refuseClone(unix.EPERM)
		},
		want: []refusalWant{
			{"user namespace", `apparmor_restrict_unprivileged_userns is 1 and the AppArmor profile in force is "unconfined"`,
				"sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
			{"net namespace", "apparmor_restrict", "userns,"},
			{"privilege", "ordinary user, and no user namespace", "apparmor"},
		},
		refused: "clone mount startup network",
	},
	{
		name: "Ubuntu 24.04, a profile allows it",
		change: func(m *machine) {
			m.files["/proc/sys/kernel/apparmor_restrict_unprivileged_userns"] = "1\n"
			m.files["/proc/self/attr/apparmor/current"] = "isoperf (unconfined)\n"
		},
		here: map[string]string{"user namespace": `"isoperf (unconfined)"`, "no security profile": "isoperf"},
	},
	{
		name: "hardened Debian",
		change: func(m *machine) {
			m.files["/proc/sys/kernel/unprivileged_userns_clone"] = "0\n"
			m.files["/proc/sys/vm/memfd_noexec"] = "2\n"
			m.memfd, m.perf = unix.EACCES, unix.EACCES
			m.files["/proc/sys/kernel/perf_event_paranoid"] = "3\n"
		},
		want: []refusalWant{
			{"user namespace", "/proc/sys/kernel/unprivileged_userns_clone is 0", "sysctl -w kernel.unprivileged_userns_clone=1"},
			{"memfd exec", "/proc/sys/vm/memfd_noexec is 2", "vm.memfd_noexec=0"},
			{"perf counters", "perf_event_paranoid is 3", "kernel.perf_event_paranoid=1"},
		},
		refused: "clone mount startup network",
	},
	{
		name:   "no user namespaces at all",
		change: func(m *machine) { m.files["/proc/sys/user/max_user_namespaces"] = "0\n" },
		want: []refusalWant{
			{"user namespace", "/proc/sys/user/max_user_namespaces is 0", "sysctl -w user.max_user_namespaces=15000"},
			{"pid namespace", "max_user_namespaces is 0", "max_user_namespaces"},
		},
		refused: "clone mount startup network",
	},
	{
		name: "root, one limit is 0 and another used up",
		change: func(m *machine) {
			m.asRoot()
			m.files["/proc/sys/user/max_net_namespaces"] = "0\n"
			m.clone = func(flags uint64) error {
				if flags == unix.CLONE_NEWPID {
					return unix.ENOSPC
				}
				return nil
			}
			delete(m.files, "/proc/self/ns/time")
		},
		want: []refusalWant{
			{"net namespace", "max_net_namespaces is 0", "user.max_net_namespaces=15000"},
			{"pid namespace", "ENOSPC: user.max_pid_namespaces (limit 63000) is used up", "user.max_pid_namespaces"},
			{"time namespace", "/proc/self/ns/time is missing", "CONFIG_TIME_NS"},
		},
		refused: "startup network",
	},
	{
		name: "Docker with its default filter",
		change: func(m *machine) {
			m.asRoot()
			m.inContainer()
			m.files["/proc/self/status"] = status(dockerCaps, "2")
			m.files["/proc/self/attr/current"] = "docker-default (enforce)\n"
			m.files["/.dockerenv"] = ""
			m.files["/proc/self/mountinfo"] = rootMount +
				"31 23 0:28 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n" +
				"32 22 0:29 / /proc/acpi ro - tmpfs tmpfs ro\n33 22 0:30 / /proc/sys ro - proc proc rw\n"
			m.calls = map[string]error{"clone3": unix.ENOSYS, "open_tree": unix.EPERM, "mount_setattr": unix.EPERM}
			m.readOnly = []string{"/sys"}
			m.tun = unix.ENOENT
		},
		want: []refusalWant{
			{"clone3", "ENOSYS: a seccomp filter hides it (Seccomp: 2", "docker run --security-opt seccomp=unconfined"},
			{"CLONE_CLEAR_SIGHAND", "clone3", "seccomp=unconfined"},
			{"user namespace", "clone answers EPERM: a seccomp filter", "docker run --privileged"},
			{"privilege", "root without CAP_SYS_ADMIN", "docker run --privileged"},
			{"CAP_SYS_RESOURCE", dockerCaps, "docker run --cap-add CAP_SYS_RESOURCE"},
			{"outside containers", "/.dockerenv exists", "docker run --privileged"},
			{"no seccomp filter", "Seccomp: 2", "seccomp=unconfined"},
			{"no security profile", "docker-default (enforce)", "--privileged"},
			{"unmasked /proc", "/proc/acpi, /proc/sys", "systempaths=unconfined"},
			{"new mount API", "open_tree answers EPERM", "--privileged"},
			{"cgroup delegation", "read-only", "--privileged"},
			{"/dev/net/tun", "is missing", "docker run --device /dev/net/tun"},
		},
		refused: "clone mount startup limits network",
	},
	{
		name: "Kubernetes pod",
		change: func(m *machine) {
			m.asRoot()
			m.inContainer()
			m.env["KUBERNETES_SERVICE_HOST"] = "10.0.0.1"
			m.files["/proc/self/status"] = status(dockerCaps, "0")
			m.files["/proc/self/mountinfo"] = rootMount +
				"31 23 0:28 / /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n" +
				"32 22 0:29 / /proc/kcore rw - tmpfs tmpfs rw\n33 22 0:29 / /proc/sys/fs/binfmt_misc rw - binfmt_misc x rw\n"
			m.readOnly = []string{"/sys"}
			m.tun = unix.EPERM
		},
		want: []refusalWant{
			{"outside containers", "kubernetes: KUBERNETES_SERVICE_HOST", "securityContext.privileged: true"},
			{"writable cgroup mounts", "/sys/fs/cgroup/cpu read-only", "privileged: true"},
			{"cpu controller", "/sys/fs/cgroup/cpu read-only", "privileged"},
			{"unmasked /proc", "mounts over /proc/kcore:", "procMount: Unmasked"},
			{"user namespace", "inside kubernetes", "privileged"},
			{"cgroup v2", "v1 hierarchies only", "systemd.unified_cgroup_hierarchy=1"},
			{"CLONE_INTO_CGROUP", "no v2 hierarchy", "cgroup2"},
			{"/dev/net/tun", "device rules of kubernetes", "hostPath"},
		},
		refused: "clone mount startup limits network",
	},
	{
		name: "after su, no session",
		change: func(m *machine) {
			m.env = map[string]string{}
			delete(m.files, "/run/user/1000/bus")
			delete(m.files, manager+"/cgroup.controllers")
			delete(m.files, manager+"/cgroup.subtree_control")
			delete(m.files, manager+"/cgroup.procs")
			m.writable = nil
		},
		want: []refusalWant{
			{"session bus", "as after su", "machinectl shell ada@"},
			{"cgroup delegation", "user@1000.service is missing", "loginctl enable-linger ada"},
			{"memory controller", "user@1000.service is missing", "enable-linger"},
		},
		refused: "limits",
	},
	{
		name: "after su, the manager lingers",
		change: func(m *machine) {
			m.env = map[string]string{"XDG_RUNTIME_DIR": "/run/user/0"}
		},
		want: []refusalWant{
			{"session bus", "XDG_RUNTIME_DIR is /run/user/0, of another user", "XDG_RUNTIME_DIR=/run/user/1000"},
			{"cgroup delegation", "of another user", "machinectl shell"},
		},
		refused: "limits",
	},
	{
		name: "no tun, no subordinate ids, no helpers",
		change: func(m *machine) {
			m.tun = unix.ENODEV
			m.files["/etc/subuid"] = "bob:100000:65536\n"
			delete(m.files, "/etc/subgid")
			m.files["/usr/bin/newuidmap"] = "plain"
			delete(m.programs, "newgidmap")
			m.files["/proc/sys/net/ipv4/ping_group_range"] = "1\t0\n"
		},
		want: []refusalWant{
			{"/dev/net/tun", "ENODEV: no driver", "modprobe tun"},
			{"subuid", "/etc/subuid has no line for ada", "usermod --add-subuids 100000-165535 ada"},
			{"subgid", "/etc/subgid is missing", "usermod --add-subgids"},
			{"newuidmap", "neither setuid", "setcap cap_setuid+ep /usr/bin/newuidmap"},
			{"newgidmap", "not on PATH", "apt install uidmap"},
			{"ping_group_range", "is 1 0", `ping_group_range="0 2147483647"`},
		},
	},
	{
		name: "hybrid cgroups on an old virtual machine",
		change: func(m *machine) {
			m.release = "5.4.0-42-generic"
			m.files["/proc/self/mountinfo"] = rootMount +
				"31 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
				`32 23 0:29 / /sys/fs/cgroup/uni\040fied rw - cgroup2 cgroup2 rw` + "\n"
			m.files["/sys/fs/cgroup/uni fied/cgroup.controllers"] = "\n"
			m.calls = map[string]error{"mount_setattr": unix.ENOSYS, "openat2": unix.ENOSYS}
			m.files["/sys/devices/system/clocksource/clocksource0/current_clocksource"] = "hpet\n"
			m.files["/proc/cpuinfo"] = "flags\t\t: fpu hypervisor lahf_lm\n"
			m.perf = unix.ENOENT
			delete(m.files, "/proc/pressure/cpu")
		},
		want: []refusalWant{
			{"kernel release", "uname -r is 5.4.0-42-generic", "5.10"},
			{"cgroup v2", "v1 holds the controllers: /sys/fs/cgroup/uni fied", "unified_cgroup_hierarchy=1"},
			{"memory controller", "/sys/fs/cgroup/memory cannot be written", "run as root"},
			{"cgroup delegation", "v1 hierarchies are root's", "run as root"},
			{"mount_setattr", "came with Linux 5.12", "boot Linux 5.12"},
			{"openat2", "5.6", "5.6"},
			{"clocksource", "is hpet: the slower clock", "echo tsc | sudo tee"},
			{"steal time", "is 0 on a virtual machine", "ratios"},
			{"perf counters", "ENOENT", "PMU"},
			{"PSI", "/proc/pressure/cpu is missing", "psi=1"},
			{"favordynmods", "6.0", "6.0"},
		},
		refused: "clone mount startup limits network",
	},
	{
		name: "a BPF scheduler and favordynmods",
		change: func(m *machine) {
			m.asRoot()
			m.files["/sys/kernel/sched_ext/state"] = "enabled\n"
			m.files["/sys/kernel/sched_ext/root/ops"] = "lavd_1.0\n"
			m.files["/proc/self/mountinfo"] = rootMount + "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 c rw,favordynmods\n"
		},
		want: []refusalWant{{"kernel CPU scheduler", "state is enabled (lavd_1.0): cpu.max is not enforced", "systemctl stop scx"}},
		here: map[string]string{"favordynmods": "on"},
	},
	{
		name:   "an image booted as a machine",
		change: func(m *machine) { m.files["/.dockerenv"] = "" },
		here:   map[string]string{"outside containers": "/.dockerenv is there"},
	},
	{
		name: "LXC by its first process",
		change: func(m *machine) {
			m.files["/proc/1/environ"] = "HOME=/\x00container=lxc\x00"
			m.refuseClone(unix.EPERM)
		},
		want: []refusalWant{
			{"outside containers", "process 1 has container=lxc", "security.nesting=true"},
			{"user namespace", "inside lxc", "security.nesting=true"},
		},
		refused: "clone mount startup network",
	},
}

func TestMachines(t *testing.T) {
	for _, test := range machines {
		t.Run(test.name, func(t *testing.T) {
			m := debian()
			test.change(m)
			results := m.host(t).All(context.Background())
			for _, r := range results {
				complete(t, r)
				if r.State == ProbeFailed {
					t.Errorf("%s failed: %v", r.Name, r.Err)
				}
			}
			for _, want := range test.want {
				checkRefusal(t, results, want)
			}
			for name, detail := range test.here {
				if r, _ := Find(results, name); r.State != Have || !strings.Contains(r.Detail, detail) {
					t.Errorf("%s: %s %q, want ok with %q (why: %s)", name, r.State, r.Detail, detail, r.Why)
				}
			}
			var refused []string
			for _, f := range Families(results) {
				if f.State != Have {
					refused = append(refused, f.Name)
				}
			}
			if got := strings.Join(refused, " "); got != test.refused {
				t.Errorf("families refused: %q, want %q", got, test.refused)
			}
		})
	}
}

func checkRefusal(t *testing.T, results []Result, want refusalWant) {
	t.Helper()
	r, ok := Find(results, want.name)
	switch {
	case !ok:
		t.Errorf("no result is called %q", want.name)
	case r.State != NotHere:
		t.Errorf("%s: %s (%s), want not here", want.name, r.State, r.Detail)
	case !strings.Contains(r.Why, want.why):
		t.Errorf("%s: why %q does not contain %q", want.name, r.Why, want.why)
	case !strings.Contains(r.Fix, want.fix):
		t.Errorf("%s: fix %q does not contain %q", want.name, r.Fix, want.fix)
	}
}

// What cannot be read is a failed probe, never "not here".
func TestUnreadableFilesFail(t *testing.T) {
	m := debian()
	m.files["/proc/self/mountinfo"] = "nonsense\n"
	m.files["/proc/sys/net/ipv4/ping_group_range"] = "x\n"
	m.files["/etc/subuid"] = "ada:many:65536\n"
	m.release = "unknown"
	m.calls = map[string]error{"pidfd_open": errors.New("it accepted nonsense")}
	delete(m.files, "/proc/stat")
	delete(m.files, "/proc/self/status")
	m.clone = func(uint64) error { return unix.ENOMEM }
	m.perf, m.tun, m.memfd = unix.EIO, unix.EIO, unix.EIO
	results := m.host(t).All(context.Background())
	for _, name := range []string{"kernel release", "pidfd", "cgroups", "cgroup v2", "unmasked /proc", "ping_group_range",
		"subuid", "steal time", "no seccomp filter", "user namespace", "net namespace", "privilege", "CAP_SYS_RESOURCE",
		"perf counters", "/dev/net/tun", "memfd exec", "cpu controller", "cgroup delegation", "favordynmods"} {
		if r, _ := Find(results, name); r.State != ProbeFailed {
			t.Errorf("%s: %s (%s%s), want failed", name, r.State, r.Detail, r.Why)
		}
	}
	for _, r := range results {
		complete(t, r)
	}
	if (Result{}).State != ProbeFailed {
		t.Error("a result that nobody filled in claims something")
	}
}

func TestProgramsAreBounded(t *testing.T) {
	m := debian()
	for _, p := range programs() {
		m.programs[p.name] = "1.0"
	}
	h := m.host(t)
	running := make(chan struct{}, programsAtOnce)
	h.Version = func(ctx context.Context, path string) (string, error) {
		select {
		case running <- struct{}{}:
		default:
			t.Error("more run at once than may")
		}
		defer func() { <-running }()
		switch path {
		case "/usr/bin/docker":
			<-ctx.Done()
			return "", ctx.Err()
		case "/usr/bin/runc":
			return "runc: bad option", errors.New("exit status 1")
		}
		return "1.0", nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	results := h.Programs(ctx)
	if r, _ := Find(results, "docker"); r.State != ProbeFailed || !strings.Contains(r.Why, "did not answer within 2s") {
		t.Errorf("docker: %+v", r)
	}
	if r, _ := Find(results, "runc"); r.State != ProbeFailed || !strings.Contains(r.Why, "exit status 1: runc: bad option") {
		t.Errorf("runc: %+v", r)
	}
	if r, _ := Find(results, "crun"); r.State != Have {
		t.Errorf("crun: %+v", r)
	}
}
