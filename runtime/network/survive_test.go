package network

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// killedRuntime starts a runtime and kills it: some time after, or when it is
// 0 once its container is connected.
func killedRuntime(t *testing.T, c Config, own bool, after time.Duration) {
	t.Helper()
	// Its orphans become this process's children.
	must(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	text, err := json.Marshal(c)
	must(t, err)
	cmd := exec.Command("/proc/self/exe", string(text))
	cmd.Env = append(os.Environ(), helperEnv+"=runtime")
	if own {
		cmd.Env = append(cmd.Env, "ISOPERF_TEST_OWN=1")
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer in.Close()
	if after == 0 {
		line := make([]byte, 64)
		if n, err := out.Read(line); err != nil {
			t.Fatalf("the runtime says %q, %v", line[:n], err)
		}
	}
	time.Sleep(after)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // signal: killed
	if !eventually(func() bool {
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
		return len(children()) == 0
	}) {
		for _, pid := range children() {
			text, _ := os.ReadFile("/proc/" + pid + "/status")
			t.Errorf("after kill -9 of the runtime process %s lives on: %s", pid, text)
		}
	}
}

// TestRuntimeKilled: the helper dies with the runtime, and what is on disk is
// swept.
func TestRuntimeKilled(t *testing.T) {
	eachTranslator(t, func(t *testing.T, m Mode, own bool) {
		c := Config{Mode: m, ID: "box", Record: t.TempDir(), Publish: ports(t, "8080:80")}
		killedRuntime(t, c, own, 0)
		swept, err := Sweep(c.Record)
		if err != nil || !slices.Contains(swept, "record of box") {
			t.Errorf("the sweep says %q, %v", swept, err)
		}
		nothingLeft(t, c, m)
		if swept, err := Sweep(c.Record); err != nil || len(swept) > 0 {
			t.Errorf("a second sweep says %q, %v", swept, err)
		}
	})
}

// TestKilledAnywhere: whenever the runtime is killed, a sweep leaves nothing.
func TestKilledAnywhere(t *testing.T) {
	eachTranslator(t, func(t *testing.T, m Mode, own bool) {
		c := Config{Mode: m, ID: "box", Record: t.TempDir(), Publish: ports(t, "8080:80")}
		for after := 5 * time.Millisecond; after < 50*time.Millisecond; after += 5 * time.Millisecond {
			killedRuntime(t, c, own, after)
			if _, err := Sweep(c.Record); err != nil {
				t.Error(err)
			}
			nothingLeft(t, c, m)
		}
	})
}

// TestSweepStray: a helper that has outlived its runtime is killed, and one
// that only has its number is not.
func TestSweepStray(t *testing.T) {
	dir := t.TempDir()
	stray := exec.Command("sleep", "1000")
	must(t, stray.Start())
	start, err := startTime(stray.Process.Pid)
	must(t, err)
	for _, c := range []struct {
		start uint64
		dies  bool
	}{{start + 1, false}, {start, true}} {
		text, err := json.Marshal(note{Mode: Slirp4netns, Helper: process{stray.Process.Pid, c.start}})
		must(t, err)
		must(t, os.WriteFile(dir+"/stray"+recordSuffix, text, 0o600))
		swept, err := Sweep(dir)
		if err != nil || strings.Contains(fmt.Sprint(swept), "slirp4netns") != c.dies {
			t.Errorf("the sweep says %q, %v", swept, err)
		}
		if !c.dies {
			must(t, stray.Process.Signal(syscall.Signal(0)))
		}
	}
	if err := stray.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the stray helper ended with %v", err)
	}
	emptyRecord(t, dir)
}

// TestSweepSpares: a record is left alone while its runtime or its container
// lives, and what was cut short is swept.
func TestSweepSpares(t *testing.T) {
	if !inWorld(t, asRoot) {
		return
	}
	dir := t.TempDir()
	l := &Link{config: Config{Mode: Slirp4netns, ID: "held", Record: dir}}
	if _, err := l.record(Target{}); err != nil {
		t.Fatal(err)
	}
	own, err := startTime(os.Getpid())
	must(t, err)
	text, err := json.Marshal(note{Mode: Slirp4netns, Target: process{os.Getpid(), own}})
	must(t, err)
	must(t, os.WriteFile(dir+"/living"+recordSuffix, text, 0o600))
	must(t, os.WriteFile(dir+"/empty"+recordSuffix, nil, 0o600))
	swept, err := Sweep(dir)
	if err != nil || !slices.Contains(swept, "record of empty") || strings.Contains(fmt.Sprint(swept), "held") || strings.Contains(fmt.Sprint(swept), "living") {
		t.Errorf("the sweep says %q, %v", swept, err)
	}
	for _, name := range []string{"held", "living"} {
		if _, err := os.Stat(dir + "/" + name + recordSuffix); err != nil {
			t.Errorf("%s was swept", name)
		}
	}
	if _, err := l.record(Target{}); err == nil || !strings.Contains(err.Error(), "already has a network") {
		t.Errorf("a second record of one ID says %v", err)
	}
	must(t, l.Close())
}
