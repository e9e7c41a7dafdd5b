package limits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/reports/limits"
	"isoperf/runtime/cgroup"
	"isoperf/runtime/program"
	"isoperf/workloads/load"
)

// Here each test lies to a measurement, and sees that what is said of it in the
// end is never that the limit is kept.

// scene is a limited group with a load, that is about to be measured.
type scene struct {
	t      *testing.T
	ground *ground
	group  *cgroup.Group
	worker *worker
	cell   Cell
	cpuSample
}

// stage makes a scene; a test that cannot have groups is skipped.
func stage(t *testing.T, c Cell, s load.Spec) *scene {
	t.Helper()
	m, err := readMachine()
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGround(t.Context())
	var not harness.NotMeasured
	if errors.As(err, &not) {
		skip(t, not.Why)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.close(); err != nil {
			t.Error(err)
		}
	})
	made, err := g.group("cpumax", c.resources(), "cpu", "cpuacct")
	if errors.As(err, &not) {
		skip(t, not.Why)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.Kind == "" {
		s = load.Spec{Kind: c.load(), Threads: c.threads(m.cpus)}
	}
	w, err := g.start(made, s)
	if err != nil {
		t.Fatal(err)
	}
	where := placeOf(made)
	counters, err := newMeter(where.cpu, where.cpuacct, where.v2)
	if err != nil {
		t.Fatal(err)
	}
	g.onClose(func() error { counters.close(); return nil })
	return &scene{t, g, made, w, c, cpuSample{name: c.name(m.cpus), asked: c.limit(), limit: c.bandwidth(m), machine: m,
		place: where, meter: counters, workers: []*worker{w}, length: 1500 * time.Millisecond}}
}

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("ISOPERF_MUST_RUN") == "1" {
		t.Fatalf("must run, but: %s", why)
	}
	t.Skip(why)
}

// verdict measures the scene, while something happens beside it, and judges it.
func (s *scene) verdict(meanwhile func()) (limits.Judgement, error) {
	s.t.Helper()
	f := &sample.File{}
	b := New(Config{Context: s.t.Context(), Trusted: true, Checked: func(k sample.Checked) error { f.Checked = append(f.Checked, k); return nil }})
	done := make(chan struct{})
	go func() { defer close(done); meanwhile() }()
	values, err := b.sampleCPU(s.cpuSample)
	<-done
	if err != nil {
		return limits.Judgement{}, err
	}
	c := &sample.Case{Name: s.name, Values: map[string][]float64{}}
	for _, v := range values {
		c.Units, c.Values[v.Unit] = append(c.Units, v.Unit), []float64{v.Value}
	}
	f.Cases = []*sample.Case{c}
	return limits.Judge(f, limits.Options{})[0], nil
}

