package startup

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/bench/harness"
	"isoperf/bench/sample"
	"isoperf/runtime/trace"
	"isoperf/runtime/trace/record"
)

// spansCase is where the time of our own runtime goes. Each sample is a start
// that writes its timeline, and beside it one that does not: the two have to
// take the same time.
func (b *Bench) spansCase(p peer, v variant, e harness.Extent) harness.Case {
	name := fmt.Sprintf("StartupSpans/runtime=%s/with=%s/pacing=burst", p.name, v.name)
	return harness.Case{
		Name: name, Run: 5, Samples: 4 * e.Burst, Cost: 2 * p.cost(), Drops: true,
		Open: func() (harness.Sampler, error) { return b.openSpans(p, v) },
	}
}

// spans starts isorun with and without a timeline, in turn.
type spans struct {
	plain, told *starter
	file        *os.File // in memory; the runtime writes its timeline there
	plan        []planned
	n           int
	tell        func(sample.Timeline) error // nil: nobody wants one
	last        []told                      // starts, from which a typical one is told
}

// told is a start that told its timeline.
type told struct {
	one    one
	events []trace.Event
}

// keep is how many starts the typical one is taken from.
const keep = 101

// planned is a line of the printed program.
type planned struct{ name, text string }

func (b *Bench) openSpans(p peer, v variant) (harness.Sampler, error) {
	w, err := b.open()
	if err != nil {
		return nil, err
	}
	f, err := w.prepare(p, v)
	if err != nil {
		return nil, refused(err)
	}
	s := &spans{}
	if tell := b.config.Timeline; tell != nil {
		s.tell = func(t sample.Timeline) error {
			t.Case = b.spansCase(p, v, harness.Extent{}).Name
			return tell(t)
		}
	}
	if err := s.ready(w, f); err != nil {
		s.Close()
		return nil, refused(err)
	}
	return s, nil
}

func (s *spans) ready(w *world, f *found) error {
	fd, err := unix.MemfdCreate("timeline", 0)
	if err != nil {
		return fmt.Errorf("make a file in memory: %w", err)
	}
	s.file = os.NewFile(uintptr(fd), "timeline")
	told := *f
	told.setup.id = w.name(f.setup.peer)
	// The flag stands before the container's name, the last argument.
	argv := f.start.argv
	last := len(argv) - 1
	told.start.argv = append(append(append([]string{}, argv[:last]...), "--timeline", strconv.Itoa(fd)), told.setup.id)
	plan := append(append(append([]string{}, argv[1:last]...), "--plan"), told.setup.id)
	text, err := answer(f.setup.peer.bound(), nil, nil, append(argv[:1:1], plan...)...)
	if err != nil {
		return fmt.Errorf("print the program of %s: %w", f.setup.peer.name, err)
	}
	s.plan = readPlan(string(text))
	if s.plain, err = w.newStarter(f, fd); err != nil {
		return err
	}
	s.told, err = w.newStarter(&told, fd)
	return err
}

var planLine = regexp.MustCompile(`^ *(?:\d+|-)  (.*?)  +(\S.*)$`)

// readPlan reads the ops of a printed program; its other lines tell what the
// launcher does.
func readPlan(text string) (list []planned) {
	for line := range strings.Lines(text) {
		if m := planLine.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			list = append(list, planned{m[1], m[2]})
		}
	}
	return list
}

// pair is a start that told its timeline, and one beside it that did not.
type pair struct {
	plain, with one
	text        []byte
	err         error
}

// Sample starts n pairs, and reads the timelines when all have been: that work
// is not to stand between two starts.
func (s *spans) Sample(n int, emit func([]sample.Value, error)) {
	pairs := make([]pair, 0, n)
	for range n {
		s.n++
		pairs = append(pairs, s.pair())
	}
	for _, p := range pairs {
		if p.err != nil && s.plain.w.context().Err() != nil {
			return // it was interrupted, and did not fail
		}
		emit(s.values(p))
	}
}

func (s *spans) pair() (p pair) {
	if s.n%2 == 0 {
		p.plain, p.err = s.plain.cycle()
	}
	if p.err == nil {
		p.err = s.clear()
	}
	if p.err == nil {
		p.with, p.err = s.told.cycle()
	}
	if p.err == nil {
		p.text, p.err = s.read()
	}
	if p.err == nil && s.n%2 != 0 {
		p.plain, p.err = s.plain.cycle()
	}
	return p
}

// clear empties the file, of which the runtime has the descriptor.
func (s *spans) clear() error {
	_, err := s.file.Seek(0, io.SeekStart)
	if err = errors.Join(err, s.file.Truncate(0)); err != nil {
		return fmt.Errorf("empty the timeline's file: %w", err)
	}
	return nil
}

// read is what the runtime wrote.
func (s *spans) read() ([]byte, error) {
	text := make([]byte, 64<<10)
	n, err := unix.Pread(int(s.file.Fd()), text, 0)
	if err != nil {
		return nil, fmt.Errorf("read the timeline: %w", err)
	}
	return text[:n], nil
}

// values are the sample of a pair.
func (s *spans) values(p pair) ([]sample.Value, error) {
	if p.err != nil {
		return nil, p.err
	}
	line, err := record.Read(p.text)
	if err != nil {
		return nil, err
	}
	events, err := s.explain(line)
	if err != nil {
		return nil, err
	}
	all, parts, err := divide(events, p.with)
	if err != nil {
		return nil, err
	}
	if s.tell != nil {
		s.last = append(s.last, told{p.with, all})
		s.last = s.last[max(0, len(s.last)-keep):]
	}
	values := append([]sample.Value{{Unit: "ready-ns", Value: float64(p.with.ready)}}, parts...)
	return append(values, sample.Value{Unit: "plain-ns", Value: float64(p.plain.total)}, sample.Value{Unit: "total-ns", Value: float64(p.with.total)}), nil
}

