package startup

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
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
}

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
	told.start.argv = append(append(append([]string{}, argv[:last]...), "--timeline", fmt.Sprintf("/proc/self/fd/%d", fd)), told.setup.id)
	plan := append(append(append([]string{}, argv[1:last]...), "--plan"), told.setup.id)
	text, err := exec.Command(argv[0], plan...).Output()
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

// Sample starts n pairs.
func (s *spans) Sample(n int, emit func([]sample.Value, error)) {
	for range n {
		s.n++
		emit(s.pair())
	}
}

func (s *spans) pair() ([]sample.Value, error) {
	var plain, told one
	var err error
	if s.n%2 == 0 {
		plain, err = s.plain.cycle()
	}
	if err == nil {
		told, err = s.told.cycle()
	}
	if err == nil && s.n%2 != 0 {
		plain, err = s.plain.cycle()
	}
	if err != nil {
		return nil, err
	}
	text := make([]byte, 64<<10)
	n, err := unix.Pread(int(s.file.Fd()), text, 0)
	if err != nil {
		return nil, fmt.Errorf("read the timeline: %w", err)
	}
	events, err := record.Read(text[:n])
	if err != nil {
		return nil, err
	}
	parts, err := divide(s.tell(events), told)
	if err != nil {
		return nil, err
	}
	values := append([]sample.Value{{Unit: "ready-ns", Value: float64(told.ready)}}, parts...)
	return append(values, sample.Value{Unit: "plain-ns", Value: float64(plain.total)}, sample.Value{Unit: "total-ns", Value: float64(told.total)}), nil
}

// tell gives the events the texts of the program, which are not in the record.
func (s *spans) tell(list []record.Event) []trace.Event {
	events, at := make([]trace.Event, 0, len(list)), 0
	for _, r := range list {
		e := trace.Event{Lane: r.Lane, Name: r.Name, Start: r.Start, End: r.End}
		if r.Lane == trace.Container {
			for i := at; i < len(s.plan); i++ {
				if s.plan[i].name == r.Name {
					e.Text, at = s.plan[i].text, i+1
					break
				}
			}
		}
		events = append(events, e)
	}
	return events
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
func divide(events []trace.Event, o one) ([]sample.Value, error) {
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
		return nil, fmt.Errorf("divide a start: its timeline does not fit between its beginning and its end (%d, %d, %d, %d, %d, %d, %d)",
			o.entered, first, last, ready, reaped, ended, total)
	}
	events = append(events,
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
	for _, p := range trace.Phases(events) {
		if p.Name != trace.Other {
			add(p.Name, p.Ns)
		}
	}
	add(partPayload, reaped-ready)
	add(partRemove, ended-reaped)
	add(partExit, total-ended)
	return append(values, sample.Value{Unit: "residual-ns", Value: float64(residual)}), nil
}

var notInUnits = regexp.MustCompile(`[^a-z0-9]+`)

// unitWord is a phase's name as a part of a unit.
func unitWord(name string) string {
	return strings.Trim(notInUnits.ReplaceAllString(strings.ToLower(name), "-"), "-")
}

// Close gives back what open took.
func (s *spans) Close() error {
	for _, st := range []*starter{s.plain, s.told} {
		if st != nil {
			st.Close()
		}
	}
	if s.file != nil {
		return s.file.Close()
	}
	return nil
}
