package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
)

// long is a cell that takes longer than a test waits.
func long(path string) Cell {
	c := short(path, "out")
	c.Window = 30 * time.Second
	return c
}

// answer is what comes of asking.
type answer struct {
	outcome
	err  error
	took time.Duration
}

// asked asks without waiting.
func asked(s *stage, c Cell) <-chan answer {
	got := make(chan answer, 1)
	go func() {
		begin := time.Now()
		o, err := s.ask(c)
		got <- answer{o, err, time.Since(begin)}
	}()
	return got
}

// within10 waits for an answer, which may not take the window's time.
func within10(t *testing.T, got <-chan answer) answer {
	t.Helper()
	select {
	case a := <-got:
		return a
	case <-time.After(10 * time.Second):
		t.Fatal("no answer within 10 s")
		return answer{}
	}
}

// running waits until both ends of a stage are there.
func running(t *testing.T, pid int) {
	t.Helper()
	if !eventually(func() bool {
		n := 0
		for _, child := range below(pid) {
			if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child)); strings.HasPrefix(string(line), "isoperf\x00") {
				n++
			}
		}
		return n == 2
	}) {
		t.Fatal("the ends do not start")
	}
	time.Sleep(100 * time.Millisecond) // so that they are in the middle
}

// The translator is killed in the middle.
func TestTranslatorDies(t *testing.T) {
	for _, name := range []string{"slirp4netns", "pasta"} {
		t.Run(name, func(t *testing.T) {
			s := open(t, long(name))
			left := traces(s.cmd.Process.Pid)
			got := asked(s, long(name))
			running(t, s.cmd.Process.Pid)
			pid := named(s.cmd.Process.Pid, name[:3]) // pasta is called passt.avx2
			if pid == 0 {
				t.Fatalf("there is no %s below the host", name)
			}
			must(t, unix.Kill(pid, unix.SIGKILL))
			a := within10(t, got)
			must(t, a.err)
			if len(a.Values) != 0 || !strings.HasPrefix(a.Failed, "the path broke while it was measured") {
				t.Errorf("values %v, failed with %q", a.Values, a.Failed)
			}
			must(t, s.close())
			nothingLeft(t, left)
		})
	}
}

// The host dies, or does nothing.
func TestHostEnds(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGKILL, unix.SIGSTOP} {
		t.Run(unix.SignalName(signal), func(t *testing.T) {
			s := open(t, long("veth"))
			left := traces(s.cmd.Process.Pid)
			if signal == unix.SIGSTOP {
				s.bounds = 2 * time.Second
			}
			got := asked(s, long("veth"))
			running(t, s.cmd.Process.Pid)
			must(t, unix.Kill(s.cmd.Process.Pid, signal))
			a := within10(t, got)
			if a.err == nil || !strings.Contains(a.err.Error(), `wait for the host of path "veth"`) {
				t.Errorf("the error is %v", a.err)
			}
			nothingLeft(t, left)
		})
	}
}

// A host lives on when the thread ends on which it was asked for.
func TestThreadEnds(t *testing.T) {
	var s *stage
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends
		s, _ = newStage(short("veth", "out"))
		close(done)
	}()
	<-done
	require(t, s != nil, "there is no veth here")
	defer s.close()
	time.Sleep(50 * time.Millisecond)
	o, err := s.ask(short("veth", "out"))
	must(t, errors.Join(err, o.err()))
}

// A run that is interrupted ends at once, and leaves nothing.
func TestInterrupted(t *testing.T) {
	for _, name := range []string{"nat", "slirp4netns", "pasta"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			opened, err := New(Config{Context: ctx}).newCase(long(name), 1, time.Second).Open()
			var cannot harness.NotMeasured
			if errors.As(err, &cannot) {
				require(t, false, cannot.Why)
			}
			must(t, err)
			s := opened.(*sampler)
			left := traces(s.stage.cmd.Process.Pid)
			ended := make(chan answer, 1)
			go func() {
				var a answer
				s.Sample(1, func(v []sample.Value, err error) {
					a.Values, a.err = v, errors.Join(errors.New("a sample was taken"), err)
				})
				ended <- a
			}()
			running(t, s.stage.cmd.Process.Pid)
			cancel()
			if a := within10(t, ended); a.err != nil {
				t.Error(a.err)
			}
			must(t, s.Close())
			nothingLeft(t, left)
		})
	}
}

// So does a whole process, however it ends.
func TestProcessEnds(t *testing.T) {
	for _, signal := range []syscall.Signal{unix.SIGINT, unix.SIGKILL} {
		for _, name := range []string{"nat", "slirp4netns", "pasta-port"} {
			t.Run(unix.SignalName(signal)+" "+name, func(t *testing.T) {
				_ = open(t, short(name, "out")).close() // or it is skipped
				cmd := helper(t, "measure", text(t, long(name)))
				var said strings.Builder
				cmd.Stderr = &said
				must(t, cmd.Start())
				running(t, cmd.Process.Pid)
				left := traces(cmd.Process.Pid)
				must(t, cmd.Process.Signal(signal))
				err := cmd.Wait()
				if signal == unix.SIGINT && err != nil {
					t.Errorf("%v: %s", err, said.String())
				}
				nothingLeft(t, left)
			})
		}
	}
}

// Where something is missing, nothing is measured, and the reason says what to do.
func TestMissing(t *testing.T) {
	for name, say := range map[string]string{"nat": "apt-get install iptables", "slirp4netns": "apt-get install slirp4netns", "pasta": "apt-get install slirp4netns passt"} {
		t.Run("no program for "+name, func(t *testing.T) {
			t.Setenv("PATH", t.TempDir())
			s, err := newStage(short(name, "out"))
			var cannot harness.NotMeasured
			if !errors.As(err, &cannot) || !strings.Contains(cannot.Why, say) {
				t.Errorf("the error is %v", err)
			}
			if s != nil {
				must(t, s.close())
			}
		})
	}
	empty := t.TempDir()
	for what, args := range map[string][]string{
		"no device":                {empty, "/dev/net"},
		"a device of another kind": {"/dev/null", "/dev/net/tun"},
	} {
		for _, name := range []string{"slirp4netns", "pasta"} {
			t.Run(what+" for "+name, func(t *testing.T) {
				_, err := exec.LookPath(name)
				require(t, err == nil, "there is no "+name)
				cmd := helper(t, "cover", append([]string{text(t, short(name, "out"))}, args...)...)
				mapped(cmd.SysProcAttr, 1)
				cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNS
				notMeasured(t, cmd, "modprobe tun")
			})
		}
	}
	t.Run("no user namespaces", func(t *testing.T) {
		require(t, os.Geteuid() == 0, "it takes root to have a user namespace with two users")
		cmd := helper(t, "limit", text(t, short("veth", "out")))
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
		mapped(cmd.SysProcAttr, 2)
		notMeasured(t, cmd, "user namespaces may be off")
	})
}

// mapped has an ordinary user, or whoever is to have a user namespace, be root in
// it, of so many ids.
func mapped(a *syscall.SysProcAttr, ids int) {
	if os.Geteuid() != 0 {
		a.Cloneflags |= unix.CLONE_NEWUSER
	}
	if a.Cloneflags&unix.CLONE_NEWUSER != 0 {
		a.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: ids}}
		a.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: ids}}
		a.GidMappingsEnableSetgroups = ids > 1
	}
}

func notMeasured(t *testing.T, cmd *exec.Cmd, say string) {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), say) {
		t.Errorf("%v: %s; the reason is %q, wanted %q", err, stderr.String(), out, say)
	}
}
