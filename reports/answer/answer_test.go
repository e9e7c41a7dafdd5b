package answer

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isoperf/bench/sample"
	"isoperf/reports/stats"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// page prints and checks what holds for every page.
func printed(t *testing.T, f *sample.File, o Options) string {
	t.Helper()
	var out strings.Builder
	if err := Write(&out, f, o); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if len(line) > 80 && strings.Contains(strings.TrimSpace(line), " ") {
			t.Errorf("%d columns: %s", len(line), line)
		}
		for _, r := range line {
			if r < ' ' || r > '~' {
				t.Errorf("not plain ASCII: %q", line)
				break
			}
		}
		if line != strings.TrimRight(line, " ") {
			t.Errorf("spaces at the end: %q", line)
		}
	}
	if strings.Contains(out.String(), "\n\n\n") {
		t.Errorf("two blank lines together:\n%s", out.String())
	}
	return out.String()
}

func usual() *made {
	m := newMade(sample.Pair{Key: "virt", Value: "kvm"}, sample.Pair{Key: "privilege", Value: "root"})
	m.file.Fingerprint = []byte(`{"version":"0.1.0","clock":"tsc","load1":0.2,"cpus":2,"steal_ratio":0.03}`)
	m.control()
	m.clone("vm", 24e3)
	m.teardown()
	return m
}

func TestClone(t *testing.T) { golden(t, "clone", printed(t, usual().file, Options{})) }

func TestEverything(t *testing.T) {
	m := usual()
	m.clone("fork", 80e3)
	m.clone("stub", 90e3)
	m.joining()
	m.sweeps()
	m.engine()
	golden(t, "everything", printed(t, m.file, Options{}))
	golden(t, "verbose", printed(t, m.file, Options{Verbose: true}))
}

func TestTrouble(t *testing.T) {
	m := newMade(sample.Pair{Key: "privilege", Value: "userns"})
	m.file.Fingerprint = []byte(`{"load1":3.2,"cpus":2,"steal_ratio":null,"clock":{"source":"tsc"}}`)
	m.add("Clone/flag=none/mode=vm/pacing=burst", 40, cloneUnits, 20e3, 21e3, 24e3)
	m.add("Clone/flag=none/mode=vm/pacing=burst", 40, cloneUnits, 30e3, 31e3, 36e3)
	m.add("Clone/flag=net/mode=vm/pacing=burst", 60, cloneUnits, 20e3, 21e3, 500e3)
	m.add("Clone/flag=uts/mode=vm/pacing=burst", 3, cloneUnits, 20e3, 21e3, 38e3)
	m.failed("Clone/flag=net/mode=vm/pacing=burst", "clone3: no space left on device", 3)
	m.failed("Clone/flag=net/mode=vm/pacing=burst", "the child's net namespace is the parent's", 1)
	m.failed("Clone/flag=mnt/mode=vm/pacing=burst", "clone3: operation not permitted\x1b[2J", 12)
	for _, mode := range []string{"vm", "fork", "stub"} {
		m.file.NotMeasured = append(m.file.NotMeasured,
			sample.Note{Case: "Clone/flag=time/mode=" + mode + "/pacing=burst", Why: "the kernel has no time namespaces (Linux 5.6 brought them)"},
			sample.Note{Case: "Clone/flag=time/mode=" + mode + "/pacing=paced", Why: "the kernel has no time namespaces (Linux 5.6 brought them)"})
	}
	m.file.NotMeasured = append(m.file.NotMeasured, sample.Note{Case: "Teardown", Why: "needs root in the initial user namespace"})
	m.file.Notes = []string{`the end is missing: the last line is cut ("BenchmarkClo…") and was skipped; the run did not finish`}
	golden(t, "trouble", printed(t, m.file, Options{}))
}

func TestPartialFiles(t *testing.T) {
	paced := newMade()
	for _, f := range flags {
		paced.add("Clone/flag="+f.name+"/mode=fork/pacing=paced", 30, cloneUnits, 1e3, 1e3, 60e3+f.paced*1e3)
	}
	baseless := newMade()
	baseless.add("Clone/flag=net/mode=vm/pacing=burst", 30, cloneUnits, 400e3, 410e3, 480e3)
	cheap := newMade()
	for _, flag := range []string{"none", "uts", "cgroup"} {
		cheap.add("Clone/flag="+flag+"/mode=vm/pacing=burst", 30, cloneUnits, 20e3, 21e3, 24e3)
	}
	nothing := newMade()
	nothing.file.NotMeasured = []sample.Note{{Case: "Clone", Why: "clone3 is not available here: ENOSYS"}}
	unknown := newMade()
	unknown.add("Memory/limit=64MiB/what=overshoot", 30, []string{"over-B", "kept-ratio", "events-count", "write-B/s", "cost-ns/B"}, 3e6, 0.04, 12, 4e9, 0.3)
	unknown.add("Odd", 30, []string{"reap-ns"}, 12e3)
	var all strings.Builder
	for _, c := range []struct {
		name string
		m    *made
	}{{"paced fork only", paced}, {"no null case", baseless}, {"no flag costs", cheap}, {"nothing", nothing}, {"other families", unknown}} {
		all.WriteString("=== " + c.name + "\n" + printed(t, c.m.file, Options{}))
	}
	golden(t, "partial", all.String())
}

