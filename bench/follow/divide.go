package follow

import (
	"cmp"
	"slices"
	"strings"

	"isoperf/runtime/trace"
)

// Phase is a part of the whole wall time as a person thinks of it.
type Phase struct {
	Name  string
	Start int64 // when it first began
	Ns    float64
	Calls int // how many calls belong to it
	Sort  Sort

	// Estimated is the part of Ns that nobody has seen: the tracer's latency.
	Estimated float64
}

// Sort says what was going on in a phase.
type Sort int

// The sorts of phases.
const (
	Called  Sort = iota // in the kernel, in a call that was followed
	Ran                 // code of the program's own, on a CPU
	Waited              // for a child
	Ended               // the kernel took a process down
	Stopped             // by the tracer
	Queued              // ready to run, and no CPU was free
	Blocked             // in a call that is not followed: this has no name
)

// The phases that are no group of calls.
const (
	PhaseWait    = "waiting for a child"
	PhaseExit    = "exit"
	PhaseStopped = "stopped by this trace"
	PhaseQueued  = "waiting for a CPU"
	PhaseThreads = "threads"
	PhaseClone   = "clone"
	PhaseExecve  = "execve"
	PhaseFiles   = "files"
)

// Divide divides the wall time from the command's execve to the end of the
// tree: every nanosecond belongs to one phase. At any instant there counts, in
// this order:
//
//	a call that was followed, the one that was entered last;
//	the program's own code, as far as the CPU clocks say that it ran;
//	the tracer, for what it held a thread;
//	a process that the kernel takes down;
//	one that was ready and had no CPU, as far as the kernel counted that;
//	the tracer, for latency nanoseconds between two stops, in which a thread is
//	  let go and the next stop is told, which nobody can see (see Latency);
//	a process that is blocked, the youngest; and if all wait for a child, that.
//
// The phases are in the order in which they began.
func (r *Record) Divide(latency float64) []Phase {
	d := &division{record: r, latency: latency, at: map[string]int{}}
	d.name()
	d.count()
	d.sweep()
	d.phases = slices.DeleteFunc(d.phases, func(p Phase) bool { return p.Ns < 0.5 && p.Calls == 0 })
	slices.SortStableFunc(d.phases, func(a, b Phase) int { return cmp.Compare(a.Start, b.Start) })
	return d.phases
}

// division is one under way.
type division struct {
	record  *Record
	latency float64
	names   []string // of the phases of the calls
	firsts  []int64  // when each process made its first call of isolation; 0: none
	phases  []Phase
	at      map[string]int // a phase's place

	calls     []int // that go on
	processes []int // that live, by birth
	marks     []int // the place of each process's mark at or before the segment
}

// name gives every call its phase, and finds the first of each process.
func (d *division) name() {
	r := d.record
	d.names, d.firsts, d.marks = r.CallPhases(), make([]int64, len(r.Processes)), make([]int, len(r.Processes))
	for i, c := range r.Calls {
		if d.firsts[c.Process] == 0 && c.isolates() && d.names[i] != PhaseThreads && c.Seen > r.started(c.Process) {
			d.firsts[c.Process] = c.Seen
		}
	}
}

// started is when a process's last execve had worked; 0: it made none.
func (r *Record) started(process int) int64 {
	at := int64(0)
	for _, t := range r.Processes[process].Titles {
		if t.Exec {
			at = t.At
		}
	}
	return at
}

// isolates says whether a call ends a program's start.
func (c Call) isolates() bool { return !strings.Contains(c.Text, "PR_SET_NAME") }

