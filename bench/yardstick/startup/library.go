package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"time"

	"isoperf/runtime/container"
	"isoperf/runtime/program"
	"isoperf/runtime/spec"
)

// library is part 3: the same container started again and again, by one
// process of ours and by one of C.
type library struct {
	title  string
	c      []float64 // a start in C until reaped, and its group removed; nanoseconds
	start  []float64 // the same of a plan
	phases []phase   // what it and the plan are made of
}

// phase is a part of a start, in nanoseconds.
type phase struct {
	name    string
	samples []float64
}

// loop is the C program, which starts a container for each byte that it reads.
type loop struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

func startLoop(path string) (*loop, error) {
	l := &loop{cmd: exec.Command(path, "loop")}
	var err error
	if l.in, err = l.cmd.StdinPipe(); err == nil {
		if l.out, err = l.cmd.StdoutPipe(); err == nil {
			err = l.cmd.Start()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("start the C program's loop: %w", err)
	}
	return l, nil
}

func (l *loop) one() (float64, error) {
	var answer [8]byte
	_, err := l.in.Write([]byte{'c'})
	if err == nil {
		_, err = io.ReadFull(l.out, answer[:])
	}
	if err != nil {
		return 0, fmt.Errorf("ask the C program for a start: %w", err)
	}
	return float64(int64(binary.NativeEndian.Uint64(answer[:]))), nil
}

func (l *loop) stop() error {
	l.in.Close()
	if err := l.cmd.Wait(); err != nil {
		return fmt.Errorf("end the C program: %w", err)
	}
	return nil
}

// measureLibrary takes turns between both for so long, or so many rounds.
func measureLibrary(title, bundle, yardstick string, null int, limit time.Duration, rounds int) (m *library, err error) {
	runtime.LockOSThread() // the containers die with this thread
	defer runtime.UnlockOSThread()
	l, err := startLoop(yardstick)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.stop()) }()
	m = &library{title: title}
	random := rand.New(rand.NewPCG(3, 4))
	const warm = 5
	begin := time.Now()
	for round := 0; ; round++ {
		if done := round - warm; done >= 5 && (rounds > 0 && done >= rounds || rounds == 0 && time.Since(begin) > limit) {
			return m, nil
		}
		if round == warm {
			m.c, m.start, m.phases = nil, nil, nil
		}
		for _, side := range random.Perm(2) {
			if side == 0 {
				ns, err := l.one()
				if err != nil {
					return nil, err
				}
				m.c = append(m.c, ns)
			} else if err := m.one(bundle, null); err != nil {
				return nil, fmt.Errorf("start the container of %q: %w", bundle, err)
			}
		}
	}
}

// one is a sample of ours, and of its phases.
func (m *library) one(bundle string, null int) error {
	last := program.Now()
	at := 0
	until := func(name string, now int64) {
		if at == len(m.phases) {
			m.phases = append(m.phases, phase{name: name})
		}
		m.phases[at].samples = append(m.phases[at].samples, float64(now-last))
		at, last = at+1, now
	}
	c, err := spec.Load(bundle)
	if err != nil {
		return err
	}
	until("read config.json", program.Now())
	c.ID, c.LoopbackUp = "library", true
	if err := c.Check(); err != nil {
		return err
	}
	until("check", program.Now())
	plan, err := container.New(c, container.Options{Stdio: [3]int{null, null, null}})
	if err != nil {
		return err
	}
	begin := program.Now()
	until("plan", begin)
	ct, err := plan.Start(context.Background(), nil)
	if err != nil {
		return err
	}
	_ = ct.Confirm(nil) // Wait says better what went wrong
	status, err := ct.Wait()
	end := program.Now()
	if err == nil && !status.Success() {
		err = fmt.Errorf("the payload ended with %v", status)
	}
	if err != nil {
		return err
	}
	m.start = append(m.start, float64(end-begin))
	t := ct.Timeline()
	until("groups, load the program", t.Entered)
	until("clone3 to the child's first instruction", t.First)
	marks := map[string]string{"enter stub": "into the stub", "drop old root": "namespaces, mounts, pivot_root"}
	for _, s := range t.Spans {
		if name, ok := marks[s.Name]; ok {
			until(name, s.End)
		}
	}
	if n := len(t.Spans); n > 0 {
		until("limits, credentials, confirm", t.Spans[n-1].End)
	}
	until("execve, exit, namespaces torn down, reaped", t.Reaped)
	until("remove groups, return", end)
	ct.Release()
	return nil
}
