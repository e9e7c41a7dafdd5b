package harness

import (
	"testing"

	"golang.org/x/sys/unix"

	"isoperf/runtime/program"
)

func TestDrain(t *testing.T) {
	d, err := NewDrain()
	if err != nil {
		t.Fatal(err)
	}
	p := program.New(program.VM, unix.CLONE_NEWUSER|unix.CLONE_NEWNET)
	p.Add(program.Exit(0))
	img, err := program.Load(p)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	for range 5 {
		for range 10 {
			if _, err := img.Cycle(); err != nil {
				t.Fatal(err)
			}
		}
		from := program.Now()
		if err := d.Wait(); err != nil {
			t.Fatal(err)
		}
		t.Logf("ten network namespaces drained in %d us", (program.Now()-from)/1000)
		from = program.Now()
		if err := d.Wait(); err != nil {
			t.Fatal(err)
		}
		t.Logf("none drained in %d us", (program.Now()-from)/1000)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
