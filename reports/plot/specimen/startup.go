package specimen

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"isoperf/bench/sample"
)

// ms is a millisecond, mib a mebibyte, in the unit of the samples.
const (
	ms  = 1e6
	mib = 1 << 20
)

// starter is a runtime and what a start of it takes.
type starter struct {
	name, version             string
	ready, total, user, sys   float64 // ms
	peak                      float64 // MiB; 0 is not known
	spread                    float64
	share                     float64 // of the samples of others, for slow ones
	lacks, adds, made, remark []string
}

func starters() []starter {
	most := []string{"mount namespace", "pid namespace", "network namespace", "ipc namespace", "uts namespace", "cgroup", "seccomp filter"}
	full := []string{"pid namespace", "network namespace", "mounts 12", "cgroup", "seccomp filter"}
	host := []string{"ready is stamped by the host when the payload's bytes arrive"}
	return []starter{
		{name: "isorun", version: "isorun 0.1.0", ready: 1.72, total: 2.05, user: 0.9, sys: 1.6, peak: 7.9, spread: 0.05, share: 1, made: full},
		{name: "isoperf-run", version: "isoperf 0.1.0", ready: 3.6, total: 4.1, user: 2.3, sys: 2.2, peak: 14.2, spread: 0.05, share: 1, made: full},
		{name: "library", version: "isorun 0.1.0", ready: 0.81, total: 1.06, user: 0.2, sys: 0.8, spread: 0.06, share: 1, made: full, remark: []string{"the peak is that of the process that stays, so it is not shown"}},
		{name: "runc", version: "runc 1.1.5", ready: 21.4, total: 24.6, user: 14, sys: 16, peak: 19, spread: 0.09, share: 1, made: full},
		{name: "crun", version: "crun 1.8.1", ready: 4.1, total: 4.95, user: 1.1, sys: 3.2, peak: 3.1, spread: 0.07, share: 1, made: full},
		{name: "youki", version: "youki 0.5.4", ready: 8.9, total: 10.4, user: 2.9, sys: 5.6, peak: 8.8, spread: 0.07, share: 1, made: full},
		{name: "bwrap", version: "bubblewrap 0.8.0", ready: 1.51, total: 1.71, user: 0.3, sys: 1.3, peak: 2.3, spread: 0.06, share: 1, lacks: []string{"cgroup", "seccomp filter"}, adds: []string{"no-new-privileges"}},
		{name: "unshare", version: "util-linux 2.38.1", ready: 1.29, total: 1.48, user: 0.3, sys: 1.1, peak: 2, spread: 0.06, share: 1, lacks: []string{"cgroup", "seccomp filter", "masked paths", "dropped capabilities"}},
		{name: "systemd-nspawn", version: "systemd 252", ready: 61, total: 118, user: 19, sys: 33, peak: 11.8, spread: 0.1, share: 0.5, lacks: []string{"the bundle's seccomp filter"}, adds: []string{"a registered machine"}},
		{name: "lxc", version: "lxc 5.0.2", ready: 44, total: 72, user: 8, sys: 29, peak: 6.4, spread: 0.12, share: 0.5, lacks: []string{"masked paths"}},
		{name: "firejail", version: "firejail 0.9.72", ready: 38, total: 46, user: 9, sys: 31, peak: 5.2, spread: 0.1, share: 0.5, lacks: []string{"network namespace", "cgroup", "rootfs of the bundle"}},
		{name: "runsc", version: "runsc 20260622.0", ready: 141, total: 187, user: 96, sys: 88, peak: 62, spread: 0.12, share: 0.3},
		{name: "podman-crun", version: "podman 4.3.1", ready: 162, total: 310, user: 121, sys: 144, peak: 48, spread: 0.1, share: 0.3},
		{name: "qemu-tcg", version: "qemu 7.2.22", ready: 7100, total: 8050, user: 7600, sys: 610, peak: 318, spread: 0.03, share: 0.1, lacks: []string{"the host's kernel"}, adds: []string{"a kernel of its own"}, remark: host},
		{name: "fork-exec", ready: 0.33, total: 0.41, user: 0.1, sys: 0.3, peak: 0.4, spread: 0.08, share: 1, lacks: most},
	}
}

