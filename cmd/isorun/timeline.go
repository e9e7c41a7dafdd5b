package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

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
	t := &timeline{text: make([]byte, 0, 4<<10)}
	t.begin()
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

// timelineVariable names a directory like --timeline, for those who cannot give
// more flags to whoever calls isorun.
const timelineVariable = "ISORUN_TIMELINE"

// timelineEnd is what the names of files in that directory end with.
const timelineEnd = ".timeline"

// timelineFile is a name for the timeline of a command, in a directory.
func timelineFile(dir, id, command string) string {
	if id == "" {
		id = "none"
	}
	return fmt.Sprintf("%s/%s-%s-%d%s", dir, id, command, time.Now().UnixNano(), timelineEnd)
}

// beginTimeline is the timeline of a command whose file is made when it is over;
// nil: none is wanted. It says early what will fail then.
func (g *globals) beginTimeline() (*timeline, error) {
	if g.timelines == "" {
		g.timelines = os.Getenv(timelineVariable)
	}
	if g.timelines == "" {
		return nil, nil
	}
	if err := unix.Access(g.timelines, unix.W_OK|unix.X_OK); err != nil {
		return nil, fmt.Errorf("--timeline: directory %q: %w; make it, or choose another (%s names one, too)", g.timelines, err, timelineVariable)
	}
	t := &timeline{fd: -1, text: make([]byte, 0, 4<<10)}
	t.begin()
	t.mark("read flags")
	return t, nil
}

// keep writes the timeline of a command that went well into a file of its own.
func (t *timeline) keep(dir, id, command string) error {
	if t == nil {
		return nil
	}
	name := timelineFile(dir, id, command)
	var err error
	if t.fd, err = unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644); err != nil {
		return fmt.Errorf("--timeline: create %q: %w", name, err)
	}
	return t.write(nil)
}

// ready adds what a container did until it waits for its start.
func (t *timeline) ready(c *container.Container) {
	if t == nil {
		return
	}
	t.tell(c)
	t.step("get ready", c.Line().Returned, program.Now())
	t.last = program.Now()
}

// begin adds the steps before main.
func (t *timeline) begin() {
	t.last = inherit.At()
	if t.last != 0 {
		t.step("start Go", t.last, begun)
	}
	t.last = begun
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
