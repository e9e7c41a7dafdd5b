package follow

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// tracee is what the test binary does when it is the one that is followed.
const tracee = "tracee"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == tracee {
		os.Exit(act(os.Args[2]))
	}
	os.Exit(m.Run())
}

// act is the tracee.
func act(part string) int {
	switch part {
	case "threads": // each of four threads makes a call
		done := make(chan bool)
		for range 4 {
			go func() {
				runtime.LockOSThread()
				for range 5 {
					unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
				}
				done <- true
				select {} // the thread stays, so each has one of its own
			}()
		}
		for range 4 {
			<-done
		}
		return 0
	case "another": // a thread that is not the first executes
		done := make(chan error)
		runtime.LockOSThread()
		go func() {
			runtime.LockOSThread()
			unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
			done <- syscall.Exec("/bin/sh", []string{"sh", "-c", "exit 6"}, os.Environ())
		}()
		<-done
		return 1
	case "signal": // the signals that it sends itself arrive
		c := make(chan os.Signal, 8)
		signal.Notify(c, unix.SIGUSR1, unix.SIGUSR2)
		for _, s := range []syscall.Signal{unix.SIGUSR1, unix.SIGUSR2} {
			unix.Kill(os.Getpid(), s)
			if got := <-c; got != s {
				return 1
			}
		}
		return 8
	case "traceme":
		if _, _, errno := unix.RawSyscall(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0); errno != unix.EPERM {
			return 1
		}
		return 4
	}
	return 2
}

func needs(t *testing.T, what string, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("ISOPERF_MUST_RUN") == "1":
		t.Fatalf("this test needs %s: %v", what, err)
	default:
		t.Skipf("this test needs %s: %v", what, err)
	}
}

// bounded ends a test that hangs.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// options are those of a command, whose output goes nowhere.
func command(t *testing.T, args ...string) Options {
	t.Helper()
	path, err := exec.LookPath(args[0])
	needs(t, args[0], err)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	fd := int(null.Fd())
	return Options{Path: path, Args: args, Env: os.Environ(), Stdio: [3]int{fd, fd, fd}, Grace: 100 * time.Millisecond}
}

func followed(t *testing.T, o Options) *Record {
	t.Helper()
	r, err := Follow(bounded(t), o)
	if err != nil {
		t.Fatal(err)
	}
	sound(t, r)
	return r
}

// sound checks what holds for every record.
func sound(t *testing.T, r *Record) {
	t.Helper()
	for _, c := range r.Calls {
		p := r.Processes[c.Process]
		if c.Seen > c.Entered || c.Entered > c.Returned || c.Returned > c.Left || c.Born != 0 && (c.Born < c.Entered || c.Born > c.Returned) {
			t.Errorf("the instants of %s are not in order: %+v", c.Text, c)
		}
		if c.Seen < p.Born || c.Left > p.Died {
			t.Errorf("%s is not within the life of %s", c.Text, r.Lane(c.Process))
		}
	}
	for i, p := range r.Processes {
		if p.Born >= p.Died || p.Died > r.End {
			t.Errorf("%s was born at %d, died at %d; the tree ended at %d", r.Lane(i), p.Born, p.Died, r.End)
		}
		if i > 0 && (p.Parent < 0 || p.Parent >= i || r.Processes[p.Parent].Born > p.Born) {
			t.Errorf("%s has the parent %d", r.Lane(i), p.Parent)
		}
		for j := 1; j < len(p.Marks); j++ {
			if a, b := p.Marks[j-1], p.Marks[j]; a.At > b.At || a.CPU > b.CPU || a.Queue > b.Queue {
				t.Errorf("%s has a clock that goes back: %v, %v", r.Lane(i), a, b)
			}
		}
		if gone := unix.Kill(p.PID, 0); gone != unix.ESRCH && !zombie(p.PID) {
			t.Errorf("%s is still there", r.Lane(i))
		}
	}
	sum := 0.0
	for _, p := range r.Divide(0) {
		sum += p.Ns
	}
	if whole := float64(r.End - r.Start); sum < whole-1000 || sum > whole+1000 {
		t.Errorf("the phases last %.0f ns together, the whole %.0f", sum, whole)
	}
}

// zombie says whether a process is one, that its parent has not collected.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// names are those of the calls of one kind or more, in order.
func names(r *Record, kinds ...Kind) []string {
	var all []string
	for _, c := range r.Calls {
		if slices.Contains(kinds, c.Kind) && !strings.Contains(c.Text, "PR_SET_NAME") {
			all = append(all, c.Name)
		}
	}
	return all
}

// self is a copy of the test binary that every user may execute.
func self(t *testing.T) string {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "follow-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	copied := filepath.Join(dir, "follow.test")
	if err := os.WriteFile(copied, data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return copied
}

func checkStatus(t *testing.T, got program.Status, code int) {
	t.Helper()
	if got.ExitCode() != code {
		t.Errorf("the command ended with %v, want %d", got, code)
	}
}
