package program

import (
	"bytes"
	"os"
	"testing"
)

var modes = []Mode{VM, Stub, Fork}

// load loads a program and closes it when the test ends.
func load(t testing.TB, p *Program) *Image {
	t.Helper()
	img, err := Load(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(img.Close)
	return img
}

func TestCycle(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			p := New(mode, 0)
			null := p.Add(Null())
			p.Add(Exit(0))
			img := load(t, p)
			for range 100 {
				times, err := img.Cycle()
				if err != nil {
					t.Fatal(err)
				}
				if times.First <= 0 || times.Reaped <= times.First || times.Returned <= 0 {
					t.Fatalf("the events are out of order: %+v", times)
				}
				if ppid, _ := img.Result(null); ppid != int64(os.Getpid()) {
					t.Fatalf("getppid gave %d, this is %d", ppid, os.Getpid())
				}
			}
			times, _ := img.Cycle()
			t.Logf("%+v null op %d ns", times, img.Took(null))
		})
	}
}

func TestExec(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			p := New(mode, 0)
			p.Stdio(0, int(w.Fd()), 2)
			p.DieWithParent()
			p.Exec("/bin/echo", []string{"echo", "hello"}, nil)
			proc, err := Start(p)
			if err != nil {
				t.Fatal(err)
			}
			w.Close()
			if err := proc.WaitExec(); err != nil {
				t.Error(err)
			}
			var out bytes.Buffer
			out.ReadFrom(r)
			status, err := proc.Wait()
			if err != nil || !status.Success() || out.String() != "hello\n" {
				t.Fatalf("%v, %v, output %q", status, err, out.String())
			}
			for _, s := range proc.Timeline().Spans {
				t.Logf("%8d ns  %-16s %s", s.End-s.Start, s.Name, s.Text())
			}
			proc.Release()
		})
	}
}