// CallPhases are the phases of the calls, in the words of package trace.
func (r *Record) CallPhases() []string {
	var events []trace.Event
	for i, c := range r.Calls {
		if c.Kind == Wait { // what is opened before it does not prepare it
			continue
		}
		events = append(events, trace.Event{Lane: lane(c.Thread), Name: c.Name, Text: c.Text, Start: c.Seen, End: max(c.Left, c.Seen), Args: map[string]any{"place": i}})
	}
	events, named := trace.Sort(events)
	names := make([]string, len(r.Calls))
	for i, e := range events {
		names[e.Args["place"].(int)] = named[i]
	}
	mounts := r.mounters()
	for i, c := range r.Calls {
		switch {
		case c.Kind == Wait:
			names[i] = PhaseWait
		case c.Kind == Exec:
			names[i] = PhaseExecve
		case c.Kind == Birth && strings.Contains(c.Text, "CLONE_THREAD"):
			names[i] = PhaseThreads
		case c.Kind == Birth:
			names[i] = PhaseClone
		case c.Kind == File && controlFile(strings.TrimPrefix(c.Name, "open ")) == noFile && !strings.Contains(c.Text, "/sys/fs/cgroup/"):
			names[i] = PhaseFiles
		case directory(c.Name) && !strings.Contains(c.Text, "cgroup/") && !mounts[c.Process]:
			names[i] = PhaseFiles
		}
	}
	return names
}

// directory says whether a call makes or removes one: a place to mount on, or
// anything else.
func directory(name string) bool {
	return name == "mkdir" || name == "mkdirat" || name == "rmdir" || name == "unlinkat"
}

// mounters are the processes that mount something.
func (r *Record) mounters() []bool {
	all := make([]bool, len(r.Processes))
	for _, c := range r.Calls {
		switch c.Name {
		case "mount", "move_mount", "umount2", "umount", "mount_setattr", "pivot_root":
			all[c.Process] = true
		}
	}
	return all
}

// add gives time to a phase.
func (d *division) add(name string, sort Sort, at int64, ns float64) {
	if ns <= 0 {
		return
	}
	d.phase(name, sort, at).Ns += ns
}

func (d *division) phase(name string, sort Sort, at int64) *Phase {
	i, ok := d.at[name]
	if !ok {
		i = len(d.phases)
		d.at[name] = i
		d.phases = append(d.phases, Phase{Name: name, Start: at, Sort: sort})
	}
	d.phases[i].Start = min(d.phases[i].Start, at)
	return &d.phases[i]
}

// count counts the calls of the phases.
func (d *division) count() {
	for i, c := range d.record.Calls {
		sort := Called
		if c.Kind == Wait {
			sort = Waited
		}
		p := d.phase(d.names[i], sort, c.Seen)
		p.Calls++
	}
}

// edges are the instants at which something begins or ends.
func (r *Record) edges() []int64 {
	edges := []int64{r.Start, r.End}
	for _, c := range r.Calls {
		edges = append(edges, c.Seen, c.Entered, c.Born, c.Returned, c.Left)
	}
	for _, p := range r.Processes {
		edges = append(edges, p.Born, p.Died, p.Exit)
		for _, m := range p.Marks {
			edges = append(edges, m.At)
		}
		for _, t := range p.Titles {
			edges = append(edges, t.At)
		}
	}
	edges = slices.DeleteFunc(edges, func(at int64) bool { return at < r.Start || at > r.End })
	slices.Sort(edges)
	return slices.Compact(edges)
}

// sweep goes through the time once, with what goes on.
func (d *division) sweep() {
	r := d.record
	edges := r.edges()
	order := make([]int, len(r.Calls))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(r.Calls[a].Seen, r.Calls[b].Seen) })
	nextCall, nextProcess := 0, 0
	for i := 1; i < len(edges); i++ {
		from, to := edges[i-1], edges[i]
		for ; nextCall < len(order) && r.Calls[order[nextCall]].Seen <= from; nextCall++ {
			d.calls = append(d.calls, order[nextCall])
		}
		for ; nextProcess < len(r.Processes) && r.Processes[nextProcess].Born <= from; nextProcess++ {
			d.processes = append(d.processes, nextProcess)
		}
		d.calls = slices.DeleteFunc(d.calls, func(c int) bool { return r.Calls[c].Left <= from })
		d.processes = slices.DeleteFunc(d.processes, func(p int) bool { return r.Processes[p].Died <= from })
		d.segment(from, to)
	}
}

