package container

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
	"isoperf/runtime/spec"
)

// box is a container that a test changes before it starts.
type box struct {
	*spec.Container
	t       testing.TB
	kind    kind
	root    string // on the host
	options Options
	connect Connect
	errs    int  // its standard error; 0: a pipe
	planned bool // it is planned as a whole before it starts
}

var made atomic.Int32

// newBox is a container with all namespaces, and a root of its own that holds
// the probe, and a shell where the machine has a static one. It serves
// questions; see live.
func newBox(t testing.TB, k kind) *box {
	t.Helper()
	b := &box{t: t, kind: k, root: newRoot(t, k)}
	list := []specs.LinuxNamespace{
		{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
		{Type: specs.MountNamespace}, {Type: specs.CgroupNamespace},
	}
	if k.user() {
		list = append(list, specs.LinuxNamespace{Type: specs.UserNamespace})
	}
	caps := []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"}
	b.Container = &spec.Container{
		ID: fmt.Sprintf("test%d-%d", os.Getpid(), made.Add(1)), Bundle: filepath.Dir(b.root), LoopbackUp: true,
		Spec: &specs.Spec{
			Version: specs.Version, Root: &specs.Root{Path: b.root}, Hostname: "box",
			Process: &specs.Process{
				Args: []string{"/probe", "serve"}, Env: []string{"PATH=/bin", helperEnv + "=1", "GORACE=atexit_sleep_ms=0"}, Cwd: "/", NoNewPrivileges: true,
				Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
			},
			Mounts: mounts(),
			Linux: &specs.Linux{
				Namespaces: list, UIDMappings: k.maps.UIDs, GIDMappings: k.maps.GIDs,
				MaskedPaths:   []string{"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"},
				ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
			},
		},
	}
	return b
}

// mounts are those of the bundle that runc spec writes, without control groups.
func mounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc"},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
	}
}

// newRoot makes a root file system that is the kind's.
func newRoot(t testing.TB, k kind) string {
	t.Helper()
	root := filepath.Join(newDir(t), "root")
	must(t, os.MkdirAll(filepath.Join(root, "bin"), 0o755))
	must(t, os.Mkdir(filepath.Join(root, "tmp"), 0o777))
	must(t, os.Chmod(filepath.Join(root, "tmp"), 0o1777|os.ModeSticky))
	must(t, os.Link(world.binary, filepath.Join(root, "probe")))
	for at, from := range world.files {
		must(t, os.MkdirAll(filepath.Join(root, filepath.Dir(at)), 0o755))
		must(t, copyFile(from, filepath.Join(root, at)))
	}
	if k.root != os.Getuid() {
		for _, dir := range []string{root, root + "/bin", root + "/tmp"} {
			must(t, os.Lchown(dir, k.root, k.root))
		}
	}
	return root
}

// withShell puts a static shell into the root.
func (b *box) withShell() *box {
	b.t.Helper()
	const busybox = "/bin/busybox"
	_, err := os.Stat(busybox)
	require(b.t, err == nil, "there is no static "+busybox)
	must(b.t, copyFile(busybox, b.root+"/bin/busybox"))
	must(b.t, os.Symlink("busybox", b.root+"/bin/sh"))
	return b
}

