package limits

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"isoperf/bench/harness"
)

func TestCellCheck(t *testing.T) {
	for _, c := range []struct {
		cell Cell
		want string // empty: the kernel takes it
	}{
		{Cell{Quota: 0.2}, ""},
		{Cell{Quota: 4, Period: time.Second}, ""},
		{Cell{Quota: 1, Period: time.Millisecond}, ""},
		{Cell{Quota: 0.01, Period: 100 * time.Millisecond}, ""},
		{Cell{}, "must be more than 0 %"},
		{Cell{Quota: -1}, "must be more than 0 %"},
		{Cell{Quota: math.NaN()}, "must be more than 0 %"},
		{Cell{Quota: math.Inf(1)}, "must be more than 0 %"},
		{Cell{Quota: 1, Period: 999 * time.Microsecond}, "nearest is 1ms"},
		{Cell{Quota: 1, Period: -1}, "nearest is 1ms"},
		{Cell{Quota: 1, Period: 1001 * time.Millisecond}, "nearest is 1s"},
		{Cell{Quota: 0.05, Period: 10 * time.Millisecond}, "nearest are 10 % of 10ms, or 5 % of 20ms"},
		{Cell{Quota: 0.0001, Period: 10 * time.Millisecond}, "or 0.01 % of 1s"},
		{Cell{Quota: 0.2, Threads: -1}, "there can be 1 to 128"},
		{Cell{Quota: 0.2, Threads: 129}, "there can be 1 to 128"},
	} {
		err := c.cell.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.cell, err)
		}
	}
}

func TestCellName(t *testing.T) {
	for _, c := range []struct {
		cell        Cell
		name, limit string
	}{
		{Cell{Quota: 0.2}, "CpuMax/quota=20%/period=100ms/threads=1/load=spin", "20000 100000"},
		{Cell{Quota: 1.5, Period: 10 * time.Millisecond}, "CpuMax/quota=150%/period=10ms/threads=2/load=spin", "15000 10000"},
		{Cell{Quota: 4}, "CpuMax/quota=400%/period=100ms/threads=2/load=spin", "400000 100000"},
		{Cell{Quota: 0.1234, Threads: 7, Load: "turns"}, "CpuMax/quota=12.34%/period=100ms/threads=7/load=turns", "12340 100000"},
		{Cell{Quota: 1.1, Period: time.Second}, "CpuMax/quota=110%/period=1s/threads=2/load=spin", "1100000 1000000"},
	} {
		if got := c.cell.name(2); got != c.name {
			t.Errorf("%s, not %s", got, c.name)
		}
		if got := c.cell.limit(); got != c.limit {
			t.Errorf("%s: %s, not %s", c.name, got, c.limit)
		}
	}
}

// Every cell of a grid is one that the kernel takes, and none is there twice.
func TestGrid(t *testing.T) {
	for _, wide := range []bool{false, true} {
		cells := grid(harness.Extent{Wide: wide}, 2)
		var names []string
		for _, c := range cells {
			if err := c.Check(); err != nil {
				t.Error(err)
			}
			if slices.Contains(names, c.name(2)) {
				t.Errorf("%s is there twice", c.name(2))
			}
			names = append(names, c.name(2))
		}
		for _, want := range []string{"quota=5%/period=100ms", "quota=20%/period=10ms", "quota=150%/period=100ms"} {
			if !strings.Contains(strings.Join(names, " "), want) {
				t.Errorf("%s is not there", want)
			}
		}
		if strings.Contains(strings.Join(names, " "), "quota=5%/period=10ms") {
			t.Error("5 % of 10 ms is below the kernel's quota")
		}
		if few := grid(harness.Extent{Wide: wide}, 1); wide != (len(few) < len(cells)) {
			t.Errorf("one CPU has %d cells, two %d", len(few), len(cells))
		}
	}
}

// The wide grid has each limit with one thread, one a CPU, and two a CPU.
func TestWideGrid(t *testing.T) {
	for cpus, want := range map[int]string{1: "1 2", 2: "1 2 4", 8: "1 8 16"} {
		by, names := map[string][]string{}, map[string]bool{}
		for _, c := range wideGrid(cpus) {
			if err := c.Check(); err != nil || names[c.name(cpus)] {
				t.Errorf("%s: %v, twice %v", c.name(cpus), err, names[c.name(cpus)])
			}
			names[c.name(cpus)] = true
			by[c.limit()] = append(by[c.limit()], strconv.Itoa(c.threads(cpus)))
		}
		for _, limit := range []string{"1000 100000", "4000 1000", "4000000 1000000", "1000 1000"} {
			if got := strings.Join(by[limit], " "); got != want {
				t.Errorf("%d CPUs, %s: threads %q, want %q", cpus, limit, got, want)
			}
		}
		if len(by["500 10000"]) > 0 {
			t.Error("5 % of 10 ms is below the kernel's quota")
		}
	}
}

// A measurement is as long as it takes for the budget to be small.
func TestCellLength(t *testing.T) {
	m := machine{cpus: 2, tick: 4 * time.Millisecond}
	for _, c := range []struct {
		cell Cell
		want time.Duration
	}{
		{Cell{Quota: 0.2}, 9 * time.Second}, // 100 periods, and 2 more, but no longer
		{Cell{Quota: 1, Threads: 1}, 3200 * time.Millisecond},
		{Cell{Quota: 1, Period: time.Millisecond, Threads: 1}, 2002 * time.Millisecond},
	} {
		if got := c.cell.length(m); got != c.want {
			t.Errorf("%s: %v, not %v", c.cell.name(2), got, c.want)
		}
		if n := int64(c.want / c.cell.period()); c.want < mostLength && edgeBudget(c.cell.bandwidth(m), n, true) > 0.0026 {
			t.Errorf("%s: the budget is not small", c.cell.name(2))
		}
	}
}
