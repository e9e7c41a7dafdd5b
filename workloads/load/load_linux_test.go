package load

import (
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// command is a load whose board is in f.
func command(s Spec, f *os.File) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", s.Args()...)
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = Env(3), []*os.File{f}, os.Stderr
	return cmd
}

// started runs a load, and stops it at the end of the test.
func started(t *testing.T, s Spec) (*Board, *exec.Cmd) {
	t.Helper()
	b, f, err := NewBoard()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := command(s, f)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("load %v: %v", s, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	for n := 0; b.Ready.Load() < uint32(max(1, s.Threads)); n++ {
		if n > 2000 {
			t.Fatal("the load does not get ready")
		}
		time.Sleep(5 * time.Millisecond)
	}
	return b, cmd
}

// Every thread of a CPU load works, and says how much.
func TestCPU(t *testing.T) {
	for _, kind := range []string{"spin", "syscall", "turns", "pulse"} {
		t.Run(kind, func(t *testing.T) {
			b, _ := started(t, Spec{Kind: kind, Threads: 3})
			if b.Slots[0].Loops.Load() != 0 {
				t.Error("it has begun before it was told to")
			}
			b.Go()
			for n := 0; n < 2000; n++ {
				done := 0
				for i := range 3 {
					if b.Slots[i].Loops.Load() > 0 && b.Slots[i].CPU.Load() > 0 {
						done++
					}
				}
				if done == 3 {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
			t.Error("a thread does not work")
		})
	}
}

func TestArgs(t *testing.T) {
	s := Spec{Kind: "turns", Threads: 4, Work: time.Millisecond, Every: time.Second, Bytes: 1, Step: 2, Count: 3, Path: "/p", Extra: "x=y"}
	got, err := parse(s.Args()[1:])
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range [][]string{{"spin", "-threads=0"}, {"spin", "-threads=1000"}, {"spin", "more"}, {"spin", "-x"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, bad := range [][]string{nil, {"nothing"}} {
		err := run(bad, append(kinds(), Kind{Name: "another"}))
		if err == nil || !strings.Contains(err.Error(), "spin") || !strings.Contains(err.Error(), "another") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The clock is the kernel's, to a microsecond or so, however late it is read.
func TestClock(t *testing.T) {
	c := NewClock()
	for range 100 {
		before := Monotonic()
		got := c.Now()
		after := Monotonic()
		if got < before-20_000 || got > after+20_000 {
			t.Errorf("%d is not within %d and %d", got, before, after)
		}
	}
}