// explain makes events of a record: the ops are those of the printed program, in
// its order. The last one does not return, and has no end.
func (s *spans) explain(line record.Trace) ([]trace.Event, error) {
	if len(line.Ends) != len(s.plan) {
		return nil, fmt.Errorf("read the timeline: it has %d ops, the printed program %d", len(line.Ends), len(s.plan))
	}
	var events []trace.Event
	for _, step := range line.Steps {
		events = append(events, trace.Event{Lane: trace.Launcher, Name: step.Name, Start: step.Start, End: step.End})
		if step.Name == "clone3" {
			events = append(events, trace.Event{Lane: trace.Container, Name: "clone", Start: step.Start, End: line.First})
		}
	}
	at := line.First
	for i, end := range line.Ends {
		if end != 0 {
			events = append(events, trace.Event{Lane: trace.Container, Name: s.plan[i].name, Text: s.plan[i].text, Start: at, End: end})
			at = end
		}
	}
	return events, nil
}

// The parts of a start that are not in its own timeline.
const (
	partPayload = "payload and teardown"
	partRemove  = "remove what was made"
	partExit    = "exit of the runtime"
)

// divide names the whole time of a start, in order: the phases until the
// payload's first instruction, and what follows. What no phase owns is the
// residual.
func divide(events []trace.Event, o one) (all []trace.Event, parts []sample.Value, err error) {
	ready, total := o.entered+o.ready, o.entered+o.total
	first, last, reaped, ended := int64(0), int64(0), int64(0), int64(0)
	for _, e := range events {
		switch {
		case e.Lane == trace.Container:
			last = max(last, e.End)
		case e.Name == "wait":
			reaped = e.End
		case e.Name == "end":
			ended = e.End
		}
		if first == 0 || e.Start < first {
			first = e.Start
		}
	}
	if !(o.entered <= first && first <= last && last <= ready && ready <= reaped && reaped <= ended && ended <= total) {
		return nil, nil, fmt.Errorf("divide a start: its timeline does not fit between its beginning and its end (%d, %d, %d, %d, %d, %d, %d)",
			o.entered, first, last, ready, reaped, ended, total)
	}
	all = append(events,
		trace.Event{Lane: trace.Launcher, Name: "exec of the runtime", Start: o.entered, End: first},
		trace.Event{Lane: trace.Container, Name: "execve", Start: last, End: ready},
		trace.Event{Lane: trace.Command, Name: "command", Start: ready, End: reaped})
	var values []sample.Value
	residual := o.total
	add := func(name string, ns int64) {
		if ns > 0 {
			residual -= ns
			values = append(values, sample.Value{Unit: "span." + unitWord(name) + "-ns", Value: float64(ns)})
		}
	}
	for _, p := range trace.Phases(all) {
		if p.Name != trace.Other {
			add(p.Name, p.Ns)
		}
	}
	add(partPayload, reaped-ready)
	add(partRemove, ended-reaped)
	add(partExit, total-ended)
	return all, append(values, sample.Value{Unit: "residual-ns", Value: float64(residual)}), nil
}

var notInUnits = regexp.MustCompile(`[^a-z0-9]+`)

// unitWord is a phase's name as a part of a unit.
func unitWord(name string) string {
	return strings.Trim(notInUnits.ReplaceAllString(strings.ToLower(name), "-"), "-")
}

// typical is the start of the kept ones whose total is their median.
func (s *spans) typical() sample.Timeline {
	slices.SortFunc(s.last, func(a, b told) int { return cmp.Compare(a.one.total, b.one.total) })
	t := s.last[len(s.last)/2]
	line := sample.Timeline{Total: t.one.total}
	events, phases := trace.Sort(t.events)
	var ended, reaped int64
	for i, e := range events {
		b := sample.Bar{Lane: lanes[e.Lane], Phase: phases[i], From: e.Start - t.one.entered, To: e.End - t.one.entered}
		switch {
		case e.Lane == trace.Launcher && e.Name == "wait":
			b.Phase, reaped = "", b.To
		case e.Lane == trace.Launcher && e.Name == "end":
			b.Phase, ended = partRemove, b.To
		case e.Lane == trace.Launcher && b.From >= reaped && reaped > 0, b.From == b.To:
			continue // within the one above
		case e.Lane == trace.Command:
			b.Phase = partPayload
		}
		if n := len(line.Bars); n > 0 && line.Bars[n-1].Lane == b.Lane && line.Bars[n-1].Phase == b.Phase && line.Bars[n-1].To == b.From {
			line.Bars[n-1].To = b.To
			continue
		}
		line.Bars = append(line.Bars, b)
	}
	line.Bars = append(line.Bars, sample.Bar{Lane: lanes[trace.Launcher], Phase: partExit, From: ended, To: t.one.total})
	return line
}

// lanes are how a picture calls those of a start.
var lanes = map[string]string{trace.Launcher: "isorun", trace.Container: "the container's first process", trace.Command: "the payload"}

// Close gives back what open took.
func (s *spans) Close() error {
	var told error
	if s.tell != nil && len(s.last) > 0 {
		told = s.tell(s.typical())
	}
	for _, st := range []*starter{s.plain, s.told} {
		if st != nil {
			st.Close()
		}
	}
	if s.file != nil {
		return errors.Join(told, s.file.Close())
	}
	return told
}
