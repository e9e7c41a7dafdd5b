package follow

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/trace"
)

// isolating is a tree that isolates itself, as root and as an ordinary user.
func isolating(t *testing.T) Options {
	t.Helper()
	err := exec.Command("unshare", "-r", "-m", "true").Run()
	needs(t, "user namespaces (unshare -r -m)", err)
	const script = `hostname inside; mount -t tmpfs tmpfs /mnt; mkdir /mnt/a; umount /mnt; (exit 2); exit 3`
	return command(t, "unshare", "-r", "-m", "-u", "sh", "-c", script)
}

// TestCalls: the calls of a tree, of whom and in which order.
func TestCalls(t *testing.T) {
	r := followed(t, isolating(t))
	checkStatus(t, r.Status, 3)
	want := []string{
		"unshare", "write setgroups", "write gid_map", "write uid_map", "mount", "sethostname", "mount", "mkdir", "umount2",
	}
	seen := *r
	seen.Calls = slices.DeleteFunc(slices.Clone(r.Calls), func(c Call) bool { return c.Name == "mkdir" && !strings.Contains(c.Text, "/mnt/a") }) // mount(8) has files of its own
	got := names(&seen, Isolation, Write)
	// Which of the id maps is written first differs between versions of unshare.
	slices.Sort(got[1:min(4, len(got))])
	slices.Sort(want[1:4])
	if !slices.Equal(got, want) {
		t.Errorf("the calls are %q, want %q", got, want)
	}
	if c := r.Calls[slices.IndexFunc(r.Calls, func(c Call) bool { return c.Name == "unshare" })]; c.Process != 0 || c.Text != "unshare(CLONE_NEWUSER|CLONE_NEWNS|CLONE_NEWUTS)" && !strings.Contains(c.Text, "CLONE_NEWUSER") {
		t.Errorf("%s is of %s", c.Text, r.Lane(c.Process))
	}
	for _, c := range r.Calls {
		if c.Name == "sethostname" && (c.Process == 0 || c.Text != `sethostname("inside")`) {
			t.Errorf("%s is of %s", c.Text, r.Lane(c.Process))
		}
	}
	phases := r.CallPhases()
	for name, phase := range map[string]string{
		"unshare": "namespaces", "write uid_map": "id maps", "mount": "mounts", "umount2": "mounts", "execve": PhaseExecve, "wait4": PhaseWait,
	} {
		if i := slices.IndexFunc(r.Calls, func(c Call) bool { return c.Name == name && c.Result >= 0 }); i < 0 || phases[i] != phase {
			t.Errorf("%s is not there, or not of the phase %q: %q", name, phase, phases)
		}
	}
}

// TestWaits: the parent's wait spans the rest of the child's life.
func TestWaits(t *testing.T) {
	r := followed(t, command(t, "sh", "-c", "sleep 0.05; exit 0"))
	if len(r.Processes) != 2 {
		t.Fatalf("there are %d processes, want sh and sleep", len(r.Processes))
	}
	child := r.Processes[1]
	i := slices.IndexFunc(r.Calls, func(c Call) bool { return c.Kind == Wait && c.Process == 0 && int(c.Result) == child.PID })
	if i < 0 {
		t.Fatalf("sh did not wait for its child: %v", names(r, Wait))
	}
	if c := r.Calls[i]; c.Entered > child.Exit || c.Returned < child.Exit || child.Name() != "sleep" {
		t.Errorf("the wait lasts from %d to %d, and %s began to exit at %d", c.Entered, c.Returned, r.Lane(1), child.Exit)
	}
}

// TestNamed: a tree that computes and isolates has a name for nearly all of its
// time, though nothing is put down to the tracer's latency.
func TestNamed(t *testing.T) {
	isolating(t)
	r := followed(t, command(t, "unshare", "-r", "-m", "sh", "-c", `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; mount -t tmpfs tmpfs /mnt`))
	if named := Named(r.Divide(0)); named < 0.8 || named > 1 { // less on a busy machine
		t.Errorf("%.3f of the time has a name, want 0.8 or more: %+v", named, r.Divide(0))
	}
}

// TestStatuses: the command's status, whatever it is.
func TestStatuses(t *testing.T) {
	for script, code := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -9 $$": 137, "kill -TERM $$": 143, "ulimit -c 0; kill -SEGV $$": 139} {
		checkStatus(t, followed(t, command(t, "sh", "-c", script)).Status, code)
	}
}

