// Package record is the lean form of a trace: what a runtime whose start is
// being timed can write in a few microseconds, and a profiler reads.
//
//	steps of the launcher ──Append────┐
//	ends of the ops ────────AppendOps─┴► lines ──one write──► file ──Read──► Trace
//
// A line is a step of the launcher: when it began and ended, CLOCK_MONOTONIC in
// nanoseconds, and its name, separated by tabs. One line is the child's program:
// "ops", when the child had its first instruction, and how long each op took, in
// nanoseconds; a minus for one that did not run. What the ops are is not there:
// the same program, printed, has them in the same order.
package record

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Step is something that the launcher did.
type Step struct {
	Name       string
	Start, End int64 // CLOCK_MONOTONIC in nanoseconds
}

// Trace is a file.
type Trace struct {
	Steps []Step
	First int64   // the child's first instruction, CLOCK_MONOTONIC in nanoseconds; 0: there was none
	Ends  []int64 // of the ops, likewise; 0: it did not run
}

// Append adds a step's line. The name has no tab and no end of a line in it; it
// is the program's own word.
func Append(b []byte, s Step) []byte {
	b = append(strconv.AppendInt(b, s.Start, 10), '\t')
	b = append(strconv.AppendInt(b, s.End, 10), '\t')
	return append(append(b, s.Name...), '\n')
}

// AppendOps adds the line of a child's ops.
func AppendOps(b []byte, first int64, ends []int64) []byte {
	b = strconv.AppendInt(append(b, "ops\t"...), first, 10)
	sep := byte('\t')
	for _, end := range ends {
		b = append(b, sep)
		sep = ' '
		if end == 0 {
			b = append(b, '-')
			continue
		}
		b = strconv.AppendInt(b, end-first, 10)
		first = end
	}
	return append(b, '\n')
}

// Read reads lines that Append and AppendOps wrote. A line that is none of them
// is an error.
func Read(text []byte) (Trace, error) {
	var t Trace
	n := 0
	for line := range bytes.Lines(text) {
		n++
		f := strings.Split(strings.TrimSuffix(string(line), "\n"), "\t")
		if len(f) != 3 {
			return t, fmt.Errorf("read timeline: line %d, %q, has %d fields, not 3", n, line, len(f))
		}
		var err error
		if f[0] == "ops" {
			err = t.ops(f[1], f[2])
		} else {
			err = t.step(f)
		}
		if err != nil {
			return t, fmt.Errorf("read timeline: line %d: %w", n, err)
		}
	}
	return t, nil
}

func (t *Trace) step(f []string) (err error) {
	s := Step{Name: f[2]}
	if s.Start, err = strconv.ParseInt(f[0], 10, 64); err != nil {
		return err
	}
	if s.End, err = strconv.ParseInt(f[1], 10, 64); err != nil {
		return err
	}
	t.Steps = append(t.Steps, s)
	return nil
}

func (t *Trace) ops(first, rest string) (err error) {
	if t.First, err = strconv.ParseInt(first, 10, 64); err != nil {
		return err
	}
	at := t.First
	for _, word := range strings.Fields(rest) {
		if word == "-" {
			t.Ends = append(t.Ends, 0)
			continue
		}
		took, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return err
		}
		at += took
		t.Ends = append(t.Ends, at)
	}
	return nil
}