// caught wants a verdict for one of some reasons. A machine that is too busy to
// say anything is a reason of its own.
func (s *scene) caught(meanwhile func(), reasons ...string) {
	s.t.Helper()
	j, err := s.verdict(meanwhile)
	if err != nil && strings.Contains(err.Error(), "fewer than two periods") {
		s.t.Log(err) // too busy for any figure
		return
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("%s: %s", j.Verdict, j.Why)
	if j.Verdict != limits.Inaccurate && j.Verdict != limits.NotJudged {
		s.t.Errorf("it is believed: %s %v", j.Verdict, j.Figures)
	}
	for _, r := range append(reasons, "the host took", "timer came late", "kept from running", "others used", "could be off by", "periods are not as long", "ticks come late") {
		if strings.Contains(j.Why, r) {
			return
		}
	}
	s.t.Errorf("the reason is %q, none of %q", j.Why, reasons)
}

func (s *scene) write(file string, data any) {
	if err := os.WriteFile(file, fmt.Append(nil, data), 0); err != nil {
		s.t.Errorf("%v", err)
	}
}

// quota writes the quota of the group to be so many times the one it has.
func (s *scene) quota(times float64) {
	q := int64(times * float64(s.cell.quota().Microseconds()))
	if s.place.v2 {
		s.write(s.place.cpu+"/cpu.max", q)
		return
	}
	s.write(s.place.cpu+"/cpu.cfs_quota_us", q)
}

// root is a file of each root group that the scene's groups have.
func (s *scene) root(file string) []string {
	if s.place.v2 {
		return []string{"/sys/fs/cgroup/" + file}
	}
	return []string{"/sys/fs/cgroup/cpu/" + file, "/sys/fs/cgroup/cpuacct/" + file}
}

func (s *scene) escape() {
	for _, f := range s.root("cgroup.procs") {
		s.write(f, s.worker.proc.Pid())
	}
}

func (s *scene) back() {
	s.write(s.place.cpu+"/cgroup.procs", s.worker.proc.Pid())
	if s.place.cpuacct != s.place.cpu {
		s.write(s.place.cpuacct+"/cgroup.procs", s.worker.proc.Pid())
	}
}

// on20 is 20 % of a short period: a window of 1.5 s has 60 of them.
var on20 = Cell{Quota: 0.2, Period: 25 * time.Millisecond}

func nothing() {}

// An honest scene is believed, or the machine is too busy.
func TestHonest(t *testing.T) {
	s := stage(t, on20, load.Spec{})
	j, err := s.verdict(nothing)
	if err != nil {
		t.Fatal(err)
	}
	if j.Verdict == limits.Inaccurate {
		t.Errorf("%s: %s %v", j.Verdict, j.Why, j.Figures)
	}
	t.Logf("%s: %s %v", j.Verdict, j.Why, j.Figures)
}

func TestEscaped(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user cannot take a process out of what was delegated")
	}
	t.Run("from the beginning", func(t *testing.T) {
		s := stage(t, on20, load.Spec{})
		s.escape()
		// It must work there, or nothing is seen of periods.
		_, err := s.verdict(nothing)
		if err == nil || !strings.Contains(err.Error(), "was not in the group") {
			t.Errorf("%v", err)
		}
	})
	t.Run("one thread", func(t *testing.T) {
		s := stage(t, Cell{Quota: 0.2, Period: 25 * time.Millisecond, Threads: 2}, load.Spec{})
		if s.place.v2 {
			t.Skip("in version 2 threads stay with their process")
		}
		for _, f := range s.root("tasks") {
			s.write(f, s.worker.board.Slots[1].Tid.Load())
		}
		s.caught(nothing, "was not in the group")
	})
	t.Run("and came back", func(t *testing.T) {
		s := stage(t, on20, load.Spec{})
		s.caught(func() { time.Sleep(500 * time.Millisecond); s.escape(); time.Sleep(200 * time.Millisecond); s.back() },
			"was charged -", "held back in", "periods are not as long", "quota was lost", "in a quarter")
	})
	t.Run("one thread, and came back", func(t *testing.T) {
		s := stage(t, Cell{Quota: 0.2, Period: 25 * time.Millisecond, Threads: 2}, load.Spec{})
		if s.place.v2 {
			t.Skip("in version 2 threads stay with their process")
		}
		tid := s.worker.board.Slots[1].Tid.Load()
		s.caught(func() {
			time.Sleep(500 * time.Millisecond)
			for _, f := range s.root("tasks") {
				s.write(f, tid)
			}
			time.Sleep(200 * time.Millisecond)
			s.write(s.place.cpu+"/tasks", tid)
			s.write(s.place.cpuacct+"/tasks", tid)
		}, "was charged -")
	})
}

// The limit is another group's.
func TestWrongGroup(t *testing.T) {
	s := stage(t, on20, load.Spec{})
	if s.place.v2 {
		s.write(s.place.cpu+"/cpu.max", "max")
	} else {
		s.write(s.place.cpu+"/cpu.cfs_quota_us", -1)
	}
	_, err := s.verdict(nothing)
	if err == nil || !strings.Contains(err.Error(), `"max 25000", not "5000 25000"`) {
		t.Errorf("%v", err)
	}
}

func TestQuotaChanged(t *testing.T) {
	wait := func(d time.Duration) { time.Sleep(d) }
	for _, c := range []struct {
		name    string
		lie     func(*scene)
		reasons []string
	}{
		{"doubled", func(s *scene) { wait(700 * time.Millisecond); s.quota(2) }, []string{`"10000 25000", not "5000 25000"`}},
		{"doubled and restored", func(s *scene) { wait(500 * time.Millisecond); s.quota(2); wait(500 * time.Millisecond); s.quota(1) },
			[]string{"too much", "in one period", "held back in"}},
		{"doubled, then halved, then restored", func(s *scene) {
			wait(200 * time.Millisecond)
			s.quota(1.4)
			wait(750 * time.Millisecond)
			s.quota(0.6)
			wait(600 * time.Millisecond)
			s.quota(1)
		}, []string{"in a quarter", "in one period", "too much", "too little"}},
		{"tripled for two periods", func(s *scene) { wait(700 * time.Millisecond); s.quota(3); wait(50 * time.Millisecond); s.quota(1) },
			[]string{"in one period", "too much"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := stage(t, on20, load.Spec{})
			s.caught(func() { c.lie(s) }, c.reasons...)
		})
	}
}

// The kernel doubles period and quota when its timer cannot keep up.
func TestPeriodScaled(t *testing.T) {
	s := stage(t, on20, load.Spec{})
	s.caught(func() {
		time.Sleep(700 * time.Millisecond)
		if s.place.v2 {
			s.write(s.place.cpu+"/cpu.max", "10000 50000")
			return
		}
		s.write(s.place.cpu+"/cpu.cfs_period_us", 50000)
		s.write(s.place.cpu+"/cpu.cfs_quota_us", 10000)
	}, "the kernel has scaled the limit")
}

