package limits

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"isoperf/bench/environment"
	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
	"isoperf/workloads/load"
)

// IOCell is a limit on a device, and the requests that are held to it.
type IOCell struct {
	Way   string // rbps, wbps, riops or wiops, as io.max has them
	Limit int64  // bytes, or requests, per second
	Block int64  // bytes of a request
	Null  bool   // on a null block device, not on a loop device
}

// longestRequest is how long a request may take by its limit. One that is
// throttled cannot be killed, and ten make a window.
const longestRequest = 2 * time.Second

// IOMax are limits on reading and writing, in bytes and in requests, with small
// and with large requests. The device is ours: a loop device on memory and, where the
// kernel has it, a null block device.
func (b *Bench) IOMax(e harness.Extent) []harness.Case {
	var cases []harness.Case
	m, err := readMachine()
	for _, c := range ioGrid(e) {
		l := c.ioLimit(1, m)
		length := b.Window
		if length == 0 {
			length = l.length()
		}
		cases = append(cases, b.newCase(c.name(), e, length+ioSettling+ioControlLength+200*time.Millisecond, func(name string, g *ground) (func() ([]sample.Value, error), error) {
			if err != nil {
				return nil, err
			}
			if each := time.Duration(float64(c.Block) / l.rate * float64(time.Second)); each > longestRequest {
				return nil, harness.NotMeasured{Why: fmt.Sprintf("one request of %s takes %v at %s a second: too few come to an end to say how many there are; give a higher limit", ioSize(c.Block), each, c.limitName())}
			}
			return b.openIOMax(name, c, m, g, length)
		}))
	}
	return cases
}

// ioGrid is ways by limits by sizes; a look has fewer.
func ioGrid(e harness.Extent) []IOCell {
	small, large := int64(4<<10), int64(1<<20)
	var cells []IOCell
	for _, way := range []string{"rbps", "wbps", "riops", "wiops"} {
		limits := []int64{64 << 10, 1 << 20, 100 << 20}
		if strings.HasSuffix(way, "iops") {
			limits = []int64{16, 256, 25600} // the same, 4 KiB at a time
		}
		for _, limit := range limits {
			if !e.Wide && limit != limits[1] {
				continue
			}
			for _, block := range []int64{small, large} {
				if e.Wide || block == small {
					cells = append(cells, IOCell{Way: way, Limit: limit, Block: block})
				}
			}
			if e.Wide && limit == limits[1] {
				cells = append(cells, IOCell{Way: way, Limit: limit, Block: small, Null: true})
			}
		}
	}
	return cells
}

func (c IOCell) reads() bool { return c.Way[0] == 'r' }
func (c IOCell) bps() bool   { return strings.HasSuffix(c.Way, "bps") }

func (c IOCell) limitName() string {
	if c.bps() {
		return ioSize(c.Limit)
	}
	return strconv.FormatInt(c.Limit, 10)
}

func (c IOCell) name() string {
	name := fmt.Sprintf("IoMax/way=%s/limit=%s/block=%s", c.Way, c.limitName(), ioSize(c.Block))
	if c.Null {
		name += "/device=null"
	}
	return name
}

// ioSize is "64KiB", "1MiB".
func ioSize(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}

// ioLimit is the limit in bytes per second of the load's requests, of which the
// kernel makes so many each.
func (c IOCell) ioLimit(split float64, m machine) ioLimit {
	l := ioLimit{rate: float64(c.Limit), block: c.Block, threads: 1, tick: m.tick}
	if !c.bps() {
		l.rate = float64(c.Limit) * float64(c.Block) / split
	}
	if l.rate/float64(c.Block) > 1000 {
		l.threads = 4 // one alone may not reach it
	}
	return l
}

func (c IOCell) load(d *ioDevice, threads int) load.Spec {
	s := load.Spec{Kind: "io", Threads: threads, Path: d.path, Bytes: d.bytes, Step: c.Block, Extra: "write"}
	if c.reads() {
		s.Extra = "read"
	}
	return s
}

// resources are the limit on a device.
func (c IOCell) resources(d *ioDevice) *specs.LinuxResources {
	var t specs.LinuxThrottleDevice
	_, _ = fmt.Sscanf(d.id, "%d:%d", &t.Major, &t.Minor) // the id was made of these two
	t.Rate = uint64(c.Limit)
	list := []specs.LinuxThrottleDevice{t}
	io := &specs.LinuxBlockIO{}
	switch c.Way {
	case "rbps":
		io.ThrottleReadBpsDevice = list
	case "wbps":
		io.ThrottleWriteBpsDevice = list
	case "riops":
		io.ThrottleReadIOPSDevice = list
	case "wiops":
		io.ThrottleWriteIOPSDevice = list
	}
	return &specs.LinuxResources{BlockIO: io}
}

