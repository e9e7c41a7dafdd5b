package main

import (
	"fmt"

	"golang.org/x/sys/unix"

	"isoperf/runtime/container"
	"isoperf/runtime/program"
	"isoperf/runtime/program/inherit"
	"isoperf/runtime/trace/record"
)

// timeline is the file of --timeline. It is opened first, so that a name that
// cannot be written fails in time, and written while the command runs and at
// the end: a start is to take the same time with it and without. A nil one does
// nothing.
type timeline struct {
	fd   int // not an os.File, which would ask for a poller
	text []byte
	last int64 // the end of the last step
	// What child saw: how many steps of the launcher, and when clone3 returned.
	events   int
	returned int64
	err      error // of child
}

// openTimeline opens the file; nil for no name. The steps so far are those
// before main, whose beginning only a binary that begins in inherit's entry
// knows, and the flags.
func openTimeline(name string) (*timeline, error) {
	if name == "" {
		return nil, nil
	}
	t := &timeline{text: make([]byte, 0, 12<<10), last: inherit.At()}
	if t.last != 0 {
		t.step("start Go", begun)
	}
	t.last = begun
	var err error
	if t.fd, err = unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o666); err != nil {
		return nil, fmt.Errorf("--timeline: open %q: %w", name, err)
	}
	t.mark("read flags")
	return t, nil
}

// mark ends a step of the launcher now.
func (t *timeline) mark(name string) {
	if t != nil {
		t.step(name, program.Now())
	}
}

func (t *timeline) step(name string, end int64) {
	t.text = record.Append(t.text, record.Event{Lane: "launcher", Name: name, Start: t.last, End: end})
	t.last = end
}

// child writes what the child did until its command, while that runs: most of
// what there is to write is written when nothing waits for it. One that did not
// come so far is told at the end, as far as it came.
func (t *timeline) child(c *container.Container) {
	if c.WaitExec() == nil {
		t.tell(c)
	}
}

// tell writes what the child did. An error shows again at the end.
func (t *timeline) tell(c *container.Container) {
	line := c.Timeline()
	t.add("launcher", "prepare", t.last, line.Entered)
	t.add("launcher", "clone3", line.Entered, line.Returned)
	t.add("container", "clone", line.Entered, line.First)
	for _, s := range line.Spans {
		t.text = record.Append(t.text, record.Event{Lane: "container", Name: s.Name, Start: s.Start, End: s.End, Result: s.Result, Own: s.Own})
	}
	for _, e := range c.Events() {
		t.add("launcher", e.Name, e.Start, e.End)
	}
	t.events, t.returned = len(c.Events()), line.Returned
	t.err = t.flush()
}

// add adds an event that happened.
func (t *timeline) add(lane, name string, start, end int64) {
	if start != 0 && end >= start {
		t.text = record.Append(t.text, record.Event{Lane: lane, Name: name, Start: start, End: end})
	}
}

// write adds the rest, nothing when no container was started, and ends the
// file.
func (t *timeline) write(c *container.Container) error {
	if t == nil {
		return nil
	}
	if c != nil {
		if t.returned == 0 {
			t.tell(c)
		}
		for _, e := range c.Events()[t.events:] {
			t.add("launcher", e.Name, e.Start, e.End)
		}
		t.add("launcher", "wait", t.returned, c.Reaped())
		t.last = max(t.last, c.Reaped())
	}
	t.mark("end")
	if t.err == nil {
		t.err = t.flush()
	}
	if err := unix.Close(t.fd); t.err == nil && err != nil {
		t.err = fmt.Errorf("--timeline: close: %w", err)
	}
	return t.err
}

// flush writes the text.
func (t *timeline) flush() error {
	for text := t.text; len(text) > 0; {
		n, err := unix.Write(t.fd, text)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("--timeline: write: %w", err)
		}
		text = text[max(0, n):]
	}
	t.text = t.text[:0]
	return nil
}
