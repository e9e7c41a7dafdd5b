// Package record is the lean form of a trace: what a runtime whose start is
// being timed can write in a few microseconds, and a profiler reads.
//
//	instants ──Append──► lines ──one write──► file ──Read──► events
//
// A line is an event: when it began and ended, CLOCK_MONOTONIC in nanoseconds,
// what the kernel returned, its lane and its name, separated by tabs. The calls
// with their arguments are not there: the same program, printed, has them.
package record

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Event is something that took time.
type Event struct {
	Lane       string // "launcher" or "container"
	Name       string
	Start, End int64 // CLOCK_MONOTONIC in nanoseconds
	Result     int64 // of the system call; 0 where there is none
	Own        bool  // of the program, not of the mode that it runs in: it has a line in the plan
}

// Append adds an event's line. Neither the lane nor the name has a tab or the
// end of a line in it; both are the program's own words.
func Append(b []byte, e Event) []byte {
	b = append(strconv.AppendInt(b, e.Start, 10), '\t')
	b = append(strconv.AppendInt(b, e.End, 10), '\t')
	b = append(strconv.AppendInt(b, e.Result, 10), '\t')
	if e.Own {
		b = append(b, "op"...)
	}
	b = append(append(append(b, '\t'), e.Lane...), '\t')
	return append(append(b, e.Name...), '\n')
}

// Read reads lines that Append wrote. A line that is none of them is an error.
func Read(text []byte) ([]Event, error) {
	var events []Event
	for line := range bytes.Lines(text) {
		f := strings.Split(strings.TrimSuffix(string(line), "\n"), "\t")
		if len(f) != 6 {
			return nil, fmt.Errorf("read timeline: line %d, %q, has %d fields, not 6", len(events)+1, line, len(f))
		}
		e := Event{Own: f[3] == "op", Lane: f[4], Name: f[5]}
		for i, to := range []*int64{&e.Start, &e.End, &e.Result} {
			n, err := strconv.ParseInt(f[i], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("read timeline: line %d: %w", len(events)+1, err)
			}
			*to = n
		}
		events = append(events, e)
	}
	return events, nil
}
