package limits

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/workloads/load"
)

// begun is when the loads of these tests began.
const begun = int64(1e12)

// done are the completions of a load that gets so many requests of 4 KiB at the beginning
// of each slice, from an instant on.
func done(slices, each int) []load.Event {
	var list []load.Event
	for s := range slices {
		for i := range each {
			at := begun + int64(s)*int64(throttleSlice) + int64(i)*int64(10*time.Microsecond)
			list = append(list, load.Event{From: at - 1000, To: at, Value: 4096, Kind: load.Step})
		}
	}
	return list
}

func TestMeasureIO(t *testing.T) {
	const second = 10 // slices
	for _, c := range []struct {
		name           string
		events         []load.Event
		limit          ioLimit
		failure, burst float64
		short          bool
	}{
		{"as asked", done(7*second, 25), ioLimit{rate: 250 * 4096, block: 4096, threads: 1}, 0, 0, false},
		{"a tenth too much", done(7*second, 55), ioLimit{rate: 500 * 4096, block: 4096, threads: 1}, 0.1, 0.1, false},
		{"one instead of 1.6 a slice", done(7*second, 1), ioLimit{rate: 16 * 4096, block: 4096, threads: 1}, -0.375, -0.375, false},
		{"the first second has twice its share", append(done(second, 25), done(7*second, 25)...), ioLimit{rate: 250 * 4096, block: 4096, threads: 1}, 0, 1, false},
		{"too few requests", done(second+2, 1), ioLimit{rate: 4096, block: 4096, threads: 1}, 0, 9, true},
		{"nothing", nil, ioLimit{rate: 4096, block: 4096, threads: 1}, 0, -1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			slices.Reverse(c.events) // threads note in any order
			w, ok := measureIO(c.events, c.limit, begun, 5*time.Second)
			if ok == c.short {
				t.Fatalf("ok is %v", ok)
			}
			if ok && math.Abs(w.failure-c.failure) > 1e-3 {
				t.Errorf("the error is %v, not %v", w.failure, c.failure)
			}
			if math.Abs(w.burst-c.burst) > 1e-9 {
				t.Errorf("the first second is %v, not %v", w.burst, c.burst)
			}
			if ok && (w.budget < 0.02 || w.budget > 0.025) {
				t.Errorf("the budget of one slice in 5 s is %v", w.budget)
			}
		})
	}
}

// The length has ten requests in it.
func TestIOLength(t *testing.T) {
	for _, c := range []struct {
		limit ioLimit
		want  time.Duration
	}{
		{ioLimit{rate: 1 << 20, block: 4096}, 5100 * time.Millisecond},
		{ioLimit{rate: 1 << 20, block: 1 << 20}, 10500 * time.Millisecond},
	} {
		if got := c.limit.length(); got != c.want {
			t.Errorf("%+v: %v, not %v", c.limit, got, c.want)
		}
	}
}

// ioOpened opens the case of a limit, or skips the test where there can be none.
func ioOpened(t *testing.T, b *Bench, name string) harness.Sampler {
	t.Helper()
	cases := b.IOMax(harness.Extent{Burst: 1, Wide: true})
	i := slices.IndexFunc(cases, func(c harness.Case) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("there is no case %q", name)
	}
	s, err := cases[i].Open()
	var not harness.NotMeasured
	switch {
	case errors.As(err, &not) && os.Getenv("ISOPERF_MUST_RUN") == "1" && os.Geteuid() == 0:
		t.Fatalf("must run, but: %v", err)
	case errors.As(err, &not):
		t.Skip(not.Why)
	case err != nil:
		t.Fatal(err)
	}
	return s
}

