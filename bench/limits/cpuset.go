package limits

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"isoperf/bench/environment"
	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/cgroup"
	"isoperf/runtime/program"
	"isoperf/workloads/load"
)

// CpusetCell is a group that may use some CPUs, and later, perhaps, others.
type CpusetCell struct {
	CPUs    []int
	To      []int // what it is changed to while the load runs; nil: nothing
	Threads int
}

func (c CpusetCell) name() string {
	name := "Cpuset/cpus=" + cpuList(c.CPUs)
	if c.To != nil {
		name += "/to=" + cpuList(c.To)
	}
	return fmt.Sprintf("%s/threads=%d", name, c.Threads)
}

// cpuList writes CPUs as the kernel does: "0-3,6".
func cpuList(cpus []int) string {
	var parts []string
	for i := 0; i < len(cpus); {
		j := i
		for j+1 < len(cpus) && cpus[j+1] == cpus[j]+1 {
			j++
		}
		part := strconv.Itoa(cpus[i])
		if j > i {
			part += "-" + strconv.Itoa(cpus[j])
		}
		parts, i = append(parts, part), j+1
	}
	return strings.Join(parts, ",")
}

// allowed are the CPUs that this process may use.
func allowed() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("list the CPUs: %w", err)
	}
	var list []int
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			list = append(list, i)
		}
	}
	return list, nil
}

// Cpuset are the cases: one CPU, all of them, and a change from one to another.
// With a single CPU there is nothing to keep a load from.
func (b *Bench) Cpuset(e harness.Extent) []harness.Case {
	m, failed := readMachine()
	cpus, err := allowed()
	if failed == nil {
		failed = err
	}
	if len(cpus) == 0 {
		cpus = []int{0}
	}
	first, last := cpus[:1], cpus[len(cpus)-1:]
	cells := []CpusetCell{{CPUs: first, Threads: 2}, {CPUs: first, To: last, Threads: 2}}
	if e.Wide {
		cells = append(cells, CpusetCell{CPUs: last, Threads: 1}, CpusetCell{CPUs: cpus, Threads: len(cpus) + 1}, CpusetCell{CPUs: last, To: first, Threads: 8})
	}
	length := b.Window
	if length == 0 {
		length = 2 * time.Second
	}
	var cases []harness.Case
	for _, c := range cells {
		cases = append(cases, b.newCase(c.name(), e, length+200*time.Millisecond, func(name string, g *ground) (func() ([]sample.Value, error), error) {
			switch {
			case failed != nil:
				return nil, failed
			case len(cpus) < 2:
				return nil, harness.NotMeasured{Why: "there is one CPU, so there is nothing to keep a load from; use a machine with two"}
			}
			s := &pinned{bench: b, name: name, machine: m, cell: c, length: length}
			return s.sample, s.open(g)
		}))
	}
	return cases
}

// pinned is a load in a group with a set of CPUs.
type pinned struct {
	bench   *Bench
	name    string
	machine machine
	cell    CpusetCell
	length  time.Duration
	group   *cgroup.Group
	sets    place // where the cpuset is
	meter   *meter
	percpu  string // version 1's cpuacct.usage_percpu; empty: version 2 has none
	worker  *worker
}

func (s *pinned) open(g *ground) error {
	var err error
	if s.group, err = g.group("cpuset", cpusOf(s.cell.CPUs), "cpu", "cpuacct", "cpuset"); err != nil {
		return err
	}
	if s.meter, err = g.meter(s.group); err != nil {
		return err
	}
	s.sets = homeOf(s.group, "cpuset")
	if where := placeOf(s.group); !where.v2 {
		s.percpu = where.cpuacct + "/cpuacct.usage_percpu"
	}
	s.worker, err = g.start(s.group, load.Spec{Kind: "hog", Threads: s.cell.Threads})
	return err
}

// homeOf is where a controller of the group is.
func homeOf(g *cgroup.Group, controller string) place {
	dir, v2 := g.Dir(controller), g.Dir("v2")
	if dir == "" || dir == v2 {
		return place{cpu: v2, v2: true}
	}
	return place{cpu: dir}
}

func cpusOf(list []int) *specs.LinuxResources {
	return &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: cpuList(list)}}
}

// seen is where the load's threads were seen to run.
type seen struct {
	looks, strays int
	stray         string // the first
}

// sample has the load run, looks again and again where it does, and changes the
// set in the middle.
func (s *pinned) sample() ([]sample.Value, error) {
	now := s.cell.CPUs
	checked := sample.Checked{Case: s.name, Limit: "cpuset.cpus", Asked: cpuList(now), Doubts: s.bench.doubts(s.machine), Facts: map[string]string{}}
	doubt := func(format string, args ...any) {
		checked.Doubts = append(checked.Doubts, fmt.Sprintf(format, args...))
	}
	if err := s.worker.within(s.sets, s.name, "began", doubt); err != nil {
		return nil, err
	}
	s.worker.board.Go()
	var all seen
	var values []sample.Value
	if s.cell.To != nil {
		if err := s.watch(now, s.length/4, &all); err != nil {
			return nil, err
		}
		moved, err := s.change()
		if err != nil {
			return nil, err
		}
		now, values = s.cell.To, moved
		checked.Asked = cpuList(now)
	}
	before, err := s.look()
	if err == nil {
		err = s.watch(now, s.length, &all)
	}
	if err != nil {
		return nil, err
	}
	after, err := s.look()
	if err != nil {
		return nil, err
	}
	if err := s.worker.within(s.sets, s.name, "ended", doubt); err != nil {
		return nil, err
	}
	if checked.Read, err = readLine(s.sets.cpu + "/cpuset.cpus"); err != nil {
		return nil, err
	}
	if checked.Read != checked.Asked {
		doubt("the CPUs in force are %q, not %q: something else has changed them", checked.Read, checked.Asked)
	}
	if all.stray != "" {
		checked.Facts["stray"] = all.stray
	}
	return s.values(values, all, now, before, after), s.bench.record(checked)
}

