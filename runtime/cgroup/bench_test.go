package cgroup

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/runtime/program"
)

// pause separates the operations of a benchmark; an RCU grace period that a
// busy kernel shares costs nearly nothing, one on a quiet machine milliseconds.
// Use it with -benchtime 30x.
var pause = flag.Duration("pause", 0, "sleep so long before each operation of BenchmarkGroup and BenchmarkAttach")

func BenchmarkDetect(b *testing.B) {
	for b.Loop() {
		if _, err := Detect(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	h, err := Detect()
	if err != nil {
		b.Skip(err)
	}
	o := Options{ID: "bench", Resources: everything(), Always: true}
	for b.Loop() {
		if _, err := h.Plan(o); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSweep is what each start pays to look for garbage.
func BenchmarkSweep(b *testing.B) {
	h := realHost(b)
	for b.Loop() {
		if _, err := Sweep(h, ""); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGroup is a group's life in each hierarchy, its steps apart: the mean
// nanoseconds of each.
func BenchmarkGroup(b *testing.B) {
	h := realHost(b)
	all := everything()
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"cpu", Options{Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: all.CPU.Quota, Period: all.CPU.Period}}}},
		{"cpuset", Options{Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}}}},
		{"memory", Options{Resources: &specs.LinuxResources{Memory: all.Memory}}},
		{"pids", Options{Resources: &specs.LinuxResources{Pids: all.Pids}}},
		{"devices", Options{Resources: &specs.LinuxResources{Devices: all.Devices}}},
		{"blkio", Options{Resources: &specs.LinuxResources{BlockIO: all.BlockIO}}},
		{"v2", Options{Always: true}},
		{"everything", Options{Resources: all, Always: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.o.ID = "bench"
			p, err := h.Plan(c.o)
			if err != nil {
				b.Skip(err)
			}
			l := program.NewLauncher()
			defer l.Close()
			spans := map[string]int64{}
			for b.Loop() {
				time.Sleep(*pause)
				g, err := p.Create()
				if err != nil {
					b.Fatal(err)
				}
				l.Do(func() { err = g.Within(func() error { return nil }) })
				if err != nil {
					b.Error(err)
				}
				if err := g.Remove(); err != nil {
					b.Fatal(err)
				}
				for _, s := range g.Spans() {
					name, _, _ := strings.Cut(s.Name, " ")
					spans[name] += s.End - s.Start
				}
			}
			for name, ns := range spans {
				b.ReportMetric(float64(ns)/float64(b.N), name+"-ns")
			}
		})
	}
}

// BenchmarkAttach is the way that Within avoids.
func BenchmarkAttach(b *testing.B) {
	h := realHost(b)
	for _, c := range []*controller{&cpu, &freezer} {
		tree := h.find(c)
		if tree == nil || tree.v2 {
			continue
		}
		b.Run(c.name, func(b *testing.B) {
			o := Options{ID: "bench", Resources: everything()}
			p, err := (&Host{v1: []hierarchy{*tree}}).Plan(Options{ID: o.ID, Always: true})
			if c == &cpu {
				p, err = h.Plan(Options{ID: o.ID, Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(512))}}})
			}
			if err != nil {
				b.Fatal(err)
			}
			g, err := p.Create()
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := g.Remove(); err != nil {
					b.Error(err)
				}
			}()
			cmd := sleeper(b)
			for b.Loop() {
				time.Sleep(*pause)
				if err := g.Attach(cmd.Process.Pid); err != nil {
					b.Fatal(err)
				}
				back := tree.mount + "/cgroup.procs"
				if err := writeFile(-100, back, strconv.Itoa(cmd.Process.Pid)); err != nil {
					b.Fatal(fmt.Errorf("%s: %w", back, err))
				}
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			ns := int64(0)
			for _, s := range g.Spans() {
				if strings.HasPrefix(s.Name, "attach") {
					ns += s.End - s.Start
				}
			}
			b.ReportMetric(float64(ns)/float64(b.N), "attach-ns")
		})
	}
}
