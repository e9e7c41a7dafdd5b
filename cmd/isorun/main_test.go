package main

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program/inherit/inherittest"
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
	if bin := os.Getenv(binaryEnv); bin != "" {
		return bin
	}
	if os.Getenv("ISOPERF_VM") == "1" { // there is no Go, and what was built is there
		bin, err := exec.LookPath("isorun")
		if err != nil {
			t.Fatal(err)
		}
		return bin
	}
	text, err := built()
	bin := t.TempDir() + "/isorun"
	if err == nil {
		err = os.WriteFile(bin, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// built is isorun's binary, linked once for all tests.
var built = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "isorun")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-ldflags", "-R 0x200000 -E isoperf/runtime/program/inherit.entry", "-o", dir+"/isorun", ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return os.ReadFile(dir + "/isorun")
})

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

// One that was closed is /dev/null, and nothing of the runtime's own.
func TestClosed(t *testing.T) {
	b := newBundle(t)
	if err := inherittest.SlowFrom(b.isorun, math.MaxInt64); err != nil { // namespaces are made beside its start
		t.Fatal(err)
	}
	for _, namespaces := range []string{`{"type": "mount"}, {"type": "pid"}`, `{"type": "mount"}, {"type": "pid"}, {"type": "network"}, {"type": "ipc"}`} {
		for fd := range 3 {
			b.write(namespaces, fmt.Sprintf("for i in 0 1 2; do [ -c /proc/self/fd/$i ] || exit 3$i; done; [ ! -e /proc/self/fd/3 ] || [ ! -d /proc/self/fd/3/ ] || exit 40; exit 5%d", fd))
			for range 40 {
				script := fmt.Sprintf(`exec </dev/null >/dev/null 2>/dev/null; exec %d>&-; exec "$@"`, fd)
				cmd := exec.Command("sh", "-c", script, "sh", b.isorun, "run", "-b", b.dir, "closed")
				_ = cmd.Run() // the status tells
				if code := cmd.ProcessState.ExitCode(); code != 50+fd {
					t.Fatalf("%s without descriptor %d: status %d", namespaces, fd, code)
				}
			}
		}
	}
}

// A limit on the size of files is one on the memory for a program, too.
func TestFileSize(t *testing.T) {
	b := newBundle(t)
	b.write(`{"type": "mount"}, {"type": "pid"}`, "ulimit -f")
	out, err := exec.Command("sh", "-c", `ulimit -f 128; exec "$@"`, "sh", b.isorun, "run", "-b", b.dir, "size").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "128" {
		t.Errorf("%q, %v; want a limit of 128 blocks", out, err)
	}
}

// Whoever made the namespaces is not left, whether they were needed or not.
func TestNobodyLeft(t *testing.T) {
	b := newBundle(t)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	children := func(pid int) string {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	for _, args := range [][]string{{"run", "--help"}, {"run", "-b", "/none", "x"}, {"run"}, {"run", "-b", b.dir, "--plan", "x"}} {
		b.write(`{"type": "mount"}`, "exit 0")
		_ = exec.Command(b.isorun, args...).Run() // most are wrong
		time.Sleep(20 * time.Millisecond)
		lists, _ := filepath.Glob("/proc/self/task/*/children")
		for _, list := range lists {
			if text, _ := os.ReadFile(list); len(text) > 0 {
				t.Errorf("%v leaves the processes %s", args, text)
			}
		}
	}
	for _, namespaces := range []string{
		`{"type": "mount"}`, `{"type": "mount"}, {"type": "network"}`, `{"type": "user"}, {"type": "mount"}, {"type": "pid"}, {"type": "network"}`,
	} {
		b.write(namespaces, "echo ready; read line; exit 0")
		cmd := exec.Command(b.isorun, "run", "-b", b.dir, "left")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 6)); err != nil {
			t.Fatalf("%s: %v", namespaces, err)
		}
		if list := strings.Fields(children(cmd.Process.Pid)); len(list) != 1 {
			t.Errorf("%s: the children are %v, want the container", namespaces, list)
		}
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", cmd.Process.Pid))
		for _, fd := range fds {
			if link, _ := os.Readlink(fd); strings.HasPrefix(link, "net:") || strings.HasPrefix(link, "uts:") || strings.HasPrefix(link, "ipc:") {
				t.Errorf("%s: isorun has %s open", namespaces, link)
			}
		}
		in.Close()
		_ = cmd.Wait()
	}
}

