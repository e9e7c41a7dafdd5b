package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"isoperf/runtime/program"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file in testdata; -update writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// timeline is that of a container's start, with the times of one that was
// measured, more or less.
func timeline() program.Timeline {
	t := program.Timeline{Entered: 5_000_000_000_123, Returned: 5_000_000_410_123, First: 5_000_000_402_000}
	at := t.First
	add := func(name, text string, took, result int64) {
		t.Spans = append(t.Spans, program.Span{Name: name, Start: at, End: at + took, Result: result, Own: true, Op: &program.Op{Text: text}})
		at += took
	}
	add("enter stub", `execveat(stub, "", …, AT_EMPTY_PATH): the rest runs in the stub`, 61_234, 0)
	add("die with parent", "prctl(PR_SET_PDEATHSIG, SIGKILL)", 301, 0)
	add("armed", "tell 1: armed", 1_200, 0)
	add("in the user namespace", "tell 2: in the user namespace", 900, 0)
	add("for the id maps", "wait 1: for the id maps", 210_000, 0)
	add("for the cgroups", "wait 2: attached to its cgroups", 97_000, 0)
	add("mounts private", `mount(NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL)`, 9_000, 0)
	add("open target", `openat2(4, "proc", {O_PATH, RESOLVE_IN_ROOT})`, 4_000, 5)
	add("mount proc", `mount("proc", "/proc/self/fd/5", "proc", MS_NOSUID, NULL)`, 80_000, 0)
	add("close", "close(result of op 8)", 250, 0)
	add("mount dev", `mount("tmpfs", "/srv/rootfs/dev", "tmpfs", MS_NOSUID, "mode=755")`, 30_000, 0)
	add("mknod null", `mknodat(AT_FDCWD, "dev/null", S_IFCHR|0666, makedev(1, 3))`, 12_000, -17)
	add("pivot_root", `pivot_root(".", ".")`, 15_000, 0)
	add("drop old root", `umount2(".", MNT_DETACH)`, 22_000, 0)
	add("lo up", `ioctl(6, SIOCSIFFLAGS, {"lo", IFF_UP})`, 18_000, 0)
	add("capset", "capset({…})", 700, 0)
	add("seccomp", "seccomp(SECCOMP_SET_MODE_FILTER, 0, {536 instructions})", 46_000, 0)
	add("unblock signals", "rt_sigprocmask(SIG_SETMASK, the launcher's mask, NULL, 8)", 180, 0)
	t.Reaped = at + 700_000
	return t
}

func start() []Event { return Executed(FromTimeline(timeline()), timeline().Reaped-500_000) }

func written(t *testing.T, events []Event, meta map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, events, meta); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWrite(t *testing.T) {
	golden(t, "start.json", written(t, start(), map[string]string{"command": "/bin/sh", "mode": "stub"}))
	golden(t, "empty.json", written(t, nil, nil))
}

// TestFormat: the file keeps the rules of the Trace Event Format.
func TestFormat(t *testing.T) {
	var f struct {
		Unit   string           `json:"displayTimeUnit"`
		Other  map[string]any   `json:"otherData"`
		Events []map[string]any `json:"traceEvents"`
	}
	text := written(t, start(), nil)
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	if f.Unit != "ns" && f.Unit != "ms" {
		t.Errorf("displayTimeUnit is %q", f.Unit)
	}
	named, last, complete := map[any]bool{}, math.Inf(-1), 0
	for _, e := range f.Events {
		if _, ok := e["name"].(string); !ok {
			t.Errorf("an event has no name: %v", e)
		}
		for _, key := range []string{"pid", "tid"} {
			if _, ok := e[key].(float64); !ok {
				t.Errorf("%s is no number: %v", key, e)
			}
		}
		switch e["ph"] {
		case "M":
			if e["name"] == "thread_name" {
				named[e["tid"]] = true
			}
			if name, ok := e["args"].(map[string]any)["name"].(string); !ok || name == "" {
				t.Errorf("a metadata event gives no name: %v", e)
			}
		case "X":
			complete++
			ts, hasTs := e["ts"].(float64)
			dur, hasDur := e["dur"].(float64)
			if !hasTs || !hasDur || dur < 0 || ts < last {
				t.Errorf("ts or dur is missing, negative or not in order: %v", e)
			}
			if last = ts; !named[e["tid"]] {
				t.Errorf("its thread has no name: %v", e)
			}
		default:
			t.Errorf("ph is %v", e["ph"])
		}
	}
	if complete != len(start()) {
		t.Errorf("%d complete events, want %d", complete, len(start()))
	}
}

// TestNesting: events of a lane contain or follow each other, as viewers ask.
func TestNesting(t *testing.T) {
	events := start()
	for i, a := range events {
		for _, b := range events[i+1:] {
			if a.Lane == b.Lane && b.Start < a.End && b.End > a.End {
				t.Errorf("%q and %q overlap", a.Name, b.Name)
			}
		}
	}
}

// TestRoundTrip: what is read is what was written, to the nanosecond.
func TestRoundTrip(t *testing.T) {
	const late = math.MaxInt64 - 10_000_000_000
	for name, events := range map[string][]Event{
		"start": start(),
		"none":  nil,
		"odd": {
			{Lane: "", Name: "", Start: late, End: late + 1, Args: map[string]any{
				"n": int64(math.MaxInt64), "f": 0.1, "s": "<&>\u2028\"", "b": true, "list": []any{int64(1), "x"}, "map": map[string]any{"k": int64(-2)},
			}},
			{Lane: "b", Name: "x", Text: "y", Start: late + 999, End: late + 999},
			{Lane: "b", Name: "x", Start: late + 1000, End: late + 9_999_999_999},
		},
	} {
		meta := map[string]string{"a": "<b>", "originNs": "mine"}
		text := written(t, events, meta)
		got, gotMeta, err := Read(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, events) || !reflect.DeepEqual(gotMeta, meta) {
			t.Errorf("%s: read %v, %v; want %v, %v", name, got, gotMeta, events, meta)
		}
		if again := written(t, got, gotMeta); again != text {
			t.Errorf("%s: written again it is\n%s\nand was\n%s", name, again, text)
		}
	}
}