// segment divides a stretch in which nothing begins or ends.
func (d *division) segment(from, to int64) {
	r, length := d.record, float64(to-from)
	best, held := -1, false
	busy, waits := map[int]bool{}, map[int]bool{} // processes in a call; in a wait
	for _, i := range d.calls {
		switch c := r.Calls[i]; {
		case c.Entered > from || c.Returned <= from:
			held, busy[c.Process] = true, true
		case c.Kind == Wait || c.Born != 0 && c.Born <= from:
			waits[c.Process] = true
		default:
			busy[c.Process] = true
			if best < 0 || c.Entered >= r.Calls[best].Entered {
				best = i
			}
		}
	}
	if best >= 0 {
		d.add(d.names[best], Called, from, length)
		return
	}
	rest := length - d.ran(from, length, busy)
	if rest <= 0 {
		return
	}
	if held {
		d.add(PhaseStopped, Stopped, from, rest)
		return
	}
	d.idle(from, rest, waits)
}

// ran gives the programs' own code its part of a segment, and returns how much.
func (d *division) ran(from int64, length float64, busy map[int]bool) float64 {
	shares := make([]float64, len(d.processes))
	sum := 0.0
	for i, p := range d.processes {
		if !busy[p] {
			shares[i] = d.share(p, from)
			sum += shares[i]
		}
	}
	whole := max(1, sum)
	for i, p := range d.processes {
		title := d.record.Processes[p].title(from)
		name := title.Text + ": own code"
		if first := d.firsts[p]; first > from && from >= d.record.started(p) && d.record.started(p) > 0 {
			name = title.Text + ": start"
		}
		d.add(name, Ran, from, length*shares[i]/whole)
	}
	return length * sum / whole
}

// share is how much of a CPU a process used at an instant, at most one.
func (d *division) share(process int, at int64) float64 {
	a, b := d.around(process, at)
	if b.At <= a.At {
		return 0
	}
	return min(1, float64(b.CPU-a.CPU)/float64(b.At-a.At))
}

// around are the marks around an instant; twice the same: there are none.
func (d *division) around(process int, at int64) (a, b Mark) {
	marks := d.record.Processes[process].Marks
	i := d.marks[process]
	for i+1 < len(marks) && marks[i+1].At <= at {
		i++
	}
	d.marks[process] = i
	if i+1 >= len(marks) || marks[i].At > at {
		return Mark{}, Mark{}
	}
	return marks[i], marks[i+1]
}

// idle names a stretch in which nothing ran and no call was under way: a
// process exits, or is about to stop or go on, or has no CPU, or is blocked.
func (d *division) idle(from int64, ns float64, waits map[int]bool) {
	r := d.record
	for _, p := range slices.Backward(d.processes) {
		if exit := r.Processes[p].Exit; exit != 0 && exit <= from {
			d.add(PhaseExit, Ended, from, ns)
			return
		}
	}
	young := -1
	for _, p := range slices.Backward(d.processes) {
		if waits[p] {
			continue
		}
		if young < 0 {
			young = p
		}
		// Of a stretch between two stops, what is idle is taken apart in
		// proportion. It begins and ends with a switch.
		a, b := d.around(p, from)
		idle := float64(b.At-a.At) - float64(b.CPU-a.CPU)
		if idle <= 0 {
			continue
		}
		queued := min(1, float64(b.Queue-a.Queue)/idle) * ns
		lost := min(1-queued/ns, d.latency/idle) * ns
		d.add(PhaseQueued, Queued, from, queued)
		d.add(PhaseStopped, Stopped, from, lost)
		d.phase(PhaseStopped, Stopped, from).Estimated += lost
		if ns -= queued + lost; ns <= 0 {
			return
		}
	}
	if young >= 0 {
		d.add(r.Processes[young].title(from).Text+": blocked", Blocked, from, ns)
		return
	}
	d.add(PhaseWait, Waited, from, ns)
}

// Named is how much of the wall time has a name, as a share of 1: all that is
// not blocked in calls that were not followed.
func Named(phases []Phase) float64 {
	whole, blocked := Sum(phases, Called, Ran, Waited, Ended, Stopped, Queued, Blocked), Sum(phases, Blocked)
	if whole == 0 {
		return 0
	}
	return 1 - blocked/whole
}

// Sum is the time of the phases of some sorts, in nanoseconds.
func Sum(phases []Phase, sorts ...Sort) float64 {
	sum := 0.0
	for _, p := range phases {
		if slices.Contains(sorts, p.Sort) {
			sum += p.Ns
		}
	}
	return sum
}
