package main

import (
	"bytes"
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

	"isoperf/runtime/terminal"
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

// consoleSocket listens for a terminal; the function returns it.
func consoleSocket(t *testing.T) (path string, receive func() *os.File) {
	t.Helper()
	path = t.TempDir() + "/s"
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err == nil {
			err = unix.Listen(fd, 1)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return path, func() *os.File {
		t.Helper()
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(conn)
		master, err := terminal.Receive(conn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { master.Close() })
		return master
	}
}

// withTerminal lets the container make some.
func withTerminal(c map[string]any) {
	c["mounts"] = append(c["mounts"].([]any),
		map[string]any{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"mode=755"}},
		map[string]any{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": []string{"newinstance", "ptmxmode=0666", "mode=0620"}})
}

// The terminal is the container's own, and its other end comes over the socket.
func TestExecTerminal(t *testing.T) {
	l := running(t, withTerminal)
	uid := 0
	if os.Geteuid() == 0 {
		uid = 1000
	}
	file := t.TempDir() + "/process.json"
	process := fmt.Sprintf(`{"terminal": true, "consoleSize": {"height": 33, "width": 91}, "user": {"uid": %d, "gid": 0}, "cwd": "/",
		"args": ["/busybox", "sh", "-c", "/busybox tty; /busybox stty size; /busybox stat -c %%u $(/busybox tty); [ $(/busybox ps -o stat= | /busybox wc -l) -gt 0 ]; read x; echo got $x"], "env": ["PATH=/"]}`, uid)
	if err := os.WriteFile(file, []byte(process), 0o644); err != nil {
		t.Fatal(err)
	}
	socket, receive := consoleSocket(t)
	if out, err := exec.Command(l.isorun, "--root", l.root, "exec", "-d", "--console-socket", socket, "-p", file, l.id).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	master := receive()
	if _, err := master.WriteString("word\n"); err != nil {
		t.Fatal(err)
	}
	out := readAll(master)
	for _, want := range []string{"/dev/pts/0\r\n", "33 91\r\n", fmt.Sprintf("\n%d\r\n", uid), "got word\r\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("the terminal shows %q, without %q", out, want)
		}
	}
	// In the foreground it is passed on.
	got, err := l.inside("/busybox tty; /busybox stty size", "-t")
	if err != nil || !strings.HasPrefix(got, "/dev/pts/") || !strings.HasSuffix(got, "\r\n24 80\r") {
		t.Errorf("it prints %q, %v", got, err)
	}
}

// readAll reads a terminal until it is hung up.
func readAll(f *os.File) string {
	var out bytes.Buffer
	_, _ = out.ReadFrom(f) // EIO is its end
	return out.String()
}

// The same of a container's own process.
func TestCreateTerminal(t *testing.T) {
	l := named(t)
	l.script("/busybox tty; /busybox stty size; read x; echo got $x")
	l.change(withTerminal)
	l.change(func(c map[string]any) {
		p := part(c, "process")
		p["terminal"], p["consoleSize"] = true, map[string]any{"height": 34, "width": 92}
	})
	l.fails("cannot allocate tty if runc will detach without setting console socket", "create", "life")
	socket, receive := consoleSocket(t)
	l.must("create", "--console-socket", socket, "life")
	defer l.must("delete", "-f", "life")
	master := receive()
	l.must("start", "life")
	if _, err := master.WriteString("word\n"); err != nil {
		t.Fatal(err)
	}
	out := readAll(master)
	for _, want := range []string{"/dev/pts/0\r\n", "34 92\r\n", "got word\r\n"} { // the echo is somewhere between
		if !strings.Contains(out, want) {
			t.Errorf("the terminal shows %q, without %q", out, want)
		}
	}
}

// Descriptors from outside come in, those of a service manager first.
func TestDescriptors(t *testing.T) {
	l := named(t)
	l.script("/busybox cat <&3; /busybox cat <&4; echo $LISTEN_FDS $LISTEN_PID; echo $(/busybox ls /proc/self/fd)")
	file := func(text string) *os.File {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	out, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	// LISTEN_PID has to be isorun's, which the shell becomes.
	cmd := exec.Command("sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh", l.isorun, "--root", l.root, "create", "-b", l.dir, "--preserve-fds", "1", l.id)
	cmd.ExtraFiles = []*os.File{file("first"), file("second"), file("not passed on")}
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	defer l.must("delete", "-f", "life")
	l.must("start", "life")
	l.stops()
	text, err := os.ReadFile(out.Name())
	if want := "first\nsecond\n1 1\n0 1 2 3 4 5\n"; err != nil || string(text) != want {
		t.Errorf("it prints %q, %v; want %q", text, err, want)
	}
	l.fails("--preserve-fds: descriptor 3 is not open", "create", "--preserve-fds", "1", "other")
	l.fails("is no number", "create", "--preserve-fds", "x", "other")
}

// What the container tells a service manager is passed on, once it is ready.
func TestNotify(t *testing.T) {
	l := named(t)
	l.write(`{"type": "mount"}, {"type": "pid"}`, `echo $NOTIFY_SOCKET >/said; /busybox ls /run/notify >>/said; /busybox touch /run/notify/mine; /busybox sleep 1000`)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	host := t.TempDir() + "/host"
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: host}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", host)
	l.create()
	defer l.must("delete", "-f", "life")
	pid := l.state().Pid
	started := make(chan error, 1)
	go func() {
		_, err := l.run("start", "life")
		started <- err
	}()
	inside := fmt.Sprintf("/proc/%d/root/run/notify/notify.sock", pid)
	send, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(send)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		// More than the fact is not passed on.
		if err = unix.Sendto(send, []byte("MAINPID=1\nSTATUS=x\nREADY=1"), 0, &unix.SockaddrUnix{Name: inside}); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	text, room := make([]byte, 4096), make([]byte, 4096)
	n, _, _, _, err := unix.Recvmsg(fd, text, room, 0)
	if want := fmt.Sprintf("READY=1\nMAINPID=%d", pid); err != nil || string(text[:n]) != want {
		t.Errorf("the manager hears %q, %v; want %q", text[:max(0, n)], err, want)
	}
	n, m, _, _, err := unix.Recvmsg(fd, text, room, unix.MSG_CMSG_CLOEXEC)
	if err != nil || string(text[:n]) != "BARRIER=1" || m == 0 {
		t.Fatalf("the manager hears %q and %d bytes, %v; want a barrier", text[:max(0, n)], m, err)
	}
	select {
	case err := <-started:
		t.Errorf("start did not wait for the manager: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	closeRights(t, room[:m])
	if err := <-started; err != nil {
		t.Error(err)
	}
	said, err := os.ReadFile(l.dir + "/rootfs/said")
	if want := "/run/notify/notify.sock\nnotify.sock\n"; err != nil || string(said) != want {
		t.Errorf("the container says %q, %v; want %q", said, err, want)
	}
	if _, err := os.Stat(l.root + "/" + l.id + "/notify/mine"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the container can write there: %v", err)
	}
}

// In the foreground isorun is the service's main process, and passes the same on.
func TestServeForeground(t *testing.T) {
	l := named(t)
	l.script("trap 'exit 42' TERM; /busybox cat <&3; echo $LISTEN_FDS $LISTEN_PID; echo $NOTIFY_SOCKET; /busybox ls /run/notify; while :; do /busybox sleep 0.01; done")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	host := t.TempDir() + "/host"
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: host}), unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20})); err != nil {
		t.Fatal(err)
	}
	given, err := os.Open(l.dir + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	defer given.Close()
	temp := t.TempDir()
	cmd := exec.Command("sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh", l.isorun, "run", "-b", l.dir, l.id)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+host, "TMPDIR="+temp)
	cmd.ExtraFiles = []*os.File{given}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, when all is well
	text := ""
	for part := make([]byte, 4096); !strings.Contains(text, "notify.sock\nnotify.sock\n"); {
		n, err := out.Read(part)
		if text += string(part[:n]); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	config, err := os.ReadFile(l.dir + "/config.json")
	if want := string(config) + "1 1\n/run/notify/notify.sock\nnotify.sock\n"; err != nil || text != want {
		t.Errorf("it prints %q, %v; want %q", text, err, want)
	}
	sockets, err := filepath.Glob(temp + "/*/notify/notify.sock")
	if err != nil || len(sockets) != 1 {
		t.Fatalf("sockets: %v, %v", sockets, err)
	}
	dir, err := os.Open(filepath.Dir(sockets[0])) // the whole path may be longer than an address
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.Sendto(fd, []byte("READY=1"), 0, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/notify.sock", dir.Fd())}); err != nil {
		t.Fatal(err)
	}
	heard := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, heard, 0)
	if want := fmt.Sprintf("READY=1\nMAINPID=%d", cmd.Process.Pid); err != nil || string(heard[:max(0, n)]) != want {
		t.Errorf("the manager hears %q, %v; want %q", heard[:max(0, n)], err, want)
	}
	if n, _, err := unix.Recvfrom(fd, heard, 0); err != nil || string(heard[:max(0, n)]) != "BARRIER=1" {
		t.Errorf("the manager hears %q, %v; want a barrier", heard[:max(0, n)], err)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 42 {
		t.Errorf("it ended with %v, want 42", err)
	}
	if left, _ := filepath.Glob(temp + "/*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
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
	if out := l.must("exec", "-p", file, "life"); out != "Cpus_allowed_list:\t0\n" {
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

// closeRights closes the descriptors of a message.
func closeRights(t *testing.T, room []byte) {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(room)
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
}