// TestNotExecuted: what cannot be executed says why.
func TestNotExecuted(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]error{"#!/no/such/interpreter\n": unix.ENOENT, "nothing that runs\n": unix.ENOEXEC} {
		o := command(t, "true")
		o.Path = filepath.Join(dir, "bad")
		if err := os.WriteFile(o.Path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := Follow(bounded(t), o)
		var e *ExecError
		if !errors.As(err, &e) || !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", content, err, want)
		}
	}
}

// TestThreads: the calls of all threads are those of one process.
func TestThreads(t *testing.T) {
	r := followed(t, command(t, self(t), tracee, "threads"))
	checkStatus(t, r.Status, 0)
	threads, calls := map[int]bool{}, 0
	for _, c := range r.Calls {
		if strings.Contains(c.Text, "PR_SET_DUMPABLE") {
			threads[c.Thread] = true
			calls++
		}
	}
	if len(r.Processes) != 1 || len(threads) != 4 || calls != 20 {
		t.Errorf("%d processes, %d threads and %d calls, want 1, 4 and 20", len(r.Processes), len(threads), calls)
	}
}

// TestAnotherExecutes: a thread that is not the first executes, and takes the
// process's number.
func TestAnotherExecutes(t *testing.T) {
	r := followed(t, command(t, self(t), tracee, "another"))
	checkStatus(t, r.Status, 6)
	if len(r.Processes) != 1 || r.Processes[0].Name() != "sh" {
		t.Errorf("the processes are %+v", r.Processes)
	}
	if got := names(r, Exec); len(got) != 2 {
		t.Errorf("the executions are %q, want two", got)
	}
	if c := r.Calls[len(r.Calls)-1]; c.Kind != Exec || c.Thread == r.Processes[0].PID || c.Lost {
		t.Errorf("the last call is %+v, want an execve of another thread", c)
	}
}

// TestSignals: signals arrive, those that stop as well.
func TestSignals(t *testing.T) {
	checkStatus(t, followed(t, command(t, self(t), tracee, "signal")).Status, 8)
	r := followed(t, command(t, "sh", "-c", `sh -c 'kill -STOP $$; exit 5' & while ! grep -q 'State:.[tT]' /proc/$!/status; do :; done; kill -CONT $!; wait $!; exit $?`))
	checkStatus(t, r.Status, 5)
	if c := names(r, Birth); len(c) == 0 {
		t.Error("no birth was seen")
	}
}

// TestStopped: a stopped process is stopped under the tracer, too: it does not
// go on before SIGCONT.
func TestStopped(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "went-on")
	script := `sh -c 'kill -STOP $$; : > ` + mark + `' & while ! grep -q 'State:.[tT]' /proc/$!/status; do :; done; sleep 0.1; test -e ` + mark + ` && exit 9; kill -CONT $!; wait $!; test -e ` + mark
	checkStatus(t, followed(t, command(t, "sh", "-c", script)).Status, 0)
}

// TestTraced: what traces itself is told so, and noted.
func TestTraced(t *testing.T) {
	r := followed(t, command(t, self(t), tracee, "traceme"))
	checkStatus(t, r.Status, 4)
	if len(r.Notes) != 1 || r.Notes[0].Kind != Traced {
		t.Errorf("the notes are %+v", r.Notes)
	}
}

// TestWholeTree: it stays until what went into the background has ended.
func TestWholeTree(t *testing.T) {
	done := filepath.Join(t.TempDir(), "done")
	r := followed(t, command(t, "sh", "-c", "(setsid sh -c 'sleep 0.2; : > "+done+"' &) ; exit 4"))
	checkStatus(t, r.Status, 4)
	if _, err := os.Stat(done); err != nil || r.End <= r.Led || r.Ended != "" {
		t.Errorf("%v; the command ended at %d, the tree at %d, %q", err, r.Led, r.End, r.Ended)
	}
}

// stubborn is a tree that does not end by itself, nor by SIGTERM.
const stubborn = `trap "" TERM INT; setsid sleep 1000 & (sleep 1000 & sleep 1000) & kill -STOP $$; sleep 1000; sleep 1000`

