package follow

import (
	"cmp"
	"slices"
	"strconv"

	"isoperf/runtime/trace"
)

// idleShare is how much of a CPU a process uses at least that is said to run.
const idleShare = 0.1

// lane is the name of a thread's.
func lane(thread int) string { return "thread " + strconv.Itoa(thread) }

// Events are the record for a trace viewer: a lane for each thread that made a
// call; and on its process's first lane what it did between them.
func (r *Record) Events() []trace.Event {
	var events []trace.Event
	lanes := make([]string, len(r.Processes))
	for i := range lanes {
		lanes[i] = r.Lane(i)
	}
	for _, c := range r.Calls {
		e := trace.Event{
			Process: lanes[c.Process], Lane: lane(c.Thread), Name: c.Name, Text: c.Text, Start: c.Seen, End: c.Left,
			Args: map[string]any{"result": c.Result, "kernel-ns": c.Returned - c.Entered, "stopped-ns": c.Entered - c.Seen + c.Left - c.Returned},
		}
		if c.Lost {
			e.Args["returned"] = false
			delete(e.Args, "result")
		}
		if c.Born != 0 {
			e.Args["until-child-ns"] = c.Born - c.Entered
		}
		events = append(events, e)
	}
	for i, p := range r.Processes {
		for _, g := range r.Gaps(i) {
			events = append(events, trace.Event{
				Process: lanes[i], Lane: lane(p.PID), Name: g.Name, Text: g.Text, Start: g.Start, End: g.End, Args: map[string]any{"cpu-ns": g.CPU},
			})
		}
		if p.Exit != 0 && p.Died > p.Exit {
			events = append(events, trace.Event{Process: lanes[i], Lane: lane(p.PID), Name: PhaseExit, Text: "the last thread ends, until the process is collected", Start: p.Exit, End: p.Died})
		}
	}
	events, _ = trace.Sort(events)
	return events
}

// Gap is what a process did between its calls.
type Gap struct {
	Name       string // "start", "own code" or "blocked"
	Text       string // what it lies between
	Start, End int64
	CPU        int64 // nanoseconds of CPU time of all threads; 0: it did not run
}

// Gaps are those of a process, in the order of time.
func (r *Record) Gaps(process int) []Gap {
	p := r.Processes[process]
	var gaps []Gap
	at, after, waiting := p.Born, "birth", false
	add := func(to int64, before string) {
		if to <= at {
			return
		}
		g := Gap{Start: at, End: to, CPU: p.used(at, to), Text: "between " + after + " and " + before}
		switch runs := float64(g.CPU) >= idleShare*float64(to-at); {
		case !runs && waiting: // the wait says it
			return
		case !runs:
			g.Name = "blocked"
		case after == "execve" && before != PhaseExit:
			g.Name = "start"
		default:
			g.Name = "own code"
		}
		gaps = append(gaps, g)
	}
	for _, e := range r.cuts(process) {
		add(e.at, e.name)
		at, after, waiting = max(at, e.at, e.until), e.name, e.waiting
	}
	if end := cmp.Or(p.Exit, p.Died); end > at {
		add(end, PhaseExit)
	}
	return gaps
}

// cut is where a gap ends, and until when the next one cannot begin.
type cut struct {
	at, until int64
	name      string
	waiting   bool // from here on a thread waits for a child
}

// cuts are those of a process. A wait has two, since other threads run
// meanwhile.
func (r *Record) cuts(process int) []cut {
	var cuts []cut
	for _, i := range r.callsOf(process) {
		c := r.Calls[i]
		if c.Kind == Wait {
			cuts = append(cuts, cut{c.Seen, c.Entered, c.Name, true}, cut{c.Returned, c.Left, c.Name, false})
			continue
		}
		cuts = append(cuts, cut{c.Seen, c.Left, c.Name, false})
	}
	slices.SortStableFunc(cuts, func(a, b cut) int { return cmp.Compare(a.at, b.at) })
	return cuts
}

// used is the CPU time between two instants, by the marks around them.
func (p Process) used(from, to int64) int64 { return p.clock(to) - p.clock(from) }

// clock is the CPU clock at an instant, between two marks in proportion.
func (p Process) clock(at int64) int64 {
	i, found := slices.BinarySearchFunc(p.Marks, at, func(m Mark, at int64) int { return cmp.Compare(m.At, at) })
	switch {
	case len(p.Marks) == 0:
		return 0
	case found:
		return p.Marks[i].CPU
	case i == 0:
		return p.Marks[0].CPU
	case i == len(p.Marks):
		return p.Marks[i-1].CPU
	}
	a, b := p.Marks[i-1], p.Marks[i]
	return a.CPU + int64(float64(b.CPU-a.CPU)*float64(at-a.At)/float64(b.At-a.At))
}
