package capability_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/runtime/capability"
	"isoperf/runtime/program"
)

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

func requireRoot(t testing.TB) {
	t.Helper()
	require(t, os.Geteuid() == 0, "it takes root")
}

// requireUserNamespaces skips the test where this user may not make one.
func requireUserNamespaces(t testing.TB) {
	t.Helper()
	p := program.New(program.Stub, 0)
	p.Add(program.Unshare(unix.CLONE_NEWUSER))
	_, err := finish(t, p)
	require(t, err == nil, "there are no user namespaces for this user")
}

// finish runs a program to its end.
func finish(t testing.TB, p *program.Program) (*program.Process, error) {
	t.Helper()
	proc, err := program.Start(p)
	if err != nil {
		return nil, err
	}
	t.Cleanup(proc.Release)
	status, err := proc.Wait()
	if err == nil && !status.Success() {
		t.Fatalf("the process ended with %v", status)
	}
	return proc, err
}

// look has the child read its own status; sets gives it after the end.
func look(p *program.Program) program.Arg {
	text := program.Buffer(4096)
	fd := p.Add(program.Open("/proc/self/status", unix.O_RDONLY))
	p.Add(program.Op{
		Name: "read status", Call: unix.SYS_READ, Args: [6]program.Arg{program.Result(fd), text, program.Int(4095)},
	})
	return text
}

// parse reads the five lines "CapEff:\t0000…" of a status.
func parse(t testing.TB, text string) capability.Sets {
	t.Helper()
	var s capability.Sets
	fields := map[string]*capability.Set{
		"CapBnd:": &s.Bounding, "CapEff:": &s.Effective, "CapPrm:": &s.Permitted, "CapInh:": &s.Inheritable, "CapAmb:": &s.Ambient,
	}
	found := 0
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || fields[words[0]] == nil {
			continue
		}
		n, err := strconv.ParseUint(words[1], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		*fields[words[0]] = capability.Set(n)
		found++
	}
	if found != len(fields) {
		t.Fatalf("a status with %d of the %d sets:\n%s", found, len(fields), text)
	}
	return s
}

// mustSets fails unless the sets are as they should be.
func mustSets(t testing.TB, when string, got, want capability.Sets) {
	t.Helper()
	if got != want {
		t.Errorf("%s the sets are\n%+v, want\n%+v", when, got, want)
	}
}

// printed is what busybox's grep prints of its own status, as the command of a
// program with these ops.
func printed(t testing.TB, ops func(*program.Program)) capability.Sets {
	t.Helper()
	path, err := exec.LookPath("busybox")
	require(t, err == nil, "there is no busybox")
	out, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(out)
	p := program.New(program.Stub, 0)
	p.Stdio(out, out, 2)
	ops(p)
	p.Exec(path, []string{"busybox", "grep", "Cap", "/proc/self/status"}, nil)
	if _, err := finish(t, p); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 4096)
	n, err := unix.Pread(out, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text[:n]))
}