// TestLimit: the time ends the tree, all of it.
func TestLimit(t *testing.T) {
	o := command(t, "sh", "-c", stubborn)
	o.Limit = 300 * time.Millisecond
	r := followed(t, o)
	if !strings.Contains(r.Ended, "300ms") || r.Status.Signal != unix.SIGKILL {
		t.Errorf("it ended because %q, with %v", r.Ended, r.Status)
	}
}

// TestInterrupted: a context that is done ends the tree, and what was seen is
// kept; a command that goes by SIGTERM may.
func TestInterrupted(t *testing.T) {
	for script, want := range map[string]syscall.Signal{stubborn: unix.SIGKILL, "sleep 1000 & exec sleep 1000": unix.SIGTERM} {
		ctx, cancel := context.WithCancel(bounded(t))
		time.AfterFunc(200*time.Millisecond, cancel)
		r, err := Follow(ctx, command(t, "sh", "-c", script))
		if err != nil {
			t.Fatal(err)
		}
		sound(t, r)
		if r.Ended == "" || r.Status.Signal != want || len(r.Calls) == 0 {
			t.Errorf("%s: it ended because %q, with %v, want %v", script, r.Ended, r.Status, want)
		}
	}
}

// TestForkStorm: processes that come and go all the time are all followed.
func TestForkStorm(t *testing.T) {
	r := followed(t, command(t, "sh", "-c", `for i in 1 2 3 4 5 6 7 8 9 10; do (for j in 1 2 3 4 5 6 7 8 9 10; do (exit 1) ; done) & done; wait; exit 0`))
	checkStatus(t, r.Status, 0)
	if len(r.Processes) != 111 {
		t.Errorf("there are %d processes, want 111", len(r.Processes))
	}
}

// TestFiles: with Files, files that are read are seen, too.
func TestFiles(t *testing.T) {
	o := command(t, "cat", "/etc/passwd")
	if got := names(followed(t, o), File); len(got) != 0 {
		t.Errorf("without Files the files %q are there", got)
	}
	o.Files = true
	r := followed(t, o)
	if got := names(r, File); !slices.Contains(got, "open passwd") {
		t.Errorf("with Files the files are %q", got)
	}
	if got := Sum(r.Divide(0), Called); got <= 0 {
		t.Errorf("the calls took %.0f ns", got)
	}
}

// TestControlWrites: what is written to files of control is kept, by name and
// content, whichever descriptor it goes through; other output is not.
func TestControlWrites(t *testing.T) {
	dir := t.TempDir()
	r := followed(t, command(t, "sh", "-c", "echo 12345 > "+dir+"/cgroup.procs; echo hello > "+dir+"/other; exec 7> "+dir+"/cpu.max; echo 'max 100000' >&7"))
	var texts []string
	for _, c := range r.Calls {
		if c.Kind == Write {
			texts = append(texts, c.Name+" "+c.Text[strings.LastIndex(c.Text, ","):])
		}
	}
	// A name of a controller counts below a control group's directory, or alone.
	if want := []string{`write cgroup.procs , "12345\n")`}; !slices.Equal(texts, want) {
		t.Errorf("the writes are %q, want %q", texts, want)
	}
	for _, c := range r.Calls {
		if c.Kind == Write && c.Result != 6 {
			t.Errorf("%s returned %d", c.Text, c.Result)
		}
	}
}

// TestEvents: what a viewer gets nests, as viewers ask.
func TestEvents(t *testing.T) {
	r := followed(t, isolating(t))
	events := r.Events()
	for i, a := range events {
		for _, b := range events[i+1:] {
			if a.Process == b.Process && a.Lane == b.Lane && b.Start < a.End && b.End > a.End {
				t.Errorf("%s %q and %q overlap: %d to %d, %d to %d", a.Process, a.Name, b.Name, a.Start, a.End, b.Start, b.End)
			}
		}
	}
	var b strings.Builder
	if err := trace.Write(&b, events, nil); err != nil {
		t.Fatal(err)
	}
	got, _, err := trace.Read(strings.NewReader(b.String()))
	if err != nil || len(got) != len(events) {
		t.Errorf("%d events were read of %d: %v", len(got), len(events), err)
	}
}

