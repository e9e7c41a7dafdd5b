package spec

import (
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// refused is a change that makes a container wrong, and what Check says.
type refused struct {
	want   string
	change func(*Container)
}

func link(target string) func(*Container) {
	return func(c *Container) {
		c.Root.Path = "link"
		if err := os.Symlink(target, filepath.Join(c.Bundle, "link")); err != nil {
			panic(err)
		}
	}
}

var refusedOfAll = []refused{
	{`check container id "": it needs letters, digits or some of "_+-."`, func(c *Container) { c.ID = "" }},
	{`check container id ".": it needs letters, digits or some of "_+-."`, func(c *Container) { c.ID = "." }},
	{`check container id "..": it needs letters, digits or some of "_+-."`, func(c *Container) { c.ID = ".." }},
	{`check container id "a/b": invalid ID format: '/' is none of letters, digits and "_+-."`, func(c *Container) { c.ID = "a/b" }},
	{`check container id "a b": invalid ID format: ' ' is none of letters, digits and "_+-."`, func(c *Container) { c.ID = "a b" }},
	{`check container id "é": invalid ID format: 'é' is none of letters, digits and "_+-."`, func(c *Container) { c.ID = "é" }},
	{`check container id "a\x00": invalid ID format: '\x00' is none of letters, digits and "_+-."`, func(c *Container) { c.ID = "a\x00" }},
	{`check container id: it has 201 characters, the most is 200`, func(c *Container) { c.ID = strings.Repeat("x", 201) }},

	{`ociVersion: "2.0.0" is not known; 1.0.0 to 1.3.0 are`, func(c *Container) { c.Version = "2.0.0" }},
	{`ociVersion: "1.0" is not known; 1.0.0 to 1.3.0 are`, func(c *Container) { c.Version = "1.0" }},
	{`ociVersion: "1..0" is not known; 1.0.0 to 1.3.0 are`, func(c *Container) { c.Version = "1..0" }},
	{`ociVersion: "1.x.0" is not known; 1.0.0 to 1.3.0 are`, func(c *Container) { c.Version = "1.x.0" }},
	{`ociVersion: "0.6.0" is not known; 1.0.0 to 1.3.0 are`, func(c *Container) { c.Version = "0.6.0" }},

	{`root.path: there is no root file system`, func(c *Container) { c.Root = nil }},
	{`root.path: there is no root file system`, func(c *Container) { c.Root.Path = "" }},
	{`root.path: "DIR/nowhere" does not exist`, func(c *Container) { c.Root.Path = "nowhere" }},
	{`root.path: "DIR/link" does not exist`, link("nowhere")},
	{`root.path: "/" is the host's root, which cannot be the container's`, func(c *Container) { c.Root.Path = "/" }},
	{`root.path: "link" is the host's root, which cannot be the container's`, link("/usr/..")},
	{`root.path: "/proc/self/root" is the host's root, which cannot be the container's`, func(c *Container) { c.Root.Path = "/proc/self/root" }},
	{`root.path: "/dev/null" is not a directory`, func(c *Container) { c.Root.Path = "/dev/null" }},
	{`root.path: EvalSymlinks: too many links`, link("link")},

	{`linux: there is no section of that name`, func(c *Container) { c.Linux = nil }},
	{`hooks.prestart[0].path: "" is not absolute`, func(c *Container) { c.Hooks = &specs.Hooks{Prestart: make([]specs.Hook, 1)} }}, //nolint:staticcheck // deprecated
	{`hooks.createRuntime[1].path: "x" is not absolute`, func(c *Container) { c.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/x"}, {Path: "x"}}} }},
	{`hooks.createContainer[0].timeout: it is in seconds, and has to be greater than zero; leave it out for none`, func(c *Container) {
		c.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/x", Timeout: ptr(0)}}}
	}},
	{`hooks.startContainer[0].path: it contains a NUL`, func(c *Container) { c.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/\x00"}}} }},
	{`hooks.poststart[0].args[1]: it contains a NUL`, func(c *Container) {
		c.Hooks = &specs.Hooks{Poststart: []specs.Hook{{Path: "/x", Args: []string{"a", "\x00"}}}}
	}},
	{`hooks.poststop[0].env[0]: it contains a NUL`, func(c *Container) {
		c.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/x", Env: []string{"\x00"}}}}
	}},
	{`hooks.startContainer: strict mode leaves no process that could run them; remove one of them`, and(strict, func(c *Container) { c.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/x"}}} })},
	{`process.consoleSize: 80 by 65536 is more than 65535`, func(c *Container) {
		c.Process.Terminal, c.Process.ConsoleSize = true, &specs.Box{Height: 1 << 16, Width: 80}
	}},
	{`process.commandLine: it is for Windows; give process.args`, func(c *Container) { c.Process.CommandLine = "x" }},
	{`process.user.username: it is for Windows; give uid and gid`, func(c *Container) { c.Process.User.Username = "x" }},
	{`process.apparmorProfile: it contains a NUL`, func(c *Container) { c.Process.ApparmorProfile = "x\x00" }},
	{`process.selinuxLabel: it contains a NUL`, func(c *Container) { c.Process.SelinuxLabel = "x\x00" }},
	{`process.execCPUAffinity.initial: "0-" is no list of processors below 1024, such as 0-3,7`, func(c *Container) { c.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0-"} }},
	{`process.execCPUAffinity.final: "3-1" is no list of processors below 1024, such as 0-3,7`, func(c *Container) { c.Process.ExecCPUAffinity = &specs.CPUAffinity{Final: "3-1"} }},
	{`linux.mountLabel: SELinux labels are not supported; remove it`, func(c *Container) { c.Linux.MountLabel = "x" }},
	{`linux.intelRdt: not supported; remove it`, func(c *Container) { c.Linux.IntelRdt = &specs.LinuxIntelRdt{} }},
	{`linux.netDevices: they need a network namespace that is not the host's`, and(only(specs.MountNamespace), netDevices("eth0", ""))},
	{`linux.netDevices["a/b"]: it is no name of a device: 1 to 15 bytes without blanks, "/" and ":"`, netDevices("a/b", "")},
	{`linux.netDevices["eth0"].name: "sixteen-bytes-xx" is no name of a device: 1 to 15 bytes without blanks, "/" and ":"`, netDevices("eth0", "sixteen-bytes-xx")},
	{`linux.netDevices["eth0"].name: "a%s" is no name of a device: "%d", once, is for a number`, netDevices("eth0", "a%s")},
	{`linux.netDevices["eth0"].name: "a%d%d" is no name of a device: "%d", once, is for a number`, netDevices("eth0", "a%d%d")},
	{`linux.netDevices["eth1"].name: "x" is another device's already`, netDevices("eth0", "x", "eth1", "x")},
	{`linux.netDevices["x"].name: "x" is another device's already`, netDevices("eth0", "x", "x", "")},
	{`windows: not supported; containers here are of Linux`, func(c *Container) { c.Windows = &specs.Windows{} }},

	{`root.readonly: it is about a root of the container's own, and there is none`, func(c *Container) { c.HostRoot, c.Root.Readonly = true, true }},
	{`overlay: it is about a root of the container's own, and there is none`, and(hostRoot, func(c *Container) { c.Overlay = true })},
	{`linux.rootfsPropagation: it is about a root of the container's own, and there is none`, and(hostRoot, func(c *Container) { c.Linux.RootfsPropagation = "slave" })},
	{`linux.seccomp: strict mode is the filter; remove one of them`, and(strict, func(c *Container) { c.Linux.Seccomp = &specs.LinuxSeccomp{} })},
	{`process.terminal: the payload of strict mode has no terminal; remove one of them`, and(strict, func(c *Container) { c.Process.Terminal = true })},
	{`init: strict mode leaves no process that could be one; remove one of them`, and(strict, func(c *Container) { c.Init = true })},
	{`init: it needs a pid namespace of the container's own`, and(only(specs.MountNamespace), func(c *Container) { c.Init = true })},
	{`init: it needs a pid namespace of the container's own`, and(joins(1, "/proc/1/ns/pid"), func(c *Container) { c.Init = true })},
	{`network: to connect it takes a network namespace of the container's own`, and(joins(4, "/proc/1/ns/net"), func(c *Container) { c.Connected = true })},
}

var refusedOfProcess = []refused{
	{`process: there is none`, func(c *Container) { c.Process = nil }},
	{`process.args: there is no command`, func(c *Container) { c.Process.Args = nil }},
	{`process.args[0]: the command is empty`, func(c *Container) { c.Process.Args = []string{"", "a"} }},
	{`process.cwd: "" is not absolute`, func(c *Container) { c.Process.Cwd = "" }},
	{`process.cwd: "tmp" is not absolute`, func(c *Container) { c.Process.Cwd = "tmp" }},
	{`process.env[1]: "A" is not NAME=VALUE`, func(c *Container) { c.Process.Env = []string{"A=", "A"} }},
	{`process.env[0]: "=a" is not NAME=VALUE`, func(c *Container) { c.Process.Env = []string{"=a"} }},
	{`process.env[0]: it contains a NUL`, func(c *Container) { c.Process.Env = []string{"A=\x00"} }},
	{`process.args[1]: it contains a NUL`, func(c *Container) { c.Process.Args = []string{"a", "b\x00"} }},
	{`process.user.umask: 512 is 01000, and more than 0777`, func(c *Container) { c.Process.User.Umask = ptr(uint32(0o1000)) }},
	{`process.user.uid: 4294967295 is no id`, func(c *Container) { c.Process.User.UID = noID }},
	{`process.user.gid: 4294967295 is no id`, func(c *Container) { c.Process.User.GID = noID }},
	{`process.user.additionalGids[1]: 4294967295 is no id`, func(c *Container) { c.Process.User.AdditionalGids = []uint32{1, noID} }},
	{`process.user.uid: 10 is not in the user namespace; add it to linux.uidMappings`, and(inUser, func(c *Container) { c.Process.User.UID = 10 })},
	{`process.user.gid: 10 is not in the user namespace; add it to linux.gidMappings`, and(inUser, func(c *Container) { c.Process.User.GID = 10 })},
	{`process.user.additionalGids[0]: 10 is not in the user namespace; add it to linux.gidMappings`, and(inUser, func(c *Container) { c.Process.User.AdditionalGids = []uint32{10} })},

	{`process.rlimits[0].type: "NOFILE" is not a limit of this kernel`, func(c *Container) { c.Process.Rlimits = []specs.POSIXRlimit{{Type: "NOFILE"}} }},
	{`process.rlimits[0].type: "RLIMIT_X" is not a limit of this kernel`, func(c *Container) { c.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_X"}} }},
	{`process.rlimits[0]: soft 2 is more than hard 1`, func(c *Container) { c.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CPU", Soft: 2, Hard: 1}} }},
	{`process.rlimits[1].type: "RLIMIT_CPU" is there twice`, func(c *Container) {
		c.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CPU"}, {Type: "RLIMIT_CPU"}}
	}},
	{`process.oomScoreAdj: -1001 is outside of -1000 to 1000`, func(c *Container) { c.Process.OOMScoreAdj = ptr(-1001) }},
	{`process.oomScoreAdj: 1001 is outside of -1000 to 1000`, func(c *Container) { c.Process.OOMScoreAdj = ptr(1001) }},

	{`process.scheduler.flags[1]: "SCHED_FLAG_UTIL_CLAMP_MIN" needs a value that config.json has no field for; remove it`, scheduler(specs.Scheduler{Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagReclaim, specs.SchedFlagUtilClampMin}})},
	{`process.scheduler.nice: -21 is outside of -20 to 19`, scheduler(specs.Scheduler{Policy: specs.SchedOther, Nice: -21})},
	{`process.scheduler.nice: 20 is outside of -20 to 19`, scheduler(specs.Scheduler{Policy: specs.SchedOther, Nice: 20})},
	{`process.scheduler.nice: SCHED_IDLE does not have it, only SCHED_OTHER and SCHED_BATCH`, scheduler(specs.Scheduler{Policy: specs.SchedIdle, Nice: 1})},
	{`process.scheduler.priority: 0 is outside of 1 to 99`, scheduler(specs.Scheduler{Policy: specs.SchedFIFO})},
	{`process.scheduler.priority: 100 is outside of 1 to 99`, scheduler(specs.Scheduler{Policy: specs.SchedRR, Priority: 100})},
	{`process.scheduler.priority: SCHED_OTHER does not have it, only SCHED_FIFO and SCHED_RR`, scheduler(specs.Scheduler{Policy: specs.SchedOther, Priority: 1})},
	{`process.scheduler.runtime: SCHED_RR does not have it, only SCHED_DEADLINE`, scheduler(specs.Scheduler{Policy: specs.SchedRR, Priority: 1, Runtime: 1})},
	{`process.scheduler.deadline: SCHED_RR does not have it, only SCHED_DEADLINE`, scheduler(specs.Scheduler{Policy: specs.SchedRR, Priority: 1, Deadline: 1})},
	{`process.scheduler.period: SCHED_RR does not have it, only SCHED_DEADLINE`, scheduler(specs.Scheduler{Policy: specs.SchedRR, Priority: 1, Period: 1})},
}

var refusedOfLinux = []refused{
	{`linux.namespaces[1].type: "net" is not a namespace of Linux`, only(specs.MountNamespace, "net")},
	{`linux.namespaces[1].type: "mount" is there twice`, only(specs.MountNamespace, specs.MountNamespace)},
	{`linux.namespaces[1].path: "ns" is not absolute`, joins(1, "ns")},
	{`linux.namespaces: without a mount namespace the container's mounts would be the host's`, and(only(specs.PIDNamespace), func(c *Container) {
		c.HostRoot, c.Root, c.Mounts = true, nil, []specs.Mount{{Destination: "/a", Type: "tmpfs"}}
	})},
	{`linux.namespaces: without a mount namespace there can be no user namespace, and no overlay: the mounts are made on the host`, and(only(specs.PIDNamespace), func(c *Container) { c.Overlay = true })},
	{`linux.uidMappings: they need a user namespace of the container's own`, and(inUser, only(specs.MountNamespace))},
	{`linux.gidMappings: they need a user namespace of the container's own`, and(inUser, joins(5, "/proc/1/ns/user"), func(c *Container) { c.Linux.UIDMappings = nil })},
	{`linux.uidMappings: a user namespace needs them`, and(inUser, func(c *Container) { c.Linux.UIDMappings = nil })},
	{`linux.gidMappings: a user namespace needs them`, and(inUser, func(c *Container) { c.Linux.GIDMappings = nil })},

	{`hostname: it needs a uts namespace, or it would be the host's`, and(only(specs.MountNamespace), func(c *Container) { c.Hostname = "h" })},
	{`domainname: it needs a uts namespace, or it would be the host's`, and(only(specs.MountNamespace), func(c *Container) { c.Domainname = "h" })},
	{`hostname: the uts namespace in linux.namespaces is the runtime's own, so "h" would become the host's: remove it, or the namespace's path`, and(ownNames, func(c *Container) { c.Hostname = "h" })},
	{`domainname: the uts namespace in linux.namespaces is the runtime's own, so "h" would become the host's: remove it, or the namespace's path`, and(ownNames, func(c *Container) { c.Domainname = "h" })},
	{`hostname: it has 65 bytes, the most is 64`, func(c *Container) { c.Hostname = strings.Repeat("h", 65) }},
	{`domainname: it contains a NUL`, func(c *Container) { c.Domainname = "a\x00" }},
	{`hostname: linux.sysctl sets it too, to "b"; remove one of them`, and(sysctl("kernel.hostname", "b"), func(c *Container) { c.Hostname = "a" })},
	{`domainname: linux.sysctl sets it too, to "b"; remove one of them`, and(sysctl("kernel/domainname", "b"), func(c *Container) { c.Domainname = "a" })},

	{`mounts[1].destination: it is empty`, mounts(specs.Mount{Type: "tmpfs"})},
	{`mounts[1].destination: nothing can be mounted over the root`, mounts(specs.Mount{Destination: "/a/..", Type: "tmpfs"})},
	{`mounts[1].source: a bind needs one`, mounts(specs.Mount{Destination: "/b", Type: "bind"})},
	{`mounts[1].source: a bind needs one`, mounts(specs.Mount{Destination: "/b", Options: []string{"rbind"}})},
	{`mounts[1].type: there is none, and the mount is no bind`, mounts(specs.Mount{Destination: "/b", Source: "/x"})},
	{`mounts[1].gidMappings: they are needed, since there are uidMappings`, mounts(specs.Mount{Destination: "/b", Type: "bind", Source: "/x", UIDMappings: make([]specs.LinuxIDMapping, 1)})},
	{`mounts[1].uidMappings: they are needed, since there are gidMappings`, mounts(specs.Mount{Destination: "/b", Type: "bind", Source: "/x", GIDMappings: make([]specs.LinuxIDMapping, 1)})},
	{`mounts[1].uidMappings: without a user namespace of the container's own they say how ids are mapped: add them, or remove idmap`, mounts(specs.Mount{Destination: "/b", Type: "bind", Source: "/x", Options: []string{"ro", "ridmap"}})},
	{`mounts[1].options: only of a bind the ids can be mapped`, mounts(specs.Mount{Destination: "/b", Type: "tmpfs", Options: []string{"idmap"}})},
	{`mounts[1].options: tmpcopyup is for a tmpfs`, mounts(specs.Mount{Destination: "/b", Type: "proc", Options: []string{"tmpcopyup"}})},
	{`mounts[1].options: tmpcopyup is about a root of the container's own, as it is on disk`, and(mounts(specs.Mount{Destination: "/b", Type: "tmpfs", Options: []string{"tmpcopyup"}}), func(c *Container) { c.Overlay = true })},
	{`linux.maskedPaths[1]: "proc" is not absolute`, func(c *Container) { c.Linux.MaskedPaths = []string{"/a", "proc"} }},
	{`linux.readonlyPaths[0]: "" is not absolute`, func(c *Container) { c.Linux.ReadonlyPaths = []string{""} }},
	{`linux.maskedPaths[0]: it is the root; root.readonly makes that read-only`, func(c *Container) { c.Linux.MaskedPaths = []string{"/.."} }},

	{`linux.devices[1].path: "x" is not absolute`, devices(specs.LinuxDevice{Path: "x", Type: "c"})},
	{`linux.devices[1].type: "" is none of c, u, b and p`, devices(specs.LinuxDevice{Path: "/dev/x"})},
	{`linux.devices[1].major: 4096 is outside of 0 to 4095`, devices(specs.LinuxDevice{Path: "/dev/x", Type: "c", Major: 4096})},
	{`linux.devices[1].major: -1 is outside of 0 to 4095`, devices(specs.LinuxDevice{Path: "/dev/x", Type: "u", Major: -1})},
	{`linux.devices[1].minor: 1048576 is outside of 0 to 1048575`, devices(specs.LinuxDevice{Path: "/dev/x", Type: "b", Minor: 1 << 20})},
	{`linux.devices[1].fileMode: 2541 is 04755, and more than permissions`, devices(specs.LinuxDevice{Path: "/dev/x", Type: "c", FileMode: ptr(os.FileMode(0o4755))})},
	{`linux.devices[1].uid: 4294967295 is no id`, devices(specs.LinuxDevice{Path: "/dev/x", Type: "c", UID: ptr(noID)})},
	{`linux.devices[1].gid: 4294967295 is no id`, devices(specs.LinuxDevice{Path: "/dev/x", Type: "c", GID: ptr(noID)})},
	{`linux.devices[0].path: in a user namespace it is the host's "/dev/nowhere": no such file or directory`, userDevice(specs.LinuxDevice{Path: "/dev/nowhere", Type: "c"})},
	{`linux.devices[0].path: in a user namespace it is the host's "/dev", which is no device`, userDevice(specs.LinuxDevice{Path: "/dev", Type: "c"})},
	{`linux.devices[0].type: in a user namespace it is the host's "/dev/null", where it is c`, userDevice(specs.LinuxDevice{Path: "/dev/null", Type: "b"})},
	{`linux.devices[0].major: in a user namespace it is the host's "/dev/null", where it is 1`, userDevice(specs.LinuxDevice{Path: "/dev/null", Type: "c", Major: 2, Minor: 3})},
	{`linux.devices[0].minor: in a user namespace it is the host's "/dev/null", where it is 3`, userDevice(specs.LinuxDevice{Path: "/dev/null", Type: "c", Major: 1, Minor: 5})},
	{`linux.devices[0].fileMode: in a user namespace it is the host's "/dev/null", where it is 438`, userDevice(specs.LinuxDevice{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: ptr(os.FileMode(0o600))})},
	{`linux.devices[0].uid: in a user namespace a device keeps its owner; remove it`, userDevice(specs.LinuxDevice{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, UID: ptr(uint32(0))})},
	{`linux.devices[0].gid: in a user namespace a device keeps its group; remove it`, userDevice(specs.LinuxDevice{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, GID: ptr(uint32(0))})},

	{`linux.sysctl["vm.swappiness"]: it belongs to the host, not to a namespace`, sysctl("net.ipv4.ip_forward", "1", "vm.swappiness", "1")},
	{`linux.sysctl["kernel.semx"]: it belongs to the host, not to a namespace`, sysctl("kernel.semx", "1")},
	{`linux.sysctl["net/ipv4/conf/eth0.1/forwarding"]: it has dots and slashes; use one of them between all parts`, sysctl("net/ipv4/conf/eth0.1/forwarding", "1")},
	{`linux.sysctl["net...vm.x"]: not a parameter's name`, sysctl("net...vm.x", "1")},
	{`linux.sysctl["/net/x"]: not a parameter's name`, sysctl("/net/x", "1")},
	{`linux.sysctl["net."]: not a parameter's name`, sysctl("net.", "1")},
	{`linux.sysctl[""]: not a parameter's name`, sysctl("", "1")},
	{`linux.sysctl["net.x"]: it needs a namespace of the container's own of type network`, and(sysctl("net.x", "1"), joins(4, "/proc/1/ns/net"))},
	{`linux.sysctl["kernel.sem"]: it needs a namespace of the container's own of type ipc`, and(sysctl("kernel.sem", "1"), only(specs.MountNamespace))},
	{`linux.sysctl["kernel.hostname"]: it needs a namespace of the container's own of type uts`, and(sysctl("kernel.hostname", "1"), only(specs.MountNamespace))},

	{`linux.timeOffsets: they need a time namespace of the container's own`, func(c *Container) { c.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {}} }},
	{`linux.timeOffsets["realtime"]: there is no clock of that name; monotonic and boottime have offsets`, and(only(specs.MountNamespace, specs.TimeNamespace), func(c *Container) { c.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"realtime": {}} })},
	{`linux.timeOffsets["boottime"].nanosecs: 1000000000 is a second or more`, and(only(specs.MountNamespace, specs.TimeNamespace), func(c *Container) {
		c.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Nanosecs: 1e9}}
	})},
}

// netDevices are devices with their new names.
func netDevices(pairs ...string) func(*Container) {
	return func(c *Container) {
		c.Linux.NetDevices = map[string]specs.LinuxNetDevice{}
		for i := 0; i < len(pairs); i += 2 {
			c.Linux.NetDevices[pairs[i]] = specs.LinuxNetDevice{Name: pairs[i+1]}
		}
	}
}
