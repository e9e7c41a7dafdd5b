package program

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// initOf starts a process that is the init of a new pid namespace and waits.
func initOf(t *testing.T) *Process {
	t.Helper()
	requireRoot(t)
	p := New(Stub, unix.CLONE_NEWPID)
	told := p.Tell("here")
	p.Wait("never")
	proc := start(t, p)
	if err := proc.Await(told); err != nil {
		t.Fatal(err)
	}
	return proc
}

// join is a program that joins the process's pid namespace, and then clones
// again, between two gates.
func join(t *testing.T, mode Mode, init *Process, bond bool) (p *Program, before, after Gate, pid Ref) {
	t.Helper()
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/pid", init.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	p = New(mode, 0)
	p.Keep(int(ns.Fd()))
	if bond {
		p.DieWithParent()
	}
	p.Add(Setns(Int(int(ns.Fd())), unix.CLONE_NEWPID))
	before = p.Wait("clone again")
	p.Again(0)
	pid = p.Add(Op{Name: "getpid", Call: unix.SYS_GETPID})
	after = p.Wait("go on")
	return p, before, after, pid
}

// TestJoinPidNamespace: the second child is a process of the namespace, and
// the one that is waited for.
func TestJoinPidNamespace(t *testing.T) {
	requireFile(t, "/bin/sh")
	eachMode(t, func(t *testing.T, mode Mode) {
		for _, bond := range []bool{false, true} {
			for _, early := range []bool{false, true} { // open the gates at once, and just Wait
				init := initOf(t)
				p, before, after, pid := join(t, mode, init, bond)
				told := p.Tell("second")
				p.Exec("/bin/sh", []string{"sh", "-c", "exit $(($$ + 40))"}, nil)
				proc := start(t, p)
				first := proc.Pid()
				if early {
					proc.Open(after)
				} else {
					proc.Open(before)
					proc.Open(after)
					if err := proc.Await(told); err != nil {
						t.Fatal(err)
					}
					if proc.Pid() == first {
						t.Error("the message came from the second child, but the process is the first")
					}
					if err := proc.WaitExec(); err != nil {
						t.Fatal(err)
					}
				}
				mustExit(t, proc, 42)
				if n, _ := proc.img.Result(pid); n != 2 || proc.Pid() == first {
					t.Errorf("the second child was process %d there and %d here; the first %d here", n, proc.Pid(), first)
				}
			}
		}
	})
}

// TestWaitExecOfSecond: the first child's end does not look like an execve of
// the second, nor like its end.
func TestWaitExecOfSecond(t *testing.T) {
	requireFile(t, "/bin/true")
	eachMode(t, func(t *testing.T, mode Mode) {
		for i := range 50 {
			p := New(mode, 0)
			gate := p.Wait("go")
			p.Again(0)
			p.Add(Sleep(int64(i%10) * 50e3))
			p.Exec("/bin/true", []string{"true"}, nil)
			proc := start(t, p)
			proc.Open(gate)
			if err := proc.WaitExec(); err != nil {
				t.Fatal(err)
			}
			mustExit(t, proc, 0)
		}
	})
}

// TestKilledAroundAgain: Wait gives the end of whichever child was the last.
func TestKilledAroundAgain(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		init := initOf(t)
		for name, kill := range map[string]func(proc *Process, before Gate) error{
			"first": func(proc *Process, _ Gate) error { return nil },
			"second": func(proc *Process, before Gate) error {
				proc.Open(before)
				return errors.Join(proc.Adopt(), proc.Adopt())
			},
		} {
			p, before, _, _ := join(t, mode, init, true)
			p.Add(Exit(0))
			proc := start(t, p)
			first := proc.Pid()
			if err := kill(proc, before); err != nil {
				t.Fatal(err)
			}
			if moved := proc.Pid() != first; moved != (name == "second") {
				t.Errorf("killing the %s child: process %d, then %d", name, first, proc.Pid())
			}
			if err := proc.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if err := proc.WaitExec(); err == nil {
				t.Error("WaitExec saw an execve")
			}
			if err := proc.Adopt(); name == "first" && err == nil {
				t.Error("a second child was adopted that does not exist")
			}
			if status, err := proc.Wait(); err != nil || status.Signal != syscall.SIGKILL {
				t.Errorf("killing the %s child: %v, %v", name, status, err)
			}
		}
	})
}

// TestAgainFails: the second clone is an op like any other.
func TestAgainFails(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		p.Again(unix.CLONE_NEWNS | unix.CLONE_FS)
		p.Exec("/bin/true", []string{"true"}, nil)
		proc := start(t, p)
		var op *OpError
		if err := proc.WaitExec(); !errors.As(err, &op) || op.Op.Name != "clone again" || op.Errno != unix.EINVAL {
			t.Errorf("WaitExec says %v", err)
		}
		if status, err := proc.Wait(); status.Code != 125 || !errors.As(err, &op) {
			t.Errorf("Wait says %v, %v", status, err)
		}
	})
}

// TestAdoptOnlyChildren: the second child's number is in memory that the first
// can write, so it may be any number.
func TestAdoptOnlyChildren(t *testing.T) {
	p := New(Stub, 0)
	p.Wait("never")
	p.Again(0)
	proc := start(t, p)
	proc.img.arena.header().again = 1
	if err := proc.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := proc.Wait(); !errors.Is(err, unix.ECHILD) {
		t.Errorf("adopting process 1 says %v", err)
	}
	if proc.Pid() == 1 {
		t.Error("process 1 was adopted")
	}
}