// TestDisarmed: an ordinary user's set-user-ID program runs without its
// privilege, and that is noted; root's has it.
func TestDisarmed(t *testing.T) {
	if os.Geteuid() == 0 {
		cmd := exec.Command(self(t), "-test.run", "^TestDisarmed$", "-test.v")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Dir = "/"
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "SKIP") && os.Getenv("ISOPERF_MUST_RUN") == "1" {
			t.Errorf("as an ordinary user: %v\n%s", err, out)
		}
	}
	armed := ""
	for _, path := range []string{"/usr/bin/su", "/bin/su", "/usr/bin/mount", "/bin/mount"} {
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSetuid != 0 {
			armed = path
			break
		}
	}
	if armed == "" {
		needs(t, "a set-user-ID program", errors.New("neither su nor mount is one"))
	}
	r := followed(t, command(t, armed, "--version"))
	noted := slices.ContainsFunc(r.Notes, func(n Note) bool { return n.Kind == Disarmed && filepath.Base(n.Text) == filepath.Base(armed) })
	free, err := privileged()
	if err != nil {
		t.Fatal(err)
	}
	if noted == free {
		t.Errorf("with privilege %v, the notes are %+v", free, r.Notes)
	}
}

// TestCalibrate: a stop costs something, and its parts are not more than it.
func TestCalibrate(t *testing.T) {
	c, err := Calibrate(bounded(t), 100)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]Price{"near": c.Near, "far": c.Far} {
		if p.Stop <= 0 || p.Latency < 0 || p.Latency > p.Stop {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if _, err := Calibrate(bounded(t), 1); err == nil {
		t.Error("one call is enough")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Calibrate(ctx, 100); err == nil {
		t.Error("it was interrupted, and says nothing")
	}
}

// TestCompare: pairs of runs, as many as were asked for; runs that differ are
// not compared.
func TestCompare(t *testing.T) {
	o := command(t, "sh", "-c", "exit 3")
	status := followed(t, o).Status
	c, err := Compare(bounded(t), o, 3, time.Minute, status)
	if err != nil || len(c.Alone) != 3 || len(c.Followed) != 3 || slices.Min(c.Alone) <= 0 || slices.Min(c.Followed) <= 0 || c.Stopped != "" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := Compare(bounded(t), o, 3, 0, status); err != nil || len(c.Alone) != 1 || c.Stopped == "" {
		t.Errorf("without time: %+v, %v", c, err)
	}
	once := filepath.Join(t.TempDir(), "once")
	if _, err := Compare(bounded(t), command(t, "mkdir", once), 3, time.Minute, followed(t, command(t, "true")).Status); err == nil || !strings.Contains(err.Error(), "cannot be repeated") {
		t.Errorf("a command that fails the second time: %v", err)
	}
}

// TestCompareBackground: a run that is not followed is over when what it put
// into the background is, and nothing stays.
func TestCompareBackground(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	// Three generations; the last line is written half a second after the command's end.
	o := command(t, "sh", "-c", `echo begun >>"$1"; (sh -c '(sleep 0.5; echo ended >>"$1") &' - "$1" &)`, "-", log)
	for n := 1; n <= 2; n++ {
		took, status, err := o.alone(bounded(t))
		if err != nil || status.ExitCode() != 0 || took <= 0 {
			t.Fatalf("run %d: %v, %v, %v", n, took, status, err)
		}
		text, err := os.ReadFile(log)
		if want := strings.Repeat("begun\nended\n", n); err != nil || string(text) != want {
			t.Fatalf("after run %d the log is %q (%v), want %q", n, text, err, want)
		}
	}
}

// TestCompareStays: a background that does not end is ended, and said.
func TestCompareStays(t *testing.T) {
	b, err := adopt()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.release(); err != nil {
			t.Error(err)
		}
	}()
	o := command(t, "sh", "-c", "(sleep 600 & sleep 600 &)")
	if _, _, err := o.untraced(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := b.wait(bounded(t), 20*time.Millisecond); err == nil || !strings.Contains(err.Error(), `it has left "sleep" running`) {
		t.Errorf("%v", err)
	}
	if left, err := b.until(bounded(t)); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	ctx, cancel := context.WithCancel(bounded(t))
	cancel()
	if _, _, err := o.alone(ctx); err == nil {
		t.Error("it was interrupted, and says nothing")
	}
	if left, err := b.until(bounded(t)); err != nil || len(left) > 0 {
		t.Errorf("after an interruption: left %v, %v", left, err)
	}
}
