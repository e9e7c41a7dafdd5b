package seccomp_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// helperEnv makes a copy of the test binary the Go program that is run behind
// a filter.
const helperEnv = "ISOPERF_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		if err := helper(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("fine")
		os.Exit(0)
	}
	code := m.Run()
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		if text, err := os.ReadFile(list); err == nil && len(text) > 0 && code == 0 {
			fmt.Fprintf(os.Stderr, "the tests left processes behind: %s\n", text)
			code = 1
		}
	}
	os.Exit(code)
}

// helper does what Go programs do: threads, timers, signals for preemption,
// children, sockets, files.
func helper() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	if !strings.Contains(string(status), "\nSeccomp:\t2\n") {
		return fmt.Errorf("no filter is loaded:\n%s", status)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			runtime.LockOSThread()
			for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); {
				_ = make([]byte, 1<<16)
			}
			runtime.GC()
		})
	}
	wg.Wait()
	if err := exec.Command("/bin/sh", "-c", "exit 0").Run(); err != nil {
		return fmt.Errorf("run a child: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	if err := errors.Join(c.Close(), l.Close()); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(dir+"/file", []byte("x"), 0o600), os.Rename(dir+"/file", dir+"/other"), os.RemoveAll(dir))
}

// require skips the test unless cond holds; where everything must run, that is
// a failure.
func require(t testing.TB, cond bool, why string) {
	t.Helper()
	switch {
	case cond:
	case os.Getenv("ISOPERF_MUST_RUN") == "1":
		t.Fatalf("must run, but: %s", why)
	default:
		t.Skip(why)
	}
}

// requireKernel is require for what the kernel and its hypervisor decide, and nothing
// installs: only the machines of make test-vm must have it.
func requireKernel(t testing.TB, cond bool, why string) {
	t.Helper()
	if !cond && os.Getenv("ISOPERF_VM") != "1" {
		t.Skip(why)
	}
	require(t, cond, why)
}