// variants are what a bundle asks for besides the usual, and what that takes
// isorun and others more, in ms.
func variants() []struct {
	with       string
	own, other float64
} {
	return []struct {
		with       string
		own, other float64
	}{
		{"seccomp", 0.09, 0.6}, {"limits", 0.21, 0.9}, {"host-net", -0.52, -0.6},
		{"bare", -0.98, -1.2}, {"rootless", 0.74, 1.9}, {"cold", 6.3, 41},
	}
}

// drifted is what a start takes more, in ms, when the variants are measured than
// when the plain starts are.
const drifted = 0.3

// Startup is a result file of starts: 15 runtimes from 0.4 ms to 8 s, two that
// cannot be measured, n samples of the quick ones, phases, starts at once and
// an open loop.
func Startup(n int) *sample.File {
	m := &maker{n: n, file: header()}
	for _, s := range starters() {
		m.started("Startup", s, "usual", "burst", 0)
		m.started("Startup", s, "usual", "paced", 0.25*s.total)
		if s.name == "isorun" || s.name == "runc" || s.name == "crun" {
			m.started("StartupVariants", s, "usual", "burst", drifted)
			for _, v := range variants() {
				extra := v.other
				if s.name == "isorun" {
					extra = v.own
				}
				m.started("StartupVariants", s, v.with, "burst", extra+drifted)
			}
		}
	}
	m.phases("usual", 0)
	m.phases("seccomp", 0.09)
	for _, name := range []string{"isorun", "crun", "runc"} {
		m.atOnce(name)
	}
	for _, name := range []string{"isorun", "runc"} {
		for _, load := range []int{50, 80, 95} {
			m.open(name, load)
		}
	}
	m.file.NotMeasured = []sample.Note{
		{Case: "Startup/runtime=docker/with=usual/pacing=burst", Why: "the daemon does not answer (is dockerd running?)"},
		{Case: "Startup/runtime=docker/with=usual/pacing=paced", Why: "the daemon does not answer (is dockerd running?)"},
		{Case: "Startup/runtime=qemu-kvm/with=usual/pacing=burst", Why: "/dev/kvm is missing: this machine is a VM without nested virtualisation"},
		{Case: "StartupVariants/runtime=runc/with=rootless/pacing=burst", Why: "runc hung: ended after 10 s"},
	}
	m.put("Control/what=clock", "clock-ns", 31, 0.02)
	m.put("Control/what=compute", "compute-ns", 1.02e6, 0.01)
	return m.file
}

// Versions is a run of a user who compares two runtimes of his own, with a
// command, so that nothing stamps its first instruction.
func Versions(n int) *sample.File {
	m := &maker{n: n, file: header()}
	for _, s := range []starter{
		{name: "runc-1.4.0", version: "runc 1.4.0", total: 31, user: 17, sys: 19, peak: 19, spread: 0.09, share: 1},
		{name: "runc-1.5.2", version: "runc 1.5.2", total: 26, user: 14, sys: 16, peak: 19, spread: 0.09, share: 1, lacks: []string{"cgroup"}},
	} {
		m.started("Startup", s, "command", "burst", 0)
	}
	return m.file
}

func seeded(words ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, words...)
	return rand.New(rand.NewPCG(h.Sum64(), 2))
}

// noise is around 1, steep on the left, with a long tail.
func noise(r *rand.Rand, spread float64) float64 {
	v := math.Exp(spread*math.Abs(r.NormFloat64()) - 0.67*spread)
	switch p := r.Float64(); {
	case p < 0.006:
		return v * 4
	case p < 0.05:
		return v * (1.2 + r.Float64()/2)
	}
	return v
}

func (m *maker) add(name string, units []string, values ...float64) {
	c := m.file.Case(name)
	if c == nil {
		c = &sample.Case{Name: name, Units: units, Values: map[string][]float64{}}
		m.file.Cases = append(m.file.Cases, c)
	}
	for i, unit := range units {
		c.Values[unit] = append(c.Values[unit], math.Round(values[i]))
	}
}

