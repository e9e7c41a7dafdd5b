package main

import (
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/capability"
	"isoperf/runtime/container"
	"isoperf/runtime/jsontext"
	"isoperf/runtime/namespace"
	"isoperf/runtime/rootfs"
	"isoperf/runtime/seccomp"
	"isoperf/runtime/spec"
)

// printFeatures prints what this runtime knows, in the form of the specification's
// features.md. Nothing of it is written down twice: the lists are the tables
// that containers are made with, and of what has no table the checks are asked
// that refuse a configuration.
func printFeatures(g *globals, c *call) error {
	if err := c.parse(nil, 0, 0); err != nil {
		return err
	}
	w := &jsontext.Writer{Indent: "  "}
	w.Open('{')
	w.Name("ociVersionMin")
	w.String("1.0.0")
	w.Name("ociVersionMax")
	w.String(specs.Version)
	w.Name("hooks")
	w.Strings(knownHooks())
	w.Name("mountOptions")
	w.Strings(rootfs.Words())
	w.Name("linux")
	linuxFeatures(w)
	w.Name("annotations")
	w.Open('{')
	w.Name("org.isoperf.version")
	w.String(version())
	w.Close('}')
	w.Close('}')
	_, err := fmt.Fprintf(g.stdout, "%s\n", w.Text)
	return err
}

func linuxFeatures(w *jsontext.Writer) {
	w.Open('{')
	var names []string
	for _, n := range namespace.All() {
		names = append(names, string(spec.Type(n)))
	}
	slices.Sort(names)
	w.Name("namespaces")
	w.Strings(names)
	w.Name("capabilities")
	w.Strings(capability.All().Names())
	w.Name("cgroup")
	w.Open('{')
	for _, f := range []struct {
		name string
		on   bool
	}{{"v1", true}, {"v2", true}, {"systemd", true}, {"systemdUser", true}, {"rdma", true}} {
		w.Name(f.name)
		w.Bool(f.on)
	}
	w.Close('}')
	w.Name("seccomp")
	seccompFeatures(w)
	for _, f := range []struct {
		name string
		on   bool
	}{
		{"apparmor", knows(func(s *specs.Spec) { s.Process.ApparmorProfile = "unconfined" })},
		{"selinux", knows(func(s *specs.Spec) { s.Process.SelinuxLabel = "system_u:system_r:container_t:s0" }) &&
			knows(func(s *specs.Spec) { s.Linux.MountLabel = "system_u:object_r:container_file_t:s0" })},
		{"intelRdt", knows(func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "one"} })},
		{"netDevices", knows(func(s *specs.Spec) { s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth0": {}} })},
	} {
		w.Name(f.name)
		w.Open('{')
		w.Name("enabled")
		w.Bool(f.on)
		w.Close('}')
	}
	modes, words := container.MemoryPolicies()
	w.Name("memoryPolicy")
	w.Open('{')
	w.Name("modes")
	w.Strings(modes)
	w.Name("flags")
	w.Strings(words)
	w.Close('}')
	w.Name("mountExtensions")
	w.Open('{')
	w.Name("idmap")
	w.Open('{')
	w.Name("enabled")
	w.Bool(knows(func(s *specs.Spec) {
		one := []specs.LinuxIDMapping{{HostID: 1000, Size: 1}}
		s.Mounts = []specs.Mount{{Destination: "/a", Type: "bind", Source: "/", Options: []string{"idmap"}, UIDMappings: one, GIDMappings: one}}
	}))
	w.Close('}')
	w.Close('}')
	w.Close('}')
}

// knows says whether a container with some field is not refused as one of a kind
// that nobody here can make. That this host cannot is no matter.
func knows(set func(*specs.Spec)) bool {
	s := &specs.Spec{
		Version: specs.Version, Process: &specs.Process{Cwd: "/", Args: []string{"/"}},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.NetworkNamespace}}},
	}
	set(s)
	err := (&spec.Container{Spec: s, ID: "features", HostRoot: true}).Check()
	return err == nil || !strings.Contains(err.Error(), "not supported")
}

// knownHooks are the kinds of hooks that are called.
func knownHooks() []string {
	list := []string{}
	one := []specs.Hook{{Path: "/hook"}}
	for _, h := range []struct {
		name string
		set  specs.Hooks
	}{
		{"prestart", specs.Hooks{Prestart: one}}, //nolint:staticcheck // it is deprecated, and still of the specification
		{"createRuntime", specs.Hooks{CreateRuntime: one}},
		{"createContainer", specs.Hooks{CreateContainer: one}},
		{"startContainer", specs.Hooks{StartContainer: one}},
		{"poststart", specs.Hooks{Poststart: one}},
		{"poststop", specs.Hooks{Poststop: one}},
	} {
		if knows(func(s *specs.Spec) { s.Hooks = &h.set }) {
			list = append(list, h.name)
		}
	}
	return list
}

// seccompFeatures are the words that a filter can be made of here.
func seccompFeatures(w *jsontext.Writer) {
	takes := func(change func(*specs.LinuxSeccomp)) bool {
		s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
		change(s)
		return seccomp.Check(s) == nil
	}
	var actions, operators, archs, flags []string
	for _, a := range []specs.LinuxSeccompAction{
		specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActLog, specs.ActNotify, specs.ActTrace, specs.ActTrap,
	} {
		if takes(func(s *specs.LinuxSeccomp) {
			s.Syscalls = []specs.LinuxSyscall{{Names: []string{"getcwd"}, Action: a}}
			if a == specs.ActNotify {
				s.ListenerPath = "/run/listener"
			}
		}) {
			actions = append(actions, string(a))
		}
	}
	for _, o := range []specs.LinuxSeccompOperator{
		specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpLessEqual, specs.OpLessThan, specs.OpMaskedEqual, specs.OpNotEqual,
	} {
		if takes(func(s *specs.LinuxSeccomp) {
			s.Syscalls = []specs.LinuxSyscall{{Names: []string{"getcwd"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Op: o}}}}
		}) {
			operators = append(operators, string(o))
		}
	}
	for _, a := range seccomp.Architectures(goruntime.GOARCH) {
		archs = append(archs, string(a))
	}
	for _, f := range []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagWaitKillableRecv} {
		if takes(func(s *specs.LinuxSeccomp) { s.Flags = []specs.LinuxSeccompFlag{f} }) {
			flags = append(flags, string(f))
		}
	}
	var supported []string // by the kernel, too
	for _, f := range flags {
		if seccomp.KernelTakes(specs.LinuxSeccompFlag(f)) {
			supported = append(supported, f)
		}
	}
	w.Open('{')
	w.Name("enabled")
	w.Bool(true)
	for _, l := range []struct {
		name string
		list []string
	}{{"actions", actions}, {"operators", operators}, {"archs", archs}, {"knownFlags", flags}, {"supportedFlags", supported}} {
		w.Name(l.name)
		w.Strings(l.list)
	}
	w.Close('}')
}