// A command follows the cpuset that it is in when that grows.
func TestCpuset(t *testing.T) {
	const root = "/sys/fs/cgroup/cpuset"
	if _, err := os.Stat(root + "/cpuset.cpus"); err != nil || os.Geteuid() != 0 {
		return // version 2, or an ordinary user, has none to make here
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil || set.Count() < 2 {
		return // with one CPU there is nothing to see
	}
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir := fmt.Sprintf("%s/isorun-test-%d", root, os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	write(dir+"/cpuset.cpus", "1")
	write(dir+"/cpuset.mems", "0")
	cmd := exec.Command("sh", "-c", `echo 0 > "$0/tasks"; exec "$@"`, dir, binary(t), "unshare", "-n", "uts", "--", "sh", "-c",
		"grep Cpus_allowed_list /proc/self/status; read line; grep Cpus_allowed_list /proc/self/status")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	for _, want := range []string{"1", "0-1"} {
		line, err := out.ReadString('\n')
		if got := strings.Fields(line); err != nil || len(got) != 2 || got[1] != want {
			t.Errorf("the CPUs are %v, %v; want %s", got, err, want)
		}
		write(dir+"/cpuset.cpus", "0-1")
		in.Close()
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// The namespaces that are made beside the start are those of the container, and
// where none are, it has its own as well.
func TestSpareNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		return // an ordinary user's container has a user namespace, and its own in there
	}
	b := newBundle(t)
	run := func(namespaces string, args ...string) string {
		b.write(namespaces, "for n in net uts ipc; do /busybox readlink /proc/self/ns/$n; done; /busybox grep -c -m 1 127.0.0.1 /proc/net/fib_trie")
		out, err := exec.Command(b.isorun, append([]string{"run", "-b", b.dir}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	// Who makes them is reaped, whatever comes of the container.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
			t.Error(err)
		}
	}()
	reaped := func(what string) {
		t.Helper()
		if pid, err := unix.Wait4(-1, nil, unix.WALL|unix.WNOHANG, nil); err != unix.ECHILD {
			t.Errorf("%s leaves process %d behind: %v", what, pid, err)
		}
	}
	ours, err := map[string]string{}, error(nil)
	for _, name := range []string{"net", "uts", "ipc"} {
		if ours[name], err = os.Readlink("/proc/self/ns/" + name); err != nil {
			t.Fatal(err)
		}
	}
	for beside, slow := range map[bool]int64{true: math.MaxInt64, false: 0} {
		if !beside && runtime.GOARCH != "amd64" {
			continue // they always are
		}
		if err := inherittest.SlowFrom(b.isorun, slow); err != nil {
			t.Fatal(err)
		}
		most := `{"type": "mount"}, {"type": "pid"}, {"type": "network"}, {"type": "uts"}`
		plan := run(most, "--plan", "spare")
		reaped("a plan")
		if tells := strings.Contains(plan, "unshare(CLONE_NEWNET|CLONE_NEWUTS), lo up, in a process beside the start of Go"); tells != beside {
			t.Errorf("they are made beside the start: %v; the plan tells of that: %v\n%s", beside, tells, plan)
		}
		out := strings.Fields(run(most, "spare"))
		reaped("a container")
		if len(out) != 4 || out[3] != "1" {
			t.Fatalf("the container has %v, want three namespaces, and its own 127.0.0.1", out)
		}
		for i, line := range out[:3] {
			name := []string{"net", "uts", "ipc"}[i]
			if same := line == ours[name]; same != (name == "ipc") {
				t.Errorf("the container's %s namespace is %s, this one's is %s", name, line, ours[name])
			}
		}
		if out := strings.Fields(run(`{"type": "mount"}`, "spare")); len(out) != 4 || out[0] != ours["net"] || out[1] != ours["uts"] {
			t.Errorf("without namespaces the container has %v, want %v", out, ours)
		}
		reaped("a container without namespaces")
	}
}

// The command is a child of the process's first thread, with which it dies.
func TestFirstThread(t *testing.T) {
	cmd := exec.Command(binary(t), "unshare", "-n", "none", "--", "sh", "-c", "echo $$; read line")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child, err := bufio.NewReader(pipe).ReadString('\n')
	if err != nil {
		t.Error(err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
	if got, want := strings.TrimSpace(string(children)), strings.TrimSpace(child); err != nil || got != want {
		t.Errorf("the first thread's children are %q, %v; want %q", got, err, want)
	}
	in.Close()
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 1 { // of read, at the end of input
		t.Error(err)
	}
}

// bundle is one with busybox and a /proc.
type bundle struct {
	t           *testing.T
	isorun, dir string
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{t: t, isorun: binary(t), dir: t.TempDir()}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(busybox)
	if err == nil {
		err = errors.Join(os.MkdirAll(b.dir+"/rootfs/proc", 0o755), os.WriteFile(b.dir+"/rootfs/busybox", text, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// write makes the configuration for a script of the shell. An ordinary user's
// container has a user namespace in any case.
func (b *bundle) write(namespaces, script string) {
	b.t.Helper()
	user, maps := strings.Contains(namespaces, `"user"`), ""
	if os.Geteuid() != 0 && !user {
		namespaces, user = `{"type": "user"}, `+namespaces, true
	}
	if user && !strings.Contains(namespaces, `"pid"`) { // to mount a /proc
		namespaces += `, {"type": "pid"}`
	}
	if user {
		maps = fmt.Sprintf(`, "uidMappings": [{"containerID": 0, "hostID": %d, "size": 1}], "gidMappings": [{"containerID": 0, "hostID": %d, "size": 1}]`, os.Getuid(), os.Getgid())
	}
	config := fmt.Sprintf(`{"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "process": {"cwd": "/", "noNewPrivileges": true,
		"args": ["/busybox", "sh", "-c", %q]}, "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
		"linux": {"namespaces": [%s]%s}}`, script, namespaces, maps)
	if err := os.WriteFile(b.dir+"/config.json", []byte(config), 0o644); err != nil {
		b.t.Fatal(err)
	}
}
