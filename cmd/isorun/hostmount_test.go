package main

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// hostMounts are this thread's mounts in a directory.
func hostMounts(t *testing.T, dir string) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
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
// deleted, and what was mounted there before stays: whatever "/" is, private as the
// kernel makes it or shared as systemd does.
func TestHostMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("an ordinary user cannot mount on the host")
		return
	}
	for name, kind := range map[string]uintptr{"private": syscall.MS_PRIVATE, "shared": syscall.MS_SHARED} {
		t.Run(name, func(t *testing.T) {
			// The thread ends with the test, and with it the namespace.
			runtime.LockOSThread()
			if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
				t.Fatal(err)
			}
			for _, kind := range []uintptr{syscall.MS_PRIVATE, kind} {
				if err := syscall.Mount("", "/", "", syscall.MS_REC|kind, ""); err != nil {
					t.Fatal(err)
				}
			}
			liveOnHost(t)
		})
	}
}

// liveOnHost has containers with their mounts in this thread's mount namespace: in a
// plain directory, in a bind mount, and in one with a mount below it.
func liveOnHost(t *testing.T) {
	l := newLives(t)
	l.write(`{"type": "pid"}`, "while :; do /busybox sleep 0.01; done")
	root := l.dir + "/rootfs"
	below := root + "/below"
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	mount := func(source, target, kind string, flags uintptr) {
		if err := syscall.Mount(source, target, kind, flags, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(target, 0); err != nil {
				t.Error(err)
			}
		})
	}
	for _, add := range []func(){
		func() {},
		func() { mount(root, root, "", syscall.MS_BIND) },
		func() { mount("below", below, "tmpfs", 0) },
	} {
		add()
		before := hostMounts(t, l.dir)
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
	before := hostMounts(t, l.dir)
	l.fails("/nothing", "create", "life")
	if n := hostMounts(t, l.dir); n != before {
		t.Errorf("there are %d mounts after one that could not be created, want %d", n, before)
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

// TestHostMountsReplaced: what somebody has mounted where a killed container's mounts
// were is not taken for them.
func TestHostMountsReplaced(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("an ordinary user cannot mount on the host")
		return
	}
	l := newLives(t)
	l.write(`{"type": "pid"}`, "echo up; while :; do /busybox sleep 0.01; done")
	cmd := exec.Command(l.isorun, "run", "-b", l.dir, "replaced")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = bufio.NewReader(out).ReadString('\n')
	if kerr := cmd.Process.Kill(); err != nil || kerr != nil {
		t.Fatal(err, kerr)
	}
	_ = cmd.Wait() // it was killed
	root := l.dir + "/rootfs"
	for hostMounts(t, root) > 0 {
		if err := syscall.Unmount(root, syscall.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(root, syscall.MNT_DETACH) }) // it may be gone: then the test has failed
	other := newLives(t)
	other.write(`{"type": "pid"}, {"type": "mount"}`, "true")
	other.must("run", "other")
	if n := hostMounts(t, root); n != 1 {
		t.Errorf("there are %d mounts after the next run, want the one of the user", n)
	}
}
