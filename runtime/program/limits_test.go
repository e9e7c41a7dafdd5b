package program

import (
	"errors"
	"testing"
	"time"
)

// A child that hangs is killed when its time is up, and the image can be used
// again; one that ends in time is not touched.
func TestCycleWithin(t *testing.T) {
	for _, mode := range []Mode{VM, Fork, Stub} {
		p := New(mode, 0)
		p.Add(Sleep(int64(time.Minute)))
		p.Add(Exit(0))
		img, err := Load(p)
		if err != nil {
			t.Fatal(err)
		}
		img.Limit(Limits{Within: 20 * time.Millisecond})
		for range 2 {
			if _, err := img.Cycle(); !errors.Is(err, ErrBound) {
				t.Errorf("mode %v: a child that sleeps a minute: %v, want %v", mode, err, ErrBound)
			}
		}
		img.Close()
	}
	img, err := Load(exitProgram(VM))
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	img.Limit(Limits{Within: time.Minute})
	if _, err := img.Cycle(); err != nil {
		t.Error(err)
	}
}

func exitProgram(mode Mode) *Program {
	p := New(mode, 0)
	p.Add(Exit(0))
	return p
}

// Usage is there when it is asked for, and not left over when it is not.
func TestCycleUsage(t *testing.T) {
	img, err := Load(exitProgram(Fork))
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	img.Limit(Limits{Usage: true})
	if _, err := img.Cycle(); err != nil || img.Status().MaxRSS == 0 {
		t.Errorf("peak %d, %v; want more than 0", img.Status().MaxRSS, err)
	}
	img.Limit(Limits{})
	if _, err := img.Cycle(); err != nil || img.Status().MaxRSS != 0 {
		t.Errorf("peak %d, %v; want 0", img.Status().MaxRSS, err)
	}
	if before := Now(); img.Entered() > before || before-img.Entered() > int64(time.Minute) {
		t.Errorf("entered at %d, now is %d", img.Entered(), before)
	}
}

// Kill ends the cycle that runs, also one that has just begun, and none after it.
func TestCycleKill(t *testing.T) {
	p := New(VM, 0)
	p.Add(Sleep(int64(time.Minute)))
	p.Add(Exit(0))
	img, err := Load(p)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	img.Kill() // there is none
	for range 3 {
		time.AfterFunc(50*time.Millisecond, img.Kill)
		if _, err := img.Cycle(); err == nil || errors.Is(err, ErrBound) {
			t.Errorf("a child that was killed: %v", err)
		}
	}
}
