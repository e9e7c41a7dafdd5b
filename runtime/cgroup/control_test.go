package cgroup

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// eachVersion runs a test with the host's version 1 or version 2 alone, so that
// both ways are tested on a machine that has both.
func eachVersion(t *testing.T, f func(t *testing.T, h *Host)) {
	h := realHost(t)
	if h.v2 != nil {
		t.Run("v2", func(t *testing.T) { f(t, &Host{v2: h.v2}) })
	}
	if len(h.v1) > 0 {
		t.Run("v1", func(t *testing.T) {
			require(t, (&Host{v1: h.v1}).find(&freezer) != nil, "there is no version 1 freezer")
			f(t, &Host{v1: h.v1})
		})
	}
}

// ticks is the CPU time that a process has used.
func ticks(t *testing.T, pid int) uint64 {
	t.Helper()
	text := read(t, "/proc/"+strconv.Itoa(pid)+"/stat")
	word := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	user, err := strconv.ParseUint(word[11], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return user
}

// TestFreeze: a frozen process uses no CPU time, and goes on when thawed.
func TestFreeze(t *testing.T) {
	eachVersion(t, func(t *testing.T, h *Host) {
		g := create(t, h, Options{Always: true})
		proc := born(t, g, "/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done; while :; do :; done")
		moves := func() bool {
			before := ticks(t, proc.Pid())
			for range 30 {
				time.Sleep(10 * time.Millisecond)
				if ticks(t, proc.Pid()) != before {
					return true
				}
			}
			return false
		}
		if !eventually(moves) {
			t.Fatal("it does not run")
		}
		if err := g.Freeze(); err != nil {
			t.Fatal(err)
		}
		if s, err := g.Stats(); err != nil || !s.Frozen {
			t.Errorf("Stats = %+v, %v", s, err)
		}
		if moves() {
			t.Error("it runs while it is frozen")
		}
		if err := g.Thaw(); err != nil {
			t.Fatal(err)
		}
		if !eventually(moves) {
			t.Error("it does not run on")
		}
	})
}

// TestKill: what is in the group and below it dies, also when it is frozen or
// forks, and then the group can be removed.
func TestKill(t *testing.T) {
	eachVersion(t, func(t *testing.T, h *Host) {
		for _, frozen := range []bool{false, true} {
			g := create(t, h, Options{Always: true})
			proc := born(t, g, "/bin/sh", "-c", "while :; do /bin/sleep 100 & /bin/true; done")
			child, err := g.Child("below", nil)
			if err != nil {
				t.Fatal(err)
			}
			cmd := sleeper(t)
			if err := child.Attach(cmd.Process.Pid); err != nil {
				t.Fatal(err)
			}
			child.Close()
			if !eventually(func() bool { list, _ := g.Processes(); return len(list) > 5 }) {
				t.Fatal("it does not fork")
			}
			if frozen {
				if err := g.Freeze(); err != nil {
					t.Fatal(err)
				}
			}
			if err := g.Kill(); err != nil {
				t.Fatal(err)
			}
			if status, err := proc.Wait(); err != nil || status.Signal != syscall.SIGKILL {
				t.Errorf("it ended with %v, %v", status, err)
			}
			var exit interface{ Sys() any }
			if err := cmd.Wait(); err == nil {
				t.Error("the process below ended well")
			} else if exit = cmd.ProcessState; exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Errorf("the process below ended with %v", err)
			}
			if err := g.Remove(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestKillWithoutFreezer: signals alone end a group that forks.
func TestKillWithoutFreezer(t *testing.T) {
	h := realHost(t)
	if requireController(t, h, &pids).v2 {
		return // it always has cgroup.kill: TestKill
	}
	g := create(t, h, Options{Resources: &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(50))}}})
	requireFile(t, "/usr/bin/perl")
	proc := born(t, g, "/usr/bin/perl", "-e", "$SIG{CHLD} = 'IGNORE'; while (1) { fork }")
	if !eventually(func() bool { list, _ := g.Processes(); return len(list) > 40 }) {
		t.Fatal("it does not fork")
	}
	if err := g.Freeze(); err == nil || !strings.Contains(err.Error(), "Always") {
		t.Errorf("Freeze = %v", err)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	if status, err := proc.Wait(); err != nil || status.Signal != syscall.SIGKILL {
		t.Errorf("it ended with %v, %v", status, err)
	}
	if !eventually(func() bool { list, _ := g.Processes(); return len(list) == 0 }) {
		t.Error("some forked away")
	}
}

// TestRemoveWaits: the last process goes while Remove waits for it.
func TestRemoveWaits(t *testing.T) {
	h := realHost(t)
	p, err := h.Plan(Options{ID: "waits", Resources: everything(), Always: true})
	if err != nil {
		t.Fatal(err)
	}
	g, err := p.Create()
	if err != nil {
		t.Fatal(err)
	}
	dirs := g.parts
	proc := born(t, g, "/bin/sleep", "0.05")
	if err := g.Remove(); err != nil {
		t.Fatal(err)
	}
	if status, err := proc.Wait(); err != nil || status.Code != 0 {
		t.Errorf("%v, %v", status, err)
	}
	for _, d := range dirs {
		if exists(d.dir) {
			t.Errorf("%s is there", d.dir)
		}
	}
}

// TestExplicitPath: the directories above are made, and go with the group unless
// somebody uses them; an existing group is used when it is empty.
func TestExplicitPath(t *testing.T) {
	h := realHost(t)
	requireController(t, h, &pids)
	top := testPath("path")
	o := Options{ID: "x", Path: top + "/a/b", Resources: &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(8))}}}
	g := create(t, h, o)
	dir := g.Dir("pids")
	if !strings.HasSuffix(dir, top+"/a/b") {
		t.Errorf("it is in %q", dir)
	}
	cmd := sleeper(t)
	if err := g.Attach(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	p, err := h.Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.Create(); !errors.Is(err, unix.EBUSY) || again != nil || !strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) {
		t.Errorf("a group with a process was taken: %v", err)
	}
	if !exists(dir) {
		t.Fatal("the refused second group removed the first")
	}
	side := strings.TrimSuffix(dir, "/a/b") + "/other"
	if err := os.Mkdir(side, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := g.Remove(); err != nil {
		t.Fatal(err)
	}
	if exists(strings.TrimSuffix(dir, "/b")) || !exists(side) {
		t.Error("the directories above: what nobody uses is to go, and what somebody uses to stay")
	}
	if err := os.Remove(side); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(strings.TrimSuffix(side, "/other"))
	relative := create(t, h, Options{ID: "x", Path: strings.TrimPrefix(testPath("rel"), "/"), Resources: o.Resources})
	if place, _ := h.find(&pids).place(); relative.Dir("pids") != place+testPath("rel") {
		t.Errorf("a relative path is in %q", relative.Dir("pids"))
	}
}

// TestSameName: a group is one container's.
func TestSameName(t *testing.T) {
	h := realHost(t)
	o := Options{ID: "twin", Always: true}
	g := create(t, h, o)
	p, err := h.Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	if twin, err := p.Create(); !errors.Is(err, unix.EEXIST) || twin != nil || !strings.Contains(err.Error(), "another container has this name") {
		t.Errorf("Create = %v", err)
	}
	if !exists(g.parts[0].dir) {
		t.Error("the refused second group removed the first")
	}
}

// TestOpen: a later process kills and removes what an earlier one created.
func TestOpen(t *testing.T) {
	h := realHost(t)
	g := create(t, h, Options{Resources: everything(), Always: true, Detached: true})
	proc := born(t, g, "/bin/sleep", "1000")
	again, err := Open(h, g.State())
	if err != nil {
		t.Fatal(err)
	}
	l := program.NewLauncher()
	defer l.Close()
	second := bornFrom(t, l, again, "/bin/sleep", "1000")
	if list, err := again.Processes(); err != nil || len(list) != 2 {
		t.Errorf("Processes = %v, %v", list, err)
	}
	if err := again.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*program.Process{proc, second} {
		if status, err := p.Wait(); err != nil || status.Signal != syscall.SIGKILL {
			t.Errorf("%v, %v", status, err)
		}
	}
	state := again.State()
	if err := again.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(h, state); err == nil || !strings.Contains(err.Error(), "removed") {
		t.Errorf("Open of a removed group = %v", err)
	}
}

// TestEmpty: no limits, no group, no cost; the calls still work.
func TestEmpty(t *testing.T) {
	h, err := Detect()
	require(t, err == nil, "no control groups")
	p, err := h.Plan(Options{ID: "none", Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{}, Memory: &specs.LinuxMemory{}}})
	if err != nil || !p.Empty() || len(p.Steps()) != 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	g, err := p.Create()
	if err != nil {
		t.Fatal(err)
	}
	ran := false
	if err := g.Within(func() error { ran = true; return nil }); err != nil || !ran || g.FD() != 0 {
		t.Errorf("%v %v %d", err, ran, g.FD())
	}
	if err := errors.Join(g.Kill(), g.Attach(1), g.Remove()); err != nil {
		t.Error(err)
	}
}
