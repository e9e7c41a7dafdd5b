package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/reports/limits"
)

// verifyProcess is this test's binary, which is isoperf when it is called so.
func verifyProcess(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "isoperf"
	cmd.Dir = t.TempDir()
	return cmd
}

// copied is a copy of this test's binary that is called isoperf, where every user
// may go. Building one takes a compiler, which not every machine has.
func copied(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "isoperf-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile("/proc/self/exe")
	bin := filepath.Join(dir, "isoperf")
	if err = errors.Join(err, os.Chmod(dir, 0o777)); err == nil {
		err = os.WriteFile(bin, program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// ran runs it to its end.
func ran(t *testing.T, cmd *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	var out, fault bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &fault
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), fault.String()
}

// mayLimit skips the test where no group with limits can be made.
func mayLimit(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("ISOPERF_VM") != "1" {
		skip(t, "groups with limits take root, or systemd's delegation")
	}
}

// takesRoot skips the test for an ordinary user. The machine of scripts/vm runs it
// as root too, so there it is no loss.
func takesRoot(t *testing.T, why string) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("ISOPERF_VM") == "1":
		t.Skip(why)
	default:
		skip(t, why)
	}
}

// ownGroups are the groups that a process has made, anywhere.
func ownGroups(t *testing.T, pid int) (list []string) {
	t.Helper()
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "isoperf-") && strings.Contains(d.Name()+"-", "-"+strconv.Itoa(pid)+"-") {
			list = append(list, path)
		}
		return nil // what has just gone is no matter
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Every wrong command line has status 2, and leaves no file.
func TestVerifyRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range []string{
		"cpu.mx", "nonsense", "--quota 0.5%", "--period 2s", "--period 500us", "--period=-1ms", "--period soon", "--quota abc", "--quota=-5%", "--quota inf", "--quota 20", "--quota 1e30%", "--max-error 2", "--max-error 150%",
		"--threads 1000", "--threads=-1", "--max-error x", "--not-judged=maybe", "--quotas 5%", "--pid 1 --cgroup /", "--pid 1 --unit x --cgroup /", "cpu.max --pid 1",
		"--pid 1 --quota 5%", "--for 60s", "--pid 1 --for 0s", "--pid 1 --for 2h", "--pid 1 --user", "--pid 0", "--pid=-3", "--cgroup no/where", "--pid 4194305",
		"--unit no-such-unit-here", "--json no/such/x", "--out no/such/x", "--json - --metrics -",
		"--wide --quota 5%", "--wide --quick", "pids.max --wide", "--pid 1 --wide", "--json x --junit ./x", "--out x --metrics x", "--json x --metrics no/such/x",
	} {
		var out, fault bytes.Buffer
		code := run(context.Background(), append([]string{"verify"}, strings.Fields(args)...), strings.NewReader(""), &out, &fault)
		if code != exitUsage || fault.Len() == 0 || out.Len() != 0 {
			t.Errorf("%q: status %d, %q, %q", args, code, out.String(), fault.String())
		}
	}
	if list, err := os.ReadDir("."); err != nil || len(list) > 0 {
		t.Errorf("files are left: %v, %v", list, err)
	}
}

func TestVerifyStatus(t *testing.T) {
	for _, c := range []struct {
		verdicts  []limits.Verdict
		notJudged string
		want      int
	}{
		{[]limits.Verdict{limits.Accurate, limits.Within}, "", 0},
		{[]limits.Verdict{limits.Accurate, limits.Within}, "fail", 0},
		{[]limits.Verdict{limits.Accurate, limits.NotJudged}, "", 3},
		{[]limits.Verdict{limits.Accurate, limits.NotJudged}, "pass", 0},
		{[]limits.Verdict{limits.Accurate, limits.NotJudged}, "fail", 1},
		{[]limits.Verdict{limits.Inaccurate, limits.NotJudged}, "", 1},
		{[]limits.Verdict{limits.Inaccurate, limits.NotJudged}, "pass", 1},
		{nil, "", 3},
	} {
		var list []limits.Judgement
		for _, v := range c.verdicts {
			list = append(list, limits.Judgement{Case: "CpuMax/x", Verdict: v})
		}
		v := verification{flags: verifyFlags{notJudged: c.notJudged}}
		if got := v.status(list); got != c.want {
			t.Errorf("%v, %q: %d, want %d", c.verdicts, c.notJudged, got, c.want)
		}
	}
}

