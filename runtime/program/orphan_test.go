package program

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A deadly is a launcher that is killed while its child prepares itself.
type deadly struct {
	mode  Mode
	flags uint64
	user  bool // an ordinary user starts it
	creds bool // the child changes its credentials, which disarms the signal
	again bool // the child clones again
	pause bool // the child executes nothing, and waits for ever
}

func (d deadly) name() string {
	name := d.mode.String()
	for word, on := range map[string]bool{"ordinary": d.user, "setresuid": d.creds, "again": d.again, "pause": d.pause} {
		if on {
			name += "+" + word
		}
	}
	if d.flags != 0 {
		name += fmt.Sprintf("+%#x", d.flags)
	}
	return name
}

const deadlySteps = 8

// program writes a line before each of its steps, and has the command sleep.
func (d deadly) program() *Program {
	p := New(d.mode, d.flags)
	p.Stdio(0, 1, 2)
	step := 0
	mark := func() {
		p.Add(Write(Int(1), strconv.Itoa(step)+"\n"))
		p.Add(Sleep(1e6))
		step++
	}
	p.DieWithParent()
	mark()
	mark()
	if d.again {
		p.Again(0)
	}
	mark()
	if d.creds {
		p.Add(Op{Name: "setresuid", Call: unix.SYS_SETRESUID, Args: [6]Arg{Int(ordinary), Int(ordinary), Int(ordinary)}})
		mark() // not armed here
		p.Rearm()
	}
	for step < deadlySteps {
		mark()
	}
	if d.pause {
		p.Confirm()
		p.Add(Pause())
		return p
	}
	p.Exec("/bin/sleep", []string{"sleep", "1000"}, nil)
	return p
}

// helpDie starts what its arguments say, and waits for it.
func helpDie(args []string) error {
	var mode, flags int
	var creds, again, pause bool
	if _, err := fmt.Sscan(strings.Join(args, " "), &mode, &flags, &creds, &again, &pause); err != nil {
		return err
	}
	fmt.Println("start")
	d := deadly{mode: Mode(mode), flags: uint64(flags), creds: creds, again: again, pause: pause}
	l := NewLauncher()
	proc, err := l.Start(d.program())
	if err != nil {
		return err
	}
	if !pause {
		if err := proc.WaitExec(); err != nil {
			return err
		}
	}
	fmt.Println(deadlySteps)
	_, err = proc.Wait()
	return err
}

// kill kills the launcher some time after it, or its child, has written the
// line, and waits until nobody holds the other end of their output.
func (d deadly) kill(t *testing.T, line string, delay time.Duration) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := helper("die", strconv.Itoa(int(d.mode)), strconv.Itoa(int(d.flags)), strconv.FormatBool(d.creds), strconv.FormatBool(d.again), strconv.FormatBool(d.pause))
	if d.user {
		asOrdinary(cmd)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	lines := bufio.NewReader(r)
	var seen []string
	for {
		text, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the launcher's output ended after %q, before line %q", seen, line)
		}
		if text = strings.TrimSpace(text); text == line {
			break
		}
		seen = append(seen, text)
	}
	for end := time.Now().Add(delay); time.Now().Before(end); { // shorter than a sleep can be
		runtime.Gosched()
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed
	if err := r.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Fatalf("killed %v after line %q: %v still runs", delay, line, orphans(t, r))
	}
}

// orphans ends and describes the processes that hold the pipe's other end.
func orphans(t *testing.T, pipe *os.File) (found []string) {
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", pipe.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/1")
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != name {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		found = append(found, string(stat))
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	return found
}

// TestKilledLauncher: whenever the launcher is killed, no child remains.
func TestKilledLauncher(t *testing.T) {
	requireFile(t, "/bin/sleep")
	var table []deadly
	for _, mode := range modes {
		table = append(table, deadly{mode: mode, flags: unix.CLONE_NEWUSER, user: true})
		if os.Geteuid() == 0 {
			table = append(table,
				deadly{mode: mode}, deadly{mode: mode, flags: unix.CLONE_NEWPID},
				deadly{mode: mode, pause: true}, deadly{mode: mode, pause: true, creds: true, flags: unix.CLONE_NEWPID},
				deadly{mode: mode, again: true}, deadly{mode: mode, again: true, creds: true},
				deadly{mode: mode, creds: true}, deadly{mode: mode, creds: true, flags: unix.CLONE_NEWPID})
		}
	}
	lines := []string{"start"}
	for i := range deadlySteps + 1 {
		lines = append(lines, strconv.Itoa(i))
	}
	kills := 0
	for _, d := range table {
		t.Run(d.name(), func(t *testing.T) {
			for _, line := range lines {
				delay := time.Duration(rand.IntN(2500)) * time.Microsecond
				d.kill(t, line, delay)
				kills++
			}
			// Around the clone and the arming of the signal.
			for range 4 {
				d.kill(t, "start", time.Duration(rand.IntN(1000))*time.Microsecond)
				kills++
			}
		})
	}
	t.Logf("%d launchers were killed", kills)
}

// TestLaunchingThreadEnds: the signal is about the thread, not the process.
func TestLaunchingThreadEnds(t *testing.T) {
	requireFile(t, "/bin/sleep")
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		p.DieWithParent()
		p.Exec("/bin/sleep", []string{"sleep", "1000"}, nil)
		var proc *Process
		var err error
		onThreadThatEnds(func() { proc, err = Start(p) })
		if err != nil {
			t.Fatal(err)
		}
		status, err := proc.Wait()
		if err != nil || status.Signal != syscall.SIGKILL {
			t.Errorf("the process ended with %v, %v; want SIGKILL", status, err)
		}
		proc.Release()
	})
}

// onThreadThatEnds runs f on a thread that ends with it. The process's first
// thread never does, so it is kept busy.
func onThreadThatEnds(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			onThreadThatEnds(f)
			runtime.UnlockOSThread()
			return
		}
		f()
	}()
	<-done
}

// TestEndOfGoroutine: a child of a Launcher outlives the goroutine that asked
// for it, and the thread that goroutine was locked to.
func TestEndOfGoroutine(t *testing.T) {
	requireFile(t, "/bin/sleep")
	eachMode(t, func(t *testing.T, mode Mode) {
		l := NewLauncher()
		p := New(mode, 0)
		p.DieWithParent()
		p.Exec("/bin/sleep", []string{"sleep", "1000"}, nil)
		var proc *Process
		var err error
		onThreadThatEnds(func() { proc, err = l.Start(p) })
		if err != nil {
			t.Fatal(err)
		}
		if err := proc.WaitExec(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // the thread has ended, or does not matter
		if proc.ended() {
			t.Error("the child died with a thread that is not its launcher's")
		}
		_ = proc.Signal(syscall.SIGTERM)
		if status, err := proc.Wait(); err != nil || status.Signal != syscall.SIGTERM {
			t.Errorf("the process ended with %v, %v; want SIGTERM", status, err)
		}
		proc.Release()
		l.Close()
		l.Close()
		if _, err := l.Start(p); err == nil {
			t.Error("a closed launcher has started a program")
		}
	})
}
