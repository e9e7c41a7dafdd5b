package startup

import (
	"math"
	"slices"
	"strings"
	"testing"

	"isoperf/bench/sample"
	"isoperf/reports/plot/specimen"
	"isoperf/reports/stats"
)

func names(starts []Start) []string {
	var all []string
	for _, s := range starts {
		all = append(all, s.Name)
	}
	return all
}

func start(name string, ms float64) *sample.Case {
	c := &sample.Case{Name: name, Units: []string{"total-ns"}, Values: map[string][]float64{}}
	for i := range 20 {
		c.Values["total-ns"] = append(c.Values["total-ns"], ms*1e6*(1+0.001*float64(i)))
	}
	return c
}

func file(cases ...*sample.Case) *sample.File { return &sample.File{Cases: cases} }

func TestCompareSortsAndFindsTheBase(t *testing.T) {
	c := Main(specimen.Startup(20))
	if c.With != "usual" || c.Pacing != "burst" || c.Base.Name != "isorun" {
		t.Errorf("with %s, pacing %s, base %s", c.With, c.Pacing, c.Base.Name)
	}
	if !slices.IsSortedFunc(c.Starts, func(a, b Start) int { return int(a.Total.Median - b.Total.Median) }) {
		t.Errorf("not sorted: %q", names(c.Starts))
	}
	if got := names(c.Absent); !slices.Equal(got, []string{"docker", "qemu-kvm"}) {
		t.Errorf("absent %q", got)
	}
	if one := c.Named("isorun").Times.Ratio; math.Abs(one-1) > 1e-9 {
		t.Errorf("the base is %v of itself", one)
	}
	if !math.IsNaN(c.Named("library").Peak) {
		t.Error("a peak that was not measured has a value")
	}
	first := Compare(file(start("Startup/runtime=b/with=own/pacing=burst", 3), start("Startup/runtime=a/with=own/pacing=burst", 2)), Plain, "own", "burst")
	if first.Base.Name != "b" || first.Starts[0].Name != "a" {
		t.Errorf("without isorun the base is %s, want the first of the file", first.Base.Name)
	}
	floor := Compare(file(start("Startup/runtime=fork-exec/with=usual/pacing=burst", 1), start("Startup/runtime=library/with=usual/pacing=burst", 2),
		start("Startup/runtime=isoperf-run/with=usual/pacing=burst", 4), start("Startup/runtime=runc/with=usual/pacing=burst", 20)), Plain, "usual", "burst")
	if floor.Base.Name != "library" || strings.Contains(floor.Headline(), "isoperf-run") || !strings.Contains(floor.Headline(), "10x faster than runc") {
		t.Errorf("base %s: %s", floor.Base.Name, floor.Headline())
	}
	alone := Compare(file(start("Startup/runtime=fork-exec/with=usual/pacing=burst", 1)), Plain, "usual", "burst")
	if alone.Base.Name != Floor || alone.Verdict() != "" {
		t.Errorf("the floor alone: base %s, %q", alone.Base.Name, alone.Verdict())
	}
}

func TestMainChoosesWhatIsThere(t *testing.T) {
	for _, c := range []struct {
		cases []string
		want  string
	}{
		{[]string{"with=cold/pacing=burst", "with=usual/pacing=paced", "with=usual/pacing=burst"}, "usual burst"},
		{[]string{"with=cold/pacing=burst", "with=usual/pacing=paced"}, "usual paced"},
		{[]string{"with=command/pacing=burst", "with=own/pacing=burst"}, "own burst"},
		{[]string{"with=rootless/pacing=slow"}, "rootless slow"},
	} {
		f := file()
		for _, rest := range c.cases {
			f.Cases = append(f.Cases, start("Startup/runtime=isorun/"+rest, 2))
		}
		if m := Main(f); m == nil || m.With+" "+m.Pacing != c.want {
			t.Errorf("%q: %+v, want %s", c.cases, m, c.want)
		}
	}
	if Main(file()) != nil || Main(file(&sample.Case{Name: "Startup/runtime=x/with=usual/pacing=burst"})) != nil {
		t.Error("a comparison without a sample")
	}
}

