package program

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// begin starts a program of one op and a gate.
func begin(t *testing.T) (*Program, *Process, Ref, Gate) {
	t.Helper()
	p := New(Stub, 0)
	p.DieWithParent()
	first := p.Add(Null())
	g := p.Wait("next ops")
	proc, err := Begin(p)
	if err != nil {
		t.Fatal(err)
	}
	return p, proc, first, g
}

// A child that began does what is added later, with the results of before.
func TestBegin(t *testing.T) {
	for range 3 { // the second one has the arena of the first
		p, proc, first, g := begin(t)
		buffer := Buffer(64)
		fd := p.Add(Open("/proc/self/comm", unix.O_RDONLY))
		read := p.Add(Op{Name: "read", Call: unix.SYS_READ, Args: [6]Arg{Result(fd), buffer, Int(64)}})
		second := p.Wait("once more")
		if err := proc.Continue(g); err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat("x", 100_000)
		p.Add(Op{Name: "chdir", Call: unix.SYS_CHDIR, Args: [6]Arg{String(text)}, Accept: []syscall.Errno{unix.ENAMETOOLONG}})
		for range 1000 {
			p.Add(Null())
		}
		last := p.Add(Null())
		p.Add(Exit(7))
		if err := proc.Continue(second); err != nil {
			t.Fatal(err)
		}
		status, err := proc.Wait()
		if err != nil || status.Code != 7 {
			t.Fatalf("status %v, %v; want 7", status, err)
		}
		n, ran := proc.img.Result(read)
		if got := string(proc.Buffer(buffer)[:max(n, 0)]); !ran || got != initComm+"\n" {
			t.Errorf("the added op read %q, want %q", got, initComm)
		}
		a, _ := proc.img.Result(first)
		if b, ran := proc.img.Result(last); !ran || a != b {
			t.Errorf("getppid gave %d at first and %d at last", a, b)
		}
		if n := len(proc.Timeline().Spans); n < 1000 {
			t.Errorf("%d spans", n)
		}
		proc.Release()
	}
}

// An op that was added and fails is named.
func TestBeginFails(t *testing.T) {
	p, proc, _, g := begin(t)
	p.Add(Chdir("/does/not/exist"))
	if err := proc.Continue(g); err != nil {
		t.Fatal(err)
	}
	_, err := proc.Wait()
	if err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("the error is %v", err)
	}
	proc.Release()
}

// What cannot be laid out leaves the child at its gate, to be killed.
func TestBeginWrong(t *testing.T) {
	for name, add := range map[string]func(*Program){
		"ops":  func(p *Program) { p.Grow(partialOps); addMany(p, partialOps) },
		"data": func(p *Program) { p.Add(Chdir(strings.Repeat("x", partialSize))) },
		"skip": func(p *Program) { p.Add(Op{Name: "skip", Call: unix.SYS_GETPPID, Skip: 9}) },
		"NUL":  func(p *Program) { p.Add(Chdir("a\x00b")) },
	} {
		t.Run(name, func(t *testing.T) {
			p, proc, _, g := begin(t)
			add(p)
			if err := proc.Continue(g); err == nil {
				t.Error("it went on")
			}
			if err := proc.Signal(unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if status, err := proc.Wait(); err != nil || status.Signal != unix.SIGKILL {
				t.Errorf("status %v, %v", status, err)
			}
			proc.Release()
		})
	}
	p := New(Stub, 0)
	p.Add(Null())
	if _, err := Begin(p); err == nil {
		t.Error("a program without a gate began")
	}
	p = New(Stub, 0)
	g := p.Wait("gate")
	p.Add(Exit(0))
	proc, err := Start(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.Continue(g); err == nil {
		t.Error("a complete program was continued")
	}
	proc.Open(g)
	if _, err := proc.Wait(); err != nil {
		t.Error(err)
	}
	proc.Release()
}

// A child that is made before its ops are written does what one does that is made
// after; so does the image's next one, and the line of instants is as it prints.
func TestLate(t *testing.T) {
	p := New(Stub, 0)
	p.DieWithParent()
	addMany(p, 300)
	text := strings.Repeat("x", 5000)
	p.Add(Op{Name: "chdir", Call: unix.SYS_CHDIR, Args: [6]Arg{String(text)}, Accept: []syscall.Errno{unix.ENAMETOOLONG}})
	last := p.Add(Null())
	p.Add(Exit(7))
	var printed strings.Builder
	if err := p.Print(&printed); err != nil {
		t.Fatal(err)
	}
	proc, err := Start(p)
	if err != nil {
		t.Fatal(err)
	}
	img := proc.img
	for range 2 {
		mustExit(t, proc, 7)
		if n, ran := img.Result(last); !ran || n != int64(os.Getpid()) {
			t.Errorf("the last op gave %d, %v", n, ran)
		}
		if ends, lines := len(proc.Line(nil).Ends), strings.Count(printed.String(), "\n")-1; ends != lines {
			t.Errorf("the line has %d ops, %d are printed", ends, lines)
		}
		if proc, err = img.Start(); err != nil {
			t.Fatal(err)
		}
	}
	mustExit(t, proc, 7)
	img.Close()
}

// What cannot be laid out has no child.
func TestStartWrong(t *testing.T) {
	for name, op := range map[string]Op{
		"data": Chdir(strings.Repeat("x", arenaMost)),
		"skip": {Name: "skip", Call: unix.SYS_GETPPID, Skip: 9},
		"NUL":  Chdir("a\x00b"),
	} {
		p := New(Stub, 0)
		p.DieWithParent()
		p.Add(op)
		if _, err := Start(p); err == nil {
			t.Errorf("%s: it started", name)
		}
		if _, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil); err != unix.ECHILD {
			t.Errorf("%s: there is a child, or wait4 says %v", name, err)
		}
	}
}

func addMany(p *Program, n int) {
	for range n {
		p.Add(Null())
	}
}