// watch looks every 20 ms where threads run.
func (s *pinned) watch(cpus []int, length time.Duration, all *seen) error {
	for end := time.Now().Add(length); time.Now().Before(end); {
		list, err := s.where()
		if err != nil {
			return err
		}
		for tid, cpu := range list {
			all.looks++
			if !slices.Contains(cpus, cpu) {
				all.strays++
				all.stray = fmt.Sprintf("thread %d ran on CPU %d", tid, cpu)
			}
		}
		if err := pause(s.bench.Context, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// where is the CPU of each thread that computes, by its id. One that sleeps is
// on no CPU: the kernel gives the last.
func (s *pinned) where() (map[int]int, error) {
	list := map[int]int{}
	for i := range s.cell.Threads {
		tid := int(s.worker.board.Slots[i].Tid.Load())
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/stat", s.worker.proc.Pid(), tid))
		if err != nil {
			return nil, fmt.Errorf("see where thread %d runs: %w", tid, err)
		}
		cpu, running, err := parseStat(string(text))
		if err != nil {
			return nil, err
		}
		if running {
			list[tid] = cpu
		}
	}
	return list, nil
}

// parseStat reads the state and the CPU from a thread's stat, fields 3 and 39;
// see proc_pid_stat(5). The name, field 2, may hold anything.
func parseStat(text string) (cpu int, running bool, err error) {
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(f) < 37 {
		return 0, false, fmt.Errorf("read where a thread runs: %q has too few fields", text)
	}
	cpu, err = strconv.Atoi(f[36])
	if err != nil {
		err = fmt.Errorf("read where a thread runs: field 39 is %q", f[36])
	}
	return cpu, f[0] == "R", err
}

// change gives the group other CPUs, and waits until all threads are seen there.
func (s *pinned) change() ([]sample.Value, error) {
	begin := program.Now()
	if err := s.group.Update(cpusOf(s.cell.To)); err != nil {
		return nil, err
	}
	told := program.Now()
	for {
		list, err := s.where()
		if err != nil {
			return nil, err
		}
		there := len(list) == s.cell.Threads
		for _, cpu := range list {
			there = there && slices.Contains(s.cell.To, cpu)
		}
		done := program.Now()
		if there {
			return []sample.Value{{Unit: "change-write-ns", Value: float64(told - begin)}, {Unit: "migrate-ns", Value: float64(done - begin)}}, nil
		}
		if done-begin > int64(patience) {
			return nil, fmt.Errorf("change the CPUs to %s: threads are elsewhere after %v", cpuList(s.cell.To), patience)
		}
		if err := pause(s.bench.Context, glance); err != nil {
			return nil, err
		}
	}
}

// ledger is what was used, at a moment.
type ledger struct {
	reading
	percpu []int64 // of the group, by CPU; nil: not told
	all    environment.CPUTimes
}

func (s *pinned) look() (l ledger, err error) {
	if l.reading, err = s.meter.read(); err != nil {
		return l, err
	}
	if s.percpu != "" {
		text, err := readLine(s.percpu)
		if err != nil {
			return l, err
		}
		for word := range strings.FieldsSeq(text) {
			n, err := strconv.ParseInt(word, 10, 64)
			if err != nil {
				return l, fmt.Errorf("read %q: %w", s.percpu, err)
			}
			l.percpu = append(l.percpu, n)
		}
	}
	l.all, err = environment.ReadCPUTimes("/")
	return l, err
}

// values are the figures of a sample.
func (s *pinned) values(list []sample.Value, all seen, cpus []int, a, b ledger) []sample.Value {
	wall := float64(b.at - a.at)
	got := float64(b.usage-a.usage) / wall
	entitled := float64(min(s.cell.Threads, len(cpus)))
	if a.percpu != nil && len(b.percpu) == len(a.percpu) {
		outside := int64(0)
		for cpu := range b.percpu {
			if !slices.Contains(cpus, cpu) {
				outside += b.percpu[cpu] - a.percpu[cpu]
			}
		}
		list = append(list, sample.Value{Unit: "outside-ns", Value: float64(outside)})
	}
	return append(list,
		sample.Value{Unit: "look-count", Value: float64(all.looks)},
		sample.Value{Unit: "stray-count", Value: float64(all.strays)},
		sample.Value{Unit: "entitled-ratio", Value: entitled},
		sample.Value{Unit: "error-ratio", Value: got/entitled - 1},
		sample.Value{Unit: "budget-ratio", Value: 2 * float64(s.machine.tick) / wall},
		sample.Value{Unit: "steal-ratio", Value: environment.Steal(a.all, b.all)},
		sample.Value{Unit: "others-ratio", Value: max(0, environment.Busy(a.all, b.all)*float64(s.machine.env.CPUs)-got)},
		sample.Value{Unit: "achieved-ratio", Value: got})
}