// ioSample is one measurement of a load that is held to a limit on a device.
type ioSample struct {
	name    string
	cell    IOCell
	machine machine
	device  *ioDevice
	limit   ioLimit
	place   ioPlace
	worker  *worker
	control ioControl
	length  time.Duration
}

// openIOMax makes a device, sees what it can do without a limit, and makes a
// group with the limit and a load in it.
func (b *Bench) openIOMax(name string, c IOCell, m machine, g *ground, length time.Duration) (func() ([]sample.Value, error), error) {
	d, err := c.device()
	if err != nil {
		return nil, err
	}
	g.onClose(d.close)
	s := &ioSample{name: name, cell: c, machine: m, device: d, length: length}
	if s.control, err = s.unlimited(b.Context, g); err != nil {
		return nil, err
	}
	s.limit = c.ioLimit(s.control.split, m)
	if s.control.rate < 1.2*s.limit.rate {
		return nil, harness.NotMeasured{Why: fmt.Sprintf("the device reaches only %.0f MiB/s with requests of %s without a limit, and the limit is %.0f MiB/s; give a lower one",
			s.control.rate/(1<<20), ioSize(c.Block), s.limit.rate/(1<<20))}
	}
	made, err := g.group("iomax", c.resources(d), "blkio")
	if err != nil {
		return nil, err
	}
	s.place = ioPlaceOf(made)
	if s.worker, err = g.start(made, c.load(d, s.limit.threads)); err != nil {
		return nil, err
	}
	return func() ([]sample.Value, error) { return b.sampleIO(s) }, nil
}

// device makes the one that the cell is measured on.
func (c IOCell) device() (*ioDevice, error) {
	if c.Null {
		return newNullDevice()
	}
	return newIODevice()
}

// ioControl is what a load does in a group without a limit.
type ioControl struct {
	rate  float64 // bytes per second
	split float64 // requests that the kernel counts for one of the load's
}

const ioControlLength = 400 * time.Millisecond

// unlimited runs the same load in a group with a limit that it cannot reach:
// without any on the device, the kernel counts nothing for version 1.
func (s *ioSample) unlimited(ctx context.Context, g *ground) (c ioControl, err error) {
	wide := s.cell
	wide.Limit = 1 << 31
	if wide.bps() {
		wide.Limit = 1 << 40
	}
	free, err := g.group("iofree", wide.resources(s.device), "blkio")
	if err != nil {
		return c, err
	}
	w, err := g.start(free, s.cell.load(s.device, s.cell.ioLimit(1, s.machine).threads))
	if err != nil {
		return c, err
	}
	begin := program.Now()
	w.board.Go()
	if err := ioWait(ctx, ioControlLength); err != nil {
		return c, err
	}
	status, err := w.stop()
	took := time.Duration(program.Now() - begin)
	if err == nil && !status.Success() {
		err = fmt.Errorf("it ended with %v", status)
	}
	if err != nil {
		return c, fmt.Errorf("run load %q without a limit: %w", s.name, err)
	}
	done, requests := w.did()
	_, counted, err := ioPlaceOf(free).counted(s.cell.reads(), s.device)
	if err != nil {
		return c, err
	}
	if requests == 0 || counted == 0 {
		return c, fmt.Errorf("run load %q without a limit: it made %d requests, the kernel counted %d; is the io controller on?", s.name, requests, counted)
	}
	c.rate = float64(done) / took.Seconds()
	if c.split = float64(counted) / float64(requests); math.Abs(c.split-math.Round(c.split)) < 0.02 {
		c.split = math.Round(c.split) // a straggler
	}
	return c, nil
}

// did are the bytes and the requests of a load by its own counters.
func (w *worker) did() (bytes, requests int64) {
	for i := range w.board.Slots {
		bytes += w.board.Slots[i].Count.Load()
		requests += int64(w.board.Slots[i].Loops.Load())
	}
	return bytes, requests
}

