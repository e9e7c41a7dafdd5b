package program

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
)

// helperEnv names the helper that a copy of the test binary is to be.
const helperEnv = "ISOPERF_TEST_HELPER"

// helpers are what tests need a process of its own for: one that is killed,
// has other credentials, or gives away a limit for good. A helper that returns
// an error prints it and exits with 1.
func helpers() map[string]func(args []string) error {
	return map[string]func([]string) error{
		"clone-eagain": helpCloneEAGAIN,
		"clone-einval": helpCloneEINVAL,
		"clone-enospc": helpCloneENOSPC,
		"clone-enosys": helpCloneENOSYS,
		"clone-eperm":  helpCloneEPERM,
		"descriptors":  helpDescriptors,
		"die":          helpDie,
		"dumpable":     helpDumpable,
		"memory":       helpMemory,
		"parity":       helpParity,
		"user-program": helpUserProgram,
	}
}

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		if err := helpers()[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if left := children(); len(left) > 0 && code == 0 {
		fmt.Fprintf(os.Stderr, "the tests left processes behind: %v\n", left)
		code = 1
	}
	os.Exit(code)
}

// children are the processes that this one has not collected.
func children() []string {
	var all []string
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err == nil {
			all = append(all, strings.Fields(string(text))...)
		}
	}
	return all
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

func requireRoot(t testing.TB) {
	t.Helper()
	require(t, os.Geteuid() == 0, "it takes root")
}

func requireFile(t testing.TB, path string) {
	t.Helper()
	_, err := os.Stat(path)
	require(t, err == nil, "there is no "+path)
}

// ordinary is a user id that no one has.
const ordinary = 54321

// helper is a copy of the test binary.
func helper(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), helperEnv+"="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	cmd.Dir = "/"
	return cmd
}

// asOrdinary makes the command one of an ordinary user.
func asOrdinary(cmd *exec.Cmd) *exec.Cmd {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: ordinary, Gid: ordinary}
	}
	return cmd
}

// run runs a helper to its end and returns what it printed.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args[1:], err, out.String(), errs.String())
	}
	return out.String()
}

// footprint is what a process must not gain by starting children.
type footprint struct{ rss, maps, arenas, threads, fds int }

func measure(t testing.TB) footprint {
	t.Helper()
	f := footprint{rss: statusField(t, "self", "VmRSS"), threads: statusField(t, "self", "Threads")}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(maps)), "\n") {
		f.maps++
		low, _, _ := strings.Cut(line, "-")
		if addr, err := strconv.ParseUint(low, 16, 64); err == nil && addr >= arenaBase && addr < arenaLimit {
			f.arenas++
		}
	}
	f.fds = len(descriptorsOf(t, "self"))
	return f
}

// descriptorsOf are the numbers and files of a process's open descriptors.
func descriptorsOf(t testing.TB, pid string) []string {
	t.Helper()
	dir := "/proc/" + pid + "/fd/"
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range list {
		// The directory's own descriptor is gone by now.
		if link, err := os.Readlink(dir + entry.Name()); err == nil {
			names = append(names, entry.Name()+" "+link)
		}
	}
	return names
}

// statusField is a number in /proc/PID/status; sizes are in KiB.
func statusField(t testing.TB, pid, name string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("/proc/%s/status has no %s", pid, name)
	return 0
}

// eventually waits up to ten seconds for a condition.
func eventually(cond func() bool) bool {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if cond() {
			return true
		}
	}
	return cond()
}

// eachMode runs a test in each mode.
func eachMode(t *testing.T, f func(t *testing.T, mode Mode)) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) { f(t, mode) })
	}
}

// start starts a program, and ends and collects its process with the test.
func start(t testing.TB, p *Program) *Process {
	t.Helper()
	proc, err := Start(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = proc.Signal(syscall.SIGKILL) // it may have ended
		_, _ = proc.Wait()
		proc.Release()
	})
	return proc
}

// mustExit waits for a process that has to exit with a status and without an
// op that failed.
func mustExit(t testing.TB, proc *Process, code int) {
	t.Helper()
	status, err := proc.Wait()
	if err != nil || status.Signal != 0 || status.Code != code {
		t.Fatalf("the process ended with %v, %v; want exit status %d", status, err, code)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
