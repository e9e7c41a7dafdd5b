package main

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// hostMounts are this process's mounts in a directory.
func hostMounts(t *testing.T, dir string) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && (f[4] == dir || strings.HasPrefix(f[4], dir+"/")) {
			n++
		}
	}
	return n
}

// A container without a mount namespace has its mounts on the host, until it is
// deleted, and what was mounted there before stays.
func TestHostMounts(t *testing.T) {
	l := newLives(t)
	if os.Geteuid() != 0 {
		t.Log("an ordinary user cannot mount on the host")
		return
	}
	l.write(`{"type": "pid"}`, "while :; do /busybox sleep 0.01; done")
	root := l.dir + "/rootfs"
	for _, before := range []int{0, 1} {
		if before == 1 {
			if err := syscall.Mount(root, root, "", syscall.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := syscall.Unmount(root, 0); err != nil {
					t.Error(err)
				}
			}()
		}
		l.create()
		if n := hostMounts(t, l.dir); n <= before {
			t.Errorf("there are %d mounts while it lives, want more than %d", n, before)
		}
		l.must("start", "life")
		l.fails("give it a mount namespace", "exec", "life", "/busybox", "true")
		l.must("kill", "life", "KILL")
		l.stops()
		l.must("delete", "life")
		if n := hostMounts(t, l.dir); n != before {
			t.Errorf("there are %d mounts afterwards, want %d", n, before)
		}
	}
	// One that cannot be created leaves none either.
	l.write(`{"type": "pid"}`, "true")
	config, err := os.ReadFile(l.dir + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.dir+"/config.json", []byte(strings.Replace(string(config), "/busybox", "/nothing", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	l.fails("/nothing", "create", "life")
	if n := hostMounts(t, l.dir); n != 1 {
		t.Errorf("there are %d mounts after one that could not be created, want 1", n)
	}
}

// What a killed run leaves on the host, the next one removes.
func TestHostMountsKilled(t *testing.T) {
	l := newLives(t)
	if os.Geteuid() != 0 {
		t.Log("an ordinary user cannot mount on the host")
		return
	}
	l.write(`{"type": "pid"}`, "echo up; while :; do /busybox sleep 0.01; done")
	cmd := exec.Command(l.isorun, "run", "-b", l.dir, "killed")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "up\n" {
		t.Errorf("it prints %q, %v", line, err)
	}
	// One that lives keeps its own.
	other := newLives(t)
	other.write(`{"type": "pid"}, {"type": "mount"}`, "true")
	other.must("run", "other")
	if n := hostMounts(t, l.dir); n == 0 {
		t.Error("there are no mounts while it lives")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	other.must("run", "other")
	if n := hostMounts(t, l.dir); n != 0 {
		t.Errorf("there are %d mounts after the next run, want none", n)
	}
}
