package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// TestCPU: a loop that wants a whole CPU is throttled.
func TestCPU(t *testing.T) {
	h := realHost(t)
	tree := requireController(t, h, &cpu)
	g := create(t, h, Options{Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(20000)), Period: ptr(uint64(100000)), Shares: ptr(uint64(512))}}})
	dir := g.Dir("cpu")
	if tree.v2 {
		if got := read(t, dir+"/cpu.max"); got != "20000 100000" {
			t.Errorf("cpu.max is %q", got)
		}
	} else {
		for file, want := range map[string]string{"cpu.cfs_quota_us": "20000", "cpu.cfs_period_us": "100000", "cpu.shares": "512"} {
			if got := read(t, dir+"/"+file); got != want {
				t.Errorf("%s is %q, want %q", file, got, want)
			}
		}
	}
	before, err := g.Stats()
	if err != nil || before.CPU == nil || before.CPU.Throttled != 0 {
		t.Fatalf("Stats = %+v, %v", before.CPU, err)
	}
	born(t, g, "/bin/sh", "-c", "while :; do :; done")
	if !eventually(func() bool { s, err := g.Stats(); return err == nil && s.CPU.Throttled >= 3 }) {
		s, err := g.Stats()
		t.Fatalf("it was not throttled: %+v, %v", s.CPU, err)
	}
	s, _ := g.Stats()
	if s.CPU.Periods < s.CPU.Throttled || s.CPU.ThrottledNS == 0 {
		t.Errorf("Stats = %+v", s.CPU)
	}
	// An update takes the limit away.
	if err := g.Update(&specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(-1))}}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond)
	free, _ := g.Stats()
	time.Sleep(300 * time.Millisecond)
	if later, _ := g.Stats(); later.CPU.Throttled != free.CPU.Throttled {
		t.Errorf("it is throttled without a limit: %+v, then %+v", free.CPU, later.CPU)
	}
}

// TestPids: fork fails exactly at the limit, with EAGAIN. In version 1 the
// launching thread counts; in version 2 it stays outside, so its limit can be
// there from the beginning.
func TestPids(t *testing.T) {
	h := realHost(t)
	tree := requireController(t, h, &pids)
	early, room := "max", 2
	if tree.v2 {
		early, room = "3", 3
	}
	g := create(t, h, Options{Resources: &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(3))}}})
	if got := read(t, g.Dir("pids")+"/pids.max"); got != early {
		t.Errorf("pids.max is %q before the launcher has left", got)
	}
	var procs []*program.Process
	var failed error
	l := program.NewLauncher()
	defer l.Close()
	l.Do(func() {
		if err := g.Within(func() error { return nil }); err != nil {
			t.Error(err)
			return
		}
		if got := read(t, g.Dir("pids")+"/pids.max"); got != "3" {
			t.Errorf("pids.max is %q", got)
		}
		err := g.Within(func() error { // now with the limit in force, so the thread counts
			for failed == nil {
				p := program.New(program.Stub, 0)
				p.Cgroup = g.FD()
				p.Add(program.Pause())
				var proc *program.Process
				if proc, failed = program.Start(p); failed == nil {
					procs = append(procs, proc)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	defer func() {
		for _, proc := range procs {
			_ = proc.Signal(syscall.SIGKILL)
			_, _ = proc.Wait()
			proc.Release()
		}
	}()
	if len(procs) != room || !errors.Is(failed, unix.EAGAIN) {
		t.Errorf("%d children, then %v; want %d and EAGAIN", len(procs), failed, room)
	}
	s, err := g.Stats()
	if err != nil || s.Pids.Current != int64(room) || s.Pids.Limit != 3 || s.Pids.Refused == 0 {
		t.Errorf("Stats = %+v, %v", s.Pids, err)
	}
}

// helpAffinity writes its processors to a file.
func helpAffinity(args []string) error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	var cpus []string
	for i := range 1024 {
		if set.IsSet(i) {
			cpus = append(cpus, strconv.Itoa(i))
		}
	}
	return os.WriteFile(args[0], []byte(strings.Join(cpus, ",")), 0o600)
}

// TestCPUSet: the child sees its processor only, the launching thread all of its
// own again.
func TestCPUSet(t *testing.T) {
	h := realHost(t)
	requireController(t, h, &cpuset)
	require(t, runtime.NumCPU() > 1, "it takes two processors")
	g := create(t, h, Options{Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "1"}}})
	if got := read(t, g.Dir("cpuset")+"/cpuset.cpus"); got != "1" {
		t.Errorf("cpuset.cpus is %q", got)
	}
	out := filepath.Join(t.TempDir(), "cpus")
	l := program.NewLauncher()
	defer l.Close()
	affinity := func() (set unix.CPUSet) {
		l.Do(func() {
			if err := unix.SchedGetaffinity(0, &set); err != nil {
				t.Error(err)
			}
		})
		return set
	}
	l.Do(func() { // an affinity of its own, outside of the group's processors
		var first unix.CPUSet
		first.Set(0)
		if err := unix.SchedSetaffinity(0, &first); err != nil {
			t.Error(err)
		}
	})
	before := affinity()
	t.Setenv(helperEnv, "affinity")
	self, _ := os.Executable()
	if status, err := bornFrom(t, l, g, self, out).Wait(); err != nil || status.Code != 0 {
		t.Fatal(status, err)
	}
	if got := read(t, out); got != "1" {
		t.Errorf("the child may run on %s", got)
	}
	if after := affinity(); after != before {
		t.Errorf("the launching thread may run on %v, before on %v", after, before)
	}
}

// TestCPUSetDeep: groups of version 1 between the top and a deep path need
// processors too.
func TestCPUSetDeep(t *testing.T) {
	h := realHost(t)
	requireController(t, h, &cpuset)
	g := create(t, h, Options{Path: testPath("deep") + "/a/b", Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}}})
	if status, err := born(t, g, "/bin/true").Wait(); err != nil || status.Code != 0 {
		t.Errorf("%v, %v", status, err)
	}
}

