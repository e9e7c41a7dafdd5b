package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lives is a bundle with a state directory of its own.
type lives struct {
	*bundle
	root string
	id   string // what "life" stands for in arguments; empty: itself
}

func newLives(t *testing.T) *lives {
	l := &lives{bundle: newBundle(t), root: t.TempDir() + "/root"}
	l.script("while :; do /busybox sleep 0.01; done")
	t.Cleanup(l.nothingLeft)
	return l
}

// script sets what the containers do that are created from here on. They have a
// pid namespace, and so a quick end.
func (l *lives) script(text string) { l.write(`{"type": "mount"}, {"type": "pid"}`, text) }

// run runs a command of isorun; the error has what it printed.
func (l *lives) run(args ...string) (string, error) {
	if l.id != "" {
		args = slices.Clone(args)
		for i, arg := range args {
			if arg == "life" {
				args[i] = l.id
			}
		}
	}
	cmd := exec.Command(l.isorun, append([]string{"--root", l.root}, args...)...)
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	if args[0] == "create" || args[0] == "run" { // whose container would keep the pipes
		cmd.Args = append(cmd.Args[:4], append([]string{"-b", l.dir}, cmd.Args[4:]...)...)
		cmd.Stdout = nil
		f, err := os.CreateTemp(l.t.TempDir(), "stderr")
		if err != nil {
			l.t.Fatal(err)
		}
		defer f.Close()
		cmd.Stderr = f
		err = cmd.Run()
		text, _ := os.ReadFile(f.Name())
		if err != nil {
			return "", fmt.Errorf("%w: %s", err, text)
		}
		return "", nil
	}
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, bad.String())
	}
	return out.String(), nil
}

// must is run of what has to go well.
func (l *lives) must(args ...string) string {
	l.t.Helper()
	out, err := l.run(args...)
	if err != nil {
		l.t.Fatalf("isorun %v: %v", args, err)
	}
	return out
}

// fails is run of what has to fail, with a text.
func (l *lives) fails(text string, args ...string) {
	l.t.Helper()
	if _, err := l.run(args...); err == nil || !strings.Contains(err.Error(), text) {
		l.t.Errorf("isorun %v: %v, want an error with %q", args, err, text)
	}
}

// ociState is what state prints.
type ociState struct {
	OCIVersion, ID, Status, Bundle, Rootfs, Owner string
	Pid                                           int
	Created                                       time.Time
	Annotations                                   map[string]string
}

func (l *lives) state() (s ociState) {
	l.t.Helper()
	if err := json.Unmarshal([]byte(l.must("state", "life")), &s); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// stops waits for its end.
func (l *lives) stops() (s ociState) {
	l.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s = l.state(); s.Status == "stopped" {
			return s
		}
	}
	l.t.Fatalf("it is %s, want stopped", s.Status)
	return s
}

// nothingLeft says what the containers of this root have left.
func (l *lives) nothingLeft() {
	ids, _ := filepath.Glob(l.root + "/*")
	for _, id := range ids {
		l.t.Errorf("left behind: %s", id)
		_ = exec.Command(l.isorun, "--root", l.root, "delete", "-f", filepath.Base(id)).Run() // it is an error already
	}
	if l.id != "" {
		return // the names are looked for elsewhere
	}
	sum := fnv.New32a()
	sum.Write([]byte(l.root))
	for _, dir := range []string{"*/", "", "memory/*/*/"} {
		left, _ := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/%sisoperf-*-0-0-life*@%08x", dir, sum.Sum32()))
		if len(left) > 0 {
			l.t.Errorf("left behind: %v", left)
		}
	}
}

// create makes a container of the usual kind.
func (l *lives) create() { l.t.Helper(); l.must("create", "life") }

