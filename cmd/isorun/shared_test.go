package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shared has the containers share the host's pid namespace, as those of a pod
// share one. An ordinary user's cannot: to mount a /proc takes one.
func (l *lives) shared(text string) bool {
	if os.Geteuid() != 0 {
		return false
	}
	l.write(`{"type": "mount"}`, text)
	return true
}

// ends waits for the end of a process that may be nobody's child.
func (l *lives) ends(pid int) {
	l.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || bytes.Contains(stat, []byte(") Z")) {
			return
		}
		if time.Now().After(end) {
			l.t.Fatalf("process %d is still there", pid)
		}
	}
}

// edit replaces a text in the state.
func (l *lives) edit(old, text string) {
	l.t.Helper()
	file := l.root + "/life/state.json"
	was, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	now := bytes.Replace(was, []byte(old), []byte(text), 1)
	if bytes.Equal(was, now) {
		l.t.Fatalf("there is no %q in %s", old, was)
	}
	if err := os.WriteFile(file, now, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// A neighbour with the same user and capabilities sees a container that waits, and
// cannot reach into it: neither start it, nor keep its start from being seen.
func TestWaitingUntouchable(t *testing.T) {
	l := newLives(t)
	if !l.shared("while :; do /busybox sleep 0.01; done") {
		return
	}
	l.create()
	defer l.must("delete", "-f", "life")
	pid := l.state().Pid
	look := fmt.Sprintf(`echo saw $(/busybox cat /proc/%d/comm); for fd in 0 1 2 3 4 5 6 7 8 9; do (: <>/proc/%[1]d/fd/$fd) && echo opened $fd; done; /busybox readlink /proc/%[1]d/exe; exit 0`, pid)
	l.shared(look)
	out, err := exec.Command(l.isorun, "run", "-b", l.dir, "neighbour").Output()
	if err != nil || string(out) != "saw isoperf/init\n" {
		t.Errorf("the neighbour says %q, %v; want that it saw the process, and nothing else", out, err)
	}
	if s := l.state(); s.Status != "created" {
		t.Errorf("it is %s", s.Status)
	}
}

// Who has the fifo open, as root of the host can, does not keep start or state from
// seeing what is the case.
func TestFifoHeld(t *testing.T) {
	l := newLives(t)
	l.create()
	held, err := os.OpenFile(l.root+"/life/start", os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	started := make(chan error, 1)
	go func() { _, err := l.run("start", "life"); started <- err }()
	select {
	case err := <-started:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		held.Close()
		t.Errorf("start waits for ever: %v", <-started)
	}
	if s := l.state(); s.Status != "running" {
		t.Errorf("it is %s", s.Status)
	}
	l.must("delete", "-f", "life")
}

// SIGKILL ends a container in a shared pid namespace whether or not its first
// process is in its group, or there is one.
func TestKillShared(t *testing.T) {
	l := newLives(t)
	if !l.shared("/busybox sleep 1000 & while :; do /busybox sleep 0.01; done") {
		return
	}
	for _, moved := range []bool{false, true} {
		l.create()
		l.must("start", "life")
		pid := l.state().Pid
		for _, pattern := range []string{"/sys/fs/cgroup/*/cgroup.procs", "/sys/fs/cgroup/cgroup.procs"} {
			files, _ := filepath.Glob(pattern)
			for _, file := range files {
				if moved {
					_ = os.WriteFile(file, []byte(strconv.Itoa(pid)), 0) // some levels of version 2 take no process
				}
			}
		}
		l.must("kill", "life", "KILL")
		l.ends(pid)
		l.must("delete", "life")
	}
	l.create()
	pid := l.state().Pid
	text, err := os.ReadFile(l.root + "/life/state.json")
	if err != nil {
		t.Fatal(err)
	}
	start := bytes.Index(text, []byte(`"dirs": [`))
	dirs := string(text[start : start+bytes.IndexByte(text[start:], ']')+1])
	l.edit(dirs, `"dirs": []`)
	l.must("kill", "life", "KILL")
	l.ends(pid)
	l.edit(`"dirs": []`, dirs)
	l.must("delete", "life")
}

// Signal 0 asks, and --all reaches everybody.
func TestKillOthers(t *testing.T) {
	l := newLives(t)
	l.script(`trap "exit 0" TERM; (trap "exit 0" TERM; while :; do /busybox sleep 0.01; done) & while :; do /busybox sleep 0.01; done`)
	l.create()
	l.must("kill", "life", "0")
	l.must("start", "life")
	l.must("kill", "life", "0")
	if os.Geteuid() == 0 {
		for end := time.Now().Add(10 * time.Second); l.state().Status == "running" && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			_, _ = l.run("kill", "--all", "life", "TERM") // it may have ended
		}
	}
	_, _ = l.run("kill", "life", "KILL") // likewise
	l.stops()
	l.fails("container not running", "kill", "life", "0")
	l.must("delete", "life")
}

// The number of a process that is gone can be a thread's of another one.
func TestThreadHasPid(t *testing.T) {
	l := newLives(t)
	l.create()
	pid := l.state().Pid
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	thread := 0
	for _, task := range tasks {
		if id, _ := strconv.Atoi(task.Name()); id != os.Getpid() {
			thread = id
		}
	}
	is := func(pid int) string { return fmt.Sprintf(`"pid": %d`, pid) }
	l.edit(is(pid), is(thread))
	if s := l.state(); s.Status != "stopped" {
		t.Errorf("it is %s", s.Status)
	}
	l.edit(is(thread), is(pid))
	l.must("kill", "life", "KILL")
	l.stops()
	l.edit(is(pid), is(thread))
	l.must("delete", "--force", "life")
}

// What a create that was killed before it had its groups has written down may be
// another's, which is left alone.
func TestHalfMadeOther(t *testing.T) {
	l := newLives(t)
	if os.Geteuid() != 0 {
		return // without groups there are none to take for one's own
	}
	l.create()
	l.must("start", "life")
	pid := l.state().Pid
	other := &lives{bundle: l.bundle, root: t.TempDir() + "/root"}
	if err := os.MkdirAll(other.root+"/life", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"state.json", "config.json", "lock"} {
		text, err := os.ReadFile(l.root + "/life/" + file)
		if err == nil {
			err = os.WriteFile(other.root+"/life/"+file, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	other.edit(fmt.Sprintf(`"pid": %d`, pid), `"pid": 0`)
	other.fails("not running", "kill", "--all", "life", "KILL")
	other.fails("another container's", "delete", "life")
	other.must("delete", "--force", "life")
	if _, err := os.Stat(other.root + "/life"); err == nil {
		t.Error("a forced delete left the directory")
	}
	if s := l.state(); s.Status != "running" || s.Pid != pid {
		t.Errorf("the other container is %+v", s)
	}
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)); err != nil || !strings.Contains(string(text), "-life") {
		t.Errorf("its groups are %s, %v", text, err)
	}
	l.must("delete", "--force", "life")
}