// A whole run: the text, the files for programs, and nothing left behind.
func TestVerify(t *testing.T) {
	mayLimit(t)
	cmd := verifyProcess(t, "verify", "--quick", "--trust-host", "--quota", "20%", "--out", "r.txt", "--json", "j", "--junit", "x", "--metrics", "m")
	code, stdout, stderr := ran(t, cmd)
	// The machine may be too busy to tell; what the kernel does is right.
	if code != exitDone && code != exitNotJudged {
		t.Fatalf("status %d\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{"20 % / 100 ms", "Trust: ", "nothing left behind", "1 sample -> r.txt", "Next: "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing:\n%s", want, stdout)
		}
	}
	if !strings.Contains(stderr, "cpu-max/quota=20%") {
		t.Errorf("no progress: %s", stderr)
	}
	text, err := os.ReadFile(filepath.Join(cmd.Dir, "j"))
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Schema     string
		Exit       limits.Exit
		Judgements []limits.Judgement
	}
	if err := json.Unmarshal(text, &said); err != nil || said.Schema != limits.Schema || said.Exit.Status != code || said.Exit.Why != "done" || len(said.Judgements) != 1 {
		t.Errorf("%v: %s", err, text)
	}
	for file, want := range map[string]string{"x": "<testcase ", "m": "# EOF\n"} {
		if text, err := os.ReadFile(filepath.Join(cmd.Dir, file)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v: %s", file, err, text)
		}
	}
	if left := ownGroups(t, cmd.Process.Pid); len(left) > 0 {
		t.Errorf("groups are left: %q", left)
	}
}

// A signal ends the run: what was measured stays, every group goes.
func TestVerifyInterrupted(t *testing.T) {
	mayLimit(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			cmd := verifyProcess(t, "verify", "--quick", "--trust-host", "--quota", "50%,100%", "--out", "r.txt", "--json", "j")
			var text bytes.Buffer
			cmd.Stdout, cmd.Stderr = &text, &text
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(cmd.Dir, "r.txt")
			during := false
			for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				data, _ := os.ReadFile(file)
				if bytes.Contains(data, []byte("\nBenchmark")) && len(ownGroups(t, cmd.Process.Pid)) > 0 && !bytes.Contains(data, []byte("quota=100%")) {
					during = true
					break
				}
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !during {
				t.Fatalf("status %d, sent while a group was there: %v\n%s", code, during, text.String())
			}
			f, err := sample.ReadFile(file)
			if err != nil || f.End.Why != "interrupted" || f.Cases[0].N() != 1 {
				t.Errorf("the file: %+v, %v", f, err)
			}
			if data, err := os.ReadFile(filepath.Join(cmd.Dir, "j")); err != nil || !bytes.Contains(data, []byte(`"status": 130`)) {
				t.Errorf("JSON: %v: %s", err, data)
			}
			// Systemd takes a user's scope away a little later.
			var left []string
			for n := 0; n < 200; n++ {
				if left = ownGroups(t, cmd.Process.Pid); len(left) == 0 {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			if len(left) > 0 {
				t.Errorf("groups are left: %q", left)
			}
		})
	}
}

// Interrupted before anything is measured: that is said, and the files for
// programs are whole.
func TestVerifyInterruptedEarly(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	t.Chdir(t.TempDir())
	var out, fault bytes.Buffer
	code := run(ctx, []string{"verify", "--out", "r.txt", "--json", "j", "--junit", "u"}, strings.NewReader(""), &out, &fault)
	if code != exitInterrupted || !strings.Contains(out.String(), "No limit was measured.") || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("status %d, %q, %q", code, out.String(), fault.String())
	}
	var doc struct{ Exit limits.Exit }
	data, err := os.ReadFile("j")
	if err == nil {
		err = json.Unmarshal(data, &doc)
	}
	if err != nil || doc.Exit.Status != exitInterrupted {
		t.Errorf("JSON: %v: %s", err, data)
	}
	if data, err := os.ReadFile("u"); err != nil || !bytes.Contains(data, []byte("<testsuites")) {
		t.Errorf("JUnit: %v: %s", err, data)
	}
}

