package startup

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// measuring is a run of isoperf bench startup, and the process in it that
// measures.
type measuring struct {
	*exec.Cmd
	inner int
	said  bytes.Buffer
	tmp   string // its directory for what is temporary
}

// measure starts one, and returns when up says that a start is under way.
func measure(t *testing.T, up func() bool, args ...string) *measuring {
	t.Helper()
	m := &measuring{tmp: t.TempDir()}
	args = append([]string{"bench", "startup", "--samples", "3", "--out", filepath.Join(t.TempDir(), "r.txt")}, args...)
	m.Cmd = exec.Command(filepath.Join(built, "isoperf"), args...)
	m.Env = append(os.Environ(), "TMPDIR="+m.tmp)
	m.Stdout, m.Stderr = &m.said, &m.said
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	if !eventually(up) {
		_ = m.Process.Signal(os.Interrupt)
		_ = m.Wait()
		t.Fatalf("no start hangs: %s", m.said.String())
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", m.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, _ := os.ReadFile(f)
		for _, word := range strings.Fields(string(text)) {
			m.inner, _ = strconv.Atoi(word)
		}
	}
	if m.inner == 0 {
		t.Fatal("isoperf measures without a guard")
	}
	return m
}

// eventually waits until something is so.
func eventually(so func() bool) bool {
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(10 * time.Millisecond) {
		if so() {
			return true
		}
	}
	return false
}

