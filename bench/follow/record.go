package follow

import (
	"fmt"

	"isoperf/runtime/program"
)

// Record is what was seen of a tree. All instants are CLOCK_MONOTONIC in
// nanoseconds.
type Record struct {
	Start int64 // the command's execve was entered
	Led   int64 // the command itself had ended
	End   int64 // the last process of the tree had

	Processes []Process // in the order of their birth; the command is the first
	Calls     []Call    // in the order in which they were entered

	Stops  int            // how often a process was stopped
	Status program.Status // of the command
	Notes  []Note         // what following changed or could not see
	Ended  string         // why the tree was ended from here; "": it ended by itself

	Spans []program.Span // the ops of the process before the command
	exec  error          // execve of the command failed
	of    [][]int        // the places of each process's calls; see callsOf
}

// Note is something that a reader of the record has to know.
type Note struct {
	Process int // its place in Processes
	Kind    NoteKind
	Text    string // what the note is about: a file, a call
}

// NoteKind says what it is that following changed, or could not see.
type NoteKind int

// The kinds of notes.
const (
	Disarmed   NoteKind = iota // a set-user-ID program ran without its privilege
	Traced                     // it called ptrace, which cannot work
	Unfollowed                 // it made a child that is not traced (CLONE_UNTRACED)
	Unreadable                 // arguments could not be read
)

// Process is one process of the tree: all its threads.
type Process struct {
	PID    int
	Parent int   // its place in Processes; -1: none, the command
	Born   int64 // when its parent's clone had made it
	Died   int64
	Titles []Title // what it was called, in the order of time; at least one
	Marks  []Mark  // its CPU clock at its stops, in the order of time
	Exit   int64   // when its last thread began to exit; 0: not seen
}

// Title is a name of a process, from an instant on.
type Title struct {
	At   int64
	Text string // "runc init"
	Exec bool   // it began with an execve
}

// Mark is what a process had used of the CPUs at an instant, in nanoseconds.
type Mark struct {
	At    int64
	CPU   int64 // user and system time of all its threads
	Queue int64 // how long its threads were ready to run and had no CPU
}

// Call is a system call that was followed.
//
//	Seen ── Entered ══════════ Returned ── Left
//	  stopped    the kernel works      stopped
type Call struct {
	Process  int // its place in Processes
	Thread   int // the thread's number
	Name     string
	Text     string // with its arguments
	Kind     Kind
	Seen     int64 // the tracer was told of the stop on entry
	Entered  int64 // and the call let go
	Born     int64 // a vfork's child was there, and the call waited for it; 0: no vfork
	Returned int64 // it was told of the stop on exit, or of the thread's end
	Left     int64 // and the thread let go
	Result   int64 // what it returned; -errno on failure
	Lost     bool  // it did not return: its thread ended in it, or another's execve
}

// CPU is how much CPU time the process was seen to use.
func (p Process) CPU() int64 {
	if len(p.Marks) == 0 {
		return 0
	}
	return p.Marks[len(p.Marks)-1].CPU - p.Marks[0].CPU
}

// callsOf are the places of a process's calls, in order. They are sorted out
// once for all processes, of which there may be thousands.
func (r *Record) callsOf(process int) []int {
	if len(r.of) != len(r.Processes) {
		r.of = make([][]int, len(r.Processes))
		for i, c := range r.Calls {
			r.of[c.Process] = append(r.of[c.Process], i)
		}
	}
	return r.of[process]
}

// Name is what the process was called last.
func (p Process) Name() string { return p.Titles[len(p.Titles)-1].Text }

// Lane is what a process is called in traces and pictures: "runc init[1240]".
// One that isolated itself and then executed something else has both names:
// "runc init > sh[1240]".
func (r *Record) Lane(process int) string {
	p := r.Processes[process]
	name, was := p.Name(), ""
	for _, i := range r.callsOf(process) {
		if c := r.Calls[i]; c.Kind == Isolation || c.Kind == Write {
			was = p.title(c.Seen).Text
		}
	}
	started := r.started(process)
	if before := p.title(started - 1).Text; was != "" && was == before && p.title(started).Text != before {
		name = was + " > " + name
	}
	return fmt.Sprintf("%s[%d]", name, p.PID)
}

// title is what the process was called at an instant.
func (p Process) title(at int64) Title {
	current := p.Titles[0]
	for _, t := range p.Titles {
		if t.At <= at {
			current = t
		}
	}
	return current
}
