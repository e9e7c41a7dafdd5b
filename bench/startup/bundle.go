package startup

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// places are where the usual container mounts something. They are in the root
// before, so that every peer finds the same one.
var places = []string{"proc", "dev", "sys"}

// payloadInside is where the payload is in a root of ours.
const payloadInside = "/payload"

// payloadShown is where it is shown in a root of somebody else's, in a /dev in
// memory, so that nothing is written to that root.
const payloadShown = "/dev/isoperf-payload"

// usualCapabilities are those that the payload keeps.
var usualCapabilities = []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"}

// usualSpec is what "runc spec" writes, without a terminal, with another command
// and another root; without ambient capabilities, which no runtime can give as
// they are not inheritable, and some warn of at every start. The version is one
// that every runtime takes.
func usualSpec(root string, args []string) *specs.Spec {
	caps := usualCapabilities
	return &specs.Spec{
		Version: "1.0.2",
		Process: &specs.Process{
			Args: args, Env: variables(), Cwd: "/", NoNewPrivileges: true,
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
			Rlimits:      []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 1024, Soft: 1024}},
		},
		Root:     &specs.Root{Path: root, Readonly: true},
		Hostname: "runc",
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}},
		},
		Linux: &specs.Linux{
			Resources:  &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
			Namespaces: namespaces(specs.PIDNamespace, specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.MountNamespace),
			MaskedPaths: []string{"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
				"/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

// variables are the environment in every container.
func variables() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"}
}

// bundle writes the bundle of a setup and returns its directory.
func (w *world) bundle(s setup) (string, error) {
	if s.variant.base != "" {
		return w.borrowed(s)
	}
	args := s.args
	spec := usualSpec(w.root, args)
	if w.config.Rootfs != "" {
		if len(w.config.Exec) == 0 {
			w.show(spec)
		}
		spec.Root.Path = w.config.Rootfs
	}
	if s.variant.edit != nil {
		if err := s.variant.edit(spec); err != nil {
			return "", fmt.Errorf("write the bundle %q: %w", s.variant.name, err)
		}
	}
	if w.rootless(s.variant) {
		asUser(spec, w.uid(s.variant), w.gid(s.variant))
	}
	return w.write(s, spec)
}

// show binds the payload into a /dev in memory.
func (w *world) show(spec *specs.Spec) {
	spec.Mounts = append(spec.Mounts, specs.Mount{Destination: payloadShown, Type: "bind", Source: w.payload, Options: []string{"bind", "ro"}})
}

// write writes config.json into a directory of its own.
func (w *world) write(s setup, config any) (string, error) {
	dir, err := os.MkdirTemp(w.dir, "bundle-")
	if err != nil {
		return "", fmt.Errorf("make a bundle: %w", err)
	}
	text, err := json.MarshalIndent(config, "", "\t")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		return "", fmt.Errorf("write the bundle of %s: %w", s.peer.name, err)
	}
	return dir, nil
}

// borrowed is the user's own bundle with another command, or another of the
// user's. Fields that this program does not know stay what they are.
func (w *world) borrowed(s setup) (string, error) {
	path := filepath.Join(s.variant.base, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the bundle: %w", err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		return "", fmt.Errorf("read the bundle %q: %w", path, err)
	}
	process, ok := config["process"].(map[string]any)
	root, ok2 := config["root"].(map[string]any)
	if !ok || !ok2 {
		return "", fmt.Errorf("read the bundle %q: it has no process or no root", path)
	}
	if at, ok := root["path"].(string); ok && !filepath.IsAbs(at) {
		absolute, err := filepath.Abs(filepath.Join(s.variant.base, at))
		if err != nil {
			return "", fmt.Errorf("read the bundle %q: %w", path, err)
		}
		root["path"] = absolute
	}
	process["args"], process["terminal"] = s.args, false
	if len(w.config.Exec) > 0 {
		return w.write(s, config)
	}
	mounts, _ := config["mounts"].([]any)
	if !inMemory(mounts, "/dev") {
		return "", fmt.Errorf("put the payload into the bundle %q: it has no tmpfs on /dev, and nothing is written to its root; say --exec with a command that it has", path)
	}
	config["mounts"] = append(mounts, specs.Mount{Destination: payloadShown, Type: "bind", Source: w.payload, Options: []string{"bind", "ro"}})
	return w.write(s, config)
}

// inMemory says whether a tmpfs is mounted there.
func inMemory(mounts []any, at string) bool {
	for _, m := range mounts {
		mount, _ := m.(map[string]any)
		if mount["destination"] == at && mount["type"] == "tmpfs" {
			return true
		}
	}
	return false
}
