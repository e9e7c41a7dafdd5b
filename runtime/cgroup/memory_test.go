package cgroup

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// helpFill touches memory, MiB by MiB.
func helpFill(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for i := range n {
		block, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return err
		}
		for j := 0; j < len(block); j += 4096 {
			block[j] = byte(i)
		}
	}
	return nil
}

// TestMemory: below the limit a process ends well, above it is killed.
func TestMemory(t *testing.T) {
	h := realHost(t)
	tree := requireController(t, h, &memory)
	limit := int64(48 << 20)
	file := "memory.limit_in_bytes"
	if tree.v2 {
		file = "memory.max"
	}
	for _, c := range []struct {
		mib    int
		killed bool
	}{{4, false}, {256, true}} {
		g := create(t, h, Options{Resources: &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit}}})
		proc := bornHelper(t, g, "fill", strconv.Itoa(c.mib))
		if got := read(t, g.Dir("memory")+"/"+file); got != strconv.FormatInt(limit, 10) {
			t.Errorf("%s is %q", file, got)
		}
		status, err := proc.Wait()
		if killed := status.Signal == syscall.SIGKILL; err != nil || killed != c.killed {
			t.Errorf("%d MiB: the process ended with %v, %v", c.mib, status, err)
		}
		s, err := g.Stats()
		if err != nil || (s.Memory.OOMKills > 0) != c.killed || s.Memory.Limit != limit || s.Memory.Peak == 0 || s.Memory.Peak > limit+1<<20 {
			t.Errorf("%d MiB: Stats = %+v, %v", c.mib, s.Memory, err)
		}
	}
	g := create(t, h, Options{Resources: &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}})
	_, _ = bornHelper(t, g, "fill", "100").Wait() // killed, or swapped out
	if s, err := g.Stats(); err != nil || s.Memory.AtLimit == 0 {
		t.Errorf("it was never at the limit: %+v, %v", s.Memory, err)
	}
}

// TestMemoryUpdate: memory, and memory and swap, up and down in one call; which
// has to be written first depends on the direction.
func TestMemoryUpdate(t *testing.T) {
	h := realHost(t)
	requireController(t, h, &memory)
	set := func(mib int64) *specs.LinuxResources {
		return &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(mib << 20), Swap: ptr(mib << 20)}}
	}
	g := create(t, h, Options{Resources: set(32)})
	if err := g.Update(set(48)); err != nil { // before the child, as if it had been asked for
		t.Fatal(err)
	}
	born(t, g, "/bin/sleep", "1000")
	if s, err := g.Stats(); err != nil || s.Memory.Limit != 48<<20 {
		t.Errorf("the limit is %+v, %v", s.Memory, err)
	}
	for _, mib := range []int64{64, 16, 128} {
		if err := g.Update(set(mib)); err != nil {
			t.Fatal(err)
		}
		if s, err := g.Stats(); err != nil || s.Memory.Limit != mib<<20 {
			t.Errorf("the limit is %+v, %v; want %d MiB", s.Memory, err, mib)
		}
	}
	err := g.Update(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(4096)), CheckBeforeUpdate: ptr(true)}})
	if err == nil || !strings.Contains(err.Error(), "memory.limit") || !strings.Contains(err.Error(), "in use") {
		t.Errorf("an update below usage: %v", err)
	}
	err = g.Update(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(4))}})
	if !h.find(&pids).v2 && (err == nil || !strings.Contains(err.Error(), "not in the pids hierarchy")) {
		t.Errorf("an update of a hierarchy that it is not in: %v", err)
	}
}

// TestMemoryTiny: 512 KiB are in force before the command's execve and enough to
// start it; with 64 KiB the child dies or the limit is refused, and the launcher,
// whose memory the child shared at first, lives.
func TestMemoryTiny(t *testing.T) {
	h := realHost(t)
	requireController(t, h, &memory)
	limited := func(kib int64) *Group {
		return create(t, h, Options{Resources: &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(kib << 10), Swap: ptr(kib << 10)}}, Always: true})
	}
	g := limited(512)
	if status, err := born(t, g, "/bin/true").Wait(); err != nil || status.Code != 0 || status.Signal != 0 {
		s, _ := g.Stats()
		t.Errorf("with 512 KiB it ended with %v, %v: %+v", status, err, s.Memory)
	}
	g = limited(64)
	l := program.NewLauncher()
	defer l.Close()
	p := program.New(program.Stub, 0)
	p.Cgroup = g.FD()
	p.DieWithParent()
	inside := p.Tell("in the stub")
	gate := p.Wait("limits")
	p.Exec("/bin/true", []string{"true"}, nil)
	var proc *program.Process
	g.Ready = func() error { return proc.Await(inside) }
	var err error
	l.Do(func() {
		err = g.Within(func() (err error) {
			proc, err = program.Start(p)
			return err
		})
	})
	defer proc.Release()
	if err != nil {
		if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "give a higher limit") {
			t.Errorf("Within = %v", err)
		}
		_ = proc.Signal(syscall.SIGKILL)
	}
	proc.Open(gate)
	if status, err := proc.Wait(); err == nil && status.Signal != syscall.SIGKILL {
		t.Errorf("with 64 KiB it ended with %v", status)
	}
}
