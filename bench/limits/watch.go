package limits

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"isoperf/bench/environment"
	"isoperf/bench/sample"
	"isoperf/runtime/program"
)

// Watch reads the counters of a group and of all above it that have a limit, for
// a while, and hands on a sample for each, the tightest first; and what the limits
// of memory and tasks are. It writes nothing. What was seen before the group
// vanished, or the watch was interrupted, is handed on too.
func (b *Bench) Watch(e *Existing, length time.Duration, emit func(string, []sample.Value) error) error {
	m, err := readMachine()
	if err != nil {
		return err
	}
	levels := tightest(e.Levels)
	watches := make([]*levelWatch, len(levels))
	for i, l := range levels {
		share := strconv.FormatFloat(math.Round(1e4*l.share())/100, 'f', -1, 64)
		w := &levelWatch{Level: l, name: fmt.Sprintf("Watch/limit=cpu.max/rank=%d/quota=%s%%/period=%v", i, share, l.Period)}
		if w.meter, err = newMeter(l.place.cpu, l.place.cpuacct, l.place.v2); err != nil {
			return err
		}
		defer w.meter.close()
		watches[i] = w
	}
	if err := b.record(sample.Checked{Case: "Watch", Limit: "cpu.max", Facts: map[string]string{"name": e.Name, "group": e.group}}); err != nil {
		return err
	}
	before, err := environment.ReadCPUTimes("/")
	if err != nil {
		return err
	}
	threads := watchThreads(watches)
	end := b.follow(watches, length)
	if err := threads(); err != nil && end == nil {
		return err
	}
	if end == nil && !e.stays() { // it need not have a limit of its own
		end = fmt.Errorf("watch group %q: %w", e.group, errVanished)
	}
	after, err := environment.ReadCPUTimes("/")
	if err != nil {
		return errors.Join(end, err)
	}
	for _, w := range watches {
		if err := b.tellLevel(e, w, m, environment.Steal(before, after), emit); err != nil {
			return errors.Join(end, err)
		}
	}
	if end != nil {
		return end
	}
	return b.tellStates(e, emit)
}

// levelWatch is a level that is being read.
type levelWatch struct {
	Level
	name    string
	meter   *meter
	list    []reading
	dropped int
	threads *threadWatch
}

// follow reads all levels in turn, until the time is up.
func (b *Bench) follow(watches []*levelWatch, length time.Duration) error {
	if len(watches) == 0 {
		return nil // there is nothing to see
	}
	pace := 5 * time.Millisecond
	for _, w := range watches {
		pace = min(pace, max(500*time.Microsecond, w.Period/20))
	}
	begin := program.Now()
	for next, end := begin, begin+int64(length); next < end && b.Context.Err() == nil; {
		for _, w := range watches {
			r, err := w.meter.read()
			if err != nil {
				return fmt.Errorf("watch group %q, %v after the watch began: %w", w.Group, time.Duration(program.Now()-begin).Round(time.Millisecond), err)
			}
			if r.took > int64(slow) {
				w.dropped++
			} else {
				w.list = append(w.list, r)
			}
		}
		now := program.Now()
		if next = max(next+int64(pace), now); next > now {
			doze(next - now)
		}
	}
	return b.Context.Err()
}

// tellLevel hands on what was seen of a level.
func (b *Bench) tellLevel(e *Existing, w *levelWatch, m machine, steal float64, emit func(string, []sample.Value) error) error {
	checked := sample.Checked{Case: w.name, Limit: "cpu.max", Asked: w.text, Facts: map[string]string{
		"name": e.Name, "group": w.Group, "cpus": strconv.Itoa(m.cpus),
	}}
	if strings.HasPrefix(m.env.SchedExt, "enabled") {
		checked.Doubts = append(checked.Doubts, "a BPF scheduler runs ("+m.env.SchedExt+"), which enforces CPU limits as it likes")
	}
	if emulated(m.env) {
		checked.Facts["emulated"] = "yes"
	}
	if to := e.moved(); to != "" {
		checked.Doubts = append(checked.Doubts, fmt.Sprintf("process %d was moved to group %q during the watch", e.pid, to))
	}
	read, err := w.place.cpuMax()
	switch {
	case errors.Is(err, errVanished):
		checked.Facts["vanished"] = "yes"
	case err != nil:
		return err
	case read != w.text:
		checked.Doubts = append(checked.Doubts, fmt.Sprintf("the limit was changed during the watch, from %q to %q", w.text, read))
	}
	checked.Read = read
	if n := len(w.list) + w.dropped; w.dropped*5 > n {
		checked.Doubts = append(checked.Doubts, fmt.Sprintf("%d of %d readings of the counters took longer than %v: this process was kept from running", w.dropped, n, slow))
	}
	if len(w.list) < 2 {
		return nil // it ended before anything was seen
	}
	x := watchedOf(w.list, w.Level, m)
	felt := w.threads.values(x.last.at - x.first.at)
	if why := w.threads.why(); why != "" {
		checked.Facts["threads"] = why
	}
	if err := emit(w.name, append(felt, x.values(w.Level, steal)...)); err != nil {
		return err
	}
	return b.record(checked, sample.Series{Name: "use per period", X: "ns", Y: "ratio", Points: x.uses})
}