// One life, in every status.
func TestLife(t *testing.T) {
	l := newLives(t)
	l.fails("container does not exist", "state", "life")
	l.fails("container does not exist", "start", "life")
	l.fails("container does not exist", "kill", "life")
	l.fails("container does not exist", "delete", "life")
	l.must("delete", "--force", "life")

	pidFile := t.TempDir() + "/pid"
	l.must("create", "--pid-file", pidFile, "life")
	s := l.state()
	if s.Status != "created" || s.ID != "life" || s.OCIVersion != "1.0.2" || s.Bundle != l.dir || s.Rootfs != l.dir+"/rootfs" || time.Since(s.Created) > time.Minute {
		t.Errorf("the state is %+v", s)
	}
	if text, err := os.ReadFile(pidFile); err != nil || string(text) != strconv.Itoa(s.Pid) {
		t.Errorf("the pid file says %q, %v; want %d", text, err, s.Pid)
	}
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.Pid)); err != nil || !strings.HasPrefix(exe, "/memfd:isoperf-stub") {
		t.Errorf("what waits is %q, %v", exe, err)
	}
	l.fails("already exists", "create", "life")
	if got := l.state(); got.Pid != s.Pid {
		t.Errorf("a second create changed the process from %d to %d", s.Pid, got.Pid)
	}

	l.must("start", "life")
	if got := l.state(); got.Status != "running" || got.Pid != s.Pid {
		t.Errorf("the state is %+v", got)
	}
	l.fails("running container", "start", "life")
	l.fails("not stopped: running", "delete", "life")
	if out := l.must("list", "-q"); out != "life\n" {
		t.Errorf("list -q prints %q", out)
	}
	var all []ociState
	if err := json.Unmarshal([]byte(l.must("list", "-f", "json")), &all); err != nil || len(all) != 1 || all[0].Status != "running" || all[0].Owner == "" {
		t.Errorf("list prints %+v, %v", all, err)
	}

	l.must("kill", "life", "KILL")
	if got := l.stops(); got.Pid != 0 {
		t.Errorf("the state is %+v", got)
	}
	l.fails("container not running", "kill", "life")
	l.fails("has stopped", "start", "life")
	l.must("delete", "life")
	l.fails("container does not exist", "state", "life")
}

// A waiting container costs little, and has nothing of the host open.
func TestWaiting(t *testing.T) {
	l := newLives(t)
	l.create()
	defer l.must("delete", "-f", "life")
	pid := l.state().Pid
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	private := 0
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "Private_") {
			n, _ := strconv.Atoi(f[1])
			private += n
		}
	}
	if private == 0 || private > 200 {
		t.Errorf("it has %d KiB of its own, want 1 to 200", private)
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(fds) != 5 {
		t.Errorf("it has %d descriptors, want stdio, the fifo and the file of failures: %v", len(fds), fds)
	}
}

// With a filter that is in force while it waits, too.
func TestWaitingFiltered(t *testing.T) {
	if os.Geteuid() != 0 {
		return // without noNewPrivileges an ordinary user may load no filter
	}
	l := newLives(t)
	config := l.dir + "/config.json"
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	with := func(rules string) {
		now := strings.Replace(string(text), `"noNewPrivileges": true`, `"noNewPrivileges": false`, 1)
		now = strings.Replace(now, `"linux": {`, `"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"`+rules+`}, `, 1)
		if err := os.WriteFile(config, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	with("")
	l.create()
	pid := l.state().Pid
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(fds) != 5 {
		t.Errorf("it has %d descriptors, want stdio, the fifo and the file of failures: %v", len(fds), fds)
	}
	l.must("start", "life")
	l.must("delete", "-f", "life")
	// The child looks for its launcher while it waits.
	with(`, "syscalls": [{"names": ["poll", "ppoll"], "action": "SCMP_ACT_KILL_PROCESS"}]`)
	l.fails("poll", "create", "life")
	with(`, "syscalls": [{"names": ["close_range"], "action": "SCMP_ACT_ERRNO"}]`)
	l.create()
	l.must("start", "life")
	l.must("delete", "-f", "life")
}

// What the command has, and that it is orphaned to whom its creator's parent chose.
func TestStdio(t *testing.T) {
	l := newLives(t)
	l.script(`read line; echo "got $line"; for fd in /proc/self/fd/*; do echo ${fd##*/}; done; exit 7`)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	cmd := exec.Command(l.isorun, "--root", l.root, "create", "-b", l.dir, "life")
	in, err := os.CreateTemp(t.TempDir(), "in")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "hello")
	in.Seek(0, 0)
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		t.Fatalf("%v: %s", err, text)
	}
	pid := l.state().Pid
	l.must("start", "life")
	var status unix.WaitStatus
	if got, err := unix.Wait4(pid, &status, 0, nil); err != nil || got != pid || status.ExitStatus() != 7 {
		t.Errorf("waited for %d: %d, status %d, %v", pid, got, status.ExitStatus(), err)
	}
	// 3 is the shell's, which lists them.
	if text, err := os.ReadFile(out.Name()); err != nil || string(text) != "got hello\n0\n1\n2\n3\n" {
		t.Errorf("it printed %q, %v", text, err)
	}
	l.must("delete", "life")
}

