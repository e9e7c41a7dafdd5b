package program

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// TestManyStarts: memory, mappings, threads and descriptors stay as they are.
func TestManyStarts(t *testing.T) {
	total := 100_000
	if testing.Short() || raceEnabled {
		total = 5000
	}
	images := map[Mode]*Image{}
	for _, mode := range modes {
		p := New(mode, 0)
		p.Add(Null())
		p.Add(Exit(0))
		images[mode] = load(t, p)
	}
	// Of ten starts seven are vm, two stub, one fork; half of them load
	// their program anew, and wait in another way.
	schedule := []Mode{VM, VM, Stub, VM, VM, VM, Fork, VM, VM, Stub}
	one := func(i int) {
		mode := schedule[i%len(schedule)]
		if i/len(schedule)%2 == 0 {
			if _, err := images[mode].Cycle(); err != nil {
				t.Fatalf("start %d, mode %v: %v", i, mode, err)
			}
			return
		}
		proc, err := Start(images[mode].program)
		if err != nil {
			t.Fatalf("start %d, mode %v: %v", i, mode, err)
		}
		mustExit(t, proc, 0)
		proc.Release()
	}
	for i := range total / 20 {
		one(i)
	}
	runtime.GC()
	before := measure(t)
	for i := range total - total/20 {
		one(i)
	}
	runtime.GC()
	after := measure(t)
	t.Logf("before %+v, after %+v (rss in KiB)", before, after)
	if after.arenas != before.arenas || after.fds != before.fds {
		t.Errorf("arenas or descriptors grew: %+v, then %+v", before, after)
	}
	if after.rss > before.rss+16<<10 || after.maps > before.maps+16 || after.threads > before.threads+4 {
		t.Errorf("memory, mappings or threads grew: %+v, then %+v", before, after)
	}
}

// stopped is how many stops of the world took at least so many seconds, and
// how long the longest of all was, rounded down.
func stopped(limit float64) (long uint64, worst float64) {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(sample)
	h := sample[0].Value.Float64Histogram()
	for i, n := range h.Counts {
		if n == 0 {
			continue
		}
		worst = h.Buckets[i]
		if worst >= limit {
			long += n
		}
	}
	return long, worst
}

// stops is how many stops of the world of at least so many seconds there are
// while f runs and the garbage collector, too.
func stops(t *testing.T, limit float64, f func()) uint64 {
	t.Helper()
	before, _ := stopped(limit)
	stop := collect()
	f()
	cycles := stop()
	after, worst := stopped(limit)
	t.Logf("%d collections, %d stops of %v s or more; the longest yet %.3f ms", cycles, after-before, limit, worst*1e3)
	return after - before
}

// stopsAlways is stops of the best of three attempts: what a start does, it
// does each time; what a busy machine does, it does now and then.
func stopsAlways(t *testing.T, limit float64, f func()) (least uint64) {
	t.Helper()
	for i := range 3 {
		if n := stops(t, limit, f); i == 0 || n < least {
			least = n
		}
		if least == 0 {
			break
		}
	}
	return least
}

// collect runs the garbage collector until stop is called.
func collect() (stop func() (cycles int)) {
	var done atomic.Bool
	var wg sync.WaitGroup
	n := 0
	runs := make(chan struct{})
	wg.Go(func() {
		for !done.Load() {
			runtime.GC()
			if n++; n == 1 {
				close(runs)
			}
		}
	})
	<-runs
	return func() int {
		done.Store(true)
		wg.Wait()
		return n
	}
}

// TestGarbageCollector: clones that wait for the destruction of other network
// namespaces do not hold up the collector of a large heap.
func TestGarbageCollector(t *testing.T) {
	requireRoot(t)
	heap := make([][]byte, 1024)
	for i := range heap {
		heap[i] = make([]byte, 1<<20)
		for j := 0; j < len(heap[i]); j += 4096 {
			heap[i][j] = 1
		}
	}
	defer runtime.KeepAlive(heap)
	for _, procs := range []int{runtime.GOMAXPROCS(0), 1} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		for _, mode := range []Mode{VM, Stub} { // a fork holds the memory's lock, and so the collector
			p := New(mode, unix.CLONE_NEWNET)
			p.Add(Exit(0))
			img := load(t, p)
			n := stopsAlways(t, 0.010, func() {
				for range 125 {
					if _, err := img.Cycle(); err != nil {
						t.Fatal(err)
					}
				}
			})
			if n != 0 {
				t.Errorf("GOMAXPROCS=%d, mode %v: at least %d stops of the world took 10 ms or more", procs, mode, n)
			}
		}
	}
}

// TestSchedulerIsTold: a start that lasts is a blocking system call to the
// scheduler. The same without telling it stops the world for as long, which
// shows that this test can fail.
func TestSchedulerIsTold(t *testing.T) {
	// The collector needs a processor beside the launching thread's.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	p := New(VM, 0)
	p.Add(Sleep(100e6))
	p.Add(Exit(0))
	img := load(t, p)
	naps := func(launch func(uintptr)) func() {
		return func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for range 4 {
				img.reset()
				img.arena.header().reap = 1
				launch(img.arena.addr)
				unix.Close(int(img.arena.header().pidfd))
			}
		}
	}
	if n := stopsAlways(t, 0.050, naps(launchBlocking)); n != 0 {
		t.Errorf("%d stops of the world of 50 ms or more while children slept", n)
	}
	// The collector may wait behind the launch for another reason: try again.
	seen := uint64(0)
	for i := 0; i < 10 && seen == 0; i++ {
		seen = stops(t, 0.050, naps(launch))
	}
	if seen == 0 {
		t.Error("a launch that the scheduler does not know of stopped nothing: the check above proves nothing")
	}
}

// TestConcurrentStarts: one program, many goroutines.
func TestConcurrentStarts(t *testing.T) {
	for _, procs := range []int{runtime.GOMAXPROCS(0), 1} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		eachMode(t, func(t *testing.T, mode Mode) {
			p := New(mode, 0)
			mark := Buffer(16)
			p.Add(Op{Name: "random", Call: unix.SYS_GETRANDOM, Args: [6]Arg{mark, Int(16), {}}})
			told := p.Tell("here")
			gate := p.Wait("go")
			pid := p.Add(Op{Name: "getpid", Call: unix.SYS_GETPID})
			p.Add(Exit(7))
			starts := 10
			if raceEnabled {
				starts = 2
			}
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					for range starts {
						concurrentStart(t, p, told, gate, pid)
					}
				})
			}
			wg.Wait()
		})
	}
}

func concurrentStart(t *testing.T, p *Program, told Tell, gate Gate, pid Ref) {
	proc, err := Start(p)
	if err != nil {
		t.Error(err)
		return
	}
	if err := proc.Await(told); err != nil {
		t.Error(err)
	}
	proc.Open(gate)
	status, err := proc.Wait()
	if err != nil || status.Code != 7 {
		t.Errorf("%v, %v; want exit status 7", status, err)
	}
	if got, _ := proc.img.Result(pid); got != int64(proc.Pid()) {
		t.Errorf("the child was process %d, its arena says %d", proc.Pid(), got)
	}
	for _, s := range proc.Timeline().Spans {
		if s.End < s.Start {
			t.Errorf("op %q ended before it began", s.Name)
		}
	}
	proc.Release()
}
