package specimen

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"isoperf/bench/sample"
)

// gbit is 10^9 bits per second, in bytes per second.
const gbit = 1.25e8

// way is a path and what it carries: Gbit/s out of the container and in, at MTU
// 1500, 9000 and 65520; CPU nanoseconds per byte of sender, receiver, translator
// and soft interrupts at 1500; and so on.
type way struct {
	path                      string
	out, in                   [3]float64
	cpu                       [4]float64
	answer, connect           float64 // us
	udp                       float64 // Gbit/s at 1500
	process, link, v4, v6, up float64 // ms from the beginning; 0: not seen
	said, gone                float64
	memory                    float64 // MiB
	window                    bool    // TCP without window scaling
}

func ways() []way {
	return []way{
		{path: "loopback", out: [3]float64{0: 24}, in: [3]float64{0: 23}, cpu: [4]float64{0.33, 0.13, 0, 0.1}, answer: 18, connect: 55, udp: 4.1},
		{path: "veth", out: [3]float64{17.5, 20, 23.5}, in: [3]float64{18.1, 20.2, 23.1}, cpu: [4]float64{0.41, 0.16, 0, 0.18}, answer: 21, connect: 62, udp: 3.2},
		{path: "bridge", out: [3]float64{16.1, 19, 23}, in: [3]float64{15.5, 18.8, 22.5}, cpu: [4]float64{0.43, 0.2, 0, 0.24}, answer: 24, connect: 70, udp: 2.8, link: 1.2, v4: 1.4, v6: 1.5, said: 1.6, up: 2.1, gone: 11},
		{path: "nat", out: [3]float64{15, 18.2, 22.4}, in: [3]float64{12.8, 18, 22.2}, cpu: [4]float64{0.47, 0.23, 0, 0.3}, answer: 27, connect: 83, udp: 2.3, link: 2.2, v4: 2.5, said: 9.5, up: 10.1, gone: 23},
		{path: "slirp4netns", out: [3]float64{0.62, 2.6, 5.5}, in: [3]float64{2.05, 3.3, 4.5}, cpu: [4]float64{0.31, 3.4, 12.9, 4.7}, answer: 74, connect: 310, udp: 0.42, process: 1.9, link: 14, v4: 14.2, said: 15, up: 15.6, gone: 4.2, memory: 5.2, window: true},
		{path: "pasta", out: [3]float64{0.24, 3.1, 17.2}, in: [3]float64{1.13, 5.1, 11.6}, cpu: [4]float64{0.21, 1.9, 7.1, 0.6}, answer: 52, connect: 190, udp: 0.61, process: 2.1, link: 21, v4: 21.4, v6: 1230, said: 24, up: 24.7, gone: 6.1, memory: 38},
		{path: "nat-port", out: [3]float64{14.2, 18, 22}, in: [3]float64{12.1, 17.4, 22}, cpu: [4]float64{0.48, 0.25, 0, 0.31}, answer: 28, connect: 85},
		{path: "slirp4netns-port", out: [3]float64{0.6, 2.5, 5.2}, in: [3]float64{1.9, 3.1, 4.2}, cpu: [4]float64{0.3, 3.2, 12.1, 4.4}, answer: 81, connect: 340},
		{path: "pasta-port", out: [3]float64{0.25, 3.2, 15.1}, in: [3]float64{1.18, 5.2, 10.3}, cpu: [4]float64{0.22, 1.9, 6.9, 0.7}, answer: 55, connect: 200},
		{path: "pasta-local", out: [3]float64{0: 15.6}, in: [3]float64{0: 17.3}, cpu: [4]float64{0.24, 0.19, 0.28, 0.23}, answer: 31, connect: 120},
	}
}

// own says whether a path has an MTU of its own only.
func (w way) own() bool { return w.path == "loopback" || w.path == "pasta-local" }

// mtus are those of a path, with their places in its figures.
func (w way) mtus() []int {
	if w.own() {
		return []int{0}
	}
	return []int{1500, 9000, 65520}
}

