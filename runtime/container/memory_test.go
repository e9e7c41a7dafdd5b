package container

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// tiny is a static program for this architecture that exits with 42, and needs
// no more memory than that: an ELF header, one segment, and
//
//	mov $60, %eax; mov $42, %edi; syscall
func tiny() []byte {
	code := []byte{0xb8, 60, 0, 0, 0, 0xbf, 42, 0, 0, 0, 0x0f, 0x05}
	head := []byte{
		0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		2, 0, 62, 0, 1, 0, 0, 0, 0x78, 0, 0x40, 0, 0, 0, 0, 0,
		64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0,
		1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0,
		0x84, 0, 0, 0, 0, 0, 0, 0, 0x84, 0, 0, 0, 0, 0, 0, 0,
		0, 0x10, 0, 0, 0, 0, 0, 0,
	}
	return append(head, code...)
}

// TestSmallestMemory: a container starts under a limit of 512 KiB that was in
// force before its command was executed. That is close to what the kernel needs:
// on a busy machine one in fifty meets charges that another processor has in
// stock, and is refused or killed.
func TestSmallestMemory(t *testing.T) {
	asRoot(t)
	require(t, runtime.GOARCH == "amd64", "the tiny program is for amd64")
	for _, k := range kinds(t) {
		failed, rounds := 0, 50
		var last error
		for range rounds {
			b := newBox(t, k)
			must(t, os.WriteFile(b.root+"/tiny", tiny(), 0o755))
			b.Process.Args = []string{"/tiny"}
			b.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: number(int64(512 << 10))}}
			c, err := b.tryStart()
			if err == nil {
				if r := c.wait(); r.err != nil || r.status.Code != 42 {
					err = errors.New(r.String())
				}
			}
			if err != nil {
				failed, last = failed+1, err
			}
		}
		t.Logf("%s: %d of %d did not start", k.name, failed, rounds)
		if failed > rounds/10 {
			t.Errorf("%s: %d of %d did not start, the last one: %v", k.name, failed, rounds, last)
		}
	}
}

// TestMemoryLimitHolds: the limit is the command's from its first instruction:
// what needs more is killed.
func TestMemoryLimitHolds(t *testing.T) {
	asRoot(t)
	b := newBox(t, plain(t)).withShell()
	b.Process.Args = []string{"sh", "-c", "x=0123456789; while true; do x=$x$x; done"}
	b.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: number(int64(4 << 20)), Swap: number(int64(4 << 20))}}
	if r := b.start().wait(); r.err != nil || r.status.ExitCode() != 137 {
		t.Errorf("%v", r)
	}
}

// TestGroups: the container is born in its own group of every hierarchy that
// its limits need, sees it as the root, and it is gone afterwards.
func TestGroups(t *testing.T) {
	asRoot(t)
	for _, k := range kinds(t) {
		b := newBox(t, k)
		b.Linux.Resources = &specs.LinuxResources{
			Memory: &specs.LinuxMemory{Limit: number(int64(64 << 20))}, Pids: &specs.LinuxPids{Limit: number(int64(40))},
			CPU: &specs.LinuxCPU{Quota: number(int64(20000)), Period: number(uint64(100000))},
		}
		b.Mounts = append(b.Mounts, specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}})
		c := b.start()
		if len(groups(b.ID)) == 0 {
			t.Error("there is no group of that name")
		}
		for line := range strings.Lines(c.ask("read", "/proc/self/cgroup")) {
			controllers := strings.Split(line, ":")[1]
			path := strings.TrimSpace(strings.Split(line, ":")[2])
			if strings.Contains("memory pids cpu cpu,cpuacct", controllers) && path != "/" {
				t.Errorf("inside it is in %q", line)
			}
		}
		for _, file := range []string{"memory/memory.limit_in_bytes 67108864", "memory.max 67108864", "pids/pids.max 40", "pids.max 40", "cpu/cpu.cfs_quota_us 20000", "cpu.max 20000 100000"} {
			name, want, _ := strings.Cut(file, " ")
			if a := c.try("read", "/sys/fs/cgroup/"+name); a.Err == "" && strings.TrimSpace(a.Out) != want {
				t.Errorf("%s is %q, want %q", name, a.Out, want)
			}
		}
		c.end()
		if left := groups(b.ID); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}
