package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

// helperEnv names the helper that a copy of the test binary is to be.
const helperEnv = "ISOPERF_TEST_HELPER"

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		helpers := map[string]func([]string) error{"create": helpCreate, "fill": helpFill, "affinity": helpAffinity}
		if err := helpers[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if left := leftBehind(); len(left) > 0 && code == 0 {
		fmt.Fprintf(os.Stderr, "the tests left groups behind: %v\n", left)
		code = 1
	}
	os.Exit(code)
}

// testPath is a path for groups of this run alone.
func testPath(name string) string { return fmt.Sprintf("/isoperf-test-%d-%s", os.Getpid(), name) }

// leftBehind are the groups that this process made, by name or path.
func leftBehind() []string {
	h, err := Detect()
	if err != nil {
		return nil
	}
	me, err := self()
	if err != nil {
		return []string{err.Error()}
	}
	var left []string
	for _, tree := range h.trees() {
		_ = filepath.WalkDir(tree.mount, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil
			}
			o, _, ok := parseName(d.Name())
			if (ok && o == me) || strings.HasPrefix(d.Name(), strings.Trim(testPath(""), "/")) || d.Name() == launcherDir {
				left = append(left, path)
			}
			return nil
		})
	}
	return left
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

func requireFile(t testing.TB, path string) {
	t.Helper()
	_, err := os.Stat(path)
	require(t, err == nil, "there is no "+path)
}

// realHost is this machine, for a test that changes its groups.
func realHost(t testing.TB) *Host {
	t.Helper()
	require(t, os.Geteuid() == 0, "it takes root")
	h, err := Detect()
	require(t, err == nil, fmt.Sprintf("no control groups: %v", err))
	return h
}

// requireController skips where the machine does not have it.
func requireController(t testing.TB, h *Host, c *controller) *hierarchy {
	t.Helper()
	tree := h.find(c)
	require(t, tree != nil, "there is no "+c.name+" controller here")
	return tree
}

// created tells the groups of one test apart.
var created atomic.Int32

// create makes a group that goes with the test.
func create(t testing.TB, h *Host, o Options) *Group {
	t.Helper()
	if o.ID == "" {
		o.ID = fmt.Sprintf("test%d", created.Add(1))
	}
	p, err := h.Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	g, err := p.Create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Kill(); err != nil {
			t.Error(err)
		}
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// born starts a command inside the group, from a launcher of its own. It waits
// at a gate until the limits are complete.
func born(t testing.TB, g *Group, argv ...string) *program.Process {
	t.Helper()
	l := program.NewLauncher()
	t.Cleanup(l.Close)
	return bornFrom(t, l, g, argv...)
}

func bornFrom(t testing.TB, l *program.Launcher, g *Group, argv ...string) *program.Process {
	t.Helper()
	p := program.New(program.Stub, 0)
	p.Cgroup = g.FD()
	p.DieWithParent()
	inside := p.Tell("in the stub")
	gate := p.Wait("limits")
	p.Exec(argv[0], argv, append(os.Environ(), "PATH=/usr/bin:/bin"))
	var proc *program.Process
	var err error
	g.Ready = func() error { return proc.Await(inside) }
	l.Do(func() {
		err = g.Within(func() (err error) {
			proc, err = program.Start(p)
			return err
		})
	})
	if proc != nil {
		t.Cleanup(func() {
			_ = proc.Signal(syscall.SIGKILL) // it may have ended
			_ = g.Thaw()
			_, _ = proc.Wait()
			proc.Release()
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	proc.Open(gate)
	if err := proc.WaitExec(); err != nil {
		t.Fatal(err)
	}
	return proc
}

// bornHelper starts a copy of the test binary inside the group.
func bornHelper(t testing.TB, g *Group, name string, args ...string) *program.Process {
	t.Helper()
	t.Setenv(helperEnv, name)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return born(t, g, append([]string{self}, args...)...)
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
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

// groupsOf maps each hierarchy of /proc/TASK/cgroup to the group's path.
func groupsOf(t testing.TB, task string) map[string]string {
	t.Helper()
	m := map[string]string{}
	eachOwn([]byte(read(t, "/proc/"+task+"/cgroup")), func(c, path string) { m[c] = path })
	return m
}

func sleeper(t testing.TB) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func ptr[T any](v T) *T { return &v }

// everything has a limit of each controller that this machine can hold.
func everything() *specs.LinuxResources {
	r := &specs.LinuxResources{
		CPU:     &specs.LinuxCPU{Quota: ptr(int64(20000)), Period: ptr(uint64(100000)), Shares: ptr(uint64(512)), Cpus: "0"},
		Memory:  &specs.LinuxMemory{Limit: ptr(int64(64 << 20))},
		Pids:    &specs.LinuxPids{Limit: ptr(int64(8))},
		Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}},
	}
	if weighsIO() {
		r.BlockIO = &specs.LinuxBlockIO{Weight: ptr(uint16(200))}
	}
	return r
}

// weighsIO says whether groups have a weight of block I/O. In version 1 they have
// it only with the scheduler BFQ, which is a module of some kernels; version 2 has
// its own as well.
func weighsIO() bool {
	h, err := Detect()
	if err != nil {
		return false
	}
	tree := h.find(&blockIO)
	if tree == nil || tree.v2 {
		return tree != nil
	}
	// The top has no such file in any case.
	dir := filepath.Join(tree.mount, strings.Trim(testPath(fmt.Sprintf("weight-%d", created.Add(1))), "/"))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return false
	}
	defer os.Remove(dir)
	return exists(dir+"/blkio.weight") || exists(dir+"/blkio.bfq.weight")
}

// requireV2 skips where version 2 has not what a test is of. On a boot with version
// 1 alone in the machine of scripts/vm that is no loss: its other boot has it.
func requireV2(t testing.TB, cond bool, why string) {
	t.Helper()
	if h, err := Detect(); !cond && err == nil && h.v2 == nil && os.Getenv("ISOPERF_VM") == "1" {
		t.Skip(why)
	}
	require(t, cond, why)
}