// wire writes the samples of networks.
type wire struct {
	f *sample.File
	n int
}

// Network is a run of all families of networks, with n samples of each case.
func Network(n int) *sample.File {
	w := wire{&sample.File{
		Path:        "network.txt",
		Config:      []sample.Pair{{Key: "goos", Value: "linux"}, {Key: "cpu", Value: "AMD EPYC"}, {Key: "kernel", Value: "6.18.44"}, {Key: "virt", Value: "kvm"}, {Key: "privilege", Value: "root"}},
		Fingerprint: []byte(`{"version":"v0.1.0","load1":0.2,"cpus":2}`), End: sample.Ending{Why: "done"},
	}, n}
	for _, p := range ways() {
		w.streams(p)
	}
	for _, p := range ways() {
		w.calls(p)
	}
	w.sends()
	w.f.NotMeasured = append(w.f.NotMeasured, sample.Note{Case: "Network/path=nat/dir=out/mtu=1500/streams=1/ip=6", Why: "the runtime gives a container on bridge no IPv6 address"})
	return w.f
}

// add appends the samples of a case, all of them proved; medians by unit, in
// order.
func (w wire) add(name, path string, units []string, medians ...float64) {
	c := &sample.Case{Name: name, Units: units, Values: map[string][]float64{}}
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(h.Sum64(), 7))
	for i := range w.n {
		noise := math.Exp(0.03 * r.NormFloat64())
		for k, unit := range units {
			v := medians[k] * noise
			if unit == "goodput-B/s" {
				v = medians[k] / noise
			}
			c.Values[unit] = append(c.Values[unit], round(v))
		}
		w.f.Checked = append(w.f.Checked, sample.Checked{Case: name, Sample: i, Limit: "path", Asked: path, Read: "198.51.100.9 dev eth0", Facts: map[string]string{"mss": "1448"}})
	}
	w.f.Cases = append(w.f.Cases, c)
}

// round keeps five significant digits.
func round(v float64) float64 {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 5, 64), 64)
	return v
}

// curve appends a series to the first sample of a case.
func (w wire) curve(name, what, x, y string, points [][2]float64) {
	w.f.Series = append(w.f.Series, sample.Series{Case: name, Name: what, X: x, Y: y, Points: points})
}

func (w wire) streams(p way) {
	units := []string{"sender-ns/B", "receiver-ns/B", "translator-ns/B", "softirq-ns/B", "cpu-ns/B", "retransmits-count", "goodput-B/s"}
	for i, mtu := range p.mtus() {
		for _, dir := range []string{"out", "in"} {
			rate := p.out[i]
			if dir == "in" {
				rate = p.in[i]
			}
			less := math.Pow(float64(i+1), -1.2)
			cpu := []float64{p.cpu[0], p.cpu[1] * less, p.cpu[2] * less * less, p.cpu[3] * less}
			all := append(slices.Clone(cpu), cpu[0]+cpu[1]+cpu[2], 12)
			mine := units
			if cpu[2] == 0 {
				mine, all = slices.Delete(slices.Clone(units), 2, 3), slices.Delete(all, 2, 3)
			}
			name := fmt.Sprintf("Network/path=%s/dir=%s", p.path, dir)
			if mtu != 0 {
				name += fmt.Sprintf("/mtu=%d", mtu)
			}
			name += "/streams=1/ip=4"
			w.add(name, p.path, mine, append(all, rate*gbit)...)
			w.curve(name, "bytes per second since the start", "ns", "B/s", start(rate*gbit, p.path == "pasta" && mtu == 65520))
			if mtu == 1500 && slices.Contains([]string{"veth", "slirp4netns", "pasta"}, p.path) {
				w.distance(p, dir, rate)
			}
		}
	}
	if p.path == "loopback" || p.path == "veth" {
		mtu := "/mtu=1500"
		if p.own() {
			mtu = ""
		}
		w.add("Network/path="+p.path+"/dir=out"+mtu+"/streams=1/ip=6", p.path, []string{"cpu-ns/B", "goodput-B/s"}, 0.6, 0.96*p.out[0]*gbit)
	}
}

