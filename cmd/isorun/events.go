package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"isoperf/runtime/cgroup"
	"isoperf/runtime/jsontext"
	"isoperf/runtime/lifecycle"
)

// events prints what a container has used, as runc does: a line of JSON every
// interval, and one whenever the kernel had to kill a process of it for want of
// memory. It ends with the container.
func events(g *globals, c *call) error {
	once, every := false, "5s"
	flags := flagSet{
		{long: "stats", on: &once, help: "print the statistics once"},
		{long: "interval", value: "TIME", text: &every, preset: every, help: "between two lines: 500ms, 5s"},
	}
	if err := c.parse(flags, 1, 1); err != nil {
		return err
	}
	interval, err := time.ParseDuration(every)
	if err != nil || interval <= 0 {
		return fmt.Errorf("--interval: %q is no time above 0; give one with its unit, such as 5s", every)
	}
	ct, err := g.open(c.args[0])
	if err != nil {
		return err
	}
	defer ct.Close()
	if s := ct.Status(); s == lifecycle.Stopped || s == lifecycle.Creating {
		return fmt.Errorf("events of container %q: container not running: it is %s", ct.ID, s)
	}
	if once {
		s, err := ct.Stats()
		if err != nil {
			return err
		}
		return g.event(ct.ID, "stats", &s)
	}
	return g.follow(ct, interval)
}

// glance is how often a container is looked at between two lines.
const glance = 100 * time.Millisecond

func (g *globals) follow(ct *lifecycle.Container, interval time.Duration) error {
	killed, known := uint64(0), false
	for next := time.Now().Add(interval); ; time.Sleep(min(glance, interval)) {
		s, err := ct.Stats()
		ended := ct.Status() == lifecycle.Stopped
		if ended && err != nil {
			return nil // the group is gone with it
		}
		if err != nil {
			return err
		}
		if s.Memory != nil {
			for n := killed; known && n < s.Memory.OOMKills; n++ {
				if err := g.event(ct.ID, "oom", nil); err != nil {
					return err
				}
			}
			killed, known = s.Memory.OOMKills, true
		}
		if ended {
			return nil
		}
		if time.Now().Before(next) {
			continue
		}
		next = next.Add(interval)
		if err := g.event(ct.ID, "stats", &s); err != nil {
			return err
		}
	}
}

// event prints one line.
func (g *globals) event(id, kind string, s *cgroup.Stats) error {
	w := jsontext.Writer{}
	w.Open('{')
	w.Name("type")
	w.String(kind)
	w.Name("id")
	w.String(id)
	if s != nil {
		w.Name("data")
		writeStats(&w, s)
	}
	w.Close('}')
	_, err := fmt.Fprintf(g.stdout, "%s\n", w.Text)
	return err
}

// number is a field, its value unsigned.
func number(w *jsontext.Writer, name string, n uint64) {
	w.Name(name)
	w.Uint(n)
}

// writeStats writes the statistics in runc's form. What is not counted is 0 or
// empty there.
func writeStats(w *jsontext.Writer, s *cgroup.Stats) {
	w.Open('{')
	writeCPU(w, s.CPU)
	w.Name("cpuset")
	w.Open('{')
	for _, name := range []string{"cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level"} {
		number(w, name, 0)
	}
	w.Close('}')
	writeMemory(w, s.Memory)
	w.Name("pids")
	w.Open('{')
	if p := s.Pids; p != nil {
		number(w, "current", uint64(p.Current))
		if p.Limit >= 0 { // none is 0, as runc has it
			number(w, "limit", uint64(p.Limit))
		}
	}
	w.Close('}')
	writeIO(w, s.IO)
	for _, name := range []string{"hugetlb", "intel_rdt"} {
		w.Name(name)
		w.Open('{')
		w.Close('}')
	}
	w.Name("network_interfaces")
	w.Text = append(w.Text, "null"...)
	w.Close('}')
}

func writeCPU(w *jsontext.Writer, c *cgroup.CPUStats) {
	if c == nil {
		c = &cgroup.CPUStats{}
	}
	w.Name("cpu")
	w.Open('{')
	w.Name("usage")
	w.Open('{')
	number(w, "total", c.UsageNS)
	number(w, "kernel", c.SystemNS)
	number(w, "user", c.UserNS)
	w.Close('}')
	w.Name("throttling")
	w.Open('{')
	number(w, "periods", c.Periods)
	number(w, "throttledPeriods", c.Throttled)
	number(w, "throttledTime", c.ThrottledNS)
	w.Close('}')
	w.Close('}')
}

func writeMemory(w *jsontext.Writer, m *cgroup.MemoryStats) {
	w.Name("memory")
	w.Open('{')
	for _, name := range []string{"usage", "swap", "kernel", "kernelTCP"} {
		w.Name(name)
		w.Open('{')
		if name == "usage" && m != nil {
			limit := uint64(math.MaxUint64) // none
			if m.Limit >= 0 {
				limit = uint64(m.Limit)
			}
			number(w, "limit", limit)
			number(w, "usage", uint64(m.Usage))
			if m.Peak >= 0 {
				number(w, "max", uint64(m.Peak))
			}
			number(w, "failcnt", m.AtLimit)
		} else {
			number(w, "limit", 0)
			number(w, "failcnt", 0)
		}
		w.Close('}')
	}
	w.Close('}')
}

func writeIO(w *jsontext.Writer, devices []cgroup.IOStats) {
	w.Name("blkio")
	w.Open('{')
	lists := []struct {
		name        string
		read, write func(cgroup.IOStats) uint64
	}{
		{"ioServiceBytesRecursive", func(d cgroup.IOStats) uint64 { return d.ReadBytes }, func(d cgroup.IOStats) uint64 { return d.WriteBytes }},
		{"ioServicedRecursive", func(d cgroup.IOStats) uint64 { return d.Reads }, func(d cgroup.IOStats) uint64 { return d.Writes }},
	}
	for _, l := range lists {
		if len(devices) == 0 {
			break
		}
		w.Name(l.name)
		w.Open('[')
		for _, d := range devices {
			for _, op := range []struct {
				name  string
				value uint64
			}{{"Read", l.read(d)}, {"Write", l.write(d)}} {
				major, minor, _ := strings.Cut(d.Device, ":")
				w.Next()
				w.Open('{')
				for _, n := range []struct{ name, text string }{{"major", major}, {"minor", minor}} {
					number, err := strconv.ParseUint(n.text, 10, 32)
					if err == nil {
						w.Name(n.name)
						w.Uint(number)
					}
				}
				w.Name("op")
				w.String(op.name)
				w.Name("value")
				w.Uint(op.value)
				w.Close('}')
			}
		}
		w.Close(']')
	}
	w.Close('}')
}
