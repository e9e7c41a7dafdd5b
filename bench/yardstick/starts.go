package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/runtime/namespace"
	"isoperf/runtime/program"
)

var containerFlags = namespace.Flags("user")

// container is the program of part 2. The C program does the same; keep both
// alike.
func container(mode program.Mode, root string) *program.Program {
	p := program.New(mode, containerFlags)
	p.Add(program.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	p.Add(program.Mount(root, root, "", unix.MS_BIND, ""))
	p.Add(program.Mount("proc", root+"/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
	p.Add(program.Mount("tmpfs", root+"/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, ""))
	p.Add(program.Chdir(root))
	p.Add(program.PivotRoot(".", "."))
	p.Add(program.Umount(".", unix.MNT_DETACH))
	p.Add(program.Chdir("/"))
	p.Exec("/payload", []string{"/payload"}, nil)
	return p
}

// variant is one way of starting the container, and its samples in
// nanoseconds: the whole call, from before it to after it.
type variant struct {
	name    string
	one     func() (int64, error)
	samples []float64
}

// The variants, in the order of measureStarts.
const (
	startC = iota
	startReused
	startWhole
	startStub
)

// measureStarts is part 2. The variants take turns, and each follows each
// other one equally often, since what one leaves behind (the destruction of
// its namespaces) is paid for by the next.
func measureStarts(c *yardstick, s *scratch, o options) ([]variant, error) {
	vm, err := program.Load(container(program.VM, s.root))
	if err != nil {
		return nil, fmt.Errorf("load the container: %w", err)
	}
	defer vm.Close()
	stub, err := program.Load(container(program.Stub, s.root))
	if err != nil {
		return nil, fmt.Errorf("load the container: %w", err)
	}
	defer stub.Close()
	variants := []variant{
		{name: "C", one: func() (int64, error) { a, err := c.sample(caseContainer); return a.Whole, err }},
		{name: "ours, vm, image reused", one: warmed(o, func() error { return startReaped(vm) })},
		{name: "ours, vm, build + load + start + wait", one: warmed(o, func() error { return startOnce(program.VM, s.root) })},
		{name: "ours, stub, image reused", one: warmed(o, func() error { return startReaped(stub) })},
	}
	for i := range o.starts {
		for _, v := range turns(len(variants), i) {
			ns, err := variants[v].one()
			if err != nil {
				return nil, fmt.Errorf("measure start %d, %s: %w", i+1, variants[v].name, err)
			}
			variants[v].samples = append(variants[v].samples, float64(ns))
		}
	}
	return variants, nil
}

// warmed times one call in nanoseconds, after the pause and the calls that
// do not count.
func warmed(o options, call func() error) func() (int64, error) {
	return func() (int64, error) {
		o.rest()
		for range o.warm {
			if err := call(); err != nil {
				return 0, err
			}
		}
		start := time.Now()
		err := call()
		return int64(time.Since(start)), err
	}
}

// startReaped is a start of an image until it is reaped.
func startReaped(img *program.Image) error {
	p, err := img.Start()
	if err != nil {
		return err
	}
	return reap(p)
}

// startOnce is a start as a caller without an image makes it.
func startOnce(mode program.Mode, root string) error {
	p, err := program.Start(container(mode, root))
	if err != nil {
		return err
	}
	err = reap(p)
	p.Release()
	return err
}

func reap(p *program.Process) error {
	status, err := p.Wait()
	if err == nil && !status.Success() {
		err = fmt.Errorf("the payload ended with %v", status)
	}
	return err
}

// turns is the order of n variants in a round: rows of a balanced square,
// every other round backwards. Within 2n rounds each variant stands at each
// place, and right behind each other one, equally often.
func turns(n, round int) []int {
	row := make([]int, n)
	for i := range row {
		step := (i + 1) / 2
		if i%2 == 0 {
			step = n - step
		}
		row[i] = (round/2 + step) % n
	}
	if round%2 == 1 {
		for i, j := 0, n-1; i < j; i, j = i+1, j-1 {
			row[i], row[j] = row[j], row[i]
		}
	}
	return row
}
