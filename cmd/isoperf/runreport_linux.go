package main

import (
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
	meta := map[string]string{
		"command": strings.Join(f.Args, " "), "container": f.ID, "version": version(),
		"runtime-peak-rss-B": strconv.FormatInt(peakRSS(), 10),
	}
	if f.timeline != "" {
		if err := writeTrace(f.timeline, events, meta); err != nil {
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

func writeTrace(name string, events []trace.Event, meta map[string]string) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("--timeline: %w", err)
	}
	if err = trace.Write(file, events, meta); err == nil {
		err = file.Close()
	} else {
		file.Close()
	}
	if err != nil {
		return fmt.Errorf("--timeline %q: %w", name, err)
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
