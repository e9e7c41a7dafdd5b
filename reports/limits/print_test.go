package limits

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isoperf/bench/sample"
	"isoperf/reports/export"
)

var update = flag.Bool("update", false, "write what is printed to testdata")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
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
		t.Errorf("%s (-want +got, -update writes it):\n%s", name, diff)
	}
}

const head = `kernel: 6.18.44
cgroup: hybrid
host: h
# isoperf {"kernel":"6.18.44","cgroup":"hybrid","hz":250,"load1":0.2,"sched_ext":"absent"}
`

// line is a sample of a CPU limit, and what was checked about it.
func line(name, asked, got, failure, budget string, doubts ...string) string {
	list, _ := json.Marshal(doubts)
	if doubts == nil {
		list = []byte("[]")
	}
	return fmt.Sprintf("Benchmark%s 1 0.2 entitled-ratio %s error-ratio %s budget-ratio 0.001 accounted-ratio 1 throttled-ratio 81000000 stall-ns 0 steal-ratio 0 others-ratio %s periods-error-ratio %s achieved-ratio\n"+
		"# checked {\"case\":%q,\"sample\":0,\"limit\":\"cpu.max\",\"asked\":%q,\"read\":%q,\"doubts\":%s}\n", name, failure, budget, failure, got, name, asked, asked, list)
}

