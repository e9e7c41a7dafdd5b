package limits

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"isoperf/bench/environment"
	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/workloads/load"
)

// LatencyCell is a service in a group with a CPU limit: requests that are due at
// fixed times, whatever became of those before. Beside it, in the same sample, the
// same runs without a limit.
type LatencyCell struct {
	Quota  float64       // of one CPU
	Period time.Duration // 0: 100 ms
	Work   time.Duration // CPU time of a request; 0: 20 µs, or 100 µs of one that is alone
	Every  time.Duration // between the times at which two are due; 0: 1 ms
	// Alone: there is nobody else in the group, and the requests want less than
	// the limit. Otherwise a thread of the same process uses up what is left.
	Alone bool
}

func (c LatencyCell) cell() Cell { return Cell{Quota: c.Quota, Period: c.Period} }

// work is small beside a spinner: of the 20 % the requests get half, if they want
// it, so those of 100 µs every ms want just what they get. Then they queue up
// over several periods, and it is the queue that they feel more than the limit.
func (c LatencyCell) work() time.Duration {
	switch {
	case c.Work > 0:
		return c.Work
	case c.Alone:
		return 100 * time.Microsecond
	}
	return 20 * time.Microsecond
}

func (c LatencyCell) every() time.Duration {
	if c.Every == 0 {
		return time.Millisecond
	}
	return c.Every
}

func (c LatencyCell) name() string {
	beside := "spinner"
	if c.Alone {
		beside = "nobody"
	}
	name := fmt.Sprintf("Latency/quota=%s%%/period=%v/beside=%s/work=%v/every=%v",
		strconv.FormatFloat(math.Round(1e4*c.Quota)/100, 'f', -1, 64), c.cell().period(), beside, c.work(), c.every())
	return strings.ReplaceAll(name, "µ", "u")
}

func (c LatencyCell) threads() int {
	if c.Alone {
		return 1
	}
	return 2
}

// Latency are the cases: what a request feels whose process uses the limit up, and
// what one feels that is alone and well behaved, which should be nothing.
func (b *Bench) Latency(e harness.Extent) []harness.Case {
	m, failed := readMachine()
	cells := []LatencyCell{{Quota: 0.2}, {Quota: 0.2, Alone: true}}
	if e.Wide {
		cells = append(cells, LatencyCell{Quota: 0.2, Work: 100 * time.Microsecond}, LatencyCell{Quota: 0.5}, LatencyCell{Quota: 0.2, Period: 10 * time.Millisecond})
	}
	length := b.Window
	switch {
	case length > 0:
	case e.Wide:
		length = 10 * time.Second
	default:
		length = 4 * time.Second
	}
	var cases []harness.Case
	for _, c := range cells {
		cases = append(cases, b.newCase(c.name(), e, 2*length+time.Second, func(name string, g *ground) (func() ([]sample.Value, error), error) {
			if failed != nil {
				return nil, failed
			}
			s := &probed{bench: b, name: name, machine: m, cell: c, length: length}
			return s.sample, s.open(g)
		}))
	}
	return cases
}

// probed is a service with a limit, and its control.
type probed struct {
	bench   *Bench
	name    string
	machine machine
	cell    LatencyCell
	length  time.Duration // of all turns of one side
	sides   [2]*side      // with the limit, and without
}

type side struct {
	worker *worker
	place  place
	meter  *meter
	turns  []span
	// periods passed in its turns, and it was stopped in some.
	periods, throttled int64
}

func (s *probed) open(g *ground) error {
	resources := s.cell.cell().resources()
	for i, id := range [2]string{"latency", "control"} {
		group, err := g.group(id, resources, "cpu", "cpuacct")
		if err != nil {
			return err
		}
		one := &side{place: placeOf(group)}
		if one.meter, err = g.meter(group); err != nil {
			return err
		}
		spec := load.Spec{Kind: "probe", Threads: s.cell.threads(), Work: s.cell.work(), Every: s.cell.every()}
		if one.worker, err = g.start(group, spec); err != nil {
			return err
		}
		s.sides[i], resources = one, nil
	}
	return nil
}

// pairs is how often the sides take turns: what the machine does besides falls
// on both.
const pairs = 4

// sample has both sides work in turns.
func (s *probed) sample() ([]sample.Value, error) {
	checked := sample.Checked{Case: s.name, Limit: "cpu.max", Asked: s.cell.cell().limit(), Doubts: s.bench.doubts(s.machine)}
	doubt := func(format string, args ...any) {
		checked.Doubts = append(checked.Doubts, fmt.Sprintf(format, args...))
	}
	if err := s.present("began", doubt); err != nil {
		return nil, err
	}
	before, err := s.look()
	if err != nil {
		return nil, err
	}
	for _, one := range s.sides {
		one.worker.board.Go()
	}
	for range pairs {
		for _, one := range s.sides {
			if err := s.turn(one); err != nil {
				return nil, err
			}
		}
	}
	after, err := s.look()
	if err != nil {
		return nil, err
	}
	if err := s.present("ended", doubt); err != nil {
		return nil, err
	}
	for i, one := range s.sides {
		read, err := one.place.cpuMax()
		if err != nil {
			return nil, err
		}
		if i == 0 {
			checked.Read = read
		}
		if i == 0 && read != checked.Asked || i == 1 && !strings.HasPrefix(read, "max") {
			doubt("the limit that is in force %s is %q: something else has changed it", [2]string{"", "beside it"}[i], read)
		}
	}
	values, series := s.values(before, after, doubt)
	return values, s.bench.record(checked, series...)
}

