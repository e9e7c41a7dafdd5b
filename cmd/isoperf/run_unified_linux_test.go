package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// unified runs a test on the machine of scripts/vm, which has control groups of
// version 2 and systemd: as root, or as the user with a session who this is.
// What version 1 has of it, the tests of the notes show everywhere.
func unified(t *testing.T, f func(t *testing.T, s *stage)) {
	t.Helper()
	switch {
	case os.Getenv("ISOPERF_VM") != "1":
		t.Log("this is not the machine of scripts/vm")
	case os.Geteuid() == 0:
		rootOnly(t, f)
	default:
		lonely(t, f)
	}
}

// disk is a whole disk of the machine.
func disk(t *testing.T) string {
	t.Helper()
	list, err := filepath.Glob("/sys/block/vd*")
	if err != nil || len(list) == 0 {
		t.Fatalf("there is no disk: %v", err)
	}
	return "/dev/" + filepath.Base(list[0])
}

// scopeOf checks that a container's group is in a scope of its own.
func scopeOf(t *testing.T, g hostGroup) string {
	t.Helper()
	scope := filepath.Dir(g.dir)
	if name := filepath.Base(scope); !strings.HasPrefix(name, "isoperf-iso-") || !strings.HasSuffix(name, ".scope") {
		t.Errorf("the group is %q, not in a scope", g.dir)
	}
	return scope
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// Every limit of isoperf run reads back from both sides. The container's group
// is the root of what it sees, and goes with it, as its scope does.
func TestUnifiedLimits(t *testing.T) {
	unified(t, func(t *testing.T, s *stage) {
		s.zoo(t)
		device := disk(t)
		number := strings.TrimSpace(hostGroup{dir: "/sys/block/" + filepath.Base(device)}.read(t, "dev"))
		b := s.shell(t, "run", "-c", "20%", "-m", "64M", "-p", "32", "--cpuset", "0", "--cpu-weight", "50",
			"--io-max", device+":rbps=1M,wiops=100", "-r", "./zoo-fs", "/bin/bash")
		g := groupOf(t, b.pid)
		for file, want := range map[string]string{
			"cpu.max": "20000 100000", "cpu.weight": "50", "cpuset.cpus": "0", "cpuset.cpus.effective": "0", "memory.max": "67108864", "pids.max": "32",
			"io.max": number + " rbps=1048576 wbps=max riops=max wiops=100",
		} {
			if got := g.read(t, file); got != want {
				t.Errorf("outside %s is %q, want %q", file, got, want)
			}
			b.want(want, "cat /sys/fs/cgroup/"+file)
		}
		if list := g.read(t, "cgroup.procs"); list != fmt.Sprint(b.pid) {
			t.Errorf("in the group are %q, want %d", list, b.pid)
		}
		b.want("0::/", "cat /proc/self/cgroup")
		b.want("1", "cat /sys/fs/cgroup/cgroup.procs | { read first; echo $first; }")
		b.want("no", "test -e /sys/fs/cgroup/system.slice -o -e /sys/fs/cgroup/user.slice && echo yes || echo no")
		b.want("denied", "(echo max > /sys/fs/cgroup/memory.max) 2> /dev/null && echo changed || echo denied")
		scope := scopeOf(t, g)
		plan := s.want(t, 0, "launcher: ask systemd for isoperf-iso-", "run", "-c", "20%", "--plan", "true")
		if strings.Contains(plan, "cgroup.procs") {
			t.Errorf("the command is moved into its group, not born there:\n%s", plan)
		}
		if code := b.end("exit 3"); code != 3 {
			t.Errorf("it exits with %d", code)
		}
		if !gone(g.dir) {
			t.Errorf("%s is left", g.dir)
		}
		if !eventually(func() bool { return gone(scope) }) {
			t.Errorf("%s is left", scope)
		}
	})
}

// The limit of memory kills inside, and is not isoperf's.
func TestUnifiedMemory(t *testing.T) {
	unified(t, func(t *testing.T, s *stage) {
		s.want(t, 128+9, "", "run", "-m", "16M", "/bin/sh", "-c", "tail /dev/zero")
	})
}

// systemd's reload leaves the limits; kill -9 of isoperf leaves no process, and
// no group once the next one was started or sweeps.
func TestUnifiedKilled(t *testing.T) {
	unified(t, func(t *testing.T, s *stage) {
		for _, next := range [][]string{{"doctor", "--sweep"}, {"run", "-p", "9", "true"}} {
			b := s.shell(t, "run", "-c", "20", "-m", "64M", "/bin/bash")
			g := groupOf(t, b.pid)
			reload := []string{"daemon-reload"}
			if os.Geteuid() != 0 {
				reload = []string{"--user", "daemon-reload"}
			}
			output(t, "systemctl", reload...)
			g.limited(t)
			scope := scopeOf(t, g)
			b.signal(syscall.SIGKILL)
			b.wait()
			if !eventually(func() bool { return statusLine(b.pid, "State") == "" }) {
				t.Error("the container lives on")
			}
			s.want(t, 0, "", next...)
			if !eventually(func() bool { return gone(g.dir) && gone(scope) }) {
				t.Errorf("%s is left", g.dir)
			}
			if left, _ := filepath.Glob(recordDir() + "/" + filepath.Base(g.dir)); len(left) > 0 {
				t.Errorf("records are left: %q", left)
			}
		}
	})
}

// Without a session the user is told to get one.
func TestUnifiedNoSession(t *testing.T) {
	unified(t, func(t *testing.T, s *stage) {
		if os.Geteuid() == 0 {
			return // who needs none
		}
		t.Setenv("XDG_RUNTIME_DIR", s.dir+"/home")
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
		for _, want := range []string{"no user session bus at", "log in through systemd-logind", "run as root"} {
			s.want(t, exitOwn, want, "run", "-c", "20", "true")
		}
	})
}
