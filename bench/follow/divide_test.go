package follow

import (
	"math"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// invented is a record of two processes: the parent starts (0 to 100), forks
// (110 to 150), and waits for the child (170 to 500); the child runs (150 to
// 200), mounts (210 to 300), waits 40 for a CPU, is blocked (340 to 400), and
// exits (400 to 450).
func invented() *Record {
	r := &Record{
		Start: 0, Led: 520, End: 520,
		Processes: []Process{
			{PID: 10, Parent: -1, Born: -5, Died: 520, Titles: []Title{{-5, "tool", false}, {0, "tool", true}}, Exit: 510,
				Marks: []Mark{{-5, 0, 0}, {0, 0, 0}, {100, 100, 0}, {110, 100, 0}, {150, 100, 0}, {152, 100, 0}, {170, 118, 0}, {172, 118, 0}, {500, 118, 0}, {502, 118, 0}, {510, 126, 0}}},
			{PID: 11, Parent: 0, Born: 150, Died: 450, Titles: []Title{{150, "tool", false}}, Exit: 400,
				Marks: []Mark{{150, 0, 0}, {200, 50, 0}, {210, 50, 0}, {300, 140, 0}, {300, 140, 0}, {400, 140, 40}}},
		},
		Calls: []Call{
			{Process: 0, Thread: 10, Name: "clone", Text: "clone(0)", Kind: Birth, Seen: 100, Entered: 110, Returned: 150, Left: 152, Result: 11},
			{Process: 0, Thread: 10, Name: "wait4", Text: "wait4(-1)", Kind: Wait, Seen: 170, Entered: 172, Returned: 500, Left: 502, Result: 11},
			{Process: 1, Thread: 11, Name: "mount", Text: `mount("a", "b")`, Kind: Isolation, Seen: 200, Entered: 210, Returned: 300, Left: 300},
		},
	}
	const boot = 1000 // the clock does not begin with the record
	shift := func(instants ...*int64) {
		for _, at := range instants {
			*at += boot
		}
	}
	shift(&r.Start, &r.Led, &r.End)
	for i := range r.Processes {
		p := &r.Processes[i]
		shift(&p.Born, &p.Died, &p.Exit)
		for j := range p.Titles {
			shift(&p.Titles[j].At)
		}
		for j := range p.Marks {
			shift(&p.Marks[j].At)
		}
	}
	for i := range r.Calls {
		c := &r.Calls[i]
		shift(&c.Seen, &c.Entered, &c.Returned, &c.Left)
	}
	return r
}

func TestDivide(t *testing.T) {
	for _, c := range []struct {
		latency float64
		want    map[string]float64
	}{
		// From 152 to 170 both run, and share the time.
		{0, map[string]float64{
			"tool: start": 100, PhaseClone: 40, "tool: own code": 2 + 18 + 30 + 8, PhaseStopped: 10 + 10 + 2, "mounts": 90,
			PhaseQueued: 40, "tool: blocked": 60, PhaseExit: 50 + 10, PhaseWait: 50,
		}},
		{15, map[string]float64{
			"tool: start": 100, PhaseClone: 40, "tool: own code": 58, PhaseStopped: 37, "mounts": 90,
			PhaseQueued: 40, "tool: blocked": 45, PhaseExit: 60, PhaseWait: 50,
		}},
	} {
		phases := invented().Divide(c.latency)
		sum := 0.0
		for _, p := range phases {
			sum += p.Ns
			if math.Abs(p.Ns-c.want[p.Name]) > 0.01 {
				t.Errorf("with a latency of %.0f, %s takes %.2f, want %.2f", c.latency, p.Name, p.Ns, c.want[p.Name])
			}
		}
		if len(phases) != len(c.want) || math.Abs(sum-520) > 0.01 {
			t.Errorf("there are %d phases that take %.2f, want %d and 520", len(phases), sum, len(c.want))
		}
		if got, want := Named(phases), 1-c.want["tool: blocked"]/520; math.Abs(got-want) > 1e-9 {
			t.Errorf("%.4f of it is named, want %.4f", got, want)
		}
		if !slices.IsSortedFunc(phases, func(a, b Phase) int { return int(a.Start - b.Start) }) {
			t.Errorf("the phases are not in order: %+v", phases)
		}
	}
	if got := Named(nil); got != 0 {
		t.Errorf("of nothing, %v is named", got)
	}
}

// TestVfork: once a vfork's child is there its parent only waits.
func TestVfork(t *testing.T) {
	r := invented()
	r.Calls[0].Born, r.Calls[0].Returned, r.Calls[0].Left = 1120, 1150, 1150
	r.Processes[1].Born = 1120
	got := map[string]float64{}
	for _, p := range r.Divide(0) {
		got[p.Name] = p.Ns
	}
	if got[PhaseClone] != 10 {
		t.Errorf("the clone takes %.0f, want 10: %v", got[PhaseClone], got)
	}
}

func TestGaps(t *testing.T) {
	r := invented()
	var got []string
	for i := range r.Processes {
		for _, g := range r.Gaps(i) {
			got = append(got, g.Name+" "+g.Text)
		}
	}
	want := []string{
		"own code between birth and clone", "own code between clone and wait4", "own code between wait4 and exit",
		"own code between birth and mount", "blocked between mount and exit",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the gaps are %q, want %q", got, want)
	}
}

func TestLatency(t *testing.T) {
	cost := Cost{Near: Price{Latency: 8}, Far: Price{Latency: 40}}
	for _, c := range []struct {
		calls int
		took  int64
		want  float64
	}{{9, 20, 8}, {10, 20, 20}, {10, 1, 8}, {10, 100, 40}} {
		r := &Record{}
		for range c.calls {
			r.Calls = append(r.Calls, Call{Name: "prctl", Entered: 5, Returned: 5 + c.took})
		}
		if got := r.Latency(cost); got != c.want {
			t.Errorf("%d calls of %d: %v, want %v", c.calls, c.took, got, c.want)
		}
	}
}

func TestControlFile(t *testing.T) {
	for name, want := range map[string]fileOfControl{
		"/proc/self/uid_map": idFile, "gid_map": idFile, "/proc/7/setgroups": idFile, "setgroups": idFile,
		"/sys/fs/cgroup/a/cpu.max": cgroupFile, "cgroup.procs": cgroupFile, "cpu/x/tasks": cgroupFile, "memory.max": cgroupFile, "/sys/fs/cgroup/x": cgroupFile,
		"/dev/null": noFile, "/var/log/memory.log": noFile, "memory.": noFile, "config.json": noFile, "": noFile, "uid_map.txt": noFile,
	} {
		if got := controlFile(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

func TestTitle(t *testing.T) {
	for want, args := range map[string][]string{
		"runc init": {"/usr/bin/runc", "init"}, "runc": {"runc"}, "sh": {"sh", "-c", "true"}, "cat": {"cat", "/etc/passwd"}, "?": nil,
		"runc run": {"runc", "run", "x"}, "x": {"x", ""}, "y": {"y", "anextremelylongword"},
	} {
		if got := title(args); got != want {
			t.Errorf("%q is called %q, want %q", args, got, want)
		}
	}
}

// TestLane: what isolated itself and then executed something else has both
// names.
func TestLane(t *testing.T) {
	r := invented()
	for i, want := range []string{"tool[10]", "tool[11]"} {
		if got := r.Lane(i); got != want {
			t.Errorf("it is called %q, want %q", got, want)
		}
	}
	r.Processes[1].Titles = append(r.Processes[1].Titles, Title{1350, "sh", true})
	if got := r.Lane(1); got != "tool > sh[11]" {
		t.Errorf("it is called %q, want both names", got)
	}
}

// TestTable: every call of the table has a number, or is of another
// architecture.
func TestTable(t *testing.T) {
	for _, e := range table(true) {
		if len(byNumber([]entry{e})) == 0 && e.name != "fork" && e.name != "open_tree_attr" {
			t.Errorf("%s has no number", e.name)
		}
	}
	for _, files := range []bool{false, true} {
		f, err := assemble(files)
		if err != nil || len(f.Code) == 0 {
			t.Errorf("with files %v: %v", files, err)
		}
	}
}

// TestBriefWrites: which sizes of writes stop.
func TestBriefWrites(t *testing.T) {
	for size := range uint64(2 * briefMost) {
		stops := slices.ContainsFunc(briefWrites(), func(a specs.LinuxSeccompArg) bool { return size&a.Value == a.ValueTwo })
		if want := size > 1 && size < briefMost; stops != want {
			t.Errorf("a write of %d bytes stops: %v, want %v", size, stops, want)
		}
	}
}
