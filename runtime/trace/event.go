package trace

import (
	"cmp"
	"slices"

	"isoperf/runtime/program"
)

// The lanes that a start has.
const (
	Launcher  = "launcher"  // the runtime
	Container = "container" // the child, up to its execve
	Command   = "command"   // the child afterwards
)

// Event is something that took time.
type Event struct {
	Process string // whose lane it is; "": the only process there is
	Lane    string // events of a lane follow or contain each other
	Name    string
	Text    string         // the call with its arguments; "": none
	Start   int64          // CLOCK_MONOTONIC in nanoseconds
	End     int64          // not before Start
	Args    map[string]any // more to be shown; "text" is not allowed
}

// lane is one of a process's.
type lane struct{ process, name string }

func (e Event) lane() lane { return lane{e.Process, e.Lane} }

// The names of the events that are no ops.
const (
	nameClone   = "clone3"
	nameBorn    = "clone"
	nameWait    = "wait"
	nameExecve  = "execve"
	nameCommand = "command"
)

// FromTimeline makes the events of a start: of the launcher, clone3 and the
// wait; of the container, its birth and one event an op; and the command, from
// the last op that returned until it was reaped. What did not happen has none.
func FromTimeline(t program.Timeline) []Event {
	var events []Event
	add := func(e Event) {
		if e.Start != 0 && e.End >= e.Start {
			events = append(events, e)
		}
	}
	add(Event{Lane: Launcher, Name: nameClone, Text: "until it returned in the launcher", Start: t.Entered, End: t.Returned})
	add(Event{Lane: Launcher, Name: nameWait, Text: "until waitid returned", Start: t.Returned, End: t.Reaped})
	add(Event{Lane: Container, Name: nameBorn, Text: "until the child's first instruction", Start: t.Entered, End: t.First})
	last := t.First
	for _, span := range t.Spans {
		add(Event{
			Lane: Container, Name: span.Name, Text: span.Text(), Start: span.Start, End: span.End,
			Args: map[string]any{"result": span.Result},
		})
		last = span.End
	}
	add(Event{Lane: Command, Name: nameCommand, Text: "the last op, which does not return, and what it started, until it was reaped", Start: last, End: t.Reaped})
	return sorted(events)
}

// Executed divides the command of FromTimeline at the instant at which execve
// was seen to be done, CLOCK_MONOTONIC in nanoseconds: what comes before is an
// event "execve" of the container. An instant outside the command changes
// nothing.
func Executed(events []Event, at int64) []Event {
	var all []Event
	for _, e := range events {
		if e.Lane == Command && e.Name == nameCommand && e.Start <= at && at <= e.End {
			all = append(all, Event{Lane: Container, Name: nameExecve, Text: "until the launcher saw it done", Start: e.Start, End: at})
			e.Start, e.Text = at, "what was executed, until it was reaped"
		}
		all = append(all, e)
	}
	return sorted(all)
}

// sorted is a copy in the order of time; of events that begin together, those
// that contain others come first.
func sorted(events []Event) []Event {
	all := slices.Clone(events)
	slices.SortStableFunc(all, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End))
	})
	return all
}
