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
		for _, heavy := range []string{"isoperf/bench", "isoperf/reports", "gonum.org", "github.com/spf13/cobra", "tablewriter", "net/http", "encoding/json", "net\n", "github.com/spf13/pflag", "github.com/vishvananda", "github.com/moby/profiles", "github.com/coreos", "isoperf/runtime/network\n", "isoperf/runtime/spec/command"} {
			if strings.HasPrefix(dep, heavy) {
				t.Errorf("isorun imports %s", dep)
			}
		}
	}
}

// A signal to isorun reaches the command, and its end is isorun's.
func TestSignals(t *testing.T) {
	bin := binary(t)
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

// binary is isorun as it is installed: it begins before the Go runtime does.
func binary(t *testing.T) string {
	t.Helper()
	bin := t.TempDir() + "/isorun"
	build := exec.Command("go", "build", "-ldflags", "-E isoperf/runtime/program/inherit.entry", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// look prints what the entry changes for isorun, and must not for a command.
const look = `grep -E '^(Cpus_allowed|SigBlk|SigIgn):' /proc/self/status; cat /proc/self/timerslack_ns; ulimit -S -n; ulimit -H -n; ls /proc/self/fd | wc -l`

// The command has the processors, timer slack and limits that isorun was started
// with.
func TestBirth(t *testing.T) {
	bin := binary(t)
	limited := func(argv ...string) string {
		cmd := exec.Command("sh", append([]string{"-c", `ulimit -S -n 99; exec "$@"`, "sh"}, argv...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	want := limited("sh", "-c", look)
	if got := limited(bin, "unshare", "-n", "user,uts", "--", "sh", "-c", look); got != want {
		t.Errorf("the command has\n%swant\n%s", got, want)
	}
}

// The namespaces that are made beside the start are those of the container.
func TestSpareNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		return // an ordinary user's container has a user namespace, and its own in there
	}
	bin, bundle := binary(t), t.TempDir()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"rootfs", "rootfs/proc"} {
		if err := os.Mkdir(filepath.Join(bundle, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(busybox)
	if err == nil {
		err = os.WriteFile(bundle+"/rootfs/busybox", text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	run := func(namespaces string, args ...string) string {
		config := fmt.Sprintf(`{"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "process": {"cwd": "/", "noNewPrivileges": true,
			"args": ["/busybox", "sh", "-c", "for n in net uts ipc; do /busybox readlink /proc/self/ns/$n; done"]},
			"mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}], "linux": {"namespaces": [%s]}}`, namespaces)
		if err := os.WriteFile(bundle+"/config.json", []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(bin, append([]string{"run", "-b", bundle}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	ours := map[string]string{}
	for _, name := range []string{"net", "uts", "ipc"} {
		if ours[name], err = os.Readlink("/proc/self/ns/" + name); err != nil {
			t.Fatal(err)
		}
	}
	most := `{"type": "mount"}, {"type": "pid"}, {"type": "network"}, {"type": "uts"}`
	plan := run(most, "--plan", "spare")
	if !strings.Contains(plan, "unshare(CLONE_NEWNET|CLONE_NEWUTS), in a process beside the start of Go") {
		t.Errorf("the plan does not tell of the namespaces:\n%s", plan)
	}
	for i, line := range strings.Fields(run(most, "spare")) {
		name := []string{"net", "uts", "ipc"}[i]
		if same := line == ours[name]; same != (name == "ipc") {
			t.Errorf("the container's %s namespace is %s, this one's is %s", name, line, ours[name])
		}
	}
	if out := strings.Fields(run(`{"type": "mount"}`, "spare")); len(out) != 3 || out[0] != ours["net"] || out[1] != ours["uts"] {
		t.Errorf("without namespaces the container has %v, want %v", out, ours)
	}
}