// start is a curve of bytes per second; a slow one takes 400 ms to grow.
func start(rate float64, slow bool) (points [][2]float64) {
	for i := range 26 {
		y := rate * (1 + 0.05*math.Sin(float64(i)))
		if slow {
			y *= math.Min(1, float64(i*i)/64)
		}
		points = append(points, [2]float64{float64(i+1) * 50e6, round(y)})
	}
	return points
}

func (w wire) distance(p way, dir string, rate float64) {
	for _, rtt := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond} {
		v := math.Min(rate*gbit, 6e6/math.Max(rtt.Seconds(), 1e-4))
		if p.window && rtt > 0 {
			v = math.Min(v, 0.9*65535/rtt.Seconds())
		}
		w.add(fmt.Sprintf("NetworkRTT/path=%s/dir=%s/mtu=1500/streams=1/rtt=%s/ip=4", p.path, dir, rtt), p.path, []string{"cpu-ns/B", "goodput-B/s"}, 1, v)
	}
}

func (w wire) calls(p way) {
	at := fmt.Sprintf("/path=%s", p.path)
	if !p.own() {
		at += "/mtu=1500"
	}
	name := "NetworkRequest" + at + "/ip=4"
	a := p.answer * us
	w.add(name, p.path, []string{"late-count", "unanswered-count", "cpu-ns", "rr-p999-ns", "rr-p99-ns", "rr-p90-ns", "rr-ns"}, 0, 0, a/2, 9*a, 3*a, 1.4*a, a)
	var points [][2]float64
	for q := 0.0; q < 1; q += 0.02 {
		points = append(points, [2]float64{round(a * (0.8 + 0.1*q + 0.12*-math.Log(1-q))), round(q)})
	}
	w.curve(name, "latency", "ns", "ratio", points)
	c := p.connect * us
	w.add("NetworkConnect"+at+"/ip=4", p.path, []string{"connect-ns", "crr-p99-ns", "crr-ns"}, 0.4*c, 2.5*c, c)
	if p.udp > 0 {
		dir := "/dir=out"
		if !p.own() {
			dir += "/mtu=1500"
		}
		w.add("NetworkUDP/path="+p.path+dir+"/ip=4", p.path, []string{"size-B", "loss-ratio", "overflow-count", "cpu-ns", "goodput-B/s"}, 1472, 0.003, 0, 900/p.udp, p.udp*gbit)
	}
	if p.up > 0 {
		w.setup(p)
	}
}

func (w wire) setup(p way) {
	var units []string
	var medians []float64
	for _, e := range []struct {
		unit string
		at   float64
	}{{"process-ns", p.process * ms}, {"link-ns", p.link * ms}, {"address-ns", p.v4 * ms}, {"address6-ns", p.v6 * ms}, {"translator-B", p.memory * mib}, {"teardown-ns", p.gone * ms}, {"said-ns", p.said * ms}, {"setup-ns", p.up * ms}} {
		if e.at > 0 {
			units, medians = append(units, e.unit), append(medians, e.at)
		}
	}
	w.add("NetworkSetup/path="+p.path+"/mtu=1500", p.path, units, medians...)
}

// sends are the ways to send and to receive.
func (w wire) sends() {
	for _, path := range []string{"loopback", "veth"} {
		for i, send := range []string{"write", "sendfile", "zerocopy", "splice"} {
			for k, receive := range []string{"read", "trunc", "splice"} {
				rate := (20 + 2*float64(i) - float64(i*i)) * (1 + 0.4*float64(k%2))
				name := fmt.Sprintf("NetworkSend/send=%s/receive=%s/path=%s", send, receive, path)
				w.add(name, path, []string{"sender-ns/B", "receiver-ns/B", "cpu-ns/B", "goodput-B/s"}, 0.3, 0.1, 0.4, rate*gbit)
			}
		}
	}
}
