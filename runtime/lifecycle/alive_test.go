package lifecycle

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/state"
)

const helper = "ISOPERF_TEST_FIRST_THREAD"

// As a helper, the first thread ends, and the others go on.
func init() {
	if os.Getenv(helper) == "" {
		return
	}
	runtime.LockOSThread() // init runs on the first
	go func() { time.Sleep(time.Minute); os.Exit(0) }()
	_, _, _ = syscall.RawSyscall(unix.SYS_EXIT, 0, 0, 0) // does not return
}

// A process whose first thread has ended is alive while there are others.
func TestFirstThreadEnds(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helper+"=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid, zombie, start := cmd.Process.Pid, false, uint64(0)
	for end := time.Now().Add(10 * time.Second); !zombie && time.Now().Before(end); time.Sleep(time.Millisecond) {
		var err error
		if start, zombie, _, err = born(pid); err != nil {
			t.Fatal(err)
		}
	}
	if !zombie || !alive(pid, start) {
		t.Errorf("the first thread has ended: %v, alive %v; want both", zombie, alive(pid, start))
	}
	if alive(pid, start+1) {
		t.Error("another process is taken for it")
	}
	_ = cmd.Process.Kill()
	for end := time.Now().Add(10 * time.Second); alive(pid, start); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a process that was killed is alive")
		}
	}
	_ = cmd.Wait() // it was killed
}

// What leads to a control group that is left is kept.
func TestUndo(t *testing.T) {
	r := state.Root(t.TempDir())
	for _, c := range []struct {
		err  error
		kept bool
	}{
		{unix.ENOENT, false},
		{errors.Join(unix.ENOENT, &cgroup.LeftError{Err: unix.EBUSY}), true},
		{fmt.Errorf("create: %w", &cgroup.LeftError{Err: unix.EBUSY}), true},
	} {
		e, err := r.Create("x")
		if err != nil {
			t.Fatal(err)
		}
		if got := undo(e, c.err); !errors.Is(got, c.err) {
			t.Errorf("%v became %v", c.err, got)
		}
		_, err = os.Stat(e.Dir())
		if kept := err == nil; kept != c.kept {
			t.Errorf("%v: kept %v, want %v", c.err, kept, c.kept)
		}
		if c.kept {
			if err := e.Remove(); err != nil {
				t.Error(err)
			}
		}
		e.Close()
	}
}

// Nothing is written through a link that waits beside the pid file.
func TestPidFileLink(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(dir+"/precious", []byte("text"), 0o600), os.Symlink("precious", dir+"/.pid")); err != nil {
		t.Fatal(err)
	}
	if err := writePidFile(dir+"/pid", 42); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"precious": "text", "pid": "42"} {
		if text, err := os.ReadFile(dir + "/" + name); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v; want %q", name, text, err, want)
		}
	}
	if st, err := os.Lstat(dir + "/pid"); err != nil || !st.Mode().IsRegular() {
		t.Errorf("the pid file: %v, %v", st, err)
	}
}
