package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
)

// limited is a group of 20 % below one of 50 %, with a process in it.
func limited(t *testing.T, command string) (dir string, cmd *exec.Cmd) {
	t.Helper()
	takesRoot(t, "a limited group beside the tests' own takes root")
	h, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	cpu := func(quota int64) *specs.LinuxResources {
		period := uint64(100000)
		return &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: &period}}
	}
	plan, err := h.Plan(cgroup.Options{ID: "watched", Resources: cpu(50000), Also: []string{"cpu", "cpuacct"}, Always: true})
	if err != nil {
		t.Fatal(err)
	}
	outer, err := plan.Create()
	if err != nil {
		t.Fatal(err)
	}
	inner, err := outer.Child("web", cpu(20000))
	if err != nil {
		t.Fatal(errors.Join(err, outer.Remove()))
	}
	cmd = exec.Command("/bin/sh", "-c", "read x; "+command)
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		err = inner.Attach(cmd.Process.Pid)
	}
	t.Cleanup(func() {
		if err := inner.Kill(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Log(err) // it may be gone already; Remove tells
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		for _, g := range []*cgroup.Group{inner, outer} {
			if err := g.Remove(); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "go\n"); err != nil {
		t.Fatal(err)
	}
	if dir = inner.Dir("cpu"); dir == "" {
		dir = inner.Dir("v2")
	}
	return dir, cmd
}

// A busy process in a limited group, by its group and by itself: every limit on
// the way up is read, and the least one is kept.
func TestVerifyWatch(t *testing.T) {
	dir, load := limited(t, "while :; do :; done")
	for _, target := range [][]string{{"--cgroup", dir}, {"--pid", strconv.Itoa(load.Process.Pid)}} {
		cmd := verifyProcess(t, append([]string{"verify", "--for", "2s", "--out", "w.txt", "--json", "j"}, target...)...)
		code, stdout, stderr := ran(t, cmd)
		// On a machine that is too busy it may not be judged; it is never wrong.
		if (code != exitDone || !strings.Contains(stdout, "kept (")) && (code != exitNotJudged || !strings.Contains(stdout, "(1) ")) {
			t.Errorf("%q: status %d\n%s%s", target, code, stdout, stderr)
		}
		for _, want := range []string{" is throttled in ", "Effective limit: 20 %", "\n20 % ", "\n50 % ", "Longest wait ", "Waited: 1 thread below "} {
			if !strings.Contains(stdout, want) {
				t.Errorf("%q: %q is missing:\n%s", target, want, stdout)
			}
		}
		f, err := sample.ReadFile(filepath.Join(cmd.Dir, "w.txt"))
		if err != nil || len(f.Family("Watch")) != 2 || f.End.Why != "done" {
			t.Errorf("the file: %+v, %v", f, err)
		}
	}
}

// Version 1 may have cpu without cpuacct: what the group uses is not counted then.
func TestVerifyWatchUncounted(t *testing.T) {
	takesRoot(t, "a group by hand takes root")
	h, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	parent, err := h.Lineage("cpu", "/")
	if err != nil {
		t.Fatal(err)
	}
	apart, err := h.Lineage("cpuacct", "/")
	if err != nil || len(parent.Groups) == 0 || parent.V2 || apart.Groups[0].Dir == parent.Groups[0].Dir {
		t.Skip("cpu and cpuacct are one hierarchy here")
	}
	dir := filepath.Join(parent.Groups[0].Dir, "isoperf-test-uncounted-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	code, _, stderr := ran(t, verifyProcess(t, "verify", "--for", "1s", "--cgroup", dir))
	if code != exitUsage || !strings.Contains(stderr, "in that of cpuacct") || !strings.Contains(stderr, "make a group of the same name") {
		t.Errorf("status %d: %s", code, stderr)
	}
}

// In a cgroup namespace nobody can say what the limits above are.
func TestVerifyWatchHidden(t *testing.T) {
	dir, _ := limited(t, "exec sleep 60")
	script := "echo $$ >" + dir + "/cgroup.procs && exec unshare --cgroup " + copied(t) + " verify --for 1s --pid $$"
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = t.TempDir()
	code, stdout, stderr := ran(t, cmd)
	if code != exitNotJudged || !strings.Contains(stdout, "ancestors are hidden") {
		t.Errorf("status %d\n%s%s", code, stdout, stderr)
	}
}

// A load that wants little says nothing of its limit.
func TestVerifyWatchIdle(t *testing.T) {
	dir, load := limited(t, "exec sleep 60")
	for n := 0; n < 1000; n++ { // what its start takes is over
		if comm, err := os.ReadFile("/proc/" + strconv.Itoa(load.Process.Pid) + "/comm"); err == nil && string(comm) == "sleep\n" {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(time.Second)
	for flag, want := range map[string]int{"--verbose": exitNotJudged, "--not-judged=pass": exitDone, "--not-judged=fail": exitFailed} {
		code, stdout, stderr := ran(t, verifyProcess(t, "verify", "--for", "1s", "--cgroup", dir, flag))
		if code != want || !strings.Contains(stdout, "web never reaches its CPU limit of 20 %") {
			t.Errorf("%s: status %d\n%s%s", flag, code, stdout, stderr)
		}
	}
}

// A group that goes away during the watch is an error; what was seen is said.
func TestVerifyWatchVanished(t *testing.T) {
	dir, load := limited(t, "while :; do :; done")
	cmd := verifyProcess(t, "verify", "--for", "50s", "--cgroup", dir, "--out", "w.txt", "--json", "j")
	removed := make(chan error, 1)
	go func() {
		for n := 0; n < 1000; n++ {
			if _, err := os.Stat(filepath.Join(cmd.Dir, "w.txt")); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		err := load.Process.Kill()
		_, _ = load.Process.Wait()
		for n := 0; err == nil && n < 500; n++ {
			if err = os.Remove(dir); errors.Is(err, syscall.EBUSY) {
				err = nil
				time.Sleep(10 * time.Millisecond)
				continue
			}
			break
		}
		removed <- err
	}()
	code, stdout, stderr := ran(t, cmd)
	if err := <-removed; err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(cmd.Dir, "j")); err != nil || !strings.Contains(string(text), `"status": 2`) {
		t.Errorf("JSON: %v: %s", err, text)
	}
	if code != exitUsage || !strings.Contains(stderr, "the group has vanished") || !strings.Contains(stdout, "\n20 % ") {
		t.Errorf("status %d\n%s%s", code, stdout, stderr)
	}
}

// An interrupted watch says what it has seen.
func TestVerifyWatchInterrupted(t *testing.T) {
	dir, _ := limited(t, "while :; do :; done")
	cmd := verifyProcess(t, "verify", "--for", "50s", "--cgroup", dir, "--out", "w.txt")
	time.AfterFunc(3*time.Second, func() { _ = cmd.Process.Signal(syscall.SIGINT) })
	code, stdout, stderr := ran(t, cmd)
	if code != exitInterrupted || !strings.Contains(stdout, "interrupted") || !strings.Contains(stdout, "\n20 % ") {
		t.Errorf("status %d\n%s%s", code, stdout, stderr)
	}
}

// A unit of systemd's is found by its name, by root and by an ordinary user, the
// user's own and the machine's. Systemd runs on the machine of scripts/vm.
func TestUnifiedVerifyUnit(t *testing.T) {
	if os.Getenv("ISOPERF_VM") != "1" {
		t.Log("this is not the machine of scripts/vm")
		return
	}
	const unit = "isoperf-test-web"
	var user []string
	if os.Geteuid() != 0 {
		user = []string{"--user"}
	}
	systemctl := func(program string, args ...string) {
		t.Helper()
		if out, err := exec.Command(program, append(user, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v: %s", program, args, err, out)
		}
	}
	systemctl("systemd-run", "--unit="+unit, "-p", "CPUQuota=20%", "-p", "MemoryMax=64M", "-p", "TasksMax=9", "sh", "-c", "while :; do :; done")
	t.Cleanup(func() { systemctl("systemctl", "stop", unit) })
	args := append([]string{"verify", "--unit", unit, "--for", "3s", "--verbose"}, user...)
	code, stdout, stderr := ran(t, verifyProcess(t, args...))
	if code != exitDone && code != exitNotJudged { // the emulated machine's host may be busy
		t.Errorf("status %d\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{unit + ".service is throttled in ", "\n20 % ", "memory.max: ", " of 64 MiB", "pids.max: 1 of 9"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing:\n%s", want, stdout)
		}
	}
	code, stdout, stderr = ran(t, verifyProcess(t, append([]string{"verify", "--unit", "no-such-unit"}, user...)...))
	if code != exitUsage || !strings.Contains(stderr, "it is not there, or it does not run") {
		t.Errorf("status %d\n%s%s", code, stdout, stderr)
	}
}