// Limits are held against an absolute measure: nobody misses a null case.
func TestJudgedNeedsNoNullCase(t *testing.T) {
	m := newMade()
	m.add("Watch/limit=cpu.max/rank=0/quota=20%/period=100ms", 1, []string{"achieved-ratio"}, 0.2)
	m.add("WatchState/limit=pids.max", 1, []string{"current-count"}, 7)
	if text := printed(t, m.file, Options{}); strings.Contains(text, "null case") {
		t.Errorf("%s", text)
	}
	m.add("Odd", 30, []string{"reap-ns"}, 12e3)
	if text := printed(t, m.file, Options{}); !strings.Contains(text, "null case") {
		t.Errorf("with others:\n%s", text)
	}
}

func TestPreview(t *testing.T) {
	m := newMade()
	var all strings.Builder
	preview := func() {
		if err := Preview(&all, m.file); err != nil {
			t.Fatal(err)
		}
	}
	preview()
	m.add("Clone/flag=net/mode=vm/pacing=burst", 3, cloneUnits, 400e3, 410e3, 480e3)
	preview()
	m.clone("vm", 24e3)
	preview()
	golden(t, "preview", all.String())
}

func TestGrades(t *testing.T) {
	for _, c := range []struct {
		limits thresholds
		value  float64
		want   grade
	}{
		{repeatLimits, 0.05, good}, {repeatLimits, 0.06, fair}, {repeatLimits, 0.2, poor},
		{failureLimits, 0, good}, {failureLimits, 0.001, fair}, {failureLimits, 0.06, poor},
		{stealLimits, 0.03, good}, {stealLimits, 0.1, fair}, {stealLimits, 0.5, poor},
		{loadLimits, 0.2, good}, {loadLimits, 1, fair}, {loadLimits, 2, poor},
	} {
		if got := c.limits.grade(c.value); got != c.want {
			t.Errorf("%+v: %v is %v, want %v", c.limits, c.value, got, c.want)
		}
	}
}

func TestWaits(t *testing.T) {
	shift := func(delta, width float64) stats.Shift {
		return stats.Shift{Delta: delta, Lo: delta - width, Hi: delta + width, N: 30, BaseN: 30}
	}
	none := stats.Increment(nil, nil)
	for _, c := range []struct {
		burst, paced stats.Shift
		want         bool
	}{
		{shift(47, 2), shift(637, 20), true},
		{shift(47, 2), shift(230, 20), false},
		{shift(-1, 2), shift(600, 20), true}, // nothing back to back, much when paced
		{shift(1, 2), shift(6, 5), false},    // noise
		{shift(47, 2), none, false},
		{none, shift(600, 20), false},
	} {
		if got := (cloneRow{extra: c.burst, paced: c.paced}).waits(); got != c.want {
			t.Errorf("burst %+v, paced %+v: %v, want %v", c.burst, c.paced, got, c.want)
		}
	}
}

func TestWaitNote(t *testing.T) {
	row := func(flag string, burst, paced float64) cloneRow {
		return cloneRow{flag: flag, extra: stats.Shift{Delta: burst}, paced: stats.Shift{Delta: paced}}
	}
	for _, c := range []struct {
		rows []cloneRow
		want string
	}{
		{[]cloneRow{row("mnt", 47, 637)}, "! mnt costs 13x more when calls are 50 ms apart: an RCU wait shows that a tight loop hides."},
		{[]cloneRow{row("ipc", -1, 637)}, "! ipc costs much more when calls are 50 ms apart: a wait shows that a tight loop hides."},
		{[]cloneRow{row("ipc", 10, 60), row("mnt", 10, 90)}, "! ipc, mnt cost 6x .. 9x more when calls are 50 ms apart: a wait shows that a tight loop hides."},
	} {
		if got := waitNote(c.rows); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestQuantity(t *testing.T) {
	for text, want := range map[string]float64{"16": 16, "64MiB": 64 << 20, "1GiB": 1 << 30, "50ms": 50e6, "100us": 100e3, "2s": 2e9, "0.5ms": 5e5} {
		if got, ok := quantity(text); !ok || got != want {
			t.Errorf("quantity(%q) = %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "net", "vm", "os-exec", "ns", "inf", "NaN"} {
		if got, ok := quantity(text); ok {
			t.Errorf("quantity(%q) = %v, want none", text, got)
		}
	}
}

// What the reader of result files returns can be printed, whatever is in it.
func TestFromText(t *testing.T) {
	const text = `goos: linux
virt: none
# isoperf {"load1":"unknown","cpus":2}
Unit reap-ns better=lower
BenchmarkClone/flag=none/mode=vm/pacing=burst 1 20000 clone-ns 24000 reap-ns
BenchmarkClone/flag=net/mode=vm/pacing=burst 1 400000 clone-ns NaN reap-ns
BenchmarkSweepOdd/x=1/flag=net 1 5 reap-ns
BenchmarkSweepOdd/flag=net 1 5 reap-ns
# failed {"case":"Clone/flag=net/mode=vm/pacing=burst","why":"a` + "\\n" + `b"}
# not-measured {"case":"","why":""}
BenchmarkClone/flag=no`
	f, err := sample.Read("result.txt", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{}, {Verbose: true}, {Width: 30}} {
		var out strings.Builder
		if err := Write(&out, f, o); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(out.String(), "Incomplete file: ") {
			t.Errorf("it does not begin with what is missing:\n%s", out.String())
		}
	}
}
