// Package specimen makes result files for the tests of the reports: every
// family, with samples that look like those of a small virtual machine (a
// steep left side, a long right tail, a stray slow one). The figures are
// invented, and the same each time.
//
//	seed ──► draw: log-normal with a tail ──► File ──► tests of plot and page
package specimen

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"isoperf/bench/sample"
)

// us is a microsecond in the unit of the samples.
const us = 1e3

// price is what a flag adds to a clone, in microseconds.
type price struct {
	flag                string
	burst, paced        float64
	unshare, setns      float64
	exit, closing, gone float64
}

func prices() []price {
	return []price{
		{"none", 0, 0, 0, 0, 0, 0, 0},
		{"user", 15, 21, 14, 6, 22, 9, 35},
		{"pid", 30, 44, 12, 1.1, 31, 4, 60},
		{"net", 470, 625, 455, 1.4, 41, 6, 9800},
		{"mnt", 50, 640, 46, 3.2, 36, 52, 700},
		{"uts", 8, 12, 4, 0.9, 19, 2.2, 20},
		{"ipc", 66, 80, 60, 1.3, 27, 5, 1100},
		{"cgroup", 10, 14, 5, 1.0, 20, 2.6, 22},
		{"time", 12, 15, 6, 0, 20, 2.4, 21},
		{"all-but-user", 690, 1450, 0, 0, 60, 80, 10100},
		{"all", 1040, 1700, 0, 0, 64, 85, 10200},
	}
}

// maker fills one file.
type maker struct {
	file *sample.File
	n    int // samples of a case
}

// File is a result file with every family and n samples of each case.
func File(n int) *sample.File {
	m := &maker{n: n, file: header()}
	m.clone()
	m.enter()
	m.sweeps()
	m.memory()
	m.pace()
	m.mounts()
	m.attach()
	m.engine()
	m.file.NotMeasured = append(m.file.NotMeasured,
		sample.Note{Case: "Setns/flag=time/pacing=burst", Why: "setns(time) refuses a process with more than one thread (EUSERS)"})
	return m.file
}

// Only is a file with the cases of some families alone.
func Only(n int, families ...string) *sample.File {
	f := File(n)
	all := f.Cases
	f.Cases, f.NotMeasured = nil, nil
	for _, family := range families {
		for _, c := range all {
			if c.Family() == family {
				f.Cases = append(f.Cases, c)
			}
		}
	}
	return f
}

func header() *sample.File {
	f := &sample.File{Path: "specimen.txt"}
	for _, p := range [][2]string{
		{"goos", "linux"}, {"goarch", "amd64"}, {"kernel", "6.18.44"}, {"cpu", "AMD EPYC 7B13"},
		{"cgroup", "hybrid"}, {"virt", "kvm"}, {"privilege", "root"}, {"host", "specimen"},
	} {
		f.Config = append(f.Config, sample.Pair{Key: p[0], Value: p[1]})
	}
	f.Fingerprint = []byte(`{"version":"v0.1.0","commit":"0123abcd","start":"2026-11-23T14:47:00Z","load1":0.21,"clock":{"source":"tsc","ns":30.5},"cpus":2,"mounts":20}`)
	return f
}

// put draws samples around median (ns) into the unit of the case.
func (m *maker) put(name, unit string, median, spread float64) {
	c := m.file.Case(name)
	if c == nil {
		c = &sample.Case{Name: name, Values: map[string][]float64{}}
		m.file.Cases = append(m.file.Cases, c)
	}
	h := fnv.New64a()
	fmt.Fprint(h, name, unit)
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	c.Units = append(c.Units, unit)
	for range m.n {
		v := median * math.Exp(spread*math.Abs(r.NormFloat64())-0.67*spread)
		switch p := r.Float64(); {
		case p < 0.004:
			v *= 6
		case p < 0.05:
			v *= 1.5 + r.Float64()
		}
		c.Values[unit] = append(c.Values[unit], math.Round(v))
	}
}

// putRuns is put for what a run of ten samples or more has one of.
func (m *maker) putRuns(name, unit string, median, spread float64) {
	m.put(name, unit, median, spread)
	values := m.file.Case(name).Values
	values[unit] = values[unit][:min(m.n, max(8, m.n/10))]
}

func (m *maker) clone() {
	for _, p := range prices() {
		for _, mode := range []string{"vm", "fork", "stub"} {
			for _, pacing := range []string{"burst", "paced"} {
				base, add, spread := 60.0, p.burst, 0.08
				if pacing == "paced" {
					base, add, spread = 148, p.paced, 0.16
				}
				base += map[string]float64{"vm": 0, "fork": 95, "stub": 62}[mode]
				name := fmt.Sprintf("Clone/flag=%s/mode=%s/pacing=%s", p.flag, mode, pacing)
				m.put(name, "clone-ns", (base*0.45+add*0.9)*us, spread)
				m.put(name, "child-ns", (base*0.55+add*0.92)*us, spread)
				m.put(name, "reap-ns", (base+add)*us, spread)
			}
		}
	}
	m.file.Case("Clone/flag=net/mode=vm/pacing=burst").Failures = []string{"clone3: no space left on device"}
}

