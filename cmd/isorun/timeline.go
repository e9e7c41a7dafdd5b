package main

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"isoperf/runtime/container"
	"isoperf/runtime/program"
	"isoperf/runtime/program/inherit"
	"isoperf/runtime/trace/record"
)

// timeline is the file of --timeline. It is opened first, so that a name that
// cannot be written fails in time, and written last, in few microseconds: a start
// is to take the same time with it and without. A nil one does nothing.
type timeline struct {
	fd   int // not an os.File, which would ask for a poller
	text []byte
	last int64 // the end of the last step
}

// openTimeline opens the file; nil for no name. The steps so far are those
// before main, whose beginning only a binary that begins in inherit's entry
// knows, and the flags.
func openTimeline(name string) (*timeline, error) {
	if name == "" {
		return nil, nil
	}
	t := &timeline{text: make([]byte, 0, 4<<10), last: inherit.At()}
	if t.last != 0 {
		t.step("start Go", t.last, begun)
	}
	t.last = begun
	if fd, err := strconv.Atoi(name); err == nil { // a descriptor is open already
		t.fd = fd
		t.mark("read flags")
		return t, nil
	}
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
		now := program.Now()
		t.step(name, t.last, now)
		t.last = now
	}
}

// step adds one that happened.
func (t *timeline) step(name string, start, end int64) {
	if start != 0 && end >= start {
		t.text = record.Append(t.text, record.Step{Name: name, Start: start, End: end})
	}
}

// rehearse does what write does, for nothing: while the child gets ready there
// is time to have the code and the memory at hand that the end will need.
func (t *timeline) rehearse(c *container.Container) {
	n := len(t.text)
	t.tell(c)
	t.text = t.text[:n]
}

// tell adds what the container did, and says when it was reaped.
func (t *timeline) tell(c *container.Container) (reaped int64) {
	line := c.Line()
	t.step("prepare", t.last, line.Entered)
	t.step("clone3", line.Entered, line.Returned)
	t.step("wait", line.Returned, line.Reaped)
	t.text = record.AppendOps(t.text, line.First, line.Ends)
	for _, e := range c.Events() {
		t.step(e.Name, e.Start, e.End)
	}
	return line.Reaped
}

// write adds what the container did, nothing when it was not started, and ends
// the file.
func (t *timeline) write(c *container.Container) error {
	if t == nil {
		return nil
	}
	if c != nil {
		t.last = max(t.last, t.tell(c))
	}
	t.mark("end")
	for text := t.text; len(text) > 0; {
		n, err := unix.Write(t.fd, text)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("--timeline: write: %w", err)
		}
		text = text[max(0, n):]
	}
	if err := unix.Close(t.fd); err != nil {
		return fmt.Errorf("--timeline: close: %w", err)
	}
	return nil
}
