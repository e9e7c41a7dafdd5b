package program

import (
	"bufio"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLauncher: everything runs on one thread, one after the other.
func TestLauncher(t *testing.T) {
	l := NewLauncher()
	var tids []int
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			l.Do(func() {
				runtime.Gosched()
				tids = append(tids, unix.Gettid())
			})
		})
	}
	wg.Wait()
	if len(tids) != 20 || slices.Min(tids) != slices.Max(tids) {
		t.Errorf("the functions ran on threads %v", tids)
	}
	l.Close()
	defer func() {
		if recover() == nil {
			t.Error("a closed launcher runs functions")
		}
	}()
	l.Do(func() {})
}

// TestLauncherCloses: with the thread end the children that die with it.
func TestLauncherCloses(t *testing.T) {
	requireFile(t, "/bin/sleep")
	eachMode(t, func(t *testing.T, mode Mode) {
		l := NewLauncher()
		first := false // the process's first thread does not end
		l.Do(func() { first = unix.Gettid() == os.Getpid() })
		if first {
			defer l.Close()
			l = NewLauncher()
		}
		p := New(mode, 0)
		p.DieWithParent()
		p.Exec("/bin/sleep", []string{"sleep", "1000"}, nil)
		proc, err := l.Start(p)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if status, err := proc.Wait(); err != nil || status.Signal != syscall.SIGKILL {
			t.Errorf("the process ended with %v, %v; want SIGKILL", status, err)
		}
		proc.Release()
	})
}

const trapper = `for s in HUP INT TERM USR1 USR2 WINCH ALRM CONT URG; do trap "echo $s" $s; done
trap 'exit 5' QUIT
echo ready
while :; do sleep 0.01; done`

// TestForward: what the launcher receives, the command gets.
func TestForward(t *testing.T) {
	requireFile(t, "/bin/sh")
	w, r := pipe(t, false)
	p := New(Stub, 0)
	p.Stdio(0, w, 2)
	p.Exec("/bin/sh", []string{"sh", "-c", trapper}, []string{"PATH=/bin:/usr/bin"})
	proc := start(t, p)
	unix.Close(w)
	lines := bufio.NewReader(r)
	expect := func(want string) {
		t.Helper()
		if got, err := lines.ReadString('\n'); err != nil || strings.TrimSpace(got) != want {
			t.Fatalf("the command printed %q, %v; want %q", got, err, want)
		}
	}
	send := func(sig syscall.Signal) {
		t.Helper()
		if err := unix.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	expect("ready")
	stop := Forward(proc)
	for name, sig := range map[string]syscall.Signal{
		"HUP": unix.SIGHUP, "INT": unix.SIGINT, "TERM": unix.SIGTERM, "USR1": unix.SIGUSR1,
		"USR2": unix.SIGUSR2, "WINCH": unix.SIGWINCH, "ALRM": unix.SIGALRM, "CONT": unix.SIGCONT,
	} {
		send(unix.SIGURG) // not forwarded
		send(unix.SIGCHLD)
		send(unix.SIGPIPE)
		send(sig)
		expect(name)
	}
	stop()
	stop()
	// Only what was asked for, and only what can be forwarded.
	stop = Forward(proc, unix.SIGUSR1, unix.SIGURG, unix.SIGKILL)
	send(unix.SIGURG)
	send(unix.SIGWINCH)
	send(unix.SIGUSR1)
	expect("USR1")
	stop()
	Forward(proc, unix.SIGCHLD)()
	stop = Forward(proc)
	send(unix.SIGQUIT)
	mustExit(t, proc, 5)
	send(unix.SIGTERM) // to nobody
	time.Sleep(time.Millisecond)
	stop()
	if rest := all(t, lines); rest != "" {
		t.Errorf("the command printed %q beside", rest)
	}
}

func TestForwardable(t *testing.T) {
	list := Forwardable()
	for _, sig := range []os.Signal{unix.SIGWINCH, unix.SIGTERM, unix.SIGTSTP, unix.SIGCONT, syscall.Signal(37)} {
		if !slices.Contains(list, sig) {
			t.Errorf("%v is not forwarded", sig)
		}
	}
	for _, sig := range []os.Signal{unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGKILL, unix.SIGSTOP, unix.SIGSEGV} {
		if slices.Contains(list, sig) {
			t.Errorf("%v is forwarded", sig)
		}
	}
}

// TestSignalBesideWait: a signal never goes to whoever has the descriptor next.
func TestSignalBesideWait(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		p.Add(Exit(0))
		for range 50 {
			proc := start(t, p)
			var wg sync.WaitGroup
			wg.Go(func() {
				for proc.Signal(syscall.SIGCONT) == nil {
					proc.Pid()
				}
			})
			mustExit(t, proc, 0)
			wg.Wait()
		}
	})
}
