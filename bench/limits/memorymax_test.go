package limits

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/reports/limits"
	"isoperf/runtime/cgroup"
	"isoperf/workloads/load"
)

// taken is what one sample of a case came to.
type taken struct {
	values  map[string]float64
	checked sample.Checked
	series  []sample.Series
	line    []sample.Timeline
}

// collect is a bench whose records go to got.
func collect(got *taken) *Bench {
	return New(Config{
		Checked:  func(c sample.Checked) error { got.checked = c; return nil },
		Series:   func(s sample.Series) error { got.series = append(got.series, s); return nil },
		Timeline: func(l sample.Timeline) error { got.line = append(got.line, l); return nil },
	})
}

// values takes one sample of a case, and skips the test where it cannot be
// measured; where everything must run, that is a failure.
func (got *taken) take(t *testing.T, c harness.Case) {
	t.Helper()
	s, err := c.Open()
	if err == nil {
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	skipNotMeasured(t, err)
	s.Sample(1, func(list []sample.Value, e error) {
		err = e
		got.values = map[string]float64{}
		for _, v := range list {
			got.values[v.Unit] = v.Value
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// elsewhere is a group beside the load's.
func elsewhere(t *testing.T, g *ground) *cgroup.Group {
	t.Helper()
	large, many := int64(1<<30), int64(1000)
	made, err := g.group("elsewhere", &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &large}, Pids: &specs.LinuxPids{Limit: &many}})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// skipNotMeasured skips the test if err says that it cannot be measured here. That
func skipNotMeasured(t *testing.T, err error) {
	t.Helper()
	var not harness.NotMeasured
	switch {
	case err == nil:
	case errors.As(err, &not) && (os.Getenv("ISOPERF_MUST_RUN") != "1" || strings.HasPrefix(not.Why, "version 1 ")):
		t.Skip(not.Why)
	default:
		t.Fatal(err)
	}
}

// verdict is what is said of the sample in the end.
func (got *taken) verdict() limits.Judgement {
	c := &sample.Case{Name: got.checked.Case, Values: map[string][]float64{}}
	for unit, n := range got.values {
		c.Units, c.Values[unit] = append(c.Units, unit), []float64{n}
	}
	return limits.Judge(&sample.File{Cases: []*sample.Case{c}, Checked: []sample.Checked{got.checked}, Series: got.series}, limits.Options{})[0]
}

// caught wants a doubt with a word in it, and so no verdict.
func (got *taken) caught(t *testing.T, word string) {
	t.Helper()
	if j := got.verdict(); j.Verdict != limits.NotJudged || !got.doubted(word) {
		t.Errorf("%s: doubts %q, values %v", j.Verdict, got.checked.Doubts, got.values)
	}
}

// kept wants the limit to be judged, and kept.
func (got *taken) kept(t *testing.T) {
	t.Helper()
	if j := got.verdict(); j.Verdict != limits.Accurate && j.Verdict != limits.Within {
		t.Errorf("%s: %s; values %v", j.Verdict, j.Why, got.values)
	}
}

// doubted says whether one of the doubts has a word in it.
func (got *taken) doubted(word string) bool {
	return strings.Contains(strings.Join(got.checked.Doubts, "; "), word)
}

// A limit of memory kills what cannot be reclaimed, once, and exactly there; it
// leaves alone what is below it, and page cache may be larger.
func TestMemoryMax(t *testing.T) {
	const limit = 32 * mib
	for _, c := range []MemoryCell{
		{Limit: limit, Kind: "anon", Want: 1.5},
		{Limit: limit, Kind: "shmem", Want: 1.5},
		{Limit: limit, Kind: "anon", Want: 0.5},
		{Limit: limit, Kind: "file", Want: 3},
		{Limit: limit, Child: 2 * limit, Kind: "anon", Want: 1.5},
		{Limit: limit, Child: 2 * limit, Kind: "file", Want: 3},
		{Limit: limit, Parent: 2 * limit, Kind: "anon", Want: 1.5},
		{Limit: limit, Child: 2 * limit, Sibling: 0.25, Kind: "anon", Want: 0.9},
		{Limit: 2 * limit, Child: 4 * limit, Sibling: 0.25, Kind: "anon", Want: 0.25},
	} {
		t.Run(c.tail(), func(t *testing.T) {
			var got taken
			b := collect(&got)
			got.take(t, b.memoryCases("MemoryMax", harness.Extent{}, []MemoryCell{c}, b.sampleMemory)[0])
			t.Logf("%v %+v", got.values, got.checked)
			got.kept(t)
			kills := 0.0
			if c.killed() {
				kills = 1
			}
			v := got.values
			if v["oom-kill-count"] != kills || v["killed-count"] != kills {
				t.Errorf("%v kills were counted, %v processes are gone, want %v", v["oom-kill-count"], v["killed-count"], kills)
			}
			if v["overshoot-ratio"] > v["budget-ratio"] || v["rest-B"] > v["limit-B"] {
				t.Errorf("more than the limit was used: %v", v)
			}
			if (c.killed() || c.Want > 1) && v["peak-ratio"] < 0.97 {
				t.Errorf("only %v of the limit was used", v["peak-ratio"])
			}
			// Besides, there is a Go process or two, of about 2 MiB each without huge pages.
			processes := 1.0
			if c.Sibling > 0 {
				processes = 2
			}
			own := v["peak-B"] - v["touched-B"] - c.Sibling*v["limit-B"]
			if c.Kind != "file" && own > processes*4*mib {
				t.Errorf("%v processes use %.0f bytes of their own", processes, own)
			}
			if c.Kind == "file" && v["touched-B"] != 3*limit {
				t.Errorf("%v bytes of the file were read", v["touched-B"])
			}
		})
	}
}

// A load has no huge pages, whatever the machine's setting is: some of those
// would be charged to the group before the load has touched anything.
func TestLoadsHaveNoHugePages(t *testing.T) {
	g, err := newGround(t.Context())
	skipNotMeasured(t, err)
	defer func() {
		if err := g.close(); err != nil {
			t.Error(err)
		}
	}()
	w, err := g.start(nil, load.Spec{Kind: "idle"})
	if err != nil {
		t.Fatal(err)
	}
	mayHave := func(pid string) bool {
		status, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(status), "\nTHP_enabled:\t1\n") // Linux 5.0
	}
	if !mayHave("self") {
		skipNotMeasured(t, harness.NotMeasured{Why: "this process has no huge pages either, or the kernel does not say so"})
	}
	if mayHave(strconv.Itoa(w.proc.Pid())) {
		t.Error("a load may have huge pages")
	}
}

// The parts of an OOM add up, in order, and the kill is counted once, or once for
// each task of a group that is killed as a whole.
func TestOOM(t *testing.T) {
	for _, c := range []MemoryCell{
		{Limit: 32 * mib, Kind: "anon", Want: 1.5},
		{Limit: 32 * mib, Kind: "anon", Want: 1.5, Tasks: 3},
		{Limit: 32 * mib, Kind: "anon", Want: 1.5, Tasks: 3, Group: true},
	} {
		t.Run(c.tail(), func(t *testing.T) {
			var got taken
			b := collect(&got)
			got.take(t, b.memoryCases("Oom", harness.Extent{}, []MemoryCell{c}, b.sampleOOM)[0])
			v := got.values
			t.Logf("%v", v)
			if j := got.verdict(); j.Verdict != limits.Accurate && v["total-ns"] < 1e9 {
				t.Errorf("%s: %s", j.Verdict, j.Why)
			}
			sum := 0.0
			for _, part := range []string{"event-ns", "kill-ns", "exit-ns", "empty-ns"} {
				if v[part] < -v["watch-ns"] {
					t.Errorf("%s is %v", part, v[part])
				}
				sum += v[part]
			}
			if sum != v["total-ns"] || sum <= 0 {
				t.Errorf("the parts are %v in all, the whole is %v", sum, v["total-ns"])
			}
			want, more := 1.0, 0.0
			if c.Group {
				want, more = 3, 6 // who is dying may be counted again
			}
			if k := v["oom-kill-count"]; k < want || k > want+more || v["killed-count"] != want || len(got.checked.Doubts) > 0 {
				t.Errorf("%v kills, %v are gone, want %v; %v", k, v["killed-count"], want, got.checked.Doubts)
			}
			if len(got.line) != 1 || len(got.line[0].Bars) != 4 {
				t.Errorf("%+v", got.line)
			}
		})
	}
}

// What lies about a limit is doubted.
func TestMemoryLies(t *testing.T) {
	const limit = 32 * mib
	cell := MemoryCell{Limit: limit, Kind: "anon", Want: 1.5}
	for _, lie := range []struct {
		name, doubt string
		cell        MemoryCell
		tell        func(t *testing.T, s *memorySample)
	}{
		{"load outside", "is not in the group", MemoryCell{Limit: limit, Kind: "anon", Want: 0.5}, func(t *testing.T, s *memorySample) {
			write(t, memoryOf(elsewhere(t, s.ground)).dir+"/cgroup.procs", s.worker.proc.Pid())
		}},
		{"raised and left", "is in force", cell, func(t *testing.T, s *memorySample) {
			write(t, s.place.file("memory.max", "memory.limit_in_bytes"), 2*limit)
		}},
		{"written to another group", "is in force", cell, func(t *testing.T, s *memorySample) {
			other := memoryOf(elsewhere(t, s.ground))
			write(t, other.file("memory.max", "memory.limit_in_bytes"), limit)
			write(t, s.place.file("memory.max", "memory.limit_in_bytes"), 1<<40)
		}},
		{"raised and restored", "something else has changed it", cell, func(t *testing.T, s *memorySample) {
			file := s.place.file("memory.max", "memory.limit_in_bytes")
			looks := 0
			s.halfway = func() error {
				switch looks++; looks {
				case 1:
					write(t, file, 2*limit)
				case 3:
					write(t, file, limit)
				}
				return nil
			}
		}},
		{"another is killed", "beside the load was killed", MemoryCell{Limit: limit, Child: 2 * limit, Sibling: 0.6, Kind: "anon", Want: 0.6}, func(*testing.T, *memorySample) {}},
		{"lowered below", "less than the one", MemoryCell{Limit: limit, Child: 2 * limit, Kind: "anon", Want: 1.5}, func(t *testing.T, s *memorySample) {
			write(t, memoryOf(s.group).file("memory.max", "memory.limit_in_bytes"), limit/2)
		}},
		{"another process", "none of the load's", cell, func(t *testing.T, s *memorySample) {
			s.others = nil
		}},
	} {
		t.Run(lie.name, func(t *testing.T) {
			var got taken
			b := collect(&got)
			if lie.name == "another process" {
				lie.cell.Tasks = 2
			}
			got.take(t, b.memoryCases("MemoryMax", harness.Extent{}, []MemoryCell{lie.cell}, func(s *memorySample) ([]sample.Value, error) {
				others := s.others
				lie.tell(t, s)
				defer func() { s.others = others }()
				return b.sampleMemory(s)
			})[0])
			got.caught(t, lie.doubt)
		})
	}
}

func write(t *testing.T, file string, n int) {
	t.Helper()
	if err := os.WriteFile(file, []byte(strconv.Itoa(n)), 0); err != nil {
		t.Error(err)
	}
}

func TestMemoryCellCheck(t *testing.T) {
	for _, c := range []MemoryCell{
		{Limit: 1, Kind: "anon", Want: 1}, {Limit: 64*mib + 1, Kind: "anon", Want: 1},
		{Limit: 64 * mib, Child: 32 * mib, Kind: "anon", Want: 1}, {Limit: 64 * mib, Child: 128 * mib, Parent: 128 * mib, Kind: "anon", Want: 1},
		{Limit: 64 * mib, Sibling: 0.4, Kind: "anon", Want: 1}, {Limit: 64 * mib, Child: 128 * mib, Sibling: 1, Kind: "anon", Want: 1},
		{Limit: 64 * mib, Kind: "anon"}, {Limit: 64 * mib, Kind: "tape", Want: 1},
	} {
		if err := c.Check(); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	if err := (MemoryCell{Limit: 64 * mib, Kind: "file", Want: 3}).Check(); err != nil {
		t.Error(err)
	}
}
