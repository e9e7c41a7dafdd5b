package systemd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/program"
)

// helperEnv says that a copy of the test binary is to be a runtime in a scope.
const helperEnv = "ISOPERF_TEST_HELPER"

const scopeName = "isoperf-test-scope"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		if err := inScope(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// machine says whether this is the machine of scripts/vm, where systemd runs for
// root and for the user.
func machine() bool { return os.Getenv("ISOPERF_VM") == "1" }

// TestScope: below a real scope groups with limits can be made, hold what is
// born in them, and outlast systemd's reload; and all goes with the runtime, be
// it ended or killed. Where no systemd runs, it is an error.
func TestScope(t *testing.T) {
	if !machine() {
		dir, _, err := cgroup.Delegate(t.Context(), "isoperf-test", 1<<22+1)
		if err == nil || !strings.Contains(err.Error(), `start scope "isoperf-test.scope"`) {
			t.Errorf("a scope of a process that cannot be: %q, %v", dir, err)
		}
		return
	}
	for _, killed := range []bool{false, true} {
		t.Run(map[bool]string{false: "ended", true: "killed"}[killed], func(t *testing.T) { scoped(t, killed) })
	}
}

func scoped(t *testing.T, killed bool) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	cmd.Stderr = os.Stderr
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
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err, cmd.Wait())
	}
	scope, group, _ := strings.Cut(strings.TrimSpace(line), " ")
	if !strings.HasSuffix(scope, "/"+scopeName+".scope") || filepath.Dir(group) != scope {
		t.Errorf("the scope is %q, and the group %q", scope, group)
	}
	limited(t, group)
	reload(t)
	limited(t, group)
	if killed {
		_ = cmd.Process.Kill()
	} else {
		in.Close()
	}
	if err := cmd.Wait(); (err != nil) != killed {
		t.Errorf("it ended with %v", err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := os.Stat(scope)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is left: %v", scope, err)
		}
	}
}

// reload has systemd read its units again.
func reload(t *testing.T) {
	t.Helper()
	args := []string{"daemon-reload"}
	if os.Geteuid() != 0 {
		args = []string{"--user", "daemon-reload"}
	}
	if out, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
		t.Fatalf("systemctl %q: %v: %s", args, err, out)
	}
}

// limited checks the limits of a group.
func limited(t *testing.T, group string) {
	t.Helper()
	for file, want := range map[string]string{
		"cpu.max": "20000 100000", "cpu.weight": "50", "cpuset.cpus.effective": "0", "memory.max": "67108864", "pids.max": "9", "io.weight": "default 200",
	} {
		text, err := os.ReadFile(group + "/" + file)
		if got := strings.TrimSpace(string(text)); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", file, got, err, want)
		}
	}
}

// inScope is a runtime that moves itself into a scope and starts a process in a
// group below. It prints both directories. When its input ends, it looks at the
// group, kills it, and removes it.
func inScope() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	dir, stop, err := cgroup.Delegate(ctx, scopeName, os.Getpid())
	if err != nil {
		return err
	}
	host, err := cgroup.Detect()
	if err != nil {
		return err
	}
	quota, period, memory, tasks := int64(20000), uint64(100000), int64(64<<20), int64(9)
	plan, err := host.Plan(cgroup.Options{ID: "below", Parent: dir, Resources: &specs.LinuxResources{
		CPU: &specs.LinuxCPU{Quota: &quota, Period: &period, Cpus: "0"}, Memory: &specs.LinuxMemory{Limit: &memory}, Pids: &specs.LinuxPids{Limit: &tasks},
		Unified: map[string]string{"cpu.weight": "50", "io.weight": "200"},
	}})
	if err != nil {
		return err
	}
	group, err := plan.Create()
	if err != nil {
		return err
	}
	l := program.NewLauncher()
	defer l.Close()
	proc, err := spin(l, group)
	if err != nil {
		return errors.Join(err, group.Remove())
	}
	fmt.Println(dir, group.Dir("v2"))
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	err = errors.Join(handled(group), group.Kill())
	if status, werr := proc.Wait(); werr != nil || status.Signal != syscall.SIGKILL {
		err = errors.Join(err, fmt.Errorf("it ended with %v, %w", status, werr))
	}
	proc.Release()
	return errors.Join(err, group.Remove(), stop())
}

// spin starts a loop in the group, which it is born in.
func spin(l *program.Launcher, group *cgroup.Group) (proc *program.Process, err error) {
	p := program.New(program.Stub, 0)
	p.Cgroup = group.FD()
	p.DieWithParent()
	inside := p.Tell("in the stub")
	gate := p.Wait("limits")
	p.Exec("/bin/sh", []string{"sh", "-c", "while :; do :; done"}, os.Environ())
	group.Ready = func() error { return proc.Await(inside) }
	l.Do(func() {
		err = group.Within(func() (err error) {
			proc, err = program.Start(p)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	proc.Open(gate)
	return proc, proc.WaitExec()
}

// handled checks that the group holds the one process, is throttled, and can be
// frozen and thawed.
func handled(group *cgroup.Group) error {
	if list, err := group.Processes(); err != nil || len(list) != 1 {
		return fmt.Errorf("its processes are %v, %w", list, err)
	}
	if err := group.Freeze(); err != nil {
		return err
	}
	if s, err := group.Stats(); err != nil || !s.Frozen || s.CPU.Throttled == 0 || s.Pids.Current != 1 || s.Memory.Limit != 64<<20 {
		return fmt.Errorf("its statistics are %+v, CPU %+v, %w", s, s.CPU, err)
	}
	return group.Thaw()
}
