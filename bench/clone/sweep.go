package clone

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// Creators are the cases with several threads that create at once.
func Creators(e harness.Extent) []harness.Case {
	const run = 20
	var cases []harness.Case
	for _, name := range []string{"none", "mnt", "net", "all-but-user"} {
		bits := bitsOf(name)
		for n := 1; n <= 2*runtime.NumCPU(); n = next(n, 2*runtime.NumCPU()) {
			cases = append(cases, harness.Case{
				Name:    fmt.Sprintf("SweepCreators/flag=%s/n=%d", name, n),
				Samples: max(e.Burst, harness.CrowdRuns*run*n), Run: run, Ballast: true,
				Cost:  2 * cost(bits, program.VM),
				Drops: bits&unix.CLONE_NEWNET != 0,
				Open:  func() (harness.Sampler, error) { return openCreators(bits, n) },
			})
		}
	}
	return cases
}

// next counts 1, 2, 3, 4, 6, 8, 12, 16, … and ends with last.
func next(n, last int) int {
	step := 1
	for step*4 <= n {
		step *= 2
	}
	if n < last && n+step > last {
		return last
	}
	return n + step
}

func bitsOf(name string) uint64 {
	for _, f := range AllFlags() {
		if f.Name == name {
			return f.Bits
		}
	}
	return 0
}

// creators are threads that create at once. Every sample is one creation of
// one of them; wall-ns is the time from the first creator's start to the last
// one's end, divided by its creations, so its inverse is the throughput.
type creators struct{ images []*program.Image }

func openCreators(bits uint64, n int) (harness.Sampler, error) {
	c := &creators{}
	for range n {
		p := program.New(program.VM, bits)
		p.Add(program.Exit(0))
		img, err := program.Load(p)
		if err == nil {
			if _, cerr := img.Cycle(); cerr != nil {
				err = harness.NotMeasured{Why: cerr.Error()}
			}
		}
		if err != nil {
			c.Close()
			return nil, err
		}
		c.images = append(c.images, img)
	}
	return c, nil
}

func (c *creators) Sample(n int, emit func([]sample.Value, error)) {
	// As many for each, however many there are: the first and the last of a
	// round are not beside all others.
	each := n
	times := make([][]program.Times, len(c.images))
	first, last := make([]int64, len(c.images)), make([]int64, len(c.images))
	errs := make([]error, len(c.images))
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(len(c.images))
	for i, img := range c.images {
		times[i] = make([]program.Times, 0, each)
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready.Done()
			<-start
			first[i] = program.Now()
			for range each {
				t, err := img.Cycle()
				if err != nil {
					errs[i] = err
					break
				}
				times[i] = append(times[i], t)
			}
			last[i] = program.Now()
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	created := 0
	for i := range times {
		created += len(times[i])
	}
	wall := float64(slices.Max(last)-slices.Min(first)) / float64(max(1, created))
	told := false // the wall time is one of the run, not of each creation
	for i := range times {
		for _, t := range times[i] {
			values := []sample.Value{{Unit: "reap-ns", Value: float64(t.Reaped)}}
			if !told {
				told, values = true, append([]sample.Value{{Unit: "wall-ns", Value: wall}}, values...)
			}
			emit(values, nil)
		}
		if errs[i] != nil {
			emit(nil, errs[i])
		}
	}
}

func (c *creators) Close() error {
	for _, img := range c.images {
		img.Close()
	}
	return nil
}

// Mounts are the cases with mounts already in the caller's namespace, which a
// new mount namespace copies.
func Mounts(e harness.Extent) []harness.Case {
	var cases []harness.Case
	for _, mounts := range []int{10, 20, 50, 100, 200, 500, 1000, 2000} {
		cases = append(cases, harness.Case{
			Name:    fmt.Sprintf("SweepMounts/mounts=%d/flag=mnt", mounts),
			Samples: e.Burst, Run: 20, Ballast: true, Cost: 2 * time.Millisecond,
			Open: func() (harness.Sampler, error) {
				return openOnThread(unix.CLONE_NEWNS, func() error { return fillMounts(mounts) })
			},
		})
	}
	return cases
}

// fillMounts leaves exactly n mounts in the calling thread's mount namespace,
// which is a new one: the root, and empty tmpfs mounts on it.
func fillMounts(n int) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare the mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	// A tmpfs as the root, so that the number does not depend on the machine.
	if err := unix.Mount("isoperf", "/tmp", "tmpfs", 0, "size=64k"); err != nil {
		return fmt.Errorf("mount a tmpfs on /tmp: %w", err)
	}
	if err := unix.Chdir("/tmp"); err != nil {
		return fmt.Errorf("chdir /tmp: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the old root: %w", err)
	}
	if err := unix.Mkdir("/m", 0o755); err != nil {
		return fmt.Errorf("mkdir /m: %w", err)
	}
	for range n - 1 {
		if err := unix.Mount("isoperf", "/m", "tmpfs", 0, "size=4k"); err != nil {
			return fmt.Errorf("mount a tmpfs: %w", err)
		}
	}
	return nil
}

