package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"isorun": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// busybox DIR copies it there.
			"busybox": func(ts *testscript.TestScript, _ bool, args []string) {
				path, err := exec.LookPath("busybox")
				ts.Check(err)
				text, err := os.ReadFile(path)
				ts.Check(err)
				ts.Check(os.WriteFile(ts.MkAbs(args[0])+"/busybox", text, 0o755))
			},
			// nothing-left: no control group of this test is there any more.
			"nothing-left": func(ts *testscript.TestScript, _ bool, _ []string) {
				left, err := filepath.Glob("/sys/fs/cgroup/*/isoperf-*-one")
				ts.Check(err)
				if len(left) > 0 {
					ts.Fatalf("left behind: %v", left)
				}
			},
		},
	})
}

// isorun stays lean: nothing of the profiler is linked into it.
func TestLean(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		for _, heavy := range []string{"isoperf/bench", "isoperf/reports", "gonum.org", "github.com/spf13/cobra", "tablewriter", "net/http", "encoding/json", "github.com/vishvananda", "github.com/moby/profiles", "github.com/coreos", "isoperf/runtime/network\n", "isoperf/runtime/spec/command"} {
			if strings.HasPrefix(dep, heavy) {
				t.Errorf("isorun imports %s", dep)
			}
		}
	}
}

// A signal to isorun reaches the command, and its end is isorun's.
func TestSignals(t *testing.T) {
	dir := t.TempDir()
	bin := dir + "/isorun"
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(bin, "unshare", "-n", "user,uts", "--", "sh", "-c", "trap 'exit 42' TERM; echo ready; while :; do sleep 0.01; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 42 {
		t.Errorf("exit status %d, want 42", code)
	}
}