// ioWait waits, unless the context ends before.
func ioWait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// sampleIO lets the load run for a while, stops it, and reads what it says.
func (b *Bench) sampleIO(s *ioSample) ([]sample.Value, error) {
	asked := strconv.FormatInt(s.cell.Limit, 10)
	checked := sample.Checked{Case: s.name, Limit: "io.max", Asked: s.cell.Way + "=" + asked, Doubts: b.doubts(s.machine),
		Facts: map[string]string{"device": s.device.what, "threads": strconv.Itoa(s.limit.threads)}}
	doubt := func(format string, args ...any) {
		checked.Doubts = append(checked.Doubts, fmt.Sprintf(format, args...))
	}
	if err := s.members(doubt, "began"); err != nil {
		return nil, err
	}
	before, err := environment.ReadCPUTimes("/")
	if err != nil {
		return nil, err
	}
	begin := program.Now()
	s.worker.board.Go()
	if err := ioWait(b.Context, ioSettling+s.length); err != nil {
		return nil, err
	}
	after, err := environment.ReadCPUTimes("/")
	if err != nil {
		return nil, err
	}
	if err := s.members(doubt, "ended"); err != nil {
		return nil, err
	}
	read, err := s.place.inForce(s.cell, s.device)
	if err != nil {
		return nil, err
	}
	if checked.Read = s.cell.Way + "=" + read; read != asked {
		doubt("the limit that is in force is %q, not %q: something else has changed it", checked.Read, checked.Asked)
	}
	status, err := s.worker.stop()
	if err == nil && !status.Success() {
		err = fmt.Errorf("it ended with %v", status)
	}
	if err != nil {
		return nil, fmt.Errorf("stop load %q: %w", s.name, err)
	}
	values, series, err := s.values(begin, environment.Steal(before, after), doubt)
	if err != nil { // nothing is recorded: a record belongs to figures
		return nil, err
	}
	return values, b.record(checked, series)
}

// members doubts the measurement when a thread is not where it should be.
func (s *ioSample) members(doubt func(string, ...any), when string) error {
	if s.worker.gone() {
		return fmt.Errorf("measure %s: its load has ended by itself", s.name)
	}
	strays, err := s.worker.strays(s.place.dir, s.place.v2)
	if len(strays) > 0 {
		doubt("when it %s, thread %d of the load was not in the group", when, strays[0])
	}
	return err
}

// values are the figures of a sample, and the curve of the load's bytes.
func (s *ioSample) values(begin int64, steal float64, doubt func(string, ...any)) ([]sample.Value, sample.Series, error) {
	own, requests := s.worker.did()
	counted, ios, err := s.place.counted(s.cell.reads(), s.device)
	if err != nil {
		return nil, sample.Series{}, err
	}
	if noted := s.worker.board.Noted.Load(); noted > load.Events {
		doubt("the load noted %d events, and only %d were kept", noted, load.Events)
	}
	events := s.worker.board.Since(0)
	w, ok := measureIO(events, s.limit, begin, s.length)
	if !ok {
		doubt("fewer than three requests came to an end within %v", s.length)
		return nil, sample.Series{}, fmt.Errorf("measure %s: fewer than three requests came to an end within %v; give a higher limit, or smaller requests", s.name, s.length)
	}
	accounted, split := 0.0, 0.0
	if own > 0 && requests > 0 {
		accounted, split = float64(counted)/float64(own)-1, float64(ios)/float64(requests)
	}
	return []sample.Value{
		{Unit: "error-ratio", Value: w.failure},
		{Unit: "abs-error-ratio", Value: math.Abs(w.failure)},
		{Unit: "budget-ratio", Value: w.budget},
		{Unit: "burst-ratio", Value: w.burst},
		{Unit: "burst-budget-ratio", Value: w.most},
		{Unit: "accounted-ratio", Value: accounted},
		{Unit: "split-count", Value: split},
		{Unit: "reach-ratio", Value: s.control.rate / s.limit.rate},
		{Unit: "slice-count", Value: math.Floor(float64(w.wall) / float64(throttleSlice))},
		{Unit: "stall-ns", Value: float64(w.stall)},
		{Unit: "steal-ratio", Value: steal},
		{Unit: "achieved-B/s", Value: w.rate},
		{Unit: "achieved-ratio", Value: w.failure + 1},
	}, sample.Series{Name: "bytes per slice", Y: "ratio", Points: bySlice(events, s.limit, begin)}, nil
}

// bySlice is what was done in each slice of time, relative to the limit.
func bySlice(events []load.Event, l ioLimit, begin int64) [][2]float64 {
	var sums []float64
	for _, e := range events {
		i := int((e.To - begin) / int64(throttleSlice))
		if e.Kind != load.Step || i < 0 {
			continue
		}
		for len(sums) <= i {
			sums = append(sums, 0)
		}
		sums[i] += float64(e.Value) / (l.rate * throttleSlice.Seconds())
	}
	return indexed(sums)
}
