package traffic

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"isoperf/workloads/load"
)

// tid is the place's thread, by which netlink finds the namespace.
func (p *place) tid() (id int) {
	p.do(func() { id = unix.Gettid() })
	return id
}

// link connects two places by a veth pair, 10.0.0.1 and 10.0.0.2.
func link(b *testing.B, one, two *place) {
	b.Helper()
	up := func(p *place, name, addr string) (err error) {
		p.do(func() {
			var l netlink.Link
			if l, err = netlink.LinkByName(name); err != nil {
				return
			}
			ip, n, _ := net.ParseCIDR(addr)
			n.IP = ip
			if err = netlink.AddrAdd(l, &netlink.Addr{IPNet: n}); err == nil {
				err = netlink.LinkSetUp(l)
			}
		})
		return err
	}
	var err error
	other := two.tid()
	one.do(func() {
		err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "one", MTU: 1500}, PeerName: "two", PeerMTU: 1500, PeerNamespace: netlink.NsPid(other)})
	})
	if err == nil {
		err = up(one, "one", "10.0.0.1/24")
	}
	if err == nil {
		err = up(two, "two", "10.0.0.2/24")
	}
	if err != nil {
		b.Skipf("make a veth pair: %v", err)
	}
}

// figures are of one transfer: bytes a second that arrived, and nanoseconds of CPU
// time a byte, of both threads.
type figures struct{ goodput, send, receive float64 }

// transfer moves data for a time, after a tenth of it.
func transfer(b *testing.B, from, to *place, host string, send, receive Options, size int64, d time.Duration) figures {
	b.Helper()
	var r, s *end
	to.do(func() {
		r = start(b, with(load.Spec{Kind: Receive, Step: size, Path: at(host, 0)}, Options{Listen: true, Method: receive.Method, Window: receive.Window}))
	})
	port := r.port(b)
	from.do(func() { s = start(b, with(load.Spec{Kind: Send, Step: size, Path: at(host, port)}, send)) })
	r.ready(b)
	s.ready(b)
	r.board.Go()
	s.board.Go()
	time.Sleep(d / 10)
	read := func() (float64, float64, float64, float64) {
		a, z := &r.board.Slots[0], &s.board.Slots[0]
		return float64(a.At.Load()), float64(a.Count.Load()), float64(z.CPU.Load()), float64(a.CPU.Load())
	}
	t0, n0, s0, r0 := read()
	time.Sleep(d)
	t1, n1, s1, r1 := read()
	report := s.stop(b)
	r.stop(b)
	if z := report.Streams[0]; send.Method == ZeroCopy {
		b.ReportMetric(float64(z.ZeroCopyCopied)/float64(z.ZeroCopyDone), "copied-ratio")
	}
	return figures{(n1 - n0) / (t1 - t0) * 1e9, (s1 - s0) / (n1 - n0), (r1 - r0) / (n1 - n0)}
}

// BenchmarkMethods is where zero copy pays: every method against the ordinary one
// of the other end, on loopback and over a veth pair.
func BenchmarkMethods(b *testing.B) {
	for _, path := range []string{"loopback", "veth"} {
		var from, to *place
		host := "127.0.0.1"
		if path == "veth" {
			from, to, host = newPlace(b), newPlace(b), "10.0.0.2"
			link(b, from, to)
		}
		one := func(send, receive string) {
			b.Run(fmt.Sprintf("path=%s/send=%s/receive=%s", path, send, receive), func(b *testing.B) {
				var sum figures
				for range b.N {
					f := transfer(b, from, to, host, Options{Method: send}, Options{Method: receive}, block, 500*time.Millisecond)
					sum.goodput += f.goodput
					sum.send += f.send
					sum.receive += f.receive
				}
				n := float64(b.N)
				b.ReportMetric(sum.goodput/n, "goodput-B/s")
				b.ReportMetric(sum.send/n, "send-ns/B")
				b.ReportMetric(sum.receive/n, "receive-ns/B")
				b.ReportMetric(0, "ns/op")
			})
		}
		for _, m := range Methods(Send) {
			one(m, Read)
		}
		for _, m := range Methods(Receive)[1:] {
			one(Write, m)
		}
	}
}

// BenchmarkIperf3 alternates with iperf3: the ratio of our goodput to its, the
// geometric mean of all pairs and the lower bound of its 95 % interval. Each run
// moves half a GiB, since what else the machine does changes from second to second.
func BenchmarkIperf3(b *testing.B) {
	if _, err := exec.LookPath("iperf3"); err != nil {
		b.Skipf("find iperf3: %v; install it", err)
	}
	const size = 512 << 20
	var logs []float64
	ours, theirs := 0.0, 0.0
	for i := range max(2, b.N) {
		var x, y float64
		if i%2 == 0 {
			x = whole(b, size)
		}
		y = iperf3(b, size)
		if i%2 == 1 {
			x = whole(b, size)
		}
		logs = append(logs, math.Log(x/y))
		ours, theirs = ours+x, theirs+y
	}
	n, mean, square := float64(len(logs)), 0.0, 0.0
	for _, l := range logs {
		mean += l / n
	}
	for _, l := range logs {
		square += (l - mean) * (l - mean)
	}
	b.ReportMetric(ours/n, "ours-B/s")
	b.ReportMetric(theirs/n, "iperf3-B/s")
	b.ReportMetric(math.Exp(mean), "ratio")
	b.ReportMetric(math.Exp(mean-1.96*math.Sqrt(square/(n-1)/n)), "lower-ratio")
	b.ReportMetric(0, "ns/op")
}

// whole is the goodput of a transfer of some bytes, from the first to the last.
func whole(b *testing.B, size int64) float64 {
	b.Helper()
	r, s := pair(b, "127.0.0.1", with(load.Spec{Kind: Receive}, Options{Listen: true}), load.Spec{Kind: Send, Bytes: size})
	r.ready(b)
	s.ready(b)
	r.board.Go()
	s.board.Go()
	from := load.Monotonic()
	if _, err := r.ended(b); err != nil {
		b.Fatal(err)
	}
	if _, err := s.ended(b); err != nil {
		b.Fatal(err)
	}
	slot := &r.board.Slots[0]
	return float64(slot.Count.Load()) / float64(slot.At.Load()-from) * 1e9
}

// iperf3 is what it says that arrived in a second, of a transfer of some bytes.
func iperf3(b *testing.B, size int64) float64 {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	server := exec.Command("iperf3", "-s", "-1", "-B", "127.0.0.1", "-p", port)
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill() // it ends after one test
		_ = server.Wait()
	}()
	var r struct {
		Error string
		End   struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	for range 300 {
		// With -J it ends with 0 even if it has failed.
		out, err := exec.Command("iperf3", "-c", "127.0.0.1", "-p", port, "-J", "-n", strconv.FormatInt(size, 10)).Output()
		if err != nil {
			b.Fatal(err)
		}
		if err := json.Unmarshal(out, &r); err != nil {
			b.Fatalf("read what iperf3 says: %v", err)
		}
		if r.End.Received.Rate > 0 {
			return r.End.Received.Rate / 8
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.Fatalf("iperf3: %s", r.Error)
	return 0
}
