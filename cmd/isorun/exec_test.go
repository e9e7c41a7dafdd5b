package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// binaryEnv is an isorun that is built already, for a user who cannot build one.
const binaryEnv = "ISORUN_TEST_BINARY"

// TestExecOrdinaryUser runs the tests of this file once more, as a user with no
// privileges and a single id.
func TestExecOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return // this is that run, or one like it
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "isorun-user")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for from, to := range map[string]string{binary(t): "/isorun", "/proc/self/exe": "/test"} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(dir+to, text, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(dir+"/tmp", 0o700), os.Chown(dir+"/tmp", nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dir+"/test", "-test.run", "Exec|CreateTerminal|Descriptors|Notify|Serve|Listener", "-test.v")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Env = append(os.Environ(), "HOME=/", "TMPDIR="+dir+"/tmp", binaryEnv+"="+dir+"/isorun")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as uid %d: %v\n%s", nobody, err, out)
	}
}

// change rewrites a part of the configuration.
func (b *bundle) change(f func(config map[string]any)) {
	b.t.Helper()
	text, err := os.ReadFile(b.dir + "/config.json")
	config := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err == nil {
		f(config)
		text, err = json.Marshal(config)
	}
	if err == nil {
		err = os.WriteFile(b.dir+"/config.json", text, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// part is an object inside of the configuration.
func part(config map[string]any, name string) map[string]any { return config[name].(map[string]any) }

// named is newLives with a name of this test's own, since control groups are
// named after containers.
func named(t *testing.T) *lives {
	l := newLives(t)
	l.id = fmt.Sprintf("exec%d", os.Getpid())
	t.Cleanup(func() {
		for _, pattern := range []string{"/sys/fs/cgroup/*/*-" + l.id + "*", "/sys/fs/cgroup/*-" + l.id + "*", "/sys/fs/cgroup/memory/*/*/*-" + l.id + "*"} {
			if left, _ := filepath.Glob(pattern); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		}
	})
	return l
}

// running is a container that runs, to be entered.
func running(t *testing.T, changes ...func(map[string]any)) *lives {
	l := named(t)
	l.write(`{"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"}`, "while :; do /busybox sleep 0.01; done")
	for _, f := range changes {
		l.change(f)
	}
	l.create()
	t.Cleanup(func() { l.must("delete", "-f", "life") })
	l.must("start", "life")
	return l
}

// inside runs a script of the shell there.
func (l *lives) inside(script string, flags ...string) (string, error) {
	args := append(append([]string{"exec"}, flags...), "life", "/busybox", "sh", "-c", script)
	out, err := l.run(args...)
	return strings.TrimSuffix(out, "\n"), err
}

// says is inside of what must go well, and what it prints.
func (l *lives) says(want, script string, flags ...string) {
	l.t.Helper()
	if out, err := l.inside(script, flags...); err != nil || out != want {
		l.t.Errorf("exec %v %q prints %q, %v; want %q", flags, script, out, err, want)
	}
}

// A process enters everything that the container's own is in.
func TestExecEnters(t *testing.T) {
	l := running(t)
	dir := fmt.Sprintf("/proc/%d/", l.state().Pid)
	for _, name := range []string{"mnt", "pid", "uts", "ipc", "net", "user", "cgroup", "time"} {
		want, err := os.Readlink(dir + "ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		l.says(want, "/busybox readlink /proc/self/ns/"+name)
	}
	groups, err := os.ReadFile(dir + "cgroup")
	if err != nil {
		t.Fatal(err)
	}
	l.says(strings.TrimSpace(string(groups)), "/busybox cat /proc/self/cgroup")
	// It has no more than the container's own.
	for _, field := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"} {
		want, err := exec.Command("grep", "^"+field+":", dir+"status").Output()
		if err != nil {
			t.Fatal(err)
		}
		l.says(strings.TrimSpace(string(want)), "/busybox grep ^"+field+": /proc/self/status")
	}
	l.says("0 1 2 3", "echo $(/busybox ls /proc/self/fd)") // the last is that of ls
	l.says("SigBlk:\t0000000000000000", "/busybox grep ^SigBlk: /proc/self/status")
}

// What the flags say.
func TestExecFlags(t *testing.T) {
	l := running(t, func(c map[string]any) {
		part(c, "process")["env"] = []string{"PATH=/", "KEPT=kept", "TWICE=before"}
	})
	if err := os.Mkdir(l.dir+"/rootfs/dir", 0o755); err != nil {
		t.Fatal(err)
	}
	l.says("/dir", "pwd", "--cwd", "/dir")
	l.says("kept new after", `echo $KEPT $NEW $TWICE`, "-e", "NEW=new", "--env", "TWICE=after")
	l.says("kept", `echo $KEPT`)
	if out := l.must("exec", "life", "--", "busybox", "echo", "--", "-x"); out != "-- -x\n" {
		t.Errorf("it prints %q", out)
	}
	if os.Geteuid() == 0 {
		l.says("1000 1001 1001 5 6", "echo $(/busybox id -u) $(/busybox id -g) $(/busybox id -G)", "-u", "1000:1001", "-g", "5", "--additional-gids", "6")
		l.says("CapEff:\t0000000000200000", "/busybox grep CapEff /proc/self/status", "--cap", "CAP_SYS_ADMIN")
		l.says("NoNewPrivs:\t0", "/busybox grep NoNewPrivs /proc/self/status", "--no-new-privs=false")
	}
	file := t.TempDir() + "/process.json"
	process := `{"args": ["/busybox", "sh", "-c", "pwd; echo $FILE"], "cwd": "/dir", "env": ["FILE=file"]}`
	if err := os.WriteFile(file, []byte(process), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if out := l.must("exec", "--process", file, "life"); out != "/dir\nfile\n" {
			t.Errorf("it prints %q", out)
		}
	}
	l.fails("process.cwd", "exec", "--cwd", "dir", "life", "/busybox")
	l.fails("names are not looked up", "exec", "-u", "nobody", "life", "/busybox")
	l.fails("process.selinuxLabel", "exec", "--process-label", "x:y:z", "life", "/busybox")
	l.fails("/nowhere", "exec", "--cwd", "/nowhere", "life", "/busybox", "true")
	l.fails("args cannot be empty", "exec", "life")
	l.fails("container does not exist", "exec", "other", "/busybox")
}

// Its end is isorun's, and what fails by itself is 255.
func TestExecStatus(t *testing.T) {
	l := running(t)
	status := func(want int, text string, args ...string) {
		t.Helper()
		_, err := l.run(append([]string{"exec"}, args...)...)
		if got := exitStatus(err); got != want || text != "" && !strings.Contains(err.Error(), text) {
			t.Errorf("exec %v: exit status %d, %v; want %d, %q", args, got, err, want, text)
		}
	}
	status(0, "", "life", "/busybox", "true")
	status(7, "", "life", "/busybox", "sh", "-c", "exit 7")
	status(128+9, "", "life", "/busybox", "sh", "-c", "kill -KILL $$")
	// The words that engines look for.
	status(255, `exec failed: unable to start container process: exec: "nosuch": executable file not found in $PATH`, "life", "nosuch")
	status(255, `exec: "/nosuch": no such file or directory`, "-d", "life", "/nosuch")
	status(255, `exec: "/proc": permission denied`, "life", "/proc")
	status(255, "cannot allocate tty if runc will detach without setting console socket", "-t", "-d", "life", "/busybox")
	status(255, "cannot use console socket if runc will not detach or allocate tty", "--console-socket", "/x", "-t", "life", "/busybox")
	l.must("kill", "life", "KILL")
	l.stops()
	status(255, "cannot exec in a stopped container", "life", "/busybox", "true")
}

func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	n := -1
	fmt.Sscanf(err.Error(), "exit status %d", &n)
	return n
}

// A container that waits for its start can be entered.
func TestExecCreated(t *testing.T) {
	l := named(t)
	l.create()
	defer l.must("delete", "-f", "life")
	l.says("isoperf-init", "/busybox tr '\\0' ' ' </proc/1/cmdline | /busybox cut -d' ' -f1")
	if got := l.state().Status; got != "created" {
		t.Errorf("the status is %s", got)
	}
}

// Detached, it is executed when isorun has ended, and lives on.
func TestExecDetached(t *testing.T) {
	l := running(t)
	pidFile := t.TempDir() + "/pid"
	cmd := exec.Command(l.isorun, "--root", l.root, "exec", "-d", "--pid-file", pidFile, l.id, "/busybox", "sleep", "1000")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if name, err := os.ReadFile("/proc/" + string(text) + "/comm"); err != nil || strings.TrimSpace(string(name)) == "isoperf/init" {
		t.Errorf("process %s is %q, %v", text, name, err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Error(err)
	}
	// In a place that cannot be written, nothing is left running.
	l.fails("--pid-file", "exec", "-d", "--pid-file", "/nowhere/pid", "life", "/busybox", "sleep", "1001")
	l.noProcess("sleep 1001")
}

// noProcess waits until no process of the container has a command line.
func (l *lives) noProcess(line string) {
	l.t.Helper()
	var out string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		out, _ = l.inside(`for f in /proc/[0-9]*/cmdline; do /busybox tr '\0' ' ' <$f; echo; done`)
		if !strings.Contains(out, "/busybox "+line) {
			return
		}
	}
	l.t.Errorf("still there: %s", out)
}

// In the foreground signals reach it, and it dies with isorun.
func TestExecSignals(t *testing.T) {
	l := running(t)
	start := func(script string) *exec.Cmd {
		cmd := exec.Command(l.isorun, "--root", l.root, "exec", l.id, "/busybox", "sh", "-c", script)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err == nil {
			_, err = out.Read(make([]byte, 6))
		}
		if err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	cmd := start("trap 'exit 42' TERM; echo ready; while :; do /busybox sleep 0.01; done")
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 42 {
		t.Errorf("it ended with %v, want 42", err)
	}
	cmd = start("echo ready; exec /busybox sleep 1002")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	l.noProcess("sleep 1002")
}

// The processors of what enters.
func TestExecAffinity(t *testing.T) {
	l := running(t, func(c map[string]any) {
		part(c, "process")["execCPUAffinity"] = map[string]any{"initial": "0", "final": "1"}
	})
	if onlineCPUs() < 2 {
		if os.Getenv("ISOPERF_MUST_RUN") == "1" {
			t.Fatal("must run, but: there is one processor")
		}
		t.Skip("there is one processor")
	}
	l.says("Cpus_allowed_list:\t1", "/busybox grep Cpus_allowed_list /proc/self/status")
	file := t.TempDir() + "/process.json"
	process := `{"cwd": "/", "args": ["/busybox", "grep", "Cpus_allowed_list", "/proc/self/status"], "execCPUAffinity": {"initial": "0"}}`
	if err := os.WriteFile(file, []byte(process), 0o644); err != nil {
		t.Fatal(err)
	}
	// What becomes of the first alone is the kernel's business: before Linux 6.2 it
	// gives a process all processors of the group that it comes into.
	if out := l.must("exec", "-p", file, "life"); !strings.HasPrefix(out, "Cpus_allowed_list:\t0") {
		t.Errorf("it prints %q", out)
	}
	own, err := exec.Command("grep", "Cpus_allowed_list", fmt.Sprintf("/proc/%d/status", l.state().Pid)).Output()
	if err != nil || !strings.Contains(string(own), "-") {
		t.Errorf("the container's own are %q, %v", own, err)
	}
}

func onlineCPUs() int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return 1
	}
	return set.Count()
}
