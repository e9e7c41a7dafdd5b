package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"isoperf/runtime/foreground"
	"isoperf/runtime/trace"
)

// reportStart writes the timeline and the profile that were asked for.
func (c *cli) reportStart(f *runFlags, r foreground.Result, link *linking, start int64) error {
	if f.timeline == "" && !f.profile {
		return nil
	}
	events := trace.FromTimeline(r.Container.Timeline())
	for _, e := range r.Container.Events() {
		events = append(events, trace.Event{Lane: trace.Launcher, Name: e.Name, Start: e.Start, End: e.End})
	}
	if link.link != nil {
		for _, s := range link.link.Steps() {
			events = append(events, trace.Event{Lane: trace.Launcher, Name: s.Name, Start: s.Start, End: s.End})
		}
	}
	if r.Executed != 0 {
		events = trace.Executed(events, r.Executed)
	}
	if first := earliest(events); start < first {
		events = append(events, trace.Event{Lane: trace.Launcher, Name: "prepare", Text: "plan the container, and make its control group", Start: start, End: first})
	}
	meta := map[string]string{
		"command": strings.Join(f.Args, " "), "container": f.ID, "version": version(),
		"runtime-peak-rss-B": strconv.FormatInt(peakRSS(), 10),
	}
	if f.trace != nil {
		if err := f.trace.write(events, meta); err != nil {
			return err
		}
	}
	if !f.profile {
		return nil
	}
	if err := trace.Bars(c.stderr, trace.Phases(events), 80); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.stderr, "peak memory of the runtime: %.1f MiB\n", float64(peakRSS())/(1<<20))
	return err
}

// earliest is when the first of the events began.
func earliest(events []trace.Event) int64 {
	first := int64(0)
	for i, e := range events {
		if i == 0 || e.Start < first {
			first = e.Start
		}
	}
	return first
}

// traceFile is the file of --timeline. It is opened before the container
// starts, so that a name that cannot be written fails in time, and what was in
// it stays until there is something to write.
type traceFile struct {
	file    *os.File
	created bool // there was none of that name
	written bool
}

func openTrace(name string) (*traceFile, error) {
	_, err := os.Lstat(name)
	t := &traceFile{created: errors.Is(err, os.ErrNotExist)}
	if t.file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666); err != nil {
		return nil, fmt.Errorf("--timeline: %w", err)
	}
	return t, nil
}

func (t *traceFile) write(events []trace.Event, meta map[string]string) error {
	// Of what is no file, such as a pipe, nothing can be cut off.
	if info, err := t.file.Stat(); err == nil && info.Mode().IsRegular() {
		if err := t.file.Truncate(0); err != nil {
			return fmt.Errorf("--timeline: %w", err)
		}
	}
	t.written = true
	if err := trace.Write(t.file, events, meta); err != nil {
		return fmt.Errorf("--timeline %q: %w", t.file.Name(), err)
	}
	return nil
}

// close removes the file again when nothing was written.
func (t *traceFile) close() error {
	err := t.file.Close()
	if t.created && !t.written {
		err = errors.Join(err, os.Remove(t.file.Name()))
	}
	if err != nil {
		return fmt.Errorf("--timeline: %w", err)
	}
	return nil
}

// peakRSS is that of this process, in bytes.
func peakRSS() int64 {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return usage.Maxrss * 1024
}