// present doubts the measurement when a thread is not where it should be.
func (s *probed) present(when string, doubt func(string, ...any)) error {
	for _, one := range s.sides {
		if err := one.worker.within(one.place, s.name, when, doubt); err != nil {
			return err
		}
	}
	return nil
}

// turn has one side work, and waits until it pauses.
func (s *probed) turn(one *side) error {
	board := one.worker.board
	begin := board.Phase.Add(1) // odd: it works
	if err := s.heard(one, begin); err != nil {
		return err
	}
	from, err := one.meter.read()
	if err == nil {
		err = pause(s.bench.Context, s.length/pairs)
	}
	if err != nil {
		return err
	}
	to, err := one.meter.read()
	if err != nil {
		return err
	}
	one.turns = append(one.turns, span{from.at, to.at})
	one.periods, one.throttled = one.periods+to.periods-from.periods, one.throttled+to.throttled-from.throttled
	return s.heard(one, board.Phase.Add(1))
}

// heard waits until all threads of a side have taken note of a phase.
func (s *probed) heard(one *side, phase int64) error {
	for begin := time.Now(); ; {
		all := true
		for i := range s.cell.threads() {
			all = all && one.worker.board.Slots[i].Loops.Load() == uint64(phase)
		}
		switch {
		case all:
			return nil
		case time.Since(begin) > patience:
			return fmt.Errorf("measure %s: the probe does not pause within %v: more is due than it gets done; give it less work, or a higher quota", s.name, patience)
		}
		if err := pause(s.bench.Context, time.Millisecond); err != nil {
			return err
		}
	}
}

// glimpse is what was used, at a moment.
type glimpse struct {
	sides [2]reading
	all   environment.CPUTimes
}

func (s *probed) look() (l glimpse, err error) {
	for i, one := range s.sides {
		if l.sides[i], err = one.meter.read(); err != nil {
			return l, err
		}
	}
	l.all, err = environment.ReadCPUTimes("/")
	return l, err
}

// values are the figures of a sample. The first two periods of a turn do not
// count, in which a side still has quota that it saved while it paused, nor do the
// last two, whose requests may have been served when nobody was beside them.
func (s *probed) values(a, b glimpse, doubt func(string, ...any)) ([]sample.Value, []sample.Series) {
	var sorted [2][]float64
	var in [2][]span
	for i, one := range s.sides {
		wanted := 0
		for _, turn := range one.turns {
			t := turn.without(2 * s.cell.cell().period())
			in[i] = append(in[i], t)
			wanted += int(max(0, t.to-t.from) / int64(s.cell.every()))
		}
		events := one.worker.board.Since(0)
		sorted[i] = latencies(events, in[i])
		if n := one.worker.board.Noted.Load(); n > load.Events {
			doubt("there were %d events, more than the %d that a board keeps: measure for a shorter time", n, load.Events)
		}
		if got := len(sorted[i]); got < wanted-pairs || got == 0 {
			doubt("of %d requests that were due, %d were served", wanted, got)
		}
	}
	quota, period := s.cell.cell().quota(), s.cell.cell().period()
	first := s.sides[0].worker.board.Since(0)
	var list []sample.Value
	if limited := s.sides[0]; limited.periods > 0 {
		list = append(list, sample.Value{Unit: "throttled-ratio", Value: float64(limited.throttled) / float64(limited.periods)})
	}
	if !s.cell.Alone { // alone, there is nobody who sees when the group stands still
		still := stops(first, (period-quota)/4)
		list = append(list, sample.Value{Unit: "stop-count", Value: float64(len(still))},
			sample.Value{Unit: "attributed-ratio", Value: attributed(first, in[0], still, s.cell.work())},
			sample.Value{Unit: "expected-max-ns", Value: float64(period - quota)})
	}
	wall := float64(b.sides[0].at - a.sides[0].at)
	used := float64(b.sides[0].usage-a.sides[0].usage+b.sides[1].usage-a.sides[1].usage) / wall
	list = append(list,
		sample.Value{Unit: "request-count", Value: float64(len(sorted[0]))},
		sample.Value{Unit: "steal-ratio", Value: environment.Steal(a.all, b.all)},
		sample.Value{Unit: "others-ratio", Value: max(0, environment.Busy(a.all, b.all)*float64(s.machine.env.CPUs)-used)})
	marks := []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p999", 0.999}, {"max", 1}, {"p99", 0.99}}
	for i, prefix := range [2]string{"control-", ""} { // the main figure stands last
		for _, q := range marks {
			list = append(list, sample.Value{Unit: prefix + q.name + "-ns", Value: quantile(sorted[1-i], q.at)})
		}
	}
	return list, []sample.Series{curve("latency", sorted[0]), curve("latency, control", sorted[1])}
}