// What is wrong with the command is found early where that is cheap, and told in
// any case.
func TestNoCommand(t *testing.T) {
	l := newLives(t)
	config := l.dir + "/config.json"
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	with := func(args string) {
		t.Helper()
		start := bytes.Index(text, []byte(`"args": [`))
		end := start + bytes.IndexByte(text[start:], ']') + 1
		if err := os.WriteFile(config, []byte(string(text[:start])+`"args": [`+args+`]`+string(text[end:])), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "broken": 0o755} {
		if err := os.WriteFile(l.dir+"/rootfs/"+name, []byte("no program"), mode); err != nil {
			t.Fatal(err)
		}
	}
	with(`"none"`)
	l.fails(`exec: "none": executable file not found in $PATH`, "create", "life")
	with(`"/none"`)
	l.fails(`exec: "/none": no such file or directory`, "create", "life")
	with(`"/plain"`)
	l.fails(`exec: "/plain": permission denied`, "create", "life")
	with(`"/broken"`)
	l.create()
	l.fails(`exec: "/broken": exec format error`, "start", "life")
	l.must("delete", "life")
	with(`"/busybox", "` + strings.Repeat("x", 200<<10) + `"`) // an argument may have 128 KiB
	l.create()
	l.fails(`exec: "/busybox": argument list too long`, "start", "life")
	l.must("delete", "life")
	if err := errors.Join(os.MkdirAll(l.dir+"/rootfs/usr/bin", 0o755), os.Link(l.dir+"/rootfs/busybox", l.dir+"/rootfs/usr/bin/busybox")); err != nil {
		t.Fatal(err)
	}
	with(`"busybox", "` + strings.Repeat("x", 200<<10) + `"`) // and along PATH
	l.create()
	l.fails(`exec: "busybox": argument list too long`, "start", "life")
	l.must("delete", "life")
	with(`"/proc"`) // a directory can be searched, but not executed
	l.create()
	l.fails(`exec: "/proc": permission denied`, "start", "life")
	l.must("delete", "life")
}

// A container that was created only is deleted, and one that runs with force.
func TestDeleteEarly(t *testing.T) {
	l := newLives(t)
	l.create()
	pid := l.state().Pid
	l.must("delete", "life")
	if err := unix.Kill(pid, 0); err != nil && err != unix.ESRCH {
		t.Errorf("process %d: %v", pid, err)
	}
	l.create()
	l.must("start", "life")
	l.must("delete", "--force", "life")
	l.create()
	l.must("kill", "life", "9")
	l.stops()
	l.fails("has stopped", "start", "life")
	l.must("delete", "life")
}

// A process that has the number of one that is gone is not the container's.
func TestReusedPid(t *testing.T) {
	l := newLives(t)
	l.create()
	pid := l.state().Pid
	file := l.root + "/life/state.json"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(30 * time.Millisecond) // their births are told apart in clock ticks
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	forged := bytes.Replace(text, fmt.Appendf(nil, `"pid": %d`, pid), fmt.Appendf(nil, `"pid": %d`, other.Process.Pid), 1)
	if err := os.WriteFile(file, forged, 0o600); err != nil {
		t.Fatal(err)
	}
	if s := l.state(); s.Status != "stopped" || s.Pid != 0 {
		t.Errorf("the state is %+v", s)
	}
	l.fails("container not running", "kill", "life", "KILL")
	if os.Geteuid() != 0 { // without a control group nothing else leads to its process
		unix.Kill(pid, unix.SIGKILL)
	}
	l.must("delete", "--force", "life")
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("another process was killed: %v", err)
	}
	if os.Geteuid() == 0 {
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || bytes.Contains(stat, []byte(") Z")) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("process %d is still there", pid)
			}
		}
	}
}

