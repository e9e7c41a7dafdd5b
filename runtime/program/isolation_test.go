package program

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// waiting starts a program that waits at a gate, and returns when it does.
func waiting(t *testing.T, mode Mode) *Process {
	t.Helper()
	p := New(mode, 0)
	told := p.Tell("here")
	p.Wait("never")
	p.Add(Exit(0))
	proc := start(t, p)
	if err := proc.Await(told); err != nil {
		t.Fatal(err)
	}
	return proc
}

// TestMemoryIsShared: only in mode vm is the child's memory the launcher's, so
// that who may write into the child may write into the launcher.
func TestMemoryIsShared(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		proc := waiting(t, mode)
		const kcmpVM = 1
		differ, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(proc.Pid()), kcmpVM, 0, 0, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		if shared := differ == 0; shared != (mode == VM) {
			t.Errorf("kcmp: the memory is shared: %v", shared)
		}
		secret := []byte("secret")
		local := []unix.Iovec{{Base: unsafe.SliceData([]byte("stolen")), Len: 6}}
		remote := []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(unsafe.SliceData(secret))), Len: 6}}
		_, err := unix.ProcessVMWritev(proc.Pid(), local, remote, 0)
		require(t, err != unix.EPERM, "this process may not write into its own child's memory (yama)")
		if want := map[Mode]string{VM: "stolen", Stub: "secret", Fork: "secret"}[mode]; string(secret) != want {
			t.Errorf("a write into the child's memory (%v) left %q in the launcher", err, secret)
		}
		if mode == Stub && err != unix.EFAULT {
			t.Errorf("a write to the launcher's address in the stub: %v, want EFAULT", err)
		}
		runtime.KeepAlive(secret)
	})
}

