package program

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestWaitExec: it returns at execve, while the command runs.
func TestWaitExec(t *testing.T) {
	requireFile(t, "/bin/sleep")
	eachMode(t, func(t *testing.T, mode Mode) {
		for _, bond := range []bool{false, true} {
			p := New(mode, 0)
			if bond {
				p.DieWithParent()
			}
			gate := p.Wait("go")
			p.Exec("/bin/sleep", []string{"sleep", "1000"}, nil)
			l := NewLauncher()
			defer l.Close()
			proc, err := l.Start(p)
			if err != nil {
				t.Fatal(err)
			}
			// A sibling that holds a copy of everything the child has.
			sibling := New(Fork, 0)
			sibling.Add(Pause())
			start(t, sibling)
			proc.Open(gate)
			if err := proc.WaitExec(); err != nil {
				t.Fatal(err)
			}
			if comm, err := os.ReadFile(filepath.Join("/proc", itoa(proc.Pid()), "comm")); err != nil || string(comm) != "sleep\n" {
				t.Errorf("WaitExec returned, but the process is called %q, %v", comm, err)
			}
			_ = proc.Signal(syscall.SIGKILL)
			if status, err := proc.Wait(); err != nil || status.Signal != syscall.SIGKILL {
				t.Errorf("the process ended with %v, %v", status, err)
			}
			if err := proc.WaitExec(); err != nil {
				t.Errorf("after the end of the command, WaitExec says %v", err)
			}
			proc.Release()
		}
	})
}

// TestExecFails: the error names the op, and there is advice.
func TestExecFails(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		path  string
		errno syscall.Errno
		hint  string
	}{
		{filepath.Join(dir, "missing"), unix.ENOENT, "no such file"},
		{file("script", "#!/no/interpreter\n", 0o755), unix.ENOENT, "its interpreter is missing"},
		{file("data", "#!/bin/sh\n", 0o644), unix.EACCES, "not an executable file"},
		{dir, unix.EACCES, "not an executable file"},
		{file("text", "no program\n", 0o755), unix.ENOEXEC, "no #! line"},
	} {
		eachMode(t, func(t *testing.T, mode Mode) {
			for _, bond := range []bool{false, true} {
				p := New(mode, 0)
				if bond {
					p.DieWithParent()
				}
				p.Exec(c.path, []string{"command"}, nil)
				proc := start(t, p)
				var op *OpError
				if err := proc.WaitExec(); !errors.As(err, &op) {
					t.Fatalf("WaitExec says %v, not which op failed", err)
				}
				if op.Op.Name != "execve" || op.Errno != c.errno || !strings.Contains(op.Error(), c.hint) {
					t.Errorf("%v; want execve, %v, and %q", op, c.errno, c.hint)
				}
				if last := p.Ops()[op.Index-1]; last.Name != "execve" {
					t.Errorf("op %d is %q", op.Index, last.Name)
				}
				status, err := proc.Wait()
				if status.Code != 125 || !errors.Is(err, c.errno) {
					t.Errorf("Wait gave %v, %v; want exit status 125 and %v", status, err, c.errno)
				}
			}
		})
	}
}

// TestKilledBeforeExec: whoever waits learns of it.
func TestKilledBeforeExec(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		p.Wait("never")
		told := p.Tell("never")
		p.Exec("/bin/true", []string{"true"}, nil)
		for name, wait := range map[string]func(*Process) error{
			"WaitExec": (*Process).WaitExec,
			"Await":    func(proc *Process) error { return proc.Await(told) },
		} {
			proc := start(t, p)
			go func() {
				time.Sleep(5 * time.Millisecond)
				_ = proc.Signal(syscall.SIGKILL)
			}()
			if err := wait(proc); err == nil || !strings.Contains(err.Error(), "ended before it") {
				t.Errorf("%s says %v", name, err)
			}
			if status, err := proc.Wait(); err != nil || status.Signal != syscall.SIGKILL {
				t.Errorf("the process ended with %v, %v", status, err)
			}
		}
	})
}

