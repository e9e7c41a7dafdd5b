package trace

import (
	"cmp"
	"slices"
	"strings"
)

// Phase is a part of a start as a person thinks of it.
type Phase struct {
	Name  string
	Start int64 // CLOCK_MONOTONIC in nanoseconds, of its first part
	Ns    int64 // how long it took, all its parts together, in nanoseconds
	Ops   int   // how many events it has
}

// The phases, and the time that belongs to none.
const (
	phaseExec       = "exec of the runtime"
	phaseGo         = "start of Go"
	phaseConfig     = "configuration"
	phasePlan       = "plan and load"
	phaseClone      = "clone and stub"
	phaseNamespaces = "namespaces"
	phaseIDs        = "id maps"
	phaseCgroup     = "cgroup"
	phaseMounts     = "mounts"
	phaseDev        = "/dev"
	phasePivot      = "pivot"
	phaseNetwork    = "network"
	phasePrivilege  = "credentials & capabilities"
	phaseSeccomp    = "seccomp"
	phaseInit       = "init"
	phaseExecve     = "execve"
	phaseWait       = "waiting for the launcher"

	// Other is the time that belongs to no phase.
	Other = "other"
)

// Phases divides a start: every nanosecond from the first event's start to the
// last one's end belongs to exactly one phase, or to "other", so the sum is the
// whole. The command's own time is no part of a start. Where events overlap the
// container's count, and of those the one that began last. The phases are in
// the order in which they began; one that comes again is not listed again, one
// that took no time not at all.
func Phases(events []Event) []Phase {
	var start []Event
	for _, e := range sorted(events) {
		if e.Lane != Command {
			start = append(start, e)
		}
	}
	if cut, ok := began(events); ok {
		start = before(start, cut)
	}
	names := phaseNames(start)
	var phases []Phase
	count := func(name string, from, ns int64, ops int) {
		i := slices.IndexFunc(phases, func(p Phase) bool { return p.Name == name })
		if i < 0 {
			i = len(phases)
			phases = append(phases, Phase{Name: name, Start: from})
		}
		phases[i].Ns += ns
		phases[i].Ops += ops
	}
	divide(start, func(owner int, from, to int64) {
		name := Other
		if owner >= 0 {
			name = names[owner]
		}
		count(name, from, to-from, 0)
	})
	for i, e := range start {
		count(names[i], e.Start, 0, 1)
	}
	return slices.DeleteFunc(phases, func(p Phase) bool { return p.Ns == 0 })
}

// began is when the command did.
func began(events []Event) (int64, bool) {
	for _, e := range events {
		if e.Lane == Command {
			return e.Start, true
		}
	}
	return 0, false
}

// before is what was before an instant: the launcher's wait for the command is
// no part of the start.
func before(events []Event, cut int64) []Event {
	var all []Event
	for _, e := range events {
		if e.Start < cut || e.End <= cut {
			e.End = min(e.End, cut)
			all = append(all, e)
		}
	}
	return all
}

// divide calls f for the stretches between the first start and the last end,
// in order, with the event that owns each; -1: none does.
func divide(events []Event, f func(owner int, from, to int64)) {
	var edges []int64
	for _, e := range events {
		edges = append(edges, e.Start, e.End)
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	for i := 1; i < len(edges); i++ {
		owner := -1
		for n, e := range events {
			if e.Start <= edges[i-1] && edges[i] <= e.End && (owner < 0 || closer(e, events[owner])) {
				owner = n
			}
		}
		f(owner, edges[i-1], edges[i])
	}
}

// closer says whether an event says more than another one that goes on at the
// same time.
func closer(a, b Event) bool {
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		cmp.Compare(a.Start, b.Start),
		cmp.Compare(b.End, a.End),
	) > 0
}

func rank(e Event) int {
	switch {
	case e.Lane == Container:
		return 2
	case e.Lane == Launcher && e.Name == nameWait:
		return 0
	}
	return 1
}

// Sort puts events in the order of time, as Write does, and says to which phase
// each belongs: for those who divide the time themselves.
func Sort(events []Event) (all []Event, phases []string) {
	all = sorted(events)
	return all, phaseNames(all)
}

// phaseNames are the phases of events, which are sorted. An op that only
// prepares belongs to the one that comes next, one that only tidies up to the
// one before.
func phaseNames(events []Event) []string {
	names := make([]string, len(events))
	next := map[lane]string{}
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		if names[i] = phaseOf(e); names[i] == "" && starts(callOf(e), prepares()) {
			names[i] = next[e.lane()]
		}
		if names[i] != "" {
			next[e.lane()] = names[i]
		}
	}
	last := map[lane]string{}
	for i, e := range events {
		if names[i] == "" {
			names[i] = cmp.Or(last[e.lane()], Other)
		}
		last[e.lane()] = names[i]
	}
	return names
}

// phaseOf is the phase that an event shows by itself; "": none.
func phaseOf(e Event) string {
	call := callOf(e)
	for _, r := range rules() {
		if (r.calls == "" || starts(call, r.calls)) && (r.names == "" || starts(e.Name, r.names)) &&
			(r.has == "" || slices.ContainsFunc(strings.Fields(r.has), func(s string) bool { return strings.Contains(e.Text, s) })) {
			return r.phase
		}
	}
	return ""
}

// callOf is the name of the system call or of the control ("tell 1: armed") in
// an event's text, or the name of the event that is no op.
func callOf(e Event) string {
	for _, control := range []string{"tell", "wait"} {
		if strings.HasPrefix(e.Text, control+" ") {
			return control
		}
	}
	if name, _, ok := strings.Cut(e.Text, "("); ok && !strings.ContainsAny(name, " :") {
		return name
	}
	return e.Name
}

// starts says whether a name begins with one of the prefixes, which are
// separated by commas; a final $ means the whole name.
func starts(name, prefixes string) bool {
	for prefix := range strings.SplitSeq(prefixes, ",") {
		if whole, ok := strings.CutSuffix(prefix, "$"); ok && name == whole || !ok && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