// helpDumpable prints whether this process can still be dumped after a child
// has changed its user.
func helpDumpable(args []string) error {
	p := New(map[string]Mode{"vm": VM, "stub": Stub, "fork": Fork}[args[0]], 0)
	p.Add(Op{Name: "setresuid", Call: unix.SYS_SETRESUID, Args: [6]Arg{Int(ordinary), Int(ordinary), Int(ordinary)}})
	img, err := Load(p)
	if err != nil {
		return err
	}
	if _, err := img.Cycle(); err != nil {
		return err
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	fmt.Print(dumpable)
	return err
}

// TestDumpable: whether a process can be dumped belongs to its memory, so a
// child in mode vm that changes its user changes the launcher.
func TestDumpable(t *testing.T) {
	requireRoot(t)
	eachMode(t, func(t *testing.T, mode Mode) {
		want := map[Mode]string{VM: "0", Stub: "1", Fork: "1"}[mode]
		if got := run(t, helper("dumpable", mode.String())); got != want {
			t.Errorf("dumpable is %s, want %s", got, want)
		}
	})
}

// TestScriptOfSelf: a script whose interpreter is /proc/self/exe, the way in
// of CVE-2019-5736, runs the stub, which does nothing; in the other modes it
// runs the launcher's file.
func TestScriptOfSelf(t *testing.T) {
	for _, argument := range []string{"", " -test.run=^$", " x"} {
		script := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(script, []byte("#!/proc/self/exe"+argument+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		eachMode(t, func(t *testing.T, mode Mode) {
			w, r := pipe(t, false)
			p := New(mode, 0)
			p.Stdio(0, w, w)
			p.Exec(script, []string{script, "-test.run=^$"}, []string{helperEnv + "=parity"})
			proc := start(t, p)
			if err := proc.WaitExec(); err != nil {
				t.Fatal(err)
			}
			status, err := proc.Wait()
			unix.Close(w)
			text := all(t, r)
			if mode == Stub && (err != nil || status.Code != 125 || text != "") {
				t.Errorf("the stub ended with %v, %v, and printed %q", status, err, text)
			}
			if mode != Stub && status.Code == 125 {
				t.Errorf("mode %v did not run this binary: %v; the stub proves nothing", mode, status)
			}
		})
	}
}

// TestSealed: the file that a stub child runs is not the launcher's, and
// nobody can change it.
func TestSealed(t *testing.T) {
	proc := waiting(t, Stub)
	exe := fmt.Sprintf("/proc/%d/exe", proc.Pid())
	if link, err := os.Readlink(exe); err != nil || !strings.HasPrefix(link, "/memfd:isoperf-stub") {
		t.Errorf("the stub's file is %q, %v", link, err)
	}
	for _, flags := range []int{os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC} {
		if f, err := os.OpenFile(exe, flags, 0); err == nil {
			f.Close()
			t.Errorf("%s can be opened with flags %#x while it runs", exe, flags)
		}
	}
	if err := os.Truncate(exe, 0); err == nil {
		t.Errorf("%s can be truncated", exe)
	}
	fd := sealed.file.fd
	if _, err := unix.Pwrite(fd, []byte("x"), 0); err != unix.EPERM {
		t.Errorf("writing to the sealed stub: %v", err)
	}
	if err := unix.Ftruncate(fd, 0); err != unix.EPERM {
		t.Errorf("truncating the sealed stub: %v", err)
	}
	if err := unix.Ftruncate(fd, 1<<20); err != unix.EPERM {
		t.Errorf("growing the sealed stub: %v", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE); err != unix.EPERM {
		t.Errorf("adding a seal: %v", err)
	}
	text, err := os.ReadFile(exe)
	if err != nil || !bytes.Equal(text, StubELF()) {
		t.Errorf("the file is not the stub: %d bytes, %v", len(text), err)
	}
	t.Logf("the stub has %d bytes", len(text))
}

// TestStubByHand: without an arena the stub does nothing.
func TestStubByHand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stub")
	if err := os.WriteFile(path, StubELF(), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {""}, {"0"}, {"1"}, {"0000010001000000"}, {strings.Repeat("?", 16)}, {"x", "y"}} {
		var exit *exec.ExitError
		out, err := exec.Command(path, args...).CombinedOutput()
		if !errors.As(err, &exit) || exit.ExitCode() != 125 || len(out) != 0 {
			t.Errorf("with arguments %q: %v, %q", args, err, out)
		}
	}
}

// TestWaitingStubIsSmall: a container that waits for its start costs little.
func TestWaitingStubIsSmall(t *testing.T) {
	proc := waiting(t, Stub)
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", proc.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	private := 0
	for line := range strings.Lines(string(rollup)) {
		var name string
		var n int
		if _, err := fmt.Sscan(line, &name, &n); err == nil && strings.HasPrefix(name, "Private_") {
			private += n
		}
	}
	tables := statusField(t, itoa(proc.Pid()), "VmPTE")
	t.Logf("a waiting stub has %d KiB of its own, and %d KiB of page tables", private, tables)
	if private == 0 || private+tables > 200 {
		t.Errorf("a waiting stub has %d KiB of its own, and %d KiB of page tables; want at most 200 together", private, tables)
	}
	for _, link := range descriptorsOf(t, itoa(proc.Pid())) {
		if strings.Contains(link, "memfd") {
			t.Errorf("a waiting stub has the descriptor %s", link)
		}
	}
}

// helpUserProgram is a launcher of an ordinary user whose child unshares a
// user and a network namespace and becomes another user of it. Its parent
// writes the maps in between.
func helpUserProgram([]string) error {
	p := New(Stub, 0)
	p.Add(Unshare(unix.CLONE_NEWUSER | unix.CLONE_NEWNET))
	unshared := p.Tell("unshared")
	mapped := p.Wait("mapped")
	p.Add(Op{Name: "setresgid", Call: unix.SYS_SETRESGID, Args: [6]Arg{Int(1), Int(1), Int(1)}})
	p.Add(Op{Name: "setresuid", Call: unix.SYS_SETRESUID, Args: [6]Arg{Int(1), Int(1), Int(1)}})
	changed := p.Tell("another user")
	p.Wait("never")
	proc, err := Start(p)
	if err != nil {
		return err
	}
	defer proc.Wait()
	defer proc.Signal(syscall.SIGKILL)
	if err := proc.Await(unshared); err != nil {
		return err
	}
	path := fmt.Sprintf("/proc/%d/ns/net", proc.Pid())
	before, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("before the change of user: %w", err)
	}
	defer before.Close()
	fmt.Println(proc.Pid())
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		return err
	}
	proc.Open(mapped)
	if err := proc.Await(changed); err != nil {
		return err
	}
	if _, err := os.Open(path); !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("after the change of user: %w, want EACCES", err)
	}
	return nil
}

// TestDescriptorsBeforeCredentials: without privilege, the child's namespaces
// can be opened until it becomes another user.
func TestDescriptorsBeforeCredentials(t *testing.T) {
	requireRoot(t)
	cmd := asOrdinary(helper("user-program"))
	var errs bytes.Buffer
	cmd.Stderr = &errs
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
	if err == nil {
		dir := "/proc/" + strings.TrimSpace(line)
		text := fmt.Sprintf("0 %d 1\n1 %d 1\n", ordinary, ordinary+1)
		put(t, dir, "uid_map", text)
		put(t, dir, "gid_map", text)
	} else if err != io.EOF {
		t.Error(err)
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, errs.String())
	}
}