// values are the figures of a watched level.
func (w watched) values(l Level, steal float64) []sample.Value {
	wall := float64(w.last.at - w.first.at)
	share := float64(w.last.usage-w.first.usage) / wall
	list := []sample.Value{
		{Unit: "entitled-ratio", Value: l.share()},
		{Unit: "wall-ns", Value: wall},
		{Unit: "quota-ns", Value: float64(l.Quota)},
		{Unit: "of-limit-ratio", Value: share / l.share()},
		{Unit: "period-count", Value: float64(w.periods)},
		{Unit: "throttled-count", Value: float64(w.throttled)},
		{Unit: "held-count", Value: float64(w.held)},
		{Unit: "stall-ns", Value: float64(w.stall)},
		{Unit: "spent-ns", Value: float64(w.spent)},
		{Unit: "stopped-ratio", Value: float64(w.last.throttledNS-w.first.throttledNS) / wall},
		{Unit: "steal-ratio", Value: steal},
	}
	if w.throttled > 0 {
		list = append(list, sample.Value{Unit: "mean-stall-ns", Value: float64((w.last.throttledNS - w.first.throttledNS) / w.throttled)})
	}
	if w.held > 0 {
		list = append(list, sample.Value{Unit: "error-ratio", Value: w.failure}, sample.Value{Unit: "budget-ratio", Value: w.budget})
	}
	return append(list, sample.Value{Unit: "achieved-ratio", Value: share})
}

// stays says whether the group itself is still there.
func (e *Existing) stays() bool {
	_, err := e.host.Lineage("cpu", e.group)
	return err == nil
}

// moved is the group in which the process is that the watch was asked for, if it
// is another one now. One that has ended has not been moved.
func (e *Existing) moved() string {
	if e.pid == 0 {
		return ""
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", e.pid))
	if err != nil {
		return ""
	}
	now, err := e.host.GroupOf("cpu", text)
	if err != nil || now == e.group {
		return ""
	}
	return now
}

// tellStates hands on the limits that are read once.
func (b *Bench) tellStates(e *Existing, emit func(string, []sample.Value) error) error {
	list, err := e.States()
	if err != nil {
		return err
	}
	for _, s := range list {
		unit := "count"
		if s.Limit == "memory.max" {
			unit = "B"
		}
		values := []sample.Value{{Unit: "max-" + unit, Value: s.Max}}
		if s.Peak >= 0 {
			values = append(values, sample.Value{Unit: "peak-" + unit, Value: s.Peak})
		}
		if s.Events >= 0 {
			values = append(values, sample.Value{Unit: "events-count", Value: s.Events})
		}
		name := "WatchState/limit=" + s.Limit
		if err := emit(name, append(values, sample.Value{Unit: "current-" + unit, Value: s.Current})); err != nil {
			return err
		}
		if err := b.record(sample.Checked{Case: name, Limit: s.Limit, Asked: strconv.FormatFloat(s.Max, 'f', -1, 64), Facts: map[string]string{"name": e.Name, "group": s.Group}}); err != nil {
			return err
		}
	}
	return nil
}

// Vanished says whether an error is that of a group that was removed while it
// was measured.
func Vanished(err error) bool {
	return errors.Is(err, errVanished) || errors.Is(err, os.ErrNotExist)
}

// Interrupted says whether an error is that of a measurement that was ended.
func Interrupted(err error) bool { return errors.Is(err, context.Canceled) }
