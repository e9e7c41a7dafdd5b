package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// A paused container stands still, also for signals, until it goes on.
func TestPause(t *testing.T) {
	l := newLives(t)
	l.create()
	defer l.must("delete", "-f", "life")
	if os.Geteuid() != 0 {
		l.fails("it has no control group", "pause", "life")
		l.fails("it has no control group", "update", "--pids-limit", "9", "life")
		l.fails("it has no control group", "events", "--stats", "life")
		if out := l.must("ps", "-f", "json", "life"); out != fmt.Sprintf("[%d]\n", l.state().Pid) {
			t.Errorf("ps prints %q", out)
		}
		return
	}
	l.must("start", "life")
	l.must("pause", "life")
	if s := l.state(); s.Status != "paused" {
		t.Errorf("it is %s", s.Status)
	}
	l.fails("container not running", "pause", "life")
	l.fails("not stopped: paused", "delete", "life")
	l.fails("cannot exec in a paused container", "exec", "life", "/busybox", "true")
	before := l.must("events", "--stats", "life")
	time.Sleep(50 * time.Millisecond)
	if used, now := cpuUsed(t, before), cpuUsed(t, l.must("events", "--stats", "life")); used != now {
		t.Errorf("it has used %d ns, and then %d: it does not stand still", used, now)
	}
	waiting := exec.Command(l.isorun, "--root", l.root, "exec", "--ignore-paused", "life", "/busybox", "true")
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); len(l.processes()) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Error("nothing enters it")
			break
		}
	}
	l.must("resume", "life")
	if err := waiting.Wait(); err != nil {
		t.Errorf("what entered it while it was paused ended with %v", err)
	}
	l.fails("container not paused", "resume", "life")
	if s := l.state(); s.Status != "running" {
		t.Errorf("it is %s", s.Status)
	}
	l.must("pause", "life")
	l.must("kill", "life", "KILL") // it also ends what is frozen
	l.stops()
	l.fails("container not running", "pause", "life")
	l.fails("container not paused", "resume", "life")
	l.fails("container not running", "events", "life")
	l.fails("container not running", "update", "--pids-limit", "9", "life")
	if out := l.must("ps", "-f", "json", "life"); out != "[]\n" {
		t.Errorf("ps prints %q", out)
	}
}

// cpuUsed is the processor time in a line of events.
func cpuUsed(t *testing.T, line string) uint64 {
	t.Helper()
	var e struct {
		Type, ID string
		Data     struct {
			CPU struct{ Usage struct{ Total uint64 } }
		}
	}
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Type != "stats" || e.ID != "life" || e.Data.CPU.Usage.Total == 0 {
		t.Fatalf("the event is %q, %v", line, err)
	}
	return e.Data.CPU.Usage.Total
}

// processes are those of the container.
func (l *lives) processes() (pids []int) {
	l.t.Helper()
	if err := json.Unmarshal([]byte(l.must("ps", "--format", "json", "life")), &pids); err != nil {
		l.t.Fatal(err)
	}
	return pids
}

func TestProcesses(t *testing.T) {
	if os.Geteuid() != 0 {
		return // see TestPause
	}
	l := newLives(t)
	l.script("/busybox sleep 1000 | /busybox sleep 1000; exit 0")
	l.create()
	defer l.must("delete", "-f", "life")
	l.must("start", "life")
	var pids []int
	for end := time.Now().Add(5 * time.Second); len(pids) < 3 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		pids = l.processes()
	}
	if len(pids) != 3 || !slices.Contains(pids, l.state().Pid) {
		t.Fatalf("the processes are %v, want a shell and two others", pids)
	}
	for _, args := range [][]string{{"ps", "life"}, {"ps", "life", "-o", "pid,args"}, {"ps", "life", "aux"}} {
		lines := strings.Split(strings.TrimSpace(l.must(args...)), "\n")
		if len(lines) != 4 || !strings.Contains(lines[0], "PID") || strings.Count(strings.Join(lines, "\n"), "sleep 1000") < 2 {
			t.Errorf("isorun %v prints %q", args, lines)
		}
	}
	l.fails("no column PID", "ps", "life", "-o", "args")
	l.fails("run ps", "ps", "life", "--nonsense")
}

