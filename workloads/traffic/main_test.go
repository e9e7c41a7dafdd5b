//go:build linux

package traffic

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"isoperf/workloads/load"
)

func TestMain(m *testing.M) {
	load.Main(Kinds()...)
	os.Exit(m.Run())
}

// end is one end of a path: a load that runs.
type end struct {
	spec  load.Spec
	board *load.Board
	cmd   *exec.Cmd
	out   bytes.Buffer
	text  bytes.Buffer // what it says of errors
	done  chan error
}

// start runs an end, and ends it at the end of the test.
func start(t testing.TB, s load.Spec) *end {
	t.Helper()
	return startAs(t, s, nil)
}

func startAs(t testing.TB, s load.Spec, who *syscall.SysProcAttr) *end {
	t.Helper()
	b, f, err := load.NewBoard()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e := &end{spec: s, board: b, cmd: exec.Command("/proc/self/exe", s.Args()...), done: make(chan error, 1)}
	e.cmd.Env, e.cmd.ExtraFiles, e.cmd.Stdout, e.cmd.Stderr = load.Env(3), []*os.File{f}, &e.out, &e.text
	e.cmd.SysProcAttr = who
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { e.done <- e.cmd.Wait() }()
	t.Cleanup(func() {
		_ = e.cmd.Process.Kill() // it has ended, or the test has failed
		_ = b.Close()
	})
	return e
}

// awaited waits, bounded, until something is so.
func awaited(t testing.TB, what string, done func() bool) {
	t.Helper()
	for n := 0; !done(); n++ {
		if n > 5000 {
			t.Fatalf("%s: it never is", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// ready waits until all threads of an end are.
func (e *end) ready(t testing.TB) {
	t.Helper()
	awaited(t, e.spec.Kind+" is ready", func() bool {
		select {
		case err := <-e.done:
			t.Fatalf("%s has ended: %v %s", e.spec.Kind, err, &e.text)
		default:
		}
		return int(e.board.Ready.Load()) >= max(1, e.spec.Threads)
	})
}

// port waits for the port of a listener.
func (e *end) port(t testing.TB) int64 {
	t.Helper()
	awaited(t, e.spec.Kind+" listens", func() bool { return e.board.Phase.Load() != 0 })
	return e.board.Phase.Load()
}

// ended waits for the end of an end, and has its report.
func (e *end) ended(t testing.TB) (Report, error) {
	t.Helper()
	var err error
	select {
	case err = <-e.done:
	case <-time.After(15 * time.Second):
		t.Fatalf("%s hangs", e.spec.Kind)
	}
	r, bad := ParseReport(e.out.String())
	if bad != nil && err == nil {
		t.Fatal(bad)
	}
	return r, err
}

// stop ends an end that must have nothing to complain of.
func (e *end) stop(t testing.TB) Report {
	t.Helper()
	e.board.Stop()
	r, err := e.ended(t)
	if err != nil || r.Error != "" {
		t.Errorf("%s: %v: %s", e.spec.Kind, err, &e.text)
	}
	return r
}
