package foreground

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAgain: a process can run many containers, and keeps nothing of them.
func TestAgain(t *testing.T) {
	requireContainers(t)
	cmd := exec.Command("/proc/self/exe", "again")
	cmd.Env = append(os.Environ(), helperEnv+"=1", noSleep)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// partAgain runs containers one after the other in one process, and says when
// its descriptors or threads grow.
func partAgain([]string) error {
	runtime.LockOSThread()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return -1
		}
		return len(entries)
	}
	before := 0
	for i := range 40 {
		c := box(i%4 == 3, "exit", "0")
		c.Init = i%2 == 0
		if err := c.Check(); err != nil {
			return err
		}
		result, err := Run(c, Options{In: null, Out: null, Err: null})
		if err != nil || !result.Status.Success() {
			return errors.Join(err, fmt.Errorf("run %d ended with %v", i, result.Status))
		}
		result.Container.Release()
		if i == 7 {
			before = count()
		}
	}
	if after := count(); after > before {
		return fmt.Errorf("%d descriptors, then %d", before, after)
	}
	return handlers(null)
}

// handlers says when SIGTERM is caught after a run, and should not be; or should,
// after the final one.
func handlers(null *os.File) error {
	for _, c := range []struct{ final, fails, after bool }{{}, {final: true, fails: true}, {final: true, after: true}} {
		b := box(false, "exit", "0")
		if c.fails {
			b.Process.Args[0] = "/nowhere"
		}
		if err := b.Check(); err != nil {
			return err
		}
		_, err := Run(b, Options{In: null, Out: null, Err: null, Final: c.final})
		if failed := err != nil; failed != c.fails {
			return errors.Join(fmt.Errorf("run %+v failed: %v", c, failed), err)
		}
		var now action
		if err := sigaction(int(unix.SIGTERM), nil, &now); err != nil {
			return err
		}
		if caught := now.handler == handlerEntry(); caught != c.after {
			return fmt.Errorf("after run %+v SIGTERM is caught: %v", c, caught)
		}
	}
	return nil
}