// A run that fails leaves the files for programs as they were, and one that does
// not replaces them whole; through a link, what it leads to.
func TestVerifyKeepsFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	const before = "of the run before"
	err := errors.Join(os.WriteFile("real", []byte(before), 0o640), os.Symlink("real", "j"))
	if err != nil {
		t.Fatal(err)
	}
	var out, fault bytes.Buffer
	code := run(context.Background(), strings.Fields("verify --json j --out no/such/x"), strings.NewReader(""), &out, &fault)
	if data, err := os.ReadFile("real"); code != exitUsage || err != nil || string(data) != before {
		t.Errorf("status %d, the file is %q, %v", code, data, err)
	}
	v := verification{cli: &cli{ctx: context.Background(), stdout: &out, stderr: &fault}, flags: verifyFlags{out: "r.txt", json: "j", metrics: "m"}}
	if err := v.open("verify", []string{"verify"}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile("real"); err != nil || string(data) != before {
		t.Errorf("while it measures, the file is %q, %v", data, err)
	}
	if err := errors.Join(v.writer.Sample("Odd", []sample.Value{{Unit: "x-count", Value: 1}}), v.writer.End(sample.Ending{Why: "done"}), v.writer.Close()); err != nil {
		t.Fatal(err)
	}
	_ = v.conclude("done", func(io.Writer, *sample.File, []limits.Judgement) error { return nil }) // nothing is judged
	data, err := os.ReadFile("real")
	if info, serr := os.Stat("real"); err != nil || serr != nil || !bytes.Contains(data, []byte(limits.Schema)) || info.Mode() != 0o640 {
		t.Errorf("afterwards it is %q, %v, %v", data, err, serr)
	}
	if to, err := os.Readlink("j"); err != nil || to != "real" {
		t.Errorf("the link is gone: %q, %v", to, err)
	}
	list, err := os.ReadDir(".")
	if err != nil || len(list) != 4 {
		t.Errorf("there are %v, %v", list, err)
	}
}

// The same limit twice is one.
func TestVerifyCells(t *testing.T) {
	cells, err := verifyFlags{quotas: []string{"20%", "0.2", "50%"}, periods: []string{"100ms", "0.1s"}}.cells()
	if err != nil || len(cells) != 2 {
		t.Errorf("%v, %v; want two", cells, err)
	}
}

// Who may not make groups is told so.
func TestVerifyOrdinary(t *testing.T) {
	takesRoot(t, "it takes root to become somebody without a session")
	bin := copied(t)
	cmd := exec.Command(bin, "verify", "--quick", "--quota", "20%", "--out", filepath.Join(filepath.Dir(bin), "r.txt"))
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	code, stdout, stderr := ran(t, cmd)
	if code != exitNotJudged || !strings.Contains(stdout, "Nothing can be said of cpu.max here") || !strings.Contains(stdout, "(1) ") {
		t.Errorf("status %d\n%s%s", code, stdout, stderr)
	}
}

// instant is a case that takes no time.
type instant struct{}

func (instant) Sample(_ int, emit func([]sample.Value, error)) {
	emit([]sample.Value{{Unit: "achieved-ratio", Value: 1}}, nil)
}
func (instant) Close() error { return nil }

// A limit for which there was no time is said to be not judged.
func TestVerifyNoTime(t *testing.T) {
	t.Chdir(t.TempDir())
	var out, fault bytes.Buffer
	v := verification{cli: &cli{ctx: context.Background(), stdout: &out, stderr: &fault}, flags: verifyFlags{out: "r.txt"}}
	if err := v.open("verify", []string{"verify"}); err != nil {
		t.Fatal(err)
	}
	c := harness.Case{Name: "CpuMax/quota=20%/period=100ms/threads=1/load=spin", Samples: 1, Run: 1, Long: true, Ballast: true, Open: func() (harness.Sampler, error) { return instant{}, nil }}
	if _, err := v.take([]harness.Case{c}, harness.Options{Time: 1}); err != nil {
		t.Fatal(err)
	}
	err := v.conclude("the time was up", func(w io.Writer, f *sample.File, list []limits.Judgement) error {
		return limits.Write(w, f, list, limits.Printing{})
	})
	var s status
	if !errors.As(err, &s) || s.code != exitNotJudged || !strings.Contains(out.String(), "there was no time left") || !strings.Contains(out.String(), "the time was up") {
		t.Errorf("%v\n%s%s", err, out.String(), fault.String())
	}
}