// What a crash leaves can be listed beside others, is said by create, and removed.
func TestBroken(t *testing.T) {
	l := newLives(t)
	l.create()
	for _, broken := range []struct{ id, state string }{{"life-empty", ""}, {"life-cut", `{"version": 1, "id": "li`}, {"life-new", `{"version": 99}`}} {
		dir := l.root + "/" + broken.id
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if broken.state == "" {
			l.fails("not made completely", "state", broken.id)
			l.fails("not made completely", "delete", broken.id)
			l.fails("delete it with --force", "create", broken.id)
			if out := l.must("list"); !strings.Contains(out, "life ") || strings.Contains(out, broken.id) {
				t.Errorf("list prints\n%s", out)
			}
			l.must("delete", "--force", broken.id)
			continue
		}
		if err := os.WriteFile(dir+"/state.json", []byte(broken.state), 0o600); err != nil {
			t.Fatal(err)
		}
		l.fails("state.json", "state", broken.id)
		l.must("list")
		// What else there is of it, only the file knows: it is not thrown away.
		l.fails("state.json", "delete", "--force", broken.id)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	l.must("delete", "life")
}

// A create that is killed at any point leaves what can be read and removed.
func TestKilledCreate(t *testing.T) {
	l := newLives(t)
	statuses := map[string]int{}
	for range 60 {
		cmd := exec.Command(l.isorun, "--root", l.root, "create", "-b", l.dir, "life")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(8000)) * time.Microsecond)
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if _, err := os.Stat(l.root + "/life"); err != nil {
			statuses["none"]++
			l.must("delete", "--force", "life")
			continue
		}
		status := "half"
		if _, err := os.Stat(l.root + "/life/state.json"); err == nil {
			status = l.state().Status
		}
		statuses[status]++
		l.fails("already exists", "create", "life")
		l.must("delete", "--force", "life")
	}
	t.Logf("they were %v", statuses)
}

// Commands that meet.
func TestRaces(t *testing.T) {
	l := newLives(t)
	together := func(f ...func() error) (errs []error) {
		errs = make([]error, len(f))
		var wg sync.WaitGroup
		for i := range f {
			wg.Add(1)
			go func() { defer wg.Done(); errs[i] = f[i]() }()
		}
		wg.Wait()
		return errs
	}
	do := func(args ...string) func() error {
		return func() error { _, err := l.run(args...); return err }
	}
	for range 8 {
		errs := together(do("create", "life"), do("create", "life"))
		if (errs[0] == nil) == (errs[1] == nil) || !strings.Contains(errors.Join(errs...).Error(), "already exists") {
			t.Errorf("two creates: %v", errs)
		}
		errs = together(do("start", "life"), do("start", "life"))
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("two starts: %v", errs)
		}
		l.must("kill", "life", "KILL")
		l.stops()
		errs = together(do("delete", "life"), do("delete", "life"), do("delete", "--force", "life"))
		if errs[2] != nil {
			t.Errorf("a forced delete among others: %v", errs[2])
		}
		for _, err := range errs[:2] {
			if err != nil && !strings.Contains(err.Error(), "does not exist") {
				t.Errorf("two deletes: %v", err)
			}
		}
		l.create()
		errs = together(do("start", "life"), do("kill", "life", "KILL"))
		if errs[1] != nil {
			t.Errorf("kill against start: %v", errs[1])
		}
		l.stops()
		l.must("delete", "life")
	}
}

// A state directory that cannot be written to is said, and nothing is left.
func TestReadOnlyRoot(t *testing.T) {
	l := newLives(t)
	l.root = t.TempDir()
	if os.Geteuid() == 0 {
		if err := unix.Mount("isorun-test", l.root, "tmpfs", unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		defer unix.Unmount(l.root, unix.MNT_DETACH)
	} else if err := os.Chmod(l.root, 0o500); err != nil {
		t.Fatal(err)
	}
	l.fails("give another --root", "create", "life")
	l.fails("container does not exist", "state", "life")
	if out := l.must("list", "-q"); out != "" {
		t.Errorf("list prints %q", out)
	}
	l.root = "/proc/none"
	l.fails("give another", "create", "life")
}