func read(t *testing.T, text string) *sample.File {
	t.Helper()
	f, err := sample.Read("./run.txt", strings.NewReader(head+text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const doubtful = "when it ended, thread 4711 of the load was not in the group"

// mixed has every verdict.
func mixed(t *testing.T) *sample.File {
	return read(t, line("CpuMax/quota=20%/period=100ms/threads=1/load=spin", "20000 100000", "0.20030", "0.0015", "0.0045")+
		line("CpuMax/quota=5%/period=100ms/threads=1/load=spin", "5000 100000", "0.0510", "0.02", "0.05")+
		line("CpuMax/quota=50%/period=10ms/threads=1/load=spin", "5000 10000", "0.7", "0.4", "0.01")+
		line("CpuMax/quota=30%/period=10ms/threads=1/load=spin", "3000 10000", "0.3", "0", "0.01", doubtful)+
		`# not-measured {"case":"CpuMax/quota=40%/period=10ms/threads=1/load=spin","why":"no <groups> & \"nothing\""}`+"\n"+
		`# end {"why":"done","steal_ratio":0}`+"\n")
}

func TestWrite(t *testing.T) {
	good := read(t, line("CpuMax/quota=20%/period=100ms/threads=1/load=spin", "20000 100000", "0.20030", "0.0015", "0.0045")+
		`# end {"why":"done","steal_ratio":0}`+"\n")
	for name, f := range map[string]*sample.File{"good": good, "mixed": mixed(t)} {
		var b bytes.Buffer
		if err := Write(&b, f, Judge(f, Options{}), Printing{Clean: true, Verbose: name == "good", Next: "this"}); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", b.String())
		for _, l := range strings.Split(b.String(), "\n") {
			if len(l) > 80 {
				t.Errorf("%s: a line of %d columns: %s", name, len(l), l)
			}
		}
	}
}

func TestForPrograms(t *testing.T) {
	f := mixed(t)
	list := Judge(f, Options{Tolerance: 0.02})
	var b bytes.Buffer
	if err := JSON(&b, f, list, Options{}, Exit{1, "done"}); err != nil {
		t.Fatal(err)
	}
	golden(t, "mixed.json", b.String())
	var back document
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.Schema != "isoperf.verify/1" || len(back.Judgements) != 5 || back.Verdict != Inaccurate {
		t.Errorf("%v, %+v", err, back)
	}
	for _, strict := range []bool{false, true} {
		b.Reset()
		if err := JUnit(&b, f, list, strict); err != nil {
			t.Fatal(err)
		}
		var suites export.Suites
		if err := xml.Unmarshal(b.Bytes(), &suites); err != nil {
			t.Fatal(err)
		}
		failures, skipped := 1, 2
		if strict {
			failures, skipped = 3, 0
		}
		if suites.Tests != 5 || suites.Failures != failures || suites.Skipped != skipped {
			t.Errorf("strict %v: %+v", strict, suites)
		}
		golden(t, map[bool]string{false: "mixed.xml", true: "strict.xml"}[strict], b.String())
	}
	b.Reset()
	if err := Metrics(&b, f, list); err != nil {
		t.Fatal(err)
	}
	golden(t, "mixed.om", b.String())
	counted := []Judgement{{Case: "PidsMax/x", Limit: "pids.max", Got: "8 tasks", Unit: "count", Verdict: Accurate}}
	var tasks bytes.Buffer
	if err := Metrics(&tasks, f, counted); err != nil {
		t.Fatal(err)
	}
	if _, err := openMetrics(tasks.String()); err != nil {
		t.Errorf("%v:\n%s", err, tasks.String())
	}
	n, err := openMetrics(b.String())
	if err != nil || n != 1+2*4+5*4 {
		t.Errorf("%d samples, %v", n, err)
	}
}

// What cannot be written is an error, and so is a figure that is no number not.
func TestNowhere(t *testing.T) {
	f := mixed(t)
	list := Judge(f, Options{})
	list[0].Figures["nan-ratio"] = -1
	for name, err := range map[string]error{
		"text": Write(broken{}, f, list, Printing{}), "watch": WriteWatch(broken{}, f, list, Printing{}), "json": JSON(broken{}, f, list, Options{}, Exit{}),
		"junit": JUnit(broken{}, f, list, false), "metrics": Metrics(broken{}, f, list),
	} {
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

var (
	metricLine = regexp.MustCompile(`^([a-z_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\} (\S+)$`)
	headLine   = regexp.MustCompile(`^# (TYPE|UNIT|HELP) ([a-z_]+) (.+)$`)
)

// openMetrics checks a text against what OpenMetrics 1.0 demands of gauges,
// infos and statesets, and counts its samples.
func openMetrics(text string) (n int, err error) {
	if !strings.HasSuffix(text, "\n# EOF\n") {
		return 0, errors.New("it does not end with # EOF")
	}
	kinds, seen := map[string]string{}, map[string]bool{}
	family := ""
	for i, l := range strings.Split(strings.TrimSuffix(text, "# EOF\n"), "\n") {
		if h := headLine.FindStringSubmatch(l); h != nil {
			if h[1] == "TYPE" {
				if kinds[h[2]] != "" {
					return n, fmt.Errorf("line %d: a second family %s", i+1, h[2])
				}
				kinds[h[2]], family = h[3], h[2]
			}
			if h[2] != family {
				return n, fmt.Errorf("line %d: it belongs to no family", i+1)
			}
			if end := h[2][strings.LastIndexByte(h[2], '_')+1:]; slices.Contains([]string{"total", "created", "bucket", "count", "sum", "info"}, end) {
				return n, fmt.Errorf("line %d: %s ends as another kind's samples do", i+1, h[2])
			}
			if h[1] == "UNIT" && !strings.HasSuffix(h[2], "_"+h[3]) {
				return n, fmt.Errorf("line %d: the name does not end with the unit", i+1)
			}
			continue
		}
		if l == "" {
			continue
		}
		m := metricLine.FindStringSubmatch(l)
		if m == nil {
			return n, fmt.Errorf("line %d: %q", i+1, l)
		}
		v, err := strconv.ParseFloat(m[3], 64)
		switch kind := kinds[family]; {
		case err != nil:
			return n, err
		case kind == "info" && (m[1] != family+"_info" || v != 1), kind != "info" && m[1] != family:
			return n, fmt.Errorf("line %d: %s in family %s", i+1, m[1], family)
		case kind == "stateset" && (v != 0 && v != 1 || !strings.Contains(m[2], family+`="`)):
			return n, fmt.Errorf("line %d: no state", i+1)
		case seen[m[1]+m[2]]:
			return n, fmt.Errorf("line %d: a second time", i+1)
		}
		seen[m[1]+m[2]] = true
		n++
	}
	return n, nil
}

func TestChecker(t *testing.T) {
	for _, bad := range []string{
		"", "# TYPE a gauge\na{} 1\n", "a{} 1\n# EOF\n", "# TYPE a gauge\na{b=\"\n\"} 1\n# EOF\n", "# TYPE a gauge\na{} 1\na{} 1\n# EOF\n",
		"# TYPE a_ratio gauge\n# UNIT a_ratio seconds\n# EOF\n", "# TYPE a_count gauge\na_count{} 1\n# EOF\n", "# TYPE a stateset\na{a=\"x\"} 2\n# EOF\n", "# TYPE a gauge\nb{} 1\n# EOF\n",
	} {
		if _, err := openMetrics(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if got := export.Labels("a", "x\\\"\n"); got != `a="x\\\"\n"` {
		t.Errorf("%s", got)
	}
}

func TestOverall(t *testing.T) {
	of := func(family string, verdicts ...Verdict) []Judgement {
		var list []Judgement
		for _, v := range verdicts {
			list = append(list, Judgement{Case: family + "/x", Verdict: v})
		}
		return list
	}
	for _, c := range []struct {
		list []Judgement
		want Verdict
	}{
		{nil, NotJudged},
		{of("CpuMax", Accurate, Accurate), Accurate},
		{of("CpuMax", Accurate, Within), Within},
		{of("CpuMax", Accurate, NotJudged, Within), NotJudged},
		{of("CpuMax", Inaccurate, NotJudged), Inaccurate},
		{of("Watch", Accurate, NotJudged), Accurate},
		{of("Watch", Within, NotJudged), Within},
		{of("Watch", Accurate, NotJudged, Within), Within},
		{of("Watch", NotJudged), NotJudged},
		{of("Watch", Accurate, Inaccurate), Inaccurate},
		{append(of("CpuMax", Accurate), of("Watch", NotJudged)...), NotJudged},
	} {
		if got := Overall(c.list); got != c.want {
			t.Errorf("%+v: %s, want %s", c.list, got, c.want)
		}
	}
}