// TestProcesses: lanes of one name are apart when their processes are.
func TestProcesses(t *testing.T) {
	events := []Event{
		{Process: "runc[7]", Lane: "thread 7", Name: "clone3", Start: 10, End: 20},
		{Process: "runc init[9]", Lane: "thread 7", Name: "mount", Text: `mount("a", "b")`, Start: 15, End: 30},
		{Process: "runc init[9]", Lane: "thread 9", Name: "openat", Text: `openat(3, "cgroup.procs")`, Start: 31, End: 40},
		{Process: "runc[7]", Lane: "thread 7", Name: "write", Text: `write("/sys/fs/cgroup/x/cpu.max", "1")`, Start: 32, End: 40},
	}
	text := written(t, events, nil)
	got, _, err := Read(strings.NewReader(text))
	if err != nil || !reflect.DeepEqual(got, events) {
		t.Errorf("read %v, %v; want %v", got, err, events)
	}
	if n := strings.Count(text, `"process_name"`); n != 2 || strings.Count(text, `"thread_name"`) != 3 {
		t.Errorf("it names %d processes:\n%s", n, text)
	}
	all, phases := Sort([]Event{events[3], events[1], events[0], events[2]})
	if !reflect.DeepEqual(all, events) || !reflect.DeepEqual(phases, []string{phaseClone, phaseMounts, phaseCgroup, phaseCgroup}) {
		t.Errorf("sorted: %v, %q", all, phases)
	}
}

// TestOrder: the order of what is written does not depend on that of the
// events.
func TestOrder(t *testing.T) {
	events := start()
	want := written(t, events, nil)
	for i := range events {
		j := (i*7 + 3) % len(events)
		events[i], events[j] = events[j], events[i]
	}
	if got := written(t, events, nil); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWriteErrors(t *testing.T) {
	for want, e := range map[string]Event{
		`event "x" ends 5 ns before it begins`: {Name: "x", Start: 10, End: 5},
		`event "x" has an argument "text"`:     {Name: "x", Args: map[string]any{"text": 1}},
		"unsupported type":                     {Name: "x", Args: map[string]any{"f": func() {}}},
		"unsupported value":                    {Name: "x", Args: map[string]any{"f": math.NaN()}},
	} {
		var b bytes.Buffer
		if err := Write(&b, []Event{e}, nil); err == nil || !strings.Contains(err.Error(), want) || b.Len() != 0 {
			t.Errorf("the error is %v after %d bytes, want %q after none", err, b.Len(), want)
		}
	}
	if err := Write(broken{}, nil, nil); err == nil {
		t.Error("a write error is lost")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestReadErrors(t *testing.T) {
	lane := `{"name":"thread_name","ph":"M","pid":0,"tid":1,"args":{"name":"l"}},`
	for want, text := range map[string]string{
		"unexpected":               "{",
		`its ph is "B"`:            `{"originNs":"0","traceEvents":[{"ph":"B"}]}`,
		"tid 2 has no name":        `{"originNs":"0","traceEvents":[` + lane + `{"ph":"X","ts":1.000,"dur":1.000,"tid":2}]}`,
		`"1.5" is not a time`:      `{"originNs":"0","traceEvents":[` + lane + `{"ph":"X","ts":1.5,"dur":1.000,"tid":1}]}`,
		`"-1.000" is not a time`:   `{"originNs":"0","traceEvents":[` + lane + `{"ph":"X","ts":1.000,"dur":-1.000,"tid":1}]}`,
		`"" is not a time`:         `{"originNs":"0","traceEvents":[` + lane + `{"ph":"X","ts":1.000,"tid":1}]}`,
		"not in the order of time": `{"originNs":"0","traceEvents":[` + lane + `{"ph":"X","ts":2.000,"dur":1.000,"tid":1},{"ph":"X","ts":1.000,"dur":1.000,"tid":1}]}`,
		"event 1: json: cannot":    `{"originNs":"0","traceEvents":[1]}`,
	} {
		if _, _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestRealStart: the events of a program that ran are all there.
func TestRealStart(t *testing.T) {
	p := program.New(program.Stub, 0)
	p.DieWithParent()
	p.Add(program.Chdir("/"))
	p.Exec("/bin/true", []string{"true"}, nil)
	l := program.NewLauncher()
	defer l.Close()
	proc, err := l.Start(p)
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Release()
	seen := proc.WaitExec()
	at := program.Now()
	if _, err := proc.Wait(); err != nil || seen != nil {
		t.Fatal(err, seen)
	}
	events := Executed(FromTimeline(proc.Timeline()), at)
	written(t, events, nil)
	names := map[string]bool{}
	for _, e := range events {
		names[e.Lane+" "+e.Name] = true
	}
	for _, want := range []string{"launcher clone3", "launcher wait", "container clone", "container enter stub", "container chdir /", "container unblock signals", "command command"} {
		if !names[want] {
			t.Errorf("%q is not among the events %v", want, names)
		}
	}
	checkSum(t, events)
}
