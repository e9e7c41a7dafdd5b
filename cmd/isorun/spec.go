package main

import (
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/jsontext"
)

// writeSpec is "isorun spec": a config.json to begin with, as runc's is.
func writeSpec(g *globals, c *call) error {
	bundle, rootless := ".", false
	flags := flagSet{
		{short: "b", long: "bundle", value: "DIR", text: &bundle, preset: bundle, help: "directory in which config.json is made"},
		{long: "rootless", on: &rootless, help: "one for a user without privilege: with a user namespace"},
	}
	if err := c.parse(flags, 0, 0); err != nil {
		return err
	}
	s := starter{rootless: rootless, uid: os.Geteuid(), gid: os.Getegid()}
	name := filepath.Join(bundle, "config.json")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if os.IsExist(err) {
		return fmt.Errorf("write %q: it exists; remove it first", name)
	}
	if err != nil {
		return fmt.Errorf("write %q: %w", name, err)
	}
	_, err = f.Write(append(s.text(), '\n'))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(name) // it is not complete
		return fmt.Errorf("write %q: %w", name, err)
	}
	return nil
}

// starter is a configuration to begin with.
type starter struct {
	jsontext.Writer
	rootless bool
	uid, gid int
}

func (s *starter) text() []byte {
	s.Indent = "\t"
	s.Open('{')
	s.field("ociVersion", specs.Version)
	s.Name("process")
	s.process()
	s.Name("root")
	s.Open('{')
	s.field("path", "rootfs")
	s.on("readonly")
	s.Close('}')
	s.field("hostname", "isorun")
	s.Name("mounts")
	s.Open('[')
	for _, m := range s.mounts() {
		s.Next()
		s.Open('{')
		s.field("destination", m.Destination)
		s.field("type", m.Type)
		s.field("source", m.Source)
		if len(m.Options) > 0 {
			s.Name("options")
			s.Strings(m.Options)
		}
		s.Close('}')
	}
	s.Close(']')
	s.Name("linux")
	s.linux()
	s.Close('}')
	return s.Text
}

func (s *starter) field(name, value string) {
	s.Name(name)
	s.String(value)
}

func (s *starter) number(name string, n int) {
	s.Name(name)
	s.Int(int64(n))
}

func (s *starter) on(name string) {
	s.Name(name)
	s.Bool(true)
}

func (s *starter) process() {
	s.Open('{')
	s.on("terminal")
	s.Name("user")
	s.Open('{')
	s.number("uid", 0)
	s.number("gid", 0)
	s.Close('}')
	s.Name("args")
	s.Strings([]string{"sh"})
	s.Name("env")
	s.Strings([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"})
	s.field("cwd", "/")
	s.Name("capabilities")
	s.Open('{')
	for _, set := range []string{"bounding", "effective", "permitted"} {
		s.Name(set)
		s.Strings([]string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"})
	}
	s.Close('}')
	s.Name("rlimits")
	s.Open('[')
	s.Next()
	s.Open('{')
	s.field("type", "RLIMIT_NOFILE")
	s.number("hard", 1024)
	s.number("soft", 1024)
	s.Close('}')
	s.Close(']')
	s.on("noNewPrivileges")
	s.Close('}')
}

// mounts are runc's. Without a network namespace the user may not mount a sysfs,
// and nobody has a group 5 in a namespace with a single id.
func (s *starter) mounts() []specs.Mount {
	pts := []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}
	sys := specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}}
	group := specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}}
	if s.rootless {
		pts = pts[:len(pts)-1]
		sys = specs.Mount{Destination: "/sys", Type: "none", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "ro"}}
	}
	all := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc"},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: pts},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		sys,
	}
	if !s.rootless {
		all = append(all, group)
	}
	return all
}

func (s *starter) linux() {
	s.Open('{')
	names := []string{"pid", "network", "ipc", "uts", "mount", "cgroup"}
	if s.rootless {
		names = []string{"pid", "ipc", "uts", "mount", "cgroup", "user"}
		for _, m := range []struct {
			name string
			id   int
		}{{"uidMappings", s.uid}, {"gidMappings", s.gid}} {
			s.Name(m.name)
			s.Open('[')
			s.Next()
			s.Open('{')
			s.number("containerID", 0)
			s.number("hostID", m.id)
			s.number("size", 1)
			s.Close('}')
			s.Close(']')
		}
	} else {
		s.Name("resources")
		s.Open('{')
		s.Name("devices")
		s.Open('[')
		s.Next()
		s.Open('{')
		s.Name("allow")
		s.Bool(false)
		s.field("access", "rwm")
		s.Close('}')
		s.Close(']')
		s.Close('}')
	}
	s.Name("namespaces")
	s.Open('[')
	for _, name := range names {
		s.Next()
		s.Open('{')
		s.field("type", name)
		s.Close('}')
	}
	s.Close(']')
	s.Name("maskedPaths")
	s.Strings([]string{"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"})
	s.Name("readonlyPaths")
	s.Strings([]string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"})
	s.Close('}')
}