// newDir is a directory that every user may enter, and that goes with the test.
func newDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(world.dir, fmt.Sprintf("dir%d", made.Add(1)))
	must(t, os.Mkdir(dir, 0o755))
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// top is what the root holds, once the container has started.
func (b *box) top() string {
	entries, err := os.ReadDir(b.root)
	must(b.t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// without takes a namespace away.
func (b *box) without(kind specs.LinuxNamespaceType) *box {
	var list []specs.LinuxNamespace
	for _, n := range b.Linux.Namespaces {
		if n.Type != kind {
			list = append(list, n)
		}
	}
	b.Linux.Namespaces = list
	if kind == specs.UserNamespace {
		b.Linux.UIDMappings, b.Linux.GIDMappings = nil, nil
	}
	if kind == specs.UTSNamespace {
		b.Hostname = ""
	}
	return b
}

// joining makes the container enter the namespaces of a process.
func (b *box) joining(pid int, kinds map[specs.LinuxNamespaceType]string) *box {
	for kind, file := range kinds {
		b.without(kind)
		b.Linux.Namespaces = append(b.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: fmt.Sprintf("/proc/%d/ns/%s", pid, file)})
	}
	return b
}

// give grants capabilities beside the usual.
func (b *box) give(names ...string) *box {
	c := b.Process.Capabilities
	all := append(append([]string{}, c.Bounding...), names...)
	b.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
	return b
}

// run makes a part the command.
func (b *box) run(args ...string) *box {
	b.Process.Args = append([]string{"/probe"}, args...)
	return b
}

// plan checks and plans.
func (b *box) plan() (*Plan, error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	return New(b.Container, b.options)
}

// result is how a container ended.
type result struct {
	out, errs string
	status    program.Status
	err       error
}

func (r result) String() string {
	return fmt.Sprintf("it ended with %v, %v; %q; %q", r.status, r.err, r.out, r.errs)
}

// live is a container that runs.
type live struct {
	*Container
	t      testing.TB
	in     *os.File
	out    *bufio.Reader
	pipes  []*os.File
	errs   chan string
	timer  *time.Timer
	result *result
}

// start starts it; the test ends it.
func (b *box) start() *live {
	b.t.Helper()
	l, err := b.tryStart()
	must(b.t, err)
	return l
}

func (b *box) tryStart() (*live, error) {
	b.t.Helper()
	l := &live{t: b.t, errs: make(chan string, 1)}
	var theirs [3]*os.File
	for i := range theirs {
		r, w, err := os.Pipe()
		must(b.t, err)
		ours := r
		theirs[i] = w
		if i == 0 {
			ours, theirs[i] = w, r
		}
		l.pipes = append(l.pipes, ours)
		b.options.Stdio[i] = int(theirs[i].Fd())
	}
	if b.errs != 0 {
		b.options.Stdio[2] = b.errs
	}
	runtime.LockOSThread()
	err := b.Check()
	switch {
	case err != nil:
	case b.planned:
		var pl *Plan
		if pl, err = New(b.Container, b.options); err == nil {
			l.Container, err = pl.Start(context.Background(), b.connect)
		}
	default:
		l.Container, err = Start(context.Background(), b.Container, b.options, b.connect)
	}
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		runtime.UnlockOSThread()
		l.closePipes()
		return nil, err
	}
	l.in, l.out = l.pipes[0], bufio.NewReader(l.pipes[1])
	go func() {
		text, _ := io.ReadAll(l.pipes[2])
		l.errs <- string(text)
	}()
	l.timer = time.AfterFunc(time.Minute, func() { _ = l.Signal(unix.SIGKILL) })
	_ = l.Confirm(nil) // Wait says what went wrong
	b.t.Cleanup(func() {
		if l.result == nil {
			_ = l.Signal(unix.SIGKILL)
			l.wait()
		}
	})
	return l, nil
}

func (l *live) closePipes() {
	for _, f := range l.pipes {
		f.Close()
	}
}

// wait closes its input, and waits for the end.
func (l *live) wait() result {
	l.in.Close()
	out, _ := io.ReadAll(l.out)
	r := result{out: string(out), errs: <-l.errs}
	r.status, r.err = l.Wait()
	l.timer.Stop()
	runtime.UnlockOSThread()
	l.Release()
	l.closePipes()
	l.result = &r
	return r
}

// end is wait for a container that must end well.
func (l *live) end() string {
	l.t.Helper()
	r := l.wait()
	if r.err != nil || !r.status.Success() {
		l.t.Fatal(r)
	}
	return r.out
}

// output is what a container prints that must end well.
func (b *box) output() string {
	b.t.Helper()
	return b.start().end()
}

// answer is what the serving probe says.
type answer struct {
	Out   string
	Err   string
	Errno syscall.Errno
	Value uintptr
}

// try asks the probe; see questions.
func (l *live) try(name string, args ...any) answer {
	l.t.Helper()
	line, err := json.Marshal(append([]any{name}, args...))
	must(l.t, err)
	if _, err := l.in.Write(append(line, '\n')); err != nil {
		l.t.Fatalf("ask %s: %v; %v", line, err, l.wait())
	}
	text, err := l.out.ReadString('\n')
	var a answer
	if err == nil {
		err = json.Unmarshal([]byte(text), &a)
	}
	if err != nil {
		l.t.Fatalf("ask %s: %v: %q; %v", line, err, text, l.wait())
	}
	return a
}

// ask is try that must not fail.
func (l *live) ask(name string, args ...any) string {
	l.t.Helper()
	a := l.try(name, args...)
	if a.Err != "" {
		l.t.Fatalf("%s %v: %s", name, args, a.Err)
	}
	return strings.TrimSuffix(a.Out, "\n")
}

// call makes a raw system call inside; texts become pointers. The errno is 0
// when it succeeded.
func (l *live) call(number int, args ...any) syscall.Errno {
	l.t.Helper()
	return l.try("call", append([]any{number}, args...)...).Errno
}

// want compares an answer.
func (l *live) want(want, name string, args ...any) {
	l.t.Helper()
	if got := l.ask(name, args...); got != want {
		l.t.Errorf("%s %v is %q, want %q", name, args, got, want)
	}
}

// refuse wants one of some errnos.
func (l *live) refuse(errnos []syscall.Errno, name string, args ...any) {
	l.t.Helper()
	a := l.try(name, args...)
	for _, e := range errnos {
		if a.Errno == e {
			return
		}
	}
	l.t.Errorf("%s %v: got %q (errno %d, %s), want one of %v", name, args, a.Out, a.Errno, a.Err, errnos)
}