func (m *maker) enter() {
	for _, p := range prices() {
		for i, pacing := range []string{"burst", "paced"} {
			slower := []float64{1, 2.1}[i]
			if p.unshare > 0 {
				m.put(fmt.Sprintf("Unshare/flag=%s/pacing=%s", p.flag, pacing), "unshare-ns", p.unshare*slower*us, 0.1)
			}
			if p.setns > 0 {
				m.put(fmt.Sprintf("Setns/flag=%s/pacing=%s", p.flag, pacing), "setns-ns", p.setns*slower*us, 0.1)
			}
		}
		if p.gone > 0 {
			name := "Teardown/flag=" + p.flag
			m.put(name, "exit-ns", p.exit*us, 0.1)
			m.put(name, "close-ns", p.closing*us, 0.1)
			m.put(name, "gone-ns", p.gone*us, 0.25)
		}
	}
}

func (m *maker) sweeps() {
	for _, mounts := range []int{10, 30, 100, 300, 1000, 3000} {
		name := fmt.Sprintf("SweepMounts/mounts=%d/flag=mnt", mounts)
		m.put(name, "clone-ns", (70+0.31*float64(mounts))*us, 0.06)
		m.put(name, "reap-ns", (110+0.42*float64(mounts))*us, 0.06)
	}
	for _, live := range []int{0, 10, 30, 100, 300, 1000} {
		name := fmt.Sprintf("SweepNetns/live=%d/flag=net", live)
		m.put(name, "clone-ns", (470+0.05*float64(live))*us, 0.05)
		m.put(name, "reap-ns", (530+0.4*float64(live))*us, 0.05)
		name = fmt.Sprintf("SweepNetns/live=%d/holds=listener/flag=net", live)
		m.put(name, "clone-ns", (470+0.4*float64(live))*us, 0.05)
		m.put(name, "reap-ns", (530+0.9*float64(live))*us, 0.05)
	}
}

func (m *maker) memory() {
	for i, memory := range []string{"1MiB", "8MiB", "64MiB", "256MiB", "1GiB"} {
		mib := []float64{1, 8, 64, 256, 1024}[i]
		for _, flag := range []string{"none", "user"} {
			extra := map[string]float64{"none": 0, "user": 15}[flag]
			for _, mode := range []string{"vm", "fork", "os-exec"} {
				t := 60 + extra
				switch {
				case mode == "fork":
					t = 150 + extra + 25*mib
				case mode == "os-exec" && flag == "user":
					t = 600 + 48*mib
				case mode == "os-exec":
					t = 200
				}
				name := fmt.Sprintf("SweepMemory/memory=%s/mode=%s/flag=%s", memory, mode, flag)
				m.put(name, "clone-ns", 0.6*t*us, 0.07)
				m.put(name, "reap-ns", t*us, 0.07)
			}
		}
	}
}

func (m *maker) pace() {
	for i, gap := range []string{"0s", "1ms", "2ms", "5ms", "10ms", "20ms", "50ms", "100ms", "200ms"} {
		part := []float64{0, 0.04, 0.1, 0.35, 0.75, 0.95, 1, 1.02, 1.05}[i]
		for _, p := range prices() {
			if p.flag == "none" || p.flag == "mnt" || p.flag == "net" || p.flag == "user" {
				t := 60 + p.burst + part*(88+p.paced-p.burst)
				m.put(fmt.Sprintf("SweepGap/gap=%s/flag=%s", gap, p.flag), "reap-ns", t*us, 0.12)
			}
		}
	}
	for _, n := range []float64{1, 2, 4, 8, 16} {
		for _, p := range prices() {
			if p.flag == "none" || p.flag == "mnt" || p.flag == "net" || p.flag == "user" {
				one := 60 + p.burst
				wall := one / math.Min(n, 2)
				if p.flag == "net" {
					wall = one / math.Min(n, 1.3) * (1 + 0.02*n)
				}
				name := fmt.Sprintf("SweepCreators/flag=%s/n=%.0f", p.flag, n)
				m.put(name, "reap-ns", wall*n*us, 0.2)
				m.putRuns(name, "wall-ns", wall*us, 0.05)
			}
		}
	}
}

func (m *maker) engine() {
	for _, part := range []struct {
		name string
		ns   float64
	}{{"build", 1800}, {"load", 420}, {"mask", 390}, {"pidfd", 2100}, {"launch", 9500}, {"collect", 120}} {
		m.put("Engine/part="+part.name, "op-ns", part.ns, 0.04)
	}
	m.put("Control/what=clock", "clock-ns", 31, 0.02)
	m.put("Control/what=compute", "compute-ns", 1.02e6, 0.01)
}