// The plain starts were measured at another time than the variants, on a
// machine that was quicker then: no sample of the one is set against the other.
func TestVariantsHaveABaseOfTheirOwn(t *testing.T) {
	f := file(start("Startup/runtime=isorun/with=usual/pacing=burst", 2.0),
		start("StartupVariants/runtime=isorun/with=usual/pacing=burst", 2.5), start("StartupVariants/runtime=isorun/with=host-net/pacing=burst", 2.3))
	if m := Main(f); m.Family != Plain || m.Base.Total.N != 20 || len(m.Others()) != 0 || m.Comparable() {
		t.Errorf("the main comparison: %s with %d samples, beside %q", m.Family, m.Base.Total.N, m.Others())
	}
	c := Of(f, Varied)
	if c.With != "usual" || c.Base.Total.N != 20 || c.Base.Total.Median < 2.5e6 || !slices.Equal(c.Others(), []string{"host-net"}) || !c.Comparable() {
		t.Fatalf("the variants: over %s, %d samples, median %v, %q", c.With, c.Base.Total.N, c.Base.Total.Median, c.Others())
	}
	if s := stats.Increment(c.Base.Case.Values["total-ns"], c.Total("isorun", "host-net", "burst")); s.Hi >= 0 {
		t.Errorf("host-net takes %+v more", s)
	}
	f.Cases = f.Cases[1:]
	if m := Main(f); m.Family != Varied || m.Base.Total.Median != c.Base.Total.Median {
		t.Errorf("without plain starts the main comparison is of %q", m.Family)
	}
}

func TestAbsent(t *testing.T) {
	f := file(start("Startup/runtime=isorun/with=usual/pacing=burst", 2))
	f.Cases = append(f.Cases, &sample.Case{Name: "Startup/runtime=runc/with=usual/pacing=burst", Failures: []string{"exit status 1"}})
	f.NotMeasured = []sample.Note{
		{Case: "Startup/runtime=crun", Why: "not installed"},
		{Case: "Startup/runtime=crun/with=usual/pacing=burst", Why: "again"},
		{Case: "Startup/runtime=youki/with=rootless/pacing=burst", Why: "refuses"},
		{Case: "StartupOpen/runtime=crun", Why: "not installed"},
		{Case: "Startup", Why: "who?"},
	}
	c := Main(f)
	if got := names(c.Absent); !slices.Equal(got, []string{"crun", "runc"}) {
		t.Fatalf("absent %q", got)
	}
	var told []bool
	for _, n := range f.NotMeasured {
		told = append(told, c.Tells(n))
	}
	if !slices.Equal(told, []bool{true, false, false, true, false}) {
		t.Errorf("told %v", told)
	}
	var none *Comparison
	if none.Tells(f.NotMeasured[0]) {
		t.Error("no comparison tells something")
	}
}

// Phases add up to the whole, whatever they are called.
func TestBreakdownAddsUp(t *testing.T) {
	all := Breakdowns(specimen.Startup(50))
	if len(all) != 2 {
		t.Fatalf("%d breakdowns", len(all))
	}
	b := all[0]
	sum, shares := 0.0, 0.0
	for _, p := range b.Phases {
		sum, shares = sum+p.Mean, shares+p.Share
	}
	totals := b.Case.Values["total-ns"]
	mean := meanOf(totals, stats.MiddleHalf(totals))
	if !b.Exact || math.Abs(sum/mean-1) > 1e-9 || math.Abs(shares-1) > 1e-9 {
		t.Errorf("exact %v, sum %v of %v, shares %v", b.Exact, sum, mean, shares)
	}
	last := b.Phases[len(b.Phases)-1]
	if !last.Residual || b.Unnamed() != last.Share || b.Phases[0].Name != "clone exec" {
		t.Errorf("first %s, last %s", b.Phases[0].Name, last.Name)
	}
	top := b.Longest(2)
	if len(top) != 2 || top[0].Name != "go start" || top[0].Mean < top[1].Mean {
		t.Errorf("longest %s, %s", top[0].Name, top[1].Name)
	}
	if !(b.Ready > 0 && b.Ready < b.Whole) {
		t.Errorf("ready at %v of %v", b.Ready, b.Whole)
	}
	b.Case.Values["span.pivot-ns"] = b.Case.Values["span.pivot-ns"][1:]
	if got := breakdown(b.Case); got.Exact || !strings.Contains(got.Sentence(), "need not add up") {
		t.Error("a phase that one sample lacks is said to add up")
	}
	for unit, want := range map[string]string{"span.a.b-ns": "a.b", "span.start-of-go-ns": "start of Go", "span.dev-ns": "/dev", "span.credentials-capabilities-ns": "credentials & capabilities", "residual-ns": "residual", "total-ns": "", "span.-ns": "", "span.x-B": ""} {
		if name, ok := phaseName(unit); ok != (want != "") || ok && name != want {
			t.Errorf("%s is the phase %q", unit, name)
		}
	}
}

