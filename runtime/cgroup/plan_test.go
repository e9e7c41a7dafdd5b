package cgroup

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// steps prints a plan, with the fake root and the owner taken away.
func steps(t *testing.T, h *Host, root string, o Options) []string {
	t.Helper()
	if o.ID == "" {
		o.ID = "box"
	}
	p, err := h.Plan(o)
	if err != nil {
		return []string{"error: " + strings.ReplaceAll(err.Error(), root, "")}
	}
	var lines []string
	for _, s := range p.Steps() {
		text := strings.ReplaceAll(s.Text, root, "")
		if o.Path == "" {
			text = strings.ReplaceAll(text, p.name, "isoperf-…")
		}
		lines = append(lines, s.Name+": "+text)
	}
	return lines
}

func TestPlanSteps(t *testing.T) {
	hybrid, hybridRoot := fakeHybrid(t)
	session, sessionRoot := fakeV2(t, "/user.slice/session.scope")
	top, topRoot := fakeV2(t, "/")
	cpuMax := &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(20000)), Period: ptr(uint64(100000))}}
	both := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(1 << 20))}, Pids: &specs.LinuxPids{Limit: ptr(int64(9))}}
	for name, c := range map[string]struct {
		h    *Host
		root string
		o    Options
		want string
	}{
		"nothing": {hybrid, hybridRoot, Options{}, ""},
		"v1 cpu": {hybrid, hybridRoot, Options{Resources: cpuMax}, `
			mkdir cpu,cpuacct: mkdir /cg/cpu,cpuacct/isoperf-…
			write cpu.cfs_period_us: write "100000" to cpu.cfs_period_us
			write cpu.cfs_quota_us: write "20000" to cpu.cfs_quota_us
			enter cpu,cpuacct: the launching thread writes itself to /cg/cpu,cpuacct/isoperf-…/tasks, and goes back once the child is born`},
		"v1 memory and pids": {hybrid, hybridRoot, Options{Resources: both}, `
			mkdir memory: mkdir /cg/memory/job/isoperf-…
			mkdir pids: mkdir /cg/pids/isoperf-…
			enter memory: the launching thread writes itself to /cg/memory/job/isoperf-…/tasks, and goes back once the child is born
			enter pids: the launching thread writes itself to /cg/pids/isoperf-…/tasks, and goes back once the child is born
			write memory.limit_in_bytes: write "1048576" to memory.limit_in_bytes (once the child is on its own)
			write pids.max: write "9" to pids.max (once the child is on its own)`},
		"v1 cpuset, deep": {hybrid, hybridRoot, Options{Path: "/a/b", Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "1"}}}, `
			mkdir cpuset: mkdir /cg/cpuset/a
			write cpuset.cpus: write "0-3" to /cg/cpuset/a/cpuset.cpus
			write cpuset.mems: write "0" to /cg/cpuset/a/cpuset.mems
			mkdir cpuset: mkdir /cg/cpuset/a/b
			write cpuset.mems: write "0" to /cg/cpuset/a/b/cpuset.mems
			write cpuset.cpus: write "1" to cpuset.cpus
			enter cpuset: the launching thread writes itself to /cg/cpuset/a/b/tasks, and goes back once the child is born`},
		"hybrid, no limits": {hybrid, hybridRoot, Options{Always: true}, `
			mkdir v2: mkdir /cg/unified/isoperf-…`},
		"v1 devices": {hybrid, hybridRoot, Options{Path: "/x", Resources: &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}}}, `
			mkdir devices: mkdir /cg/devices/x
			write devices.deny: write "a" to devices.deny
			write devices.allow: write "c *:* m" to devices.allow
			write devices.allow: write "b *:* m" to devices.allow
			write devices.allow: write "c 1:3 rw" to devices.allow
			write devices.allow: write "c 1:5 rw" to devices.allow
			write devices.allow: write "c 1:7 rw" to devices.allow
			write devices.allow: write "c 1:8 rw" to devices.allow
			write devices.allow: write "c 1:9 rw" to devices.allow
			write devices.allow: write "c 5:0 rw" to devices.allow
			write devices.allow: write "c 5:1 rw" to devices.allow
			write devices.allow: write "c 5:2 rw" to devices.allow
			write devices.allow: write "c 136:* rw" to devices.allow
			enter devices: the launching thread writes itself to /cg/devices/x/tasks, and goes back once the child is born`},
		"v2, session": {session, sessionRoot, Options{Resources: cpuMax}, `
			write cgroup.subtree_control: write "+cpu" to /sys/fs/cgroup/user.slice/cgroup.subtree_control
			mkdir v2: mkdir /sys/fs/cgroup/user.slice/isoperf-…
			write cpu.max: write "20000 100000" to cpu.max`},
		"v2, session, not given from the top yet": {session, sessionRoot, Options{Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}}}, `
			write cgroup.subtree_control: write "+cpuset" to /sys/fs/cgroup/cgroup.subtree_control
			write cgroup.subtree_control: write "+cpuset" to /sys/fs/cgroup/user.slice/cgroup.subtree_control
			mkdir v2: mkdir /sys/fs/cgroup/user.slice/isoperf-…
			write cpuset.cpus: write "0" to cpuset.cpus`},
		"v2, top, deep": {top, topRoot, Options{Path: "a/b", Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0,1,2", Shares: ptr(uint64(1024))}}}, `
			write cgroup.subtree_control: write "+cpuset" to /sys/fs/cgroup/cgroup.subtree_control
			mkdir v2: mkdir /sys/fs/cgroup/a
			write cgroup.subtree_control: write "+cpu +cpuset" to /sys/fs/cgroup/a/cgroup.subtree_control
			mkdir v2: mkdir /sys/fs/cgroup/a/b
			write cpu.weight: write "100" to cpu.weight
			write cpuset.cpus: write "0-2" to cpuset.cpus`},
		"v2, delegated, with its launcher inside": {session, sessionRoot, Options{Parent: sessionRoot + "/sys/fs/cgroup/user.slice/scope", Resources: both}, `
			mkdir v2: mkdir /sys/fs/cgroup/user.slice/scope/isoperf-launcher
			write cgroup.procs: write "77" to /sys/fs/cgroup/user.slice/scope/isoperf-launcher/cgroup.procs
			write cgroup.procs: write "78" to /sys/fs/cgroup/user.slice/scope/isoperf-launcher/cgroup.procs
			write cgroup.subtree_control: write "+memory +pids" to /sys/fs/cgroup/user.slice/scope/cgroup.subtree_control
			mkdir v2: mkdir /sys/fs/cgroup/user.slice/scope/isoperf-…
			write pids.max: write "9" to pids.max
			write memory.max: write "1048576" to memory.max (once the child is on its own)`},
		"v2, delegated, in use": {session, sessionRoot, Options{Parent: sessionRoot + "/sys/fs/cgroup/user.slice/shared", Path: "/p/q", Resources: both}, `
			write cgroup.subtree_control: write "+pids" to /sys/fs/cgroup/user.slice/shared/cgroup.subtree_control
			mkdir v2: mkdir /sys/fs/cgroup/user.slice/shared/p
			write cgroup.subtree_control: write "+memory +pids" to /sys/fs/cgroup/user.slice/shared/p/cgroup.subtree_control
			mkdir v2: mkdir /sys/fs/cgroup/user.slice/shared/p/q
			write pids.max: write "9" to pids.max
			write memory.max: write "1048576" to memory.max (once the child is on its own)`},
		"v2, not delegated": {session, sessionRoot, Options{Parent: sessionRoot + "/sys/fs/cgroup/user.slice/scope", Resources: cpuMax}, `
			error: plan a control group: the cpu controller is not delegated to "/sys/fs/cgroup/user.slice/scope", which has "memory pids"; enable it above (systemd: Delegate=cpu), or leave the limit out`},
		"v2 devices": {session, sessionRoot, Options{Resources: &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}}}, `
			mkdir v2: mkdir /sys/fs/cgroup/user.slice/isoperf-…
			attach devices: attach a BPF program of 12 device rules to /sys/fs/cgroup/user.slice/isoperf-…`},
		"v1, delegated": {hybrid, hybridRoot, Options{Parent: "/cg/unified/x", Resources: both}, `
			error: plan a control group: the memory hierarchy is of version 1, which cannot be delegated to a user; run as root, or leave its limits out`},
	} {
		t.Run(name, func(t *testing.T) {
			want := strings.ReplaceAll(strings.TrimSpace(c.want), "\t", "")
			if diff := cmp.Diff(want, strings.Join(steps(t, c.h, c.root, c.o), "\n")); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPlanRefuses: what a group cannot be called, and what is not there.
func TestPlanRefuses(t *testing.T) {
	h, _ := fakeV2(t, "/")
	for want, o := range map[string]Options{
		`ID "" is no name`:                      {},
		`ID "a/b" has a character`:              {ID: "a/b"},
		`longer than 128`:                       {ID: strings.Repeat("x", 129)},
		`is systemd's form, slice:prefix:name`:  {ID: "x", Path: "machine.slice:oci:abc"},
		`cgroupsPath "/a/../b" is not the path`: {ID: "x", Path: "/a/../b"},
		`cgroupsPath "/" is not the path`:       {ID: "x", Path: "/"},
		`cgroupsPath "/a\tb" is not the path`:   {ID: "x", Path: "/a\tb"},
		`unified["nonsense"]`:                   {ID: "x", Resources: unified("nonsense", "1")},
		`unified["a/../b.c"]`:                   {ID: "x", Resources: unified("a/../b.c", "1")},
		`unified["cgroup.procs"]`:               {ID: "x", Resources: unified("cgroup.procs", "1")},
		`unified["misc.max"]`:                   {ID: "x", Resources: unified("misc.max", "1")},
		`the parent "/elsewhere" is not below`:  {ID: "x", Always: true, Parent: "/elsewhere"},
	} {
		if _, err := h.Plan(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Plan = %v, want %q", err, want)
		}
	}
	bare, err := DetectAt([]byte("40 31 0:29 / /none rw - cgroup cgroup rw,cpu\n"), []byte("1:cpu:/\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = bare.Plan(Options{ID: "x", Resources: &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(1 << 20))}}})
	if want := "limit resources: memory.limit: the memory controller is not available (there are cpu); mount it, or leave the limit out"; err == nil || err.Error() != want {
		t.Errorf("Plan = %v, want %q", err, want)
	}
}

func unified(key, value string) *specs.LinuxResources {
	return &specs.LinuxResources{Unified: map[string]string{key: value}}
}

// TestDefaultName: it has the owner's pid and start time, so Sweep knows it.
func TestDefaultName(t *testing.T) {
	h, _ := fakeHybrid(t)
	p, err := h.Plan(Options{ID: "a-b", Always: true})
	if err != nil {
		t.Fatal(err)
	}
	me, err := self()
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("isoperf-%d-%d-%d-a-b", me.namespace, me.pid, me.start); p.name != want || !strings.HasSuffix(p.parts[0].dir, "/"+want) {
		t.Errorf("the name is %q, want %q", p.name, want)
	}
	if me.gone() {
		t.Error("this process is gone")
	}
}