// run --detach leaves a container as create and start do, or nothing.
func TestDetach(t *testing.T) {
	l := newLives(t)
	pidFile := t.TempDir() + "/pid"
	l.must("run", "--detach", "--pid-file", pidFile, "life")
	s := l.state()
	if text, err := os.ReadFile(pidFile); err != nil || string(text) != strconv.Itoa(s.Pid) || s.Status != "running" {
		t.Errorf("the pid file says %q, %v; the state is %+v", text, err, s)
	}
	l.fails("already exists", "run", "--detach", "life")
	l.must("delete", "-f", "life")
	if err := os.WriteFile(l.dir+"/rootfs/broken", []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(l.dir + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	start := bytes.Index(config, []byte(`"/busybox"`))
	broken := string(config[:start]) + `"/broken"` + string(config[start+len(`"/busybox"`):])
	if err := os.WriteFile(l.dir+"/config.json", []byte(broken), 0o644); err != nil {
		t.Fatal(err)
	}
	l.fails("exec format error", "run", "-d", "life")
	l.fails("does not exist", "state", "life")
	l.fails("--pid-file", "run", "--pid-file", pidFile, "life")
	l.fails("--no-pivot: not supported", "run", "--no-pivot", "life")
	l.fails("--no-pivot: not supported", "create", "--no-pivot", "life")
}

// A container has the caller's keyring when it is asked to.
func TestKeyring(t *testing.T) {
	l := newLives(t)
	for _, c := range []struct {
		args []string
		has  bool
	}{{nil, true}, {[]string{"--no-new-keyring"}, false}} {
		out, err := exec.Command(l.isorun, append([]string{"run", "--plan", "-b", l.dir, "life"}, c.args...)...).Output()
		if err != nil || strings.Contains(string(out), "KEYCTL_JOIN_SESSION_KEYRING") != c.has {
			t.Errorf("with %v: %v, %s", c.args, err, out)
		}
	}
}

// What features says is in the form of the specification, and true of what is
// refused.
func TestFeatures(t *testing.T) {
	l := newLives(t)
	d := json.NewDecoder(strings.NewReader(l.must("features")))
	d.DisallowUnknownFields()
	var f features.Features
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	if f.OCIVersionMin != "1.0.0" || len(f.Linux.Namespaces) != 8 || !slices.Contains(f.MountOptions, "rro") || !slices.Contains(f.Linux.Capabilities, "CAP_SYS_ADMIN") {
		t.Errorf("features are %+v", f)
	}
	config, err := os.ReadFile(l.dir + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	// refused says whether a container with a field is refused as not supported.
	refused := func(before, field string) bool {
		t.Helper()
		text := strings.Replace(string(config), before, field+", "+before, 1)
		if err := os.WriteFile(l.dir+"/config.json", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, _ := exec.Command(l.isorun, "run", "--plan", "-b", l.dir, "life").CombinedOutput()
		return strings.Contains(string(out), "not supported")
	}
	for _, hook := range []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"} {
		no := refused(`"process"`, fmt.Sprintf(`"hooks": {%q: [{"path": "/busybox"}]}`, hook))
		if no == slices.Contains(f.Hooks, hook) {
			t.Errorf("hooks are %v, and %s is refused: %v", f.Hooks, hook, no)
		}
	}
	for _, c := range []struct {
		before, field string
		on            *bool
	}{
		{`"cwd"`, `"apparmorProfile": "unconfined"`, f.Linux.Apparmor.Enabled},
		{`"namespaces"`, `"mountLabel": "a:b:c:s0"`, f.Linux.Selinux.Enabled}, // labels of processes are not all
		{`"namespaces"`, `"intelRdt": {"closID": "one"}`, f.Linux.IntelRdt.Enabled},
	} {
		if no := refused(c.before, c.field); c.on == nil || no == *c.on {
			t.Errorf("%s is refused: %v, and features has the same", c.field, no)
		}
	}
	if len(f.Linux.MemoryPolicy.Modes) == 0 {
		t.Error("features has no memory policies")
	}
	for _, mode := range append(f.Linux.MemoryPolicy.Modes, "MPOL_NOTHING") {
		nodes := map[bool]string{true: "", false: "0"}[mode == "MPOL_DEFAULT" || mode == "MPOL_LOCAL"]
		no := refused(`"namespaces"`, fmt.Sprintf(`"memoryPolicy": {"mode": %q, "nodes": %q}`, mode, nodes))
		if no == slices.Contains(f.Linux.MemoryPolicy.Modes, mode) {
			t.Errorf("memory policy %s is refused: %v", mode, no)
		}
	}
	for _, flag := range f.Linux.Seccomp.SupportedFlags {
		if !slices.Contains(f.Linux.Seccomp.KnownFlags, flag) {
			t.Errorf("features has %s among the flags that the kernel takes, and not among those that are known", flag)
		}
	}
	if len(f.Linux.Seccomp.SupportedFlags) == 0 {
		t.Error("features has no flags of seccomp that the kernel takes, and Linux 4.14 takes some")
	}
}

// The configuration that spec writes makes a container.
func TestSpec(t *testing.T) {
	l := newLives(t)
	config := l.dir + "/config.json"
	l.fails("it exists", "spec", "--bundle", l.dir)
	for _, args := range [][]string{{"spec", "-b", l.dir}, {"spec", "--rootless", "-b", l.dir}} {
		if err := os.Remove(config); err != nil {
			t.Fatal(err)
		}
		l.must(args...)
		if os.Geteuid() != 0 && len(args) == 3 {
			continue
		}
		text, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(strings.Replace(string(text), `"terminal": true`, `"terminal": false`, 1), "\"sh\"\n", "\"/busybox\", \"hostname\"\n", 1)
		if err := os.WriteFile(config, []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"dev", "sys"} {
			if err := os.MkdirAll(l.dir+"/rootfs/"+dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := exec.Command(l.isorun, "run", "-b", l.dir, "life").CombinedOutput(); err != nil || string(out) != "isorun\n" {
			t.Errorf("%v: %v, %s", args, err, out)
		}
	}
}

// Every command explains itself, and refuses what it does not know.
func TestHelp(t *testing.T) {
	l := newLives(t)
	list := l.must("--help")
	for _, c := range []string{"create", "run"} {
		if out, err := exec.Command(l.isorun, c, "--help").Output(); err != nil || !strings.Contains(string(out), "--console-socket FILE") {
			t.Errorf("%s --help prints %q, %v", c, out, err)
		}
	}
	for _, c := range append(commands(), command{name: "run"}, command{name: "unshare"}) {
		if !strings.Contains(list, "\n  "+c.name+" ") {
			t.Errorf("the help does not list %s", c.name)
		}
		if c.name == "create" || c.name == "run" {
			continue // these tests do not see what they print
		}
		if out := l.must(c.name, "--help"); !strings.Contains(out, "isorun "+c.name) && !strings.Contains(out, c.name+" [flags]") {
			t.Errorf("%s --help prints %q", c.name, out)
		}
		l.fails("unknown flag --nonsense", c.name, "--nonsense")
		if strings.HasPrefix(c.args, "ID") && c.name != "exec" { // which has words of its own
			l.fails("arguments given: 0; usage: isorun "+c.name, c.name)
			if c.name != "update" { // which wants a limit first
				l.fails("nvalid ID format", c.name, "../life")
			}
		}
	}
	l.fails("unknown command", "nonsense")
	l.fails("unknown signal", "kill", "life", "NONSENSE")
	l.fails("--log-format", "--log-format", "xml", "list")
}

// Every command that goes well leaves its timeline in a file of its own.
func TestTimelines(t *testing.T) {
	l := newLives(t)
	dir := t.TempDir()
	t.Setenv("ISORUN_TIMELINE", dir)
	l.create()
	l.must("start", "life")
	l.must("delete", "-f", "life")
	l.fails("does not exist", "state", "life")
	t.Setenv("ISORUN_TIMELINE", "")
	l.must("--timeline", dir, "list")
	l.script("exit 0")
	if out, err := exec.Command(l.isorun, "--timeline", dir, "run", "-b", l.dir, "life").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string]string{}
	for _, f := range files {
		words := strings.Split(strings.TrimSuffix(f.Name(), ".timeline"), "-")
		text, err := os.ReadFile(dir + "/" + f.Name())
		if err != nil || len(words) != 3 {
			t.Fatalf("%s: %v", f.Name(), err)
		}
		steps[words[0]+" "+words[1]] = string(text)
	}
	for name, step := range map[string]string{"life create": "get ready", "life start": "wait for its command", "life delete": "remove it", "none list": "end", "life run": "clone3"} {
		if !strings.Contains(steps[name], "\t"+step+"\n") {
			t.Errorf("the timeline of %s has no step %q: %q", name, step, steps[name])
		}
		delete(steps, name)
	}
	if len(steps) > 0 {
		t.Errorf("there are timelines of other commands: %v", steps)
	}
	l.fails(`--timeline: directory "/none"`, "--timeline", "/none", "list")
}
