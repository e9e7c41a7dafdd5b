package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// scopes are containers whose groups systemd makes, on the machine of scripts/vm.
type scopes struct {
	*lives
	unit string
}

// newScopes is nil where there is no systemd.
func newScopes(t *testing.T) *scopes {
	t.Helper()
	if os.Getenv("ISOPERF_VM") != "1" {
		t.Log("this is not the machine of scripts/vm")
		return nil
	}
	s := &scopes{lives: newLives(t), unit: "iso-life.scope"}
	s.place("isoperftest.slice:iso:life")
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		if out, err := s.isorun("create", "-b", s.dir, "life"); err == nil || !strings.Contains(out, "systemd makes groups of version 2") {
			t.Errorf("on version 1: %v: %s", err, out)
		}
		return nil
	}
	return s
}

// place sets where the container is, and how it is limited.
func (s *scopes) place(path string) {
	s.t.Helper()
	text, err := os.ReadFile(s.dir + "/config.json")
	if err != nil {
		s.t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		s.t.Fatal(err)
	}
	linux := config["linux"].(map[string]any)
	linux["cgroupsPath"] = path
	resources := map[string]any{
		"cpu":     map[string]any{"quota": 33333, "period": 70000, "shares": 512, "cpus": "0"},
		"memory":  map[string]any{"limit": 64 << 20, "swap": 80 << 20, "reservation": 32 << 20},
		"pids":    map[string]any{"limit": 20},
		"blockIO": map[string]any{"weight": 300},
		"unified": map[string]any{"memory.high": "48M", "memory.min": "4M"},
	}
	if os.Geteuid() == 0 {
		resources["devices"] = []any{map[string]any{"allow": true, "access": "rwm"}, map[string]any{"allow": false, "type": "c", "major": 1, "minor": 11, "access": "r"}}
	}
	linux["resources"] = resources
	if text, err = json.Marshal(config); err == nil {
		err = os.WriteFile(s.dir+"/config.json", text, 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// isorun runs it with the flag; what it prints is in a file, which the container
// may keep.
func (s *scopes) isorun(args ...string) (string, error) {
	s.t.Helper()
	f, err := os.CreateTemp(s.t.TempDir(), "out")
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(s.lives.isorun, append([]string{"--root", s.root, "--systemd-cgroup"}, args...)...)
	cmd.Stdout, cmd.Stderr = f, f
	err = cmd.Run()
	text, _ := os.ReadFile(f.Name())
	return string(text), err
}

func (s *scopes) does(args ...string) string {
	s.t.Helper()
	out, err := s.isorun(args...)
	if err != nil {
		s.t.Fatalf("isorun %v: %v: %s", args, err, out)
	}
	return out
}

// systemctl asks whose systemd it is.
func (s *scopes) systemctl(args ...string) string {
	s.t.Helper()
	if os.Geteuid() != 0 {
		args = append([]string{"--user"}, args...)
	}
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("systemctl %v: %v: %s", args, err, out)
	}
	return string(out)
}

// group is the directory of the container's group, which is the scope.
func (s *scopes) group() string {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", s.state().Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	path := strings.TrimSpace(strings.TrimPrefix(string(text), "0::"))
	if !strings.HasSuffix(path, "/isoperftest.slice/"+s.unit) {
		s.t.Errorf("it is in %q", path)
	}
	return "/sys/fs/cgroup" + path
}

// limited checks files of a group, now and when systemd has read its units again,
// which keeps whole percents of a processor.
func (s *scopes) limited(group string, want map[string]string, quota string) {
	s.t.Helper()
	for _, when := range []string{"at first", "after a reload"} {
		if when != "at first" {
			s.systemctl("daemon-reload")
			want["cpu.max"] = quota
		}
		for file, want := range want {
			text, err := os.ReadFile(group + "/" + file)
			if got := strings.TrimSpace(string(text)); err != nil || got != want {
				s.t.Errorf("%s %s is %q, %v; want %q", when, file, got, err, want)
			}
		}
		if os.Geteuid() == 0 {
			enter := exec.Command("sh", "-c", "echo $$ >"+group+"/cgroup.procs && head -c 1 /dev/urandom >/dev/null && dd bs=8192 count=1 if=/dev/kmsg")
			if out, err := enter.CombinedOutput(); err == nil || !strings.Contains(string(out), "kmsg") || !strings.Contains(string(out), "not permitted") {
				s.t.Errorf("%s the device rules: %v, %q", when, err, out)
			}
		}
	}
}

// ended checks that nothing of the scope is left.
func (s *scopes) ended(group string) {
	s.t.Helper()
	if _, err := os.Stat(group); !errors.Is(err, fs.ErrNotExist) {
		s.t.Errorf("the group is left: %v", err)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got := s.systemctl("show", "-p", "LoadState,ActiveState", s.unit)
		if strings.Contains(got, "ActiveState=inactive") && strings.Contains(got, "LoadState=not-found") {
			return
		}
		if time.Now().After(end) {
			s.t.Errorf("the unit is left: %s", got)
			return
		}
	}
}

// A scope has the limits, which outlast systemd's reload, can be changed, and go
// with the container.
func TestSystemdScope(t *testing.T) {
	s := newScopes(t)
	if s == nil {
		return
	}
	s.does("create", "-b", s.dir, "life")
	group := s.group()
	want := map[string]string{
		"cpu.max": "33333 70000", "cpu.weight": "59", "cpuset.cpus": "0", "memory.max": "67108864", "memory.swap.max": "16777216", "memory.low": "33554432",
		"memory.high": "50331648", "memory.min": "4194304", "pids.max": "20", "io.weight": "default 2930",
	}
	s.limited(group, want, "33600 70000")
	s.does("start", "life")
	s.does("update", "--memory", "96M", "--memory-swap", "96M", "--cpu-quota", "50000", "--pids-limit", "30", "--cpuset-cpus", "0-1", "--cpu-share", "1024", "life")
	for file, value := range map[string]string{
		"cpu.max": "50000 70000", "cpu.weight": "100", "cpuset.cpus": "0-1", "memory.max": "100663296", "memory.swap.max": "0", "pids.max": "30",
	} {
		want[file] = value
	}
	s.limited(group, want, "50400 70000")
	if got := s.does("exec", "life", "/busybox", "cat", "/proc/self/cgroup"); !strings.HasSuffix(strings.TrimSpace(got), "/"+s.unit) {
		t.Errorf("what is executed in it is in %q", got)
	}
	s.does("pause", "life")
	s.does("resume", "life")

	// A second one of this name gets nothing, and leaves the first alone.
	if out, err := s.isorun("create", "-b", s.dir, "other"); err == nil || !strings.Contains(out, `start scope "iso-life.scope"`) {
		t.Errorf("one of the same name: %v: %s", err, out)
	}
	// Nor does one in a slice that stands still.
	freeze := func(value string) {
		if err := os.WriteFile(filepath.Dir(group)+"/cgroup.freeze", []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	s.place("isoperftest.slice:iso:other")
	freeze("1")
	out, err := s.isorun("create", "-b", s.dir, "other")
	freeze("0")
	if err == nil || !strings.Contains(out, "is frozen") {
		t.Errorf("one in a frozen slice: %v: %s", err, out)
	}
	s.does("kill", "life", "KILL")
	s.stops()
	s.does("delete", "life")
	s.ended(group)
	s.unit = "iso-other.scope"
	s.ended("/nowhere")
}

// It can be deleted while it runs, at any time; and one of the same name comes
// next, also where the first one's scope has failed.
func TestSystemdAgain(t *testing.T) {
	s := newScopes(t)
	if s == nil {
		return
	}
	for range 3 {
		s.does("run", "-d", "-b", s.dir, "life")
		group := s.group()
		s.does("delete", "-f", "life")
		s.ended(group)
	}
	s.script("exit 3")
	s.place("isoperftest.slice:iso:life")
	if out, err := s.isorun("run", "-d", "-b", s.dir, "life"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.stops()
	s.does("delete", "life")
	s.script("exec /nowhere")
	s.place("isoperftest.slice:iso:life")
	s.does("create", "-b", s.dir, "life")
	s.does("delete", "life")
	s.ended("/nowhere")
}

// One in the foreground is in a scope, too.
func TestSystemdForeground(t *testing.T) {
	s := newScopes(t)
	if s == nil {
		return
	}
	s.script("/busybox cat /proc/self/cgroup; exit 7")
	for path, want := range map[string]string{
		"isoperftest.slice:iso:life": "/isoperftest.slice/iso-life.scope", ":iso:life": "/" + map[bool]string{true: "system", false: "user"}[os.Geteuid() == 0] + ".slice/iso-life.scope",
		"": "/isorun-life.scope",
	} {
		s.place(path)
		out, err := s.isorun("run", "-b", s.dir, "life")
		var code *exec.ExitError
		if !errors.As(err, &code) || code.ExitCode() != 7 || !strings.HasSuffix(strings.TrimSpace(out), want) {
			t.Errorf("%q: %v: %s", path, err, out)
		}
		s.unit = want[strings.LastIndexByte(want, '/')+1:]
		s.ended("/nowhere")
	}
	s.place("")
	plan := s.does("run", "--plan", "-b", s.dir, "life")
	if want := "launcher: ask systemd for isorun-life.scope in "; !strings.HasPrefix(plan, want) || !strings.Contains(plan, " MemoryMax=67108864") {
		t.Errorf("the plan is %.500q", plan)
	}
}

// What is killed while it makes a container leaves no scope.
func TestSystemdKilled(t *testing.T) {
	s := newScopes(t)
	if s == nil {
		return
	}
	for pause := 20 * time.Millisecond; pause < 700*time.Millisecond; pause = pause * 3 / 2 {
		cmd := exec.Command(s.lives.isorun, "--root", s.root, "--systemd-cgroup", "create", "-b", s.dir, "life")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(pause)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		s.does("delete", "-f", "life")
		s.ended("/nowhere")
	}
}
