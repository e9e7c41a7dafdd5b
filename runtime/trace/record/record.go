// Package record is the lean form of a trace: what a runtime whose start is
// being timed can write in a few microseconds, and a profiler reads.
//
//	steps of the launcher ──Append────┐
//	ends of the ops ────────AppendOps─┴► lines ──one write──► file ──Read──► Trace
//
// A line is a step of the launcher: when it began and ended, CLOCK_MONOTONIC in
// nanoseconds, and its name, separated by tabs. One line is the child's program:
// "ops", when the child had its first instruction, and how many ops there are. After
// it come their ends, CLOCK_MONOTONIC in nanoseconds, 0 for one that did not run: 8
// bytes each, the least first, since to write hundreds of numbers in decimal takes as
// long as all the rest. What the ops are is not there: the same program, printed, has
// them in the same order.
package record

import (
	"bytes"
	"encoding/binary"
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

// AppendOps adds the line of a child's ops, and their ends.
func AppendOps(b []byte, first int64, ends []int64) []byte {
	b = strconv.AppendInt(append(b, "ops\t"...), first, 10)
	b = append(strconv.AppendInt(append(b, '\t'), int64(len(ends)), 10), '\n')
	for _, end := range ends {
		b = binary.LittleEndian.AppendUint64(b, uint64(end))
	}
	return b
}

// Read reads what Append and AppendOps wrote. A line that is of neither is an error.
func Read(text []byte) (Trace, error) {
	var t Trace
	for n := 1; len(text) > 0; n++ {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		f := strings.Split(string(line), "\t")
		if len(f) != 3 {
			return t, fmt.Errorf("read timeline: line %d, %q, has %d fields, not 3", n, line, len(f))
		}
		var err error
		if f[0] == "ops" {
			rest, err = t.ops(f[1], f[2], rest)
		} else {
			err = t.step(f)
		}
		if err != nil {
			return t, fmt.Errorf("read timeline: line %d: %w", n, err)
		}
		text = rest
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

// ops reads the ends, and is what follows them.
func (t *Trace) ops(first, count string, text []byte) (rest []byte, err error) {
	if t.First, err = strconv.ParseInt(first, 10, 64); err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(count, 10, 32)
	if err != nil {
		return nil, err
	}
	if have := uint64(len(text)) / 8; have < n {
		return nil, fmt.Errorf("there are the ends of %d ops, not of %d", have, n)
	}
	for range n {
		t.Ends = append(t.Ends, int64(binary.LittleEndian.Uint64(text)))
		text = text[8:]
	}
	return text, nil
}
