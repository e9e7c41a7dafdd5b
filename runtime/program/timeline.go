package program

import (
	"fmt"
	"slices"
	"syscall"
	"unsafe"
)

// Times are the four events of a start, in nanoseconds from the entry of
// clone3.
type Times struct {
	Returned int64 // clone3 returned in the launcher
	First    int64 // the child's first instruction
	Reaped   int64 // waitid returned
}

// line is that of the last start's stamps.
func (img *Image) line() line { return newLine(img.arena.header().clock, img.anchor) }

// Times are those of the last start.
func (img *Image) Times() Times {
	h, l := img.arena.header(), img.line()
	return Times{
		Returned: l.span(h.entered, h.returned),
		First:    l.span(h.entered, img.arena.records(1)[0].stamp),
		Reaped:   l.span(h.entered, h.ended),
	}
}

// Span is one op of a timeline. Spans follow each other without a gap: one
// begins where the one before it ended.
type Span struct {
	Name   string
	Start  int64 // CLOCK_MONOTONIC in nanoseconds
	End    int64
	Result int64 // what the kernel returned; -errno on failure
	Own    bool  // an op of the program, not of the mode
	Op     *Op   // nil: it is not known
}

// Text is the op's call with symbolic arguments.
func (s Span) Text() string {
	if s.Op == nil {
		return ""
	}
	return s.Op.String()
}

// Timeline is what happened in one start. All instants are CLOCK_MONOTONIC in
// nanoseconds, 0 when the event did not happen.
type Timeline struct {
	Entered  int64 // clone3 entered
	Returned int64 // clone3 returned in the launcher
	First    int64 // the child's first instruction
	Reaped   int64 // waitid returned
	Spans    []Span
}

// Timeline is that of the last start. Ops that did not run have no span; the
// last one (execve or exit) has none either, since it does not return.
func (img *Image) Timeline() Timeline {
	h, l := img.arena.header(), img.line()
	records := img.arena.records(img.ops.len() + 1)
	t := Timeline{
		Entered: l.instant(h.entered), Returned: l.instant(h.returned),
		First: l.instant(records[0].stamp), Reaped: l.instant(h.ended),
	}
	last := t.First
	t.Spans = make([]Span, 0, img.ops.len())
	for i, op := range img.ops.all() {
		r := &records[i+1]
		if r.stamp == 0 {
			continue
		}
		end := l.instant(r.stamp)
		t.Spans = append(t.Spans, Span{Name: op.Name, Start: last, End: end, Result: r.result, Own: img.number(i) != 0, Op: op})
		last = end
	}
	return t
}

// Line is a timeline with nothing but instants, in the order in which the
// program prints: all that can be had in a microsecond or two.
type Line struct {
	Entered  int64 // as in Timeline
	Returned int64
	First    int64
	Reaped   int64
	Ends     []int64 // of the ops, those of the mode too; 0: it did not run, or does not return
}

// Line is that of the last start. Ends are in the memory of ends, if it is large
// enough: whoever asks twice touches no new memory the second time.
func (p *Process) Line(ends []int64) Line {
	img := p.img
	h, l := img.arena.header(), img.line()
	records := img.arena.records(img.ops.len() + 1)
	t := Line{
		Entered: l.instant(h.entered), Returned: l.instant(h.returned),
		First: l.instant(records[0].stamp), Reaped: l.instant(h.ended),
		Ends: slices.Grow(ends[:0], img.ops.len()),
	}
	waits := -1 // does not print: what it waits for is how Start goes about it
	if img.late {
		waits = len(img.ops.early) + len(img.ops.mode) - 1
	}
	for i := range img.ops.len() {
		if i != waits {
			t.Ends = append(t.Ends, l.instant(records[i+1].stamp))
		}
	}
	return t
}

// Result is what an op returned, and whether it ran.
func (img *Image) Result(r Ref) (result int64, ran bool) {
	rec := img.arena.records(img.ops.len() + 1)[img.index(r)]
	return rec.result, rec.stamp != 0
}

// Took is how long an op took in nanoseconds: from the end of the op before
// it in the list, which must have run.
func (img *Image) Took(r Ref) int64 {
	records := img.arena.records(img.ops.len() + 1)
	i := img.index(r)
	return img.line().span(records[i-1].stamp, records[i].stamp)
}

// Between is the time between the ends of two ops in nanoseconds.
func (img *Image) Between(from, to Ref) int64 {
	records := img.arena.records(img.ops.len() + 1)
	return img.line().span(records[img.index(from)].stamp, records[img.index(to)].stamp)
}

// Ended is when an op ended, CLOCK_MONOTONIC in nanoseconds; 0: it did not.
func (img *Image) Ended(r Ref) int64 {
	return img.line().instant(img.arena.records(img.ops.len() + 1)[img.index(r)].stamp)
}

// Buffer is what ops wrote into a Buffer argument; valid until the next start.
func (img *Image) Buffer(a Arg) []byte {
	if a.kind() != argData || a.data.form >= formWords {
		return nil
	}
	offset := img.offsets.of(a.data)
	if offset == 0 { // it was not laid out, so nobody has written there
		return make([]byte, a.data.size())
	}
	return unsafe.Slice(at[byte](img.arena.addr+offset), a.data.size())
}

// reachedExec says whether the op before the command's execution has run.
func (img *Image) reachedExec() bool {
	return img.arena.records(img.ops.len() + 1)[img.ops.len()-img.program.execs].stamp != 0
}

// failure is the op that ended the program, or nil.
func (img *Image) failure() error {
	h := img.arena.header()
	if h.failed == 0 {
		return nil
	}
	index := int(uintptr(h.failed)-img.arena.addr-headerSize)/int(recordSize) - 1
	if index < 0 || index >= img.ops.len() {
		return fmt.Errorf("run program: the child wrote nonsense where the failed op should be")
	}
	r := img.arena.records(img.ops.len() + 1)[index+1]
	op := *img.ops.at(index)
	errno := syscall.Errno(-r.result)
	return &OpError{Index: img.number(index), Op: op, Errno: errno, Hint: opHint(op, errno)}
}

// number is that of an op in the program, as it prints, from 1; 0: the op is
// one of the mode.
func (img *Image) number(index int) int {
	switch early, extra := img.program.early, img.extra(); {
	case index < early:
		return index + 1
	case index < early+extra:
		return 0
	default:
		return index - extra + 1
	}
}
