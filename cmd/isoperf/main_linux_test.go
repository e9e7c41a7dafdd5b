package main

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

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"isoperf/runtime/trace/record"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"isoperf": main})
}

func TestScripts(t *testing.T) {
	isorun := filepath.Join(t.TempDir(), "isorun")
	build := exec.Command("go", "build", "-ldflags", "-R 0x200000 -E isoperf/runtime/program/inherit.entry", "-o", isorun, "isoperf/cmd/isorun")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		// Where isorun is found: in PATH.
		Setup: func(e *testscript.Env) error {
			bin := filepath.Join(e.WorkDir, "installed")
			e.Setenv("PATH", bin+":"+e.Getenv("PATH"))
			if err := os.Mkdir(bin, 0o755); err != nil {
				return err
			}
			return os.Link(isorun, filepath.Join(bin, "isorun"))
		},
		Cmds:      map[string]func(*testscript.TestScript, bool, []string){"add-ops": addOps},
		Condition: func(cond string) (bool, error) { return cond == "root" && os.Geteuid() == 0, nil },
	})
}

// addOps is "add-ops FILE FIRST END…": it adds a child's ops to a timeline.
func addOps(ts *testscript.TestScript, _ bool, args []string) {
	var at []int64
	for _, word := range args[1:] {
		n, err := strconv.ParseInt(word, 10, 64)
		ts.Check(err)
		at = append(at, n)
	}
	name := ts.MkAbs(args[0])
	text, err := os.ReadFile(name)
	ts.Check(err)
	ts.Check(os.WriteFile(name, record.AppendOps(text, at[0], at[1:]), 0o644))
}

// isoperf builds the program, so that it can be started as other users and
// killed.
func isoperf(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "isoperf-test-") // where every user may go
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "isoperf")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// startBench starts a long bench and returns when its file has samples.
func startBench(t *testing.T, bin string, out string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(bin, "bench", "clone", "--samples", "5000", "--out", out)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if data, err := os.ReadFile(out); err == nil && bytes.Count(data, []byte("\nBenchmark")) > 200 {
			return cmd, &text
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	t.Fatalf("there are no samples after 30 s:\n%s", text.String())
	return nil, nil
}

// A run that is killed leaves a file that report reads, with a note; and no
// process that it started.
func TestKilled(t *testing.T) {
	adopts(t)
	bin := isoperf(t)
	out := filepath.Join(filepath.Dir(bin), "r.txt")
	cmd, _ := startBench(t, bin, out)
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	before, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(bin, "report", out).CombinedOutput()
	if err != nil || !strings.Contains(string(text), "the end is missing") || !strings.Contains(string(text), "none (base)") {
		t.Errorf("report: %v\n%s", err, text)
	}
	if text, err := exec.Command(bin, "report", out, "--dir", filepath.Dir(bin)+"/report").CombinedOutput(); err != nil || !strings.Contains(string(text), "the end is missing") {
		t.Errorf("report --dir: %v\n%s", err, text)
	}
	if after, err := os.ReadFile(out); err != nil || !bytes.Equal(before, after) {
		t.Error("report changed the file")
	}
	noneLeft(t)
}

// A run that is interrupted ends in order.
func TestInterrupted(t *testing.T) {
	adopts(t)
	bin := isoperf(t)
	out := filepath.Join(filepath.Dir(bin), "r.txt")
	cmd, text := startBench(t, bin, out)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(text.String(), "interrupted") {
		t.Errorf("exit status %d\n%s", code, text.String())
	}
	data, err := os.ReadFile(out)
	if err != nil || !bytes.Contains(data, []byte(`# end {"why":"interrupted"`)) {
		t.Errorf("the file has no end: %v", err)
	}
	noneLeft(t)
}

// A full disk ends the run with a message; what was written before is read.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "mounting a small tmpfs takes root")
	}
	bin := isoperf(t)
	dir := filepath.Dir(bin)
	script := "mount -t tmpfs -o size=32k tmpfs " + dir + "/disk && " +
		bin + " bench clone/flag=none --samples 5000 --out " + dir + "/disk/r.txt; code=$?; cp " + dir + "/disk/r.txt " + dir + "; exit $code"
	if err := os.Mkdir(filepath.Join(dir, "disk"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	text, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != exitUsage || !strings.Contains(string(text), "no space left on device") {
		t.Errorf("exit status %d\n%s", cmd.ProcessState.ExitCode(), text)
	}
	if text, err := exec.Command(bin, "report", filepath.Join(dir, "r.txt")).CombinedOutput(); err != nil || !strings.Contains(string(text), "the end is missing") {
		t.Errorf("report: %v\n%s", err, text)
	}
}

// skip ends a test that cannot run here; where all must run, it fails.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("ISOPERF_MUST_RUN") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// adopts makes this process the parent of what its children leave behind, so
// that it is told from what others run on the machine.
func adopts(t *testing.T) {
	t.Helper()
	set := func(on uintptr) error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, on, 0, 0, 0) }
	if err := set(1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set(0); err != nil {
			t.Error(err)
		}
	})
}

// noneLeft fails when a process outlives the isoperf that started it. They are
// this process's now; see adopts.
func noneLeft(t *testing.T) {
	t.Helper()
	var left []string
	if !eventually(func() bool {
		left = nil
		for _, pid := range descendants(os.Getpid()) {
			if state := statusLine(pid, "State"); state != "" && !strings.HasPrefix(state, "Z") {
				left = append(left, fmt.Sprintf("%d (%s)", pid, statusLine(pid, "Name")))
			}
		}
		return left == nil
	}) {
		t.Errorf("processes are left: %v", left)
	}
}

// A program that may only be executed cannot be laid out in the page cache anew:
// it is measured as it lies, and that is said.
func TestExecuteOnly(t *testing.T) {
	bin := isoperf(t)
	program := filepath.Join(filepath.Dir(bin), "secret")
	text, err := os.ReadFile("/bin/true")
	if err == nil {
		err = os.WriteFile(program, text, 0o111)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "ab", "--base", "true", "--head", program, "--time", "100ms", "--out", program+".d", "--inconclusive", "pass")
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	cmd.Dir = filepath.Dir(bin)
	said, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "warning: lay out \""+program+"\" in the page cache anew: open "+program+": permission denied") {
		t.Errorf("%v\n%s", err, said)
	}
}

// An ordinary user gets the whole table, inside one user namespace.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("this test is run by an ordinary user itself")
	}
	bin := isoperf(t)
	out := filepath.Join(filepath.Dir(bin), "r.txt")
	cmd := exec.Command(bin, "bench", "clone", "--samples", "6", "--quick", "--out", out)
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	cmd.Dir = filepath.Dir(bin)
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, want := range []string{"inside a user namespace", "net  ", "all  "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing:\n%s", want, text)
		}
	}
	data, err := os.ReadFile(out)
	if err != nil || !bytes.Contains(data, []byte("privilege: userns\n")) || bytes.Contains(data, []byte("\n# failed")) || bytes.Contains(data, []byte("\n# not-measured")) {
		t.Errorf("the file: %v\n%s", err, data)
	}
}