// started are the samples of one runtime.
func (m *maker) started(family string, s starter, with, pacing string, extra float64) {
	name := fmt.Sprintf("%s/runtime=%s/with=%s/pacing=%s", family, s.name, with, pacing)
	r := seeded(name)
	for range max(5, int(float64(m.n)*s.share)) {
		// What a start takes is slow or quick as a whole.
		x, own := noise(r, s.spread), math.Exp(0.02*r.NormFloat64())
		var units []string
		var values []float64
		put := func(unit string, v float64) { units, values = append(units, unit), append(values, v) }
		if s.ready > 0 {
			put("ready-ns", (s.ready+extra*0.9)*ms*x*own)
		}
		put("total-ns", (s.total+extra)*ms*x)
		put("user-ns", s.user*ms*x)
		put("sys-ns", (s.sys+0.4*extra)*ms*x*own)
		if s.peak > 0 {
			put("peak-B", math.Round(s.peak*mib/4096+3*r.Float64())*4096)
		}
		m.add(name, units, values...)
	}
	m.file.Observed = append(m.file.Observed, sample.Observed{
		Looked: true,
		Case:   name, Version: s.version, Made: s.made, Lacks: s.lacks, Adds: s.adds, Notes: s.remark,
	})
}

// phases are the parts of isorun's own start; they sum to the whole.
func (m *maker) phases(with string, seccomp float64) {
	name := "StartupSpans/runtime=isorun/with=" + with + "/pacing=burst"
	r := seeded(name)
	parts := []struct {
		name string
		ms   float64
	}{
		{"clone-exec", 0.21}, {"go-start", 0.43}, {"config", 0.09}, {"plan", 0.06}, {"child", 0.12},
		{"namespaces", 0.38}, {"mounts", 0.24}, {"pivot", 0.03}, {"privilege", 0.05 + seccomp}, {"execve", 0.13},
		{"payload", 0.02}, {"exit", 0.28},
	}
	for range m.n {
		x := noise(r, 0.05)
		units, values := []string{"ready-ns", "total-ns"}, []float64{0, 0}
		total := 0.0
		for _, p := range parts {
			v := math.Round(p.ms * ms * x * math.Exp(0.08*r.NormFloat64()))
			total += v
			if p.name == "execve" {
				values[0] = total
			}
			units, values = append(units, "span."+p.name+"-ns"), append(values, v)
		}
		residual := math.Round(total * 0.004 * r.Float64())
		values[1] = total + residual
		m.add(name, append(units, "residual-ns", "plain-ns"), append(values, residual, math.Round(values[1]*(0.97+0.06*r.Float64())))...)
	}
}

// atOnce is the closed loop: two CPUs, and what is shared in the kernel.
func (m *maker) atOnce(name string) {
	s := starterOf(name)
	for n := 1.0; n <= 4; n++ {
		label := fmt.Sprintf("StartupAtOnce/runtime=%s/n=%.0f", name, n)
		r := seeded(label)
		busy := s.total / math.Min(n, 2) * (1 + 0.04*(n-1))
		for range max(8, m.n/2) {
			m.add(label, []string{"wall-ns", "total-ns"}, busy*ms*noise(r, 0.04), busy*n*ms*noise(r, 0.1))
		}
	}
}

// open is the open loop: starts are due at random times, two of them run at
// once, and who is due while both are busy waits.
func (m *maker) open(name string, load int) {
	s := starterOf(name)
	label := fmt.Sprintf("StartupOpen/runtime=%s/load=%d", name, load)
	r := seeded(label)
	between := s.total * 1.04 / 2 * ms / (float64(load) / 100)
	free := []float64{0, 0}
	due := 0.0
	for range 25 * m.n {
		due += between * r.ExpFloat64()
		slices.SortFunc(free, cmp.Compare)
		begun := math.Max(due, free[0])
		takes := s.total * ms * noise(r, 0.1)
		free[0] = begun + takes
		m.add(label, []string{"response-ns", "late-ns", "total-ns"}, begun-due+takes, begun-due, takes)
	}
}

func starterOf(name string) starter {
	for _, s := range starters() {
		if s.name == name {
			return s
		}
	}
	panic("no runtime " + name)
}
