package mount

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"isoperf/bench/harness"
)

// TestMain runs the tests as an ordinary user's bench measures: inside a user
// namespace of which the user is root.
func TestMain(m *testing.M) {
	if os.Geteuid() == 0 {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(1, exit.ExitCode()))
	case err != nil:
		fmt.Fprintln(os.Stderr, "run the tests inside a user namespace:", err)
		os.Exit(1)
	}
}

// opened skips the test where the kernel refuses the case; where everything must
// run, that is a failure.
func opened(t *testing.T, c harness.Case) harness.Sampler {
	t.Helper()
	s, err := c.Open()
	var not harness.NotMeasured
	switch {
	case err == nil:
	case errors.As(err, &not) && os.Getenv("ISOPERF_MUST_RUN") != "1":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
	return s
}

// left is what a test must not leave: a stage's root, threads in other mount
// namespaces, children.
func left(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		t.Fatal(err)
	}
	namespaces, children := map[string]bool{}, ""
	for _, task := range tasks {
		if ns, err := os.Readlink(task + "/ns/mnt"); err == nil {
			namespaces[ns] = true
		}
		if list, err := os.ReadFile(task + "/children"); err == nil {
			children += string(list)
		}
	}
	return fmt.Sprintf("%d roots, %d mount namespaces held by %d descriptors, children %q",
		strings.Count(string(mounts), " - tmpfs isoperf rw,size=8192k"), len(namespaces), held(t), children)
}

// held counts the descriptors of namespaces and of /proc.
func held(t *testing.T) int {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && (strings.HasPrefix(to, "mnt:") || to == "/proc" || to == "/") {
			n++
		}
	}
	return n
}

// nothingLeft compares before and after the test.
func nothingLeft(t *testing.T) {
	t.Helper()
	before := left(t)
	t.Cleanup(func() {
		// A thread is gone a moment after it has ended.
		for range 100 {
			if left(t) == before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("before: %s; after: %s", before, left(t))
	})
}
