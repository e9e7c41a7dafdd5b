package answer

import (
	"math"
	"strings"
	"testing"

	"isoperf/bench/sample"
	"isoperf/reports/plot/specimen"
)

func TestStartup(t *testing.T) {
	f := specimen.Startup(60)
	golden(t, "startup", printed(t, f, Options{}))
	golden(t, "startup-verbose", printed(t, f, Options{Verbose: true}))
}

// On a wide terminal what a container lacks stands in its row.
func TestStartupWide(t *testing.T) {
	var out strings.Builder
	if err := Write(&out, specimen.Startup(20), Options{Width: 200}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "bwrap ") {
			if !strings.Contains(line, "no cgroup, no seccomp filter; adds no-new-privileges") {
				t.Errorf("the row does not say what is lacking: %s", line)
			}
			break
		}
	}
	if strings.Contains(out.String(), "(a)") {
		t.Error("a footnote where the row has room")
	}
}

// One run may hold both families; a narrow terminal gets the table in pieces.
func TestStartupBesideClone(t *testing.T) {
	f := specimen.File(20)
	more := specimen.Startup(20)
	f.Cases, f.Observed = append(f.Cases, more.Family("Startup")...), more.Observed
	text := printed(t, f, Options{})
	starts, clones := strings.Index(text, "isorun starts a container in"), strings.Index(text, "namespace costs")
	if starts != 0 || clones < starts {
		t.Errorf("the answers stand at %d and %d", starts, clones)
	}
	var out strings.Builder
	if err := Write(&out, more, Options{Width: 48}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "isorun ") && len(line) > 49 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if strings.Count(out.String(), "\ndocker ") != 1 {
		t.Error("who was not measured has more or fewer rows than one")
	}
}

// startCase is a case with the same samples in every unit.
func startCase(name string, values ...float64) *sample.Case {
	return &sample.Case{Name: name, Units: []string{"ready-ns", "total-ns"}, Values: map[string][]float64{"ready-ns": values, "total-ns": values}}
}

func steady(ms float64) []float64 {
	var values []float64
	for i := range 30 {
		values = append(values, ms*1e6*(1+0.001*float64(i)))
	}
	return values
}

func startFile(cases ...*sample.Case) *sample.File {
	return &sample.File{Path: "starts.txt", Cases: cases}
}

// What a person compares is not always isorun against runc.
func TestStartupPartial(t *testing.T) {
	usual := func(name string, ms float64) *sample.Case {
		return startCase("Startup/runtime="+name+"/with=usual/pacing=burst", steady(ms)...)
	}
	failing := startFile(usual("isorun", 2))
	failing.Cases = append(failing.Cases, &sample.Case{Name: "Startup/runtime=runc/with=usual/pacing=burst", Failures: []string{"exit status 1", "exit status 1"}})
	failing.NotMeasured = []sample.Note{{Case: "Startup/runtime=crun", Why: "crun is not installed (apt install crun)"}, {Case: "StartupOpen/runtime=crun", Why: "crun is not installed (apt install crun)"}}
	none := startFile()
	none.NotMeasured = []sample.Note{{Case: "Startup", Why: "needs root"}}
	slower := startFile(usual("a", 3), usual("b", 2))
	slower.Observed = []sample.Observed{{Case: "Startup/runtime=b/with=usual/pacing=burst", Looked: true, Lacks: []string{"cgroup", "seccomp filter"}}}
	few := startFile(startCase("Startup/runtime=isorun/with=usual/pacing=burst", 2e6, 3e6), startCase("Startup/runtime=runc/with=usual/pacing=burst", 9e6))
	odd := startFile(startCase("Startup/runtime=isorun/with=usual/pacing=burst", 0, -1, math.NaN(), math.Inf(1)), usual("runc", 20),
		startCase("StartupAtOnce/runtime=x/n=0", 1), startCase("StartupOpen/runtime=x/load=much", 1), startCase("StartupSpans/runtime=isorun/with=usual", 1))
	gaps := startFile(&sample.Case{
		Name: "StartupSpans/runtime=isorun/with=usual/pacing=burst", Units: []string{"total-ns", "span.a-ns", "span.b-ns", "residual-ns"},
		Values: map[string][]float64{"total-ns": {10, 10, 10}, "span.a-ns": {6, 6}, "span.b-ns": {3, 3, 3}, "residual-ns": {1, 1, 1}},
	})
	var all strings.Builder
	for _, c := range []struct {
		name string
		f    *sample.File
	}{
		{"two versions, a command", specimen.Versions(40)},
		{"isorun alone", startFile(usual("isorun", 2))},
		{"a is slower than b", slower},
		{"no difference", startFile(usual("isorun", 2), usual("crun", 2.001))},
		{"a few percent", startFile(usual("isorun", 2), usual("crun", 2.1))},
		{"one fails, one is missing", failing},
		{"only paced, rootless", startFile(startCase("Startup/runtime=isorun/with=rootless/pacing=paced", steady(4)...))},
		{"variants, and plain starts of another time", startFile(usual("isorun", 2), usual("runc", 20),
			startCase("StartupVariants/runtime=isorun/with=usual/pacing=burst", steady(2.5)...),
			startCase("StartupVariants/runtime=isorun/with=host-net/pacing=burst", steady(2.3)...),
			startCase("StartupVariants/runtime=runc/with=host-net/pacing=burst", steady(17)...))},
		{"variants alone", startFile(startCase("StartupVariants/runtime=isorun/with=usual/pacing=burst", steady(2.5)...),
			startCase("StartupVariants/runtime=isorun/with=host-net/pacing=burst", steady(2.3)...))},
		{"another bundle in the plain family is no variant", startFile(usual("isorun", 2), startCase("Startup/runtime=isorun/with=own/pacing=burst", steady(3)...))},
		{"too few samples", few},
		{"odd samples", odd},
		{"phases that not all samples have", gaps},
		{"nothing", none},
	} {
		all.WriteString("=== " + c.name + "\n" + printed(t, c.f, Options{}))
	}
	golden(t, "startup-partial", all.String())
}

func TestStartupPreview(t *testing.T) {
	var out strings.Builder
	if err := Preview(&out, specimen.Versions(6)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"First look, preliminary (12 samples so far", "runc-1.4.0", "runc-1.5.2"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
