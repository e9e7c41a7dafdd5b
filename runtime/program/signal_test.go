package program

import (
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// storm sends signals to this process and to single threads of it, until stop
// is called.
func storm(t *testing.T) (stop func() (sent int64)) {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGURG, syscall.SIGCHLD}
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, signals...)
	var done atomic.Bool
	var sent atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !done.Load() {
				threads, err := os.ReadDir("/proc/self/task")
				if err != nil {
					t.Error(err)
					return
				}
				for range 50 {
					sig := signals[rand.IntN(len(signals))].(syscall.Signal)
					tid, _ := strconv.Atoi(threads[rand.IntN(len(threads))].Name())
					if sent.Load()%2 == 0 {
						_ = unix.Kill(os.Getpid(), sig)
					} else {
						_ = unix.Tgkill(os.Getpid(), tid, sig) // the thread may have ended
					}
					sent.Add(1)
				}
			}
		})
	}
	return func() int64 {
		done.Store(true)
		wg.Wait()
		time.Sleep(10 * time.Millisecond) // what is pending is caught, too
		signal.Stop(caught)
		return sent.Load()
	}
}

// TestSignalStorm: signals to the launcher neither spoil a start nor reach a
// child, not even one that has unblocked them.
func TestSignalStorm(t *testing.T) {
	requireFile(t, "/bin/true")
	stop := storm(t)
	defer func() {
		sent := stop()
		t.Logf("%d signals were sent", sent)
		if sent < 5000 {
			t.Errorf("only %d signals were sent: no storm", sent)
		}
	}()
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		pending := Buffer(8)
		p.Add(Op{Name: "unblock all", Call: unix.SYS_RT_SIGPROCMASK, Args: [6]Arg{Int(sigSetMask), Words(Int(0)), {}, Int(8)}})
		p.Add(Op{Name: "pending", Call: unix.SYS_RT_SIGPENDING, Args: [6]Arg{pending, Int(8)}})
		p.Add(Exit(0))
		img := load(t, p)
		command := New(mode, 0)
		command.Exec("/bin/true", []string{"true"}, nil)
		for i := range 300 {
			if _, err := img.Cycle(); err != nil {
				t.Fatalf("start %d: %v", i, err)
			}
			if mask := img.Buffer(pending); *(*[8]byte)(mask) != [8]byte{} {
				t.Fatalf("start %d: signals %x are pending in a new child", i, mask)
			}
			if i%20 == 0 {
				proc, err := Start(command)
				if err != nil {
					t.Fatal(err)
				}
				mustExit(t, proc, 0)
				proc.Release()
			}
		}
	})
}

// TestBlockedUntilExec: a signal that is sent to the child itself waits for the
// end of the preparations, and then does what it does by default.
func TestBlockedUntilExec(t *testing.T) {
	requireFile(t, "/bin/true")
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		told := p.Tell("ready")
		gate := p.Wait("go")
		after := p.Add(Null())
		p.Exec("/bin/true", []string{"true"}, nil)
		proc := start(t, p)
		if err := proc.Await(told); err != nil {
			t.Fatal(err)
		}
		if err := proc.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		proc.Open(gate)
		if err := proc.WaitExec(); err == nil {
			t.Error("WaitExec saw an execve of a process that SIGTERM has ended")
		}
		status, err := proc.Wait()
		if err != nil || status.Signal != syscall.SIGTERM {
			t.Fatalf("the process ended with %v, %v; want SIGTERM", status, err)
		}
		if _, ran := proc.img.Result(after); !ran {
			t.Error("the signal ended the child before the mask was given back")
		}
	})
}

// TestHandlersAreTheLaunchers: a signal that a child unblocks and gets does
// what it does by default, even if the launcher catches it.
func TestHandlersAreTheLaunchers(t *testing.T) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	defer signal.Stop(caught)
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		p.Add(Op{Name: "unblock all", Call: unix.SYS_RT_SIGPROCMASK, Args: [6]Arg{Int(sigSetMask), Words(Int(0)), {}, Int(8)}})
		self := p.Add(Op{Name: "getpid", Call: unix.SYS_GETPID})
		p.Add(Op{Name: "kill", Call: unix.SYS_KILL, Args: [6]Arg{Result(self), Int(unix.SIGUSR1)}})
		p.Add(Exit(0))
		if status, err := start(t, p).Wait(); err != nil || status.Signal != syscall.SIGUSR1 {
			t.Errorf("the child ended with %v, %v; want SIGUSR1", status, err)
		}
	})
	if len(caught) > 0 {
		t.Error("the launcher caught a signal that went to its child")
	}
}

// TestMaskIsRestored: a start leaves the launching thread's mask as it was.
func TestMaskIsRestored(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		p := New(mode, 0)
		p.Add(Exit(0))
		img := load(t, p)
		l := NewLauncher()
		defer l.Close()
		l.Do(func() {
			want := unix.Sigset_t{}
			want.Val[0] = 1 << (unix.SIGUSR2 - 1)
			if err := unix.PthreadSigmask(sigSetMask, &want, nil); err != nil {
				t.Fatal(err)
			}
			var got unix.Sigset_t
			if _, err := img.Cycle(); err != nil {
				t.Error(err)
			}
			if err := unix.PthreadSigmask(sigSetMask, nil, &got); err != nil || got != want {
				t.Errorf("mask %x, %v after a start; it was %x", got.Val[0], err, want.Val[0])
			}
		})
	})
}