// thread is a sampler whose launcher is a thread of its own, in surroundings
// that end with it.
type thread struct {
	launcher *program.Launcher
	img      *program.Image
}

// openOnThread prepares a thread, and clones from it.
func openOnThread(bits uint64, prepare func() error) (harness.Sampler, error) {
	t := &thread{launcher: harness.NewThread()}
	var err error
	t.launcher.Do(func() {
		if err = prepare(); err != nil {
			return
		}
		p := program.New(program.VM, bits)
		p.Add(program.Exit(0))
		t.img, err = program.Load(p)
	})
	if err != nil {
		t.launcher.Close()
		return nil, harness.NotMeasured{Why: err.Error()}
	}
	return t, nil
}

func (t *thread) Sample(n int, emit func([]sample.Value, error)) {
	t.launcher.Do(func() {
		// Handing the work over has woken this thread: let it settle again.
		harness.Rest(harness.Settle)
		for range harness.WarmUp {
			_, _ = cycle(t.img) // a failure will show again
		}
		for range n {
			emit(cycle(t.img))
		}
	})
}

func (t *thread) Close() error {
	t.img.Close()
	t.launcher.Close()
	return nil
}

// Gaps are the cases with a pause before each operation.
func Gaps(e harness.Extent) []harness.Case {
	var cases []harness.Case
	for _, gap := range []time.Duration{1, 2, 5, 10, 20, 50, 100, 200, 500} {
		gap *= time.Millisecond
		for _, name := range []string{"none", "mnt", "net"} {
			bits := bitsOf(name)
			cases = append(cases, harness.Case{
				Name:    fmt.Sprintf("SweepGap/gap=%v/flag=%s", gap, name),
				Samples: max(6, e.Paced/2), Run: 2, Cost: gap * 3 / 2,
				Drops: name == "net",
				Open:  func() (harness.Sampler, error) { return openGap(bits, gap) },
			})
		}
	}
	return cases
}

func openGap(bits uint64, gap time.Duration) (harness.Sampler, error) {
	p := program.New(program.VM, bits)
	p.Add(program.Exit(0))
	img, err := program.Load(p)
	if err == nil {
		if _, cerr := img.Cycle(); cerr != nil {
			img.Close()
			err = harness.NotMeasured{Why: cerr.Error()}
		}
	}
	if err != nil {
		return nil, err
	}
	one := func() ([]sample.Value, error) {
		harness.Rest(gap)
		t, err := img.Cycle()
		if err != nil {
			return nil, err
		}
		return []sample.Value{{Unit: "reap-ns", Value: float64(t.Reaped)}}, nil
	}
	return harness.Each(one, closeImage(img)), nil
}
