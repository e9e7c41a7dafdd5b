package answer

import (
	"fmt"
	"math"
	"math/rand/v2"

	"isoperf/bench/sample"
)

// made builds result files whose figures look like those of a real machine,
// the same ones every time.
type made struct {
	file *sample.File
	rng  *rand.Rand
}

func newMade(config ...sample.Pair) *made {
	return &made{&sample.File{
		Path:        "./isoperf-clone-20261123T1447Z.txt",
		Config:      append([]sample.Pair{{Key: "goos", Value: "linux"}, {Key: "goarch", Value: "amd64"}, {Key: "kernel", Value: "6.18.44"}}, config...),
		Fingerprint: []byte(`{"version":"0.1.0","clock":"tsc","load1":0.2,"cpus":2,"privilege":"root"}`),
	}, rand.New(rand.NewPCG(11, 12))}
}

// add appends n samples; medians are ns by unit, in order: unit, median, ….
// The noise is log-normal, 3 % wide, with a long tail.
func (m *made) add(name string, n int, units []string, medians ...float64) {
	c := m.file.Case(name)
	if c == nil {
		c = &sample.Case{Name: name, Values: map[string][]float64{}}
		m.file.Cases = append(m.file.Cases, c)
	}
	c.Units = units
	for range n {
		noise := math.Exp(0.03 * m.rng.NormFloat64())
		if m.rng.IntN(50) == 0 {
			noise *= 3
		}
		for i, u := range units {
			c.Values[u] = append(c.Values[u], math.Round(medians[i]*noise))
		}
	}
}

// failed appends failures to a case.
func (m *made) failed(name, why string, n int) {
	c := m.file.Case(name)
	if c == nil {
		c = &sample.Case{Name: name, Values: map[string][]float64{}}
		m.file.Cases = append(m.file.Cases, c)
	}
	for range n {
		c.Failures = append(c.Failures, why)
	}
}

// What one machine showed: over the null case back to back, 50 ms apart, and
// from the last close to gone, in microseconds.
var flags = []struct {
	name               string
	burst, paced, gone float64
}{
	{"none", 0, 0, 0},
	{"user", 16, 21, 35},
	{"pid", 32, 44, 60},
	{"net", 469, 625, 9800},
	{"mnt", 47, 637, 700},
	{"uts", 9, 12, 20},
	{"ipc", 66, 80, 1100},
	{"cgroup", 11, 14, 22},
	{"time", 13, 15, 21},
	{"all", 1100, 1700, 10200},
}

var cloneUnits = []string{"clone-ns", "child-ns", "reap-ns"}

func (m *made) clone(mode string, fixed float64) {
	for _, f := range flags {
		burst, paced := fixed+f.burst*1e3, fixed*2.5+f.paced*1e3
		m.add(fmt.Sprintf("Clone/flag=%s/mode=%s/pacing=burst", f.name, mode), 200, cloneUnits, 0.8*burst, 0.85*burst, burst)
		m.add(fmt.Sprintf("Clone/flag=%s/mode=%s/pacing=paced", f.name, mode), 30, cloneUnits, 0.8*paced, 0.85*paced, paced)
	}
}

func (m *made) teardown() {
	for _, f := range flags[1:] {
		if f.name != "all" {
			m.add("Teardown/flag="+f.name, 20, []string{"exit-ns", "close-ns", "gone-ns"}, 9e3, 12e3, f.gone*1e3)
		}
	}
}

func (m *made) control() {
	m.add("Control/what=clock", 50, []string{"clock-ns"}, 24)
	m.add("Control/what=compute", 50, []string{"compute-ns"}, 1e6)
}

func (m *made) joining() {
	for _, f := range flags[1:9] {
		m.add("Unshare/flag="+f.name+"/pacing=burst", 100, []string{"unshare-ns"}, f.burst*0.9e3)
		m.add("Unshare/flag="+f.name+"/pacing=paced", 20, []string{"unshare-ns"}, f.paced*0.9e3)
		if f.name != "time" {
			m.add("Setns/flag="+f.name+"/pacing=burst", 100, []string{"setns-ns"}, 1500+f.burst*10)
		}
	}
}

func (m *made) sweeps() {
	for i, n := range []string{"1", "2", "4", "8", "16"} {
		for _, flag := range []string{"none", "net", "mnt"} {
			x := math.Pow(2, float64(i))
			m.add("SweepCreators/flag="+flag+"/n="+n, 40, []string{"reap-ns", "wall-ns"}, 24e3*x, 30e3)
		}
	}
	for i, n := range []string{"0", "1000", "10", "100"} {
		x := []float64{0, 1000, 10, 100}[i]
		m.add("SweepMounts/mounts="+n+"/flag=mnt", 40, []string{"clone-ns", "reap-ns"}, 40e3+350*x, 60e3+700*x)
		m.add("SweepNetns/live="+n+"/flag=net", 40, []string{"clone-ns", "reap-ns"}, 400e3+20*x, 470e3+20*x)
		m.add("SweepNetns/live="+n+"/holds=listener/flag=net", 40, []string{"clone-ns", "reap-ns"}, 400e3+300*x, 470e3+500*x)
	}
	for i, n := range []string{"1MiB", "16MiB", "64MiB", "256MiB", "1GiB"} {
		x := []float64{1, 16, 64, 256, 1024}[i]
		for _, mode := range []string{"vm", "fork", "os-exec"} {
			for _, flag := range []string{"none", "user"} {
				cost := 40e3
				if mode == "fork" || mode == "os-exec" && flag == "user" {
					cost += 47e3 * x
				}
				m.add("SweepMemory/memory="+n+"/mode="+mode+"/flag="+flag, 40, []string{"clone-ns", "reap-ns"}, cost*0.9, cost)
			}
		}
	}
	for i, gap := range []string{"0ms", "1ms", "5ms", "10ms", "20ms", "50ms"} {
		m.add("SweepGap/gap="+gap+"/flag=mnt", 40, []string{"reap-ns"}, []float64{70e3, 75e3, 80e3, 300e3, 690e3, 700e3}[i])
		m.add("SweepGap/gap="+gap+"/flag=uts", 40, []string{"reap-ns"}, []float64{33e3, 35e3, 37e3, 60e3, 70e3, 73e3}[i])
	}
}

func (m *made) engine() {
	for _, part := range []string{"locked-thread", "mask", "marks"} {
		m.add("Engine/part="+part, 60, []string{"op-ns"}, 310)
	}
}