// TestKilledByExec: a child that the kernel kills in execve, after the last op
// that shows in the arena, has not executed the command.
func TestKilledByExec(t *testing.T) {
	filter := filterFor(unix.SYS_EXECVE, unix.SECCOMP_RET_KILL_PROCESS)
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		p.Add(Op{Name: "no new privileges", Call: unix.SYS_PRCTL, Args: [6]Arg{Int(unix.PR_SET_NO_NEW_PRIVS), Int(1)}})
		code := Bytes(unsafe.Slice((*byte)(unsafe.Pointer(&filter[0])), len(filter)*int(unsafe.Sizeof(filter[0]))))
		p.Add(Op{Name: "seccomp", Call: unix.SYS_SECCOMP, Args: [6]Arg{Int(unix.SECCOMP_SET_MODE_FILTER), {}, Words(Int(len(filter)), code)}})
		p.Exec("/bin/true", []string{"true"}, nil)
		for range 20 {
			proc := start(t, p)
			if err := proc.WaitExec(); err == nil {
				t.Fatal("WaitExec saw an execve that has killed the process")
			}
			if status, err := proc.Wait(); err != nil || status.Signal != syscall.SIGSYS {
				t.Fatalf("the process ended with %v, %v; want SIGSYS", status, err)
			}
		}
	})
}

// TestQuickCommand: a command that ends at once was executed all the same.
func TestQuickCommand(t *testing.T) {
	requireFile(t, "/bin/sh")
	eachMode(t, func(t *testing.T, mode Mode) {
		for command, end := range map[string]Status{
			"exit 125": {Code: 125}, "kill -9 $$": {Code: -1, Signal: syscall.SIGKILL},
		} {
			p := New(mode, 0)
			p.Exec("/bin/sh", []string{"sh", "-c", command}, nil)
			for range 20 {
				proc := start(t, p)
				if err := proc.WaitExec(); err != nil {
					t.Fatal(err)
				}
				status, err := proc.Wait()
				if err != nil || status.Code != end.Code || status.Signal != end.Signal {
					t.Fatalf("%q ended with %v, %v", command, status, err)
				}
			}
		}
	})
}

// TestExecAt executes a file by its descriptor.
func TestExecAt(t *testing.T) {
	requireFile(t, "/bin/sh")
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		file := p.Add(Open("/bin/sh", unix.O_PATH))
		p.ExecAt(Result(file), []string{"sh", "-c", `exit "$code"`}, []string{"code=9"})
		proc := start(t, p)
		if err := proc.WaitExec(); err != nil {
			t.Fatal(err)
		}
		mustExit(t, proc, 9)
	})
}

// Why no command could be executed is written down.
func TestReportExec(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"plain": "x", "noexec": "no program"} {
		mode := os.FileMode(0o644)
		if name == "noexec" {
			mode = 0o755
		}
		if err := os.WriteFile(dir+"/"+name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		paths []string
		want  syscall.Errno // 0: it runs
	}{
		{[]string{dir + "/none"}, unix.ENOENT},
		{[]string{dir + "/none", dir + "/plain"}, unix.EACCES},
		{[]string{dir + "/noexec"}, unix.ENOEXEC},
		{[]string{dir + "/plain/x"}, unix.ENOTDIR},
		{[]string{dir + "/none", "/bin/true"}, 0},
	} {
		f, err := os.Create(dir + "/report")
		if err != nil {
			t.Fatal(err)
		}
		p := New(Stub, 0)
		p.Stdio(0, 1, 2)
		p.Keep(int(f.Fd()))
		p.ReportExec(Int(f.Fd()))
		p.ExecFirst(c.paths, []string{"x"}, nil)
		proc, err := Start(p)
		if err != nil {
			t.Fatal(err)
		}
		status, err := proc.Wait()
		proc.Release()
		f.Close()
		text, rerr := os.ReadFile(dir + "/report")
		if err != nil || rerr != nil {
			t.Fatal(err, rerr)
		}
		if c.want == 0 {
			if len(text) != 0 || status.Code != 0 {
				t.Errorf("%v: %v, and the report says %x", c.paths, status, text)
			}
			continue
		}
		if len(text) != 8 || syscall.Errno(-int64(binary.NativeEndian.Uint64(text))) != c.want || status.Code != 127 {
			t.Errorf("%v: %v, and the report says %x, want %v", c.paths, status, text, c.want)
		}
	}
}
