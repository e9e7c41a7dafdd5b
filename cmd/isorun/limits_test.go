package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What is updated is in force, is kept, and is what a later update changes.
func TestUpdate(t *testing.T) {
	l := newLives(t)
	for _, c := range []struct {
		text string
		args []string
	}{
		{"nothing to change", nil},
		{`--memory: "5x" is no size`, []string{"--memory", "5x"}},
		{`--memory: "k" is no size`, []string{"--memory", "k"}},
		{`--cpu-share: "-1" is no number`, []string{"--cpu-share", "-1"}},
		{`--blkio-weight: "70000" is no number`, []string{"--blkio-weight", "70000"}},
		{`--kernel-memory: the kernel gave it up`, []string{"--kernel-memory", "1m"}},
		{`--resources: read "/none"`, []string{"-r", "/none"}},
		{"does not exist", []string{"--pids-limit", "5"}},
	} {
		l.fails(c.text, append(append([]string{"update"}, c.args...), "life")...)
	}
	if os.Geteuid() != 0 {
		return // see TestPause
	}
	l.create()
	defer l.must("delete", "-f", "life")
	l.must("update", "--memory", "64M", "--pids-limit", "30", "--cpu-quota", "50000", "--cpu-period", "100000", "life")
	file := t.TempDir() + "/limits"
	if err := os.WriteFile(file, []byte(`{"pids": {"limit": 40}, "memory": {"limit": 0}, "cpu": {"shares": 0}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	l.must("update", "--resources", file, "life")
	line := l.must("events", "--stats", "life")
	if !strings.Contains(line, `"limit":67108864`) || !strings.Contains(line, `"limit":40`) {
		t.Errorf("the limits are not in force: %s", line)
	}
	text, err := os.ReadFile(l.root + "/life/resources.json")
	if want := `{"memory":{"limit":67108864},"cpu":{"quota":50000,"period":100000},"pids":{"limit":40}}` + "\n"; err != nil || string(text) != want {
		t.Errorf("the limits that are kept are %q, %v; want %q", text, err, want)
	}
	l.fails("update container", "update", "--cpuset-cpus", "4000", "life")
	if now, err := os.ReadFile(l.root + "/life/resources.json"); err != nil || !bytes.Equal(now, text) {
		t.Errorf("an update that failed changed what is kept to %q, %v", now, err)
	}
	// What the container was created with holds for what is updated later.
	if err := os.WriteFile(file, []byte(`{"memory": {"checkBeforeUpdate": true}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	l.must("update", "--resources", file, "life")
	l.fails("memory.checkBeforeUpdate is set", "update", "--memory", "4096", "life")
	l.must("update", "--memory", "65M", "life")
}

// events prints until the container ends, and says when memory ran out.
func TestEvents(t *testing.T) {
	if os.Geteuid() != 0 {
		return // see TestPause
	}
	l := newLives(t)
	l.script("read x; (y=a; while :; do y=$y$y$y; done); /busybox sleep 0.5; exit 0")
	// Its memory is what the update says; standard input is empty, so it does not wait.
	l.create()
	defer l.must("delete", "-f", "life")
	l.must("update", "--memory", "16M", "--memory-swap", "16M", "life")
	cmd := exec.Command(l.isorun, "--root", l.root, "events", "--interval", "50ms", "life")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	time.Sleep(200 * time.Millisecond)
	l.must("start", "life")
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if text := out.String(); !strings.Contains(text, `{"type":"oom","id":"life"}`+"\n") || !strings.Contains(text, `{"type":"stats","id":"life"`) {
		t.Errorf("events prints %d lines, want statistics and one oom: %.2000s", strings.Count(text, "\n"), text)
	}
	for _, every := range []string{"0", "5", "-1s", "x"} {
		l.fails("--interval", "events", "--interval", every, "life")
	}
}

// Two containers do not get one control group, and what somebody else runs in a
// group does not die with a container that has ended.
func TestSharedGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		return // see TestPause
	}
	l := newLives(t)
	path := fmt.Sprintf("/isoperf-life-test-%d", os.Getpid())
	config, err := os.ReadFile(l.dir + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	with := func(args string) {
		t.Helper()
		text := strings.Replace(string(config), `"linux": {`, fmt.Sprintf(`"linux": {"cgroupsPath": %q, `, path), 1)
		if err := os.WriteFile(l.dir+"/config.json", []byte(strings.Replace(text, "while :; do /busybox sleep 0.01; done", args, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	with("exit 0")
	l.create()
	l.fails("control group of container", "create", "life-other")
	l.fails("does not exist", "state", "life-other")
	l.must("start", "life")
	l.stops()
	l.fails("is the control group of container \"life\", which is stopped", "create", "life-other")

	// Somebody who does not ask moves in.
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	entered := false
	for _, dir := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		entered = entered || os.WriteFile(dir+path+"/cgroup.procs", []byte(strconv.Itoa(other.Process.Pid)), 0) == nil
	}
	if !entered {
		t.Fatal("nobody could enter the group")
	}
	l.fails("end them first", "delete", "life")
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", other.Process.Pid)); err != nil || bytes.Contains(stat, []byte(") Z")) {
		t.Errorf("another's process was killed: %s, %v", stat, err)
	}
	_ = other.Process.Kill()
	_ = other.Wait()
	l.must("delete", "life")
}
