package limits

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Both versions' texts come to the same: nanoseconds.
func TestParse(t *testing.T) {
	opt := cmp.AllowUnexported(reading{})
	for _, c := range []struct {
		name, text string
		v2         bool
		want       reading
	}{
		{"v1", "nr_periods 10\nnr_throttled 9\nthrottled_time 720000123\nnr_bursts 2\nburst_time 5\n", false,
			reading{periods: 10, throttled: 9, throttledNS: 720000123, bursts: 2}},
		{"v1 before 5.14", "nr_periods 10\nnr_throttled 9\nthrottled_time 720000123\n", false,
			reading{periods: 10, throttled: 9, throttledNS: 720000123, bursts: -1}},
		{"v2", "usage_usec 200123\nuser_usec 200000\nsystem_usec 123\nnice_usec 0\ncore_sched.force_idle_usec 0\nnr_periods 10\nnr_throttled 9\nthrottled_usec 720000\nnr_bursts 0\nburst_usec 0\n", true,
			reading{usage: 200123000, periods: 10, throttled: 9, throttledNS: 720000000}},
		{"v2 without a limit", "usage_usec 5\nuser_usec 5\nsystem_usec 0\n", true, reading{usage: 5000, bursts: -1}},
		{"a line that is cut off, one without a number", "nr_periods 10\nnr_throttled x\nnr_thr", false, reading{periods: 10, bursts: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := reading{bursts: -1}
			r.parse([]byte(c.text), c.v2)
			if diff := cmp.Diff(c.want, r, opt); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// counters writes the files that a version 1 group has.
func counters(t *testing.T, stat, usage string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"cpu.stat": stat, "cpuacct.usage": usage} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMeter(t *testing.T) {
	dir := counters(t, "nr_periods 10\nnr_throttled 9\nthrottled_time 7\n", "123456789\n")
	m, err := newMeter(dir, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	times := []int64{100, 160}
	m.now = func() int64 { now := times[0]; times = times[1:]; return now }
	r, err := m.read()
	want := reading{at: 130, took: 60, usage: 123456789, periods: 10, throttled: 9, throttledNS: 7, bursts: -1}
	if err != nil || r != want {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := newMeter(dir, t.TempDir(), false); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	times = []int64{0, 0}
	broken := counters(t, "", "none\n")
	if m, err = newMeter(broken, broken, false); err != nil {
		t.Fatal(err)
	}
	defer m.close()
	if _, err := m.read(); err == nil {
		t.Error("a usage that is no number was read")
	}
}

// A reading that took long is left out, and counted; a watch ends when it is
// told to, when its time is up, and when the run is interrupted.
func TestWatch(t *testing.T) {
	dir := counters(t, "nr_periods 1\n", "1\n")
	m, err := newMeter(dir, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	clock := m.now
	calls := 0
	m.now = func() int64 { // each second reading takes 1 ms more
		calls++
		return clock() + int64(calls/4)*int64(milli)
	}
	seen := 0
	list, dropped, err := m.watch(context.Background(), 0, clock()+int64(time.Hour), func(reading) bool { seen++; return seen < 5 })
	if err != nil || len(list) != 5 || dropped == 0 {
		t.Errorf("%d readings, %d left out, %v", len(list), dropped, err)
	}
	m.now = clock
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if list, _, err := m.watch(ctx, time.Millisecond, clock()+int64(time.Hour), nil); !errors.Is(err, context.Canceled) || len(list) != 0 {
		t.Errorf("%d readings, %v", len(list), err)
	}
	if list, _, err := m.watch(context.Background(), time.Millisecond, clock()-1, nil); err != nil || len(list) != 0 {
		t.Errorf("%d readings, %v", len(list), err)
	}
}

// The limit that holds is the tightest of all groups above.
func TestAbove(t *testing.T) {
	root := t.TempDir()
	leaf := filepath.Join(root, "a/b/c")
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(dir, file, text string) {
		if err := os.WriteFile(filepath.Join(root, dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for dir, text := range map[string]string{"a": "50000 100000\n", "a/b": "max 100000\n", "a/b/c": "20000 100000\n"} {
		put(dir, "cpu.max", text)
	}
	share, dir, err := place{cpu: leaf, v2: true}.above()
	if err != nil || share != 0.5 || dir != filepath.Join(root, "a") {
		t.Errorf("%v in %q, %v", share, dir, err)
	}
	for _, d := range []string{"", "a", "a/b", "a/b/c"} {
		put(d, "cpu.cfs_quota_us", "-1\n")
		put(d, "cpu.cfs_period_us", "100000\n")
	}
	p := place{cpu: leaf}
	if share, _, err := p.above(); err != nil || share != 0 {
		t.Errorf("%v, %v", share, err)
	}
	put("a/b", "cpu.cfs_quota_us", "10000\n")
	s := cpuSample{place: p, limit: of20}
	var doubts []string
	if err := s.bounded(func(format string, _ ...any) { doubts = append(doubts, format) }); err != nil || len(doubts) != 1 {
		t.Errorf("%q, %v", doubts, err)
	}
}

func TestReadBack(t *testing.T) {
	s := cpuSample{asked: "5000 25000"}
	for got, want := range map[string]string{
		"5000 25000": "", "10000 50000": "scaled", "10000 25000": "changed", "max 25000": "changed", "2500 12500": "changed", "": "changed",
	} {
		var doubt string
		s.readBack(got, func(format string, _ ...any) { doubt += format })
		if (want == "") != (doubt == "") || !strings.Contains(doubt, want) {
			t.Errorf("%q: %q", got, doubt)
		}
	}
}

func TestAtLeast(t *testing.T) {
	for release, want := range map[string]bool{"6.18.44-x": true, "6.18": true, "7.0.1": true, "6.17.9": false, "5.19": false, "": false, "odd": false} {
		if got := atLeast(release, "6.18"); got != want {
			t.Errorf("%q: %v", release, got)
		}
	}
}
