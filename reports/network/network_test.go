package network

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"isoperf/bench/sample"
	"isoperf/reports/table"

	"github.com/google/go-cmp/cmp"
)

// stream is a case's name without its family.
func stream(path, dir string, mtu int) string {
	at := ""
	if mtu != 0 {
		at = fmt.Sprintf("/mtu=%d", mtu)
	}
	return fmt.Sprintf("Network/path=%s/dir=%s%s/streams=1/ip=4", path, dir, at)
}

// made writes a result file by hand.
type made struct {
	text strings.Builder
	n    map[string]int
}

func newMade() *made { return &made{n: map[string]int{}} }

// proved adds samples of one unit, all of them proved.
func (m *made) proved(name, unit string, values ...string) *made {
	path := (&sample.Case{Name: name}).Param("path")
	for _, v := range values {
		fmt.Fprintf(&m.text, "Benchmark%s 1 %s %s\n# checked {\"case\":%q,\"sample\":%d,\"limit\":\"path\",\"asked\":%q}\n", name, v, unit, name, m.n[name], path)
		m.n[name]++
	}
	return m
}

func (m *made) line(format string, args ...any) *made {
	fmt.Fprintf(&m.text, format+"\n", args...)
	return m
}

func (m *made) file(t *testing.T) *sample.File {
	t.Helper()
	f, err := sample.Read("made.txt", strings.NewReader("goos: linux\n"+m.text.String()+"# end {\"why\":\"done\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// said is all that is said of a file.
func said(t *testing.T, f *sample.File) string {
	t.Helper()
	var b strings.Builder
	for _, one := range Findings(f) {
		fmt.Fprintf(&b, "%s\n  %s\n", one.Question, one.Answer)
	}
	for _, family := range Families() {
		for _, tab := range Tables(f, family) {
			b.WriteString("\n")
			if err := table.Plain(&b, tab); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.String()
}

func several(rate float64) (list []string) {
	for i := range 6 {
		list = append(list, fmt.Sprint(rate*(1+0.01*float64(i))))
	}
	return list
}

// awkward are files that nobody hopes for.
func awkward() map[string]*made {
	onePath := newMade().proved(stream("pasta", "out", 1500), "goodput-B/s", "3e7").proved(stream("pasta", "in", 1500), "goodput-B/s", "14e7")
	noBase := newMade()
	for i, path := range []string{"slirp4netns", "pasta"} {
		noBase.proved(stream(path, "out", 1500), "goodput-B/s", several(9e7-6e7*float64(i))...)
		noBase.proved(stream(path, "out", 65520), "goodput-B/s", several(6e8+15e8*float64(i))...)
	}
	failed := newMade()
	for _, path := range []string{"veth", "pasta"} {
		failed.line("# failed {\"case\":%q,\"why\":\"not proven: the MTU of eth0 is 1500, and not 9000\"}", stream(path, "out", 9000))
	}
	failed.line("# failed {\"case\":%q,\"why\":\"the path broke while it was measured: slirp4netns ended\"}", stream("slirp4netns", "out", 9000))
	odd := newMade().proved(stream("veth", "out", 1500), "goodput-B/s", "NaN", "2e9", "+Inf").proved(stream("pasta", "out", 1500), "goodput-B/s", "NaN").
		proved(stream("nat", "out", 1500), "goodput-B/s", "0").proved(stream("bridge", "out", 1500), "cpu-ns/B", "0.5")
	mixed := newMade()
	for _, ip := range []string{"4", "6"} {
		for _, streams := range []string{"1", "4"} {
			for path, rate := range map[string]float64{"veth": 2e9, "bridge": 1e9} {
				name := strings.NewReplacer("ip=4", "ip="+ip, "streams=1", "streams="+streams).Replace(stream(path, "out", 1500))
				if ip == "6" {
					rate /= 2
				}
				mixed.proved(name, "goodput-B/s", fmt.Sprint(rate))
			}
		}
	}
	doubted := newMade().line("Benchmark%s 1 2e9 goodput-B/s", stream("veth", "out", 1500)).
		line("Benchmark%s 1 1e9 goodput-B/s", stream("pasta", "out", 1500)).
		line("# checked {\"case\":%q,\"sample\":0,\"limit\":\"path\",\"asked\":\"pasta\",\"doubts\":[\"the host was busy\"]}", stream("pasta", "out", 1500)).
		line("Benchmark%s 1 1e9 goodput-B/s", stream("nat", "out", 1500)).
		line("# checked {\"case\":%q,\"sample\":0,\"limit\":\"path\",\"asked\":\"slirp4netns\"}", stream("nat", "out", 1500)).
		proved(stream("bridge", "out", 1500), "goodput-B/s", "5e8", "6e8").line("# failed {\"case\":%q,\"why\":\"not proven: link eth0 carried nothing\"}", stream("bridge", "out", 1500))
	names := newMade().proved("Network/path=warp/dir=sideways/mtu=many/streams=1/ip=4", "goodput-B/s", "1e9").proved("Network/path=pasta", "goodput-B/s", "1e9").
		proved("NetworkRTT/path=pasta/dir=out/mtu=1500/streams=1/rtt=soon/ip=4", "goodput-B/s", "1e9").proved("NetworkSetup/path=pasta/mtu=1500", "setup-ns", "2e7").
		proved("NetworkUDP/path=pasta/dir=out/mtu=1500/ip=4", "goodput-B/s", "1e8")
	resent, bridge := newMade(), "NetworkSetup/path=bridge/mtu=1500"
	for i, at := range [][2]string{{"1e6", "2e6"}, {"1e6", "1.002e9"}, {"1e9", "1.001e9"}, {"1e6", "2e6"}} { // the third is late as a whole
		resent.line("Benchmark%s 1 %s said-ns %s setup-ns", bridge, at[0], at[1]).line("# checked {\"case\":%q,\"sample\":%d,\"limit\":\"path\",\"asked\":\"bridge\"}", bridge, i)
	}
	return map[string]*made{"resent": resent, "one-path": onePath, "no-base": noBase, "failed": failed, "odd": odd, "mixed": mixed, "doubted": doubted, "names": names}
}

func TestAwkwardFiles(t *testing.T) {
	for name, m := range awkward() {
		t.Run(name, func(t *testing.T) {
			got := said(t, m.file(t))
			path := filepath.Join("testdata", name+".txt")
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("UPDATE=1 writes it anew; -want +got:\n%s", diff)
			}
			if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") {
				t.Errorf("what is no number is printed:\n%s", got)
			}
		})
	}
}

// A file without anything about networks has nothing to say.
func TestNothing(t *testing.T) {
	f, err := sample.Read("x", strings.NewReader("BenchmarkClone/flag=net 1 5 reap-ns\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := said(t, f); got != "" {
		t.Errorf("said %q", got)
	}
}

// A ratio is one of two cells of the same run, even where several were pooled.
func TestRatiosWithinARun(t *testing.T) {
	veth, pasta := stream("veth", "out", 1500), stream("pasta", "out", 1500)
	both := newMade().proved(veth, "goodput-B/s", "2e9", "2e9").proved(pasta, "goodput-B/s", "1e9", "1e9").file(t)
	twice := newMade().proved(veth, "goodput-B/s", "8e9").proved(pasta, "goodput-B/s", "4e9").file(t)
	alone := newMade().proved(pasta, "goodput-B/s", "1e6", "1e6", "1e6", "1e6").file(t)
	host := newMade().proved(veth, "goodput-B/s", "1e12").file(t)
	for _, c := range []struct {
		name  string
		runs  []*sample.File
		ratio string
	}{
		{"one", []*sample.File{both}, "2.0x"}, {"two", []*sample.File{both, twice}, "2.0x"}, {"a run without the base", []*sample.File{both, alone}, "2.0x"},
		{"a run with the base only", []*sample.File{host, both, alone}, "2.0x"}, {"never together", []*sample.File{host, alone}, "-"},
	} {
		v := Read(&sample.File{Runs: c.runs})
		if got := times(v.overHost(v.find(keyOf(&sample.Case{Name: pasta})))); got != c.ratio {
			t.Errorf("%s: %s, want %s", c.name, got, c.ratio)
		}
	}
}

func TestFlip(t *testing.T) {
	for _, c := range []struct {
		name                             string
		pastaLow, slirpLow, pasta, slirp float64
		few                              bool
		want                             string
	}{
		{"flips", 3e7, 9e7, 2e9, 6e8, false, "out: flips: MTU 1500 246 Mbit/s against 738 Mbit/s; MTU 65520"},
		{"flips by few", 3e7, 9e7, 2e9, 6e8, true, "out: flips, as far as so few samples say"},
		{"does not", 9e7, 3e7, 2e9, 6e8, false, "out: does not flip here"},
		{"equal", 9e7, 9e7, 2e9, 6e8, false, "out: too near to say"},
		{"few and near", 9e7, 10e7, 2e9, 6e8, true, "out: too near to say"},
	} {
		m := newMade()
		for i, v := range []float64{c.pastaLow, c.slirpLow, c.pasta, c.slirp} {
			values := several(v)
			if c.few {
				values = values[:1]
			}
			m.proved(stream([]string{"pasta", "slirp4netns"}[i%2], "out", []int{1500, 65520}[i/2]), "goodput-B/s", values...)
		}
		if got := Read(m.file(t)).flip(); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s; want %s", c.name, got, c.want)
		}
	}
}

// What stood still is said to, is chosen only where nothing else is there, and
// its CPU time is not told.
func TestStall(t *testing.T) {
	curve := func(name string, zero, steps int) string {
		var points []string
		for i := range steps {
			y := 1e9
			if i >= 2 && i < 2+zero {
				y = 0
			}
			points = append(points, fmt.Sprintf("[%d,%g]", (i+1)*50_000_000, y))
		}
		return fmt.Sprintf("# series {\"case\":%q,\"sample\":0,\"name\":%q,\"points\":[%s]}", name, Since, strings.Join(points, ","))
	}
	pasta, slirp := stream("pasta", "out", 1500), stream("slirp4netns", "out", 1500)
	for zero, want := range map[int]bool{0: false, 5: false, 6: true, 20: true} {
		f := newMade().proved(pasta, "goodput-B/s", "9e8").line("%s", curve(pasta, zero, 26)).proved(slirp, "goodput-B/s", "5e7").line("%s", curve(slirp, 0, 26)).file(t)
		v := Read(f)
		if got := v.find(keyOf(&sample.Case{Name: pasta})).Stalled(); got != want {
			t.Errorf("%d steps of 50 ms without a byte: stalled %v, want %v", zero, got, want)
		}
		best := choose(v.Of(Stream)).best.Path
		if want != (best == "slirp4netns") {
			t.Errorf("%d steps without a byte: %s is chosen", zero, best)
		}
	}
	far := strings.Replace(strings.Replace(pasta, "Network/", "NetworkRTT/", 1), "/ip", "/rtt=50ms/ip", 1)
	if c := Read(newMade().proved(far, "goodput-B/s", "9e6").line("%s", curve(far, 8, 26)).file(t)).Of(Distance)[0]; c.Stalled() {
		t.Error("400 ms without a byte is a stall over a round trip of 50 ms")
	}
}

func TestLinks(t *testing.T) {
	for rate, want := range map[float64][2]string{
		1e8: {"none", ">= 1"}, 1.18e8: {"1", ">= 10"}, 1e9: {"1", ">= 10"}, 1.3e9: {"10", ">= 25"}, 3e9: {"25", ">= 40"}, 5e9: {"40", "> 40"},
	} {
		if a, b := fills(rate), mattersOn(rate); a != want[0] || b != want[1] {
			t.Errorf("%g B/s fills %s, matters on %s; want %q", rate, a, b, want)
		}
	}
}

func TestCeiling(t *testing.T) {
	if got := table.Bits(Ceiling(1e6)); got != "524 Mbit/s" {
		t.Errorf("a window at 1 ms allows %s, want 524 Mbit/s", got)
	}
}

// A gigabit is 1.25e8 bytes: 8 ns a byte are one CPU second.
func TestPerGigabit(t *testing.T) {
	name := stream("veth", "out", 1500)
	f := newMade().line("Benchmark%s 1 8 cpu-ns/B 1e9 goodput-B/s", name).line("# checked {\"case\":%q,\"sample\":0,\"limit\":\"path\",\"asked\":\"veth\"}", name).file(t)
	if got := Read(f).Of(Stream)[0].PerGigabit("cpu-ns/B"); got != 1e9 {
		t.Errorf("%g ns for a gigabit, want 1 s", got)
	}
}