// A limit is measured for real: it is read back, the kernel's counter and the
// load's agree, and what it got is of the limit's size.
func TestIOMax(t *testing.T) {
	names := []string{"IoMax/way=wbps/limit=1MiB/block=4KiB", "IoMax/way=riops/limit=256/block=4KiB"}
	if d, err := newNullDevice(); err == nil { // else see TestNullDevice
		names = append(names, "IoMax/way=rbps/limit=1MiB/block=4KiB/device=null")
		if err := d.close(); err != nil {
			t.Error(err)
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			var checked []sample.Checked
			b := New(Config{Trusted: true, Window: 2 * time.Second, Checked: func(c sample.Checked) error { checked = append(checked, c); return nil }})
			s := ioOpened(t, b, name)
			device := s.(*sampler).ground
			s.Sample(1, func(values []sample.Value, err error) {
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]float64{}
				for _, v := range values {
					got[v.Unit] = v.Value
				}
				// A busy machine makes it slower, never faster.
				if a := got["achieved-ratio"]; a > 1+got["budget-ratio"] || a < 0.3 {
					t.Errorf("got %v of the limit, budget %v", a, got["budget-ratio"])
				}
				if got["accounted-ratio"] != 0 || got["split-count"] != 1 {
					t.Errorf("the kernel counted %+v more than the load, %v requests for one", got["accounted-ratio"], got["split-count"])
				}
				if last := values[len(values)-1].Unit; last != "achieved-ratio" {
					t.Errorf("the last unit is %s", last)
				}
			})
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if len(checked) != 1 || len(checked[0].Doubts) > 0 || checked[0].Read != checked[0].Asked {
				t.Errorf("%+v", checked)
			}
			if len(device.groups)+len(device.workers) > 0 {
				t.Error("groups or loads are left")
			}
		})
	}
}

// What somebody changes meanwhile is doubted.
func TestIODoubted(t *testing.T) {
	var checked []sample.Checked
	b := New(Config{Trusted: true, Window: time.Second, Checked: func(c sample.Checked) error { checked = append(checked, c); return nil }})
	s := ioOpened(t, b, "IoMax/way=rbps/limit=1MiB/block=4KiB")
	g := s.(*sampler).ground
	p := ioPlaceOf(g.groups[len(g.groups)-1])
	file, data := p.dir+"/io.max", "%s rbps=2097152"
	if !p.v2 {
		file, data = p.dir+"/blkio.throttle.read_bps_device", "%s 2097152"
	}
	timer := time.AfterFunc(500*time.Millisecond, func() {
		text, err := os.ReadFile(file)
		if err == nil {
			id, _, _ := strings.Cut(string(text), " ")
			err = os.WriteFile(file, fmt.Appendf(nil, data, id), 0)
		}
		if err != nil {
			t.Error(err)
		}
	})
	defer timer.Stop()
	s.Sample(1, func([]sample.Value, error) {})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if len(checked) != 1 || !strings.Contains(strings.Join(checked[0].Doubts, " "), "rbps=2097152") {
		t.Errorf("%+v", checked)
	}
}

// ioHelper makes the test binary attach a device, say which, and wait.
const ioHelper = "ISOPERF_TEST_DEVICE"

// A device whose owner is killed is free again, and has no file.
func TestDeviceGone(t *testing.T) {
	if os.Getenv(ioHelper) != "" {
		d, err := newIODevice()
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(d.path)
		time.Sleep(time.Minute)
		os.Exit(1)
	}
	d, err := newIODevice()
	var not harness.NotMeasured
	if errors.As(err, &not) {
		if os.Getenv("ISOPERF_MUST_RUN") == "1" && os.Geteuid() == 0 {
			t.Fatalf("must run, but: %s", not.Why)
		}
		t.Skip(not.Why)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !attached(d.path) {
		t.Errorf("%s is not attached", d.path)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
	mustDetach(t, d.path)

	cmd := exec.Command("/proc/self/exe", "-test.run=^TestDeviceGone$")
	cmd.Env = append(os.Environ(), ioHelper+"=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	path := strings.TrimSpace(line)
	if err != nil || !strings.HasPrefix(path, "/dev/loop") || !attached(path) {
		t.Errorf("%q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	mustDetach(t, path)
}

// attached says whether a loop device of ours has its memory.
func attached(path string) bool {
	text, err := os.ReadFile("/sys/block/" + strings.TrimPrefix(path, "/dev/") + "/loop/backing_file")
	return err == nil && strings.Contains(string(text), "isoperf-device")
}

func mustDetach(t *testing.T, path string) {
	t.Helper()
	for range 500 {
		if !attached(path) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("after 5 s %s is still attached", path)
}
