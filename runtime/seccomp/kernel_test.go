package seccomp_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
	"isoperf/runtime/seccomp"
	"isoperf/runtime/seccomp/profile"
)

// The tests here load filters into the kernel. As root each runs twice, the
// second time as an ordinary user.

// ordinary is a user id that no one has.
const ordinary = 54321

func eachUser(t *testing.T, f func(t *testing.T, user int)) {
	t.Run("self", func(t *testing.T) { f(t, 0) })
	if os.Geteuid() == 0 {
		t.Run("ordinary", func(t *testing.T) { f(t, ordinary) })
	}
}

// confined begins a program of a user (0: the test's own) that has no new
// privileges.
func confined(user int) *program.Program {
	p := program.New(program.Stub, 0)
	if user != 0 {
		id := program.Int(user)
		p.Add(program.Op{Name: "setgroups", Call: unix.SYS_SETGROUPS})
		p.Add(program.Op{Name: "setresgid", Call: unix.SYS_SETRESGID, Args: [6]program.Arg{id, id, id}})
		p.Add(program.Op{Name: "setresuid", Call: unix.SYS_SETRESUID, Args: [6]program.Arg{id, id, id}})
	}
	p.Add(program.Prctl("no_new_privs", unix.PR_SET_NO_NEW_PRIVS, program.Int(1)))
	return p
}