// TestIO: the limit of the disk under the current directory reads back, and a
// write is counted.
func TestIO(t *testing.T) {
	h := realHost(t)
	tree := requireController(t, h, &blockIO)
	device := wholeDisk()
	require(t, device != "", "there is no disk in /sys/block that could be limited")
	limit, err := ParseIOMax(device + " rbps=1M wiops=120")
	if err != nil {
		t.Fatal(err)
	}
	g := create(t, h, Options{Resources: &specs.LinuxResources{Unified: map[string]string{"io.max": limit.String()}}})
	if tree.v2 {
		if got := read(t, g.Dir("io")+"/io.max"); !strings.Contains(got, "rbps=1048576") || !strings.Contains(got, "wiops=120") {
			t.Errorf("io.max is %q", got)
		}
		return
	}
	for file, want := range map[string]string{"read_bps": device + " 1048576", "write_iops": device + " 120", "write_bps": ""} {
		if got := read(t, g.Dir("blkio")+"/blkio.throttle."+file+"_device"); got != want {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
	file := filepath.Join(t.TempDir(), "data")
	status, err := born(t, g, "/bin/dd", "if=/dev/zero", "of="+file, "bs=64k", "count=4", "oflag=direct", "status=none").Wait()
	if err != nil || status.Code != 0 {
		t.Skipf("no direct writes here: %v, %v", status, err)
	}
	s, err := g.Stats()
	if err != nil || len(s.IO) == 0 || s.IO[0].WriteBytes < 256<<10 || s.IO[0].Writes == 0 {
		t.Errorf("Stats = %+v, %v", s.IO, err)
	}
}

func wholeDisk() string {
	list, _ := filepath.Glob("/sys/block/*/device/../dev")
	for _, pattern := range []string{"/sys/block/vd*/dev", "/sys/block/sd*/dev", "/sys/block/nvme*/dev"} {
		more, _ := filepath.Glob(pattern)
		list = append(list, more...)
	}
	for _, file := range list {
		if text, err := os.ReadFile(file); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	return ""
}

// TestDevices: what is not allowed is EPERM inside, and the usual devices work.
func TestDevices(t *testing.T) {
	h := realHost(t)
	requireController(t, h, &devices)
	g := create(t, h, Options{Resources: &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}})
	node := filepath.Join(t.TempDir(), "kmsg")
	for script, want := range map[string]int{
		"echo > /dev/null && head -c1 /dev/zero > /dev/null":             0,
		"exec 2> /dev/null; exec 3< /dev/kmsg":                           2,
		"exec 2> /dev/null; mknod " + node + " c 1 11 && exec 3<" + node: 2,
	} {
		status, err := born(t, g, "/bin/sh", "-c", script).Wait()
		if err != nil || status.Code != want {
			t.Errorf("%s: %v, %v; want exit status %d", script, status, err, want)
		}
	}
	if d := g.Dir("devices"); d != "" && !h.find(&devices).v2 {
		if got := read(t, d+"/devices.list"); strings.Contains(got, "a *:* rwm") || !strings.Contains(got, "c 136:* rw") {
			t.Errorf("devices.list is %q", got)
		}
	}
	// The last rule wins, also when the group is there already.
	r := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(11)), Access: "rw"}}}
	if err := g.Update(r); err != nil {
		t.Fatal(err)
	}
	if status, err := born(t, g, "/bin/sh", "-c", "exec 3< /dev/kmsg").Wait(); err != nil || status.Code != 0 {
		t.Errorf("an allowed device: %v, %v", status, err)
	}
}

// TestBadLimits: each is an error that says what was written and where, and
// nothing is left.
func TestBadLimits(t *testing.T) {
	h := realHost(t)
	restoreControllers(t, h)
	for name, c := range map[string]struct {
		r    specs.LinuxResources
		want []string
	}{
		"quota":  {specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(10))}}, []string{"cpu.quota", "1000"}},
		"cpuset": {specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "4000"}}, []string{`write "4000" to cpuset.cpus for cpu.cpus`}},
		"io":     {specs.LinuxResources{Unified: map[string]string{"io.max": "4000:1 rbps=1"}}, []string{"4000:1", "no such device", "whole disk"}},
		"file":   {specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "3KB", Limit: 1}}}, []string{"hugepageLimits", "no such setting"}},
		"late":   {specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(0))}}, []string{"pids.limit"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := h.Plan(Options{ID: "bad", Resources: &c.r})
			if err == nil {
				var g *Group
				if g, err = p.Create(); err == nil {
					_ = g.Remove()
					t.Fatal("it was accepted")
				}
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error %q does not say %q", err, want)
				}
			}
			if left := leftBehind(); len(left) > 0 {
				t.Errorf("%v are left", left)
			}
		})
	}
}

// TestUnprivileged: who may not says so, with what to do.
func TestUnprivileged(t *testing.T) {
	h, err := Detect()
	require(t, err == nil, fmt.Sprint(err))
	p, err := h.Plan(Options{ID: "user", Always: true})
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		runtime.LockOSThread() // never unlocked: the thread ends with the test
		if err := unix.Setfsuid(54321); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Setfsuid(0) }()
	}
	g, err := p.Create()
	if err == nil {
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
		require(t, os.Geteuid() == 0, "this user may make groups")
		t.Fatal("another user made a group")
	}
	for _, want := range []string{"mkdir", "permission denied", "run as root", "delegated"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not say %q", err, want)
		}
	}
}