func TestUnsaturated(t *testing.T) {
	s := stage(t, on20, load.Spec{Kind: "pulse", Work: 2 * time.Millisecond, Every: 25 * time.Millisecond})
	s.caught(nothing, "did not reach the limit")
}

// A load that stands still for a while has not been held back by its limit.
func TestStopped(t *testing.T) {
	s := stage(t, on20, load.Spec{})
	s.caught(func() {
		time.Sleep(600 * time.Millisecond)
		if err := s.group.Freeze(); err != nil {
			t.Error(err)
		}
		time.Sleep(400 * time.Millisecond)
		if err := s.group.Thaw(); err != nil {
			t.Error(err)
		}
	}, "periods are not as long", "did not reach the limit")
}

// The counters are read late: by a clock that jumps in the middle of each third
// reading.
func TestReadLate(t *testing.T) {
	s := stage(t, on20, load.Spec{})
	calls := 0
	s.meter.now = func() int64 {
		if calls++; calls%6 == 0 {
			time.Sleep(time.Millisecond)
		}
		return program.Now()
	}
	s.caught(nothing, "this process was kept from running")
}

// Others use the CPUs that the limit leaves the load.
func TestBusyMachine(t *testing.T) {
	m, err := readMachine()
	if err != nil {
		t.Fatal(err)
	}
	c := Cell{Quota: float64(m.cpus) - 0.25, Period: 25 * time.Millisecond, Threads: m.cpus}
	s := stage(t, c, load.Spec{})
	beside, err := s.ground.start(nil, load.Spec{Kind: "spin", Threads: m.cpus})
	if err != nil {
		t.Fatal(err)
	}
	beside.board.Go()
	s.caught(nothing, "did not reach the limit")
}

// A process that is watched is in another group in the end.
func TestWatchedMoves(t *testing.T) {
	s := stage(t, on20, load.Spec{})
	e, err := Find(t.Context(), Target{PID: s.worker.proc.Pid()})
	if err != nil {
		t.Fatal(err)
	}
	if to := e.moved(); to != "" {
		t.Errorf("it is in %q, and nobody has moved it", to)
	}
	other, err := s.ground.group("elsewhere", on20.resources(), "cpu", "cpuacct")
	if err != nil {
		t.Fatal(err)
	}
	var seen []sample.Checked
	b := New(Config{Context: t.Context(), Checked: func(k sample.Checked) error { seen = append(seen, k); return nil }})
	s.worker.board.Go()
	moved := make(chan error, 1)
	go func() { time.Sleep(200 * time.Millisecond); moved <- other.Attach(s.worker.proc.Pid()) }()
	if err := b.Watch(e, time.Second, func(string, []sample.Value) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(seen, func(k sample.Checked) bool {
		return slices.ContainsFunc(k.Doubts, func(d string) bool {
			return strings.Contains(d, "was moved to group") && strings.Contains(d, "elsewhere")
		})
	}) {
		t.Errorf("%+v", seen)
	}
}

// What this process cannot see of the machine is a doubt.
func TestDoubtfulMachine(t *testing.T) {
	s := stage(t, on20, load.Spec{})
	s.machine.env.SchedExt = "enabled: lavd"
	s.caught(nothing, "a BPF scheduler runs (enabled: lavd)")
	b := New(Config{})
	for _, virt := range []string{"qemu", "kvm"} {
		var m machine
		m.env.Virt = virt
		if got := len(b.doubts(m)) > 0; got != (virt == "qemu") {
			t.Errorf("%s: doubtful: %v", virt, got)
		}
	}
	var m machine
	m.env.CPU = "QEMU TCG CPU version 2.5+"
	if len(b.doubts(m)) == 0 || len(New(Config{Trusted: true}).doubts(m)) != 0 {
		t.Error("a processor that a program plays is believed, or nobody can vouch for its host")
	}
}

// A group that is removed while it is measured is an error, and no figure.
func TestVanished(t *testing.T) {
	s := stage(t, on20, load.Spec{})
	_, err := s.verdict(func() {
		time.Sleep(500 * time.Millisecond)
		s.escape()
		for _, dir := range []string{s.place.cpu, s.place.cpuacct} {
			if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Error(err)
			}
		}
	})
	if !errors.Is(err, errVanished) {
		t.Errorf("%v", err)
	}
}

// A load that ends by itself is an error too.
func TestLoadEnded(t *testing.T) {
	s := stage(t, on20, load.Spec{})
	_, err := s.verdict(func() {
		time.Sleep(300 * time.Millisecond)
		s.worker.board.Stop()
	})
	if err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("%v", err)
	}
}

// An interruption is no failure.
func TestInterrupted(t *testing.T) {
	s := stage(t, on20, load.Spec{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	if _, err := New(Config{Context: ctx}).sampleCPU(s.cpuSample); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