func TestCrowdsAndLoads(t *testing.T) {
	f := specimen.Startup(40)
	crowds := Crowds(f)
	if len(crowds) != 3 || crowds[0].Runtime != "isorun" || !crowds[0].Known || crowds[0].Knee.Workers != 2 || crowds[0].Rising() {
		t.Fatalf("crowds %+v", crowds)
	}
	loads := Loads(f)
	if len(loads) != 6 || loads[0].Percent != 50 || loads[2].Percent != 95 || loads[3].Runtime != "runc" {
		t.Fatalf("%d loads, %+v", len(loads), loads[0])
	}
	if far := loads[2].Farthest(0.9, 0.99, 0.999, 0.9999); far != 0.999 {
		t.Errorf("1,000 samples bear out %v", far)
	}
	if text := loads[2].Sentence(); !strings.Contains(text, "99.9 % of the starts") || !strings.Contains(text, "less)") {
		t.Errorf("the open loop says %q", text)
	}
	few := Load{Runtime: "x", Response: stats.NewTail([]float64{1, 2}), Service: stats.NewTail([]float64{1, 2})}
	if text := few.Sentence(); text != "" {
		t.Errorf("two samples say %q", text)
	}
}

func TestCrowdInWords(t *testing.T) {
	crowd := func(known bool, knee float64, per ...float64) Crowd {
		c := Crowd{Runtime: "r", Known: known}
		for i, p := range per {
			c.Rates = append(c.Rates, stats.Rate{Workers: float64(i + 1), PerSecond: p})
			if float64(i+1) == knee {
				c.Knee = c.Rates[i]
			}
		}
		return c
	}
	for _, c := range []struct {
		crowd Crowd
		want  string
	}{
		{crowd(false, 0, 5), "r: 5.00/s at best, with 1 at once; too few samples to state a knee."},
		{crowd(true, 3, 100, 190, 280), "r: 280/s at best, with 3 at once; it still rises there."},
		{crowd(true, 1, 1234, 1230), "r: 1,230/s at best, with 1 at once; the knee is at 1: more at once make no more starts."},
		{crowd(true, 2, 10, 20, 15), "r: 20.0/s at best, with 2 at once; that is the knee."},
		{crowd(true, 2, 10, 20, 20.1, 19), "r: 20.1/s at best, with 3 at once; the knee is at 2: beyond it no rate is higher by more than its range."},
	} {
		if got := c.crowd.Sentence(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestSmallWords(t *testing.T) {
	for x, want := range map[float64]string{0.834: "0.83x", 0.999: "1.0x", 2.44: "2.4x", 11.96: "12x", 3923: "3,920x", math.NaN(): "-"} {
		if got := Times(x); got != want {
			t.Errorf("Times(%v) = %q, want %q", x, got, want)
		}
	}
	for ns, want := range map[float64]string{1.72e6: "1.7 ms", 9.96e6: "10.0 ms", 24.5e6: "24.5 ms", 312e3: "312 us", 8.1e9: "8.1 s"} {
		if got := Brief(ns); got != want {
			t.Errorf("Brief(%v) = %q, want %q", ns, got, want)
		}
	}
	for f, want := range map[stats.Factor]string{
		{Lo: 0.97, Hi: 1.02}: "0.97 .. 1.02x", {Lo: 11.81, Hi: 12.3}: "11.8 .. 12.3x", {Lo: 3793, Hi: 4005}: "3,790 .. 4,010x",
		{Lo: 0, Hi: math.Inf(1)}: "-", {Lo: math.NaN(), Hi: math.NaN()}: "-",
	} {
		if got := Between(f); got != want {
			t.Errorf("Between(%+v) = %q, want %q", f, got, want)
		}
	}
	if got := And(Without([]string{"cgroup", "the host's kernel", "seccomp filter"})); got != "no cgroup, not the host's kernel and no seccomp filter" {
		t.Errorf("And(Without()) = %q", got)
	}
}