// left are the files that a run has left.
func (m *measuring) left(t *testing.T) (paths []string) {
	t.Helper()
	name := containersOf(m.inner)
	for _, pattern := range []string{m.tmp + "/*", "/sys/fs/cgroup/*/*" + name + "*", "/sys/fs/cgroup/*" + name + "*", "/sys/fs/cgroup/*/*/*" + name + "*", "/run/*/" + name + "*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	return paths
}

// gone says whether a process has ended; a zombie has.
func gone(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return err != nil || strings.HasPrefix(rest, "Z")
}

// Whichever of its two processes is killed, nothing of what isoperf has started
// stays: not the runtime, not what that has put into sessions of its own.
func TestKilled(t *testing.T) {
	for _, guard := range []bool{false, true} {
		config, dir := fake(t, `case " $* " in *' --version '*) echo fake 1; exit;; *' delete '*) exit;; esac
if [ $(number) = 3 ]; then `+sleepers+`fi
start "$@"
`)
		m := measure(t, func() bool { return len(numbers(dir)) == 3 && len(asleep(t, dir)) == 3 }, "--runtime", "fake="+config.Runtimes[0].Path)
		victim := m.inner
		if guard {
			victim = m.Process.Pid
		}
		if err := unix.Kill(victim, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := m.Wait(); err == nil {
			t.Error("a run that was killed has succeeded")
		}
		if guard && !eventually(func() bool { return gone(m.inner) }) {
			t.Fatalf("process %d measures on without its guard", m.inner)
		}
		if left := asleep(t, dir); len(left) > 0 {
			t.Errorf("guard killed: %v; the processes %v are still there\n%s", guard, left, m.said.String())
		}
		if left := m.left(t); len(left) > 0 {
			t.Errorf("guard killed: %v; left behind: %q", guard, left)
		}
	}
}

// numbers are those that a script has written.
func numbers(dir string) []string {
	text, _ := os.ReadFile(filepath.Join(dir, "pids"))
	return strings.Fields(string(text))
}

// The container of a runtime that has a parent of its own, or none, goes too.
func TestKilledWithContainer(t *testing.T) {
	root := t.TempDir()
	for dir := filepath.Dir(root); len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sleeper := fmt.Sprintf("sleeper-%d", os.Getpid())
	compile(t, filepath.Join(root, sleeper), `package main
import "time"
func main() { time.Sleep(5 * time.Minute) }
`)
	for _, runtime := range []string{"isorun", "runc", "crun", "bwrap"} {
		t.Run(runtime, func(t *testing.T) {
			if p := peerNamed(runtime); p.locate == nil {
				if _, err := exec.LookPath(runtime); err != nil {
					skip(t, runtime+" is not installed")
				}
			}
			if !asRoot() && runtime != "bwrap" {
				skip(t, "it takes root to start this runtime in a group")
			}
			m := measure(t, func() bool { return len(running(sleeper)) > 0 }, "--runtime", runtime, "--rootfs", root, "--exec", "/"+sleeper)
			if err := unix.Kill(m.inner, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if err := m.Wait(); err == nil {
				t.Error("a run that was killed has succeeded")
			}
			if left := running(sleeper); len(left) > 0 {
				t.Errorf("the processes %v are still there\n%s", left, m.said.String())
			}
			if left := m.left(t); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// running are the processes whose first argument ends in a name.
func running(name string) (pids []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		text, _ := os.ReadFile(f)
		if first, _, _ := strings.Cut(string(text), "\x00"); strings.HasSuffix(first, "/"+name) {
			pids = append(pids, filepath.Base(filepath.Dir(f)))
		}
	}
	return pids
}

// compile builds a program of one file.
func compile(t *testing.T, path, source string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-ldflags", "-s", "-o", path, file)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("ISOPERF_MUST_RUN") == "1" {
		t.Fatalf("must run, but: %s", why)
	}
	t.Skip(why)
}

// asOrdinary names, in the environment, the program that ordinaryUser is to
// start.
const asOrdinary = "ISOPERF_TEST_SET_USER_ID"

// stuckProgram answers to --version, and hangs when it is to run, with every
// user id changed to that of its owner.
const stuckProgram = `package main
import ("fmt"; "os"; "syscall"; "time")
func main() {
	if len(os.Args) > 1 && os.Args[1] == "--version" { fmt.Println("stuck 1"); return }
	if err := syscall.Setresuid(0, 0, 0); err != nil { fmt.Println(err); os.Exit(1) }
	time.Sleep(5 * time.Minute)
}
`

// A start that has made itself root's and hangs cannot be killed by the user who
// measures: that is said, with its number and what to do, when its time is up,
// and the run does not wait for it. The same of one that is left as an orphan,
// and of one that does not answer.
func TestSetUserID(t *testing.T) {
	if !asRoot() {
		skip(t, "it takes root to make a set-user-ID program")
	}
	path := filepath.Join(built, "stuck")
	compile(t, path, stuckProgram)
	if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	guard, err := NewGuard()
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	for dir := tmp; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(tmp, ordinary, ordinary); err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(built, "test")
	if err := os.Link("/proc/self/exe", self); err != nil {
		text, rerr := os.ReadFile("/proc/self/exe")
		if rerr != nil {
			t.Fatal(rerr)
		}
		if err := os.WriteFile(self, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, how := range []string{"start", "orphan", "answer"} {
		cmd := exec.Command(self, how)
		cmd.Env = []string{asOrdinary + "=" + path, "TMPDIR=" + tmp, "PATH=" + os.Getenv("PATH")}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinary, Gid: ordinary}}
		out, err := cmd.CombinedOutput()
		pids := running("stuck")
		if err != nil || len(pids) != 1 {
			t.Fatalf("%s: %v, running: %v\n%s", how, err, pids, out)
		}
		for _, want := range []string{"kill process " + pids[0] + " (stuck)", "not permitted", "as root", "kill -9 " + pids[0]} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: %q is not in %s", how, want, out)
			}
		}
		if err := endOrphans(guard.known); err != nil { // we are root
			t.Fatal(err)
		}
	}
	if err := guard.Clear(os.Getpid()); err != nil {
		t.Error(err)
	}
}

// ordinaryUser is what the test above starts.
func ordinaryUser(how, path string) error {
	w, err := newWorld(Config{})
	if err != nil {
		return err
	}
	switch how {
	case "orphan":
		known, err := adopted()
		if err != nil {
			return err
		}
		if err := exec.Command("/bin/sh", "-c", `"$0" x >/dev/null 2>&1 & exec sleep 0.2`, path).Run(); err != nil {
			return err
		}
		fmt.Println(endOrphans(known))
		return nil
	case "answer":
		_, err := answer(100*time.Millisecond, nil, nil, path, "x")
		fmt.Println(err)
		return nil
	}
	told := make(chan error, 1)
	b := New(Config{Runtimes: []Choice{{Name: "stuck", Path: path}}, within: 200 * time.Millisecond, Stuck: func(err error) { told <- err }})
	b.once.Do(func() { b.world = w })
	w.config = b.config
	go func() {
		_, err := b.Cases(few)[0].Open()
		told <- fmt.Errorf("it came back: %w", err)
	}()
	fmt.Println(<-told)
	return os.RemoveAll(w.dir)
}

// What is swept is a dead run's own directory: what somebody else has at the other
// end of a mount in it stays.
func TestSweepUnmounts(t *testing.T) {
	if !asRoot() {
		skip(t, "it takes root to mount")
	}
	child := exec.Command("true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-x y", prefix, child.Process.Pid), "root")
	theirs := t.TempDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(theirs, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second one covers the first
		if err := unix.Mount(theirs, dir, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }() // it is gone, or the test has failed
	}
	if err := sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(theirs, "file")); err != nil {
		t.Errorf("what was mounted there has lost its file: %v", err)
	}
}