func assemble(t testing.TB, s *specs.LinuxSeccomp) *seccomp.Filter {
	t.Helper()
	f, err := seccomp.Assemble(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func defaultFilter(t testing.TB) *seccomp.Filter {
	t.Helper()
	s, err := profile.Default(nil)
	if err != nil {
		t.Fatal(err)
	}
	return assemble(t, s)
}

// finish runs a program to its end.
func finish(t testing.TB, p *program.Program) (program.Status, error) {
	t.Helper()
	proc, err := program.Start(p)
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Release()
	return proc.Wait()
}

// TestOpFails: an op behind the filter fails with the filter's errno, and one
// before it does not.
func TestOpFails(t *testing.T) {
	unshare := program.Unshare(0) // which does nothing
	eachUser(t, func(t *testing.T, user int) {
		p := confined(user)
		p.Add(unshare)
		p.Add(program.Exit(3))
		if status, err := finish(t, p); err != nil || status.Code != 3 {
			t.Fatalf("without a filter: %v, %v", status, err)
		}
		p = confined(user)
		p.Add(unshare)
		p.Add(defaultFilter(t).Op())
		p.Add(unshare)
		p.Add(program.Exit(3))
		_, err := finish(t, p)
		var failed *program.OpError
		if !errors.As(err, &failed) || failed.Errno != unix.EPERM || failed.Index != len(p.Ops())-1 {
			t.Errorf("behind the default filter: %v; want EPERM of op %d", err, len(p.Ops())-1)
		}
	})
}

// TestOpNeedsNoNewPrivs: without it an ordinary user cannot load a filter.
func TestOpNeedsNoNewPrivs(t *testing.T) {
	none, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	require(t, err == nil && none == 0, "the tests run without new privileges themselves")
	p := program.New(program.Stub, 0)
	if os.Geteuid() == 0 {
		id := program.Int(ordinary)
		p.Add(program.Op{Name: "setresuid", Call: unix.SYS_SETRESUID, Args: [6]program.Arg{id, id, id}})
	}
	p.Add(defaultFilter(t).Op())
	p.Add(program.Exit(0))
	if _, err := finish(t, p); !errors.Is(err, unix.EACCES) {
		t.Errorf("loaded with %v; want EACCES", err)
	}
}

// TestFlags: the kernel takes all flags that a profile can have.
func TestFlags(t *testing.T) {
	f := assemble(t, &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{
		specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagWaitKillableRecv, "SECCOMP_FILTER_FLAG_TSYNC",
	}})
	p := confined(0)
	p.Add(f.Op())
	p.Add(program.Exit(3))
	if status, err := finish(t, p); err != nil || status.Code != 3 {
		t.Errorf("%v, %v", status, err)
	}
}

// TestKernelAgrees: the kernel answers what Decide says, for random conditions
// on a call that ignores its arguments.
func TestKernelAgrees(t *testing.T) {
	ops := []specs.LinuxSeccompOperator{specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual}
	values := []uint64{0, 1, 2, 1 << 31, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1 << 63, ^uint64(0)}
	r := rand.New(rand.NewPCG(1, 2))
	value := func() uint64 { return values[r.IntN(len(values))] }
	denied := 0
	for i := range 300 {
		s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
		for n := range 1 + r.IntN(4) {
			e := specs.LinuxSyscall{Names: []string{"getppid"}, Action: specs.ActErrno, ErrnoRet: new(uint(60 + n))}
			for range 1 + r.IntN(2) {
				e.Args = append(e.Args, specs.LinuxSeccompArg{Index: uint(r.IntN(6)), Value: value(), ValueTwo: value(), Op: ops[r.IntN(len(ops))]})
			}
			s.Syscalls = append(s.Syscalls, e)
		}
		f, err := seccomp.Assemble(s)
		if err != nil {
			continue // the same conditions twice
		}
		var args [6]uint64
		op := program.Null()
		for j := range args {
			args[j] = value()
			op.Args[j] = program.Int(args[j])
		}
		var want syscall.Errno
		if ret := f.Decide(nativeAudit(t), unix.SYS_GETPPID, args); ret != unix.SECCOMP_RET_ALLOW {
			want = syscall.Errno(ret & unix.SECCOMP_RET_DATA)
			denied++
		}
		p := confined(0)
		p.Add(f.Op())
		p.Add(op)
		p.Add(program.Exit(0))
		_, err = finish(t, p)
		var got syscall.Errno
		errors.As(err, &got)
		if got != want {
			t.Fatalf("%d: %+v\nargs %#x: the kernel answers %v, Decide %v", i, s.Syscalls, args, err, want)
		}
	}
	if denied < 50 || denied > 250 {
		t.Errorf("%d of 300 calls were denied; the test sees too little", denied)
	}
}

func nativeAudit(t testing.TB) uint32 {
	t.Helper()
	audit, ok := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if !ok {
		t.Fatal("no audit number for " + runtime.GOARCH)
	}
	return audit
}

// runFile executes a file behind a filter, as a user, and returns its output.
func runFile(t *testing.T, f *seccomp.Filter, user int, path string, argv, env []string) (program.Status, string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	in, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	p := program.New(program.Stub, 0)
	p.Stdio(int(in.Fd()), int(out.Fd()), int(out.Fd()))
	p.Keep(int(file.Fd()))
	for _, op := range confined(user).Ops() {
		p.Add(op)
	}
	p.Last(f.Op())
	p.ExecAt(program.Int(file.Fd()), argv, env)
	status, err := finish(t, p)
	if err != nil {
		t.Fatalf("run %q: %v", argv, err)
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	return status, string(text)
}

// TestDefaultRuns: the default profile does not break a shell, a static
// program, a Go program, or glibc's threads, which try clone3 first.
func TestDefaultRuns(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const env = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, c := range []struct {
		name, path string
		argv       []string
		env        string
		want       string
	}{
		{"shell", "/bin/sh", []string{"sh", "-c", "echo one | cat && (echo two; exit 4) || echo three; grep ^Seccomp: /proc/self/status"}, env, "one\ntwo\nthree\nSeccomp:\t2\n"},
		{"static", "/bin/busybox", []string{"busybox", "sh", "-c", "busybox echo one | busybox cat; busybox ls -d /"}, env, "one\n/\n"},
		{"glibc threads", "/bin/sh", []string{"sh", "-c", "seq 400000 | sort --parallel=2 -S 64M -rn | head -n 1"}, env, "400000\n"},
		{"go", self, []string{"go-program"}, helperEnv + "=1", "fine\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := os.Stat(c.path)
			require(t, err == nil, "there is no "+c.path)
			eachUser(t, func(t *testing.T, user int) {
				status, out := runFile(t, defaultFilter(t), user, c.path, c.argv, []string{c.env})
				if !status.Success() || out != c.want {
					t.Errorf("%v, output %q; want success and %q", status, out, c.want)
				}
			})
		})
	}
}

// TestDefaultForbids: what the default profile forbids to a root without
// capabilities is EPERM, before anything else could be wrong with it.
func TestDefaultForbids(t *testing.T) {
	_, err := os.Stat("/bin/busybox")
	require(t, err == nil, "there is no /bin/busybox")
	script := "busybox mount -t tmpfs none /no/such/place 2>&1 | busybox grep -q denied && busybox unshare -U busybox true 2>&1 | busybox grep -q permitted && echo both"
	eachUser(t, func(t *testing.T, user int) {
		status, out := runFile(t, defaultFilter(t), user, "/bin/busybox", []string{"busybox", "sh", "-c", script}, nil)
		if strings.TrimSpace(out) != "both" {
			t.Errorf("%v: %q", status, out)
		}
	})
}

// The kernel has a flag of Linux 4.14, and none that nobody knows.
func TestKernelTakes(t *testing.T) {
	if !seccomp.KernelTakes(specs.LinuxSeccompFlagLog) || seccomp.KernelTakes("SECCOMP_FILTER_FLAG_NOTHING") {
		t.Errorf("LOG is taken: %v, and NOTHING: %v", seccomp.KernelTakes(specs.LinuxSeccompFlagLog), seccomp.KernelTakes("SECCOMP_FILTER_FLAG_NOTHING"))
	}
}
