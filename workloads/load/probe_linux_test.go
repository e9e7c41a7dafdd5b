package load

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// awaited waits, bounded, until something is so.
func awaited(t *testing.T, what string, done func() bool) {
	t.Helper()
	for n := 0; !done(); n++ {
		if n > 2000 {
			t.Fatalf("%s: it never is", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A probe works while its phase is odd, notes every request that was due, by its
// schedule, and says when it has heard of a phase.
func TestProbe(t *testing.T) {
	b, _ := started(t, Spec{Kind: "probe", Threads: 2, Work: 10 * time.Microsecond, Every: 2 * time.Millisecond})
	heard := func(phase uint64) {
		awaited(t, "both threads have heard", func() bool { return b.Slots[0].Loops.Load() == phase && b.Slots[1].Loops.Load() == phase })
	}
	b.Go()
	time.Sleep(20 * time.Millisecond)
	if b.Noted.Load() != 0 {
		t.Error("it works before its phase is odd")
	}
	b.Phase.Store(1)
	heard(1)
	awaited(t, "50 requests", func() bool { return b.Slots[0].Count.Load() >= 50 })
	b.Phase.Store(2)
	heard(2)
	n := b.Noted.Load()
	time.Sleep(20 * time.Millisecond)
	if b.Noted.Load() != n {
		t.Error("it works in its pause")
	}
	var last Event
	requests := 0
	for _, e := range b.Since(0) {
		if e.Kind != Request {
			continue
		}
		requests++
		if e.From < e.Value || e.To < e.From {
			t.Errorf("due %d, begun %d, done %d", e.Value, e.From, e.To)
		}
		if last.Value != 0 && e.Value-last.Value != int64(2*time.Millisecond) {
			t.Errorf("due %v after the one before, whatever became of it", time.Duration(e.Value-last.Value))
		}
		last = e
	}
	if int64(requests) != b.Slots[0].Count.Load() {
		t.Errorf("%d requests noted, %d counted", requests, b.Slots[0].Count.Load())
	}
	b.Phase.Store(3)
	awaited(t, "it works again", func() bool { return b.Noted.Load() > n })
}

// A request that was held up does not move those that are due after it.
func TestProbeLate(t *testing.T) {
	b, cmd := started(t, Spec{Kind: "probe", Threads: 1, Work: 10 * time.Microsecond, Every: time.Millisecond})
	b.Phase.Store(1)
	b.Go()
	awaited(t, "10 requests", func() bool { return b.Slots[0].Count.Load() >= 10 })
	signal(t, cmd.Process, syscall.SIGSTOP)
	time.Sleep(100 * time.Millisecond)
	signal(t, cmd.Process, syscall.SIGCONT)
	before := b.Slots[0].Count.Load()
	awaited(t, "those that were due meanwhile are done", func() bool { return b.Slots[0].Count.Load() > before+90 })
	late := 0
	for _, e := range b.Since(0) {
		if e.Kind == Request && e.To-e.Value > int64(20*time.Millisecond) {
			late++
		}
	}
	if late < 50 {
		t.Errorf("%d requests were due while it was stopped for 100 ms", late)
	}
}

// A task counts, and naps where it is told to.
func TestTask(t *testing.T) {
	for name, every := range map[string]time.Duration{"computes": 0, "naps": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			b, _ := started(t, Spec{Kind: "task", Every: every})
			if b.Slots[0].Loops.Load() != 0 {
				t.Error("it counts before it is told to")
			}
			b.Go()
			awaited(t, "it counts", func() bool { return b.Slots[0].Loops.Load() > 3 })
		})
	}
}

// A hog's threads compute, each on its CPU, and its others have the policy
// SCHED_IDLE, 5 (field 41 of stat).
func TestHog(t *testing.T) {
	b, cmd := started(t, Spec{Kind: "hog", Threads: 2, Extra: "pin"})
	b.Go()
	awaited(t, "both compute", func() bool { return b.Slots[0].Loops.Load() > 0 && b.Slots[1].Loops.Load() > 0 })
	dir := "/proc/" + strconv.Itoa(cmd.Process.Pid) + "/task/"
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var allowed []string
	for _, e := range list {
		text, err := os.ReadFile(dir + e.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		computes := e.Name() == strconv.Itoa(int(b.Slots[0].Tid.Load())) || e.Name() == strconv.Itoa(int(b.Slots[1].Tid.Load()))
		if idle := f[38] == "5"; idle == computes {
			t.Errorf("thread %s has policy %s, and computes: %v", e.Name(), f[38], computes)
		}
		if computes {
			status, err := os.ReadFile(dir + e.Name() + "/status")
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(status), "Cpus_allowed_list:")
			cpu, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
			allowed = append(allowed, cpu)
		}
	}
	if len(allowed) != 2 || strings.ContainsAny(allowed[0]+allowed[1], "-,") {
		t.Errorf("they may run on %q", allowed)
	}
}

func signal(t *testing.T, p *os.Process, which os.Signal) {
	t.Helper()
	if err := p.Signal(which); err != nil {
		t.Fatal(err)
	}
}
