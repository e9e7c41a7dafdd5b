package startup

import (
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// onThread runs f on a thread that stays until the test ends and is not the
// process's first one.
func onThread(t *testing.T, f func()) {
	t.Helper()
	done, end := make(chan bool), make(chan struct{})
	for {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			first := unix.Gettid() == unix.Getpid()
			if !first {
				f()
			}
			done <- !first
			<-end
		}()
		if <-done {
			t.Cleanup(func() { close(end) })
			return
		}
	}
}

// An orphan comes to the list that is looked at, whichever thread has started
// its parent; a child that another thread has started does not, and is spared
// when orphans are ended.
func TestAdopted(t *testing.T) {
	if _, err := bench(t, Config{}).open(); err != nil { // orphans come to this process now
		t.Fatal(err)
	}
	known, err := adopted()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sleep", "300")
	var text []byte
	var cerr, oerr error
	onThread(t, func() {
		cerr = child.Start()
		sh := exec.Command("sh", "-c", "setsid sleep 300 >/dev/null 2>&1 & echo $!")
		var out io.ReadCloser
		if out, oerr = sh.StdoutPipe(); oerr != nil {
			return
		}
		if oerr = sh.Start(); oerr != nil {
			return
		}
		if text, oerr = io.ReadAll(out); oerr == nil {
			oerr = sh.Wait()
		}
	})
	if cerr != nil || oerr != nil {
		t.Fatal(cerr, oerr)
	}
	defer func() {
		if err := child.Process.Kill(); err != nil {
			t.Errorf("the child of another thread was ended: %v", err)
		}
		if err := child.Wait(); err == nil || child.ProcessState == nil {
			t.Errorf("the child of another thread was reaped by somebody else: %v", err)
		}
	}()
	orphan, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	left, err := awaitOrphans(known, 10*time.Millisecond)
	if err != nil || !slices.Equal(left, []int{orphan}) {
		t.Errorf("left are %v, %v; want the orphan %d", left, err, orphan)
	}
	if err := endOrphans(known); err != nil {
		t.Error(err)
	}
	if err := unix.Kill(orphan, 0); err != unix.ESRCH {
		t.Errorf("the orphan is still there: %v", err)
	}
	if left, err = awaitOrphans(known, 0); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
